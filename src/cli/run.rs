//! `stillroom run`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::args::{RecipeArgs, RunArgs};
use super::interrupt;
use super::models::local;
use super::progress::{Progress, error_line, summary_line};
use super::push::{self, Endings};
use super::screen::Screen;
use super::summary::summary;
use crate::pipeline::{self, Delivered, LocalModels, RunOptions};
use crate::recipe::Recipe;
use crate::recipe::spec::Step;
use crate::{Error, Result};

/// Runs a recipe, or goes on with it.
pub(super) fn run(args: &RunArgs, screen: &Screen) -> Result<()> {
    if !args.quiet {
        let version = env!("CARGO_PKG_VERSION");
        screen.tell(&format!("stillroom {version}: {}", args.recipe.recipe.display()));
    }
    let mut models = local(&args.recipe.machine, screen, args.quiet)?;
    let n_read = if args.dry_run { Some(1) } else { limit(&args.recipe) };
    let recipe = read(&args.recipe, n_read, &mut models)?;
    let endings = endings(args, &recipe).inspect_err(|error| tell_json(error, args, screen))?;
    // Until here Ctrl-C ends the process: there is no row in hand.
    let interrupt = interrupt::watch()?;
    let mut models = models.deterministic(recipe.deterministic);
    let options = RunOptions {
        out: args.out.clone().unwrap_or_else(|| default_out(&recipe)),
        limit: limit(&args.recipe),
        dry_run: args.dry_run,
        layout: args.layout.into(),
        interrupt: &interrupt,
    };
    let mut progress = Progress::new(screen, args.quiet, args.json);
    let result = pipeline::run(&recipe, &options, &mut models, &mut progress);
    // The bars leave the screen before anything else is said.
    drop(progress);
    let done = result.inspect_err(|error| tell_json(error, args, screen));
    let done = done.map_err(|error| match error {
        Error::Interrupted { .. } => Error::Interrupted { resume: interrupt::this_command() },
        error @ (Error::Recipe(_)
        | Error::Usage { .. }
        | Error::Environment { .. }
        | Error::Remote { .. }
        | Error::Gate { .. }) => error,
    })?;
    if !args.json {
        screen.print(&summary(&done, args.dry_run));
    }
    let mut tell = |delivered: &Delivered| {
        let line = if args.json { push::delivered_line } else { push::delivered };
        screen.print(&line(delivered));
    };
    let delivered = match &endings {
        Some(endings) => {
            endings.carry_out(&done.folder, (screen, args.quiet), &interrupt, &mut tell)
        }
        None => Ok(()),
    };
    if args.json {
        screen.print(&summary_line(&done));
    }
    delivered.inspect_err(|error| tell_json(error, args, screen))
}

/// Where the data set goes afterwards; nowhere after a dry run.
fn endings(args: &RunArgs, recipe: &Recipe) -> Result<Option<Endings>> {
    if args.dry_run {
        return Ok(None);
    }
    let is_limited = args.recipe.limit.is_some();
    Endings::check(recipe, args.recipe.machine.offline, is_limited).map(Some)
}

fn tell_json(error: &Error, args: &RunArgs, screen: &Screen) {
    if args.json {
        screen.print(&error_line(error));
    }
}

/// Reads the recipe with its overrides, and the columns of its data as far as a run with this limit
/// reads it.
pub(super) fn read(
    args: &RecipeArgs,
    limit: Option<usize>,
    models: &mut LocalModels,
) -> Result<Recipe> {
    let models = RefCell::new(models);
    let failed = RefCell::new(None);
    let inspect = |loader: &Step| {
        let columns = pipeline::columns(loader, limit, &mut **models.borrow_mut());
        // What cannot be told leaves the columns open, and the recipe's own faults are told first.
        columns.unwrap_or_else(|error| {
            failed.replace(Some(error));
            None
        })
    };
    let recipe = Recipe::load_with(&args.recipe, &args.set, &inspect)?;
    match failed.into_inner() {
        Some(error) => Err(error),
        None => Ok(recipe),
    }
}

/// The most rows of each loader.
pub(super) fn limit(args: &RecipeArgs) -> Option<usize> {
    args.limit.map(|limit| limit as usize)
}

fn default_out(recipe: &Recipe) -> PathBuf {
    Path::new("runs").join(&recipe.name)
}
