//! An answer template in the tokens of one vocabulary, and the walk of one answer through it.
//!
//! Texts are tokenised as they would read: an alternative together with the forced text before
//! it, so that `Rating: ` and `N/A` become ` N` `/A` where the vocabulary prefers that, and a
//! space before a free text is left to the model, whose words bring their own. A free text ends
//! with its mark or at its limit, where the mark is forced; either way the whole text holds the
//! mark once, and no free text holds it.

use std::sync::Arc;

use super::end_mark::{EndMark, State};
use super::{AnswerTemplate, Segment};
use crate::text::tokenizer::{EncodeError, TokenId, Tokenizer};

/// A template in tokens.
#[derive(Debug)]
pub struct Script {
    template: AnswerTemplate,
    /// From the start to the first free text.
    opening: Vec<Step>,
    frees: Vec<Free>,
    /// The marks of the free texts, each kind once.
    marks: Vec<EndMark>,
}

/// One stretch that is not free.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Tokens put there.
    Forced(Vec<TokenId>),
    /// One of these.
    Choice(Vec<Vec<TokenId>>),
}

/// A free text and what follows it.
#[derive(Debug)]
struct Free {
    n_tokens_max: usize,
    /// Index of its end mark.
    mark: usize,
    /// Whether the space that the text before it ends with was left to the model.
    owns_space: bool,
    /// Up to the next free text, when the mark was written.
    after_mark: Vec<Step>,
    /// The same, led in by the mark, when the limit came first.
    after_limit: Vec<Step>,
}

