//! What the place of an answer does to its rating, where a judge saw several orders.

use serde::Serialize;

use super::duels::EQUAL;
use super::moments::{Mean, Moments};
use super::rows::OrderedRatings;
use super::share::Share;
use crate::pipeline::judge::flips;

/// Places that are told apart.
const N_PLACES_MAX: usize = 16;

/// What several orders of presentation show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Orders {
    /// Rows judged in several orders.
    pub n_rows: u64,
    /// Rows in which another order made another answer the best.
    pub flips: Option<Share>,
    /// Of those, rows in which the best answer stood first in every order.
    pub n_first_wins: u64,
    /// Of those, rows in which it stood last in every order.
    pub n_last_wins: u64,
    /// For each place from the first: by how much a rating there differs from the mean rating of
    /// the same answer over all its places.
    pub places: Vec<Option<Mean>>,
}

/// Counts flips and adds up what places do.
#[derive(Debug, Default)]
pub(super) struct OrderTally {
    n_rows: u64,
    n_flips: u64,
    n_first_wins: u64,
    n_last_wins: u64,
    /// One value a row and place: answers of one row are no news of their own.
    places: Vec<Moments>,
}

impl OrderTally {
    pub(super) fn add(&mut self, seen: &OrderedRatings) {
        self.n_rows += 1;
        if flips(&seen.ratings) {
            self.n_flips += 1;
            // The first of several best ones, and no rating is worst.
            let best: Vec<usize> = seen.ratings.iter().map(|ratings| best(ratings)).collect();
            let place = |(order, best): (&Vec<usize>, &usize)| order.iter().position(|t| t == best);
            let at: Vec<Option<usize>> = seen.orders.iter().zip(&best).map(place).collect();
            let n_texts = seen.orders[0].len();
            self.n_first_wins += u64::from(at.iter().all(|place| *place == Some(0)));
            self.n_last_wins += u64::from(at.iter().all(|place| *place == Some(n_texts - 1)));
        }
        self.add_places(seen);
    }

    fn add_places(&mut self, seen: &OrderedRatings) {
        let n_texts = seen.orders[0].len();
        let mut sums = vec![(0.0, 0_u32); n_texts.min(N_PLACES_MAX)];
        for text in 0..n_texts {
            let mut at: Vec<(usize, f64)> = Vec::new();
            for (order, ratings) in seen.orders.iter().zip(&seen.ratings) {
                let place = order.iter().position(|shown| *shown == text);
                at.extend(place.zip(ratings.get(text).copied().flatten()));
            }
            let has_moved = at.iter().any(|(place, _)| *place != at[0].0);
            if !has_moved {
                continue;
            }
            let mean = at.iter().map(|(_, rating)| rating).sum::<f64>() / at.len() as f64;
            for (place, rating) in at {
                let Some(sum) = sums.get_mut(place) else { continue };
                sum.0 += rating - mean;
                sum.1 += 1;
            }
        }
        self.places.resize(self.places.len().max(sums.len()), Moments::default());
        for (place, (sum, n)) in self.places.iter_mut().zip(sums).filter(|(_, (_, n))| *n > 0) {
            place.add(sum / f64::from(n));
        }
    }

    /// What came of it; nothing where every row was judged in one order.
    pub(super) fn orders(&self) -> Option<Orders> {
        (self.n_rows > 0).then(|| Orders {
            n_rows: self.n_rows,
            flips: Share::of(self.n_flips, self.n_rows),
            n_first_wins: self.n_first_wins,
            n_last_wins: self.n_last_wins,
            places: self.places.iter().map(Moments::estimate).collect(),
        })
    }
}

fn best(ratings: &[Option<f64>]) -> usize {
    let worth = |text: usize| ratings[text].unwrap_or(f64::NEG_INFINITY);
    (0..ratings.len()).fold(0, |best, text| if worth(text) > worth(best) { text } else { best })
}

/// Whether a mean differs from nothing by more than chance and by more than `least`.
pub(super) fn differs(mean: &Mean, least: f64) -> bool {
    mean.mean.abs() >= least.max(EQUAL) && (mean.low > 0.0 || mean.high < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(orders: &[&[usize]], ratings: &[&[f64]]) -> OrderedRatings {
        OrderedRatings {
            orders: orders.iter().map(|order| order.to_vec()).collect(),
            ratings: ratings.iter().map(|of| of.iter().copied().map(Some).collect()).collect(),
        }
    }

    #[test]
    fn a_flip_is_told_by_the_place_that_won() {
        let mut tally = OrderTally::default();
        let both: &[&[usize]] = &[&[0, 1], &[1, 0]];
        tally.add(&seen(both, &[&[4.0, 2.0], &[4.0, 3.0]]));
        tally.add(&seen(both, &[&[4.0, 2.0], &[2.0, 4.0]]));
        tally.add(&seen(both, &[&[2.0, 4.0], &[4.0, 2.0]]));
        let orders = tally.orders().unwrap();
        assert_eq!((orders.n_rows, orders.flips.unwrap().n), (3, 2.0));
        assert_eq!((orders.n_first_wins, orders.n_last_wins), (1, 1));
        assert_eq!(OrderTally::default().orders(), None);
    }

    #[test]
    fn a_place_is_compared_with_the_same_answers_elsewhere() {
        let mut tally = OrderTally::default();
        // The first place is worth one more, whatever stands there.
        for quality in [1.0, 2.0, 3.0] {
            let forwards: &[f64] = &[quality + 1.0, 2.0];
            let backwards: &[f64] = &[quality, 3.0];
            tally.add(&seen(&[&[0, 1], &[1, 0]], &[forwards, backwards]));
        }
        let places = tally.orders().unwrap().places;
        let means: Vec<f64> = places.iter().map(|place| place.unwrap().mean).collect();
        assert_eq!(means, [0.5, -0.5]);
        assert!(differs(&places[0].unwrap(), 0.1) && !differs(&places[0].unwrap(), 0.6));
    }

    #[test]
    fn an_answer_that_never_moves_tells_nothing() {
        let mut tally = OrderTally::default();
        for _ in 0..2 {
            tally.add(&seen(&[&[0, 1, 2], &[2, 1, 0]], &[&[3.0, 1.0, 2.0], &[3.0, 5.0, 2.0]]));
        }
        let places = tally.orders().unwrap().places;
        assert_eq!((places.len(), places[1]), (3, None));
        assert_eq!(places[0].map(|place| place.mean), Some(0.0));
    }
}
