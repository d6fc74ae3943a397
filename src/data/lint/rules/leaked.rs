//! An answer that repeats the prompt: it was made by a model that completes, or was never cut.
//!
//! A short prompt may well turn up in a good answer, and a quoted sentence too; the whole question
//! at the start, or a long one anywhere, is no quotation.

use super::Seen;

/// Bytes of the shortest question that an answer may not begin with, and of the shortest that it
/// may not hold anywhere.
const N_BYTES_MIN: (usize, usize) = (16, 64);

pub(super) fn is_broken(seen: &Seen<'_>) -> bool {
    let question = (seen.tools.normalise)(seen.question());
    let (at_start, anywhere) = N_BYTES_MIN;
    question.len() >= at_start
        && seen.tidy.iter().any(|answer| {
            answer.starts_with(&*question)
                || (question.len() >= anywhere && answer.contains(&*question))
        })
}
