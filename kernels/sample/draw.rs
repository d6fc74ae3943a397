//! From logits to weights, and one draw from them.
//!
//! A weight is an unnormalised probability; the likeliest token weighs 1.

use super::cpu::{self, CHUNK};

/// Turns logits into weights `exp((logit - top) / temperature)`.
pub(super) fn weigh(logits: &mut [f32], top: f32, temperature: f32) {
    // The likeliest token has a difference of 0, which must stay 0 at any temperature.
    cpu::weigh(logits, top, temperature.recip().min(f32::MAX));
}

/// Drops the weights below `min_p` times the largest, which is 1.
pub(super) fn min_p(weights: &mut [f32], min_p: f32) {
    if min_p > 0.0 {
        weights.iter_mut().filter(|weight| **weight < min_p).for_each(|weight| *weight = 0.0);
    }
}

/// The index whose share of the weights holds `u`, a number in `0.0..1.0`; one weight at least is
/// above 0. `sums` is memory to work in.
pub(super) fn index(weights: &[f32], u: f64, sums: &mut Vec<f64>) -> usize {
    cpu::chunk_sums(weights, sums);
    let target = u * sums.iter().sum::<f64>();
    let mut passed = 0.0;
    // Rounding may leave the target at the very end: then it is in the last chunk that weighs.
    let mut found = 0;
    for (chunk_idx, &sum) in sums.iter().enumerate() {
        if sum > 0.0 {
            found = chunk_idx;
            if passed + sum > target {
                break;
            }
            passed += sum;
        }
    }
    let start = found * CHUNK;
    let mut last = start;
    for (index, &weight) in weights[start..].iter().take(CHUNK).enumerate() {
        if weight > 0.0 {
            last = start + index;
            passed += f64::from(weight);
            if passed > target {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_lands_on_its_share() {
        let mut weights = vec![0.0; 3000];
        (weights[7], weights[1500], weights[2999]) = (1.0, 0.5, 0.5);
        let at = |u| index(&weights, u, &mut Vec::new());
        assert_eq!([at(0.0), at(0.49), at(0.51), at(0.74), at(0.76)], [7, 7, 1500, 1500, 2999]);
        assert_eq!(at(1.0), 2999, "rounding up falls on the last weight");
    }
}
