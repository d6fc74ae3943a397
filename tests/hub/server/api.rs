//! The Hub's own answers, as far as a push and Python's `datasets` ask.

use serde_json::{Value, json};

use super::TOKEN;
use super::http::{Reply, Request};
use super::lfs;
use super::repo::{Commit, Repo, State, Stored};

pub(super) fn answer(state: &mut State, request: &Request) -> Reply {
    let place = request.place().to_owned();
    // The end of an upload is signed by its address.
    if let Some(oid) = place.strip_prefix("/api/complete/") {
        return lfs::complete(state, oid, request);
    }
    if request.token.as_deref() != Some(TOKEN) {
        return Reply::error(401, "Invalid username or password.");
    }
    if let Some(oid) = place.strip_prefix("/api/verify/") {
        return lfs::verify(state, oid, request);
    }
    match place.as_str() {
        "/api/whoami-v2" => {
            let token = json!({"role": state.role, "displayName": "t"});
            let orgs = json!([{"name": "org", "roleInOrg": "write"}]);
            return Reply::json(&json!({
                "name": "me", "type": "user", "orgs": orgs, "auth": {"accessToken": token},
            }));
        }
        "/api/repos/create" => return create(state, &request.json()),
        _ => (),
    }
    if let Some(rest) = place.strip_prefix("/api/datasets/") {
        return dataset(state, rest, request);
    }
    if let Some(rest) = place.strip_prefix("/datasets/") {
        return pages(state, rest, request);
    }
    Reply::error(404, "no such place")
}

fn create(state: &mut State, wanted: &Value) -> Reply {
    let (owner, name) = (wanted["organization"].as_str(), wanted["name"].as_str());
    let (Some(owner), Some(name)) = (owner, name) else { return Reply::error(400, "no name") };
    if wanted["type"] != "dataset" || !["me", "org"].contains(&owner) {
        return Reply::error(403, "You don't have the rights to create a dataset there");
    }
    let repo = format!("{owner}/{name}");
    if state.repos.contains_key(&repo) {
        return Reply::error(409, "You already created this dataset repo");
    }
    state.repos.insert(repo.clone(), Repo::new(wanted["visibility"] == "private"));
    Reply::json(&json!({"url": format!("http://127.0.0.1:{}/datasets/{repo}", state.port)}))
}

