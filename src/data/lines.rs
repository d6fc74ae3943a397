//! A file of lines that survives a crash: each line is appended by one write, a torn last line is
//! cut off when the file is opened again.
//!
//! It must not know what a line says. `fdatasync` runs at most once a second and beside the appends,
//! so a power cut costs the lines of about the last second; a killed process costs only the line it
//! was writing. A write that fails half way (a full disk) is taken back, so that the file always
//! ends in a line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Longest time between two appended lines' reaching the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Bytes looked at in one go when the end of the last whole line is sought.
const TAIL_STEP: u64 = 1 << 16;

/// Bytes read in one go when lines are asked for by their offsets.
const WINDOW_BYTES: u64 = 1 << 17;

/// An append-only file of lines, open for writing. One writer at a time: the run folder's lock.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; the file's length unless a failed write could not be taken back.
    len: u64,
    synced_at: Instant,
    dirty: bool,
    /// A sync on its way: a disk may take its time, and rows need not wait for it.
    syncing: Option<JoinHandle<io::Result<()>>>,
    window: Window,
}

/// What was read last: lines are mostly asked for in the order in which they stand.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Lines {
    /// Opens or creates the file and cuts off a torn last line; says how many bytes that cost.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn open(path: &Path) -> Result<(Self, u64)> {
        let fail = |e| Error::disk("open", path, e);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(path).map_err(fail)?;
        let found = file.metadata().map_err(fail)?.len();
        let len = whole_lines(&mut file, found).map_err(|e| Error::disk("read", path, e))?;
        if len < found {
            file.set_len(len).map_err(|e| Error::disk("cut the torn last line of", path, e))?;
        }
        let lines = Self {
            path: path.to_owned(),
            file,
            len,
            synced_at: Instant::now(),
            dirty: len < found,
            syncing: None,
            window: Window::default(),
        };
        Ok((lines, found - len))
    }

    /// Appends `line`, which ends in the only newline it has, and returns the offset of its start.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses; the file then ends where it ended before.
    pub fn append(&mut self, line: &[u8]) -> Result<u64> {
        assert_eq!(line.last(), Some(&b'\n'), "a line ends");
        debug_assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1, "one line");
        let start = self.len;
        if let Err(e) = self.file.write_all(line) {
            // If even this fails, opening the file again cuts the torn line.
            let _ = self.file.set_len(start);
            return Err(Error::disk("write", &self.path, e));
        }
        self.len += line.len() as u64;
        self.dirty = true;
        if self.synced_at.elapsed() >= SYNC_EVERY {
            self.begin_sync()?;
        }
        Ok(start)
    }

    /// Lets the disk take what was appended so far, beside the appends that follow. What goes wrong
    /// is told by the next sync.
    fn begin_sync(&mut self) -> Result<()> {
        if self.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished()) {
            return Ok(());
        }
        self.end_sync()?;
        let file = self.file.try_clone().map_err(|e| Error::disk("write", &self.path, e))?;
        self.syncing = Some(thread::spawn(move || file.sync_data()));
        self.dirty = false;
        self.synced_at = Instant::now();
        Ok(())
    }

    fn end_sync(&mut self) -> Result<()> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        let synced = syncing.join().expect("a sync does not panic");
        synced.map_err(|e| Error::disk("write", &self.path, e))
    }

    /// Puts everything appended so far on the disk; at a step's end, and before a run ends.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.end_sync()?;
        if self.dirty {
            self.file.sync_data().map_err(|e| Error::disk("write", &self.path, e))?;
            self.dirty = false;
        }
        self.synced_at = Instant::now();
        Ok(())
    }

    /// The line that starts at `offset`, without its newline.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn read_at(&mut self, offset: u64) -> Result<&[u8]> {
        assert!(offset < self.len, "{offset} is no line of {}", self.path.display());
        let line = self.window.line_at(&mut self.file, offset, self.len);
        line.map_err(|e| Error::disk("read", &self.path, e))
    }

    /// Empties the file.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|e| Error::disk("empty", &self.path, e))?;
        self.len = 0;
        self.window = Window::default();
        self.dirty = true;
        self.sync()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file of lines, open for reading lines by their offsets, while another process may append.
#[derive(Debug)]
pub struct LineReader {
    path: PathBuf,
    file: File,
    len: u64,
    window: Window,
}

impl LineReader {
    /// Opens a file; lines that are appended later are not seen.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |e| Error::disk("read", path, e);
        let file = File::open(path).map_err(fail)?;
        let len = file.metadata().map_err(fail)?.len();
        Ok(Self { path: path.to_owned(), file, len, window: Window::default() })
    }

    /// The line that starts at `offset`, as [`read`] gave it, without its newline.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn read_at(&mut self, offset: u64) -> Result<&[u8]> {
        let line = self.window.line_at(&mut self.file, offset, self.len);
        line.map_err(|e| Error::disk("read", &self.path, e))
    }
}

impl Window {
    /// The line that starts at `offset` of a file of `len` bytes.
    fn line_at(&mut self, file: &mut File, offset: u64, len: u64) -> io::Result<&[u8]> {
        let line = match self.line(offset) {
            Some(line) => line,
            None => self.read(file, offset, len)?,
        };
        Ok(&self.bytes[line])
    }

