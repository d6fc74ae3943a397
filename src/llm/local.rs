//! A model in this process behind the door: render, tokenise, generate, read.
//!
//! What can be known to fail is refused before it is queued, so that it costs its own row and
//! nobody else's: an empty prompt, one that leaves no room for the longest answer, an answer
//! template or a grammar that does not fit the vocabulary.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stillroom_models::{Decoder, Model};

use super::door::{Answer, Ask, Door, Options, Refusal};
use super::guides::{GrammarGuide, Plan, ScriptGuide, StopGuide};
use crate::Result;
use crate::engine::guide::Guide;
use crate::engine::request::{Completion, FinishReason, Request, RequestId, TokenId};
use crate::engine::{Engine, EngineLimits, Stats};
use crate::text::chat::{Chat, Message};
use crate::text::detok::whole_characters;
use crate::text::guides::AnswerTemplate;
use crate::text::guides::grammar::Grammars;
use crate::text::guides::script::{Script, Walk};
use crate::text::stop::StopStrings;
use crate::text::tokenizer::Tokenizer;

/// Answer templates kept in tokens. A judge has one for each number of answers.
const N_PLANS_MAX: usize = 64;

/// Questions in flight for each sequence of a step: one that runs and one that waits, so that a
/// place which becomes free is filled at once.
const N_WANTED_PER_SEQUENCE: usize = 2;

/// A loaded model: tokenizer, chat template, engine.
pub struct Llm {
    name: String,
    voice: Voice,
    engine: Engine<Decoder>,
    vocab_size: usize,
    max_context: usize,
    grammars: Option<Grammars>,
    plans: HashMap<AnswerTemplate, Arc<Plan>>,
    /// The prompt asked last: the samples of one prompt come one after the other.
    last_prompt: Option<(Vec<Message>, Arc<[TokenId]>)>,
    in_flight: HashMap<RequestId, InFlight>,
}

/// How one model reads and writes text.
#[derive(Debug, Clone)]
pub struct Voice {
    /// Its vocabulary.
    pub tokenizer: Arc<Tokenizer>,
    /// Its chat template.
    pub chat: Arc<Chat>,
    /// Tokens that end an answer, by its configuration.
    pub stop_tokens: Arc<[TokenId]>,
}

/// What must be remembered of a question until its answer is there.
struct InFlight {
    n_input_tokens: usize,
    form: Form,
}

/// How an answer's tokens are read.
enum Form {
    /// Text up to a stop string.
    Text(StopStrings),
    /// The parts of a template.
    Template(Arc<Script>),
    /// Text of a grammar; raised when the grammar's own limits ended it.
    Grammar(Arc<AtomicBool>),
}

impl Llm {
    /// Puts a model behind the door.
    ///
    /// # Errors
    /// When there is not enough memory for keys and values.
    pub fn new(name: String, voice: Voice, model: Decoder, limits: EngineLimits) -> Result<Self> {
        let (vocab_size, max_context) = (model.vocab_size(), model.max_context());
        Ok(Self {
            name,
            voice,
            engine: Engine::new(model, limits)?,
            vocab_size,
            max_context,
            grammars: None,
            plans: HashMap::new(),
            last_prompt: None,
            in_flight: HashMap::new(),
        })
    }

    /// How the model reads and writes text.
    pub fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Ids of the prompt, shared with the question before if that had the same messages.
    fn prompt(&mut self, messages: Vec<Message>) -> Result<Arc<[TokenId]>, Refusal> {
        if messages.last().is_none_or(|message| message.content.trim().is_empty()) {
            return Err(Refusal("the prompt is empty".to_owned()));
        }
        if let Some((asked, prompt)) = &self.last_prompt
            && *asked == messages
        {
            return Ok(prompt.clone());
        }
        let Voice { tokenizer, chat, .. } = &self.voice;
        let prompt: Arc<[TokenId]> = chat.encode(&messages, tokenizer).map_err(refusal)?.into();
        self.last_prompt = Some((messages, prompt.clone()));
        Ok(prompt)
    }

