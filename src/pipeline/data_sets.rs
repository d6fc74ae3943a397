//! Data sets of the Hub on this disk, and no more of them than a run needs.
//!
//! Where only the first rows are wanted, a Parquet file is brought as its first row groups and its
//! last bytes, with a hole between, and, when the recipe says `streaming`, JSON Lines as their
//! first lines. Such parts lie in a folder of our own and never in the standard cache, where
//! Python's client would take them for the whole. It must not know what the rows mean.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::brought::Brought;
use crate::data::read::{self, ParquetStart, StartError};
use crate::hub::data_set::{DataSet, Wanted, find};
use crate::hub::{HubOptions, Progress};
use crate::recipe::spec::LoadDataFromHub;
use crate::{Error, Result};

/// Bytes at the end of a Parquet file that are looked at first: most metadata is shorter.
const END_BYTES: u64 = 64 << 10;

/// Bytes of a file of lines that are asked for at a time: where it ends for us, only they tell.
const LINES_BYTES: u64 = 1 << 20;

/// Bytes asked for at a time.
const PIECE_BYTES: u64 = 8 << 20;

/// Brings the first `n_records` records of a split, or all; parts of files lie below `cache`.
pub(super) fn bring(
    spec: &LoadDataFromHub,
    n_records: Option<usize>,
    options: &HubOptions,
    cache: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Brought> {
    let wanted = Wanted {
        repo: spec.repo_id.clone(),
        revision: spec.revision.clone(),
        config: spec.config.clone(),
        split: spec.split.clone(),
    };
    let folder = cache.join("data-sets").join(spec.repo_id.replace('/', "--"));
    let set = find(&wanted, options, &folder, progress)?;
    let mut fetch = Fetch { set: &set, folder: folder.join(&set.commit), progress };
    let mut n_left = n_records.map(|n| n as u64);
    let mut files = Vec::new();
    let mut paths = Vec::new();
    for name in &set.files {
        let kind = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
        let path = match (n_left, kind.as_str()) {
            (Some(0), _) => break,
            (Some(n), "parquet") => fetch.first_rows(name, n)?,
            (Some(n), "jsonl" | "ndjson") if spec.streaming => fetch.first_lines(name, n)?,
            (None | Some(_), _) => fetch.set.whole(name, fetch.progress)?,
        };
        if let Some(n) = &mut n_left {
            *n -= count(&path, *n)?;
        }
        files.push(name.clone());
        paths.push(path);
    }
    if !options.offline {
        set.keep()?;
    }
    let DataSet { repo, commit, config, .. } = set;
    Ok(Brought { repo, commit, config, split: spec.split.clone(), files, paths })
}

/// Records of a file, at most `n_max`.
fn count(path: &Path, n_max: u64) -> Result<u64> {
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet")) {
        let mut file = File::open(path).map_err(|e| Error::disk("read", path, e))?;
        let n_bytes = file.metadata().map_err(|e| Error::disk("read", path, e))?.len();
        let mut n_end = END_BYTES.min(n_bytes);
        loop {
            let mut end = Vec::new();
            let read = file.seek(SeekFrom::Start(n_bytes - n_end));
            let read = read.and_then(|_| (&mut file).take(n_end).read_to_end(&mut end));
            read.map_err(|e| Error::disk("read", path, e))?;
            match ParquetStart::read(&end, n_bytes, 0) {
                Ok(start) => return Ok(start.n_rows.min(n_max)),
                Err(StartError::TooShort(n)) => n_end = n,
                Err(StartError::Damaged(why)) => return Err(damaged(&path.display(), &why)),
            }
        }
    }
    let mut n = 0;
    for record in read::open_records(path)? {
        record?;
        n += 1;
        if n == n_max {
            break;
        }
    }
    Ok(n)
}

fn damaged(what: &dyn std::fmt::Display, why: &str) -> Error {
    Error::environment(
        format!("cannot read {what} as Parquet: {why}"),
        "check the data set's page: another revision may be whole",
    )
}