    /// Where in `bytes` the line that starts at `offset` stands, if it is there in whole.
    fn line(&self, offset: u64) -> Option<Range<usize>> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let rest = self.bytes.get(start..)?;
        let n = (&mut &*rest).skip_until(b'\n').expect("memory can be read");
        (n > 0 && rest[n - 1] == b'\n').then(|| start..start + n - 1)
    }

    /// Reads on from `offset` until a whole line is there.
    fn read(&mut self, file: &mut File, offset: u64, len: u64) -> io::Result<Range<usize>> {
        let mut n_wanted = WINDOW_BYTES;
        loop {
            self.start = offset;
            self.bytes.clear();
            file.seek(SeekFrom::Start(offset))?;
            file.take(n_wanted.min(len - offset)).read_to_end(&mut self.bytes)?;
            match self.line(offset) {
                Some(line) => return Ok(line),
                None if n_wanted < len - offset => n_wanted *= 8,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

/// Bytes up to and with the last newline among the first `len`.
fn whole_lines(file: &mut File, len: u64) -> io::Result<u64> {
    let mut end = len;
    let mut piece = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(TAIL_STEP);
        piece.resize(usize::try_from(end - start).expect("a step fits in memory"), 0);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The whole lines of a file with their offsets, one in memory at a time. A missing file has none.
///
/// # Errors
/// [`Error::Environment`] when the disk refuses, at once or while reading.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<(u64, Vec<u8>)>> + use<>> {
    let file = match File::open(path) {
        Ok(file) => Some(file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::disk("read", path, e)),
    };
    let mut reader = file.map(|file| BufReader::with_capacity(1 << 16, file));
    let path = path.to_owned();
    let mut offset = 0;
    // Lines of a file are about alike, and one that grows is copied again and again.
    let mut n_last = 0;
    Ok(std::iter::from_fn(move || {
        let mut line = Vec::with_capacity(n_last);
        match reader.as_mut()?.read_until(b'\n', &mut line) {
            Ok(_) if line.last() != Some(&b'\n') => None, // The end, or a torn last line.
            Ok(n) => {
                line.pop();
                let start = offset;
                offset += n as u64;
                n_last = n;
                Some(Ok((start, line)))
            }
            Err(e) => {
                reader = None;
                Some(Err(Error::disk("read", &path, e)))
            }
        }
    }))
}

/// What to say when the `line_no`-th line (from 1) of one of our own files cannot be understood.
pub(super) fn corrupt(path: &Path, line_no: u64, why: &str) -> Error {
    Error::environment(
        format!("line {line_no} of {} is damaged: {why}", path.display()),
        "delete that line (a backup first is wise) and run the same command again: only what it \
         held is made again",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(path: &Path) -> Vec<Vec<u8>> {
        read(path).unwrap().map(|line| line.unwrap().1).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_file_cut_anywhere_reopens_to_its_whole_lines(
            texts in prop::collection::vec("[a-z\u{e4}\u{1f600}]{0,12}", 0..8),
            cut in 0.0..=1.0,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("step.jsonl");
            let whole: String = texts.iter().map(|text| format!("{text}\n")).collect();
            let cut = (whole.len() as f64 * cut) as usize;
            std::fs::write(&path, &whole.as_bytes()[..cut]).unwrap();
            let kept = whole.as_bytes()[..cut].iter().filter(|b| **b == b'\n').count();

            let (mut lines, _) = Lines::open(&path).unwrap();
            prop_assert_eq!(all(&path).len(), kept);
            let at = lines.append(b"next\n").unwrap();
            prop_assert_eq!(lines.read_at(at).unwrap(), b"next");
            let mut want: Vec<Vec<u8>> =
                texts[..kept].iter().map(|text| text.clone().into_bytes()).collect();
            want.push(b"next".to_vec());
            prop_assert_eq!(all(&path), want);
        }
    }

    #[test]
    fn a_torn_line_longer_than_a_step_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step.jsonl");
        std::fs::write(&path, format!("whole\n{}", "x".repeat(300_000))).unwrap();
        let (mut lines, lost) = Lines::open(&path).unwrap();
        assert_eq!(lost, 300_000);
        lines.append(b"more\n").unwrap();
        lines.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole\nmore\n");
    }

    #[test]
    fn lines_are_read_at_their_offsets_between_appends() {
        let folder = tempfile::tempdir().unwrap();
        let (mut lines, _) = Lines::open(&folder.path().join("step.jsonl")).unwrap();
        let first = lines.append(b"first\n").unwrap();
        let second = lines.append(b"second\n").unwrap();
        assert_eq!(lines.read_at(first).unwrap(), b"first");
        assert_eq!(lines.read_at(second).unwrap(), b"second");
        let third = lines.append(b"third\n").unwrap();
        assert_eq!(lines.read_at(third).unwrap(), b"third");
        let mut reader = LineReader::open(lines.path()).unwrap();
        assert_eq!(reader.read_at(second).unwrap(), b"second");
        assert_eq!(reader.read_at(first).unwrap(), b"first");
        lines.clear().unwrap();
        assert_eq!(lines.append(b"anew\n").unwrap(), 0);
        assert_eq!(all(lines.path()), [b"anew"]);
    }

    #[test]
    fn a_sync_beside_the_appends_loses_none() {
        let folder = tempfile::tempdir().unwrap();
        let (mut lines, _) = Lines::open(&folder.path().join("step.jsonl")).unwrap();
        for i in 0..300 {
            lines.append(format!("{i}\n").as_bytes()).unwrap();
            lines.begin_sync().unwrap();
        }
        lines.sync().unwrap();
        assert!(lines.syncing.is_none() && !lines.dirty);
        assert_eq!(all(lines.path()).len(), 300);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let (mut lines, _) = Lines::open(&path).unwrap();
        let error = lines.append(b"row\n").unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert!(error.hint().unwrap().contains("finished rows are kept"));
    }
}
