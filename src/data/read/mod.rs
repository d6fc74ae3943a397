//! Rows of a local file: `.jsonl`, `.json` (an array of objects), `.csv` and `.parquet`.
//!
//! Files are streamed, so memory does not grow with them. A record that cannot be read is handed
//! on with its reason and costs nothing else; only a file that is missing, empty or of another
//! kind is an error. It must not know the step that asks or the run that it is part of.

mod arrow_cells;
mod csv;
mod json;
mod parquet;
mod path;
mod start;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use crate::data::dropped::Dropped;
use crate::data::journal::strip_bookkeeping;
use crate::data::row::{Columns, Roots, Row, RowId};
use crate::{Error, Result};

pub use path::ColumnPath;
pub use start::{ParquetStart, StartError};

/// Most bytes of one record. A longer one is passed over without being held in memory: a prompt
/// of 8 MiB fits no model, and a file without line ends must not fill the machine.
pub const N_RECORD_BYTES_MAX: usize = 8 << 20;

/// Records whose columns [`columns`] looks at.
const N_PEEKED: usize = 64;

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct FileSource {
    /// The file; its extension says what it is.
    pub path: PathBuf,
    /// Most rows to read; records that cannot be read do not count.
    pub num_examples: Option<usize>,
    /// Columns to add: a new name for a column or for a path in one, such as `turns[0]`. A column
    /// that already has the new name is replaced.
    pub columns: BTreeMap<String, String>,
}

/// Several files that are read as one.
#[derive(Debug, Clone, Default)]
pub struct SetSource {
    /// What the files are together, such as a repository's name.
    pub name: String,
    /// The files, in the order of their rows.
    pub files: Vec<PathBuf>,
    /// Most records to read, those that are no rows among them: behind the last one there may be
    /// nothing but a hole.
    pub n_records: Option<usize>,
    /// As [`FileSource::columns`].
    pub columns: BTreeMap<String, String>,
}

/// One record of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A row with its root id.
    Row(Row),
    /// Not a row.
    Bad(BadRecord),
}

/// A record that is no row.
#[derive(Debug, Clone, PartialEq)]
pub struct BadRecord {
    /// An id made of the file's name and the record's number.
    pub id: RowId,
    /// What is wrong, in words that are the same for every record with this fault.
    pub fault: Fault,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In words that are the same for every record with this fault.
    pub reason: String,
    /// The particulars: its place, what was found.
    pub detail: String,
}

impl Fault {
    fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

impl BadRecord {
    /// The line of `dropped.jsonl` for it.
    pub fn into_dropped(self, step: &str) -> Dropped {
        Dropped {
            row: self.id,
            step: step.to_owned(),
            reason: self.fault.reason,
            detail: Some(self.fault.detail),
            columns: Columns::new(),
        }
    }
}

/// A record as it stands in its file, without the identity of a row.
#[derive(Debug)]
pub struct RawRecord {
    /// Where it stands.
    pub place: Place,
    /// Its columns, or what is wrong with it.
    pub columns: Result<Columns, Fault>,
}

/// Where a record stands in its file, such as `line 17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What is counted: lines, records or rows.
    pub unit: &'static str,
    /// Its number, from 1.
    pub number: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.unit, self.number)
    }
}

/// The records of a file, in its order.
pub type RawRecords = Box<dyn Iterator<Item = Result<RawRecord>> + Send>;

/// The records of one or several files, in their order.
pub struct Reader {
    /// What is read, by the name that its bad records are known by.
    name: String,
    /// The file that is open.
    path: PathBuf,
    records: RawRecords,
    /// Files behind it.
    waiting: std::vec::IntoIter<PathBuf>,
    /// Whether places are told with their file.
    is_set: bool,
    paths: Vec<(String, ColumnPath)>,
    roots: Roots,
    n_rows_left: usize,
    n_records_left: usize,
    n_records: u64,
    ended: bool,
}

/// Opens a file.
///
/// # Errors
/// [`Error::Environment`] when it is missing, a folder, empty or damaged as a whole;
/// [`Error::Usage`] when its kind is not known or a path in `columns` cannot be understood.
pub fn open(source: &FileSource) -> Result<Reader> {
    let name = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut reader = Reader::open(name, vec![source.path.clone()], &source.columns, None)?;
    reader.n_rows_left = source.num_examples.unwrap_or(usize::MAX);
    Ok(reader)
}

/// Opens several files as one.
///
/// # Errors
/// As [`open`], and when there are none.
pub fn open_set(source: &SetSource) -> Result<Reader> {
    let SetSource { name, files, n_records, columns } = source;
    let mut reader = Reader::open(name.clone(), files.clone(), columns, *n_records)?;
    reader.is_set = source.files.len() > 1;
    Ok(reader)
}

/// The columns that the first rows of a file have, in the order in which they turn up, with those
/// that the source adds: what a recipe can be checked against before it runs.
///
/// # Errors
/// As [`open`] and as reading does.
pub fn columns(source: &FileSource) -> Result<Vec<String>> {
    first_columns(open(source)?)
}

/// As [`columns`], of several files.
///
/// # Errors
/// As [`open_set`] and as reading does.
pub fn set_columns(source: &SetSource) -> Result<Vec<String>> {
    first_columns(open_set(source)?)
}