/// Why a template cannot be used with a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// There is no segment.
    #[error("the answer template is empty")]
    Empty,
    /// A free text has no mark or no room.
    #[error("a free text needs a mark that ends it and room for at least one token")]
    Endless,
    /// A choice point without alternatives, or whose alternatives cannot be told apart.
    #[error("the alternatives {0:?} cannot be told apart token by token")]
    Alternatives(Vec<String>),
    /// The vocabulary cannot spell a text.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What a walk wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum Want<'a> {
    /// Exactly these tokens.
    Forced(&'a [TokenId]),
    /// One of these alternatives.
    Choice(&'a [Vec<TokenId>]),
    /// A token of set `set` of end mark `mark`: see [`Script::marks`].
    Among {
        /// Which end mark.
        mark: usize,
        /// Which of its sets.
        set: usize,
    },
    /// Nothing: the answer is complete.
    Nothing,
}

/// One answer on its way through a script.
#[derive(Debug, Clone)]
pub struct Walk {
    script: Arc<Script>,
    at: Place,
    /// Alternatives taken so far.
    taken: Vec<usize>,
    /// Free texts finished so far.
    written: Vec<String>,
}

/// Where a walk stands.
#[derive(Debug, Clone)]
enum Place {
    /// Before or within a step.
    Step { stretch: Stretch, step: usize, tokens: Vec<TokenId> },
    /// Within a free text.
    Free { free: usize, n_tokens: usize, state: State, bytes: Vec<u8> },
    /// Behind the last segment.
    End,
}

/// A list of steps of a script.
#[derive(Debug, Clone, Copy)]
enum Stretch {
    Opening,
    AfterMark(usize),
    AfterLimit(usize),
}

impl Script {
    /// Tokenises a template. `closing` tokens (EOS) may end a free text that is the last segment.
    ///
    /// # Errors
    /// When the template is malformed or its alternatives cannot be told apart in this
    /// vocabulary.
    pub fn new(
        template: &AnswerTemplate,
        tokenizer: &Tokenizer,
        closing: &[TokenId],
    ) -> Result<Self, ScriptError> {
        if template.segments.is_empty() {
            return Err(ScriptError::Empty);
        }
        let mut stretches = template.segments.split(|s| matches!(s, Segment::Free { .. }));
        let frees = template.segments.iter().filter_map(|segment| match segment {
            Segment::Free { n_tokens_max, until } => Some((*n_tokens_max, until.as_str())),
            Segment::Forced(_) | Segment::Choice(_) => None,
        });
        let n_frees = frees.clone().count();
        let first = stretches.next().unwrap_or_default();
        let (opening, mut owns_space) = steps(Lead::Start, first, n_frees > 0, tokenizer)?;
        let (frees_done, marks) = (Vec::with_capacity(n_frees), Vec::new());
        let mut script = Self { template: template.clone(), opening, frees: frees_done, marks };
        let mut kinds: Vec<(&str, bool)> = Vec::new();
        for (i, ((n_tokens_max, until), stretch)) in frees.zip(stretches).enumerate() {
            if n_tokens_max == 0 || until.is_empty() {
                return Err(ScriptError::Endless);
            }
            let is_last = i + 1 == n_frees;
            let ends_here = is_last && stretch.is_empty();
            let kind = (until, ends_here);
            let mark = kinds.iter().position(|known| *known == kind).unwrap_or(kinds.len());
            if mark == kinds.len() {
                kinds.push(kind);
                let closing = if ends_here { closing } else { &[] };
                script.marks.push(EndMark::new(until, closing));
            }
            let (after_mark, next_owns_space) =
                steps(Lead::Text(""), stretch, !is_last, tokenizer)?;
            let after_limit = if ends_here {
                Vec::new()
            } else {
                steps(Lead::Text(until), stretch, !is_last, tokenizer)?.0
            };
            script.frees.push(Free { n_tokens_max, mark, owns_space, after_mark, after_limit });
            owns_space = next_owns_space;
        }
        Ok(script)
    }

    /// Most tokens that an answer of this form takes.
    pub fn n_tokens_max(&self) -> usize {
        let after = |free: &Free| {
            free.n_tokens_max + n_tokens(&free.after_mark).max(n_tokens(&free.after_limit))
        };
        n_tokens(&self.opening) + self.frees.iter().map(after).sum::<usize>()
    }

    /// The end marks of the free texts, each kind once.
    pub fn marks(&self) -> &[EndMark] {
        &self.marks
    }

    fn steps(&self, stretch: Stretch) -> &[Step] {
        match stretch {
            Stretch::Opening => &self.opening,
            Stretch::AfterMark(free) => &self.frees[free].after_mark,
            Stretch::AfterLimit(free) => &self.frees[free].after_limit,
        }
    }
}

impl Walk {
    /// Before the first token.
    pub fn new(script: Arc<Script>) -> Self {
        let at = Place::Step { stretch: Stretch::Opening, step: 0, tokens: Vec::new() };
        let mut walk = Self { script, at, taken: Vec::new(), written: Vec::new() };
        walk.settle();
        walk
    }

    /// What comes next. Within a forced text or an alternative, what is left of it.
    pub fn want(&self) -> Want<'_> {
        match &self.at {
            Place::End => Want::Nothing,
            Place::Free { free, state, .. } => {
                let mark = self.script.frees[*free].mark;
                Want::Among { mark, set: self.script.marks[mark].set_index(*state) }
            }
            Place::Step { stretch, step, tokens } => match &self.script.steps(*stretch)[*step] {
                Step::Forced(forced) => Want::Forced(&forced[tokens.len()..]),
                Step::Choice(alternatives) if tokens.is_empty() => Want::Choice(alternatives),
                Step::Choice(alternatives) => {
                    let taken = alternatives.iter().find(|a| a.starts_with(tokens));
                    Want::Forced(taken.map_or(&[], |a| &a[tokens.len()..]))
                }
            },
        }
    }

    /// Goes on by one token, which must be one that was wanted; says whether the answer is
    /// complete.
    pub fn take(&mut self, token: TokenId, tokenizer: &Tokenizer) -> bool {
        match &mut self.at {
            Place::End => {}
            Place::Step { tokens, .. } => tokens.push(token),
            Place::Free { free, n_tokens, state, bytes } => {
                let Free { n_tokens_max, mark, .. } = self.script.frees[*free];
                let piece = tokenizer.bytes(token);
                bytes.extend_from_slice(piece);
                *n_tokens += 1;
                let next = self.script.marks[mark].advance(*state, piece);
                let stretch = match next {
                    None => Stretch::AfterMark(*free),
                    Some(_) if *n_tokens == n_tokens_max => Stretch::AfterLimit(*free),
                    Some(next) => {
                        *state = next;
                        return false;
                    }
                };
                self.end_free();
                self.at = Place::Step { stretch, step: 0, tokens: Vec::new() };
            }
        }
        self.settle();
        matches!(self.at, Place::End)
    }

    /// Ends the answer where EOS was taken: complete, if that was in its last free text.
    pub fn close(&mut self) {
        if let Place::Free { free, .. } = self.at
            && free + 1 == self.script.frees.len()
            && self.script.frees[free].after_mark.is_empty()
        {
            self.end_free();
            self.at = Place::End;
        }
    }

    /// The text of each segment that is complete, in order.
    pub fn parts(&self) -> Vec<String> {
        let (mut taken, mut written) = (self.taken.iter(), self.written.iter());
        let segments = self.script.template.segments.iter().take(self.n_complete());
        let part = |segment: &Segment| match segment {
            Segment::Forced(text) => Some(text.clone()),
            Segment::Choice(texts) => taken.next().map(|&i| texts[i].clone()),
            Segment::Free { .. } => written.next().cloned(),
        };
        segments.map_while(part).collect()
    }

    /// The text of the segments that are complete and the marks between them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (segment, part) in self.script.template.segments.iter().zip(self.parts()) {
            text.push_str(&part);
            if let Segment::Free { until, .. } = segment {
                text.push_str(until);
            }
        }
        text
    }

    /// Segments that are complete.
    fn n_complete(&self) -> usize {
        let segments = &self.script.template.segments;
        let mut open = segments.iter().enumerate().filter_map(|(i, segment)| match segment {
            Segment::Forced(_) => None,
            Segment::Choice(_) | Segment::Free { .. } => Some(i),
        });
        let n_passed = self.taken.len() + self.written.len();
        match self.at {
            Place::End => segments.len(),
            Place::Free { .. } => open.nth(n_passed).unwrap_or(segments.len()),
            // Forced text may be under way behind the last choice or free text.
            Place::Step { .. } => {
                n_passed.checked_sub(1).and_then(|n| open.nth(n)).map_or(0, |i| i + 1)
            }
        }
    }

    /// Keeps the text of the free segment that ends here.
    fn end_free(&mut self) {
        if let Place::Free { free, bytes, .. } = &self.at {
            let free = &self.script.frees[*free];
            let text = self.script.marks[free.mark].text_before(bytes);
            let spaceless = text.strip_prefix(' ').filter(|_| free.owns_space);
            self.written.push(spaceless.unwrap_or(&text).to_owned());
        }
    }

    /// Goes past steps that are done, to the next free text or the end.
    fn settle(&mut self) {
        while let Place::Step { stretch, step, tokens } = &mut self.at {
            match self.script.steps(*stretch).get(*step) {
                Some(Step::Forced(forced)) if tokens.len() < forced.len() => return,
                Some(Step::Choice(alternatives)) => {
                    match alternatives.iter().position(|a| a == tokens) {
                        Some(i) => self.taken.push(i),
                        None => return,
                    }
                }
                Some(Step::Forced(_)) => {}
                None => {
                    let free = match *stretch {
                        Stretch::Opening => 0,
                        Stretch::AfterMark(free) | Stretch::AfterLimit(free) => free + 1,
                    };
                    self.at = if free < self.script.frees.len() {
                        let (state, bytes) = (State::START, Vec::new());
                        Place::Free { free, n_tokens: 0, state, bytes }
                    } else {
                        Place::End
                    };
                    return;
                }
            }
            *step += 1;
            tokens.clear();
        }
    }
}

