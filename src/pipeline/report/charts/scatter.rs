//! Two lengths of one pair against each other, with the line on which they are equal.

use super::plot::{Axis, BOTTOM, LEFT, Plot, RIGHT, TOP};

/// What a scatter shows.
pub(in crate::pipeline::report) struct Scatter<'a> {
    pub(in crate::pipeline::report) title: &'a str,
    /// What it comes to, in a sentence.
    pub(in crate::pipeline::report) told: &'a str,
    /// `[across, up]` of each dot.
    pub(in crate::pipeline::report) dots: &'a [[f64; 2]],
    /// Names of both axes.
    pub(in crate::pipeline::report) names: [&'a str; 2],
}

/// Draws it. Both axes have one scale, up to what all but a hundredth of the dots reach; the dots
/// beyond lie on the edge.
pub(in crate::pipeline::report) fn scatter(of: &Scatter<'_>) -> String {
    let mut all: Vec<f64> = of.dots.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let most = all.get(all.len() * 99 / 100).or(all.last()).copied().unwrap_or(1.0);
    let up = Axis::up(most, 4);
    let across = Axis::across(0.0, up.to, 5);
    let mut plot = Plot::new(of.title, of.told);
    plot.rows(&up);
    plot.feet(&across, of.names[0]);
    plot.line("mark", [LEFT, BOTTOM], [RIGHT, TOP]);
    for [x, y] in of.dots {
        let class = if y > x { "dot a" } else { "dot b" };
        plot.dot(class, [across.at(*x), up.at(*y)], 2.4);
    }
    plot.text("start", [LEFT, TOP - 8.0], of.names[1]);
    plot.finish()
}
