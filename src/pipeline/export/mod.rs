//! A run's pairs in the files that a trainer reads.
//!
//! It reads the run folder and changes nothing in it but the export's own folder; a run may be
//! going on meanwhile. Rows stand in the data's order, whichever order they were finished in. It
//! must not know what a format looks like.

mod order;
pub(super) mod reader;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reader::RunReader;

use super::split;
use crate::data::dataset::{self, IsTest, RowStream};
use crate::data::export::{self, Format, Place};
use crate::data::journal::JournalReader;
use crate::data::row::Columns;
use crate::{Error, Result};

/// What to export, and where to.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// What the trainer wants.
    pub format: Format,
    /// The leaf whose pairs are meant; may be left out where only one holds pairs.
    pub leaf: Option<String>,
    /// The folder; `exports/FORMAT` in the run's when not given.
    pub out: Option<PathBuf>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// The leaf whose pairs these are.
    pub leaf: String,
    /// Rows of the files.
    pub n_rows: u64,
    /// Those of them that are kept for testing, as the recipe's `test_share` has it.
    pub n_test: u64,
    /// Pairs that the format cannot hold, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Lines that make the trainer read the files.
    pub snippet: String,
    /// Whether the run was finished; otherwise there are more pairs to come.
    pub is_finished: bool,
}

/// Exports the pairs of a run.
///
/// # Errors
/// [`Error::Usage`] when `run` is no run, holds no pairs, holds them in several leaves of which
/// none is named, or the target is somebody else's; [`Error::Environment`] when the disk refuses.
pub fn export(run: &Path, options: &ExportOptions) -> Result<Exported> {
    let reader = RunReader::open(run)?;
    let leaf = leaf(&reader, options.leaf.as_deref())?;
    let path = reader.journal(leaf);
    let offsets = order::offsets(&reader, leaf)?;
    let journal = &RefCell::new(JournalReader::open(&path)?);
    let rows = || -> Result<RowStream<'_>> {
        let read = move |offset: &u64| {
            let entry = journal.borrow_mut().read_at(*offset);
            entry.map(|entry| entry.row.columns)
        };
        Ok(Box::new(offsets.iter().map(read)))
    };
    let leaf = dataset::Leaf { name: reader.steps[leaf].name.clone(), rows: &rows };
    let below = || Path::new("exports").join(options.format.name());
    let folder = options.out.clone().unwrap_or_else(|| run.join(below()));
    let folder = std::path::absolute(&folder).map_err(|e| Error::disk("find", &folder, e))?;
    let name = identifier(&reader.name);
    let share = reader.test_share()?;
    let is_test = move |row: &Columns| split::is_test(row, share);
    let is_test: Option<IsTest<'_>> = if share > 0.0 { Some(&is_test) } else { None };
    let about = reader.about()?;
    let written = export::write(&folder, options.format, &leaf, &name, &about, is_test)?;
    let has_test = written.n_test > 0;
    let shown = folder.display().to_string();
    Ok(Exported {
        snippet: options.format.snippet(Place { folder: &shown, name: &name, has_test }),
        leaf: leaf.name,
        n_rows: written.n_rows,
        n_test: written.n_test,
        left_out: written.left_out,
        is_finished: reader.is_finished()?,
        folder,
    })
}

/// The leaf to export.
fn leaf(run: &RunReader, wanted: Option<&str>) -> Result<usize> {
    let fault = |what: String, hint: &str| Err(Error::Usage { what, hint: hint.to_owned() });
    let leaves: Vec<usize> = run.leaves().collect();
    let names = |leaves: &[usize]| {
        let names: Vec<_> =
            leaves.iter().map(|leaf| format!("`{}`", run.steps[*leaf].name)).collect();
        names.join(", ")
    };
    if let Some(wanted) = wanted {
        return match leaves.iter().find(|leaf| run.steps[**leaf].name == wanted) {
            Some(leaf) => Ok(*leaf),
            None => fault(
                format!("`{wanted}` is no leaf of {}", run.root().display()),
                &format!("its leaves are {}", names(&leaves)),
            ),
        };
    }
    let mut with_pairs = Vec::new();
    for leaf in &leaves {
        if run.has_pairs(*leaf)? {
            with_pairs.push(*leaf);
        }
    }
    match with_pairs[..] {
        [leaf] => Ok(leaf),
        [] => fault(
            format!("{} holds no pairs: no row of {} is one", run.root().display(), names(&leaves)),
            "let the flow end in FormatTextGenerationDPO and run it to its end; why rows left it is \
             in dropped.jsonl",
        ),
        _ => fault(
            format!("several leaves of {} hold pairs", run.root().display()),
            &format!("name one with --leaf: {}", names(&with_pairs)),
        ),
    }
}

/// A name as configuration files take it.
fn identifier(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().map(plain).collect()
}
