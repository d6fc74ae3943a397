//! `events.jsonl`: what happened and when. The only file of a run that holds wall-clock times.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::Result;
use crate::data::lines::Lines;

/// The open file.
pub(crate) struct Log {
    lines: Lines,
}

impl Log {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { lines: Lines::open(path)?.0 })
    }

    /// Writes one event down, with the fields of `more` (an object).
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn write(&mut self, event: &str, more: Value) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = json!({ "time": now.as_millis() as f64 / 1e3, "event": event });
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more);
        }
        self.lines.append(format!("{line}\n").as_bytes()).map(|_| ())
    }

    /// Puts everything on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.lines.sync()
    }
}
