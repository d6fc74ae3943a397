//! Where a finished data set goes, when the recipe says so.
//!
//! A run ends on the disk, and is finished then; what comes here comes after it, by the same road
//! as the command that does it alone. So a delivery that fails costs nothing but itself. Each place
//! is checked before the first model is loaded. It must not know how rows came about.

mod hub;

use std::path::Path;

pub use hub::{PushHubOptions, PushedHub, check_push, push_hub};

use crate::Result;
use crate::hub::{HubOptions, Progress};
use crate::recipe::Recipe;

/// A place that a recipe sends its data set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A repository of the Hub.
    Hub(PushHubOptions),
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// It was pushed to the Hub.
    Hub(PushedHub),
}

impl Delivery {
    /// The places that a recipe names, in the order in which they are gone to.
    pub fn of(recipe: &Recipe) -> Vec<Self> {
        let hub = recipe.push.as_ref().map(|push| PushHubOptions {
            repo: push.spec.repo_id.clone(),
            is_private: push.spec.private,
            branch: push.spec.revision.clone(),
            message: push.spec.message.clone(),
            is_dry_run: false,
        });
        hub.map(Self::Hub).into_iter().collect()
    }

    /// Whether it can be gone to, as far as that can be told before there is anything to bring.
    ///
    /// # Errors
    /// As [`check_push`].
    pub fn check(&self, hub: &HubOptions) -> Result<()> {
        match self {
            Self::Hub(options) => check_push(options, hub),
        }
    }

    /// Brings the data set of the run in `run` there.
    ///
    /// # Errors
    /// As [`push_hub`].
    pub fn carry_out(
        &self,
        run: &Path,
        hub: &HubOptions,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Delivered> {
        match self {
            Self::Hub(options) => push_hub(run, options, hub, tell).map(Delivered::Hub),
        }
    }

    /// The command that does it alone.
    pub fn command(&self, run: &Path) -> String {
        match self {
            Self::Hub(options) => options.command(run),
        }
    }
}
