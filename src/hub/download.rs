//! One file into its blob: goes on where it stopped, and is checked before it counts.
//!
//! The partial file is `<etag>.incomplete`, so it belongs to one content for ever. A large file's
//! etag is the SHA-256 of its content, a small one's is git's SHA-1; both are compared. It must not
//! know which files there are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::client::{Client, FileInfo};
use super::digest::{git_blob, hex};
use super::hashing::Hashing;
use super::{HubOptions, Progress};
use crate::web::{Failure, patiently};
use crate::{Error, Result};

/// Bytes that are read from the network before they are written and hashed: in smaller pieces
/// threads wake each other too often.
const PIECE_BYTES: usize = 1 << 20;

/// A file to bring.
pub(super) struct Wanted<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) commit: &'a str,
    pub(super) name: &'a str,
    pub(super) info: &'a FileInfo,
    pub(super) options: &'a HubOptions,
}

/// How the bytes of an answer ended.
#[derive(PartialEq, Eq)]
enum Copied {
    ToItsEnd,
    /// There were more than the file has.
    TooMuch,
}

/// What is here of a file.
struct Partial {
    path: PathBuf,
    file: File,
    n_done: u64,
    /// Digest of those bytes, where the etag is one.
    hasher: Option<Sha256>,
}

/// Asks the Hub again while that may help.
pub(super) fn ask<T>(
    options: &HubOptions,
    what: &str,
    ask: impl FnMut() -> (bool, Result<T, Failure>),
) -> Result<T> {
    patiently(&options.patience, ask, |why| Error::Remote {
        what: format!("cannot fetch {what} from {}: {why}", options.endpoint),
        hint: "check the network and run the same command again: it goes on where it stopped; \
               --offline takes what is in the cache"
            .into(),
        source: None,
    })
}