    /// The rules of an answer, how it is read, and the most tokens it can have.
    fn rules(&mut self, options: &Options) -> Result<Rules, Refusal> {
        let n_max = options.max_new_tokens;
        match (&options.template, &options.grammar) {
            (None, None) => Ok(self.stop_rules(options)),
            (Some(template), None) if options.stop.is_empty() => {
                let plan = self.plan(template)?;
                let n_needed = plan.script.n_tokens_max();
                if n_needed > n_max {
                    return Err(Refusal(format!(
                        "max_new_tokens is too small for the answer's form: it takes up to {n_needed}, \
                         {n_max} are allowed"
                    )));
                }
                let form = Form::Template(plan.script.clone());
                let guide = ScriptGuide::new(self.voice.tokenizer.clone(), plan);
                Ok(Rules { guide: Some(Box::new(guide)), form, n_tokens_max: n_needed })
            }
            (None, Some(grammar)) if options.stop.is_empty() => {
                let derivation = self.grammars()?.start(grammar).map_err(refusal)?;
                let exhausted = Arc::new(AtomicBool::new(false));
                let guide = GrammarGuide::new(derivation, self.vocab_size, exhausted.clone());
                let guide = guide.map_err(refusal)?;
                let form = Form::Grammar(exhausted);
                Ok(Rules { guide: Some(Box::new(guide)), form, n_tokens_max: n_max })
            }
            (Some(_) | None, Some(_) | None) => Err(Refusal(
                "an answer follows a template, a grammar or stop strings, not two of them".into(),
            )),
        }
    }

    fn stop_rules(&self, options: &Options) -> Rules {
        let stops: Vec<&String> = options.stop.iter().chain(self.voice.chat.stops()).collect();
        let strings = StopStrings::new(&stops);
        let tokenizer = self.voice.tokenizer.clone();
        let guide: Option<Box<dyn Guide>> = if strings.is_empty() {
            None
        } else {
            Some(Box::new(StopGuide::new(tokenizer, strings.matcher())))
        };
        Rules { guide, form: Form::Text(strings), n_tokens_max: options.max_new_tokens }
    }

    fn plan(&mut self, template: &AnswerTemplate) -> Result<Arc<Plan>, Refusal> {
        if let Some(plan) = self.plans.get(template) {
            return Ok(plan.clone());
        }
        let Voice { tokenizer, stop_tokens, .. } = &self.voice;
        let script = Script::new(template, tokenizer, stop_tokens).map_err(refusal)?;
        let plan = Arc::new(Plan::new(script, tokenizer, self.vocab_size));
        if self.plans.len() == N_PLANS_MAX {
            self.plans.clear();
        }
        self.plans.insert(template.clone(), plan.clone());
        Ok(plan)
    }

    /// The grammars of this vocabulary, which is prepared for them at the first use.
    fn grammars(&mut self) -> Result<&mut Grammars, Refusal> {
        if self.grammars.is_none() {
            let Voice { tokenizer, stop_tokens, .. } = &self.voice;
            let prepared = Grammars::new(tokenizer.clone(), self.vocab_size, stop_tokens);
            self.grammars = Some(prepared.map_err(refusal)?);
        }
        Ok(self.grammars.as_mut().expect("it was just prepared"))
    }

    /// EOS, and the control tokens that stop strings name.
    fn stop_tokens(&self, options: &Options) -> Arc<[TokenId]> {
        let tokenizer = &self.voice.tokenizer;
        let named = options.stop.iter().filter_map(|name| tokenizer.id(name));
        let named: Vec<TokenId> = named.filter(|&id| tokenizer.is_special(id)).collect();
        if named.is_empty() {
            return self.voice.stop_tokens.clone();
        }
        self.voice.stop_tokens.iter().copied().chain(named).collect()
    }

