//! A workbench for pushes: a Hub, a folder of files, and the call.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use stillroom::hub::HubOptions;
use stillroom::hub::push::{self, Fate, LocalFile, Push, Pushed};
use stillroom::web::Patience;
use stillroom::{Error, Result};
use tempfile::TempDir;

use crate::server::{Asked, Server, TOKEN};

/// Where everything is pushed to.
pub(crate) const REPO: &str = "me/pairs";

pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) options: HubOptions,
    folder: TempDir,
    pub(crate) is_private: bool,
    pub(crate) branch: &'static str,
}

/// Bytes that differ from place to place.
pub(crate) fn bytes(n: usize, seed: usize) -> Vec<u8> {
    (0..n).map(|i| ((i * 31 + seed) ^ (i >> 8)) as u8).collect()
}

/// How tests wait: shortly.
pub(crate) fn options(endpoint: &str) -> HubOptions {
    HubOptions {
        endpoint: endpoint.to_owned(),
        token: Some(TOKEN.to_owned()),
        cache: std::path::PathBuf::new(),
        offline: false,
        patience: Patience {
            silence: Duration::from_secs(20),
            n_attempts: 3,
            pause: Duration::ZERO,
        },
    }
}

impl Bench {
    /// A small data set, nothing at the Hub.
    pub(crate) fn new() -> Self {
        let server = Server::new();
        let options = options(&server.endpoint());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bench = Self { server, options, folder, is_private: false, branch: "main" };
        bench.write("README.md", b"---\ntags:\n- stillroom\n---\n# Pairs\n");
        bench.write("data/train-00000-of-00002.parquet", &bytes(30_000, 1));
        bench.write("data/train-00001-of-00002.parquet", &bytes(7_000, 2));
        bench.write("recipe.toml", b"name = \"pairs\"\n");
        bench.write("report.html", b"<p>good</p>");
        bench
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("a folder");
        fs::write(path, content).expect("the folder can be written");
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).expect("it is there");
    }

    /// The files of the folder, by name.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.folder.path(), "", &mut files);
        files
    }

    fn wanted<T>(&self, then: impl FnOnce(&Push<'_>) -> T) -> T {
        let local = |name: &String| LocalFile {
            name: name.clone(),
            path: self.folder.path().join(name),
            is_news: name != "report.html",
        };
        let fate = |readme: Option<&str>, name: &str| {
            let is_ours = readme.is_some_and(|readme| readme.contains("stillroom"));
            match name.starts_with("data/") {
                true if is_ours => Fate::Goes,
                true => Fate::Clashes,
                false => Fate::Stays,
            }
        };
        then(&Push {
            repo: REPO,
            branch: self.branch,
            is_private: self.is_private,
            message: "Pairs\n\nMore.",
            files: self.files().keys().map(local).collect(),
            fate: &fate,
        })
    }

    pub(crate) fn push(&self) -> Result<Pushed> {
        self.wanted(|wanted| push::push(wanted, &self.options, &mut |_| ()))
    }

    pub(crate) fn preview(&self) -> Result<Pushed> {
        self.wanted(|wanted| push::preview(wanted, &self.options))
    }

    pub(crate) fn error(&self) -> Error {
        self.push().expect_err("it is refused")
    }

    /// The main branch holds what the folder holds, and these files of others.
    pub(crate) fn expect_there(&self, others: &[&str]) {
        let mut there = self.server.with(|state| {
            let files = &state.repos[REPO].at(self.branch).expect("the branch").files;
            let bytes = |stored| state.bytes(stored);
            files
                .iter()
                .map(|(name, stored)| (name.clone(), bytes(stored)))
                .collect::<BTreeMap<_, _>>()
        });
        for other in others.iter().chain(&[".gitattributes"]) {
            assert!(there.remove(*other).is_some(), "{other} is gone");
        }
        let here = self.files();
        assert!(here.keys().eq(there.keys()), "{:?}", there.keys());
        assert!(here == there, "other bytes");
    }

    /// Commits that are not the Hub's own first one.
    pub(crate) fn n_commits(&self) -> usize {
        self.server.commits(REPO).len() - 1
    }
}

fn collect(folder: &Path, above: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() {
            collect(&path, &format!("{above}{name}/"), files);
        } else {
            files.insert(format!("{above}{name}"), fs::read(&path).expect("a file"));
        }
    }
}

/// How many of the requests hold the text.
pub(crate) fn count(asked: &[Asked], needle: &str) -> usize {
    asked.iter().filter(|asked| asked.line.contains(needle)).count()
}
