//! A prompt or an answer that says nothing.

use super::Seen;
use crate::data::lint::sample::Turn;

pub(super) fn is_broken(seen: &Seen<'_>) -> bool {
    let is_blank = |turn: &Turn<'_>| turn.content.trim().is_empty();
    seen.sample.prompt.iter().all(is_blank)
        || seen.sample.answers().any(|answer| answer.last().is_none_or(is_blank))
}
