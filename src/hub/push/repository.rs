//! The repository itself: whose the token is, whether it is there, what its branch holds.
//!
//! It must not know what is to be pushed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::{Answer, Client, TOKENS};
use super::plan::Remote;
use crate::hub::cache::is_commit;
use crate::hub::repo_id::{encoded, is_safe};
use crate::web::{Failure, body_text};
use crate::{Error, Result};

/// Most pages of a list of files, and most bytes of a README.md.
const N_PAGES_MAX: usize = 1000;
const README_BYTES_MAX: u64 = 4 << 20;

/// Whose the token is.
#[derive(Debug)]
pub(super) struct User {
    /// Their name.
    pub(super) name: String,
    /// Whether the token is one for reading only.
    is_reader: bool,
    /// Their organisations, as far as the token shows them.
    organisations: Vec<String>,
    /// Whether the token is made for some places only, so that the Hub alone can tell.
    is_fine_grained: bool,
}

/// What the Hub has of a branch.
#[derive(Debug)]
pub(super) enum Found {
    /// The branch's last commit, and whether the repository is private.
    Branch { commit: String, is_private: Option<bool> },
    /// The repository has no such branch.
    NoBranch,
    /// There is no such repository, or none that the token may see.
    NoRepo,
}

/// Asks whose the token is; nothing where the place does not know such a question.
pub(super) fn whoami(client: &Client<'_>) -> Result<Option<User>, Failure> {
    let answer = client.get(&format!("{}/api/whoami-v2", client.options.endpoint))?;
    if answer.status() == 404 {
        return Ok(None);
    }
    let said = client.json(answer, "who the token belongs to, for a push")?;
    let Some(name) = said["name"].as_str() else {
        return Err(client.strange("a user without a name"));
    };
    let role = said["auth"]["accessToken"]["role"].as_str();
    let organisations = said["orgs"].as_array().into_iter().flatten();
    Ok(Some(User {
        name: name.to_owned(),
        is_reader: role == Some("read"),
        is_fine_grained: role == Some("fineGrained"),
        organisations: organisations
            .filter_map(|organisation| organisation["name"].as_str().map(str::to_owned))
            .collect(),
    }))
}

impl User {
    /// Whether they may write to `repo`, as far as can be told before trying.
    ///
    /// # Errors
    /// [`Error::Remote`] when they may not.
    pub(super) fn check(&self, repo: &str) -> Result<()> {
        let fault = |what: String, hint: String| Err(Error::Remote { what, hint, source: None });
        if self.is_reader {
            let what = format!("the token of {} may only read, not push to {repo}", self.name);
            return fault(what, format!("make one that may write at {TOKENS}, set HF_TOKEN to it"));
        }
        let owner = repo.split_once('/').map_or(self.name.as_str(), |(owner, _)| owner);
        let is_own = |own: &String| own.eq_ignore_ascii_case(owner);
        if self.is_fine_grained || is_own(&self.name) || self.organisations.iter().any(is_own) {
            return Ok(());
        }
        let mut names = vec![self.name.as_str()];
        names.extend(self.organisations.iter().map(String::as_str));
        fault(
            format!("the token of {} may not push to {repo}", self.name),
            format!(
                "name a repository of {}, or use a token (HF_TOKEN) of {owner}",
                names.join(", ")
            ),
        )
    }
}

/// Looks for a branch.
pub(super) fn find(client: &Client<'_>, branch: &str) -> Result<Found, Failure> {
    let answer = client.get(&client.api(&format!("revision/{}", encoded(branch))))?;
    if answer.status() == 404 {
        let code = answer.headers().get("x-error-code").and_then(|v| v.to_str().ok());
        return Ok(if code == Some("RevisionNotFound") { Found::NoBranch } else { Found::NoRepo });
    }
    let said = client.json(answer, &format!("the branch `{branch}`"))?;
    let name = said["id"].as_str().unwrap_or(&client.repo);
    if !name.eq_ignore_ascii_case(&client.repo) {
        let what = format!("{} has moved to {}", client.repo, client.told(name));
        let hint = "push to its new name".to_owned();
        return Err(Failure::Final(Error::Remote { what, hint, source: None }));
    }
    match said["sha"].as_str() {
        Some(commit) if is_commit(commit) => {
            Ok(Found::Branch { commit: commit.to_owned(), is_private: said["private"].as_bool() })
        }
        _ => Err(client.strange("a branch without a commit")),
    }
}

/// Makes the repository; one that was made in between is as good.
pub(super) fn create(client: &Client<'_>, is_private: bool) -> Result<(), Failure> {
    let (owner, name) = client.repo.split_once('/').expect("the owner has been filled in");
    let mut wanted = json!({"name": name, "organization": owner, "type": "dataset"});
    if is_private {
        // Left out otherwise: an organisation may have decided what its repositories are.
        wanted["visibility"] = json!("private");
    }
    let url = format!("{}/api/repos/create", client.options.endpoint);
    made(client, &url, &wanted, "the making")
}

