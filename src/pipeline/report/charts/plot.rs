//! What all charts share: the paper, its axes, and escaping.

use std::fmt::Write as _;

use crate::pipeline::report::words;
use crate::pipeline::stats::round_step;

/// Size of a chart, in units that are about a pixel wide.
pub(super) const WIDTH: f64 = 360.0;
pub(super) const HEIGHT: f64 = 226.0;

/// Edges of the plot area.
pub(super) const LEFT: f64 = 44.0;
pub(super) const RIGHT: f64 = WIDTH - 10.0;
pub(super) const TOP: f64 = 22.0;
pub(super) const BOTTOM: f64 = HEIGHT - 42.0;

/// A scale from values to the paper.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Places of both ends on the paper.
    ends: [f64; 2],
    step: f64,
}

impl Axis {
    /// From left to right over these values, with about `n_ticks` round ticks.
    pub(super) fn across(from: f64, to: f64, n_ticks: u32) -> Self {
        Self::new(from, to, [LEFT, RIGHT], n_ticks)
    }

    /// From the bottom up, from 0 to a round value at or above `to`.
    pub(super) fn up(to: f64, n_ticks: u32) -> Self {
        let step = round_step(to.max(1.0) / f64::from(n_ticks));
        Self::new(0.0, (to.max(1.0) / step - 1e-9).ceil() * step, [BOTTOM, TOP], n_ticks)
    }

    fn new(from: f64, to: f64, ends: [f64; 2], n_ticks: u32) -> Self {
        // A single value gets a little paper around it.
        let [from, to] = if to - from > 1e-9 { [from, to] } else { [from - 0.5, to + 0.5] };
        Self { from, to, ends, step: round_step((to - from) / f64::from(n_ticks)) }
    }

    /// The same values over another part of the paper.
    pub(super) fn between(self, left: f64, right: f64) -> Self {
        Self { ends: [left, right], ..self }
    }

    /// Where a value lies.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.ends[0] + share * (self.ends[1] - self.ends[0])
    }

    /// Round values between the ends.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (from, to, step) = (self.from, self.to, self.step);
        let first = (from / step - 1e-6).ceil() as i64;
        let last = (to / step + 1e-6).floor() as i64;
        (first..=last).map(move |n| n as f64 * step)
    }

    /// A tick's value in as many decimals as the ticks need.
    pub(super) fn name(&self, value: f64) -> String {
        if self.step >= 1.0 && value >= 0.0 {
            return words::count(value.round() as u64);
        }
        let n_decimals = (0..4).find(|n| {
            let scaled = self.step * 10_f64.powi(*n);
            (scaled - scaled.round()).abs() < 1e-6
        });
        words::number(value, usize::try_from(n_decimals.unwrap_or(3)).expect("not below 0"))
    }
}

/// A chart being drawn.
pub(super) struct Plot {
    svg: String,
}

impl Plot {
    /// Empty paper that says what it shows: `title` in a few words, `told` in a sentence.
    pub(super) fn new(title: &str, told: &str) -> Self {
        Self::of_height(HEIGHT, title, told)
    }

    /// The same, lower or higher than usual.
    pub(super) fn of_height(height: f64, title: &str, told: &str) -> Self {
        let (title, told) = (escape(title), escape(told));
        let svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}. {told}\">"
        );
        Self { svg }
    }

    /// Lines across at the ticks of the axis that goes up, with their values.
    pub(super) fn rows(&mut self, up: &Axis) {
        for tick in up.ticks() {
            let (y, name) = (up.at(tick), up.name(tick));
            let class = if tick.abs() < 1e-9 { "base" } else { "grid" };
            self.line(class, [LEFT, y], [RIGHT, y]);
            self.text("end", [LEFT - 6.0, y + 3.5], &name);
        }
    }

    /// Values below the plot, and what they are.
    pub(super) fn feet(&mut self, across: &Axis, what: &str) {
        for tick in across.ticks() {
            let x = across.at(tick);
            self.line("base", [x, BOTTOM], [x, BOTTOM + 4.0]);
            self.text("middle", [x, BOTTOM + 16.0], &across.name(tick));
        }
        self.text("middle", [f64::midpoint(LEFT, RIGHT), BOTTOM + 34.0], what);
    }

    pub(super) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let _ =
            write!(self.svg, "<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>");
    }

    /// A filled rectangle; `told` is what a pointer that rests on it is told.
    pub(super) fn bar(&mut self, class: &str, [x, y]: [f64; 2], [w, h]: [f64; 2], told: &str) {
        let told = escape(told);
        let _ = write!(
            self.svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" \
             height=\"{h:.1}\"><title>{told}</title></rect>"
        );
    }

    pub(super) fn dot(&mut self, class: &str, [x, y]: [f64; 2], radius: f64) {
        let _ = write!(
            self.svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>"
        );
    }

    /// A path through points, moved along by `commands`.
    pub(super) fn path(&mut self, class: &str, commands: &str) {
        let _ = write!(self.svg, "<path class=\"{class}\" d=\"{commands}\"/>");
    }

    /// A text that begins, ends or has its middle (`anchor`) at a place.
    pub(super) fn text(&mut self, anchor: &str, [x, y]: [f64; 2], text: &str) {
        let text = escape(text);
        let _ = write!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// A mark across the whole plot at a value, with its name above.
    pub(super) fn mark(&mut self, x: f64, name: &str) {
        self.line("mark", [x, TOP - 6.0], [x, BOTTOM]);
        // The name stands on the side that has more room.
        let is_right = x < f64::midpoint(LEFT, RIGHT);
        let (anchor, by) = if is_right { ("start", 4.0) } else { ("end", -4.0) };
        self.text(anchor, [x + by, TOP - 8.0], name);
    }

    pub(super) fn finish(self) -> String {
        format!("{}</svg>", self.svg)
    }
}

/// Text that may stand in an element or in an attribute between double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::across(1.13, 4.9, 5);
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [2.0, 3.0, 4.0]);
        assert_eq!(axis.name(2.0), "2");
        let fine = Axis::across(0.0, 0.5, 5);
        assert_eq!(
            fine.ticks().map(|tick| fine.name(tick)).collect::<Vec<_>>().join(" "),
            "0.0 0.1 0.2 0.3 0.4 0.5"
        );
        assert_eq!((fine.at(0.0), fine.at(0.5), fine.at(9.0)), (LEFT, RIGHT, RIGHT));
        let up = Axis::up(1234.0, 4);
        assert_eq!((up.to, up.name(1500.0)), (1500.0, "1,500".to_owned()));
        assert_eq!(Axis::across(3.0, 3.0, 4).at(3.0), f64::midpoint(LEFT, RIGHT));
    }

    #[test]
    fn data_cannot_leave_its_place() {
        let mut plot = Plot::new("a \"quoted\" <title>", "x");
        plot.bar("c", [0.0, 0.0], [1.0, 1.0], "</title><script>");
        plot.text("end", [0.0, 0.0], "&<'");
        let svg = plot.finish();
        assert!(!svg.contains("<script") && svg.contains("&amp;&lt;&#39;"), "{svg}");
        assert!(svg.contains("a &quot;quoted&quot; &lt;title&gt;"), "{svg}");
    }
}
