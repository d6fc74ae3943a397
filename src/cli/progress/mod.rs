//! A run's progress: bars where someone watches, plain lines where nobody does, JSON events for
//! programs.

mod bars;
mod counts;
mod fetching;
mod json;
mod lines;

use std::time::{Duration, Instant};

use crate::pipeline::{Event, Watcher};

use bars::Bars;
use lines::Lines;

use super::screen::Screen;

pub(super) use fetching::fetching;
pub(super) use json::{SCHEMA_VERSION, error_line, summary_line};

/// All who are told of a run's events.
pub(super) struct Progress {
    started: Instant,
    watchers: Vec<Box<dyn View>>,
}

/// One way to show events.
trait View {
    /// Takes an event that happened at `now`, counted from the start.
    fn on(&mut self, event: &Event<'_>, now: Duration);
}

impl Progress {
    /// Progress on stderr unless `is_quiet`, and events on stdout if `is_json`.
    pub(super) fn new(screen: &Screen, is_quiet: bool, is_json: bool) -> Self {
        let mut watchers: Vec<Box<dyn View>> = Vec::new();
        if is_json {
            watchers.push(Box::new(json::Events));
        }
        if !is_quiet {
            let on_screen: Box<dyn View> = if screen.is_watched {
                Box::new(Bars::new())
            } else {
                Box::new(Lines::new(*screen))
            };
            watchers.push(on_screen);
        }
        Self { started: Instant::now(), watchers }
    }
}

impl Watcher for Progress {
    fn on(&mut self, event: &Event<'_>) {
        let now = self.started.elapsed();
        for watcher in &mut self.watchers {
            watcher.on(event, now);
        }
    }
}

/// `1:02:03`, `2:03` or `0:03`.
fn clock(time: Duration) -> String {
    let (hours, minutes, seconds) = {
        let n = time.as_secs();
        (n / 3600, n / 60 % 60, n % 60)
    };
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// What to say of an event that is worth a line of its own.
fn sentence(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Loading { model } => Some(format!("loading {model}")),
        Event::Stage { index, n_stages } if *n_stages > 1 => {
            Some(format!("stage {} of {n_stages}: the models do not fit together", index + 1))
        }
        Event::Note { text } => Some(format!("note: {text}")),
        Event::WritingDataset => Some("writing the data set".to_owned()),
        Event::Stage { .. }
        | Event::Planned(_)
        | Event::Reading { .. }
        | Event::Loaded { .. }
        | Event::Unloaded { .. }
        | Event::Row { .. }
        | Event::Dropped { .. }
        | Event::Answered { .. }
        | Event::RootDone { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let shown = |n| clock(Duration::from_secs(n));
        assert_eq!([shown(3), shown(123), shown(3723)], ["0:03", "2:03", "1:02:03"]);
    }
}