fn first_columns(reader: Reader) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for record in reader.take(N_PEEKED) {
        if let Record::Row(row) = record? {
            for name in row.columns.keys() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
    }
    Ok(names)
}

/// The records of a file as they stand in it.
///
/// # Errors
/// [`Error::Environment`] when it is missing, a folder, empty or damaged as a whole;
/// [`Error::Usage`] when its kind is not known.
pub fn open_records(path: &Path) -> Result<RawRecords> {
    open_first_records(path, usize::MAX)
}

/// The records of a file, of which no more than `n_max` will be read: where the kind of the file
/// allows it, nothing behind them is touched.
fn open_first_records(path: &Path, n_max: usize) -> Result<RawRecords> {
    let file = File::open(path).map_err(|e| Error::disk("read", path, e))?;
    let meta = file.metadata().map_err(|e| Error::disk("read", path, e))?;
    if meta.is_dir() {
        return Err(Error::environment(
            format!("{} is a folder, not a file", path.display()),
            "name one .jsonl, .json, .csv or .parquet file in it",
        ));
    }
    if meta.len() == 0 {
        return Err(empty(path));
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    match extension.as_str() {
        "jsonl" | "ndjson" => Ok(json::lines(path, open_text(path, file)?)),
        "json" => json::array(path, open_text(path, file)?),
        "csv" => csv::records(path, open_text(path, file)?),
        "parquet" => parquet::records(path, file, n_max),
        _ => Err(Error::Usage {
            what: format!("cannot tell what {} is from its name", path.display()),
            hint: "use a file that ends in .jsonl, .json, .csv or .parquet".into(),
        }),
    }
}

/// A text file after its byte order mark, if it has one.
fn open_text(path: &Path, file: File) -> Result<BufReader<File>> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let head = reader.fill_buf().map_err(|e| Error::disk("read", path, e))?;
    if head.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    Ok(reader)
}

fn empty(path: &Path) -> Error {
    Error::environment(
        format!("{} holds no rows", path.display()),
        "check that this is the file you mean and that it was written to its end",
    )
}

impl Iterator for Reader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended && self.n_rows_left > 0 && self.n_records_left > 0 {
            match self.records.next() {
                Some(Ok(raw)) => {
                    self.n_records += 1;
                    self.n_records_left -= 1;
                    return Some(Ok(self.record(raw)));
                }
                Some(Err(e)) => {
                    self.ended = true;
                    return Some(Err(e));
                }
                None => match self.waiting.next() {
                    Some(path) => match open_first_records(&path, self.n_records_left) {
                        Ok(records) => (self.path, self.records) = (path, records),
                        Err(e) => {
                            self.ended = true;
                            return Some(Err(e));
                        }
                    },
                    None => {
                        self.ended = true;
                        return (self.n_records == 0).then(|| Err(empty(&self.path)));
                    }
                },
            }
        }
        None
    }
}

impl Reader {
    /// The first `n_records` records of `files`, or all.
    fn open(
        name: String,
        files: Vec<PathBuf>,
        columns: &BTreeMap<String, String>,
        n_records: Option<usize>,
    ) -> Result<Self> {
        let paths = columns.iter().map(|(name, text)| {
            let path = ColumnPath::parse(text).map_err(|what| Error::Usage {
                what: format!("columns.{name} = \"{text}\": {what}"),
                hint: "write a column or a path in one, such as turns[0] or answer.text".into(),
            });
            Ok((name.clone(), path?))
        });
        let paths = paths.collect::<Result<_>>()?;
        let mut waiting = files.into_iter();
        let path = waiting.next().ok_or_else(|| empty(Path::new(&name)))?;
        let n_records_left = n_records.unwrap_or(usize::MAX);
        Ok(Self {
            records: open_first_records(&path, n_records_left)?,
            name,
            path,
            waiting,
            is_set: false,
            paths,
            roots: Roots::default(),
            n_rows_left: usize::MAX,
            n_records_left,
            n_records: 0,
            ended: false,
        })
    }

    fn record(&mut self, raw: RawRecord) -> Record {
        match raw.columns.and_then(|columns| self.with_paths(columns)) {
            Ok(columns) => {
                self.n_rows_left -= 1;
                Record::Row(self.roots.row(columns))
            }
            Err(Fault { reason, detail }) => {
                let id = RowId::unreadable(&self.name, self.n_records);
                let file = self.path.file_name().unwrap_or_default().to_string_lossy();
                let detail = match self.is_set {
                    true => format!("{file} {}: {detail}", raw.place),
                    false => format!("{}: {detail}", raw.place),
                };
                Record::Bad(BadRecord { id, fault: Fault { reason, detail } })
            }
        }
    }

    fn with_paths(&self, mut columns: Columns) -> Result<Columns, Fault> {
        strip_bookkeeping(&mut columns)
            .map_err(|reason| Fault::new(reason, "it names the rows of a run"))?;
        let found = self
            .paths
            .iter()
            .map(|(name, path)| path.resolve(&columns).map(|value| (name.clone(), value.clone())));
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        columns.extend(found);
        Ok(columns)
    }
}

#[cfg(test)]
mod tests;
