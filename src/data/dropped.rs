//! `dropped.jsonl`: every row that left the flow, with the step that let it go and the reason.
//!
//! Bad data is no error: it is counted here, and the run goes on. It must not know the reasons'
//! meaning; equal reasons are counted together, so a reason names no row of its own.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::journal;
use crate::data::lines::{self, Lines, corrupt};
use crate::data::row::{Columns, RowId};

/// A row that left the flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Its id.
    pub row: RowId,
    /// The step that let it go.
    pub step: String,
    /// Why, in words that are the same for every row with the same fault.
    pub reason: String,
    /// The particulars of this row: a line number, two lengths that clash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Its columns as the step met them; empty for a record that could not be read.
    #[serde(default)]
    pub columns: Columns,
}

/// `dropped.jsonl`, open for writing.
#[derive(Debug)]
pub struct DroppedLog {
    lines: Lines,
}

impl DroppedLog {
    /// Opens or creates the file; a torn last line is cut off.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { lines: Lines::open(path)?.0 })
    }

    /// Appends one row.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses.
    pub fn append(&mut self, dropped: &Dropped) -> Result<()> {
        let mut line = serde_json::to_vec(dropped).expect("a dropped row is plain JSON");
        line.push(b'\n');
        self.lines.append(&line).map(|_| ())
    }

    /// Puts every appended row on the disk.
    ///
    /// # Errors
    /// [`crate::Error::Environment`] when the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.lines.sync()
    }
}

/// The dropped rows of a run, one in memory at a time. A missing file has none.
///
/// # Errors
/// [`crate::Error::Environment`] when the disk refuses, and for a line that is no dropped row.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<Dropped>> + use<>> {
    let path = path.to_owned();
    Ok(lines::read(&path)?.zip(1..).map(move |(line, line_no)| {
        serde_json::from_slice(&line?.1).map_err(|e| corrupt(&path, line_no, &e.to_string()))
    }))
}

/// How many rows each step let go, by reason: `counts[(step, reason)]`.
pub type Counts = BTreeMap<(String, String), u64>;

/// Counts the rows of `dropped.jsonl`.
///
/// # Errors
/// As [`read`].
pub fn count(path: &Path) -> Result<Counts> {
    /// What is counted; the columns of a row may be long, and are passed over.
    #[derive(Deserialize)]
    struct Counted {
        step: String,
        reason: String,
    }
    let mut counts = Counts::new();
    for dropped in journal::read_as(path)? {
        let Counted { step, reason } = dropped?.1;
        *counts.entry((step, reason)).or_insert(0) += 1;
    }
    Ok(counts)
}

/// Keeps only the rows that `keep` names, in one atomic replacement: a step that runs anew must
/// not find what it let go the last time.
///
/// # Errors
/// As [`read`].
pub fn retain(path: &Path, mut keep: impl FnMut(&Dropped) -> bool) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut kept = Vec::new();
    for dropped in read(path)? {
        let dropped = dropped?;
        if keep(&dropped) {
            serde_json::to_writer(&mut kept, &dropped).expect("a dropped row is plain JSON");
            kept.push(b'\n');
        }
    }
    crate::data::disk::write_atomic(path, &kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(step: &str, reason: &str, n: u64) -> Dropped {
        let row = RowId::unreadable("prompts.jsonl", n);
        let detail = Some(format!("line {n}"));
        Dropped { row, step: step.into(), reason: reason.into(), detail, columns: Columns::new() }
    }

    #[test]
    fn drops_are_kept_counted_and_forgotten_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dropped.jsonl");
        assert!(count(&path).unwrap().is_empty());
        let mut log = DroppedLog::open(&path).unwrap();
        let all = [
            dropped("load", "not JSON", 3),
            dropped("load", "not JSON", 9),
            dropped("dpo", "equal ratings", 1),
        ];
        all.iter().for_each(|dropped| log.append(dropped).unwrap());
        log.sync().unwrap();
        drop(log);

        let read: Vec<_> = read(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, all);
        let key = |step: &str, reason: &str| (step.to_owned(), reason.to_owned());
        let want = Counts::from([(key("load", "not JSON"), 2), (key("dpo", "equal ratings"), 1)]);
        assert_eq!(count(&path).unwrap(), want);

        retain(&path, |dropped| dropped.step != "load").unwrap();
        assert_eq!(count(&path).unwrap(), Counts::from([(key("dpo", "equal ratings"), 1)]));
    }
}
