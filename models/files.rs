//! Where a checkpoint's files are: in a folder, or in the program itself.
//!
//! The demo family is part of the binary and must load with nothing else on the disk, by the same
//! code as any other model. Whoever reads a file asks here for it by name; paths are only shown.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

/// The files of one checkpoint.
#[derive(Debug, Clone)]
pub enum Files {
    /// A folder in Hugging Face format.
    Folder(PathBuf),
    /// Files that were compiled into the program.
    Inside(&'static Inside),
}

/// A checkpoint in the program itself.
#[derive(Debug)]
pub struct Inside {
    /// The name by which it is shown and asked for, such as `demo:llama`.
    pub name: &'static str,
    /// Names and contents.
    pub files: &'static [(&'static str, &'static [u8])],
}

/// The bytes of a file, wherever they are.
pub(crate) enum Bytes {
    Mapped(Mmap),
    Inside(&'static [u8]),
}

impl Files {
    /// The folder, or the name of what is inside, to be shown.
    pub fn place(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Inside(inside) => Path::new(inside.name),
        }
    }

    /// The path of a file, to be shown.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place().join(name)
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).is_file(),
            Self::Inside(inside) => inside.get(name).is_some(),
        }
    }

    /// The contents of a file; none where there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self, name: &str) -> io::Result<Option<Cow<'static, [u8]>>> {
        match self {
            Self::Folder(folder) => match std::fs::read(folder.join(name)) {
                Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Self::Inside(inside) => Ok(inside.get(name).map(Cow::Borrowed)),
        }
    }

    /// The bytes of a large file, which are not copied into memory of our own.
    ///
    /// # Errors
    /// When it cannot be opened or mapped.
    #[allow(unsafe_code, reason = "mapping is what keeps a checkpoint out of anonymous memory")]
    pub(crate) fn map(&self, name: &str) -> io::Result<Bytes> {
        match self {
            Self::Folder(folder) => {
                let file = File::open(folder.join(name))?;
                // SAFETY: the mapping is read-only and private, and nothing in this process writes
                // the file. Another process that cuts it while it is read gets this one killed by
                // the system, as it would any reader of mapped files; checkpoints are not edited in
                // place.
                Ok(Bytes::Mapped(unsafe { Mmap::map(&file) }?))
            }
            Self::Inside(inside) => match inside.get(name) {
                Some(bytes) => Ok(Bytes::Inside(bytes)),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }
}

impl Bytes {
    /// Hands the pages of a range back to the system.
    #[cfg(unix)]
    #[allow(unsafe_code, reason = "memmap2 offers this advice as unsafe only")]
    pub(crate) fn release(&self, range: Range<usize>) {
        let Self::Mapped(map) = self else { return };
        let advice = memmap2::UncheckedAdvice::DontNeed;
        // SAFETY: the pages are those of a read-only mapping of a file; dropping them loses
        // nothing, the next access reads them again.
        let released = unsafe { map.unchecked_advise_range(advice, range.start, range.len()) };
        // Advice that is not taken costs memory, not correctness.
        let _ = released;
    }

    /// Nothing: only Unix takes this advice.
    #[cfg(not(unix))]
    pub(crate) fn release(&self, _: Range<usize>) {}
}

impl Inside {
    fn get(&self, name: &str) -> Option<&'static [u8]> {
        self.files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
    }
}

impl From<&Path> for Files {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl From<&PathBuf> for Files {
    fn from(folder: &PathBuf) -> Self {
        Self::Folder(folder.clone())
    }
}

impl From<PathBuf> for Files {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}

impl From<&Files> for Files {
    fn from(files: &Files) -> Self {
        files.clone()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Inside(bytes) => bytes,
        }
    }
}
