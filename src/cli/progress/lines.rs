//! Progress as plain lines, every few seconds: for logs, pipes and CI.

use std::time::Duration;

use super::counts::{Counts, StepCount};
use super::{View, clock, sentence};
use crate::cli::screen::Screen;
use crate::pipeline::Event;

/// Between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// Lines on stderr.
pub(super) struct Lines {
    screen: Screen,
    counts: Counts,
    next: Duration,
}

impl Lines {
    /// The first line comes after the first interval.
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, counts: Counts::default(), next: EVERY }
    }

    fn step(&self, step: &StepCount) -> String {
        let total = step.n_rows.map_or(String::new(), |n| format!("/{n}"));
        let dropped = match step.n_dropped {
            0 => String::new(),
            n => format!(" ({n} dropped)"),
        };
        format!("{} {}{total}{dropped}", step.name, step.n_done())
    }

    fn line(&self, now: Duration) -> String {
        let steps: Vec<String> = self.counts.steps.iter().map(|step| self.step(step)).collect();
        let mut line = format!("[{}] {}", clock(now), steps.join(", "));
        for (idx, model) in self.counts.models.iter().enumerate() {
            if let Some(percent) = model.n_percent_read {
                line += &format!("; {} {percent} % read", model.name);
            }
            if let Some(rate) = model.rate() {
                line += &format!("; {} {rate:.0} tok/s", model.name);
            }
            if let Some(left) = self.counts.model_left(idx) {
                line += &format!(", {} left", clock(left));
            }
        }
        line
    }
}

impl View for Lines {
    fn on(&mut self, event: &Event<'_>, now: Duration) {
        self.counts.take(event, now);
        if let Some(text) = sentence(event) {
            self.screen.tell(&text);
        }
        if now >= self.next {
            self.screen.tell(&self.line(now));
            self.next = now + EVERY;
        }
    }
}
