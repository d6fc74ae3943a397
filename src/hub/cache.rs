//! The standard cache: `models--org--name/{blobs,refs,snapshots}` (data sets: `datasets--...`), with locks beside it.
//!
//! Blobs are named by their etag, a snapshot's files are links to them, a ref holds the commit of
//! a branch or tag. It must not know the network.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo};

use super::Checkpoint;
use super::files::{self, INDEX, ONE_FILE, REQUIRED};
use super::repo_id::{Kind, RepoId};
use crate::{Error, Result};

/// One repository at one revision.
pub(super) struct RepoCache {
    cache: CacheRepo,
    locks: PathBuf,
    /// `refs/<revision>`.
    reference: PathBuf,
    revision: String,
}

impl RepoCache {
    pub(super) fn new(cache: &Path, repo: RepoId<'_>, revision: &str) -> Self {
        let repo = repo.at(revision);
        let folder = repo.folder_name();
        Self {
            locks: cache.join(".locks").join(&folder),
            reference: cache.join(folder).join("refs").join(revision),
            revision: revision.to_owned(),
            cache: Cache::new(cache.to_owned()).repo(repo),
        }
    }

    /// The commit that the revision was last time, or is by its name.
    pub(super) fn commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.clone());
        }
        let commit = fs::read_to_string(&self.reference).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Keeps the commit that the revision is now.
    pub(super) fn set_commit(&self, commit: &str) -> Result<()> {
        if self.revision == commit {
            return Ok(());
        }
        self.cache.create_ref(commit).map_err(|e| Error::disk("write", &self.reference, e))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.cache.pointer_path(commit)
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.cache.blob_path(etag)
    }

    /// Keeps other processes away from a blob, as Python's client does, until dropped.
    pub(super) fn lock(&self, etag: &str) -> Result<File> {
        create_folder(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|e| Error::disk("write", &path, e))?;
        match file.lock() {
            // Where the file system has no locks, two downloads at once are the user's to avoid.
            Err(e) if e.kind() != io::ErrorKind::Unsupported => Err(Error::disk("lock", &path, e)),
            _ => Ok(file),
        }
    }

    /// Makes `name` of the snapshot a link to the blob.
    pub(super) fn link(&self, etag: &str, commit: &str, name: &str) -> Result<()> {
        let link = self.snapshot(commit).join(name);
        let parent = link.parent().expect("a file in a snapshot has a folder");
        create_folder(parent)?;
        let ups = Path::new(name).components().count() + 1;
        let target =
            (0..ups).fold(PathBuf::new(), |path, _| path.join("..")).join("blobs").join(etag);
        // A link that leads nowhere would make the new one fail.
        let _ = fs::remove_file(&link);
        match link_or_copy(&target, &self.blob(etag), &link) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::disk("write", &link, e))
            }
            _ => Ok(()),
        }
    }

    /// The checkpoint as the cache has it.
    ///
    /// # Errors
    /// The names of the files that are missing.
    pub(super) fn find(&self) -> Result<Checkpoint, Vec<String>> {
        let Some(commit) = self.commit() else {
            return Err(vec![format!("the revision `{}`", self.revision)]);
        };
        let folder = self.snapshot(&commit);
        let has = |name: &str| folder.join(name).is_file();
        let mut wanted: Vec<String> = REQUIRED.map(str::to_owned).into();
        match fs::read(folder.join(INDEX)) {
            _ if has(ONE_FILE) => {}
            Ok(index) => {
                wanted.extend(files::shards(&index).unwrap_or_else(|_| vec![INDEX.to_owned()]));
            }
            Err(_) => wanted.push(ONE_FILE.to_owned()),
        }
        wanted.retain(|name| !has(name));
        if wanted.is_empty() { Ok(Checkpoint { folder, commit }) } else { Err(wanted) }
    }
}

#[cfg(unix)]
fn link_or_copy(target: &Path, _blob: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Links need a right that not every user has, so a copy takes their place.
#[cfg(not(unix))]
fn link_or_copy(_target: &Path, blob: &Path, link: &Path) -> io::Result<()> {
    fs::hard_link(blob, link).or_else(|_| fs::copy(blob, link).map(|_| ()))
}

/// Creates a folder of the cache and those above it.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::disk("create the folder", folder, e))
}

/// Whether text is a commit's hash.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The error of what is not in the cache of a machine that may not ask.
pub(super) fn missing(repo: RepoId<'_>, cache: &Path, names: &[String]) -> Error {
    let (cache, name, names) = (cache.display(), repo.name, names.join(", "));
    let instead = match repo.kind {
        Kind::Model => "name a local folder as the model's source",
        Kind::DataSet => "read a local file with LoadDataFromFileSystem",
    };
    Error::environment(
        format!("offline, and the cache {cache} lacks of {name}: {names}"),
        format!("run once without --offline (and without HF_HUB_OFFLINE), or {instead}"),
    )
}
