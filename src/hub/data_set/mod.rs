//! Data sets of the Hub: from a repository, a config and a split to files on this disk.
//!
//! Which files there are and what the card says of them tells which are meant; whole files lie in
//! the standard cache, that Python's client shares. It must not know what stands in the files.

mod card;
mod layout;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::cache::{RepoCache, create_folder, is_commit, missing};
use super::client::Client;
use super::download::ask;
use super::fetch::bring;
use super::repo_id::{Kind, RepoId, check_names, is_safe};
use super::{HubOptions, Progress};
use crate::{Error, Result};
use layout::{Config, READABLE};

/// The branch with what the Hub made of data sets that are scripts.
const CONVERTED: &str = "refs/convert/parquet";

/// The revision that this branch follows.
const MAIN: &str = "main";

/// Name of the card.
const CARD: &str = "README.md";

/// Which rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The repository, `org/name`.
    pub repo: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The config; the data set's default when absent.
    pub config: Option<String>,
    /// The split.
    pub split: String,
}

/// A split of a data set, found.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// The repository.
    pub repo: String,
    /// The commit that its files are of.
    pub commit: String,
    /// The config that was meant.
    pub config: String,
    /// Names of the split's files in the repository, in the order of their rows.
    pub files: Vec<String>,
    /// The revision by which the cache knows the commit.
    revision: String,
    options: HubOptions,
}

/// Finds the files of a split. Lists of files are kept below `lists`, for machines that may not ask
/// later.
///
/// # Errors
/// [`Error::Usage`] for names that cannot be, and for a config or split that is not there, with
/// those that are; [`Error::Remote`] when the Hub refuses or cannot be reached;
/// [`Error::Environment`] when the disk refuses or, offline, when the cache does not know.
pub fn find(
    wanted: &Wanted,
    options: &HubOptions,
    lists: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<DataSet> {
    check_names(&wanted.repo, &wanted.revision)?;
    let mut found = data_set(wanted, &wanted.revision, options);
    let names = found.list(lists)?;
    let has_card = names.iter().any(|name| name == CARD);
    let card = if has_card {
        let path = found.whole(CARD, progress)?;
        fs::read_to_string(&path).map_err(|e| Error::disk("read", &path, e))?
    } else {
        String::new()
    };
    let strange = |why: String| Error::Remote {
        what: format!("the data set {} cannot be read: {why}", wanted.repo),
        hint: "its card or its files are not as `datasets` wants them: tell its author, or name \
               another revision"
            .into(),
        source: None,
    };
    let card = card::configs(&card).map_err(strange)?;
    let mut configs = match wanted.revision.as_str() {
        CONVERTED => layout::converted(&names),
        _ => layout::configs(&names, &card),
    };
    let is_empty = configs.iter().all(|config| config.splits.is_empty());
    if is_empty && has_script(&names, &wanted.repo) {
        if wanted.revision != MAIN {
            let (repo, revision) = (&wanted.repo, &wanted.revision);
            return Err(Error::Usage {
                what: format!("{repo} is a script at `{revision}`, and scripts are not run"),
                hint: format!(
                    "set `revision = \"{CONVERTED}\"`: what the Hub made of it, as it is at {MAIN}"
                ),
            });
        }
        found = data_set(wanted, CONVERTED, options);
        configs = layout::converted(&found.list(lists)?);
    }
    let config = choose_config(wanted, &configs)?;
    let separator = card.iter().find(|card| card.name == config.name);
    if let Some(separator) = separator.and_then(|card| card.separator.as_deref())
        && separator != ","
    {
        let hint = "write the rows with commas, as JSON Lines or as Parquet".to_owned();
        let what = format!("{} separates values with {separator:?}, not with commas", wanted.repo);
        return Err(Error::Usage { what, hint });
    }
    found.files = choose_split(wanted, config)?;
    found.config = config.name.clone();
    Ok(found)
}

fn data_set(wanted: &Wanted, revision: &str, options: &HubOptions) -> DataSet {
    DataSet {
        repo: wanted.repo.clone(),
        commit: String::new(),
        config: String::new(),
        files: Vec::new(),
        revision: revision.to_owned(),
        options: options.clone(),
    }
}

/// Whether the repository is a program that made the rows, in the days when that was run.
fn has_script(names: &[String], repo: &str) -> bool {
    let name = repo.rsplit('/').next().unwrap_or(repo);
    names.contains(&format!("{name}.py"))
}

fn choose_config<'c>(wanted: &Wanted, configs: &'c [Config]) -> Result<&'c Config> {
    let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
    let found = match &wanted.config {
        Some(name) => configs.iter().find(|config| config.name == *name),
        None => configs.iter().find(|config| config.is_default),
    };
    found.ok_or_else(|| Error::Usage {
        what: match &wanted.config {
            _ if configs.is_empty() => {
                format!("the data set {} has no file that holds rows", wanted.repo)
            }
            Some(name) => format!("the data set {} has no config `{name}`", wanted.repo),
            None => format!("the data set {} has several configs and no default", wanted.repo),
        },
        hint: match names.as_slice() {
            [] => "files with rows are .parquet, .jsonl, .json and .csv".to_owned(),
            names => format!("set `config` to one of: {}", names.join(", ")),
        },
    })
}

