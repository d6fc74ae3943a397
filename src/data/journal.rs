//! `steps/<step>.jsonl`: every finished row of a step, one line each.
//!
//! A line is the row's columns at the top level, just as the steps made them, and one more key,
//! `_row`, for what a resumed run must know: the row's id, its parents' ids, its ordinal among its
//! siblings and their number. So a person, pandas and `datasets` read the file as it is, and drop
//! one column to be rid of us. It must not know what a step does.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::lines::{self, LineReader, Lines, corrupt};
use crate::data::row::{Columns, Row, RowId};
use crate::{Error, Result};

/// The key that holds the bookkeeping of a line.
pub const ROW_KEY: &str = "_row";

/// A finished row and its place among the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The row.
    pub row: Row,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a row came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The rows it was made of: none for a root, several for a group, in the flow's order.
    pub parents: Vec<RowId>,
    /// Its number among the rows that the step made of the same parents, from 0.
    pub ordinal: u64,
    /// How many those are: a parent is finished when all of them are here.
    pub siblings: u64,
}

fn only_child() -> u64 {
    1
}

impl Origin {
    /// The origin of a row that was read.
    pub fn root() -> Self {
        Self { parents: Vec::new(), ordinal: 0, siblings: 1 }
    }

    /// The origin of the only row that a step made of `parent`.
    pub fn only(parent: RowId) -> Self {
        Self { parents: vec![parent], ordinal: 0, siblings: 1 }
    }
}

/// The value of [`ROW_KEY`]: an id and the fields of [`Origin`], which `flatten` would gather in
/// memory first, at twice the price.
#[derive(Serialize, Deserialize)]
struct Bookkeeping {
    id: RowId,
    #[serde(default)]
    parents: Vec<RowId>,
    #[serde(default)]
    ordinal: u64,
    #[serde(default = "only_child")]
    siblings: u64,
}

/// What a line says of its row, without the row.
#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "_row")]
    row: Bookkeeping,
}

/// A step's journal, open for writing.
#[derive(Debug)]
pub struct Journal {
    lines: Lines,
    /// The line being built, kept for its capacity.
    line: Vec<u8>,
}

impl Journal {
    /// Opens or creates a journal; a torn last line is cut off, and its bytes counted.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses.
    pub fn open(path: &Path) -> Result<(Self, u64)> {
        let (lines, torn) = Lines::open(path)?;
        Ok((Self { lines, line: Vec::new() }, torn))
    }

    /// Appends one row and returns its offset for [`Journal::read_at`].
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses; the rows before stay whole.
    pub fn append(&mut self, entry: &Entry) -> Result<u64> {
        let columns = &entry.row.columns;
        assert!(!columns.contains_key(ROW_KEY), "the column `{ROW_KEY}` is the journal's");
        self.line.clear();
        serde_json::to_writer(&mut self.line, columns).expect("columns are plain JSON");
        self.line.pop();
        if !columns.is_empty() {
            self.line.push(b',');
        }
        let Origin { parents, ordinal, siblings } = &entry.origin;
        let (ordinal, siblings) = (*ordinal, *siblings);
        let bookkeeping = BookkeepingRef { id: entry.row.id, parents, ordinal, siblings };
        self.line.extend_from_slice(b"\"_row\":");
        serde_json::to_writer(&mut self.line, &bookkeeping).expect("bookkeeping is plain JSON");
        self.line.extend_from_slice(b"}\n");
        self.lines.append(&self.line)
    }

    /// The row at an offset that [`Journal::append`] or [`read`] gave.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses or the line was changed since.
    pub fn read_at(&mut self, offset: u64) -> Result<Entry> {
        let read = parse(self.lines.read_at(offset)?);
        read.map_err(|why| changed(self.lines.path(), offset, &why))
    }

    /// Puts every appended row on the disk.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.lines.sync()
    }

    /// Forgets all rows: the step's key has changed.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses.
    pub fn clear(&mut self) -> Result<()> {
        self.lines.clear()
    }
}

/// [`Bookkeeping`] on its way out.
#[derive(Serialize)]
struct BookkeepingRef<'a> {
    id: RowId,
    parents: &'a [RowId],
    ordinal: u64,
    siblings: u64,
}

