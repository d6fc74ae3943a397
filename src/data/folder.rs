//! The run folder: where its files are, and the lock that keeps a second run out.
//!
//! It must not know what is in the files. The lock is the operating system's, so it ends with the
//! process however that ends; the number in the lock file only tells the user whom to ask.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::data::disk::create_folder;
use crate::{Error, Result};

/// A run folder that this process holds, or only looks at.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    /// Held for its lock; absent where nobody writes rows.
    _lock: Option<File>,
}

impl RunFolder {
    /// Creates the folder where needed and takes its lock.
    ///
    /// # Errors
    /// [`Error::Usage`] when it holds other things than a run, [`Error::Environment`] when it cannot
    /// be written, or when another run holds it.
    pub fn open(root: &Path) -> Result<Self> {
        expect_ours(root)?;
        create_folder(&root.join("steps"))?;
        let path = root.join(".lock");
        let fail = |e| Error::disk("write", &path, e);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(root, &path)),
            Err(TryLockError::Error(e)) => return Err(Error::disk("lock", &path, e)),
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(fail)?;
        writeln!(lock, "{}", std::process::id()).map_err(fail)?;
        Ok(Self { root: root.to_owned(), _lock: Some(lock) })
    }

    /// Looks at a run without taking its lock: its rows may be read while it goes on.
    ///
    /// # Errors
    /// [`Error::Usage`] when the folder holds no run.
    pub fn look(root: &Path) -> Result<Self> {
        if root.join("plan.json").is_file() {
            return Ok(Self { root: root.to_owned(), _lock: None });
        }
        let what = match root.is_dir() {
            true => format!("the folder {} holds no run: it has no plan.json", root.display()),
            false => format!("there is no folder {}", root.display()),
        };
        let hint = "name the folder that `stillroom run` wrote, such as runs/NAME".to_owned();
        Err(Error::Usage { what, hint })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The recipe as it was run.
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// What was decided: rows, models, memory, keys of the steps.
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// What happened, with times.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// The journal of a step, whose name the recipe has checked to be a file name.
    pub fn step(&self, name: &str) -> PathBuf {
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']), "no file name: {name:?}");
        self.root.join("steps").join(format!("{name}.jsonl"))
    }

    /// The rows that left the flow.
    pub fn dropped(&self) -> PathBuf {
        self.root.join("dropped.jsonl")
    }

    /// The data set, ready to push.
    pub fn dataset(&self) -> PathBuf {
        self.root.join("dataset")
    }

    /// The page about the run.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }
}

/// A run replaces `recipe.toml` and `dataset/`: in somebody else's folder that would be theft.
fn expect_ours(root: &Path) -> Result<()> {
    let is_ours = [".lock", "plan.json"].iter().any(|name| root.join(name).exists());
    let is_empty = root.read_dir().map_or(true, |mut entries| entries.next().is_none());
    if is_ours || is_empty {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("the folder {} holds other files and no run", root.display()),
        hint: "choose a new or an empty folder with --out".to_owned(),
    })
}

fn held(root: &Path, lock: &Path) -> Error {
    let pid = std::fs::read_to_string(lock).unwrap_or_default();
    let by = match pid.trim() {
        "" => "another process".to_owned(),
        pid => format!("process {pid}"),
    };
    Error::environment(
        format!("the folder {} is in use by {by}", root.display()),
        "wait for that run or stop it, or choose another folder with --out",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("runs/math");
        let first = RunFolder::open(&root).unwrap();
        let error = RunFolder::open(&root).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let pid = std::process::id().to_string();
        assert!(error.to_string().contains(&format!("in use by process {pid}")), "{error}");
        drop(first);
        let again = RunFolder::open(&root).unwrap();
        assert_eq!(again.step("dpo"), root.join("steps/dpo.jsonl"));
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "mine").unwrap();
        let error = RunFolder::open(folder.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("holds other files and no run"), "{error}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_run_is_looked_at_while_another_process_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = RunFolder::look(folder.path()).unwrap_err();
        assert!(error.to_string().contains("holds no run"), "{error}");
        let held = RunFolder::open(folder.path()).unwrap();
        std::fs::write(held.plan(), "{}").unwrap();
        assert_eq!(RunFolder::look(folder.path()).unwrap().root(), held.root());
        let error = RunFolder::look(&folder.path().join("absent")).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("there is no folder"));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = RunFolder::open(&file.join("run")).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("run"), "{error}");
    }
}
