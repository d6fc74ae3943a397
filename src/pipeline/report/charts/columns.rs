//! A column for each of a few named values.

use super::plot::{Axis, BOTTOM, LEFT, Plot, RIGHT};
use crate::pipeline::report::words;

/// A named share.
pub(in crate::pipeline::report) struct Column<'a> {
    pub(in crate::pipeline::report) name: &'a str,
    pub(in crate::pipeline::report) share: f64,
}

/// Draws them, with their values on top.
pub(in crate::pipeline::report) fn columns(
    title: &str,
    what: &str,
    columns: &[Column<'_>],
) -> String {
    let most = columns.iter().map(|column| column.share).fold(0.0, f64::max);
    let up = Axis::up(100.0 * most * 1.08, 4);
    let told: Vec<String> = columns
        .iter()
        .map(|column| format!("{}: {}", column.name, words::percent(column.share)))
        .collect();
    let mut plot = Plot::new(title, &told.join(", "));
    plot.rows(&up);
    let width = (RIGHT - LEFT) / columns.len().max(1) as f64;
    for (place, (column, told)) in (0_u32..).zip(columns.iter().zip(&told)) {
        let x = LEFT + f64::from(place) * width;
        let y = up.at(100.0 * column.share);
        plot.bar("fill", [x + 0.16 * width, y], [0.68 * width, BOTTOM - y], told);
        let middle = x + width / 2.0;
        plot.text("middle", [middle, y - 4.0], &words::percent(column.share));
        plot.text("middle", [middle, BOTTOM + 16.0], column.name);
    }
    plot.text("middle", [f64::midpoint(LEFT, RIGHT), BOTTOM + 34.0], what);
    plot.finish()
}
