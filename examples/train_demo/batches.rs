//! Lessons side by side: sorted by length, padded to the longest, cut to a budget of tokens.

use candle_core::{Device, Result, Tensor};
use stillroom_models::demo::dice::Dice;

use super::lessons::Lesson;
use super::words;

/// Lessons of about one length.
pub(crate) struct Batch {
    /// `[b, t]` u32, padded behind.
    pub(crate) tokens: Tensor,
    /// `[n]` u32: flat positions whose next token is learned.
    pub(crate) rows: Tensor,
    /// `[n]` u32: those next tokens.
    pub(crate) targets: Tensor,
    /// Which lesson each of the `n` belongs to.
    pub(crate) lesson_of: Vec<usize>,
    /// Positions that are no padding.
    pub(crate) n_tokens: usize,
}

/// Cuts lessons into batches of `n_tokens_max` positions at most, in random order.
pub(crate) fn batches(
    mut lessons: Vec<Lesson>,
    n_tokens_max: usize,
    dice: &mut Dice,
    device: &Device,
) -> Result<Vec<Batch>> {
    lessons.sort_by_key(|lesson| lesson.tokens.len());
    let mut all = Vec::new();
    let mut rest = &lessons[..];
    while !rest.is_empty() {
        let fits = |n: &usize| n * (rest[n - 1].tokens.len() - 1) <= n_tokens_max;
        let n = (1..=rest.len()).take_while(fits).last().unwrap_or(1);
        let (now, later) = rest.split_at(n);
        all.push(batch(now, device)?);
        rest = later;
    }
    for i in (1..all.len()).rev() {
        all.swap(i, dice.below(i + 1));
    }
    Ok(all)
}

fn batch(lessons: &[Lesson], device: &Device) -> Result<Batch> {
    // The last token is only ever a target.
    let t = lessons.iter().map(|lesson| lesson.tokens.len() - 1).max().unwrap_or(0);
    let (mut tokens, mut rows, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lesson_of, mut n_tokens) = (Vec::new(), 0);
    for (i, lesson) in lessons.iter().enumerate() {
        let n = lesson.tokens.len() - 1;
        tokens.extend_from_slice(&lesson.tokens[..n]);
        tokens.resize((i + 1) * t, words::END);
        for at in 0..n {
            if lesson.is_learned[at + 1] {
                rows.push((i * t + at) as u32);
                targets.push(lesson.tokens[at + 1]);
                lesson_of.push(i);
            }
        }
        n_tokens += n;
    }
    let n = rows.len();
    Ok(Batch {
        tokens: Tensor::from_vec(tokens, (lessons.len(), t), device)?,
        rows: Tensor::from_vec(rows, n, device)?,
        targets: Tensor::from_vec(targets, n, device)?,
        lesson_of,
        n_tokens,
    })
}
