//! `stillroom push argilla`: rows before people.

use std::path::PathBuf;

use crate::Result;
use crate::argilla::ArgillaAccess;
use crate::cli::screen::Screen;
use crate::pipeline::{self, ArgillaOptions, Pushed};

/// Records between two lines of progress.
const N_TELL: u64 = 5000;

/// Rows that the server refused and that are named.
const N_SHOWN: usize = 5;

/// Where a run's rows are in Argilla. The key comes from `ARGILLA_API_KEY`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ArgillaArgs {
    /// A run's folder, finished or not.
    pub(in crate::cli) run: PathBuf,

    /// The data set; the recipe's `dataset_name`, else the run's name.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,

    /// The workspace; the recipe's `dataset_workspace`, else your only one.
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,

    /// Where Argilla is; the recipe's `api_url` or ARGILLA_API_URL, which must agree.
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// The step whose rows are meant; the PreferenceToArgilla, else the leaf that holds answers.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,

    /// Open no connection; say what is to be done instead.
    #[arg(long)]
    offline: bool,

    /// What was done, as JSON.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl ArgillaArgs {
    /// The options, with the environment's address and key.
    pub(in crate::cli) fn options(&self) -> ArgillaOptions {
        ArgillaOptions {
            access: ArgillaAccess::from_env(self.url.clone(), self.offline),
            step: self.step.clone(),
            dataset: self.dataset.clone(),
            workspace: self.workspace.clone(),
            num_generations: None,
            dry_run: false,
        }
    }
}

/// `stillroom push argilla`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PushArgillaArgs {
    #[command(flatten)]
    place: ArgillaArgs,

    /// Most answers of a row; the recipe's `num_generations`, else as many as there are.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    num_generations: Option<u32>,

    /// Look at every row as a push does, and send nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Pushes rows of a run.
pub(super) fn push(args: &PushArgillaArgs, screen: &Screen) -> Result<()> {
    let options = ArgillaOptions {
        num_generations: args.num_generations.map(|n| n as usize),
        dry_run: args.dry_run,
        ..args.place.options()
    };
    let mut n_told = 0;
    let mut tell = |n_there: u64| {
        if n_there >= n_told + N_TELL {
            n_told = n_there;
            screen.tell(&format!("{n_there} records are there"));
        }
    };
    let pushed = pipeline::push_argilla(&args.place.run, &options, &mut tell)?;
    screen.answer(args.place.json, &pushed, || shown(&pushed));
    Ok(())
}

pub(super) fn shown(pushed: &Pushed) -> String {
    let Pushed { dataset, step, n_rows, n_created, n_updated, .. } = pushed;
    let at = pushed.url.as_deref().unwrap_or("an address that is not known yet");
    let place = match &pushed.workspace {
        Some(workspace) => format!("{workspace}/{dataset} at {at}"),
        None => format!("{dataset} at {at}"),
    };
    let mut lines = vec![match pushed.is_dry_run {
        true => format!("{} of {n_rows} rows of {step} would go to {place}", pushed.n_records),
        false => format!("{place}: {n_created} new records, {n_updated} updated, of {step}"),
    }];
    if pushed.n_same > 0 {
        lines.push(format!("{} rows have the texts of another row: one record", pushed.n_same));
    }
    for (reason, n) in &pushed.left_out {
        lines.push(format!("left out {n}: {reason}"));
    }
    if pushed.n_refused > 0 {
        lines.push(format!("refused by the server: {}", pushed.n_refused));
    }
    for refused in pushed.refused.iter().take(N_SHOWN) {
        lines.push(format!("  row {}: {}", refused.row, refused.reason));
    }
    if !pushed.is_finished {
        lines.push("the run has not finished: push again when it has".to_owned());
    }
    lines.join("\n")
}
