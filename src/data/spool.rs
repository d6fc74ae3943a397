//! Texts put aside on disk, each found again by its number.
//!
//! What must be looked at again, but seldom, need not stay in memory. The file is in the system's
//! folder for temporary files and goes with the process, on Unix even when that is killed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Tells the spools of a process apart.
static N_SPOOLS: AtomicU64 = AtomicU64::new(0);

/// Texts on disk.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: File,
    /// `[texts]` where each text ends.
    ends: Vec<u64>,
}

impl Spool {
    /// An empty spool.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn create() -> Result<Self> {
        let number = N_SPOOLS.fetch_add(1, Ordering::Relaxed);
        let name = format!("stillroom-{}-{number}.spool", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What an earlier process of the same number left is no part of this one.
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(|e| Error::disk("write", &path, e))?;
        if cfg!(unix) {
            // The open file stays; its name is not needed any more.
            let _ = fs::remove_file(&path);
        }
        Ok(Self { path, file, ends: Vec::new() })
    }

    /// Puts texts aside, numbered on from the last.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn push(&mut self, texts: &[String]) -> Result<()> {
        let mut end = self.ends.last().copied().unwrap_or(0);
        let write = self.file.seek(SeekFrom::Start(end));
        let write = write.and_then(|_| self.file.write_all(texts.concat().as_bytes()));
        write.map_err(|e| Error::disk("write", &self.path, e))?;
        for text in texts {
            end += text.len() as u64;
            self.ends.push(end);
        }
        Ok(())
    }

    /// The text with this number, from 0.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn get(&mut self, number: u32) -> Result<String> {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let n_bytes = usize::try_from(self.ends[number] - start).expect("a text fits in memory");
        let mut bytes = vec![0; n_bytes];
        let read = self.file.seek(SeekFrom::Start(start));
        let read = read.and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| Error::disk("read", &self.path, e))?;
        Ok(String::from_utf8(bytes).expect("texts come back as they were written"))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Nothing in it is worth an error.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_by_their_numbers() {
        let mut spool = Spool::create().unwrap();
        let texts = ["one", "", "zwölf", "☺"].map(str::to_owned);
        spool.push(&texts[..2]).unwrap();
        assert_eq!(spool.get(0).unwrap(), "one");
        spool.push(&texts[2..]).unwrap();
        for number in [3, 0, 2, 1] {
            assert_eq!(spool.get(number).unwrap(), texts[number as usize]);
        }
        let path = spool.path.clone();
        drop(spool);
        assert!(!path.exists());
    }
}