/// Brings files of one commit.
struct Fetch<'a> {
    set: &'a DataSet,
    /// Where parts of files lie.
    folder: PathBuf,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl Fetch<'_> {
    /// The file or its first row groups.
    fn first_rows(&mut self, name: &str, n_rows: u64) -> Result<PathBuf> {
        let target = self.target(name, n_rows);
        if let Some(path) = self.here(name, &target) {
            return Ok(path);
        }
        let n_bytes = self.set.n_bytes(name)?;
        if n_bytes == 0 {
            return Err(damaged(&format!("{name} of {}", self.set.repo), "it is empty"));
        }
        let mut n_end = END_BYTES.min(n_bytes);
        let (start, end) = loop {
            let Some(end) = self.set.range(name, &(n_bytes - n_end..n_bytes))? else {
                return self.set.whole(name, self.progress);
            };
            match ParquetStart::read(&end, n_bytes, n_rows) {
                Ok(start) => break (start, end),
                Err(StartError::TooShort(n)) => n_end = n,
                Err(StartError::Damaged(why)) => {
                    return Err(damaged(&format!("{name} of {}", self.set.repo), &why));
                }
            }
        };
        if start.is_all {
            return self.set.whole(name, self.progress);
        }
        write_part(&target, |file| {
            file.set_len(n_bytes).map_err(|e| Error::disk("write", &target, e))?;
            for group in &start.groups {
                self.pieces(name, group.clone(), |at, bytes| put(file, &target, at, bytes))?;
            }
            let metadata = (start.metadata - (n_bytes - end.len() as u64)) as usize;
            put(file, &target, start.metadata, &end[metadata..])
        })?;
        Ok(target)
    }

    /// The file or its first lines.
    fn first_lines(&mut self, name: &str, n_lines: u64) -> Result<PathBuf> {
        let target = self.target(name, n_lines);
        if let Some(path) = self.here(name, &target) {
            return Ok(path);
        }
        let n_bytes = self.set.n_bytes(name)?;
        let first = 0..n_bytes.min(LINES_BYTES);
        if first.is_empty() {
            return self.set.whole(name, self.progress);
        }
        let Some(bytes) = self.set.range(name, &first)? else {
            return self.set.whole(name, self.progress);
        };
        let mut lines = Lines { n_left: n_lines, is_blank: true };
        write_part(&target, |file| {
            put(file, &target, 0, &bytes[..lines.take(&bytes)])?;
            let mut at = first.end;
            while at < n_bytes && lines.n_left > 0 {
                let piece = at..n_bytes.min(at + LINES_BYTES);
                self.pieces(name, piece.clone(), |at, bytes| {
                    put(file, &target, at, &bytes[..lines.take(bytes)])
                })?;
                at = piece.end;
            }
            Ok(())
        })?;
        Ok(target)
    }

    fn target(&self, name: &str, n: u64) -> PathBuf {
        self.folder.join(format!("first-{n}")).join(name)
    }

    /// The whole file or the part, if one of them is here.
    fn here(&self, name: &str, part: &Path) -> Option<PathBuf> {
        self.set.cached(name).or_else(|| part.is_file().then(|| part.to_owned()))
    }

    /// Hands on a range piece by piece, so that memory does not grow with it.
    fn pieces(
        &mut self,
        name: &str,
        range: Range<u64>,
        mut take: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let piece = at..range.end.min(at + PIECE_BYTES);
            let bytes = self.set.range(name, &piece)?.ok_or_else(|| Error::Remote {
                what: format!("the server gave a part of {name} before and does not now"),
                hint: "run the same command again".into(),
                source: None,
            })?;
            take(at, &bytes)?;
            at = piece.end;
            let (n_done, n_total) = (at - range.start, range.end - range.start);
            (self.progress)(Progress { file: name, n_done, n_total });
        }
        Ok(())
    }
}

/// Counts lines that are not blank, as the reader of JSON Lines does.
struct Lines {
    n_left: u64,
    is_blank: bool,
}

impl Lines {
    /// Bytes of the piece up to the end of the last line that is wanted.
    fn take(&mut self, bytes: &[u8]) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            if *byte != b'\n' {
                self.is_blank &= byte.is_ascii_whitespace();
            } else if !std::mem::replace(&mut self.is_blank, true) {
                self.n_left -= 1;
                if self.n_left == 0 {
                    return at + 1;
                }
            }
        }
        bytes.len()
    }
}

/// Writes a part so that it is there whole or not at all.
fn write_part(target: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let disk = |e: io::Error| Error::disk("write", target, e);
    fs::create_dir_all(target.parent().expect("a file in a folder")).map_err(disk)?;
    let mut fresh = target.as_os_str().to_owned();
    fresh.push(format!(".{}.new", std::process::id()));
    let mut file = File::create(&fresh).map_err(disk)?;
    let filled = fill(&mut file);
    let done = filled.and_then(|()| file.sync_all().map_err(disk));
    if done.is_err() {
        // The error is the one to tell.
        let _ = fs::remove_file(&fresh);
        return done;
    }
    fs::rename(&fresh, target).map_err(disk)
}

fn put(file: &mut File, path: &Path, at: u64, bytes: &[u8]) -> Result<()> {
    let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes));
    written.map_err(|e| Error::disk("write", path, e))
}

#[cfg(test)]
mod tests;
