//! `stillroom export`: a run's pairs in the files that a trainer reads.
//!
//! The lines that the trainer needs go to stdout, so that they can be kept in a file; what was
//! written goes to stderr.

use std::path::PathBuf;

use super::screen::Screen;
use crate::Result;
use crate::data::export::Format;
use crate::pipeline::{self, ExportOptions};

/// `stillroom export`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The folder of a run.
    run: PathBuf,

    /// What the trainer reads.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: FormatArg,

    /// The leaf whose pairs are meant, where several hold pairs.
    #[arg(long, value_name = "STEP")]
    leaf: Option<String>,

    /// Where to write; `RUN/exports/FORMAT` when not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Formats of trainers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FormatArg {
    /// TRL's DPO, CPO and ORPO: parquet, explicit prompt.
    Trl,
    /// TRL's reward model: parquet, the prompt inside both sides.
    TrlImplicit,
    /// TRL's KTO and BCO: parquet, one answer a row with a label.
    TrlKto,
    /// Axolotl: `chat_template.default`.
    Axolotl,
    /// LLaMA-Factory: sharegpt ranking, with its dataset_info.json.
    LlamaFactory,
    /// NeMo-RL: a context and ranked completions.
    NemoRl,
    /// OpenRLHF: lists of messages under three keys.
    Openrlhf,
    /// distilabel's columns: parquet.
    Distilabel,
    /// Plain texts, a pair a line.
    Jsonl,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Trl => Self::Trl,
            FormatArg::TrlImplicit => Self::TrlImplicit,
            FormatArg::TrlKto => Self::TrlKto,
            FormatArg::Axolotl => Self::Axolotl,
            FormatArg::LlamaFactory => Self::LlamaFactory,
            FormatArg::NemoRl => Self::NemoRl,
            FormatArg::Openrlhf => Self::OpenRlhf,
            FormatArg::Distilabel => Self::Distilabel,
            FormatArg::Jsonl => Self::Jsonl,
        }
    }
}

/// Exports a run.
pub(super) fn export(args: &ExportArgs, screen: &Screen) -> Result<()> {
    let ExportArgs { run, format, leaf, out } = args;
    let options = ExportOptions { format: (*format).into(), leaf: leaf.clone(), out: out.clone() };
    let done = pipeline::export(run, &options)?;
    let rows = if done.n_rows == 1 { "row" } else { "rows" };
    let (n_rows, leaf, folder) = (done.n_rows, &done.leaf, done.folder.display());
    let test = match done.n_test {
        0 => String::new(),
        n => format!(", {n} of them for testing"),
    };
    screen.tell(&format!("{n_rows} {rows} of {leaf}{test} in {folder}"));
    for (reason, n) in &done.left_out {
        screen.tell(&format!("left out {n}: {reason}"));
    }
    if !done.is_finished {
        screen.tell("the run has not finished: export again when it has");
    }
    screen.print(&done.snippet);
    Ok(())
}