/// What stands before a stretch of steps.
#[derive(Debug, Clone, Copy)]
enum Lead<'a> {
    /// The prompt: the answer starts here, with the space before its first word that
    /// SentencePiece models write there and decoding takes away again.
    Start,
    /// An answer under way, of whose text this much has yet to be put there.
    Text(&'a str),
}

impl Lead<'_> {
    fn encode(self, text: &str, tokenizer: &Tokenizer) -> Result<Vec<TokenId>, EncodeError> {
        match self {
            Self::Start if tokenizer.strips_space() => tokenizer.encode(text),
            Self::Start | Self::Text(_) => tokenizer.encode_after(text),
        }
    }
}

/// The steps of a stretch between two free texts; and whether the space that it ends with was
/// left to the free text that follows.
fn steps(
    mut lead: Lead<'_>,
    segments: &[Segment],
    is_before_free: bool,
    tokenizer: &Tokenizer,
) -> Result<(Vec<Step>, bool), ScriptError> {
    let mut steps = Vec::new();
    let mut text = match lead {
        Lead::Start => String::new(),
        Lead::Text(text) => text.to_owned(),
    };
    for segment in segments {
        match segment {
            Segment::Forced(forced) => text.push_str(forced),
            Segment::Choice(texts) => {
                let (forced, alternatives) = alternatives(lead, &text, texts, tokenizer)?;
                if !forced.is_empty() {
                    steps.push(Step::Forced(forced));
                }
                steps.push(Step::Choice(alternatives));
                lead = Lead::Text("");
                text.clear();
            }
            Segment::Free { .. } => unreachable!("a stretch lies between free texts"),
        }
    }
    let is_start = matches!(lead, Lead::Start);
    if text.is_empty() {
        return Ok((steps, is_start && tokenizer.strips_space()));
    }
    let n_lead = if let Lead::Text(text) = lead { text.len() } else { 0 };
    let spaceless = text.strip_suffix(' ').filter(|rest| is_before_free && rest.len() >= n_lead);
    let owns_space = spaceless.is_some();
    let spaceless = spaceless.unwrap_or(&text);
    if !spaceless.is_empty() {
        steps.push(Step::Forced(lead.encode(spaceless, tokenizer)?));
    }
    Ok((steps, owns_space))
}

