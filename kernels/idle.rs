//! When a device has nothing to do, told to whoever measures it.
//!
//! All work of a step is on one stream and the host waits for it once, where it fetches what was
//! drawn. From then until the next step's first kernel the device waits for the host, and so a clock
//! beside these three moments measures that gap without a profiler. For benches alone; the
//! listener is the process's, since a bench is one. This crate reads no clock: the listener does.

use std::sync::OnceLock;

/// A moment of a step on a device that works beside the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The step's first kernel is about to be handed over.
    Begins,
    /// All of the step is handed over, and the host begins to wait for it.
    Waits,
    /// The device has done all that it was given.
    Idle,
}

static LISTENER: OnceLock<fn(Moment)> = OnceLock::new();

/// Calls `listener` at each moment from now on; the first listener stays.
pub fn listen(listener: fn(Moment)) {
    LISTENER.get_or_init(|| listener);
}

/// Tells the listener, if there is one.
pub(crate) fn tell(moment: Moment) {
    if let Some(listener) = LISTENER.get() {
        listener(moment);
    }
}