/// `owner/name`, and what follows it.
fn split(rest: &str) -> (String, &str) {
    let mut parts = rest.splitn(3, '/');
    let repo = format!("{}/{}", parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    (repo, parts.next().unwrap_or(""))
}

fn no_repo() -> Reply {
    Reply::error(404, "Repository not found").header("X-Error-Code", "RepoNotFound")
}

fn no_revision() -> Reply {
    Reply::error(404, "Invalid rev id").header("X-Error-Code", "RevisionNotFound")
}

fn dataset(state: &mut State, rest: &str, request: &Request) -> Reply {
    let (name, rest) = split(rest);
    let Some(repo) = state.repos.get(&name) else { return no_repo() };
    let (action, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (revision, below) = rest.split_once('/').unwrap_or((rest, ""));
    let revision = revision.replace("%2F", "/");
    match action {
        "" => info(&name, repo, "main"),
        "revision" => info(&name, repo, &revision),
        "branch" => {
            let commits = repo.main().clone();
            let repo = state.repos.get_mut(&name).expect("it was just there");
            if repo.branches.contains_key(&revision) {
                return Reply::error(409, "Reference already exists");
            }
            repo.branches.insert(revision, commits);
            Reply::json(&json!({}))
        }
        "tree" => match repo.at(&revision) {
            Some(commit) => tree(state, commit, below, request),
            None => no_revision(),
        },
        "paths-info" => match repo.at(&revision) {
            Some(commit) => paths_info(commit, request),
            None => no_revision(),
        },
        "preupload" => preupload(&request.json()),
        "commit" => commit(state, &name, &revision, request),
        _ => Reply::error(404, "no such place"),
    }
}

fn info(name: &str, repo: &Repo, revision: &str) -> Reply {
    let Some(commit) = repo.at(revision) else { return no_revision() };
    let names: Vec<_> = commit.files.keys().map(|name| json!({"rfilename": name})).collect();
    Reply::json(&json!({
        "_id": "1", "id": name, "author": name.split('/').next(), "sha": commit.oid,
        "private": repo.is_private, "gated": false, "disabled": false, "downloads": 0, "likes": 0,
        "tags": [], "lastModified": "2024-01-01T00:00:00.000Z",
        "createdAt": "2024-01-01T00:00:00.000Z", "siblings": names,
    }))
}

fn entry(name: &str, stored: &Stored) -> Value {
    let mut entry =
        json!({"type": "file", "path": name, "oid": stored.git(), "size": stored.n_bytes()});
    if let Stored::Large { sha256, n_bytes } = stored {
        let pointer = stored.blob().len();
        entry["lfs"] = json!({"oid": sha256, "size": n_bytes, "pointerSize": pointer});
    }
    entry
}

fn folder(name: &str) -> Value {
    json!({"type": "directory", "path": name, "oid": "0".repeat(40), "size": 0})
}

fn tree(state: &State, commit: &Commit, below: &str, request: &Request) -> Reply {
    let is_deep = request.query("recursive").is_some_and(|said| said.eq_ignore_ascii_case("true"));
    let below =
        if below.is_empty() { String::new() } else { format!("{}/", below.replace("%2F", "/")) };
    let mut entries = Vec::new();
    for (name, stored) in &commit.files {
        let Some(rest) = name.strip_prefix(&below) else { continue };
        if let Some((first, _)) = rest.split_once('/') {
            let entry = folder(&format!("{below}{first}"));
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        if is_deep || !rest.contains('/') {
            entries.push(entry(name, stored));
        }
    }
    if entries.is_empty() && !below.is_empty() {
        return Reply::error(404, "no such folder").header("X-Error-Code", "EntryNotFound");
    }
    let start = request.query("cursor").and_then(|at| at.parse().ok()).unwrap_or(0);
    let page: Vec<_> = entries.iter().skip(start).take(state.page).collect();
    let reply = Reply::json(&json!(page));
    let next = start + page.len();
    if next >= entries.len() {
        return reply;
    }
    let place = request.place();
    let url = format!("http://127.0.0.1:{}{place}?recursive={is_deep}&cursor={next}", state.port);
    reply.header("Link", &format!("<{url}>; rel=\"next\""))
}

fn paths_info(commit: &Commit, request: &Request) -> Reply {
    let wanted = request.json();
    let paths = wanted["paths"].as_array().cloned().unwrap_or_default();
    let look = |path: &Value| {
        let path = path.as_str()?;
        let below = format!("{path}/");
        let is_folder = || commit.files.keys().any(|name| name.starts_with(&below));
        let file = commit.files.get(path).map(|stored| entry(path, stored));
        file.or_else(|| is_folder().then(|| folder(path)))
    };
    Reply::json(&json!(paths.iter().filter_map(look).collect::<Vec<_>>()))
}

fn preupload(wanted: &Value) -> Reply {
    use base64::Engine as _;
    let mut files = Vec::new();
    for file in wanted["files"].as_array().into_iter().flatten() {
        let path = file["path"].as_str().unwrap_or_default();
        let size = file["size"].as_u64().unwrap_or(0);
        let sample = file["sample"].as_str().unwrap_or_default();
        let sample = base64::prelude::BASE64_STANDARD.decode(sample).unwrap_or_default();
        if sample.len() as u64 != size.min(512) {
            return Reply::error(400, "a sample of another length");
        }
        let mode = if path.ends_with(".parquet") || size > 10 << 20 { "lfs" } else { "regular" };
        let ignore = path.ends_with(".ignored");
        files.push(json!({"path": path, "uploadMode": mode, "shouldIgnore": ignore}));
    }
    Reply::json(&json!({ "files": files }))
}

fn commit(state: &mut State, name: &str, branch: &str, request: &Request) -> Reply {
    let Some(head) = state.repos[name].branches.get(branch).and_then(|commits| commits.last())
    else {
        return no_revision();
    };
    let (parent, mut files) = (head.oid.clone(), head.files.clone());
    let header = match state.apply(&mut files, &request.body) {
        Ok(header) => header,
        Err(why) => return Reply::error(422, &why),
    };
    if header["parentCommit"] != parent.as_str() {
        return Reply::error(412, "A commit has happened since. Please refresh and try again.");
    }
    let title = header["summary"].as_str().unwrap_or_default();
    if title.is_empty() {
        return Reply::error(422, "a commit without a title");
    }
    let more = header["description"].as_str().filter(|text| !text.is_empty());
    let message = more.map_or(title.to_owned(), |more| format!("{title}\n{more}"));
    let repo = state.repos.get_mut(name).expect("it was just there");
    let oid = repo.add(branch, &message, files);
    let url = format!("http://127.0.0.1:{}/datasets/{name}/commit/{oid}", state.port);
    Reply::json(&json!({"success": true, "commitOid": oid, "commitUrl": url}))
}

/// What is no API: files by their names, and where large ones are asked about.
fn pages(state: &mut State, rest: &str, request: &Request) -> Reply {
    let (name, below) = split(rest);
    if below == "info/lfs/objects/batch" && name.ends_with(".git") {
        return lfs::batch(state, request);
    }
    let Some(repo) = state.repos.get(&name) else { return no_repo() };
    let mut parts = below.splitn(3, '/');
    let (kind, revision) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let file = parts.next().unwrap_or("").replace("%2F", "/");
    let Some(commit) = repo.at(revision) else { return no_revision() };
    let Some(stored) = commit.files.get(&file) else {
        return Reply::error(404, "no such file").header("X-Error-Code", "EntryNotFound");
    };
    match kind {
        "raw" => Reply::bytes(200, stored.blob()),
        "resolve" => {
            let etag = match stored {
                Stored::Inside(_) => stored.git(),
                Stored::Large { sha256, .. } => sha256.clone(),
            };
            let reply = Reply::bytes(200, state.bytes(stored));
            reply.header("ETag", &format!("\"{etag}\"")).header("X-Repo-Commit", &commit.oid)
        }
        _ => Reply::error(404, "no such place"),
    }
}
