//! Lessons: conversations in the pipeline's own prompts, and which of their tokens are to be learned.
//!
//! A lesson is a function of its seed and number. The judge's answer is walked through its form as
//! the engine walks it, so that forced text is cut into the tokens that it will meet.

use std::sync::Arc;

use serde_json::json;
use stillroom::data::row::Columns;
use stillroom::pipeline::{Asked, questions};
use stillroom::recipe::Recipe;
use stillroom::recipe::spec::{Rationale, Step};
use stillroom::text::chat::{Chat, Message};
use stillroom::text::guides::script::{Script, Walk, Want};
use stillroom::text::tokenizer::{TokenId, Tokenizer};
use stillroom_models::demo::answer::{Answer, Kind};
use stillroom_models::demo::dice::Dice;
use stillroom_models::demo::exercise::{Exercise, Share};
use stillroom_models::demo::topic::Topic;
use stillroom_models::demo::verdict::verdict;

use super::{Result, words};

/// Most exercises in one answer of SelfInstruct.
const N_EXERCISES_MAX: u64 = 20;

/// Longer than any reason, even byte by byte.
const N_REASON_TOKENS_MAX: usize = 1024;

/// A conversation in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// Prompt and answer.
    pub(crate) tokens: Vec<TokenId>,
    /// Which tokens the model must find by itself.
    pub(crate) is_learned: Vec<bool>,
}

/// What a lesson teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// To answer an exercise.
    Answer,
    /// To write exercises on a topic.
    Write,
    /// To judge answers, the reason first.
    Judge,
    /// To judge answers, the rating first.
    JudgeFirst,
}

/// Writes lessons in the prompts of one recipe.
pub(crate) struct Teacher {
    instruct: Step,
    judge: Step,
    judge_first: Step,
    chat: Chat,
    tokenizer: Arc<Tokenizer>,
}

impl Teacher {
    /// Takes the steps `instruct` and `judge` of a recipe.
    pub(crate) fn new(recipe: &Recipe, tokenizer: Tokenizer) -> Result<Self> {
        let instruct = step(recipe, "instruct")?;
        let judge = judge_step(recipe, Rationale::Before)?;
        let judge_first = judge_step(recipe, Rationale::After)?;
        let tokenizer = Arc::new(tokenizer);
        Ok(Self { instruct, judge, judge_first, chat: words::chat(), tokenizer })
    }

    /// A lesson in this subject, drawn from one share of the exercises.
    pub(crate) fn lesson(&self, subject: Subject, share: Share, dice: &mut Dice) -> Result<Lesson> {
        match subject {
            Subject::Answer => self.answer(share, dice),
            Subject::Write => self.write(share, dice),
            Subject::Judge => self.judge(&self.judge, share, dice),
            Subject::JudgeFirst => self.judge(&self.judge_first, share, dice),
        }
    }

    fn answer(&self, share: Share, dice: &mut Dice) -> Result<Lesson> {
        let exercise = Exercise::draw(dice, share);
        let prompt = [Message::user(exercise.text(dice))];
        self.free(&prompt, &Answer::right(&exercise).text())
    }

    fn write(&self, share: Share, dice: &mut Dice) -> Result<Lesson> {
        let topic = *dice.pick(&Topic::ALL);
        let n = if dice.chance(50) { N_EXERCISES_MAX } else { 1 + dice.bits() % N_EXERCISES_MAX };
        let n = usize::try_from(n).expect("a small number");
        let lines: Vec<String> =
            (0..n).map(|_| Exercise::of_topic(topic, dice, share).text(dice)).collect();
        let mut step = self.instruct.clone();
        if let Step::SelfInstruct(spec) = &mut step {
            spec.num_instructions = n;
        }
        let asked = self.ask(&step, &[("input", json!(topic.name()))])?;
        self.free(&asked.messages, &lines.join("\n"))
    }

    fn judge(&self, step: &Step, share: Share, dice: &mut Dice) -> Result<Lesson> {
        let exercise = Exercise::draw(dice, share);
        let n_answers = if dice.chance(90) { 2 } else { 1 + dice.below(4) };
        let answers: Vec<Answer> =
            (0..n_answers).map(|_| Answer::of_kind(&exercise, kind(dice), dice)).collect();
        let texts: Vec<String> = answers.iter().map(Answer::text).collect();
        let row = [("instruction", json!(exercise.text(dice))), ("generations", json!(texts))];
        let asked = self.ask(step, &row)?;
        let verdicts = answers.iter().enumerate().map(|(i, a)| verdict(&exercise, a, i)).collect();
        self.formed(&asked, verdicts)
    }

