//! Means, deviations and correlations of streams, in a few numbers of memory each.

use serde::Serialize;

use super::share::{Z_95, rounded};

/// Count, mean and squared deviations (Welford).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) n: u64,
    pub(crate) mean: f64,
    squares: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, value: f64) {
        self.n += 1;
        let before = value - self.mean;
        self.mean += before / self.n as f64;
        self.squares += before * (value - self.mean);
    }

    /// Deviation of the sample; 0 for one value.
    pub(crate) fn deviation(&self) -> f64 {
        if self.n < 2 { 0.0 } else { (self.squares / (self.n - 1) as f64).sqrt() }
    }

    /// The mean with its 95 % interval, from two values on.
    pub(crate) fn estimate(&self) -> Option<Mean> {
        if self.n < 2 {
            return None;
        }
        let half = Z_95 * self.deviation() / (self.n as f64).sqrt();
        let [mean, low, high] = [self.mean, self.mean - half, self.mean + half].map(rounded);
        Some(Mean { n: self.n, mean, low, high })
    }
}

/// A mean and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// Values.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Pearson's correlation and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Correlation {
    /// Pairs of values.
    pub n: u64,
    /// From -1 to 1.
    pub r: f64,
    /// Lower end of the interval (Fisher's transformation).
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Sums from which a correlation follows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Comoments {
    x: Moments,
    y: Moments,
    products: f64,
    /// Values that follow from others, because a mean was taken off.
    n_bound: u64,
}

impl Comoments {
    pub(crate) fn add(&mut self, x: f64, y: f64) {
        let before = x - self.x.mean;
        self.x.add(x);
        self.y.add(y);
        self.products += before * (y - self.y.mean);
    }

    /// Adds pairs of values less their own means, so that only what differs among them counts.
    pub(crate) fn add_centered(&mut self, pairs: &[(f64, f64)]) {
        let n = pairs.len() as f64;
        let mean_x = pairs.iter().map(|(x, _)| x).sum::<f64>() / n;
        let mean_y = pairs.iter().map(|(_, y)| y).sum::<f64>() / n;
        for (x, y) in pairs {
            self.add(x - mean_x, y - mean_y);
        }
        self.n_bound += u64::from(!pairs.is_empty());
    }

    /// The correlation; nothing where fewer than five values are free or one side never varies.
    pub(crate) fn correlation(&self) -> Option<Correlation> {
        let n_free = self.x.n.saturating_sub(self.n_bound.saturating_sub(1));
        let scale = (self.x.squares * self.y.squares).sqrt();
        if n_free < 5 || scale <= 1e-9 {
            return None;
        }
        let r = (self.products / scale).clamp(-1.0, 1.0);
        let half = Z_95 / (n_free as f64 - 3.0).sqrt();
        let end = |by: f64| (r.clamp(-0.999_999, 0.999_999).atanh() + by).tanh();
        let [r, low, high] = [r, end(-half), end(half)].map(rounded);
        Some(Correlation { n: self.x.n, r, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_books() {
        let mut moments = Moments::default();
        [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().for_each(|value| moments.add(value));
        assert_eq!(moments.mean, 5.0);
        // The squares are 32, the deviation of the sample is the root of 32 / 7.
        assert!((moments.deviation() - 2.138_089_935).abs() < 1e-9);
        let mean = moments.estimate().unwrap();
        assert_eq!((mean.low, mean.high), (3.518406, 6.481594));
    }

    #[test]
    fn a_correlation_needs_values_that_vary() {
        let mut line = Comoments::default();
        (0..5).for_each(|i| line.add(f64::from(i), 3.0 - 2.0 * f64::from(i)));
        assert_eq!(line.correlation().unwrap().r, -1.0);
        let mut flat = Comoments::default();
        (0..9).for_each(|i| flat.add(f64::from(i), 3.0));
        assert_eq!(flat.correlation(), None);
        let mut some = Comoments::default();
        for (x, y) in [(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0), (5.0, 5.0)] {
            some.add(x, y);
        }
        // Products 8, squares 10 and 10.
        assert_eq!(some.correlation().unwrap().r, 0.8);
    }

    #[test]
    fn within_a_group_only_differences_count() {
        // Longer is better in every group, and the groups with long texts are bad ones.
        let (mut within, mut over_all) = (Comoments::default(), Comoments::default());
        for group in 0..6 {
            let base = f64::from(group) * 100.0;
            let pairs = [(base, 5.0 - f64::from(group)), (base + 1.0, 5.5 - f64::from(group))];
            within.add_centered(&pairs);
            pairs.iter().for_each(|(x, y)| over_all.add(*x, *y));
        }
        assert_eq!(within.correlation().unwrap().r, 1.0);
        assert!(over_all.correlation().unwrap().r < -0.9);
    }
}