    fn queue(&mut self, ask: Ask) -> Result<(), Refusal> {
        let Ask { id, messages, options, noise } = ask;
        let prompt = self.prompt(messages)?;
        let Rules { guide, form, n_tokens_max } = self.rules(&options)?;
        let (n_input_tokens, max_context) = (prompt.len(), self.max_context);
        if n_input_tokens.saturating_add(n_tokens_max) > max_context {
            return Err(Refusal(format!(
                "prompt and longest answer do not fit the model's context: {n_input_tokens} and \
                 {n_tokens_max} tokens, it holds {max_context}"
            )));
        }
        let stop_tokens = self.stop_tokens(&options);
        let sampling = options.sampling;
        let max_new_tokens = n_tokens_max;
        let request = Request { id, prompt, max_new_tokens, stop_tokens, sampling, noise, guide };
        self.engine.submit(request).map_err(refusal)?;
        self.in_flight.insert(id, InFlight { n_input_tokens, form });
        Ok(())
    }

    fn answer(&mut self, completion: Completion) -> Answer {
        let InFlight { n_input_tokens, form } =
            self.in_flight.remove(&completion.id).expect("every completion was asked for");
        let Completion { id, tokens, logprobs, choices, mut finish, n_cached, .. } = completion;
        let tokenizer = &self.voice.tokenizer;
        let (text, parts) = match form {
            Form::Text(stops) => (text_before(&stops, &tokens, tokenizer), Vec::new()),
            Form::Template(script) => read_template(script, &tokens, finish, tokenizer),
            Form::Grammar(exhausted) => {
                if exhausted.load(Ordering::Relaxed) {
                    finish = FinishReason::Length;
                }
                (tokenizer.decode(&tokens), Vec::new())
            }
        };
        Answer {
            id,
            text,
            parts,
            choices,
            n_input_tokens,
            n_cached_tokens: n_cached,
            n_output_tokens: tokens.len(),
            logprob: logprobs.iter().sum(),
            finish,
        }
    }
}

/// What [`Llm::rules`] makes of a question's options.
struct Rules {
    guide: Option<Box<dyn Guide>>,
    form: Form,
    n_tokens_max: usize,
}

impl Door for Llm {
    fn name(&self) -> &str {
        &self.name
    }

    fn submit(&mut self, ask: Ask) -> Result<Result<(), Refusal>> {
        Ok(self.queue(ask))
    }

    fn step(&mut self) -> Result<Vec<Answer>> {
        let completions = self.engine.step().map_err(|error| error.of_model(&self.name))?;
        Ok(completions.into_iter().map(|completion| self.answer(completion)).collect())
    }

    fn n_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn n_wanted(&self) -> usize {
        N_WANTED_PER_SEQUENCE * self.engine.limits().n_sequences_max
    }

    fn pin(&mut self, messages: &[Message]) {
        let Voice { tokenizer, chat, .. } = &self.voice;
        if let Ok(prefix) = chat.encode_common(messages, tokenizer) {
            // Where memory is too small for it, the prefix cache does what it can.
            let _ = self.engine.pin(&prefix);
        }
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.engine.stats())
    }

    fn n_tokens_max(&self, template: &AnswerTemplate) -> Result<usize, Refusal> {
        template.n_tokens_max(&self.voice.tokenizer).map_err(refusal)
    }
}

/// The text before the first stop string.
fn text_before(stops: &StopStrings, tokens: &[TokenId], tokenizer: &Tokenizer) -> String {
    let bytes: Vec<u8> = tokens.iter().flat_map(|&id| tokenizer.bytes(id)).copied().collect();
    let kept = stops.cut(&bytes);
    let spaceless = kept.strip_prefix(b" ").filter(|_| tokenizer.strips_space());
    whole_characters(spaceless.unwrap_or(kept))
}

/// The whole text and the text of each segment.
fn read_template(
    script: Arc<Script>,
    tokens: &[TokenId],
    finish: FinishReason,
    tokenizer: &Tokenizer,
) -> (String, Vec<String>) {
    let mut walk = Walk::new(script);
    let mut is_complete = false;
    for &token in tokens {
        is_complete = walk.take(token, tokenizer);
    }
    if !is_complete && finish == FinishReason::Stop {
        // EOS, which is no part of the completion, has ended the last free text.
        walk.close();
        is_complete = true;
    }
    let text = if is_complete { walk.text() } else { tokenizer.decode(tokens) };
    (text, walk.parts())
}

fn refusal(error: impl std::fmt::Display) -> Refusal {
    Refusal(error.to_string())
}