/// The tokens that all alternatives behind `text` begin with, and the rest of each.
fn alternatives(
    lead: Lead<'_>,
    text: &str,
    texts: &[String],
    tokenizer: &Tokenizer,
) -> Result<(Vec<TokenId>, Vec<Vec<TokenId>>), ScriptError> {
    let alike = || ScriptError::Alternatives(texts.to_vec());
    let whole = texts
        .iter()
        .map(|alternative| lead.encode(&format!("{text}{alternative}"), tokenizer))
        .collect::<Result<Vec<_>, _>>()?;
    let first = whole.first().ok_or_else(alike)?;
    let agree = |n: &usize| whole.iter().all(|ids| ids.get(*n).is_some_and(|id| *id == first[*n]));
    let n_common = (0..first.len()).take_while(agree).count();
    // A lone alternative keeps its last token, so that it is scored like any other.
    let n_common = if whole.len() == 1 { n_common.saturating_sub(1) } else { n_common };
    let forced = first[..n_common].to_vec();
    let rests: Vec<Vec<TokenId>> = whole.iter().map(|ids| ids[n_common..].to_vec()).collect();
    let clashes = rests.iter().enumerate().any(|(i, a)| {
        a.is_empty() || rests.iter().enumerate().any(|(j, b)| i != j && b.starts_with(a))
    });
    if clashes { Err(alike()) } else { Ok((forced, rests)) }
}

fn n_tokens(steps: &[Step]) -> usize {
    let longest = |step: &Step| match step {
        Step::Forced(tokens) => tokens.len(),
        Step::Choice(alternatives) => alternatives.iter().map(Vec::len).max().unwrap_or(0),
    };
    steps.iter().map(longest).sum()
}
