//! The words of the command line. What they do is in the files beside this one.

use std::path::PathBuf;

use clap::{ColorChoice, Parser, Subcommand};

use super::bench::BenchArgs;
use super::export::ExportArgs;
use super::lint::LintArgs;
use super::pull::PullCommand;
use super::push::PushCommand;
use crate::data::dataset::Layout;

const EXAMPLES: &str = "\
Examples:
  stillroom init                                  write a recipe that runs as it is
  stillroom run recipe.toml                       run it, or go on where it stopped
  stillroom run recipe.toml --limit 3             its first three rows only
  stillroom run recipe.toml --set steps.judge.aspect=honesty
  stillroom plan recipe.toml                      rows, models and memory; loads nothing
  stillroom export runs/math --format trl         the pairs as a trainer reads them
  stillroom push hub runs/math --repo me/math     the data set to the Hub
  stillroom push argilla runs/math                its rows before people; pull brings answers back
  stillroom lint pairs.jsonl                      what is wrong with a data set
  stillroom models inspect ./Llama-3.2-1B         what a checkpoint is
  stillroom stats runs/math-preference            what a run is worth, in figures

Exit codes: 0 done, 1 findings, 2 recipe or usage, 3 device, memory, model or disk, 4 network,
130 interrupted (the same command goes on).";

/// Distils preference data under one's own roof: local models answer, a local model judges, pairs
/// for DPO come out.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
pub(super) struct Args {
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(super) color: ColorChoice,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a recipe, or go on with it where it stopped.
    Run(RunArgs),
    /// Show what a run would do: rows, models, memory, order. Loads no weights.
    Plan(PlanArgs),
    /// Write a run's pairs in the files that a trainer reads.
    Export(ExportArgs),
    /// Look for what is wrong with a preference data set, ours or another's.
    Lint(LintArgs),
    /// Bring a run's data set to the Hub, or its rows before people.
    #[command(subcommand)]
    Push(PushCommand),
    /// Bring back what others said about a run's rows.
    #[command(subcommand)]
    Pull(PullCommand),
    /// Write a commented recipe that runs as it is.
    Init(InitArgs),
    /// Look at models.
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Measure a model here, against what the machine can do.
    Bench(BenchArgs),
    /// The figures of a run: rows, drops, ratings, margins, models, speed.
    Stats(StatsArgs),
    /// Write a run's report.html anew; `run` writes it at its end.
    Report(ReportArgs),
}

/// What recipe, and on what.
#[derive(Debug, clap::Args)]
pub(super) struct RecipeArgs {
    /// The recipe's file.
    pub(super) recipe: PathBuf,

    /// Override a key of the recipe, as in `steps.answer.generation.temperature=0.9`. May be
    /// given several times; paths are seen from here, not from the recipe.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,

    /// Most rows to take from each loader.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: Option<u32>,

    #[command(flatten)]
    pub(super) machine: MachineArgs,
}

/// Where models run and come from.
#[derive(Debug, clap::Args)]
pub(super) struct MachineArgs {
    /// `auto`, `cpu`, `cuda:N` or `metal`.
    #[arg(long, default_value = "auto")]
    pub(super) device: String,

    /// Memory for weights and KV blocks, in GiB; most of what is free when not given.
    #[arg(long, value_name = "GIB")]
    pub(super) memory: Option<f64>,

    /// Open no connection; name what is missing instead.
    #[arg(long)]
    pub(super) offline: bool,
}

/// `stillroom run`.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,

    /// The run's folder; `runs/NAME` when not given.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

    /// Send one row through everything and keep nothing.
    #[arg(long, conflicts_with = "out")]
    pub(super) dry_run: bool,

    /// How the data set lays out pairs.
    #[arg(long, value_enum, default_value_t = LayoutArg::Trl)]
    pub(super) layout: LayoutArg,

    /// Events as one JSON object a line on stdout, the summary last.
    #[arg(long)]
    pub(super) json: bool,

    /// No progress.
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Layouts of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LayoutArg {
    /// TRL's: prompt, chosen and rejected as lists of messages.
    Trl,
    /// The columns of distilabel's FormatTextGenerationDPO.
    Distilabel,
}

impl From<LayoutArg> for Layout {
    fn from(layout: LayoutArg) -> Self {
        match layout {
            LayoutArg::Trl => Self::Trl,
            LayoutArg::Distilabel => Self::Distilabel,
        }
    }
}

/// `stillroom plan`.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,

    /// The plan as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// `stillroom init`.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// Where to write it.
    #[arg(default_value = "recipe.toml")]
    pub(super) path: PathBuf,
}

/// `stillroom models ...`.
#[derive(Debug, Subcommand)]
pub(super) enum ModelsCommand {
    /// What a checkpoint is: architecture, sizes, formats, vocabulary, memory.
    Inspect(InspectArgs),
}

/// `stillroom models inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct InspectArgs {
    /// A folder in Hugging Face format, or `demo:NAME`.
    #[arg(value_name = "FOLDER")]
    pub(super) model: String,

    /// The facts as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// `stillroom stats`.
#[derive(Debug, clap::Args)]
pub(super) struct StatsArgs {
    /// A run's folder, finished or not.
    pub(super) run: PathBuf,

    /// The figures as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// `stillroom report`.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// A run's folder, finished or not.
    pub(super) run: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_words_do_not_contradict_each_other() {
        super::Args::command().debug_assert();
    }
}
