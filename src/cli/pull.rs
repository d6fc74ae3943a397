//! `stillroom pull`: what others said about a run's rows, back in its folder.

use super::push::ArgillaArgs;
use super::screen::Screen;
use crate::Result;
use crate::pipeline::{self, Pulled};
use clap::Subcommand;

/// `stillroom pull ...`.
#[derive(Debug, Subcommand)]
pub(super) enum PullCommand {
    /// Bring people's answers from Argilla into RUN/human.jsonl.
    Argilla(ArgillaArgs),
}

/// Pulls.
pub(super) fn pull(command: &PullCommand, screen: &Screen) -> Result<()> {
    let PullCommand::Argilla(args) = command;
    let pulled = pipeline::pull_argilla(&args.run, &args.options())?;
    screen.answer(args.json, &pulled, || shown(&pulled));
    Ok(())
}

fn shown(pulled: &Pulled) -> String {
    let Pulled { workspace, dataset, n_answers, n_annotators, n_rows, n_records, .. } = pulled;
    let file = pulled.file.display();
    let mut lines = vec![format!(
        "{workspace}/{dataset}: {n_records} records; people: {n_annotators}, answers: {n_answers}, \
         rows that have one: {n_rows}"
    )];
    for (n, what) in [
        (pulled.n_overruled, "rows where people prefer another answer than the judge"),
        (pulled.n_partly, "rows with an answer that nobody rated: there the judge's ratings stay"),
        (pulled.n_gone, "answered records that no row of this run has the texts of: not used"),
        (pulled.n_strange, "ratings that are no whole number from 1 to 5: not used"),
        (pulled.n_drafts, "answers that were begun and not submitted: not used"),
        (pulled.n_discarded, "records that somebody put aside: not used"),
    ] {
        if n > 0 {
            lines.push(format!("{n} {what}"));
        }
    }
    lines.push(format!("written to {file}"));
    if n_rows > &0 {
        // Whole: a recipe sees a shorter one from its own folder.
        let file = std::path::absolute(&pulled.file).unwrap_or_else(|_| pulled.file.clone());
        let file = toml::Value::from(&*file.to_string_lossy());
        lines.push(format!(
            "to make pairs of them, give the pair step these two lines and run the recipe again:\n  \
             ratings_from = \"human-then-judge\"\n  human_ratings = {file}"
        ));
    }
    lines.join("\n")
}
