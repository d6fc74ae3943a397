//! How values are spread, kept in a bounded number of cells.
//!
//! Values go into cells of one hundredth (or one); when there are too many cells, their width
//! doubles. What comes out does not depend on the order of the values, which a resumed run
//! changes. Kept values would be exact, at eight bytes a row without end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::moments::Moments;
use super::share::rounded;

/// Cells above which their width doubles: 41 units of hundredths.
const N_CELLS_MAX: usize = 4096;

/// Points of a survival curve, at most.
const N_POINTS_MAX: f64 = 40.0;

/// A histogram that fits itself to the values.
#[derive(Debug, Clone)]
pub(crate) struct Cells {
    /// Width of the finest cells.
    width: f64,
    /// How often the width was doubled.
    n_doubled: u32,
    cells: BTreeMap<i64, Cell>,
    moments: Moments,
    min: f64,
    max: f64,
    is_whole: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    n: u64,
    sum: f64,
}

/// How values are spread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    /// Values.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// The least.
    pub min: f64,
    /// A twentieth is at or below it.
    pub p05: f64,
    /// A quarter is.
    pub p25: f64,
    /// Half is.
    pub median: f64,
    /// Three quarters are.
    pub p75: f64,
    /// All but a twentieth is.
    pub p95: f64,
    /// The greatest.
    pub max: f64,
    /// A histogram, bars of equal width without gaps.
    pub bins: Vec<Bin>,
}

/// A bar of a histogram: values from `from` (included) to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Lower edge.
    pub from: f64,
    /// Upper edge; the last bar holds the values on it too.
    pub to: f64,
    /// Values.
    pub n: u64,
}

/// How many values are left where those below a bound go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Survival {
    /// The bound.
    pub at_least: f64,
    /// Values that reach it.
    pub n: u64,
}

impl Cells {
    /// For ratings and other small numbers: cells of one hundredth.
    pub(crate) fn fine() -> Self {
        Self::of_width(0.01)
    }

    /// For counts: cells of one.
    pub(crate) fn whole() -> Self {
        Self::of_width(1.0)
    }

    fn of_width(width: f64) -> Self {
        Self {
            width,
            n_doubled: 0,
            cells: BTreeMap::new(),
            moments: Moments::default(),
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            is_whole: true,
        }
    }

    pub(crate) fn n(&self) -> u64 {
        self.moments.n
    }

    /// Takes a value; what is no number is left out.
    pub(crate) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.moments.add(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.is_whole &= value.fract() == 0.0;
        let cell = self.cells.entry(self.index(value)).or_default();
        cell.n += 1;
        cell.sum += value;
        while self.cells.len() > N_CELLS_MAX {
            self.n_doubled += 1;
            let mut wider: BTreeMap<i64, Cell> = BTreeMap::new();
            for (index, cell) in &self.cells {
                let into = wider.entry(index >> 1).or_default();
                into.n += cell.n;
                into.sum += cell.sum;
            }
            self.cells = wider;
        }
    }

    /// The cell of a value, a hair's breadth below an edge counted as on it.
    fn index(&self, value: f64) -> i64 {
        ((value / self.width + 1e-6).floor() as i64) >> self.n_doubled.min(63)
    }

    /// Values that reach a bound.
    fn n_at_least(&self, bound: f64) -> u64 {
        self.cells.range(self.index(bound)..).map(|(_, cell)| cell.n).sum()
    }

    /// The value that this share of the values does not exceed (nearest rank).
    fn quantile(&self, share: f64) -> f64 {
        let rank = ((share * self.n() as f64).ceil() as u64).max(1);
        let mut n = 0;
        for cell in self.cells.values() {
            n += cell.n;
            if n >= rank {
                return rounded(cell.sum / cell.n as f64);
            }
        }
        f64::NAN
    }

    /// What came of it; nothing without values. At most about `n_bins_max` bars.
    pub(crate) fn distribution(&self, n_bins_max: usize) -> Option<Distribution> {
        (self.n() > 0).then(|| Distribution {
            n: self.n(),
            mean: rounded(self.moments.mean),
            deviation: rounded(self.moments.deviation()),
            min: rounded(self.min),
            p05: self.quantile(0.05),
            p25: self.quantile(0.25),
            median: self.quantile(0.5),
            p75: self.quantile(0.75),
            p95: self.quantile(0.95),
            max: rounded(self.max),
            bins: self.bins(n_bins_max),
        })
    }

