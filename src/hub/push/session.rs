//! A push from its names to its commit.

use std::collections::BTreeMap;

use super::client::{Client, TOKENS};
use super::commit::{Commit, Committed, Ways, commit};
use super::hashed::Hashed;
use super::plan::{Plan, plan};
use super::repository::{self, Found, files, find, readme, whoami};
use super::{Push, Pushed, lfs};
use crate::hub::{HubOptions, Progress, check_branch, check_repo};
use crate::web::{Failure, patiently};
use crate::{Error, Result};

/// Puts the files into the repository, which is made where it is not there: one commit, or none
/// where everything is there. `tell` hears of large files on their way.
///
/// # Errors
/// [`Error::Usage`] for names that cannot be, [`Error::Environment`] when the disk refuses or
/// offline, [`Error::Remote`] without a token, when the Hub refuses or cannot be reached, and when
/// the repository holds a file that would be taken for one of these.
pub fn push(
    push: &Push<'_>,
    options: &HubOptions,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Pushed> {
    let session = Session { client: open(push.repo, push.branch, options)?, push };
    let hashed = hashed(push)?;
    let mut so_far = SoFar::default();
    let attempt = || (false, session.attempt(&hashed, &mut so_far, tell));
    let give_up = |why: String| session.client.gave_up(&format!("push to {}", push.repo), &why);
    patiently(&options.patience, attempt, give_up)
}

/// What [`push()`] would do; asks, and changes nothing.
///
/// # Errors
/// As [`push()`].
pub fn preview(push: &Push<'_>, options: &HubOptions) -> Result<Pushed> {
    let session = Session { client: open(push.repo, push.branch, options)?, push };
    let hashed = hashed(push)?;
    let client = &session.client;
    let found = client.ask("look for the repository", || find(client, push.branch))?;
    let (head, is_created) = match found {
        Found::Branch { commit, is_private } => {
            session.check_privacy(is_private)?;
            (Some(commit), false)
        }
        Found::NoBranch => (None, false),
        Found::NoRepo => (None, true),
    };
    let plan = session.plan(&hashed, head.as_deref())?;
    let is_new = plan.is_news();
    Ok(Pushed { commit: head, is_created, ..session.pushed(&plan, is_new) })
}

/// Whether `repo` can be pushed to, as far as can be told without trying: names, a token, and what
/// it may do.
///
/// # Errors
/// As [`push()`].
pub fn check(repo: &str, branch: &str, options: &HubOptions) -> Result<()> {
    open(repo, branch, options).map(drop)
}

/// A client for a repository whose name is whole.
fn open<'a>(repo: &str, branch: &str, options: &'a HubOptions) -> Result<Client<'a>> {
    let wrong = |what: String, hint: &str| Error::Usage { what, hint: hint.to_owned() };
    check_repo(repo).map_err(|why| {
        wrong(format!("the repository `{repo}` {why}"), "write it as the Hub does, owner/name")
    })?;
    check_branch(branch).map_err(|why| {
        wrong(format!("the branch `{branch}` {why}"), "name a branch; main is the usual one")
    })?;
    if options.offline {
        return Err(Error::environment(
            format!("offline, so nothing is pushed to {repo}"),
            "push without --offline, and with HF_HUB_OFFLINE not set",
        ));
    }
    let token =
        options.token.as_deref().filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
    let Some(token) = token else {
        let which = if options.token.is_some() { "the token is no token" } else { "no token" };
        return Err(Error::Remote {
            what: format!("{which}: nobody may push to {repo}"),
            hint: format!(
                "make a token that may write at {TOKENS}, then set HF_TOKEN to it or run \
                 `hf auth login`"
            ),
            source: None,
        });
    };
    let mut client = Client::new(options, token, repo);
    let user = client.ask("ask whose the token is", || whoami(&client))?;
    if let Some(user) = &user {
        user.check(repo)?;
    }
    if !repo.contains('/') {
        let owner = user.map(|user| user.name).ok_or_else(|| {
            wrong(format!("nobody says whose `{repo}` is"), "write the repository as owner/name")
        })?;
        client.repo = format!("{owner}/{repo}");
        check_repo(&client.repo).map_err(|why| {
            wrong(format!("the repository `{}` {why}", client.repo), "choose another name")
        })?;
    }
    Ok(client)
}

fn hashed<'p>(push: &'p Push<'_>) -> Result<Vec<Hashed<'p>>> {
    push.files.iter().map(Hashed::read).collect()
}

struct Session<'a> {
    client: Client<'a>,
    push: &'a Push<'a>,
}

/// What earlier attempts of the same push did.
#[derive(Default)]
struct SoFar {
    is_created: bool,
    is_branched: bool,
    /// A commit was asked for, and the answer was lost.
    may_be_made: bool,
}

