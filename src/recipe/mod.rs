//! From a recipe file, or from Rust, to checked values.
//!
//! The whole recipe is checked before any weight is read, and everything that is wrong is told at
//! once. It must not know how a step runs, nor load a model.

mod builder;
mod check;
mod contract;
mod draft;
mod faults;
mod fields;
mod file;
mod flow;
mod graph;
mod nearest;
mod place;
mod set;
mod source;
pub mod spec;
mod step;
mod tree;
mod values;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

pub use builder::{Builder, Flow, step};
pub use check::Inspect;
pub use contract::{ColumnSet, METADATA, MODEL_NAME};
pub use faults::{Fault, Faults};
pub use source::Source;
pub use spec::Recipe;

use crate::data::read::{self, FileSource};
use crate::{Error, Result};
use spec::Step;

impl Recipe {
    /// Reads and checks a recipe file.
    ///
    /// `overrides` are written into it first, as `--set` gives them. Data files are looked into
    /// for their columns; one that cannot be read is left to the run to complain about.
    ///
    /// # Errors
    /// When the file cannot be read, or with all faults of the recipe.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::load_with(path, overrides, &file_columns)
    }

    /// As [`Recipe::load`]; `inspect` tells the columns of a loader's data.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn load_with(path: &Path, overrides: &[String], inspect: Inspect<'_>) -> Result<Self> {
        let file = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| Error::Usage {
            what: format!("cannot read the recipe {file}: {error}"),
            hint: "`stillroom init recipe.toml` writes one that runs as it is".to_owned(),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| Error::Usage {
            what: format!("the recipe {file} is not UTF-8: {}", error.utf8_error()),
            hint: "save it as UTF-8".to_owned(),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self::parse(&text, &file, folder, overrides, inspect)?)
    }

    /// Checks a recipe's text. `file` names it in messages and, by its stem, a recipe without a
    /// name; relative paths in the text are seen from `folder`.
    ///
    /// # Errors
    /// All faults, each with its place.
    pub fn parse(
        text: &str,
        file: &str,
        folder: &Path,
        overrides: &[String],
        inspect: Inspect<'_>,
    ) -> Result<Self, Faults> {
        let mut found = place::Findings::new(overrides);
        let recipe = tree::parse(text, &mut found).and_then(|mut root| {
            set::apply(&mut root, overrides, &mut found);
            let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
            let context = file::Context { text, folder, default_name: stem.unwrap_or("recipe") };
            let draft = file::draft(&root, &context, &mut found);
            check::check(draft, inspect, &mut found)
        });
        match recipe {
            Some(recipe) if found.is_empty() => Ok(recipe),
            _ => Err(found.into_faults(file, text)),
        }
    }
}

/// The columns of the first rows of a loader's file, if it has one that can be read.
pub fn file_columns(loader: &Step) -> Option<Vec<String>> {
    let Step::LoadDataFromFileSystem(loader) = loader else { return None };
    let path = loader.path.clone();
    let source = FileSource { path, num_examples: None, columns: BTreeMap::new() };
    read::columns(&source).ok().filter(|columns| !columns.is_empty())
}
