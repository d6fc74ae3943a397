//! Errors as a person reads them: what, where, why, and the way out.

use std::error::Error as _;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource, SourceSpan};

use super::screen::Screen;
use crate::Error;
use crate::recipe::{Fault, Faults};

/// A fault with the text that it points into.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
struct Pointed {
    message: String,
    #[help]
    hint: Option<String>,
    #[source_code]
    text: Option<Arc<NamedSource<String>>>,
    #[label]
    place: Option<SourceSpan>,
}

/// Shows an error on stderr.
pub(super) fn show(error: &Error, screen: &Screen) {
    if let Error::Recipe(faults) = error {
        screen.tell(&recipe(faults, screen.has_color));
        return;
    }
    screen.tell(&format!("{} {error}", screen.styled("1;31", "error:")));
    let mut cause = error.source();
    while let Some(inner) = cause {
        // A cause that only repeats the line above says nothing.
        if !error.to_string().contains(&inner.to_string()) {
            screen.tell(&format!("  because {inner}"));
        }
        cause = inner.source();
    }
    if let Some(hint) = error.hint() {
        screen.tell(&format!("{} {hint}", screen.styled("1;36", "hint:")));
    }
}

/// Faults that are shown; more say nothing new.
const N_SHOWN_MAX: usize = 40;

/// Longest line that is shown with a fault, in bytes; a longer one would fill the screen.
const LINE_BYTES_MAX: usize = 2000;

/// The faults of a recipe, each with its line.
fn recipe(faults: &Faults, has_color: bool) -> String {
    let theme =
        if has_color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
    let text = Arc::new(NamedSource::new(&faults.file, faults.source.clone()));
    let mut shown = String::new();
    for fault in faults.faults.iter().take(N_SHOWN_MAX) {
        let pointed = Pointed::new(fault, &text, &faults.source);
        handler.render_report(&mut shown, &pointed).expect("a string takes any text");
    }
    let more = faults.faults.len().saturating_sub(N_SHOWN_MAX);
    let more = if more > 0 { format!(" ({more} are not shown)") } else { String::new() };
    format!("{shown}\n{faults}{more}; nothing was loaded.")
}

impl Pointed {
    fn new(fault: &Fault, text: &Arc<NamedSource<String>>, source: &str) -> Self {
        let (mut message, hint) = (fault.message.clone(), fault.hint.clone());
        let mut place = fault.place.clone();
        if let Some(range) = place.take_if(|range| longest_line(source, range) > LINE_BYTES_MAX) {
            let (line, column) = line_and_column(source, range.start);
            message = format!("line {line}, column {column}: {message}");
        }
        let text = place.is_some().then(|| text.clone());
        Self { message, hint, text, place: place.map(SourceSpan::from) }
    }
}

/// Bytes of the longest of the lines that hold `range`.
fn longest_line(source: &str, range: &Range<usize>) -> usize {
    let (start, end) = (range.start.min(source.len()), range.end.min(source.len()));
    let first = source.as_bytes()[..start].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let last = source.as_bytes()[end..].iter().position(|b| *b == b'\n');
    let last = last.map_or(source.len(), |at| end + at);
    source.as_bytes()[first..last].split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0)
}

/// Line and column of a byte, both from 1.
fn line_and_column(source: &str, at: usize) -> (usize, usize) {
    let before = &source.as_bytes()[..at.min(source.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    (line, before.len() - line_start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_far_to_the_right_is_told_in_numbers() {
        let source = format!("a = 1\nb = [{}7]\n", "1, ".repeat(30_000));
        let at = source.len() - 3;
        let fault = Fault { message: "7 is too much".into(), hint: None, place: Some(at..at + 1) };
        let faults = Faults { file: "r.toml".into(), source, faults: vec![fault; 60] };
        let shown = recipe(&faults, false);
        assert!(shown.contains("line 2, column 90006: 7 is too much"), "{}", &shown[..200]);
        assert!(shown.contains("(20 are not shown)") && shown.len() < 10_000);
    }
}