/// Makes the branch from the repository's first one.
pub(super) fn create_branch(client: &Client<'_>, branch: &str) -> Result<(), Failure> {
    let url = client.api(&format!("branch/{}", encoded(branch)));
    made(client, &url, &json!({}), &format!("the new branch `{branch}`"))
}

fn made(client: &Client<'_>, url: &str, wanted: &Value, what: &str) -> Result<(), Failure> {
    let answer = post_json(client, url, wanted)?;
    // 409: it is there already, or is being made.
    if answer.status().is_success() || answer.status() == 409 {
        return Ok(());
    }
    Err(client.refused(answer, what))
}

/// Posts JSON to the Hub.
pub(super) fn post_json(client: &Client<'_>, url: &str, body: &Value) -> Result<Answer, Failure> {
    client.post(url, "application/json", body.to_string().as_bytes())
}

/// The files of a commit.
///
/// # Errors
/// When a page cannot be had.
pub(super) fn files(client: &Client<'_>, commit: &str) -> Result<BTreeMap<String, Remote>> {
    let mut files = BTreeMap::new();
    let mut next = Some(client.api(&format!("tree/{commit}?recursive=true")));
    let mut n_pages = 0;
    while let Some(url) = next.take() {
        n_pages += 1;
        let what = format!("list the files of {}", client.repo);
        next = client.ask(&what, || {
            if n_pages > N_PAGES_MAX {
                return Err(client.strange("a list of files without an end"));
            }
            let answer = client.get(&url)?;
            let link = answer.headers().get("link").and_then(|v| v.to_str().ok());
            let following = link.and_then(next_page).map(|url| place(client, &url)).transpose()?;
            // A repository whose branch holds nothing yet.
            if answer.status() == 404 && n_pages == 1 {
                return Ok(None);
            }
            let page = client.json(answer, "its list of files")?;
            take_page(client, &page, &mut files)?;
            Ok(following)
        })?;
    }
    Ok(files)
}

fn take_page(
    client: &Client<'_>,
    page: &Value,
    files: &mut BTreeMap<String, Remote>,
) -> Result<(), Failure> {
    let Some(entries) = page.as_array() else {
        return Err(client.strange("a list of files that is no list"));
    };
    for entry in entries.iter().filter(|entry| entry["type"] == "file") {
        let (Some(name), Some(git)) = (entry["path"].as_str(), entry["oid"].as_str()) else {
            return Err(client.strange("a file without a name or a hash"));
        };
        if !is_safe(name) {
            return Err(client.strange(&format!("a file called `{name}`")));
        }
        let sha256 = entry["lfs"]["oid"].as_str().map(str::to_owned);
        files.insert(name.to_owned(), Remote { git: git.to_owned(), sha256 });
    }
    Ok(())
}

/// The address that `Link` calls `next`.
fn next_page(link: &str) -> Option<String> {
    link.split(',').find_map(|link| {
        let (url, relation) = link.split_once('>')?;
        let is_next = relation.contains("rel=\"next\"") || relation.contains("rel=next");
        is_next.then(|| url.trim().trim_start_matches('<').to_owned())
    })
}

/// An address that a page names, which is one of the Hub or none: the token goes along.
fn place(client: &Client<'_>, url: &str) -> Result<String, Failure> {
    if url.starts_with('/') && !url.starts_with("//") {
        return Ok(format!("{}{url}", client.options.endpoint));
    }
    if client.is_hub(url) {
        return Ok(url.to_owned());
    }
    Err(client.strange("a list of files that goes on elsewhere"))
}

/// The README.md of a commit, if it can be had.
pub(super) fn readme(client: &Client<'_>, commit: &str) -> Result<Option<String>, Failure> {
    let mut answer = client.get(&format!("{}/raw/{commit}/README.md", client.page()))?;
    if answer.status() == 404 {
        return Ok(None);
    }
    if !answer.status().is_success() {
        return Err(client.refused(answer, "README.md"));
    }
    body_text(&mut answer, README_BYTES_MAX).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(is_reader: bool, is_fine_grained: bool) -> User {
        let organisations = vec!["Org".to_owned()];
        User { name: "me".to_owned(), is_reader, organisations, is_fine_grained }
    }

    #[test]
    fn a_token_is_known_to_be_too_weak_before_it_is_tried() {
        let writer = user(false, false);
        for repo in ["me/x", "x", "org/x"] {
            writer.check(repo).unwrap();
        }
        let error = writer.check("you/x").unwrap_err();
        assert_eq!(
            error.hint(),
            Some("name a repository of me, Org, or use a token (HF_TOKEN) of you")
        );
        let error = user(true, false).check("me/x").unwrap_err();
        assert!(error.hint().unwrap().contains("settings/tokens"), "{error}");
        user(false, true).check("you/x").unwrap();
    }

    #[test]
    fn the_next_page_is_the_one_called_so() {
        let link = "<http://h/a?x=1>; rel=\"prev\", <http://h/b?cursor=2>; rel=\"next\"";
        assert_eq!(next_page(link).as_deref(), Some("http://h/b?cursor=2"));
        assert_eq!(next_page("<http://h/a>; rel=\"prev\""), None);
    }
}
