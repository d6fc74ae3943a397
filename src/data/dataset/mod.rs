//! The data set of a run: a folder that is a Hub repository, ready to push.
//!
//! Each leaf of the flow becomes a config of zstd Parquet shards, and a card is generated from what
//! was really written. A column's type must be known before its first page is written, and memory
//! must not grow with the data: so the first rows say what kinds there are, and should a later row
//! disagree, all are read for their kinds and written anew. It must not know recipes or steps: the
//! caller says what the card tells.

mod card;
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

use serde_json::Value;

use crate::data::disk::{FreshFolder, create_folder, remove_folder, write_atomic};
use crate::data::row::Columns;
use crate::{Error, Result};
use kind::Fields;
use shards::Shards;

pub use card::{About, CardModel};
pub use layout::Layout;

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

/// What was written for one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `default` when there is only one.
    pub name: String,
    /// Its folder below the data set's.
    pub folder: String,
    /// Rows.
    pub n_rows: u64,
    /// Files.
    pub n_shards: usize,
    /// Bytes of the rows in memory.
    pub n_bytes: u64,
    /// Bytes of the files.
    pub file_bytes: u64,
    /// The written schema.
    fields: Fields,
}

/// Writes the data set to `folder`, in place of the one that may be there.
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
) -> Result<Vec<Config>> {
    write_sharded(folder, leaves, layout, about, SHARD_BYTES_MAX)
}

fn write_sharded(
    folder: &Path,
    leaves: &[Leaf<'_>],
    layout: Layout,
    about: &About,
    shard_bytes_max: u64,
) -> Result<Vec<Config>> {
    let fresh = FreshFolder::begin(folder)?;
    let configs = fill_sharded(fresh.path(), leaves, layout, about, shard_bytes_max)?;
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
) -> Result<Vec<Config>> {
    fill_sharded(folder, leaves, layout, about, SHARD_BYTES_MAX)
}

fn fill_sharded(
    folder: &Path,
    leaves: &[Leaf<'_>],
    layout: Layout,
    about: &About,
    shard_bytes_max: u64,
) -> Result<Vec<Config>> {
    let mut configs = Vec::new();
    for leaf in leaves {
        let (name, below) = match leaves {
            [_] => ("default", "data"),
            _ => (leaf.name.as_str(), leaf.name.as_str()),
        };
        let target = Target { name, below, place: folder.join(below), shard_bytes_max };
        configs.extend(write_leaf(&target, leaf, layout)?);
    }
    if !configs.is_empty() {
        let card = card::card(about, &configs, layout);
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
    shard_bytes_max: u64,
}

fn write_leaf(target: &Target<'_>, leaf: &Leaf<'_>, layout: Layout) -> Result<Option<Config>> {
    let rows = || -> Result<RowStream<'_>> { Ok(layout.lay_out((leaf.rows)()?)) };
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
fn kinds(rows: impl Iterator<Item = Result<Columns>>) -> Result<Fields> {
    let mut fields = Fields::default();
    for row in rows {
        fields.widen(&row?);
    }
    Ok(fields)
}

/// Writes rows of these kinds; nothing when one of them is of another kind.
fn write_shards(
    target: &Target<'_>,
    rows: impl Iterator<Item = Result<Columns>>,
    kinds: &Fields,
) -> Result<Option<Config>> {
    let Target { name, below, place, shard_bytes_max } = target;
    remove_folder(place)?;
    create_folder(place)?;
    let mut seen = kinds.clone();
    let fields = kinds.clone().settled();
    let schema = table::schema(&fields);
    let mut shards = Shards::new(place, "train", schema.clone(), *shard_bytes_max);
    let (mut n_rows, mut n_bytes) = (0, 0);
    let mut put = |rows: &mut Vec<Columns>| {
        let batch = table::batch(&schema, &fields, rows);
        let batch_bytes = table::n_bytes(&batch);
        n_rows += rows.len() as u64;
        n_bytes += batch_bytes;
        rows.clear();
        shards.write(&batch, batch_bytes)
    };
    let (mut batch, mut held) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        if seen.widen(&row) {
            return Ok(None);
        }
        held += row.values().map(weight).sum::<usize>();
        batch.push(row);
        if batch.len() == N_BATCH_ROWS || held >= BATCH_BYTES {
            put(&mut batch)?;
            held = 0;
        }
    }
    if !batch.is_empty() {
        put(&mut batch)?;
    }
    let files = shards.finish()?;
    let mut file_bytes = 0;
    for file in &files {
        file_bytes += fs::metadata(file).map_err(|e| Error::disk("read", file, e))?.len();
    }
    let (name, folder, n_shards) = ((*name).to_owned(), (*below).to_owned(), files.len());
    Ok(Some(Config { name, folder, n_rows, n_shards, n_bytes, file_bytes, fields }))
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
