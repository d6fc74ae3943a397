//! Bars of equal width: how values are spread.

use super::plot::{Axis, BOTTOM, Plot};
use crate::pipeline::report::words;
use crate::pipeline::stats::Distribution;

/// What a histogram shows.
pub(in crate::pipeline::report) struct Histogram<'a> {
    pub(in crate::pipeline::report) values: &'a Distribution,
    /// Its title.
    pub(in crate::pipeline::report) title: &'a str,
    /// What the values are, below the axis.
    pub(in crate::pipeline::report) what: &'a str,
    /// What is counted.
    pub(in crate::pipeline::report) of: &'a str,
    /// Ends that the axis must reach at least.
    pub(in crate::pipeline::report) ends: Option<[f64; 2]>,
}

/// Draws it, with the median marked.
pub(in crate::pipeline::report) fn histogram(of: &Histogram<'_>) -> String {
    let values = of.values;
    let bins = &values.bins;
    let (first, last) = (bins[0].from, bins[bins.len() - 1].to);
    let [from, to] = of.ends.map_or([first, last], |[a, b]| [a.min(first), b.max(last)]);
    let across = Axis::across(from, to, 6);
    let n_max = bins.iter().map(|bin| bin.n).max().unwrap_or(0);
    let up = Axis::up(n_max as f64, 4);
    let told = format!(
        "{} {}, median {}, mean {}, from {} to {}",
        words::count(values.n),
        of.of,
        words::number(values.median, 2),
        words::number(values.mean, 2),
        words::number(values.min, 2),
        words::number(values.max, 2),
    );
    let mut plot = Plot::new(of.title, &told);
    plot.rows(&up);
    plot.feet(&across, of.what);
    for bin in bins.iter().filter(|bin| bin.n > 0) {
        let [left, right] = [bin.from, bin.to].map(|edge| across.at(edge));
        let y = up.at(bin.n as f64);
        let [lower, upper] = [bin.from, bin.to].map(|edge| words::number(edge, 2));
        let told = format!("{lower} to {upper}: {}", words::count(bin.n));
        let width = (right - left - 1.0).max(0.8);
        plot.bar("fill", [left + 0.5, y], [width, BOTTOM - y], &told);
    }
    plot.mark(across.at(values.median), &format!("median {}", words::number(values.median, 2)));
    plot.finish()
}
