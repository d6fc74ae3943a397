//! Which rows of a run are meant, and which data set: what the command says, else the recipe that
//! the run wrote down, else what the rows themselves tell.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::ArgillaOptions;
use crate::data::journal;
use crate::data::row::Columns;
use crate::pipeline::export::reader::RunReader;
use crate::recipe::spec::PreferenceToArgilla;
use crate::{Error, Result};

/// Rows and a data set.
pub(super) struct Target {
    pub(super) run: RunReader,
    /// Index of the step.
    pub(super) step: usize,
    pub(super) dataset: String,
    pub(super) workspace: Option<String>,
    /// The address that the recipe names.
    pub(super) url: Option<String>,
    /// Most answers of a row, where command or recipe say so.
    said_generations: Option<usize>,
}

/// What of a recipe is read.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    steps: BTreeMap<String, WrittenStep>,
}

#[derive(Deserialize)]
struct WrittenStep {
    #[serde(rename = "type")]
    kind: String,
    num_generations: Option<usize>,
    dataset_name: Option<String>,
    dataset_workspace: Option<String>,
    api_url: Option<String>,
}

impl Target {
    /// Finds rows to push, and where to.
    ///
    /// # Errors
    /// [`Error::Usage`] when the folder holds no run, or several steps could be meant, or none.
    pub(super) fn find(root: &Path, options: &ArgillaOptions) -> Result<Self> {
        Self::found(root, options, &the_one)
    }

    /// Finds a data set whose answers are wanted. Their rows may be anywhere in the run, so that of
    /// several steps without a data set of their own any will do.
    ///
    /// # Errors
    /// As [`Target::find`].
    #[cfg(feature = "hub")]
    pub(super) fn find_rated(root: &Path, options: &ArgillaOptions) -> Result<Self> {
        Self::found(root, options, &the_latest)
    }

    fn found(root: &Path, options: &ArgillaOptions, choose: &Choice) -> Result<Self> {
        let run = RunReader::open(root)?;
        let mut steps = steps(&run)?;
        let step = match &options.step {
            Some(name) => named(&run, name)?,
            None => choose(&run, &steps)?,
        };
        let name = &run.steps[step].name;
        // Another step's rows go where the only step of this kind would send its own.
        let only = if steps.len() == 1 { steps.keys().next().cloned() } else { None };
        let asked = steps.remove(name).or_else(|| steps.remove(&only?));
        let said = asked.as_ref();
        let dataset = options.dataset.clone().or(said.and_then(|s| s.dataset_name.clone()));
        let workspace = options.workspace.clone();
        Ok(Self {
            dataset: dataset.unwrap_or_else(|| run.name.clone()),
            workspace: workspace.or(said.and_then(|s| s.dataset_workspace.clone())),
            url: said.and_then(|s| s.api_url.clone()),
            said_generations: options.num_generations.or(said.and_then(|s| s.num_generations)),
            step,
            run,
        })
    }

    /// Most answers of a row: as said, else as many as the rows have. A published data set keeps
    /// its number for ever, so rows that are still to come are not guessed at.
    ///
    /// # Errors
    /// [`Error::Usage`] for a number that cannot be, or one that nobody knows.
    pub(super) fn n_generations(&self) -> Result<usize> {
        let n_max = PreferenceToArgilla::N_GENERATIONS_MAX;
        let usage = |what, hint| Error::Usage { what, hint };
        let n = match self.said_generations {
            Some(n) => n,
            None => {
                let unknown = |why: &str| {
                    let step = self.step_name();
                    let what =
                        format!("how many answers a row of `{step}` has is not known: {why}");
                    let hint = "say it with --num-generations: the data set keeps it for ever";
                    usage(what, hint.to_owned())
                };
                if !self.run.is_finished()? {
                    return Err(unknown("the run has not finished"));
                }
                let most = most_answers(&self.run, self.step)?;
                most.ok_or_else(|| unknown("none is there"))?
            }
        };
        if !(1..=n_max).contains(&n) {
            let hint = format!("give --num-generations from 1 to {n_max}");
            return Err(usage(format!("a record of {n} answers cannot be"), hint));
        }
        Ok(n)
    }

