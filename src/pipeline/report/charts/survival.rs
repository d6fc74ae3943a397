//! How many are left where those below a bound go.

use std::fmt::Write as _;

use super::plot::{Axis, BOTTOM, Plot};
use crate::pipeline::report::words;
use crate::pipeline::stats::Survival;

/// Draws the curve; `of` is what is counted, `what` the bound.
pub(in crate::pipeline::report) fn survival(
    points: &[Survival],
    title: &str,
    of: &str,
    what: &str,
) -> String {
    let Some((first, last)) = points.first().zip(points.last()) else { return String::new() };
    let across = Axis::across(first.at_least, last.at_least, 6);
    let up = Axis::up(first.n as f64, 4);
    let half = points.iter().take_while(|point| 2 * point.n >= first.n).last().unwrap_or(first);
    let told = format!(
        "{} {of}; half of them reach {}",
        words::count(first.n),
        words::number(half.at_least, 2)
    );
    let mut plot = Plot::new(title, &told);
    plot.rows(&up);
    plot.feet(&across, what);
    let at = |point: &Survival| (across.at(point.at_least), up.at(point.n as f64));
    let (x, y) = at(first);
    let mut line = format!("M{x:.1} {y:.1}");
    for point in &points[1..] {
        let (x, y) = at(point);
        let _ = write!(line, "L{x:.1} {y:.1}");
    }
    let (end, _) = at(last);
    plot.path("area", &format!("{line}L{end:.1} {BOTTOM}L{x:.1} {BOTTOM}Z"));
    plot.path("curve", &line);
    let name = format!("half reach {}", words::number(half.at_least, 2));
    plot.mark(across.at(half.at_least), &name);
    plot.finish()
}
