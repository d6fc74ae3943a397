//! The judge: a prompt, a form that its answer must fill, and a reader of the filled form.
//!
//! It must not know models, rows or files other than a rubric's. The answer's form is fixed
//! beforehand (forced text, choice points, bounded free text), so no answer can be unreadable and
//! the longest one is known before it starts. What counts is the distribution at a choice point,
//! not only the digit that was taken.

mod form;
mod orders;
mod prompt;
mod reader;

pub(crate) use form::{Counter, Form, FormError, Shape};
pub(crate) use orders::orders;
pub(crate) use prompt::Prompt;
pub(crate) use reader::{Reading, Taking, TextReading, flips, read};

use crate::recipe::spec::Aspect;

/// What may stand at a rating's choice point.
pub(crate) fn rating_choices(aspect: Aspect) -> &'static [&'static str] {
    match aspect {
        Aspect::Honesty => &["1", "2", "3", "4", "5", "N/A"],
        Aspect::OverallRating
        | Aspect::Helpfulness
        | Aspect::InstructionFollowing
        | Aspect::Truthfulness => &["1", "2", "3", "4", "5"],
    }
}

/// What may stand at a kind's choice point, for the aspects that ask for one.
pub(crate) const KIND_CHOICES: [&str; 4] = ["1", "2", "3", "None"];

/// Whether an aspect asks for a kind (of help, of untruth) beside the rating.
pub(crate) fn has_kinds(aspect: Aspect) -> bool {
    match aspect {
        Aspect::Helpfulness | Aspect::Truthfulness => true,
        Aspect::OverallRating | Aspect::Honesty | Aspect::InstructionFollowing => false,
    }
}