fn choose_split(wanted: &Wanted, config: &Config) -> Result<Vec<String>> {
    let found = config.splits.iter().find(|(split, _)| *split == wanted.split);
    let Some((_, files)) = found else {
        let splits: Vec<&str> = config.splits.iter().map(|(split, _)| split.as_str()).collect();
        let (repo, name) = (&wanted.repo, &config.name);
        let what = format!("the config `{name}` of {repo} has no split `{}`", wanted.split);
        let part = match wanted.split.contains('[') {
            true => "; for a part of a split set `num_examples`",
            false => "",
        };
        let hint = match splits.is_empty() {
            true => "no file of it matches what its card says: try another config".to_owned(),
            false => format!("set `split` to one of: {}{part}", splits.join(", ")),
        };
        return Err(Error::Usage { what, hint });
    };
    let unread = files.iter().find(|name| {
        let end = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
        !READABLE.contains(&end.as_str())
    });
    if let Some(name) = unread {
        let what = format!("{} keeps its rows in {name}, a kind that is not read", wanted.repo);
        let hint = "set `revision = \"refs/convert/parquet\"`: there the Hub keeps most data sets \
                    as Parquet"
            .to_owned();
        return Err(Error::Usage { what, hint });
    }
    Ok(files.clone())
}

impl DataSet {
    fn id(&self) -> RepoId<'_> {
        RepoId { kind: Kind::DataSet, name: &self.repo }
    }

    fn cache(&self) -> RepoCache {
        RepoCache::new(&self.options.cache, self.id(), &self.revision)
    }

    /// The names of all files, asked for or, offline, as they were last time.
    fn list(&mut self, lists: &Path) -> Result<Vec<String>> {
        let cache = self.cache();
        let kept = |commit: &str| lists.join(commit).join("files.json");
        if self.options.offline || is_commit(&self.revision) {
            let commit = cache.commit();
            let found = commit.as_ref().and_then(|commit| {
                let text = fs::read(kept(commit)).ok();
                let names = text.and_then(|text| serde_json::from_slice(&text).ok());
                let is_all = self.options.offline;
                names.or_else(|| snapshot_names(&cache.snapshot(commit)).filter(|_| is_all))
            });
            if let (Some(commit), Some(names)) = (commit, found) {
                self.commit = commit;
                return Ok(names);
            }
            if self.options.offline {
                let revision = vec![format!("the revision `{}`", self.revision)];
                return Err(missing(self.id(), &self.options.cache, &revision));
            }
        }
        let client = Client::new(&self.options, self.id());
        let what = format!("the list of files of {}", self.repo);
        let found = ask(&self.options, &what, || (false, client.revision(&self.revision)))?;
        let names: Vec<String> = found.names().into_iter().filter(|name| is_safe(name)).collect();
        let path = kept(&found.sha);
        create_folder(path.parent().expect("a file in a folder"))?;
        let text = serde_json::to_vec(&names).expect("names are plain");
        write_small(&path, &text)?;
        self.commit = found.sha;
        Ok(names)
    }

    /// Tells the cache that this is the revision's commit now: when all that is wanted of it is
    /// here, so that a machine offline is not led to less.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk refuses.
    pub fn keep(&self) -> Result<()> {
        self.cache().set_commit(&self.commit)
    }

    /// A file in the standard cache, brought there if it is not.
    ///
    /// # Errors
    /// As [`find`].
    pub fn whole(&self, name: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf> {
        if let Some(path) = self.cached(name) {
            return Ok(path);
        }
        if self.options.offline {
            return Err(missing(self.id(), &self.options.cache, &[name.to_owned()]));
        }
        let client = Client::new(&self.options, self.id());
        bring(&self.cache(), &client, &self.options, &self.commit, name, progress)?;
        Ok(self.cache().snapshot(&self.commit).join(name))
    }

    /// The file in the standard cache, if it is there.
    pub fn cached(&self, name: &str) -> Option<PathBuf> {
        Some(self.cache().snapshot(&self.commit).join(name)).filter(|path| path.is_file())
    }

    /// Bytes of a file that is not here.
    ///
    /// # Errors
    /// As [`find`].
    pub fn n_bytes(&self, name: &str) -> Result<u64> {
        self.expect_online(name)?;
        let client = Client::new(&self.options, self.id());
        let info = ask(&self.options, name, || (false, client.info(&self.commit, name)))?;
        Ok(info.n_bytes)
    }

    /// A part of a file that is not here, or nothing when the server gives whole files only.
    ///
    /// # Errors
    /// As [`find`].
    pub fn range(&self, name: &str, range: &Range<u64>) -> Result<Option<Vec<u8>>> {
        self.expect_online(name)?;
        let client = Client::new(&self.options, self.id());
        ask(&self.options, name, || (false, client.range(&self.commit, name, range)))
    }

    fn expect_online(&self, name: &str) -> Result<()> {
        if self.options.offline {
            return Err(missing(self.id(), &self.options.cache, &[name.to_owned()]));
        }
        Ok(())
    }
}

/// The files of a snapshot, if their names tell that no data is missing: each is one of so many, as
/// `-00000-of-00003`, and all of them are here.
fn snapshot_names(folder: &Path) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).ok()? {
            let path = entry.ok()?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).ok()?.to_str()?;
                names.push(below.replace('\\', "/"));
            }
        }
    }
    names.sort_unstable();
    Some(names)
        .filter(|names| !names.is_empty() && names.iter().all(|name| has_siblings(name, names)))
}

fn has_siblings(name: &str, names: &[String]) -> bool {
    if layout::kind(name).is_none() {
        return true;
    }
    let own = layout::shard(name);
    own.is_some_and(|(_, n)| names.iter().filter(|other| layout::shard(other) == own).count() == n)
}

/// Writes a small file so that it is there whole or not at all.
fn write_small(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let written = fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, path));
    written.map_err(|e| Error::disk("write", path, e))
}
