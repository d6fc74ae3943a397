//! `report.html`: what a run is worth, on one page that needs no network and no script.
//!
//! The figures are those of [`Figures`]; only the sample pairs are read here. Text of rows, models
//! and recipes reaches the page through the template's escaping or the charts' own, never as it
//! is. It must not know how a run works.

mod charts;
mod judge;
mod page;
mod pairs;
mod samples;
mod words;

use std::path::PathBuf;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};

use super::stats::Figures;
use crate::Result;
use crate::data::disk;
use crate::data::folder::RunFolder;

use page::Page;

const TEMPLATE: &str = "report.html";

/// Writes the report of a run into its folder and says where.
///
/// # Errors
/// When the disk refuses or a file of the run is damaged.
pub fn write(folder: &RunFolder) -> Result<PathBuf> {
    let figures = Figures::read(folder)?;
    let page = Page::build(&figures, folder)?;
    let path = folder.report();
    disk::write_atomic(&path, render(&page).as_bytes())?;
    Ok(path)
}

fn render(page: &Page) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters are valid"));
    environment.add_template("style.css", include_str!("style.css")).expect("our own style parses");
    let template = include_str!("report.html.j2");
    environment.add_template(TEMPLATE, template).expect("our own template parses");
    let template = environment.get_template(TEMPLATE).expect("it was just added");
    template.render(minijinja::Value::from(Serde(page))).expect("a page has what its template asks")
}

/// A chart with its words and its numbers.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
struct Chart {
    title: String,
    /// How to read it, or what it comes to.
    lead: String,
    /// Inline SVG, safe as it is.
    svg: String,
    /// The head of the table of its numbers.
    head: Vec<&'static str>,
    /// The rows of that table.
    numbers: Vec<Vec<String>>,
}

/// A figure with its name.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
struct Fact {
    name: String,
    value: String,
}

impl Fact {
    fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into() }
    }
}
