//! Whether chosen answers are longer than rejected ones, over the whole data set.
//!
//! A model that is trained on such pairs learns to write more, whatever else they teach.

use serde::Serialize;

/// Pairs below which no skew is told: chance alone would do it.
const N_PAIRS_MIN: u64 = 30;

/// Share of the pairs in which the same side is the longer one. People prefer the longer of two
/// answers in about 64 of 100 pairs, a judge of 70 B parameters in 79.
const SHARE_MAX: f64 = 0.7;

/// How many times longer that side is on average.
const RATIO_MAX: f64 = 1.25;

/// Sums over the lengths of answers, in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Lengths {
    /// `[rejected, chosen]` number, sum, and sum of squares.
    sides: [(u64, f64, f64); 2],
    /// Pairs in which the rejected side is longer, and in which the chosen one is.
    longer: [u64; 2],
}

/// What the sums say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LengthFigures {
    /// Mean characters of chosen answers.
    pub chosen_mean: f64,
    /// Mean characters of rejected answers.
    pub rejected_mean: f64,
    /// Share of the pairs with the longer side chosen, among those of unequal length.
    pub longer_chosen: Option<f64>,
    /// Correlation of an answer's length with its being chosen.
    pub correlation: f64,
}

impl Lengths {
    /// Takes in a pair.
    pub(super) fn see_pair(&mut self, chosen: usize, rejected: usize) {
        self.see(chosen, true);
        self.see(rejected, false);
        if chosen != rejected {
            self.longer[usize::from(chosen > rejected)] += 1;
        }
    }

    /// Takes in an answer.
    pub(super) fn see(&mut self, length: usize, is_chosen: bool) {
        let length = length as f64;
        let (n, sum, squares) = &mut self.sides[usize::from(is_chosen)];
        *n += 1;
        *sum += length;
        *squares += length * length;
    }

    /// What the sums say; nothing before there is an answer of either kind.
    pub fn figures(&self) -> Option<LengthFigures> {
        let [(n_rejected, rejected, _), (n_chosen, chosen, _)] = self.sides;
        if n_rejected == 0 || n_chosen == 0 {
            return None;
        }
        let (n_rejected, n_chosen) = (n_rejected as f64, n_chosen as f64);
        let n = n_rejected + n_chosen;
        let (chosen_mean, rejected_mean) = (chosen / n_chosen, rejected / n_rejected);
        let squares: f64 = self.sides.iter().map(|(_, _, squares)| squares).sum();
        let mean = (chosen + rejected) / n;
        let deviation = (squares / n - mean * mean).max(0.0).sqrt();
        let spread = (n_rejected * n_chosen).sqrt() / n;
        let correlation =
            if deviation > 0.0 { (chosen_mean - rejected_mean) / deviation * spread } else { 0.0 };
        let n_unequal = self.longer[0] + self.longer[1];
        let longer_chosen = (n_unequal > 0).then(|| self.longer[1] as f64 / n_unequal as f64);
        Some(LengthFigures { chosen_mean, rejected_mean, longer_chosen, correlation })
    }

    /// Whether one side is the longer one too often and by too much. Answers without a partner
    /// count by their means alone.
    pub(super) fn is_skewed(&self) -> bool {
        let Some(figures) = self.figures() else { return false };
        let LengthFigures { chosen_mean, rejected_mean, longer_chosen, .. } = figures;
        let n_min = self.sides[0].0.min(self.sides[1].0);
        let (more, less) = (chosen_mean.max(rejected_mean), chosen_mean.min(rejected_mean));
        let share = longer_chosen.map_or(1.0, |share| share.max(1.0 - share));
        n_min >= N_PAIRS_MIN && more >= RATIO_MAX * less && share >= SHARE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(pairs: impl Iterator<Item = (usize, usize)>) -> Lengths {
        let mut lengths = Lengths::default();
        pairs.for_each(|(chosen, rejected)| lengths.see_pair(chosen, rejected));
        lengths
    }

    #[test]
    fn figures_are_those_of_the_textbook() {
        let figures = lengths([(10, 4), (6, 6), (8, 10)].into_iter()).figures().unwrap();
        assert_eq!((figures.chosen_mean, figures.longer_chosen), (8.0, Some(0.5)));
        assert!((figures.rejected_mean - 20.0 / 3.0).abs() < 1e-12);
        // Pearson's r of 10 6 8 4 6 10 with 1 1 1 0 0 0.
        assert!((figures.correlation - 0.301_511_345).abs() < 1e-9, "{}", figures.correlation);
        assert_eq!(Lengths::default().figures(), None);
    }

    #[test]
    fn a_skew_is_told_in_both_directions_and_not_by_chance() {
        let skewed = |n: usize, chosen: usize, rejected: usize| {
            lengths((0..n).map(|i| (chosen + i % 3, rejected + i % 5))).is_skewed()
        };
        assert!(skewed(30, 200, 100));
        assert!(skewed(30, 100, 200));
        assert!(!skewed(29, 200, 100), "too few");
        assert!(!skewed(300, 110, 100), "not by much");
        let mixed = (0..300).map(|i| if i % 5 < 3 { (300, 100) } else { (100, 101) });
        assert!(!lengths(mixed).is_skewed(), "not often");
    }
}
