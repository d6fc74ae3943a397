//! The flow at work: rows in, rows out, every finished row on disk.
//!
//! It must not know the command line. [`Plan::build`] decides without loading anything, [`run`]
//! does it, or goes on where an earlier call stopped.

mod argilla;
mod brought;
#[cfg(feature = "hub")]
mod data_sets;
#[cfg(not(feature = "hub"))]
#[path = "no_data_sets.rs"]
mod data_sets;
mod deliver;
mod doors;
mod executor;
mod export;
mod feed;
mod graph;
mod judge;
mod keys;
mod kinship;
mod local;
mod log;
mod memory;
mod noise;
mod opener;
mod plan;
mod questions;
pub mod report;
mod residency;
mod run;
mod sizes;
mod split;
pub mod stats;
mod steps;
mod store;
mod tally;
mod watch;

pub use argilla::{
    ArgillaChecked, ArgillaOptions, Pulled, Pushed, RefusedRow, argilla_steps, check_argilla,
    pull_argilla, push_argilla,
};
pub use brought::{Brought, columns};
pub(crate) use deliver::shell_word;
pub use deliver::{Delivered, Delivery, PushHubOptions, PushedHub, Remotes, check_push, push_hub};
pub use export::{ExportOptions, Exported, export};
pub use local::{LocalModels, TINY};
pub use opener::{Facts, Opener, Opening};
pub use plan::{Plan, PlannedModel, PlannedStage, PlannedStep};
pub use questions::{Asked, questions};
pub use run::{RunOptions, run};
pub use watch::{Event, StepRows, Summary, Tokens, Watcher};
