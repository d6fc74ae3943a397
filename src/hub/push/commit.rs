//! The commit: how each file shall come, and then everything in one request, a JSON line each.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::client::Client;
use super::hashed::Hashed;
use super::plan::Plan;
use super::repository::post_json;
use crate::hub::cache::is_commit;
use crate::hub::repo_id::encoded;
use crate::web::Failure;
use crate::{Error, Result};

/// Most files asked about at once.
const N_ASKED_MAX: usize = 256;

/// Most bytes of the files that come inside the commit: the Hub wants larger ones by the other
/// way, and these are held in memory.
const INSIDE_BYTES_MAX: u64 = 64 << 20;

/// How the files of a plan come, in its order.
#[derive(Debug)]
pub(super) struct Ways {
    /// Whether each file comes beforehand, into the store for large ones.
    is_large: Vec<bool>,
}

impl Ways {
    /// Asks the Hub.
    ///
    /// # Errors
    /// When it cannot be asked, would ignore a file, or wants too much inside the commit.
    pub(super) fn ask(client: &Client<'_>, branch: &str, plan: &Plan<'_, '_>) -> Result<Self> {
        let mut is_large = Vec::with_capacity(plan.send.len());
        for some in plan.send.chunks(N_ASKED_MAX) {
            let what = "ask how files shall come";
            is_large.extend(client.ask(what, || ways(client, branch, some))?);
        }
        let inside = plan.send.iter().zip(&is_large).filter(|(_, is_large)| !**is_large);
        let n_bytes: u64 = inside.map(|(hashed, _)| hashed.n_bytes).sum();
        if n_bytes > INSIDE_BYTES_MAX {
            let what = format!("the Hub wants {n_bytes} bytes inside one commit");
            let hint = format!("is {} the Hub or a mirror of it?", client.options.endpoint);
            return Err(Error::Remote { what, hint, source: None });
        }
        Ok(Self { is_large })
    }

    /// The files that are sent beforehand.
    pub(super) fn large<'f, 'l>(&self, plan: &Plan<'f, 'l>) -> Vec<&'f Hashed<'l>> {
        let files = plan.send.iter().zip(&self.is_large);
        files.filter(|(_, is_large)| **is_large).map(|(hashed, _)| *hashed).collect()
    }
}

fn ways(client: &Client<'_>, branch: &str, files: &[&Hashed<'_>]) -> Result<Vec<bool>, Failure> {
    let file = |hashed: &&Hashed<'_>| {
        json!({
            "path": hashed.file.name,
            "sample": BASE64_STANDARD.encode(&hashed.sample),
            "size": hashed.n_bytes,
        })
    };
    let wanted = json!({"files": files.iter().map(file).collect::<Vec<_>>()});
    let url = client.api(&format!("preupload/{}", encoded(branch)));
    let said = client.json(post_json(client, &url, &wanted)?, "how files shall come")?;
    let said = said["files"].as_array().map_or(&[][..], Vec::as_slice);
    let said: HashMap<&str, &Value> =
        said.iter().filter_map(|said| Some((said["path"].as_str()?, said))).collect();
    let way = |hashed: &&Hashed<'_>| {
        let name = hashed.file.name.as_str();
        let said = said.get(name).copied().unwrap_or(&Value::Null);
        if said["shouldIgnore"] == true {
            let what = format!("the .gitignore of {} keeps {name} out", client.repo);
            let hint = format!("change it at {}, then push again", client.page());
            return Err(Failure::Final(Error::Remote { what, hint, source: None }));
        }
        match said["uploadMode"].as_str() {
            // The store for large files takes no empty ones.
            Some("lfs") => Ok(hashed.n_bytes > 0),
            Some("regular") => Ok(false),
            _ => Err(client.strange(&format!("no way for {name} to come"))),
        }
    };
    files.iter().map(way).collect()
}

/// What became of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is made, and this is it.
    Made(String),
    /// Somebody else's came first.
    Overtaken,
}

/// A commit that is to be made.
pub(super) struct Commit<'a> {
    pub(super) branch: &'a str,
    /// The commit that everything was compared with.
    pub(super) parent: &'a str,
    pub(super) message: &'a str,
}

/// Makes the commit. Large files must be there.
pub(super) fn commit(
    client: &Client<'_>,
    commit: &Commit<'_>,
    plan: &Plan<'_, '_>,
    ways: &Ways,
) -> Result<Committed, Failure> {
    let url = client.api(&format!("commit/{}", encoded(commit.branch)));
    let body = lines(commit, plan, ways)?;
    let answer = client.post(&url, "application/x-ndjson", body.as_bytes())?;
    if [409, 412].contains(&answer.status().as_u16()) {
        return Ok(Committed::Overtaken);
    }
    let said = client.json(answer, "the commit")?;
    match said["commitOid"].as_str() {
        Some(made) if is_commit(made) => Ok(Committed::Made(made.to_owned())),
        _ => Err(client.strange("a commit without its hash")),
    }
}

fn lines(commit: &Commit<'_>, plan: &Plan<'_, '_>, ways: &Ways) -> Result<String> {
    let (summary, description) = commit.message.split_once('\n').unwrap_or((commit.message, ""));
    let header = json!({
        "summary": summary.trim(),
        "description": description.trim(),
        "parentCommit": commit.parent,
    });
    let mut text = String::new();
    let mut line = |key: &str, value: Value| {
        text += &json!({"key": key, "value": value}).to_string();
        text.push('\n');
    };
    line("header", header);
    for (hashed, is_large) in plan.send.iter().zip(&ways.is_large) {
        let path = &hashed.file.name;
        if *is_large {
            let (oid, size) = (&hashed.sha256, hashed.n_bytes);
            let value = json!({"path": path, "algo": "sha256", "oid": oid, "size": size});
            line("lfsFile", value);
        } else {
            let content = BASE64_STANDARD.encode(hashed.content()?);
            line("file", json!({"path": path, "content": content, "encoding": "base64"}));
        }
    }
    for path in &plan.delete {
        line("deletedFile", json!({ "path": path }));
    }
    Ok(text)
}