/// The rows of a journal with their offsets, one in memory at a time. A missing file has none.
///
/// # Errors
/// [`crate::Error::Environment`] when the disk refuses, and for a line that is no row: a crash
/// cannot cause one, so it is never passed over in silence.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<(u64, Entry)>> + use<>> {
    let path = path.to_owned();
    Ok(lines::read(&path)?.zip(1..).map(move |(line, line_no)| {
        let (offset, line) = line?;
        let entry = parse(&line).map_err(|why| corrupt(&path, line_no, &why))?;
        Ok((offset, entry))
    }))
}

/// The ids of a journal's rows with their offsets; columns are passed over, which takes a fifth of
/// the time of reading them. A missing file has none.
///
/// # Errors
/// As [`read`].
pub fn ids(path: &Path) -> Result<impl Iterator<Item = Result<(u64, RowId)>> + use<>> {
    Ok(origins(path)?.map(|row| row.map(|(offset, id, _)| (offset, id))))
}

/// The ids of a journal's rows with their offsets and origins, without their columns.
///
/// # Errors
/// As [`read`].
pub fn origins(path: &Path) -> Result<impl Iterator<Item = Result<(u64, RowId, Origin)>> + use<>> {
    let path = path.to_owned();
    Ok(lines::read(&path)?.zip(1..).map(move |(line, line_no)| {
        let (offset, line) = line?;
        let tag: Result<Tag, _> = serde_json::from_slice(&line);
        let Tag { row } = tag.map_err(|why| corrupt(&path, line_no, &why.to_string()))?;
        let Bookkeeping { id, parents, ordinal, siblings } = row;
        Ok((offset, id, Origin { parents, ordinal, siblings }))
    }))
}

/// A journal, open for reading while a run may append to it.
#[derive(Debug)]
pub struct JournalReader {
    lines: LineReader,
    path: PathBuf,
}

impl JournalReader {
    /// Opens a journal.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { lines: LineReader::open(path)?, path: path.to_owned() })
    }

    /// The row at an offset that [`read`], [`ids`] or [`origins`] gave.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses or the line was changed since.
    pub fn read_at(&mut self, offset: u64) -> Result<Entry> {
        parse(self.lines.read_at(offset)?).map_err(|why| changed(&self.path, offset, &why))
    }
}

/// What to say of a line that is not what it was.
fn changed(path: &Path, offset: u64, why: &str) -> Error {
    Error::environment(
        format!("the line at byte {offset} of {}: {why}", path.display()),
        "the file was changed while it was read; run the same command again",
    )
}

fn parse(line: &[u8]) -> Result<Entry, String> {
    let mut columns: Columns = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let tag = take_tag(&mut columns).ok_or_else(|| format!("it has no `{ROW_KEY}`"))?;
    let Bookkeeping { id, parents, ordinal, siblings } =
        serde_json::from_value(tag).map_err(|e| format!("its `{ROW_KEY}`: {e}"))?;
    Ok(Entry { row: Row { id, columns }, origin: Origin { parents, ordinal, siblings } })
}

fn take_tag(columns: &mut Columns) -> Option<Value> {
    columns.shift_remove(ROW_KEY)
}

/// The lines of a journal, or of another file of JSON objects, with their offsets, one in memory
/// at a time: only what `T` asks for is read, which takes a fifth of the time of reading it all. A
/// missing file has none.
///
/// # Errors
/// [`crate::Error::Environment`] when the disk refuses, and for a line that is no `T`: a crash
/// cannot cause one, so it is never passed over in silence.
pub fn read_as<T: serde::de::DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<(u64, T)>> + use<T>> {
    let path = path.to_owned();
    Ok(lines::read(&path)?.zip(1..).map(move |(line, line_no)| {
        let (offset, line) = line?;
        let read = serde_json::from_slice(&line);
        Ok((offset, read.map_err(|why| corrupt(&path, line_no, &why.to_string()))?))
    }))
}

