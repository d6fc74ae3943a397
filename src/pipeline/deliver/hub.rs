//! A run's data set to the Hub: which files, whether they are fit to be seen, and what of an
//! earlier push they replace.

use std::path::Path;

use super::shell_word as word;
use crate::data::dataset::{self, CardFiles};
use crate::data::folder::RunFolder;
use crate::hub::push::{self, Fate, LocalFile, Push};
use crate::hub::{HubOptions, Progress};
use crate::pipeline::export::reader::RunReader;
use crate::recipe::spec::PushToHub;
use crate::{Error, Result};

pub use crate::hub::push::Pushed as PushedHub;

/// Where to push a run, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushHubOptions {
    /// The repository, `owner/name`; `name` alone is one of the token's own user.
    pub repo: String,
    /// Whether only its owner and those that they invite may see it.
    pub is_private: bool,
    /// The branch.
    pub branch: String,
    /// The commit's message; one that counts rows when absent.
    pub message: Option<String>,
    /// Ask what would change, and change nothing.
    pub is_dry_run: bool,
}

impl PushHubOptions {
    /// To the main branch of a repository.
    pub fn new(repo: impl Into<String>) -> Self {
        Self {
            repo: repo.into(),
            is_private: false,
            branch: PushToHub::MAIN.to_owned(),
            message: None,
            is_dry_run: false,
        }
    }

    /// The command that does this.
    pub(super) fn command(&self, run: &Path) -> String {
        let mut words = vec!["stillroom push hub".to_owned(), word(&run.display().to_string())];
        words.extend(["--repo".to_owned(), word(&self.repo)]);
        words.extend(self.is_private.then(|| "--private".to_owned()));
        if self.branch != PushToHub::MAIN {
            words.extend(["--revision".to_owned(), word(&self.branch)]);
        }
        if let Some(message) = &self.message {
            words.extend(["--message".to_owned(), word(message)]);
        }
        words.join(" ")
    }
}

/// Whether a repository can be pushed to, as far as that can be told without trying: names, a
/// token, and what it may do. Asked before any model is loaded.
///
/// # Errors
/// [`Error::Usage`] for names that cannot be, [`Error::Environment`] offline, [`Error::Remote`]
/// without a token that may write, or when the Hub cannot be reached.
pub fn check_push(options: &PushHubOptions, hub: &HubOptions) -> Result<()> {
    push::check(&options.repo, &options.branch, hub)
}

/// Pushes the data set of the finished run in `run`, with its recipe and its report: one commit, or
/// none where nothing has changed. Files of an earlier push that the data set has no more go. A
/// report alone is no change, since it tells times.
///
/// # Errors
/// [`Error::Usage`] when the folder holds no finished run or no data set; [`Error::Environment`]
/// when the card and the files do not say the same; else as [`check_push`], and when the Hub
/// refuses.
pub fn push_hub(
    run: &Path,
    options: &PushHubOptions,
    hub: &HubOptions,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<PushedHub> {
    let folder = RunFolder::look(run)?;
    if !RunReader::open(run)?.is_finished()? {
        return Err(Error::Usage {
            what: format!("the run in {} has not finished", run.display()),
            hint: "run its recipe again: it goes on where it stopped".to_owned(),
        });
    }
    let checked = dataset::check(&folder.dataset())?;
    let mut files: Vec<LocalFile> = checked
        .files
        .iter()
        .map(|name| LocalFile {
            name: name.clone(),
            path: folder.dataset().join(name),
            is_news: true,
        })
        .collect();
    for (path, is_news) in [(folder.recipe(), true), (folder.report(), false)] {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        if !path.is_file() {
            let what = format!("there is no {name} in {}", run.display());
            let hint = "`stillroom report RUN` writes report.html, running the recipe both";
            return Err(Error::Usage { what, hint: hint.to_owned() });
        }
        files.push(LocalFile { name, path, is_news });
    }
    let message = options.message.clone().unwrap_or_else(|| {
        let rows = if checked.n_rows == 1 { "row" } else { "rows" };
        format!("{} {rows} by stillroom {}", checked.n_rows, env!("CARGO_PKG_VERSION"))
    });
    let new = CardFiles::read(&checked.card);
    let wanted = Push {
        repo: &options.repo,
        branch: &options.branch,
        is_private: options.is_private,
        message: &message,
        files,
        fate: &|readme, name| fate(&new, readme, name),
    };
    if options.is_dry_run { push::preview(&wanted, hub) } else { push::push(&wanted, hub, tell) }
}

/// What becomes of a file of the repository that the run does not have: shards that a card of ours
/// names are an earlier push's, and what the new card would name but is none of them is somebody's.
fn fate(new: &CardFiles, readme: Option<&str>, name: &str) -> Fate {
    let old = readme.map(CardFiles::read).filter(|old| old.is_ours).unwrap_or_default();
    if old.take_shard(name) {
        Fate::Goes
    } else if new.take(name) {
        Fate::Clashes
    } else {
        Fate::Stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_earlier_push_left_goes() {
        let card = |tag: &str, folder: &str| {
            format!(
                "---\ntags:\n- {tag}\nconfigs:\n- config_name: default\n  data_files:\n  - split: \
                 train\n    path: {folder}/train-*\n---\n"
            )
        };
        let new = CardFiles::read(&card("stillroom", "data"));
        let (ours, theirs) = (card("stillroom", "dpo"), card("other", "data"));
        let shard = "data/train-00003-of-00004.parquet";
        assert_eq!(fate(&new, Some(&card("stillroom", "data")), shard), Fate::Goes);
        assert_eq!(fate(&new, Some(&ours), "dpo/train-00000-of-00001.parquet"), Fate::Goes);
        assert_eq!(fate(&new, Some(&ours), "dpo/notes.md"), Fate::Stays);
        assert_eq!(fate(&new, Some(&ours), shard), Fate::Clashes);
        assert_eq!(fate(&new, Some(&theirs), shard), Fate::Clashes);
        assert_eq!(fate(&new, None, shard), Fate::Clashes);
        assert_eq!(fate(&new, Some(&ours), "data/train-mine.csv"), Fate::Clashes);
        assert_eq!(fate(&new, None, "img/a.png"), Fate::Stays);
    }

    #[test]
    fn the_command_can_be_typed() {
        let options = PushHubOptions {
            is_private: true,
            message: Some("it's new".to_owned()),
            ..PushHubOptions::new("me/pairs")
        };
        assert_eq!(
            options.command(Path::new("runs/my run")),
            "stillroom push hub 'runs/my run' --repo me/pairs --private --message 'it'\\''s new'"
        );
    }
}
