//! The Hub's HTTP: which files a revision has, what a file is, and its bytes from an offset.
//!
//! It must not know the cache. Statuses become errors here, with what the user can do about them.

use std::io::Read;
use std::ops::Range;

use serde::Deserialize;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::HubOptions;
use super::repo_id::{RepoId, encoded, is_safe};
use crate::Error;
use crate::web::{Failure, N_SAYS_MAX, agent, body_text, failed_call, is_passing, told};

/// Most bytes of a repository's list of files.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// A revision of a repository.
#[derive(Debug, Deserialize)]
pub(super) struct Revision {
    /// Its commit.
    pub(super) sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Revision {
    /// The names of its files.
    pub(super) fn names(&self) -> Vec<String> {
        self.siblings.iter().map(|sibling| sibling.rfilename.clone()).collect()
    }
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileInfo {
    /// Name of its blob: a SHA-256 of the content for large files, a git hash for small ones.
    pub(super) etag: String,
    pub(super) n_bytes: u64,
}

/// The bytes of a file from an offset on.
pub(super) struct Piece {
    /// Where they begin; 0 when the server gave the whole file unasked.
    pub(super) start: u64,
    pub(super) body: Box<dyn Read>,
}

/// Speaks with the Hub about one repository.
pub(super) struct Client<'a> {
    agent: Agent,
    options: &'a HubOptions,
    repo: RepoId<'a>,
}

impl<'a> Client<'a> {
    pub(super) fn new(options: &'a HubOptions, repo: RepoId<'a>) -> Self {
        Self { agent: agent(&options.endpoint, &options.patience), options, repo }
    }

    /// The commit and the files of a revision.
    pub(super) fn revision(&self, revision: &str) -> Result<Revision, Failure> {
        let api = self.repo.at(revision).api_url();
        let mut response = self.get(&format!("{}/api/{api}", self.options.endpoint), None)?;
        self.check(&response, &format!("revision `{revision}`"))?;
        let text = body_text(&mut response, LIST_BYTES_MAX)?;
        let parsed = serde_json::from_str::<Revision>(&text).map_err(|e| e.to_string());
        parsed
            .and_then(|found| {
                if super::cache::is_commit(&found.sha) {
                    Ok(found)
                } else {
                    Err(format!("`{}` is no commit", found.sha))
                }
            })
            .map_err(|why| Failure::Final(self.strange(&format!("its list of files: {why}"))))
    }

    /// What a file of a commit is. Large files stand elsewhere, and only the first answer knows
    /// their etag, so a redirection to another host is not followed.
    pub(super) fn info(&self, commit: &str, name: &str) -> Result<FileInfo, Failure> {
        let mut url = self.file_url(commit, name);
        for _ in 0..5 {
            let response = self.head(&url)?;
            let text = |key: &str| response.headers().get(key).and_then(|v| v.to_str().ok());
            let etag = text("x-linked-etag").or(text("etag"));
            let size = text("x-linked-size").or(text("content-length"));
            let location = text("location").filter(|_| response.status().is_redirection());
            match location {
                Some(path) if path.starts_with('/') => {
                    url = format!("{}{path}", origin(&url));
                    continue;
                }
                Some(_) => {}
                None => self.check(&response, name)?,
            }
            let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
            let n_bytes = size.and_then(|size| size.parse().ok());
            return match (etag, n_bytes) {
                (Some(etag), Some(n_bytes)) if is_safe(&etag) && !etag.contains('/') => {
                    Ok(FileInfo { etag, n_bytes })
                }
                _ => {
                    Err(Failure::Final(self.strange(&format!("{name} without an etag or a size"))))
                }
            };
        }
        Err(Failure::Final(self.strange(&format!("{name} with redirections without an end"))))
    }

    /// The bytes of a file from `start` on.
    pub(super) fn piece(&self, commit: &str, name: &str, start: u64) -> Result<Piece, Failure> {
        let range = Some(format!("bytes={start}-")).filter(|_| start > 0);
        let response = self.get(&self.file_url(commit, name), range)?;
        if start > 0 && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // What is here is longer than the file, so it is not the beginning of it.
            return self.piece(commit, name, 0);
        }
        self.check(&response, name)?;
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT => content_start(&response)
                .ok_or_else(|| Failure::passing("a part of the file without its place in it"))?,
            _ => 0,
        };
        Ok(Piece { start, body: Box::new(response.into_body().into_reader()) })
    }

    fn file_url(&self, commit: &str, name: &str) -> String {
        let name = name.split('/').map(encoded).collect::<Vec<_>>().join("/");
        format!("{}/{}/resolve/{commit}/{name}", self.options.endpoint, self.repo.page())
    }

    fn head(&self, url: &str) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.head(url).config().max_redirects(0);
        request = request.max_redirects_will_error(false);
        let mut request = request.build();
        if let Some(token) = &self.options.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call().map_err(failed_call)
    }

    fn get(&self, url: &str, range: Option<String>) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.options.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        request.call().map_err(failed_call)
    }

    /// The bytes of a file in a range, or nothing when the server gives whole files only.
    pub(super) fn range(
        &self,
        commit: &str,
        name: &str,
        range: &Range<u64>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let response = self.get(&self.file_url(commit, name), Some(asked))?;
        self.check(&response, name)?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(None);
        }
        if content_start(&response) != Some(range.start) {
            return Err(Failure::passing("another part of the file than asked for"));
        }
        let n_bytes = range.end - range.start;
        let mut bytes = Vec::new();
        let body = response.into_body().into_reader().take(n_bytes).read_to_end(&mut bytes);
        body.map_err(|e| Failure::passing(e.to_string()))?;
        if (bytes.len() as u64) < n_bytes {
            return Err(Failure::passing("the connection ended within the part"));
        }
        Ok(Some(bytes))
    }

    /// What a status means for the user.
    fn check(&self, response: &Response<Body>, wanted: &str) -> Result<(), Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if let Some(passing) = is_passing(response, wanted) {
            return Err(passing);
        }
        let repo = self.repo.name;
        let page = format!("{}/{}", self.options.endpoint, self.repo.page());
        let says = response.headers().get("x-error-message").and_then(|v| v.to_str().ok());
        let code = status.as_u16();
        let hint = match code {
            401 if self.options.token.is_none() => format!(
                "the repository is private, gated or misspelt: check the name, then set HF_TOKEN \
                 to a token of yours that may read {page}"
            ),
            401 => "the token is not valid: make a new one and set HF_TOKEN to it".to_owned(),
            403 => format!(
                "the repository is gated: accept its terms at {page}, and use a token (HF_TOKEN) \
                 of that account that may read gated repositories"
            ),
            404 => format!("check the name and the revision at {page}"),
            _ => format!("look at {page}"),
        };
        let says = says.map(|says| format!(": {}", self.told(says))).unwrap_or_default();
        let what = format!("the Hub refuses {wanted} of {repo} with status {code}{says}");
        Err(Failure::Final(Error::Remote { what, hint, source: None }))
    }

    /// A server's words as they may be shown.
    fn told(&self, words: &str) -> String {
        told(words, self.options.token.as_deref(), N_SAYS_MAX)
    }

    fn strange(&self, what: &str) -> Error {
        Error::Remote {
            what: format!(
                "the Hub's answer for {} makes no sense: {}",
                self.repo.name,
                self.told(what)
            ),
            hint: format!("is {} the Hub or a mirror of it?", self.options.endpoint),
            source: None,
        }
    }
}

/// `scheme://host` of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |at| &url[..host + at])
}

/// The first byte that `Content-Range: bytes A-B/N` tells.
fn content_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
