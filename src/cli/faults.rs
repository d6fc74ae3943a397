//! Errors as a person reads them: what, where, why, and the way out.

use std::error::Error as _;
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

/// All faults of a recipe, each with its line.
fn recipe(faults: &Faults, has_color: bool) -> String {
    let theme =
        if has_color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
    let text = Arc::new(NamedSource::new(&faults.file, faults.source.clone()));
    let mut shown = String::new();
    for fault in &faults.faults {
        let pointed = Pointed::new(fault, &text);
        handler.render_report(&mut shown, &pointed).expect("a string takes any text");
    }
    format!("{shown}\n{faults}; nothing was loaded.")
}

impl Pointed {
    fn new(fault: &Fault, text: &Arc<NamedSource<String>>) -> Self {
        Self {
            message: fault.message.clone(),
            hint: fault.hint.clone(),
            text: fault.place.is_some().then(|| text.clone()),
            place: fault.place.clone().map(SourceSpan::from),
        }
    }
}
