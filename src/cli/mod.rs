//! The command line: words to calls, events to lines, errors to exit codes.
//!
//! It decides nothing about rows or models. Results go to stdout, everything else to stderr, so
//! that a pipe carries data alone. Nothing heavy happens before the first line is on the screen.

mod args;
pub mod bench;
mod export;
mod faults;
mod init;
mod interrupt;
mod lint;
mod models;
mod plan;
mod progress;
mod pull;
mod push;
mod run;
mod screen;
mod stats;
mod summary;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};
use screen::Screen;

use crate::Result;
use crate::pipeline::TINY;

/// Runs the command line; the code is what the process ends with.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let screen = Screen::new(args.color);
    let result = match args.command {
        Command::Run(args) => run::run(&args, &screen),
        Command::Plan(args) => plan::plan(&args, &screen),
        Command::Export(args) => export::export(&args, &screen),
        Command::Lint(args) => lint::lint(&args, &screen),
        Command::Push(command) => push::push(&command, &screen),
        Command::Pull(command) => pull::pull(&command, &screen),
        Command::Init(args) => init::init(&args, &screen),
        Command::Models(args) => models::models(&args, &screen),
        Command::Bench(args) => bench(&args, &screen),
        Command::Stats(args) => stats::stats(&args, &screen),
        Command::Report(args) => stats::report(&args, &screen),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            faults::show(&error, &screen);
            ExitCode::from(error.exit_code())
        }
    }
}

fn bench(args: &bench::BenchArgs, screen: &Screen) -> Result<()> {
    let cache = models::cache_folder()?.join(TINY);
    bench::bench(args, &cache, &mut |line| screen.print(line))
}
