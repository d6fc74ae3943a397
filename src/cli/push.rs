//! `stillroom push`: a run's data set to where others find it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::models::bytes;
use super::progress::SCHEMA_VERSION;
use super::screen::Screen;
use crate::hub::{HubOptions, Progress};
use crate::pipeline::{self, Delivered, Delivery, PushHubOptions, PushedHub};
use crate::recipe::Recipe;
use crate::{Error, Result};

/// `stillroom push ...`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PushCommand {
    /// To a data set repository of the Hub; credentials come from HF_TOKEN or `hf auth login`.
    Hub(PushHubArgs),
}

/// `stillroom push hub`.
#[derive(Debug, clap::Args)]
pub(super) struct PushHubArgs {
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

    /// What was done as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Pushes a run.
pub(super) fn push(command: &PushCommand, screen: &Screen) -> Result<()> {
    match command {
        PushCommand::Hub(args) => push_hub(args, screen),
    }
}

fn push_hub(args: &PushHubArgs, screen: &Screen) -> Result<()> {
    let options = PushHubOptions {
        repo: args.repo.clone(),
        is_private: args.private,
        branch: args.revision.clone(),
        message: args.message.clone(),
        is_dry_run: args.dry_run,
    };
    let hub = HubOptions::from_env(false);
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

/// What a recipe's run does after its end: where its data set goes.
pub(super) struct Endings {
    deliveries: Vec<Delivery>,
    hub: HubOptions,
    /// Why nothing is delivered, if nothing is.
    held: Option<&'static str>,
}

impl Endings {
    /// Looks whether every place can be gone to; before any model is loaded.
    ///
    /// # Errors
    /// When one cannot.
    pub(super) fn check(recipe: &Recipe, is_offline: bool, is_limited: bool) -> Result<Self> {
        let hub = HubOptions::from_env(is_offline);
        let held = match (hub.offline, is_limited) {
            (true, _) => Some("offline"),
            (false, true) => Some("a limited run is none to show"),
            (false, false) => None,
        };
        let endings = Self { deliveries: Delivery::of(recipe), hub, held };
        if held.is_none() {
            endings.deliveries.iter().try_for_each(|delivery| delivery.check(&endings.hub))?;
        }
        Ok(endings)
    }

    /// Delivers the run in `run`: what was done, for each place that was gone to.
    ///
    /// # Errors
    /// Of the first that failed, with the command that does it alone.
    pub(super) fn carry_out(
        &self,
        run: &Path,
        screen: &Screen,
        is_quiet: bool,
    ) -> Result<Vec<Delivered>> {
        let mut done = Vec::new();
        for delivery in &self.deliveries {
            let command = delivery.command(run);
            if let Some(why) = self.held {
                screen.tell(&format!("nothing was pushed ({why}); this does it: {command}"));
                continue;
            }
            let delivered = delivery.carry_out(run, &self.hub, &mut sending(*screen, is_quiet));
            done.push(delivered.map_err(|error| failed(error, &command))?);
        }
        Ok(done)
    }
}

/// The run is finished and on the disk, whatever kept its data set from being pushed.
fn failed(error: Error, command: &str) -> Error {
    let what = format!("the run is finished, but was not pushed: {error}");
    let hint = error.hint().map_or(String::new(), |hint| format!("{hint}; then "));
    Error::Remote { what, hint: format!("{hint}this pushes it: {command}"), source: None }
}

/// A delivery in a line.
pub(super) fn delivered(delivered: &Delivered) -> String {
    match delivered {
        Delivered::Hub(pushed) => outcome(pushed),
    }
}

/// A delivery as an event.
pub(super) fn delivered_line(delivered: &Delivered) -> String {
    let mut line = match delivered {
        Delivered::Hub(pushed) => fields(pushed),
    };
    line["event"] = json!("pushed");
    line["schema_version"] = json!(SCHEMA_VERSION);
    line.to_string()
}

/// Tells of large files on their way, once each.
fn sending(screen: Screen, is_quiet: bool) -> impl FnMut(Progress<'_>) {
    let mut told = HashSet::new();
    move |progress: Progress<'_>| {
        if !is_quiet && told.insert(progress.file.to_owned()) {
            screen.tell(&format!("sending {}: {}", progress.file, bytes(progress.n_total)));
        }
    }
}

fn fields(pushed: &PushedHub) -> Value {
    let PushedHub { repo, branch, is_created, commit, is_new, url, sent, same, deleted } = pushed;
    let sent: Vec<_> = sent.iter().map(|(name, n)| json!({"file": name, "bytes": n})).collect();
    json!({
        "repo": repo, "revision": branch, "created": is_created, "commit": commit, "new": is_new,
        "url": url, "sent": sent, "same": same, "deleted": deleted,
    })
}

fn outcome(pushed: &PushedHub) -> String {
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
