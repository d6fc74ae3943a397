//! `stillroom push hub`: a run's data set to a repository of the Hub.

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Result;
use crate::cli::models::bytes;
use crate::cli::progress::SCHEMA_VERSION;
use crate::cli::screen::Screen;
use crate::hub::{HubOptions, Progress};
use crate::pipeline::{self, PushHubOptions, PushedHub};

/// `stillroom push hub`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PushHubArgs {
    /// The folder of a finished run.
    run: PathBuf,

    /// The repository, `owner/name`; made where it is not there.
    #[arg(long, value_name = "NAME")]
    repo: String,

    /// Only its owner and those that they invite may see it.
    #[arg(long)]
    private: bool,

    /// The branch; made where it is not there.
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    revision: String,

    /// The commit's message; its first line is the title.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,

    /// Say what would be sent, left and deleted, and change nothing.
    #[arg(long)]
    dry_run: bool,

    /// Open no connection; say what is to be done instead.
    #[arg(long)]
    offline: bool,

    /// What was done as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Pushes a run.
pub(super) fn push(args: &PushHubArgs, screen: &Screen) -> Result<()> {
    let options = PushHubOptions {
        repo: args.repo.clone(),
        is_private: args.private,
        branch: args.revision.clone(),
        message: args.message.clone(),
        is_dry_run: args.dry_run,
    };
    let hub = HubOptions::from_env(args.offline);
    let pushed = pipeline::push_hub(&args.run, &options, &hub, &mut sending(*screen, args.json))?;
    if args.json {
        let mut line = fields(&pushed);
        line["schema_version"] = json!(SCHEMA_VERSION);
        line["dry_run"] = json!(args.dry_run);
        screen.print(&line.to_string());
    } else if args.dry_run {
        screen.print(&preview(&pushed, args.private));
    } else {
        screen.print(&outcome(&pushed));
    }
    Ok(())
}

/// Tells of large files on their way, once each.
pub(super) fn sending(screen: Screen, is_quiet: bool) -> impl FnMut(Progress<'_>) {
    let mut told = HashSet::new();
    move |progress: Progress<'_>| {
        if !is_quiet && told.insert(progress.file.to_owned()) {
            screen.tell(&format!("sending {}: {}", progress.file, bytes(progress.n_total)));
        }
    }
}

pub(super) fn fields(pushed: &PushedHub) -> Value {
    let PushedHub { repo, branch, is_created, commit, is_new, url, sent, same, deleted } = pushed;
    let sent: Vec<_> = sent.iter().map(|(name, n)| json!({"file": name, "bytes": n})).collect();
    json!({
        "repo": repo, "revision": branch, "created": is_created, "commit": commit, "new": is_new,
        "url": url, "sent": sent, "same": same, "deleted": deleted,
    })
}

pub(super) fn outcome(pushed: &PushedHub) -> String {
    if !pushed.is_new {
        return format!("nothing new: {}", pushed.url);
    }
    format!("pushed: {}", pushed.url)
}

fn preview(pushed: &PushedHub, is_private: bool) -> String {
    let mut lines = Vec::new();
    if pushed.is_created {
        let kind = if is_private { "private " } else { "" };
        lines.push(format!("make    the {kind}repository {}", pushed.repo));
    }
    lines.extend(pushed.sent.iter().map(|(name, n)| format!("send    {name} ({})", bytes(*n))));
    lines.extend(pushed.same.iter().map(|name| format!("leave   {name}")));
    lines.extend(pushed.deleted.iter().map(|name| format!("delete  {name}")));
    if !pushed.is_new {
        lines.push("there would be nothing new".to_owned());
    }
    lines.push(format!("dry run: nothing was changed at {}", pushed.url));
    lines.join("\n")
}
