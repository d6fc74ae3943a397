//! Where a finished data set goes, when the recipe says so.
//!
//! A run ends on the disk, and is finished then; what comes here comes after it, by the same road
//! as the command that does it alone. So a delivery that fails costs nothing but itself. Each place
//! is checked before the first model is loaded. It must not know how rows came about.

mod hub;

use std::path::Path;

pub use hub::{PushHubOptions, PushedHub, check_push, push_hub};

use super::argilla::{ArgillaOptions, Pushed, argilla_steps, check_argilla, push_argilla};
use crate::Result;
use crate::argilla::ArgillaAccess;
use crate::hub::{HubOptions, Progress};
use crate::recipe::Recipe;

/// The places that data sets go to, and who asks there.
#[derive(Debug, Clone)]
pub struct Remotes {
    /// The Hub.
    pub hub: HubOptions,
    /// Argilla, whose address a recipe may name itself.
    pub argilla: ArgillaAccess,
}

/// A place that a recipe sends its data set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Before people in Argilla: the rows of this step.
    Argilla(String),
    /// A repository of the Hub.
    Hub(PushHubOptions),
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// Its rows are before people.
    Argilla(Pushed),
    /// It was pushed to the Hub.
    Hub(PushedHub),
}

impl Delivery {
    /// The places that a recipe names, in the order in which they are gone to.
    pub fn of(recipe: &Recipe) -> Vec<Self> {
        let argilla = argilla_steps(recipe).into_iter().map(|step| Self::Argilla(step.to_owned()));
        let hub = recipe.push.as_ref().map(|push| PushHubOptions {
            repo: push.spec.repo_id.clone(),
            is_private: push.spec.private,
            branch: push.spec.revision.clone(),
            message: push.spec.message.clone(),
            is_dry_run: false,
        });
        argilla.chain(hub.map(Self::Hub)).collect()
    }

    /// Whether no connection may be opened for it.
    pub fn is_offline(&self, remotes: &Remotes) -> bool {
        match self {
            Self::Argilla(_) => remotes.argilla.offline,
            Self::Hub(_) => remotes.hub.offline,
        }
    }

    /// Whether it can be gone to, as far as that can be told before there is anything to bring.
    ///
    /// # Errors
    /// As [`check_push`] and [`check_argilla`].
    pub fn check(&self, recipe: &Recipe, remotes: &Remotes) -> Result<()> {
        match self {
            Self::Argilla(step) => check_argilla(recipe, step, &remotes.argilla).map(drop),
            Self::Hub(options) => check_push(options, &remotes.hub),
        }
    }

    /// Brings the data set of the run in `run` there.
    ///
    /// # Errors
    /// As [`push_hub`] and [`push_argilla`].
    pub fn carry_out(
        &self,
        run: &Path,
        remotes: &Remotes,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Delivered> {
        match self {
            Self::Argilla(step) => {
                let options = ArgillaOptions {
                    access: remotes.argilla.clone(),
                    step: Some(step.clone()),
                    dataset: None,
                    workspace: None,
                    num_generations: None,
                    dry_run: false,
                };
                push_argilla(run, &options, &mut |_| ()).map(Delivered::Argilla)
            }
            Self::Hub(options) => push_hub(run, options, &remotes.hub, tell).map(Delivered::Hub),
        }
    }

    /// The command that does it alone.
    pub fn command(&self, run: &Path) -> String {
        match self {
            Self::Argilla(step) => {
                let run = shell_word(&run.to_string_lossy());
                format!("stillroom push argilla {run} --step {step}")
            }
            Self::Hub(options) => options.command(run),
        }
    }
}

/// A word as a shell takes it.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@=+,%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
