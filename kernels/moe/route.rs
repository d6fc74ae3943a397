//! The router's choice on the host: softmax, top-k, renormalise; and rows sorted by expert.
//!
//! Ties go to the lower index, so that the choice never depends on a sort's whims. Must not know
//! what an expert does.

/// Who serves each token, best expert first.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
    /// `[t, k]` expert indices.
    pub experts: Vec<u32>,
    /// `[t, k]` weights; those of a token add up to 1.
    pub weights: Vec<f32>,
    /// Experts a token, `k`.
    pub top_k: usize,
}

/// Chooses `top_k` of `n_experts` for each row of `logits` `[t, e]`. NaN logits are chosen last
/// and make the row's weights NaN, so that a broken model shows.
pub fn route(logits: &[f32], n_experts: usize, top_k: usize) -> Routing {
    let t = logits.len() / n_experts;
    let mut routing = Routing {
        experts: Vec::with_capacity(t * top_k),
        weights: Vec::with_capacity(t * top_k),
        top_k,
    };
    let mut order: Vec<u32> = Vec::with_capacity(n_experts);
    for row in logits.chunks_exact(n_experts) {
        order.clear();
        order.extend(0..n_experts as u32);
        let key = |&i: &u32| {
            let logit = row[i as usize];
            // Adding zero turns -0 into 0, which a total order would not call equal.
            if logit.is_nan() { f32::NEG_INFINITY } else { logit + 0.0 }
        };
        // A stable sort keeps the lower index first among equals.
        order.sort_by(|a, b| key(b).total_cmp(&key(a)));
        let max = key(&order[0]);
        let exps = row.iter().map(|logit| (logit - max).exp()).collect::<Vec<_>>();
        let all: f32 = exps.iter().sum();
        let chosen = &order[..top_k];
        let kept: f32 = chosen.iter().map(|&i| exps[i as usize] / all).sum();
        routing.experts.extend_from_slice(chosen);
        routing.weights.extend(chosen.iter().map(|&i| exps[i as usize] / all / kept));
    }
    routing
}

/// The `[t, k]` places of a routing sorted by expert.
pub(super) struct ByExpert {
    /// `[e + 1]` first entry of each expert in `places`, then their number.
    starts: Vec<usize>,
    /// Places `token * k + rank`, ascending within an expert.
    places: Vec<usize>,
}

impl ByExpert {
    /// A counting sort: one pass to count, one to place.
    pub(super) fn sort(routing: &Routing, n_experts: usize) -> Self {
        let mut starts = vec![0; n_experts + 1];
        for &expert in &routing.experts {
            starts[expert as usize + 1] += 1;
        }
        for i in 0..n_experts {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut places = vec![0; routing.experts.len()];
        for (place, &expert) in routing.experts.iter().enumerate() {
            places[next[expert as usize]] = place;
            next[expert as usize] += 1;
        }
        Self { starts, places }
    }

    /// The places that `expert` serves.
    pub(super) fn of(&self, expert: usize) -> &[usize] {
        &self.places[self.starts[expert]..self.starts[expert + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_go_to_the_lower_index() {
        let routing = route(&[1.0, 3.0, 3.0, 3.0, -0.0, 0.0, 0.0, 0.0], 4, 2);
        assert_eq!(routing.experts, [1, 2, 0, 1]);
        assert_eq!(routing.weights, [0.5; 4]);
    }

    #[test]
    fn a_broken_row_shows_and_stays_alone() {
        let routing = route(&[f32::NAN, 1.0, 2.0, 0.5, 1.0, 2.0], 3, 2);
        assert_eq!(routing.experts, [2, 1, 2, 1]);
        assert!(routing.weights[..2].iter().all(|weight| weight.is_nan()));
        assert!(routing.weights[2..].iter().all(|weight| weight.is_finite()));
    }

    proptest! {
        #[test]
        fn weights_add_up_and_fall(
            rows in prop::collection::vec(prop::collection::vec(-30.0f32..30.0, 8), 1..20),
            top_k in 1usize..=8,
        ) {
            let routing = route(&rows.concat(), 8, top_k);
            for (row, (experts, weights)) in rows.iter().zip(
                routing.experts.chunks(top_k).zip(routing.weights.chunks(top_k)),
            ) {
                prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                prop_assert!(weights.is_sorted_by(|a, b| a >= b));
                let worst = row[experts[top_k - 1] as usize];
                let beaten = row.iter().filter(|&&logit| logit > worst).count();
                prop_assert!(beaten < top_k);
            }
        }

        #[test]
        fn sorting_by_expert_is_a_stable_permutation(
            experts in prop::collection::vec(0u32..8, 0..100),
        ) {
            let weights = vec![1.0; experts.len()];
            let routing = Routing { experts, weights, top_k: 1 };
            let sorted = ByExpert::sort(&routing, 8);
            let mut all = Vec::new();
            for expert in 0..8 {
                let places = sorted.of(expert);
                prop_assert!(places.is_sorted());
                prop_assert!(places.iter().all(|&at| routing.experts[at] as usize == expert));
                all.extend_from_slice(places);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..routing.experts.len()).collect::<Vec<_>>());
        }
    }
}
