//! A file's two names on the Hub, in one pass: git's for small files, SHA-256 for large ones.

use std::fs::File;
use std::io::{ErrorKind, Read as _};

use sha2::{Digest, Sha256};

use super::LocalFile;
use crate::hub::digest::{git_blob, hex};
use crate::{Error, Result};

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 18;

/// Bytes of a file that the Hub wants to see before it says how the file is to come.
const N_SAMPLE: usize = 512;

/// A file and what its content is called.
#[derive(Debug)]
pub(super) struct Hashed<'a> {
    pub(super) file: &'a LocalFile,
    pub(super) n_bytes: u64,
    /// SHA-1 as git takes it of a blob, in hex.
    pub(super) git: String,
    /// SHA-256 in hex.
    pub(super) sha256: String,
    /// Its first bytes.
    pub(super) sample: Vec<u8>,
}

impl<'a> Hashed<'a> {
    /// Reads the file once.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses or the file changes meanwhile.
    pub(super) fn read(file: &'a LocalFile) -> Result<Self> {
        let failed = |e| Error::disk("read", &file.path, e);
        let mut source = File::open(&file.path).map_err(failed)?;
        let n_bytes = source.metadata().map_err(failed)?.len();
        let mut git = git_blob(n_bytes);
        let mut sha256 = Sha256::new();
        let mut sample = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut n_read = 0;
        loop {
            let n = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(failed(e)),
            };
            let read = &piece[..n];
            git.update(read);
            sha256.update(read);
            sample.extend_from_slice(&read[..n.min(N_SAMPLE.saturating_sub(sample.len()))]);
            n_read += n as u64;
        }
        if n_read != n_bytes {
            return Err(changed(file));
        }
        let (git, sha256) = (hex(&git.finalize()), hex(&sha256.finalize()));
        Ok(Self { file, n_bytes, git, sha256, sample })
    }

    /// The content, of a file that is small enough for memory.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses or the file has changed.
    pub(super) fn content(&self) -> Result<Vec<u8>> {
        let path = &self.file.path;
        let mut content = Vec::new();
        let read = File::open(path)
            .and_then(|source| source.take(self.n_bytes + 1).read_to_end(&mut content));
        read.map_err(|e| Error::disk("read", path, e))?;
        let mut git = git_blob(self.n_bytes);
        git.update(&content);
        if hex(&git.finalize()) == self.git { Ok(content) } else { Err(changed(self.file)) }
    }
}

/// The error of a file that is written to meanwhile.
pub(super) fn changed(file: &LocalFile) -> Error {
    Error::environment(
        format!("{} changes while it is pushed", file.path.display()),
        "is a run going on in this folder? push again when it has ended",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_gits_and_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "hello\n").unwrap();
        let file = LocalFile { name: "a".into(), path, is_news: true };
        let hashed = Hashed::read(&file).unwrap();
        assert_eq!(hashed.n_bytes, 6);
        // `echo hello | git hash-object --stdin`, `echo hello | sha256sum`
        assert_eq!(hashed.git, "ce013625030ba8dba906f756967f9e9ca394464a");
        assert!(hashed.sha256.starts_with("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d0"));
        assert_eq!(
            (hashed.sample.as_slice(), hashed.content().unwrap().len()),
            (&b"hello\n"[..], 6)
        );

        std::fs::write(&file.path, "hallo\n").unwrap();
        assert_eq!(hashed.content().unwrap_err().exit_code(), 3);
    }

    #[test]
    fn a_sample_is_the_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let bytes: Vec<u8> = (0..600_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = LocalFile { name: "a".into(), path, is_news: true };
        assert_eq!(Hashed::read(&file).unwrap().sample, bytes[..N_SAMPLE]);
    }
}