    /// Whole numbers get bars around them; everything else bars between round edges.
    fn bins(&self, n_bins_max: usize) -> Vec<Bin> {
        let range = self.max - self.min;
        let step = round_step(range / n_bins_max as f64).max(self.width);
        let is_few_whole = self.is_whole && range < n_bins_max as f64;
        let (step, shift) = if is_few_whole { (1.0, 0.5) } else { (step, 0.0) };
        let place = |value: f64| ((value + shift) / step + 1e-6).floor() as i64;
        let (first, mut last) = (place(self.min), place(self.max));
        // A greatest value on an edge opens no bar of its own.
        if shift == 0.0 && last > first && (self.max / step - last as f64).abs() < 1e-6 {
            last -= 1;
        }
        let edge = |place: i64| rounded(place as f64 * step - shift);
        let bin = |place: i64| Bin { from: edge(place), to: edge(place + 1), n: 0 };
        let mut bins: Vec<Bin> = (first..=last).map(bin).collect();
        for cell in self.cells.values() {
            let at = place(cell.sum / cell.n as f64).clamp(first, last) - first;
            bins[usize::try_from(at).expect("not below the first")].n += cell.n;
        }
        bins
    }

    /// How many values stay for each of some round bounds from 0 to the greatest value.
    pub(crate) fn survival(&self) -> Vec<Survival> {
        if self.n() == 0 || self.max <= 0.0 {
            return Vec::new();
        }
        let step = round_step(self.max / N_POINTS_MAX).max(self.width);
        let n_points = (self.max / step + 1e-6).floor() as u32;
        let at = |point: u32| rounded(f64::from(point) * step);
        let point = |point| Survival { at_least: at(point), n: self.n_at_least(at(point)) };
        (0..=n_points + 1).map(point).collect()
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
pub(crate) fn round_step(step: f64) -> f64 {
    if step.is_nan() || step <= 0.0 {
        return 0.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= step * 0.999_999);
    times.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(values: &[f64]) -> Cells {
        let mut cells = Cells::fine();
        values.iter().for_each(|value| cells.add(*value));
        cells
    }

    #[test]
    fn a_few_values_come_out_as_they_went_in() {
        let spread = cells(&[1.0, 2.0, 2.0, 5.0]).distribution(20).unwrap();
        assert_eq!((spread.n, spread.mean, spread.median), (4, 2.5, 2.0));
        assert_eq!((spread.min, spread.p25, spread.p95, spread.max), (1.0, 1.0, 5.0, 5.0));
        let counts: Vec<u64> = spread.bins.iter().map(|bin| bin.n).collect();
        assert_eq!(counts, [1, 2, 0, 0, 1]);
        assert_eq!((spread.bins[0].from, spread.bins[0].to), (0.5, 1.5));
        assert_eq!(cells(&[f64::NAN]).distribution(20), None);
    }

    #[test]
    fn bars_have_round_edges_and_hold_every_value() {
        let values = [1.29, 1.3, 2.999, 3.0, 4.125, 5.0];
        let bins = cells(&values).bins(20);
        assert_eq!((bins[0].from, bins[0].to, bins[0].n), (1.2, 1.4, 2));
        assert_eq!(bins.last().map(|bin| (bin.to, bin.n)), Some((5.0, 1)));
        assert_eq!(bins.iter().map(|bin| bin.n).sum::<u64>(), 6);
    }

    #[test]
    fn a_survival_curve_counts_what_reaches_a_bound() {
        let curve = cells(&[0.0, 0.29, 0.3, 1.0]).survival();
        let at = |bound: f64| curve.iter().find(|p| (p.at_least - bound).abs() < 1e-9).unwrap().n;
        assert_eq!([at(0.0), at(0.1), at(0.3), at(0.35), at(1.0)], [4, 3, 2, 1, 1]);
        assert_eq!(curve.last().unwrap().n, 0);
        assert!(cells(&[0.0, 0.0]).survival().is_empty());
    }

    #[test]
    fn memory_is_bounded_and_the_order_does_not_matter() {
        let values: Vec<f64> = (0..50_000_u32).map(|i| f64::from(i * 7919 % 50_000)).collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let (mut one, mut other) = (Cells::whole(), Cells::whole());
        values.iter().for_each(|value| one.add(*value));
        sorted.iter().for_each(|value| other.add(*value));
        assert!(one.cells.len() <= N_CELLS_MAX);
        assert_eq!(one.distribution(20), other.distribution(20));
        let median = one.distribution(20).unwrap().median;
        assert!((median - 25_000.0).abs() < 16.0, "{median}");
    }

    #[test]
    fn steps_are_round() {
        let steps = [0.013, 0.02, 0.21, 3.0, 70.0].map(round_step);
        let want = [0.02, 0.02, 0.5, 5.0, 100.0];
        steps.iter().zip(want).for_each(|(is, want)| assert!((is - want).abs() < 1e-9, "{is}"));
    }
}
