//! Progress as bars: one for each step, one line for each model.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::counts::Counts;
use super::{View, clock, sentence};
use crate::pipeline::Event;

/// Redraws a second.
const N_DRAWS_PER_SECOND: u8 = 10;

/// Bars on stderr; gone when the run is over.
pub(super) struct Bars {
    all: MultiProgress,
    steps: Vec<ProgressBar>,
    models: Vec<ProgressBar>,
    counts: Counts,
    next: Duration,
}

impl Bars {
    /// Nothing to see before the plan is made.
    pub(super) fn new() -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(N_DRAWS_PER_SECOND);
        Self {
            all: MultiProgress::with_draw_target(target),
            steps: Vec::new(),
            models: Vec::new(),
            counts: Counts::default(),
            next: Duration::ZERO,
        }
    }

    fn begin(&mut self) {
        let width = self.counts.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        let width = self.counts.models.iter().map(|model| model.name.len()).fold(width, usize::max);
        let style = |rest: &str| {
            ProgressStyle::with_template(&format!("  {{prefix:{width}}} {rest}"))
                .expect("a template of ours")
        };
        for step in &self.counts.steps {
            let bar = self.all.add(match step.n_rows {
                Some(n_rows) => ProgressBar::new(n_rows),
                None => ProgressBar::no_length(),
            });
            let look = match step.n_rows {
                Some(_) => "{bar:24} {pos:>6}/{len:<6} {msg}",
                None => "                         {pos:>6}        {msg}",
            };
            bar.set_style(style(look));
            bar.set_prefix(step.name.clone());
            self.steps.push(bar);
        }
        for model in &self.counts.models {
            let bar = self.all.add(ProgressBar::no_length());
            bar.set_style(style("{msg}"));
            bar.set_prefix(model.name.clone());
            self.models.push(bar);
        }
    }

    fn draw(&self) {
        for (step, bar) in self.counts.steps.iter().zip(&self.steps) {
            let left = self.counts.step_left(step).filter(|left| !left.is_zero());
            let left = left.map_or(String::new(), |left| format!("{} left", clock(left)));
            let dropped = match step.n_dropped {
                0 => String::new(),
                n => format!("{n} dropped  "),
            };
            bar.set_message(format!("{dropped}{left}"));
            bar.set_position(step.n_done());
        }
        for (idx, (model, bar)) in self.counts.models.iter().zip(&self.models).enumerate() {
            if let Some(percent) = model.n_percent_read {
                bar.set_message(format!("weights {percent} % read"));
                continue;
            }
            let rate = model.rate().map_or(String::new(), |rate| format!("{rate:.0} tok/s, "));
            let left = self.counts.model_left(idx).filter(|left| !left.is_zero());
            let left = left.map_or(String::new(), |left| format!(", {} left", clock(left)));
            bar.set_message(format!("{rate}{} tokens{left}", model.tokens.n_output));
        }
    }
}

impl View for Bars {
    fn on(&mut self, event: &Event<'_>, now: Duration) {
        self.counts.take(event, now);
        if matches!(event, Event::Planned(_)) {
            self.begin();
        }
        if let Some(text) = sentence(event) {
            // A terminal that is gone is told nothing.
            let _ = self.all.println(text);
        }
        if now >= self.next {
            self.draw();
            self.next = now + Duration::from_secs(1) / u32::from(N_DRAWS_PER_SECOND);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // A terminal that is gone needs no clearing.
        let _ = self.all.clear();
    }
}