impl Session<'_> {
    /// Compares, sends what differs, commits.
    fn attempt(
        &self,
        hashed: &[Hashed<'_>],
        so_far: &mut SoFar,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Pushed, Failure> {
        let (client, push) = (&self.client, self.push);
        let head = self.head(so_far)?;
        let plan = self.plan(hashed, Some(&head))?;
        let is_created = so_far.is_created;
        if !plan.is_news() {
            let done = self.pushed(&plan, so_far.may_be_made);
            return Ok(Pushed { commit: Some(head), is_created, ..done }.with_page(client));
        }
        let ways = Ways::ask(client, push.branch, &plan)?;
        lfs::upload(client, push.branch, &ways.large(&plan), tell)?;
        let wanted = Commit { branch: push.branch, parent: &head, message: push.message };
        match commit(client, &wanted, &plan, &ways) {
            Ok(Committed::Made(made)) => {
                let done = self.pushed(&plan, true);
                Ok(Pushed { commit: Some(made), is_created, ..done }.with_page(client))
            }
            Ok(Committed::Overtaken) => {
                // Whoever it was: an earlier try of ours may have made it after all.
                Err(Failure::passing("somebody else commits to the branch all the time"))
            }
            Err(failure) => {
                so_far.may_be_made = true;
                Err(failure)
            }
        }
    }

    /// The branch's last commit; makes what is not there.
    fn head(&self, so_far: &mut SoFar) -> Result<String, Failure> {
        let (client, push) = (&self.client, self.push);
        let find = || client.ask("look for the repository", || find(client, push.branch));
        let mut found = find()?;
        if matches!(found, Found::NoRepo) && !so_far.is_created {
            let make = || repository::create(client, push.is_private);
            client.ask(&format!("make the repository {}", client.repo), make)?;
            so_far.is_created = true;
            found = find()?;
        }
        if matches!(found, Found::NoBranch) && !so_far.is_branched {
            let make = || repository::create_branch(client, push.branch);
            client.ask(&format!("make the branch `{}`", push.branch), make)?;
            so_far.is_branched = true;
            found = find()?;
        }
        match found {
            Found::Branch { commit, is_private } => {
                self.check_privacy(is_private)?;
                Ok(commit)
            }
            Found::NoBranch | Found::NoRepo => {
                Err(Failure::passing("what was just made is not to be found"))
            }
        }
    }

    /// A repository that everybody sees is no place for what shall be private.
    fn check_privacy(&self, is_private: Option<bool>) -> Result<()> {
        if !self.push.is_private || is_private != Some(false) {
            return Ok(());
        }
        let page = self.client.page();
        Err(Error::Remote {
            what: format!("{} is public, and the push is to be private", self.client.repo),
            hint: format!("make it private at {page}/settings, or push without `private`"),
            source: None,
        })
    }

    /// What must change since `head`.
    fn plan<'f, 'l>(&self, hashed: &'f [Hashed<'l>], head: Option<&str>) -> Result<Plan<'f, 'l>> {
        let client = &self.client;
        let there = head.map_or(Ok(BTreeMap::new()), |head| files(client, head))?;
        let readme = match head.filter(|_| there.contains_key("README.md")) {
            Some(head) => client.ask("read the README.md", || readme(client, head))?,
            None => None,
        };
        let fate = |name: &str| (self.push.fate)(readme.as_deref(), name);
        plan(hashed, &there, &fate).map_err(|name| Error::Remote {
            what: format!(
                "{} holds {}, which no earlier push of ours put there and which would be taken for \
                 a part of this data set",
                client.repo,
                client.told(&name)
            ),
            hint: format!("delete it at {}, or push to another repository", client.page()),
            source: None,
        })
    }

    /// What a plan comes to.
    fn pushed(&self, plan: &Plan<'_, '_>, is_new: bool) -> Pushed {
        let mut same = plan.same.clone();
        let mut sent = Vec::new();
        for hashed in &plan.send {
            let name = hashed.file.name.clone();
            if plan.is_news() { sent.push((name, hashed.n_bytes)) } else { same.push(name) }
        }
        let branch = self.push.branch.to_owned();
        Pushed {
            repo: self.client.repo.clone(),
            url: format!("{}/tree/{branch}", self.client.page()),
            branch,
            is_created: false,
            commit: None,
            is_new,
            sent,
            same,
            deleted: plan.delete.clone(),
        }
    }
}

impl Pushed {
    /// With the page of its commit.
    fn with_page(self, client: &Client<'_>) -> Self {
        match &self.commit {
            Some(commit) => Self { url: format!("{}/commit/{commit}", client.page()), ..self },
            None => self,
        }
    }
}
