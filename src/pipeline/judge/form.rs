//! The form of a judge's answer, and how long it can get.
//!
//! Rating first by default, so that a rationale cannot narrow its distribution. A label ends in a
//! space where one of a few choices follows, and without one before free text: either way the
//! model meets the tokens that it would have written itself.

use std::sync::Arc;

use super::{KIND_CHOICES, has_kinds, rating_choices};
use crate::llm::Refusal;
use crate::recipe::spec::{Aspect, Rationale};
use crate::text::guides::{AnswerTemplate, Segment};

/// Fewest tokens in which a rationale still says something.
const N_RATIONALE_TOKENS_MIN: usize = 8;

/// What a segment of the answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The rating.
    Rating,
    /// The reason of the rating.
    RatingReason,
    /// The kind of help or untruth.
    Kind,
    /// The reason of the kind.
    KindReason,
}

/// A template, and what its segments mean.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Form {
    /// What the model fills.
    pub(crate) template: Arc<AnswerTemplate>,
    /// `[segments]` the text's position and the slot; `None` where text is forced.
    pub(crate) slots: Vec<Option<(usize, Slot)>>,
    /// Most tokens of one rationale.
    pub(crate) n_rationale_tokens: usize,
    /// Tokens of the longest answer.
    pub(crate) n_tokens_max: usize,
}

/// Why there is no form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FormError {
    /// The answer cannot fit, however short its rationales are.
    TooLong {
        /// Tokens of the shortest bound.
        n_tokens_needed: usize,
        /// Tokens that there are.
        n_tokens_max: usize,
    },
    /// The model's vocabulary cannot write it.
    Unwritable(Refusal),
}

/// Counts the tokens of the longest answer that fills a template.
pub(crate) type Counter<'a> = &'a dyn Fn(&AnswerTemplate) -> Result<usize, Refusal>;

/// What decides a form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// What is rated.
    pub(crate) aspect: Aspect,
    /// Where reasons stand.
    pub(crate) rationale: Rationale,
    /// Most tokens of one rationale, if they fit.
    pub(crate) n_rationale_tokens: usize,
    /// Most tokens of the answer.
    pub(crate) n_tokens_max: usize,
}

impl Form {
    /// The form for `n_texts` texts. Rationales shrink until the longest answer fits.
    pub(crate) fn build(
        shape: Shape,
        n_texts: usize,
        n_tokens_max: Counter<'_>,
    ) -> Result<Self, FormError> {
        let lines = lines(shape.aspect, shape.rationale);
        let n_rationales = n_texts * lines.iter().filter(|slot| slot.is_free()).count();
        let shortest = Self::with_bound(shape.aspect, lines, n_texts, 1);
        let n_shortest = n_tokens_max(&shortest.template).map_err(FormError::Unwritable)?;
        // A rationale costs its bound, whatever stands around it.
        let n_fixed = n_shortest - n_rationales;
        let least = N_RATIONALE_TOKENS_MIN.min(shape.n_rationale_tokens);
        let n_tokens_needed = n_fixed + n_rationales * least;
        if n_tokens_needed > shape.n_tokens_max {
            let n_tokens_max = shape.n_tokens_max;
            return Err(FormError::TooLong { n_tokens_needed, n_tokens_max });
        }
        let room = shape.n_tokens_max - n_fixed;
        let bound = room.checked_div(n_rationales).unwrap_or(0).min(shape.n_rationale_tokens);
        let mut form = Self::with_bound(shape.aspect, lines, n_texts, bound);
        form.n_tokens_max = n_fixed + n_rationales * bound;
        Ok(form)
    }

    fn with_bound(aspect: Aspect, lines: &[Slot], n_texts: usize, n_rationale: usize) -> Self {
        let mut segments = Vec::new();
        let mut slots = Vec::new();
        // Free text brings the line break that ends it; a choice does not.
        let mut lead = String::new();
        for position in 0..n_texts {
            let gap = if position == 0 { "" } else { "\n" };
            let mut forced = format!("{lead}{gap}Answer {}\n", position + 1);
            for slot in lines {
                forced.push_str(slot.label());
                segments.push(Segment::Forced(std::mem::take(&mut forced)));
                slots.push(None);
                segments.push(slot.segment(aspect, n_rationale));
                slots.push(Some((position, *slot)));
                if !slot.is_free() {
                    forced.push('\n');
                }
            }
            lead = forced;
        }
        Self {
            template: Arc::new(AnswerTemplate { segments }),
            slots,
            n_rationale_tokens: n_rationale,
            n_tokens_max: 0,
        }
    }
}

impl Slot {
    fn label(self) -> &'static str {
        match self {
            Self::Rating => "Rating: ",
            Self::RatingReason => "Reason for the rating:",
            Self::Kind => "Kind: ",
            Self::KindReason => "Reason for the kind:",
        }
    }

    fn is_free(self) -> bool {
        match self {
            Self::Rating | Self::Kind => false,
            Self::RatingReason | Self::KindReason => true,
        }
    }

    fn segment(self, aspect: Aspect, n_tokens_max: usize) -> Segment {
        let choice =
            |words: &[&str]| Segment::Choice(words.iter().map(|word| (*word).to_owned()).collect());
        match self {
            Self::Rating => choice(rating_choices(aspect)),
            Self::Kind => choice(&KIND_CHOICES),
            Self::RatingReason | Self::KindReason => {
                Segment::Free { n_tokens_max, until: "\n".to_owned() }
            }
        }
    }
}

