//! Orders in which the answers are shown to the judge.
//!
//! Judges favour places. Showing the answers in several orders and averaging the probabilities
//! before anything is decided takes most of that away.

use crate::recipe::spec::Orders;

/// The orders for `n_texts` texts: `order[position]` is the text that stands there. The first is
/// always the flow's own.
pub(crate) fn orders(orders: Orders, n_texts: usize) -> Vec<Vec<usize>> {
    let rotated = |by: usize| (0..n_texts).map(|i| (i + by) % n_texts).collect();
    match orders {
        Orders::One => vec![rotated(0)],
        Orders::Two if n_texts > 1 => vec![rotated(0), (0..n_texts).rev().collect()],
        Orders::All if n_texts > 1 => (0..n_texts).map(rotated).collect(),
        Orders::Two | Orders::All => vec![rotated(0)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_a_permutation_and_the_first_the_flows() {
        for n_texts in 1..6 {
            for which in [Orders::One, Orders::Two, Orders::All] {
                let all = orders(which, n_texts);
                assert_eq!(all[0], (0..n_texts).collect::<Vec<_>>());
                for order in all {
                    let mut sorted = order.clone();
                    sorted.sort_unstable();
                    assert_eq!(sorted, (0..n_texts).collect::<Vec<_>>());
                }
            }
        }
        assert_eq!(orders(Orders::Two, 3)[1], [2, 1, 0]);
        assert_eq!(orders(Orders::All, 3), [vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1]]);
    }
}
