//! A guide made of segments in a row, as an answer template is.

use stillroom::engine::guide::{Guide, Next, Progress, TokenMask};

use crate::fake::{Dice, VOCAB_SIZE};

/// One stretch of a script.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    /// These tokens, not sampled.
    Forced(Vec<u32>),
    /// One of these.
    Choice(Vec<Vec<u32>>),
    /// So many tokens out of a mask, or out of all.
    Drawn { n_tokens: usize, mask: Option<TokenMask> },
}

/// Segments that are still to come; the end of the last one ends the sequence.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    segments: std::collections::VecDeque<Segment>,
    /// Tokens taken of the first segment.
    taken: Vec<u32>,
    /// Asked since the last token: an engine that asks twice is found out.
    is_asked: bool,
}

impl Script {
    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        Self { segments: segments.into(), taken: Vec::new(), is_asked: false }
    }

    pub(crate) fn seeded(dice: &mut Dice) -> Self {
        let n = dice.pick(1..6);
        Self::new((0..n).map(|_| segment(dice)).collect())
    }
}

fn segment(dice: &mut Dice) -> Segment {
    match dice.pick(0..4) {
        0 => {
            let n = dice.pick(1..50);
            Segment::Forced(dice.tokens(n))
        }
        1 => {
            let mask = dice.one_in(2).then(|| {
                let mut mask = TokenMask::empty(VOCAB_SIZE);
                let n = dice.pick(1..5);
                dice.tokens(n).into_iter().for_each(|token| mask.allow(token));
                mask
            });
            Segment::Drawn { n_tokens: dice.pick(1..40), mask }
        }
        _ => {
            let start_len = dice.pick(0..4);
            let start = dice.tokens(start_len);
            let n = dice.pick(1..6) as u32;
            // A common start, then a token of its own, then more: none begins with another.
            let alternative = |first: u32| {
                let rest_len = dice.pick(0..5);
                [start.clone(), vec![first], dice.tokens(rest_len)].concat()
            };
            Segment::Choice((0..n).map(alternative).collect())
        }
    }
}

impl Guide for Script {
    fn next(&mut self) -> Next<'_> {
        assert!(!std::mem::replace(&mut self.is_asked, true), "asked twice for one place");
        match self.segments.front().expect("a script that is not at its end") {
            Segment::Forced(tokens) => Next::Forced(tokens),
            Segment::Choice(alternatives) => Next::Choice(alternatives),
            Segment::Drawn { mask: Some(mask), .. } => Next::Masked(mask),
            Segment::Drawn { mask: None, .. } => Next::Free,
        }
    }

    fn take(&mut self, token: u32) -> Progress {
        self.is_asked = false;
        self.taken.push(token);
        let complete = match &self.segments[0] {
            Segment::Forced(tokens) => {
                assert!(tokens.starts_with(&self.taken), "took what was not forced");
                tokens.len() == self.taken.len()
            }
            Segment::Choice(alternatives) => {
                let mut left = alternatives.iter().filter(|a| a.starts_with(&self.taken));
                left.next().expect("one of the alternatives").len() == self.taken.len()
            }
            Segment::Drawn { n_tokens, mask } => {
                assert!(mask.as_ref().is_none_or(|mask| mask.allows(token)), "took a masked token");
                self.taken.len() == *n_tokens
            }
        };
        if complete {
            self.taken.clear();
            self.segments.pop_front();
        }
        if self.segments.is_empty() { Progress::Stop } else { Progress::Continue }
    }
}
