//! The data set of a run: a folder that is a Hub repository, ready to push.
//!
//! Each leaf of the flow becomes a config of zstd Parquet shards, and a card is generated from what
//! was really written. A column's type must be known before its first page is written, and memory
//! must not grow with the data: so the first rows say what kinds there are, and should a later row
//! disagree, all are read for their kinds and written anew. It must not know recipes or steps: the
//! caller says what the card tells.

mod card;
mod check;
mod header;
mod implicit;
mod kind;
mod kto;
mod layout;
mod shards;
mod table;
#[cfg(test)]
mod tests;
pub(super) mod trl;

use std::fs;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use serde_json::Value;

use crate::data::disk::{FreshFolder, create_folder, remove_folder, write_atomic};
use crate::data::row::Columns;
use crate::{Error, Result};
use kind::Fields;
use shards::Shards;

pub use card::{About, CardModel};
pub use check::{Checked, check};
pub use header::CardFiles;
pub use layout::Layout;
use layout::{Placed, PlacedStream};

/// Most bytes of rows in one shard before encoding: the Hub's own default.
pub const SHARD_BYTES_MAX: u64 = 500_000_000;

/// Most rows, and about the most bytes, of one batch.
const N_BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 8 << 20;

/// Rows of a leaf, in the order in which they shall stand in the files.
pub type RowStream<'a> = Box<dyn Iterator<Item = Result<Columns>> + 'a>;

/// A leaf of the flow.
pub struct Leaf<'a> {
    /// Its name: the config's, when there are several.
    pub name: String,
    /// Begins the rows anew; called two to four times, and must give the same rows each time.
    pub rows: &'a dyn Fn() -> Result<RowStream<'a>>,
}

/// Which rows make the test split; it sees a row as the flow left it.
pub type IsTest<'a> = &'a dyn Fn(&Columns) -> bool;

/// What was written for one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `default` when there is only one.
    pub name: String,
    /// Its folder below the data set's.
    pub folder: String,
    /// Its splits that have rows: `train`, `test` or both, in this order.
    pub splits: Vec<Split>,
    /// The written schema.
    fields: Fields,
}

/// What was written for one split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// `train` or `test`.
    pub name: &'static str,
    /// Rows.
    pub n_rows: u64,
    /// Files.
    pub n_shards: usize,
    /// Bytes of the rows in memory.
    pub n_bytes: u64,
    /// Bytes of the files.
    pub file_bytes: u64,
}

impl Config {
    /// Rows of all splits.
    pub fn n_rows(&self) -> u64 {
        self.splits.iter().map(|split| split.n_rows).sum()
    }
}

/// Writes the data set to `folder`, in place of the one that may be there; rows for which
/// `is_test` holds go to a test split.
///
/// A leaf without rows makes no config: Parquet has no file without columns. Without a config there
/// is no data set, for nothing could load it, and the one of an earlier run goes.
///
/// # Errors
/// [`crate::Error::Environment`] when the disk refuses; the old folder is then untouched. Errors
/// of the rows are handed on.
pub fn write(
    folder: &Path,
    leaves: &[Leaf<'_>],
    layout: Layout,
    about: &About,
    is_test: Option<IsTest<'_>>,
) -> Result<Vec<Config>> {
    let form = Form { layout, is_test, shard_bytes_max: SHARD_BYTES_MAX };
    write_as(folder, leaves, &form, about)
}

/// How rows are written.
struct Form<'a> {
    layout: Layout,
    is_test: Option<IsTest<'a>>,
    shard_bytes_max: u64,
}