/// The lines about one text, in order.
fn lines(aspect: Aspect, rationale: Rationale) -> &'static [Slot] {
    use Slot::{Kind, KindReason, Rating, RatingReason};
    match (has_kinds(aspect), rationale) {
        (false, Rationale::After) => &[Rating, RatingReason],
        (false, Rationale::Before) => &[RatingReason, Rating],
        (false, Rationale::None) => &[Rating],
        (true, Rationale::After) => &[Rating, RatingReason, Kind, KindReason],
        (true, Rationale::Before) => &[KindReason, Kind, RatingReason, Rating],
        (true, Rationale::None) => &[Rating, Kind],
    }
}

/// Labels of a form's lines, as the prompt announces them.
pub(super) fn labels(
    aspect: Aspect,
    rationale: Rationale,
) -> impl Iterator<Item = (Slot, &'static str)> {
    lines(aspect, rationale).iter().map(|slot| (*slot, slot.label().trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(aspect: Aspect, rationale: Rationale, n_tokens_max: usize) -> Result<Form, FormError> {
        let shape = Shape { aspect, rationale, n_rationale_tokens: 64, n_tokens_max };
        Form::build(shape, 2, &|template| Ok(n_words_max(template)))
    }

    fn n_words_max(template: &AnswerTemplate) -> usize {
        let longest = |segment: &Segment| match segment {
            Segment::Forced(text) => text.split_whitespace().count(),
            Segment::Choice(_) => 1,
            Segment::Free { n_tokens_max, .. } => n_tokens_max + 1,
        };
        template.segments.iter().map(longest).sum()
    }

    fn longest_text(form: &Form) -> String {
        let longest = |segment: &Segment| match segment {
            Segment::Forced(text) => text.clone(),
            Segment::Choice(words) => words[0].clone(),
            Segment::Free { until, .. } => format!(" because{until}"),
        };
        form.template.segments.iter().map(longest).collect()
    }

    #[test]
    fn an_answer_reads_as_the_prompt_announces_it() {
        let after = build(Aspect::OverallRating, Rationale::After, 1024).unwrap();
        let text = "Answer 1\nRating: 1\nReason for the rating: because\n\n\
                    Answer 2\nRating: 1\nReason for the rating: because\n";
        assert_eq!(longest_text(&after), text);
        let before = build(Aspect::OverallRating, Rationale::Before, 1024).unwrap();
        let text = "Answer 1\nReason for the rating: because\nRating: 1\n\n\
                    Answer 2\nReason for the rating: because\nRating: 1";
        assert_eq!(longest_text(&before), text);
    }

    #[test]
    fn the_rating_comes_first_unless_asked_otherwise() {
        let slots = |aspect, rationale| -> Vec<_> {
            build(aspect, rationale, 1024).unwrap().slots.into_iter().flatten().collect()
        };
        assert_eq!(
            slots(Aspect::OverallRating, Rationale::None),
            [(0, Slot::Rating), (1, Slot::Rating)]
        );
        assert_eq!(slots(Aspect::Honesty, Rationale::After)[1], (0, Slot::RatingReason));
        assert_eq!(slots(Aspect::Honesty, Rationale::Before)[1], (0, Slot::Rating));
        assert_eq!(slots(Aspect::Truthfulness, Rationale::After).len(), 8);
    }

    #[test]
    fn only_honesty_may_be_not_applicable() {
        for (aspect, n_choices) in [(Aspect::OverallRating, 5), (Aspect::Honesty, 6)] {
            let form = build(aspect, Rationale::None, 100).unwrap();
            let Segment::Choice(words) = &form.template.segments[1] else { panic!("a choice") };
            assert_eq!(words.len(), n_choices);
        }
    }

    #[test]
    fn rationales_shrink_until_the_answer_fits() {
        let roomy = build(Aspect::OverallRating, Rationale::After, 1024).unwrap();
        assert_eq!(roomy.n_rationale_tokens, 64);
        let tight = build(Aspect::OverallRating, Rationale::After, 70).unwrap();
        assert!((8..64).contains(&tight.n_rationale_tokens), "{}", tight.n_rationale_tokens);
        assert!(tight.n_tokens_max <= 70);
        let error = build(Aspect::OverallRating, Rationale::After, 25).unwrap_err();
        let FormError::TooLong { n_tokens_needed, n_tokens_max: 25 } = error else {
            panic!("{error:?}")
        };
        let just = build(Aspect::OverallRating, Rationale::After, n_tokens_needed).unwrap();
        assert_eq!((just.n_rationale_tokens, just.n_tokens_max), (8, n_tokens_needed));
        assert!(build(Aspect::OverallRating, Rationale::None, 25).is_ok());
    }
}
