//! `stillroom lint`: what is wrong with a preference data set.
//!
//! It brings together what looks at rows and what knows texts and tokens; neither knows the other.

mod cutter;
mod near;
mod shown;

use std::path::PathBuf;

use serde_json::json;

use super::export::FormatArg;
use super::progress::SCHEMA_VERSION;
use super::screen::Screen;
use crate::data::export::Format;
use crate::data::lint::{self, Tools};
use crate::text::near::{Shingles, normalise};
use crate::{Error, Result};
use cutter::Cutter;
use near::NearRows;

/// `stillroom lint`.
#[derive(Debug, clap::Args)]
pub(super) struct LintArgs {
    /// A data file (.jsonl, .json, .csv or .parquet), a folder of such files, or a run.
    path: PathBuf,

    /// Tokens at which the trainer cuts a prompt with its answer.
    #[arg(long, value_name = "N", requires = "tokenizer")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_len: Option<u32>,

    /// The model's folder: its tokenizer and chat template count the tokens.
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,

    /// The trainer that shall read the data set.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatArg>,

    /// The findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Looks at a data set.
///
/// # Errors
/// [`Error::Gate`] when something was found.
pub(super) fn lint(args: &LintArgs, screen: &Screen) -> Result<()> {
    let cutter = args.tokenizer.as_deref().map(Cutter::read).transpose()?;
    let prompt_len = |turns: &[(&str, &str)]| cutter.as_ref()?.prompt_len(turns);
    let ids = |text: &str| cutter.as_ref()?.ids(text);
    let cut = args.max_len.map(|max_len| lint::Cut {
        max_len: max_len as usize,
        prompt_len: &prompt_len,
        ids: &ids,
    });
    let likeness = |a: &str, b: &str| Shingles::of(a).jaccard(&Shingles::of(b));
    let tools = Tools {
        normalise: &normalise,
        likeness: &likeness,
        cut,
        control_tokens: cutter.as_ref().map_or(&[][..], Cutter::control_tokens),
    };
    let mut rows = NearRows::new()?;
    let format = args.format.map(Format::from);
    let report =
        lint::lint(&args.path, format, tools, &mut |texts: Vec<String>| rows.find(&texts))?;
    if args.json {
        let mut report = report.to_json();
        report["schema_version"] = json!(SCHEMA_VERSION);
        screen.print(&format!("{report:#}"));
    } else {
        screen.print(&shown::shown(&report));
    }
    match report.findings.len() {
        0 => Ok(()),
        n => Err(Error::Gate {
            what: format!(
                "{n} {} in {}",
                if n == 1 { "finding" } else { "findings" },
                args.path.display()
            ),
            hint: "each finding above says what to do".to_owned(),
        }),
    }
}