fn write_as(
    folder: &Path,
    leaves: &[Leaf<'_>],
    form: &Form<'_>,
    about: &About,
) -> Result<Vec<Config>> {
    let fresh = FreshFolder::begin(folder)?;
    let configs = fill_as(fresh.path(), leaves, form, about)?;
    if configs.is_empty() {
        fresh.discard()?;
        remove_folder(folder)?;
    } else {
        fresh.put()?;
    }
    Ok(configs)
}

/// Writes the data set into a folder that is there and empty; nothing where no leaf has a row.
///
/// # Errors
/// As [`write`].
pub(super) fn fill(
    folder: &Path,
    leaves: &[Leaf<'_>],
    layout: Layout,
    about: &About,
    is_test: Option<IsTest<'_>>,
) -> Result<Vec<Config>> {
    let form = Form { layout, is_test, shard_bytes_max: SHARD_BYTES_MAX };
    fill_as(folder, leaves, &form, about)
}

fn fill_as(
    folder: &Path,
    leaves: &[Leaf<'_>],
    form: &Form<'_>,
    about: &About,
) -> Result<Vec<Config>> {
    let mut configs = Vec::new();
    for leaf in leaves {
        let (name, below) = match leaves {
            [_] => ("default", "data"),
            _ => (leaf.name.as_str(), leaf.name.as_str()),
        };
        let target = Target { name, below, place: folder.join(below), form };
        configs.extend(write_leaf(&target, leaf)?);
    }
    if !configs.is_empty() {
        let card = card::card(about, &configs, form.layout);
        write_atomic(&folder.join("README.md"), card.as_bytes())?;
    }
    Ok(configs)
}

/// Where and how one leaf is written.
struct Target<'a> {
    /// The config's name.
    name: &'a str,
    /// Its folder, below the data set's.
    below: &'a str,
    /// That folder.
    place: PathBuf,
    form: &'a Form<'a>,
}

fn write_leaf(target: &Target<'_>, leaf: &Leaf<'_>) -> Result<Option<Config>> {
    let Form { layout, is_test, .. } = target.form;
    let place = |row: Columns| -> Placed {
        let is_test = is_test.is_some_and(|is_test| is_test(&row));
        (row, is_test)
    };
    let rows = || -> Result<PlacedStream<'_>> {
        let placed = (leaf.rows)()?.map(move |row| row.map(place));
        Ok(layout.lay_out(Box::new(placed)))
    };
    let first = kinds(rows()?.take(N_BATCH_ROWS))?;
    if !first.0.is_empty()
        && let Some(config) = write_shards(target, rows()?, &first)?
    {
        return Ok(Some(config));
    }
    let all = kinds(rows()?)?;
    if all.0.is_empty() {
        return Ok(None);
    }
    let config = write_shards(target, rows()?, &all)?;
    Ok(Some(config.expect("the same rows hold the same kinds")))
}

/// The kinds of all columns of `rows`.
fn kinds(rows: impl Iterator<Item = Result<Placed>>) -> Result<Fields> {
    let mut fields = Fields::default();
    for row in rows {
        fields.widen(&row?.0);
    }
    Ok(fields)
}

/// Writes rows of these kinds; nothing when one of them is of another kind.
fn write_shards(
    target: &Target<'_>,
    rows: impl Iterator<Item = Result<Placed>>,
    kinds: &Fields,
) -> Result<Option<Config>> {
    let Target { name, below, place, form } = target;
    remove_folder(place)?;
    create_folder(place)?;
    let mut seen = kinds.clone();
    let fields = kinds.clone().settled();
    let open = |split| OpenSplit::new(place, split, &fields, form.shard_bytes_max);
    let (mut train, mut test) = (open("train"), open("test"));
    for row in rows {
        let (row, is_test) = row?;
        if seen.widen(&row) {
            return Ok(None);
        }
        if is_test { test.push(row)? } else { train.push(row)? }
    }
    let splits = [train.finish()?, test.finish()?].into_iter().flatten().collect();
    let (name, folder) = ((*name).to_owned(), (*below).to_owned());
    Ok(Some(Config { name, folder, splits, fields }))
}

/// A split that is being written.
struct OpenSplit<'a> {
    name: &'static str,
    fields: &'a Fields,
    schema: SchemaRef,
    shards: Shards<'a>,
    /// Rows that wait for a batch to be full, and about their bytes.
    batch: Vec<Columns>,
    held: usize,
    n_rows: u64,
    n_bytes: u64,
}

impl<'a> OpenSplit<'a> {
    fn new(place: &'a Path, name: &'static str, fields: &'a Fields, shard_bytes_max: u64) -> Self {
        let schema = table::schema(fields);
        let shards = Shards::new(place, name, schema.clone(), shard_bytes_max);
        Self { name, fields, schema, shards, batch: Vec::new(), held: 0, n_rows: 0, n_bytes: 0 }
    }

    fn push(&mut self, row: Columns) -> Result<()> {
        self.held += row.values().map(weight).sum::<usize>();
        self.batch.push(row);
        if self.batch.len() < N_BATCH_ROWS && self.held < BATCH_BYTES {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let batch = table::batch(&self.schema, self.fields, &self.batch);
        let n_bytes = table::n_bytes(&batch);
        self.n_rows += self.batch.len() as u64;
        self.n_bytes += n_bytes;
        self.batch.clear();
        self.held = 0;
        self.shards.write(&batch, n_bytes)
    }

    /// What was written; nothing when there was no row.
    fn finish(mut self) -> Result<Option<Split>> {
        if !self.batch.is_empty() {
            self.flush()?;
        }
        let files = self.shards.finish()?;
        let mut file_bytes = 0;
        for file in &files {
            file_bytes += fs::metadata(file).map_err(|e| Error::disk("read", file, e))?.len();
        }
        let Self { name, n_rows, n_bytes, .. } = self;
        let split = Split { name, n_rows, n_shards: files.len(), n_bytes, file_bytes };
        Ok((n_rows > 0).then_some(split))
    }
}

/// About the bytes of a value.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(weight).sum(),
        Value::Object(object) => object.values().map(weight).sum(),
    }
}
