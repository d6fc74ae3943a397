//! A line for each of a few named things: its middle, and how far it reaches.

use super::plot::{Axis, Plot, RIGHT, WIDTH};
use crate::pipeline::report::words;

/// Height of one line.
const ROW: f64 = 34.0;

/// Left edge of the lines.
const START: f64 = 12.0;

/// Characters of a name that fit above its line.
const N_NAME_MAX: usize = 44;

/// A named thing.
pub(in crate::pipeline::report) struct Range {
    pub(in crate::pipeline::report) name: String,
    /// What it comes to, in a few words, at the right.
    pub(in crate::pipeline::report) told: String,
    pub(in crate::pipeline::report) middle: f64,
    /// Ends of the thin line.
    pub(in crate::pipeline::report) wide: [f64; 2],
    /// Ends of the thick line; the same as the middle where there is none.
    pub(in crate::pipeline::report) narrow: [f64; 2],
}

/// What such a chart shows.
pub(in crate::pipeline::report) struct Ranges<'a> {
    pub(in crate::pipeline::report) title: &'a str,
    /// What the values are, below the axis.
    pub(in crate::pipeline::report) what: &'a str,
    pub(in crate::pipeline::report) rows: &'a [Range],
    /// Ends that the axis must reach at least.
    pub(in crate::pipeline::report) ends: [f64; 2],
    /// A value to compare with.
    pub(in crate::pipeline::report) mark: Option<f64>,
}

/// Draws it.
pub(in crate::pipeline::report) fn ranges(of: &Ranges<'_>) -> String {
    let ends = || of.rows.iter().flat_map(|row| row.wide);
    let (from, to) = (ends().fold(of.ends[0], f64::min), ends().fold(of.ends[1], f64::max));
    let across = Axis::across(from, to, 6).between(START, RIGHT);
    let bottom = 4.0 + ROW * of.rows.len() as f64;
    let told: Vec<String> =
        of.rows.iter().map(|row| format!("{}: {}", row.name, row.told)).collect();
    let mut plot = Plot::of_height(bottom + 42.0, of.title, &told.join("; "));
    for tick in across.ticks() {
        let x = across.at(tick);
        plot.line("grid", [x, 4.0], [x, bottom]);
        plot.text("middle", [x, bottom + 16.0], &across.name(tick));
    }
    if let Some(mark) = of.mark {
        plot.line("mark", [across.at(mark), 4.0], [across.at(mark), bottom]);
    }
    for (place, row) in (0_u32..).zip(of.rows) {
        let top = 4.0 + ROW * f64::from(place);
        let y = top + 24.0;
        plot.text("start", [START, top + 13.0], &words::label(&row.name, N_NAME_MAX));
        plot.text("end", [RIGHT, top + 13.0], &row.told);
        let [a, b] = row.wide.map(|end| across.at(end));
        plot.line("thin", [a, y], [b, y]);
        let [a, b] = row.narrow.map(|end| across.at(end));
        plot.line("thick", [a, y], [b, y]);
        plot.dot("middle", [across.at(row.middle), y], 4.0);
    }
    plot.text("middle", [WIDTH / 2.0, bottom + 34.0], of.what);
    plot.finish()
}
