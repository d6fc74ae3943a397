//! Repositories, their commits and the store for large files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

pub(crate) struct State {
    pub(crate) port: u16,
    pub(crate) repos: BTreeMap<String, Repo>,
    /// Large files by their SHA-256.
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// Those that a client has asked about after sending them.
    pub(crate) verified: BTreeSet<String>,
    /// Parts of large files that are on their way, by SHA-256 and number.
    pub(crate) parts: BTreeMap<(String, usize), Vec<u8>>,
    /// Sends large files in parts of this size.
    pub(crate) part_bytes: Option<usize>,
    /// Most entries of a page of a list.
    pub(crate) page: usize,
    /// What `whoami` says of the token.
    pub(crate) role: &'static str,
}

impl Default for State {
    fn default() -> Self {
        Self {
            port: 0,
            repos: BTreeMap::new(),
            objects: BTreeMap::new(),
            verified: BTreeSet::new(),
            parts: BTreeMap::new(),
            part_bytes: None,
            page: 1000,
            role: "write",
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Repo {
    pub(crate) is_private: bool,
    /// Commits of each branch, the last one on top.
    pub(crate) branches: BTreeMap<String, Vec<Commit>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) oid: String,
    pub(crate) message: String,
    pub(crate) files: BTreeMap<String, Stored>,
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    Inside(Vec<u8>),
    /// In the store.
    Large {
        sha256: String,
        n_bytes: usize,
    },
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

impl Stored {
    /// What git keeps: the content, or the note that stands for it.
    pub(crate) fn blob(&self) -> Vec<u8> {
        match self {
            Self::Inside(bytes) => bytes.clone(),
            Self::Large { sha256, n_bytes } => format!(
                "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {n_bytes}\n"
            )
            .into_bytes(),
        }
    }

    pub(crate) fn git(&self) -> String {
        let blob = self.blob();
        let mut hasher = Sha1::new();
        hasher.update(format!("blob {}\0", blob.len()));
        hasher.update(&blob);
        hex(&hasher.finalize())
    }

    pub(crate) fn n_bytes(&self) -> usize {
        match self {
            Self::Inside(bytes) => bytes.len(),
            Self::Large { n_bytes, .. } => *n_bytes,
        }
    }
}

impl Repo {
    /// A new one, with the Hub's own first commit.
    pub(crate) fn new(is_private: bool) -> Self {
        let mut repo = Self { is_private, branches: BTreeMap::new() };
        let files =
            [(".gitattributes".to_owned(), Stored::Inside(b"*.parquet filter=lfs\n".to_vec()))];
        repo.add("main", "initial commit", files.into());
        repo
    }

    pub(crate) fn main(&self) -> &Vec<Commit> {
        &self.branches["main"]
    }

    /// The commit that a branch or a hash names.
    pub(crate) fn at(&self, revision: &str) -> Option<&Commit> {
        let named = self.branches.get(revision).and_then(|commits| commits.last());
        named.or_else(|| self.branches.values().flatten().find(|commit| commit.oid == revision))
    }

    pub(crate) fn add(
        &mut self,
        branch: &str,
        message: &str,
        files: BTreeMap<String, Stored>,
    ) -> String {
        let commits = self.branches.entry(branch.to_owned()).or_default();
        let parent = commits.last().map_or("", |commit| commit.oid.as_str());
        let mut hasher = Sha1::new();
        hasher.update(parent);
        hasher.update(message);
        files.iter().for_each(|(name, stored)| hasher.update(format!("{name} {}\n", stored.git())));
        let oid = hex(&hasher.finalize());
        commits.push(Commit { oid: oid.clone(), message: message.to_owned(), files });
        oid
    }
}

impl State {
    /// Makes `owner/name` with these files inside.
    pub(crate) fn put(&mut self, name: &str, files: &[(&str, &str)]) {
        let repo = self.repos.entry(name.to_owned()).or_insert_with(|| Repo::new(false));
        let mut all = repo.main().last().expect("the first commit").files.clone();
        all.extend(
            files
                .iter()
                .map(|(name, text)| ((*name).to_owned(), Stored::Inside(text.as_bytes().to_vec()))),
        );
        repo.add("main", "by somebody", all);
    }

    /// Somebody else adds a file to every repository's main branch.
    pub(crate) fn overtake(&mut self) {
        for name in self.repos.keys().cloned().collect::<Vec<_>>() {
            let n = self.repos[&name].main().len();
            self.put(&name, &[(&format!("theirs-{n}.txt"), "hello")]);
        }
    }

    /// The bytes of a file, wherever they are.
    pub(crate) fn bytes(&self, stored: &Stored) -> Vec<u8> {
        match stored {
            Stored::Inside(bytes) => bytes.clone(),
            Stored::Large { sha256, .. } => self.objects[sha256].clone(),
        }
    }

    /// Applies the lines of a commit to the files of its parent.
    pub(crate) fn apply(
        &self,
        files: &mut BTreeMap<String, Stored>,
        body: &[u8],
    ) -> Result<Value, String> {
        use base64::Engine as _;
        let text = String::from_utf8(body.to_vec()).map_err(|e| e.to_string())?;
        let mut header = Value::Null;
        for (number, line) in text.lines().enumerate() {
            let line: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
            let value = &line["value"];
            let path = value["path"].as_str().unwrap_or_default().to_owned();
            match line["key"].as_str() {
                Some("header") if number == 0 => header = value.clone(),
                Some("file") if value["encoding"] == "base64" => {
                    let content = value["content"].as_str().unwrap_or_default();
                    let bytes = base64::prelude::BASE64_STANDARD.decode(content);
                    files.insert(path, Stored::Inside(bytes.map_err(|e| e.to_string())?));
                }
                Some("lfsFile") if value["algo"] == "sha256" => {
                    let sha256 = value["oid"].as_str().unwrap_or_default().to_owned();
                    let there = self.objects.get(&sha256).ok_or("a large file that never came")?;
                    if value["size"].as_u64() != Some(there.len() as u64) {
                        return Err("a large file of another size".to_owned());
                    }
                    if !self.verified.contains(&sha256) {
                        return Err("a large file that nobody asked about".to_owned());
                    }
                    files.insert(path, Stored::Large { sha256, n_bytes: there.len() });
                }
                Some("deletedFile") => {
                    files.remove(&path).ok_or(format!("{path} is not there"))?;
                }
                _ => return Err(format!("what is {line}?")),
            }
        }
        if header.is_null() { Err("no header".to_owned()) } else { Ok(header) }
    }
}