/// Takes the bookkeeping of an earlier run off columns that a step's file brings back as data.
///
/// # Errors
/// A reason when the column is there but is not ours.
pub fn strip_bookkeeping(columns: &mut Columns) -> Result<(), String> {
    match take_tag(columns) {
        None => Ok(()),
        Some(tag) if serde_json::from_value::<Bookkeeping>(tag.clone()).is_ok() => Ok(()),
        Some(_) => Err(format!("the column `{ROW_KEY}` is reserved; rename it")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entry(text: &str, ordinal: u64) -> Entry {
        let mut columns = Columns::new();
        columns.insert("instruction".to_owned(), json!(text));
        columns.insert("ratings".to_owned(), json!([4, null, 2.5]));
        let parent = RowId::root(&columns, 0);
        let id = parent.child("judge", ordinal);
        let origin = Origin { parents: vec![parent], ordinal, siblings: 9 };
        Entry { row: Row { id, columns }, origin }
    }

    fn all(path: &Path) -> Vec<Entry> {
        read(path).unwrap().map(|entry| entry.unwrap().1).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_journal_cut_anywhere_reopens_to_exactly_its_whole_rows(
            texts in prop::collection::vec(any::<String>(), 1..6),
            cut in 0.0..=1.0,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("judge.jsonl");
            let entries: Vec<_> =
                texts.iter().zip(0..).map(|(text, ordinal)| entry(text, ordinal)).collect();
            let (mut journal, _) = Journal::open(&path).unwrap();
            let offsets: Vec<_> =
                entries.iter().map(|entry| journal.append(entry).unwrap()).collect();
            for (entry, offset) in entries.iter().zip(&offsets) {
                prop_assert_eq!(&journal.read_at(*offset).unwrap(), entry);
            }
            journal.sync().unwrap();
            drop(journal);

            let bytes = std::fs::read(&path).unwrap();
            let cut = (bytes.len() as f64 * cut) as usize;
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let n_whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
            let (mut journal, torn) = Journal::open(&path).unwrap();
            let ends = |n: usize| offsets.get(n).map_or(bytes.len(), |at| *at as usize);
            prop_assert_eq!(torn as usize, cut - ends(n_whole).min(cut));
            prop_assert_eq!(all(&path), &entries[..n_whole]);
            let mut reader = JournalReader::open(&path).unwrap();
            for (offset, id, origin) in origins(&path).unwrap().map(Result::unwrap) {
                let entry = reader.read_at(offset).unwrap();
                prop_assert_eq!((entry.row.id, entry.origin), (id, origin));
            }
            let ids: Vec<_> = ids(&path).unwrap().map(Result::unwrap).collect();
            let want = offsets.iter().zip(&entries).map(|(at, entry)| (*at, entry.row.id));
            prop_assert_eq!(ids, want.take(n_whole).collect::<Vec<_>>());

            for entry in &entries[n_whole..] {
                journal.append(entry).unwrap();
            }
            prop_assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn a_line_is_the_columns_and_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load.jsonl");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let row = entry("Ö", 0).row;
        let id = row.id;
        journal.append(&Entry { row, origin: Origin::root() }).unwrap();
        let want = format!(
            "{{\"instruction\":\"Ö\",\"ratings\":[4,null,2.5],\
             \"_row\":{{\"id\":\"{id}\",\"parents\":[],\"ordinal\":0,\"siblings\":1}}}}\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), want);
    }

    #[test]
    fn a_row_without_columns_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load.jsonl");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let row = Row { id: RowId::root(&Columns::new(), 0), columns: Columns::new() };
        let bare = Entry { row, origin: Origin::root() };
        journal.append(&bare).unwrap();
        assert_eq!(all(&path), [bare]);
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("judge.jsonl");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&entry("a", 0)).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"x\":\n{whole}")).unwrap();
        let read: Vec<_> = read(&path).unwrap().collect();
        assert_eq!(read.len(), 3);
        let error = read[1].as_ref().unwrap_err();
        assert!(error.to_string().contains("line 2 of"), "{error}");
        assert!(read[2].is_ok());
    }

    #[test]
    fn bookkeeping_comes_off_what_an_earlier_run_wrote_but_not_off_strangers() {
        let mut ours = entry("a", 0).row.columns;
        let clean = ours.clone();
        let tag = json!({"id": "0".repeat(32), "parents": [], "ordinal": 0, "siblings": 1});
        ours.insert(ROW_KEY.to_owned(), tag);
        assert_eq!(strip_bookkeeping(&mut ours), Ok(()));
        assert_eq!(ours, clean);
        let mut theirs = clean;
        theirs.insert(ROW_KEY.to_owned(), json!(17));
        assert!(strip_bookkeeping(&mut theirs).unwrap_err().contains("reserved"));
    }
}
