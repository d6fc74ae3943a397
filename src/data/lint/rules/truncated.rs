//! Two sides that are the same once the trainer has cut them at its longest length.
//!
//! Trainers keep the start: of a prompt that fills the length alone, no answer is left at all.
//! Counting tokens is dear, so it is done only for rows whose prompt and common beginning could
//! reach that far: a token takes at least a byte, and a template adds what [`MARGIN`] allows.

use super::Seen;

/// Tokens that a template may add: for a conversation, and for each turn.
const MARGIN: (usize, usize) = (128, 32);

pub(super) fn is_broken(seen: &Seen<'_>) -> bool {
    let (Some(cut), [chosen, rejected]) = (seen.tools.cut, seen.answers) else { return false };
    let prompt = &seen.sample.prompt;
    let n_prompt_bytes: usize = prompt.iter().map(|turn| turn.content.len()).sum();
    let n_same = chosen.bytes().zip(rejected.bytes()).take_while(|(a, b)| a == b).count();
    if n_prompt_bytes + n_same + MARGIN.0 + MARGIN.1 * prompt.len() < cut.max_len {
        return false;
    }
    let turns: Vec<_> = prompt.iter().map(|turn| (turn.role, turn.content)).collect();
    let Some(n_prompt) = (cut.prompt_len)(&turns) else { return false };
    let Some(n_left) = cut.max_len.checked_sub(n_prompt).filter(|n| *n > 0) else { return true };
    let (Some(chosen), Some(rejected)) = ((cut.ids)(chosen), (cut.ids)(rejected)) else {
        return false;
    };
    chosen.iter().take(n_left).eq(rejected.iter().take(n_left))
}