    /// The step's name.
    pub(super) fn step_name(&self) -> &str {
        &self.run.steps[self.step].name
    }
}

/// The steps of the recipe that push, by name.
type Pushing = BTreeMap<String, WrittenStep>;

/// Chooses a step where none is named.
type Choice = dyn Fn(&RunReader, &Pushing) -> Result<usize>;

fn steps(run: &RunReader) -> Result<Pushing> {
    let path = run.root().join("recipe.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| Error::disk("read", &path, e))?;
    let written: Written = toml::from_str(&text).map_err(|e| {
        let hint = "run the recipe again: it writes it down anew and keeps the rows";
        Error::environment(format!("{}: {}", path.display(), e.message()), hint)
    })?;
    let steps = written.steps.into_iter();
    Ok(steps.filter(|(_, step)| step.kind == "PreferenceToArgilla").collect())
}

fn named(run: &RunReader, name: &str) -> Result<usize> {
    run.steps.iter().position(|step| step.name == name).ok_or_else(|| {
        let known: Vec<_> = run.steps.iter().map(|step| format!("`{}`", step.name)).collect();
        Error::Usage {
            what: format!("`{name}` is no step of {}", run.root().display()),
            hint: format!("its steps are {}", known.join(", ")),
        }
    })
}

/// The step that pushes, else the leaf whose rows hold answers.
fn the_one(run: &RunReader, steps: &Pushing) -> Result<usize> {
    let mut candidates = pushing(run, steps);
    if candidates.is_empty() {
        candidates = holding_answers(run, run.leaves())?;
    }
    single(run, &candidates)
}

/// The step that pushes, else the last whose rows hold answers.
#[cfg(feature = "hub")]
fn the_latest(run: &RunReader, steps: &Pushing) -> Result<usize> {
    let mut candidates = pushing(run, steps);
    if candidates.is_empty() {
        candidates =
            holding_answers(run, 0..run.steps.len())?.last().copied().into_iter().collect();
    }
    single(run, &candidates)
}

fn pushing(run: &RunReader, steps: &Pushing) -> Vec<usize> {
    let is_asked = |step: &usize| steps.contains_key(&run.steps[*step].name);
    (0..run.steps.len()).filter(is_asked).collect()
}

fn holding_answers(run: &RunReader, among: impl Iterator<Item = usize>) -> Result<Vec<usize>> {
    let mut holding = Vec::new();
    for step in among {
        if first(run, step)?.is_some_and(|row| has_answers(&row)) {
            holding.push(step);
        }
    }
    Ok(holding)
}

fn single(run: &RunReader, candidates: &[usize]) -> Result<usize> {
    let names = |steps: &[usize]| {
        let names: Vec<_> =
            steps.iter().map(|step| format!("`{}`", run.steps[*step].name)).collect();
        names.join(", ")
    };
    let at = run.root().display();
    match *candidates {
        [step] => Ok(step),
        [] => Err(Error::Usage {
            what: format!("{at} holds no rows with `instruction` and `generations`"),
            hint: "let the flow end in PreferenceToArgilla, or name a step with --step".to_owned(),
        }),
        _ => Err(Error::Usage {
            what: format!("several steps of {at} hold rows for Argilla"),
            hint: format!("name one with --step: {}", names(candidates)),
        }),
    }
}

fn first(run: &RunReader, step: usize) -> Result<Option<Columns>> {
    let entry = journal::read(&run.journal(step))?.next().transpose()?;
    Ok(entry.map(|(_, entry)| entry.row.columns))
}

fn has_answers(row: &Columns) -> bool {
    row.contains_key("instruction") && row.get("generations").is_some_and(|list| list.is_array())
}

/// Most answers of a row of a step; nothing where no row has any.
fn most_answers(run: &RunReader, step: usize) -> Result<Option<usize>> {
    let mut most = 0;
    for entry in journal::read(&run.journal(step))? {
        let columns = entry?.1.row.columns;
        let n = columns.get("generations").and_then(|list| list.as_array()).map_or(0, Vec::len);
        most = most.max(n);
    }
    Ok((most > 0).then_some(most.min(PreferenceToArgilla::N_GENERATIONS_MAX)))
}
