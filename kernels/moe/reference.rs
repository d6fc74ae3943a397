//! The truth about `moe`: token by token, expert by expert, in f64 from logits to sum.

use crate::linear::reference::linear;
use crate::silu_mul::reference::silu_mul;

/// One expert's matrices in plain rows.
pub struct PlainExpert {
    /// `[2i, h]`.
    pub gate_up: Vec<f32>,
    /// `[h, i]`.
    pub down: Vec<f32>,
}

/// `x [t, h]`, `logits [t, e]` to `[t, h]`, where `e` is the number of experts.
pub fn moe(x: &[f32], logits: &[f32], h: usize, experts: &[PlainExpert], top_k: usize) -> Vec<f32> {
    let e = experts.len();
    let tokens = x.chunks_exact(h).zip(logits.chunks_exact(e));
    tokens.flat_map(|(x, logits)| token(x, logits, experts, top_k)).collect()
}

fn token(x: &[f32], logits: &[f32], experts: &[PlainExpert], top_k: usize) -> Vec<f32> {
    let mut order = (0..experts.len()).collect::<Vec<_>>();
    let by_logit = |a: usize, b: usize| logits[b].partial_cmp(&logits[a]).expect("no NaN logits");
    order.sort_by(|&a, &b| by_logit(a, b).then(a.cmp(&b)));
    let chosen = &order[..top_k];
    // Renormalised over the chosen, the softmax over all cancels down to one over the chosen.
    let exp = |i: usize| f64::from(logits[i] - logits[order[0]]).exp();
    let all: f64 = chosen.iter().map(|&i| exp(i)).sum();
    let mut sum = vec![0.0f64; x.len()];
    for &i in chosen {
        let expert = &experts[i];
        let hidden = silu_mul(&linear(x, &expert.gate_up, x.len()), expert.down.len() / x.len());
        let answer = linear(&hidden, &expert.down, hidden.len());
        for (sum, answer) in sum.iter_mut().zip(answer) {
            *sum += exp(i) / all * f64::from(answer);
        }
    }
    sum.into_iter().map(|value| value as f32).collect()
}
