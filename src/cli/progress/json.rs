//! Events as one JSON object a line on stdout, each with the version of this schema.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::View;
use crate::Error;
use crate::pipeline::{Event, Summary};

/// Raised when a field changes its meaning or goes away; new fields and events do not raise it.
pub(in crate::cli) const SCHEMA_VERSION: u32 = 1;

/// Events on stdout.
pub(super) struct Events;

impl View for Events {
    fn on(&mut self, event: &Event<'_>, now: Duration) {
        let mut line = fields(event);
        line["schema_version"] = json!(SCHEMA_VERSION);
        line["seconds"] = json!((now.as_secs_f64() * 1e3).round() / 1e3);
        // A closed pipe is no error: whoever closed it has read enough.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// The last line of a run.
pub(in crate::cli) fn summary_line(summary: &Summary) -> String {
    let mut line = json!({ "event": "summary", "schema_version": SCHEMA_VERSION });
    line["summary"] = json!(summary);
    line.to_string()
}

/// The last line of a run that did not end well.
pub(in crate::cli) fn error_line(error: &Error) -> String {
    let mut line = json!({ "event": "error", "schema_version": SCHEMA_VERSION });
    line["exit_code"] = json!(error.exit_code());
    line["message"] = json!(error.to_string());
    line["hint"] = json!(error.hint());
    line.to_string()
}

fn fields(event: &Event<'_>) -> Value {
    match event {
        Event::Planned(plan) => json!({ "event": "planned", "plan": plan }),
        Event::Stage { index, n_stages } => {
            json!({ "event": "stage", "index": index, "n_stages": n_stages })
        }
        Event::Loading { model } => json!({ "event": "loading", "model": model }),
        Event::Reading { model, n_done, n_total } => {
            json!({ "event": "reading", "model": model, "n_done": n_done, "n_total": n_total })
        }
        Event::Loaded { model } => json!({ "event": "loaded", "model": model }),
        Event::Unloaded { model } => json!({ "event": "unloaded", "model": model }),
        Event::Row { step, reused } => json!({ "event": "row", "step": step, "reused": reused }),
        Event::Dropped { step, reason, reused } => {
            json!({ "event": "dropped", "step": step, "reason": reason, "reused": reused })
        }
        Event::Answered { model, tokens } => {
            json!({ "event": "answered", "model": model, "tokens": tokens })
        }
        Event::RootDone { n_done } => json!({ "event": "root_done", "n_done": n_done }),
        Event::Note { text } => json!({ "event": "note", "text": text }),
        Event::WritingDataset => json!({ "event": "writing_dataset" }),
    }
}
