//! `stillroom push`: a run's rows to where others see them.

mod argilla;

pub(super) use argilla::ArgillaArgs;
use clap::Subcommand;

use super::screen::Screen;
use crate::Result;

/// `stillroom push ...`.
#[derive(Debug, Subcommand)]
pub(super) enum PushCommand {
    /// Bring rows before people in Argilla; a second push updates them.
    Argilla(argilla::PushArgillaArgs),
}

/// Pushes.
pub(super) fn push(command: &PushCommand, screen: &Screen) -> Result<()> {
    match command {
        PushCommand::Argilla(args) => argilla::push(args, screen),
    }
}
