//! Where output goes and whether it may have colour.
//!
//! A closed pipe is no error: whoever closed it has read enough.

use std::io::{IsTerminal as _, Write as _};

use clap::ColorChoice;
use serde::Serialize;
use serde_json::json;

use super::progress::SCHEMA_VERSION;

/// The two streams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// Whether messages may have colour.
    pub(super) has_color: bool,
    /// Whether someone watches stderr, so that bars may be drawn on it.
    pub(super) is_watched: bool,
}

impl Screen {
    /// Looks at stderr and the environment once.
    pub(super) fn new(color: ColorChoice) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let has_color = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !is_set("NO_COLOR"),
        };
        Self { has_color, is_watched: is_terminal && !is_set("CI") }
    }

    /// A result, on stdout.
    pub(super) fn print(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// A result for a person, or as JSON with the version of its form.
    pub(super) fn answer(
        &self,
        is_json: bool,
        result: &impl Serialize,
        shown: impl FnOnce() -> String,
    ) {
        if !is_json {
            return self.print(&shown());
        }
        let mut result = json!(result);
        result["schema_version"] = json!(SCHEMA_VERSION);
        self.print(&format!("{result:#}"));
    }

    /// A message, on stderr.
    pub(super) fn tell(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// `text` in an ANSI style such as `1;31`, where colour is allowed.
    pub(super) fn styled(&self, style: &str, text: &str) -> String {
        if self.has_color { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
