//! From logits to weights, and one draw from them.
//!
//! A weight is an unnormalised probability; the likeliest token weighs 1. Sums are f64, in the
//! order of the tokens.

/// Fills `weights` with `exp((logit - top) / temperature)`.
pub(super) fn weights(
    logits: impl Iterator<Item = f32>,
    top: f32,
    temperature: f32,
    weights: &mut Vec<f32>,
) {
    weights.clear();
    weights.extend(logits.map(|logit| ((logit - top) / temperature).exp()));
}

/// Drops the weights below `min_p` times the largest, which is 1.
pub(super) fn min_p(weights: &mut [f32], min_p: f32) {
    if min_p > 0.0 {
        for weight in weights {
            if *weight < min_p {
                *weight = 0.0;
            }
        }
    }
}

/// The index whose share of the weights holds `u`, a number in `0.0..1.0`.
pub(super) fn index(weights: &[f32], u: f64) -> usize {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let target = u * total;
    let mut passed = 0.0;
    let mut last = 0;
    for (index, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            passed += f64::from(weight);
            last = index;
            if passed > target {
                break;
            }
        }
    }
    last
}