    fn ask(&self, step: &Step, row: &[(&str, serde_json::Value)]) -> Result<Asked> {
        let row: Columns =
            row.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Ok(questions(step, &row, &self.tokenizer)?.swap_remove(0))
    }

    /// A conversation whose answer is written freely.
    fn free(&self, prompt: &[Message], answer: &str) -> Result<Lesson> {
        let mut lesson = self.open(prompt)?;
        let mut ids = self.tokenizer.encode_after(answer)?;
        ids.push(words::END);
        ids.into_iter().for_each(|id| lesson.push(id, true));
        Ok(lesson)
    }

    /// A conversation whose answer fills a form.
    fn formed(
        &self,
        asked: &Asked,
        verdicts: Vec<stillroom_models::demo::verdict::Verdict>,
    ) -> Result<Lesson> {
        let mut lesson = self.open(&asked.messages)?;
        let template = asked.template.as_ref().expect("a judge's answer has a form");
        let script = Script::new(template, &self.tokenizer, &[words::END]);
        let mut walk = Walk::new(Arc::new(script?));
        let (mut ratings, mut reasons) = (verdicts.iter(), verdicts.iter());
        loop {
            let (ids, is_learned) = match walk.want() {
                Want::Nothing => return Ok(lesson),
                Want::Forced(ids) => (ids.to_vec(), false),
                Want::Choice(alternatives) => {
                    let verdict = ratings.next().expect("a rating for each answer");
                    (alternatives[usize::from(verdict.rating) - 1].clone(), true)
                }
                Want::Among { .. } => {
                    let verdict = reasons.next().expect("a reason for each answer");
                    let text = format!(" {}\n", verdict.reason);
                    (self.tokenizer.encode_after(&text)?, true)
                }
            };
            for id in ids {
                lesson.push(id, is_learned);
                walk.take(id, &self.tokenizer);
            }
        }
    }

    fn open(&self, prompt: &[Message]) -> Result<Lesson> {
        let tokens = self.chat.encode(prompt, &self.tokenizer)?;
        Ok(Lesson { is_learned: vec![false; tokens.len()], tokens })
    }

    /// The texts of a lesson, cut where no token reaches across: at control tokens, and where
    /// forced text meets the model's own.
    pub(crate) fn texts(&self, lesson: &Lesson) -> Vec<String> {
        let pairs: Vec<(TokenId, bool)> =
            lesson.tokens.iter().copied().zip(lesson.is_learned.iter().copied()).collect();
        let stretches = pairs.chunk_by(|a, b| a.1 == b.1);
        let texts = stretches.flat_map(|pairs| {
            let ids: Vec<TokenId> = pairs.iter().map(|(id, _)| *id).collect();
            let parts = ids.split(|id| self.tokenizer.is_special(*id));
            parts.map(|ids| self.tokenizer.decode(ids)).collect::<Vec<_>>()
        });
        texts.filter(|text| !text.is_empty()).collect()
    }
}

impl Lesson {
    fn push(&mut self, id: TokenId, is_learned: bool) {
        self.tokens.push(id);
        self.is_learned.push(is_learned);
    }
}

/// Half of the answers are right, as those of two middling models are.
fn kind(dice: &mut Dice) -> Kind {
    match dice.below(100) {
        0..45 => Kind::Right,
        45..50 => Kind::BareRight,
        50..75 => Kind::Slip,
        75..86 => Kind::OtherOperation,
        86..91 => Kind::StopsEarly,
        91..96 => Kind::Miscopied,
        _ => Kind::BareWrong,
    }
}

/// The judge's step with room for any reason: limits are no part of the prompt.
fn judge_step(recipe: &Recipe, rationale: Rationale) -> Result<Step> {
    let mut step = step(recipe, "judge")?;
    if let Step::UltraFeedback(spec) = &mut step {
        spec.rationale = rationale;
        spec.max_rationale_tokens = N_REASON_TOKENS_MAX;
        spec.generation.max_new_tokens = 8 * N_REASON_TOKENS_MAX;
    }
    Ok(step)
}

fn step(recipe: &Recipe, name: &str) -> Result<Step> {
    let found = recipe.steps.iter().find(|(known, _)| known == name);
    let step = found.map(|(_, step)| step.clone());
    step.ok_or_else(|| format!("the recipe has no step `{name}`, whose prompt is learned").into())
}
