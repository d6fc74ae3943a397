//! The distribution that a row is drawn from, written out in f64 with full sorts.

use super::RowParams;

/// Log-probabilities of the model itself, `[v]`.
pub fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - f64::from(top)).exp()).sum();
    logits.iter().map(|&logit| f64::from(logit) - f64::from(top) - sum.ln()).collect()
}

/// The probability `[v]` with which each token is drawn from a row, by the four steps of
/// [`sample`](super::sample). With temperature 0 one token has it all.
pub fn distribution(logits: &[f32], params: &RowParams<'_>) -> Vec<f64> {
    let mut logits: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
    for &token in params.seen {
        let penalty = f64::from(params.repetition_penalty);
        let logit = &mut logits[token as usize];
        *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
    }
    for &(token, count) in params.counts {
        logits[token as usize] -= f64::from(params.frequency_penalty) * f64::from(count);
        logits[token as usize] -= f64::from(params.presence_penalty);
    }
    for &(token, bias) in params.bias {
        logits[token as usize] += f64::from(bias);
    }
    if let Some(mask) = params.mask {
        for (token, logit) in logits.iter_mut().enumerate() {
            if mask.get(token / 32).is_none_or(|word| word >> (token % 32) & 1 == 0) {
                *logit = f64::NEG_INFINITY;
            }
        }
    }

    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let mut probabilities = vec![0.0; logits.len()];
    if params.temperature == 0.0 {
        probabilities[order[0]] = 1.0;
        return probabilities;
    }
    let top = logits[order[0]];
    let weight = |token: usize| ((logits[token] - top) / f64::from(params.temperature)).exp();
    if params.top_k > 0 {
        order.truncate(params.top_k);
    }
    let target = f64::from(params.top_p) * order.iter().map(|&token| weight(token)).sum::<f64>();
    let mut reached = 0.0;
    order.retain(|&token| {
        let wanted = reached < target;
        reached += weight(token);
        wanted || params.top_p >= 1.0
    });
    order.retain(|&token| weight(token) >= f64::from(params.min_p));
    let total: f64 = order.iter().map(|&token| weight(token)).sum();
    for token in order {
        probabilities[token] = weight(token) / total;
    }
    probabilities
}
