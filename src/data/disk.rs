//! Files and folders written so that a crash leaves the old one or the new one, and what a file's
//! key is.
//!
//! It must not know what the files hold.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Creates `folder` and those above it.
pub fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::disk("create the folder", folder, e))
}

/// Replaces `path` by `bytes`: after a crash it holds the old bytes or the new ones, never a mix.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().expect("a file to write has a name").to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.new"));
    let written = File::create(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    });
    if let Err(e) = written {
        // The half-written file is worth nothing, and the first error is the one to tell.
        let _ = fs::remove_file(&fresh);
        return Err(Error::disk("write", path, e));
    }
    sync_folder_of(path);
    Ok(())
}

/// A folder that appears whole: it is filled beside its place and then put there.
///
/// What a crash leaves beside the place, the next one removes.
#[derive(Debug)]
pub struct FreshFolder {
    fresh: PathBuf,
    place: PathBuf,
}

impl FreshFolder {
    /// Makes an empty folder beside `place`.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn begin(place: &Path) -> Result<Self> {
        let name = place.file_name().expect("a folder to write has a name").to_string_lossy();
        let fresh = place.with_file_name(format!(".{name}.new"));
        remove_folder(&fresh)?;
        create_folder(&fresh)?;
        Ok(Self { fresh, place: place.to_owned() })
    }

    /// Where it is filled.
    pub fn path(&self) -> &Path {
        &self.fresh
    }

    /// Puts it in its place, instead of the folder that may be there. A crash in between leaves the
    /// old one beside it.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn put(self) -> Result<()> {
        let Self { fresh, place } = self;
        let old = fresh.with_extension("old");
        remove_folder(&old)?;
        if place.exists() {
            fs::rename(&place, &old).map_err(|e| Error::disk("replace", &place, e))?;
        }
        fs::rename(&fresh, &place).map_err(|e| Error::disk("write", &place, e))?;
        remove_folder(&old)
    }

    /// Gives it up; the folder that may be in its place stays.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn discard(self) -> Result<()> {
        remove_folder(&self.fresh)
    }
}

/// Removes a folder that may be there, with all that it holds.
///
/// # Errors
/// [`Error::Environment`] when the disk refuses.
pub fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::disk("remove", folder, e)),
        _ => Ok(()),
    }
}

/// Makes the folder's entry for `path` durable where the system allows opening folders.
pub(super) fn sync_folder_of(path: &Path) {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty())
        && let Ok(folder) = File::open(folder)
    {
        // Some file systems refuse to sync a folder; the rename itself has already happened.
        let _ = folder.sync_all();
    }
}

/// The BLAKE3 digest of a file, read in pieces; keys of runs are made of it.
pub fn digest(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::disk("read", path, e))?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(n) => hasher.update(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::disk("read", path, e)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_atomic(&file.join("plan.json"), b"one").unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("plan.json"), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_digest_depends_on_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let mut bytes = vec![7; 200_000];
        fs::write(&path, &bytes).unwrap();
        let before = digest(&path).unwrap();
        bytes[150_000] = 8;
        fs::write(&path, &bytes).unwrap();
        assert_ne!(digest(&path).unwrap(), before);
        assert_eq!(before.len(), 64);
    }
}
