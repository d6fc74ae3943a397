//! How much of a step the device waits for the host, and the host for the device.
//!
//! Taken with the host's clock at the moments that the kernels tell (`kernels/idle.rs`). Between
//! two steps the device surely has nothing to do. Within a step it works while the host hands over
//! more, and whether it ever ran dry there shows in the other share: where the host hardly waits, it
//! is the handing over that takes the time. On a CPU neither is told, and neither is shown.
//!
//! A step begins for this clock at its embedding. The batch's arrays and the rows of the rope table
//! are on their way before that, and the device's short work on them counts as idle: the share is a
//! little too high rather than too low.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use stillroom_kernels::idle::{self, Moment};

/// What has added up since the process began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gap {
    /// Since when the device has had nothing to do.
    idle_since: Option<Instant>,
    /// Since when the host has been waiting.
    waits_since: Option<Instant>,
    /// Times that the host has waited.
    n_waits: u64,
    idle: Duration,
    waiting: Duration,
}

/// Shares of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shares {
    /// Between steps, where the device waits for the host.
    pub(super) idle: f64,
    /// At the end of steps, where the host waits for the device.
    pub(super) waiting: f64,
}

static ALL: Mutex<Gap> = Mutex::new(Gap {
    idle_since: None,
    waits_since: None,
    n_waits: 0,
    idle: Duration::ZERO,
    waiting: Duration::ZERO,
});

/// Starts to listen.
pub(super) fn watch() {
    idle::listen(|moment| {
        let now = Instant::now();
        ALL.lock().unwrap_or_else(PoisonError::into_inner).note(moment, now);
    });
}

impl Gap {
    /// What has added up so far.
    pub(super) fn now() -> Self {
        *ALL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what has come since `before`.
    pub(super) fn add_since(&mut self, before: Self) {
        let now = Self::now();
        self.n_waits += now.n_waits - before.n_waits;
        self.idle += now.idle - before.idle;
        self.waiting += now.waiting - before.waiting;
    }

    /// The shares that these are of `wall`; nothing where nothing was told.
    pub(super) fn shares(self, wall: Duration) -> Option<Shares> {
        let share = |part: Duration| part.as_secs_f64() / wall.as_secs_f64();
        (self.n_waits > 0).then(|| Shares { idle: share(self.idle), waiting: share(self.waiting) })
    }

    fn note(&mut self, moment: Moment, now: Instant) {
        match moment {
            // A step that draws nothing ends without a wait: the device may still be at work.
            Moment::Begins => {
                self.idle += self.idle_since.take().map_or(Duration::ZERO, |since| now - since);
            }
            Moment::Waits => self.waits_since = Some(now),
            Moment::Idle => {
                self.waiting += self.waits_since.take().map_or(Duration::ZERO, |since| now - since);
                self.n_waits += 1;
                self.idle_since = Some(now);
            }
        }
    }
}

/// The end of a line of the report; empty where nothing was told.
pub(super) fn shown_gap(idle: &Value, waiting: &Value) -> String {
    match (idle.as_f64(), waiting.as_f64()) {
        (Some(idle), Some(waiting)) => {
            let [idle, waiting] = [idle, waiting].map(|share| 100.0 * share);
            format!(", device idle {idle:.1}% between steps, host waits {waiting:.1}%")
        }
        (None, _) | (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_apart() {
        let start = Instant::now();
        let mut gap = Gap::default();
        let mut note = |moment, ms| gap.note(moment, start + Duration::from_millis(ms));
        // A step that draws nothing, then three that do, the last one cut off.
        note(Moment::Begins, 0);
        note(Moment::Begins, 5);
        note(Moment::Waits, 10);
        note(Moment::Idle, 40);
        note(Moment::Begins, 42);
        note(Moment::Waits, 50);
        note(Moment::Idle, 100);
        note(Moment::Begins, 103);
        let wall = Duration::from_millis(160);
        assert_eq!(gap.shares(wall), Some(Shares { idle: 0.031_25, waiting: 0.5 }));
        assert_eq!(Gap::default().shares(wall), None);
        let shown = shown_gap(&0.05.into(), &0.8.into());
        assert_eq!(shown, ", device idle 5.0% between steps, host waits 80.0%");
        assert_eq!(shown_gap(&Value::Null, &Value::Null), "");
    }
}
