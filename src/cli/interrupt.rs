//! Ctrl-C, or the end of a session: once to stop after what is in hand, twice to stop at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::pipeline::shell_word;
use crate::{Error, Result};

/// The exit code of an interrupted command.
const INTERRUPTED: i32 = 130;

/// A flag that the first Ctrl-C raises. The second ends the process: every finished row is
/// already on disk, so nothing but the rows in flight is lost.
pub(super) fn watch() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    let on_signal = move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        eprintln!("\nstopping after the rows in hand; once more to stop at once");
    };
    ctrlc::set_handler(on_signal).map_err(|error| {
        Error::environment_from("cannot listen for Ctrl-C", "start it again", error)
    })?;
    Ok(flag)
}

/// This process's command, to be typed again.
pub(super) fn this_command() -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    words.map(|word| shell_word(&word)).collect::<Vec<_>>().join(" ")
}