/// Brings the file to `blob`.
pub(super) fn download(
    wanted: &Wanted<'_>,
    blob: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<()> {
    let mut path = blob.as_os_str().to_owned();
    path.push(".incomplete");
    let path = PathBuf::from(path);
    // Content that is wrong may be an old partial file's fault once, and the Hub's from then on.
    for is_last in [false, true] {
        let mut partial =
            Partial::open(&path, wanted.info).map_err(|e| Error::disk("write", &path, e))?;
        // A server that begins anew each time makes no progress, however much it sends.
        let mut n_most = partial.n_done;
        ask(wanted.options, wanted.name, || {
            let result = partial.go_on(wanted, progress);
            let is_further = partial.n_done > n_most;
            n_most = n_most.max(partial.n_done);
            (is_further, result)
        })?;
        match partial.check(wanted) {
            Ok(()) => {
                partial.file.sync_all().map_err(|e| Error::disk("write", &path, e))?;
                return fs::rename(&path, blob).map_err(|e| Error::disk("write", blob, e));
            }
            Err(e) => {
                fs::remove_file(&path).map_err(|e| Error::disk("remove", &path, e))?;
                if is_last {
                    return Err(e);
                }
            }
        }
    }
    unreachable!("the last round returns")
}

impl Partial {
    fn open(path: &Path, info: &FileInfo) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let n_done = file.metadata()?.len();
        let hasher = is_sha256(&info.etag).then(Sha256::new);
        let mut partial = Self { path: path.to_owned(), file, n_done, hasher };
        if n_done > info.n_bytes {
            partial.restart()?;
        }
        if let Some(hasher) = &mut partial.hasher {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                match partial.file.read(&mut piece)? {
                    0 => break,
                    n => hasher.update(&piece[..n]),
                }
            }
        }
        partial.file.seek(SeekFrom::End(0))?;
        Ok(partial)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.n_done = 0;
        self.hasher = self.hasher.as_ref().map(|_| Sha256::new());
        Ok(())
    }

    /// One request: appends what it brings.
    fn go_on(
        &mut self,
        wanted: &Wanted<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Failure> {
        let Wanted { info, name: file, .. } = *wanted;
        let n_total = info.n_bytes;
        progress(Progress { file, n_done: self.n_done, n_total });
        if self.n_done == n_total {
            return Ok(());
        }
        let mut source = wanted.client.piece(wanted.commit, file, self.n_done)?;
        let path = self.path.clone();
        let disk = |e| Failure::Final(Error::disk("write", &path, e));
        if source.start != self.n_done {
            self.restart().map_err(disk)?;
            if source.start != 0 {
                return Err(Failure::passing("another part of the file than asked for"));
            }
        }
        let hashing = self.hasher.take().map(|hasher| Hashing::begin(hasher, PIECE_BYTES));
        let copied = self.copy(wanted, &mut source.body, hashing.as_ref(), progress);
        self.hasher = hashing.map(Hashing::end);
        if copied? == Copied::TooMuch {
            self.restart().map_err(disk)?;
            return Err(Failure::passing(format!("more than the {n_total} bytes of the file")));
        }
        if self.n_done < n_total {
            let what = format!("the connection ended after {} of {n_total} bytes", self.n_done);
            return Err(Failure::passing(what));
        }
        Ok(())
    }

    /// Appends and hashes what `body` gives.
    fn copy(
        &mut self,
        wanted: &Wanted<'_>,
        body: &mut dyn io::Read,
        hashing: Option<&Hashing>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Copied, Failure> {
        let (file, n_total) = (wanted.name, wanted.info.n_bytes);
        let mut own = vec![0; PIECE_BYTES];
        loop {
            let mut piece = hashing.map_or_else(|| std::mem::take(&mut own), Hashing::buffer);
            let (n, ended) = fill(body, &mut piece);
            if self.n_done + n as u64 > n_total {
                return Ok(Copied::TooMuch);
            }
            let written = self.file.write_all(&piece[..n]);
            written.map_err(|e| Failure::Final(Error::disk("write", &self.path, e)))?;
            match hashing {
                Some(hashing) => hashing.take(piece, n),
                None => own = piece,
            }
            self.n_done += n as u64;
            progress(Progress { file, n_done: self.n_done, n_total });
            match ended {
                None => {}
                Some(Ok(())) => return Ok(Copied::ToItsEnd),
                Some(Err(e)) => return Err(Failure::passing(e.to_string())),
            }
        }
    }

    fn check(&mut self, wanted: &Wanted<'_>) -> Result<()> {
        let want = &wanted.info.etag;
        let found = match self.hasher.take() {
            Some(hasher) => hex(&hasher.finalize()),
            None if is_hex(want, 40) => {
                let hash = git_hash(&mut self.file, self.n_done);
                hash.map_err(|e| Error::disk("read", &self.path, e))?
            }
            None => return Ok(()),
        };
        if found == want.to_ascii_lowercase() {
            return Ok(());
        }
        Err(Error::Remote {
            what: format!("{} came with the digest {found}, but it should be {want}", wanted.name),
            hint: format!("is a proxy or {} changing files on the way?", wanted.options.endpoint),
            source: None,
        })
    }
}

/// Fills the piece as far as the body goes: the bytes that came, and how it ended if it did.
fn fill(body: &mut dyn io::Read, piece: &mut [u8]) -> (usize, Option<io::Result<()>>) {
    let mut n = 0;
    while n < piece.len() {
        match body.read(&mut piece[n..]) {
            Ok(0) => return (n, Some(Ok(()))),
            Ok(n_read) => n += n_read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (n, Some(Err(e))),
        }
    }
    (n, None)
}

/// Git's name for what is in a file.
fn git_hash(file: &mut File, n_bytes: u64) -> io::Result<String> {
    let mut hasher = git_blob(n_bytes);
    file.rewind()?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&piece[..n]),
        }
    }
}

fn is_sha256(etag: &str) -> bool {
    is_hex(etag, 64)
}

fn is_hex(etag: &str, n: usize) -> bool {
    etag.len() == n && etag.bytes().all(|b| b.is_ascii_hexdigit())
}
