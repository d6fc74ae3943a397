//! Trains the demo family: `demo:llama`, `demo:mixtral`, `demo:judge`.
//!
//! ```text
//! cargo run --release --example train_demo -- llama target/demo/llama --rounds 190
//! ```
//!
//! What it writes is a model folder in Hugging Face format; beside it, in `state/`, lies what a
//! later call goes on from. The same seed gives the same lessons; an interrupted training goes on
//! where its last round ended. `models/cards/` has the commands that made the models of the
//! repository. With `--features cuda` and `--device cuda:0` it runs on a GPU.

mod batches;
mod folder;
mod lessons;
mod members;
mod net;
mod optimiser;
#[cfg(test)]
mod tests;
mod training;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use members::Member;

/// Trains one model of the demo family.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Which model.
    member: Member,
    /// Where the model goes; what is there is gone on with.
    folder: PathBuf,
    /// A smaller model of the family to grow from: its weights, and layers above them that change
    /// nothing yet.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Rounds of lessons in all; the rate falls towards the last.
    #[arg(long, default_value_t = 1000)]
    rounds: usize,
    /// Round to stop before, earlier than the last; the rate falls as if it were not.
    #[arg(long)]
    until: Option<usize>,
    /// Lessons in writing exercises among a hundred; the writer's others are in answering them.
    #[arg(long, default_value_t = 20)]
    writing: u64,
    /// Lessons of a round.
    #[arg(long, default_value_t = 512)]
    lessons: usize,
    /// Tokens of a step, padding included.
    #[arg(long, default_value_t = 2048)]
    step_tokens: usize,
    /// Highest rate of change.
    #[arg(long, default_value_t = 4e-3)]
    rate: f64,
    /// Seed of weights and lessons.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Rounds between two looks at exercises that training never shows.
    #[arg(long, default_value_t = 25)]
    every: usize,
    /// `cpu`, `cuda:0`, `metal`.
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// What goes wrong here is only told.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match training::train(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
