//! `moe` on CPU: gather each expert's rows, one pass through the expert, weighted sum per token.
//!
//! The sum over a token's experts runs in the router's order, never in that of arrival, so that
//! with [`RowOrder::Fixed`](crate::linear::RowOrder) a token's bits do not depend on which others
//! chose the same experts. Experts follow one another; the threads share each product.

use super::Expert;
use super::route::{ByExpert, route};
use crate::host::HostF32;
use candle_core::{Result, Tensor};

pub(super) fn moe(x: &Tensor, logits: &Tensor, experts: &[Expert], top_k: usize) -> Result<Tensor> {
    let (t, h) = x.dims2()?;
    let routing = route(&HostF32::of(logits)?, experts.len(), top_k);
    let by_expert = ByExpert::sort(&routing, experts.len());
    let x_rows = HostF32::of(x)?;
    // [t, k, h]: what each token's experts said, best first.
    let mut said = vec![0.0; t * top_k * h];
    for (i, expert) in experts.iter().enumerate() {
        let places = by_expert.of(i);
        if places.is_empty() {
            continue;
        }
        let mut rows = Vec::with_capacity(places.len() * h);
        for place in places {
            rows.extend_from_slice(&x_rows[place / top_k * h..][..h]);
        }
        let rows = Tensor::from_vec(rows, (places.len(), h), x.device())?;
        let answers = expert.forward(&rows)?;
        let answers = HostF32::of(&answers)?;
        for (place, answer) in places.iter().zip(answers.chunks_exact(h)) {
            said[place * h..][..h].copy_from_slice(answer);
        }
    }
    let mut out = vec![0.0; t * h];
    let tokens = out.chunks_exact_mut(h).zip(said.chunks_exact(top_k * h));
    for ((out, said), weights) in tokens.zip(routing.weights.chunks_exact(top_k)) {
        for (said, weight) in said.chunks_exact(h).zip(weights) {
            for (out, said) in out.iter_mut().zip(said) {
                *out += weight * said;
            }
        }
    }
    Tensor::from_vec(out, (t, h), x.device())
}
