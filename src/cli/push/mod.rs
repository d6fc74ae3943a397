//! `stillroom push`: a run's data set to the Hub, its rows before people, alone or at a run's end.

mod argilla;
mod endings;
mod hub;

pub(super) use argilla::ArgillaArgs;
use clap::Subcommand;
pub(super) use endings::{Endings, delivered, delivered_line};

use super::screen::Screen;
use crate::Result;

/// `stillroom push ...`.
#[derive(Debug, Subcommand)]
pub(super) enum PushCommand {
    /// To a data set repository of the Hub; credentials come from HF_TOKEN or `hf auth login`.
    Hub(hub::PushHubArgs),
    /// Bring rows before people in Argilla; a second push updates them.
    Argilla(argilla::PushArgillaArgs),
}

/// Pushes.
pub(super) fn push(command: &PushCommand, screen: &Screen) -> Result<()> {
    match command {
        PushCommand::Hub(args) => hub::push(args, screen),
        PushCommand::Argilla(args) => argilla::push(args, screen),
    }
}
