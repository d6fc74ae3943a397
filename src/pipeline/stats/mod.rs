//! The figures of a run, read from its folder: what `stats` prints and the report draws.
//!
//! Everything comes from the files, nothing from the memory of a run, so a run of last year, one
//! that was killed and one that is still going on are read alike. Rows pass by one at a time and
//! leave counts behind. It must not know how figures are shown.

mod cells;
mod duels;
mod history;
mod judge;
mod models;
mod moments;
mod pairs;
mod places;
mod ratings;
mod remarks;
mod rows;
mod sample;
mod share;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::data::folder::RunFolder;
use crate::data::{dropped, journal, lines};
use crate::{Error, Result};

pub use cells::{Bin, Distribution, Survival};
pub use duels::Duel;
pub use history::{History, Work};
pub use judge::{JudgeFigures, LengthAndRating, ModelRatings};
pub use models::{Cost, ModelFigures};
pub use moments::{Correlation, Mean};
pub use pairs::{LeafFigures, ModelSides, PairFigures};
pub use places::Orders;
pub use ratings::{AspectFigures, Confidence};
pub use share::Share;

pub(crate) use cells::round_step;
pub(crate) use pairs::Remembered;
pub(crate) use rows::{PairLine, Side, items};

use judge::JudgeTally;
use pairs::PairTally;
use rows::{AskLine, JudgeLine};

/// A run in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Name of the recipe.
    pub name: String,
    /// Root rows, as planned.
    pub n_roots: u64,
    /// When and how long it ran.
    pub history: History,
    /// What a person should look at, in sentences.
    pub remarks: Vec<String>,
    /// The steps, in the flow's order.
    pub steps: Vec<StepFigures>,
    /// The judges among them.
    pub judges: Vec<JudgeFigures>,
    /// The leaves, whose rows the data set is made of.
    pub leaves: Vec<LeafFigures>,
    /// The models, in the recipe's order.
    pub models: Vec<ModelFigures>,
}

/// The rows of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepFigures {
    /// Its name.
    pub step: String,
    /// Its type, as the recipe writes it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The model that it asks.
    pub model: Option<String>,
    /// Finished rows.
    pub n_rows: u64,
    /// Rows that it makes if none is dropped, where that was known.
    pub n_planned: Option<u64>,
    /// Rows that it let go, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// The part of `plan.json` that figures need.
#[derive(Debug, Deserialize)]
struct PlanFile {
    name: String,
    n_roots: u64,
    steps: Vec<StepEntry>,
    models: Vec<ModelEntry>,
}

#[derive(Debug, Deserialize)]
struct StepEntry {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    parents: Vec<String>,
    model: Option<String>,
    n_rows: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct ModelEntry {
    name: String,
    source: String,
    model_name: String,
    quantize: String,
}

impl Figures {
    /// Reads a run's folder, which may be in use.
    ///
    /// # Errors
    /// When the folder holds no run, the disk refuses, or a line of a file is damaged.
    pub fn read(folder: &RunFolder) -> Result<Self> {
        let plan = read_plan(&folder.plan())?;
        let (history, mut work) = history::read(&folder.events())?;
        let dropped = dropped::count(&folder.dropped())?;
        let read = read_steps(folder, &plan.steps)?;
        let mut figures = Self {
            name: plan.name,
            n_roots: plan.n_roots,
            history,
            remarks: Vec::new(),
            steps: Vec::new(),
            judges: Vec::new(),
            leaves: Vec::new(),
            models: Vec::new(),
        };
        let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
        for (step, read) in plan.steps.iter().zip(read) {
            if let Some(model) = &step.model {
                costs.entry(model.clone()).or_default().add_all(&read.cost);
            }
            figures.judges.extend(read.judge);
            figures.leaves.extend(read.leaf);
            let own = dropped.iter().filter(|((name, _), _)| *name == step.name);
            figures.steps.push(StepFigures {
                step: step.name.clone(),
                kind: step.kind.clone(),
                model: step.model.clone(),
                n_rows: read.n_rows,
                n_planned: step.n_rows,
                dropped: own.map(|((_, reason), n)| (reason.clone(), *n)).collect(),
            });
        }
        let asks = |step: &&StepEntry, model: &str| step.model.as_deref() == Some(model);
        let of_model = |model: ModelEntry| ModelFigures {
            steps: plan
                .steps
                .iter()
                .filter(|step| asks(step, &model.name))
                .map(|step| step.name.clone())
                .collect(),
            rows: costs.remove(&model.name).unwrap_or_default(),
            work: work.remove(&model.name),
            model: model.name,
            name: model.model_name,
            source: model.source,
            quantize: model.quantize,
        };
        figures.models = plan.models.into_iter().map(of_model).collect();
        figures.remarks = remarks::remarks(&figures);
        Ok(figures)
    }
}

/// What the rows of one step came to.
#[derive(Default)]
struct StepRead {
    n_rows: u64,
    /// What their answers cost.
    cost: Cost,
    judge: Option<JudgeFigures>,
    leaf: Option<LeafFigures>,
}

/// Reads the rows of all steps, side by side: a run's end waits for the longest file instead of for
/// all of them.
fn read_steps(folder: &RunFolder, steps: &[StepEntry]) -> Result<Vec<StepRead>> {
    let is_leaf = |step: &StepEntry| !steps.iter().any(|other| other.parents.contains(&step.name));
    thread::scope(|scope| {
        let reading = steps.iter().map(|step| {
            let (path, is_leaf) = (folder.step(&step.name), is_leaf(step));
            scope.spawn(move || read_step(&path, step, is_leaf))
        });
        let reading: Vec<_> = reading.collect();
        let read = reading.into_iter().map(|reading| reading.join().expect("it does not panic"));
        read.collect()
    })
}

fn read_step(path: &Path, step: &StepEntry, is_leaf: bool) -> Result<StepRead> {
    let mut read = StepRead::default();
    match (&step.model, step.kind.as_str()) {
        (Some(judge), "UltraFeedback") => {
            let mut tally = JudgeTally::new();
            (read.n_rows, read.cost) = read_judge(path, &step.name, &mut tally)?;
            read.judge = Some(tally.figures(&step.name, Some(judge.clone())));
        }
        (Some(_), _) => (read.n_rows, read.cost) = read_asking(path, &step.name)?,
        (None, _) if is_leaf => {
            let mut tally = PairTally::new();
            for line in journal::read_as::<PairLine>(path)? {
                let (offset, line) = line?;
                tally.add(offset, &line);
            }
            let leaf = tally.figures(&step.name);
            read.n_rows = leaf.n_rows;
            read.leaf = Some(leaf);
        }
        (None, _) => read.n_rows = count_lines(path)?,
    }
    if is_leaf && read.leaf.is_none() {
        let (step, n_rows) = (step.name.clone(), read.n_rows);
        read.leaf = Some(LeafFigures { step, n_rows, pairs: None });
    }
    Ok(read)
}

fn read_judge(path: &Path, step: &str, tally: &mut JudgeTally) -> Result<(u64, Cost)> {
    let (mut n_rows, mut cost) = (0, Cost::default());
    for line in journal::read_as::<JudgeLine>(path)? {
        let line = line?.1;
        tally.add(&line);
        cost.add(&line.distilabel_metadata.of(step));
        n_rows += 1;
    }
    Ok((n_rows, cost))
}

fn read_asking(path: &Path, step: &str) -> Result<(u64, Cost)> {
    let (mut n_rows, mut cost) = (0, Cost::default());
    for line in journal::read_as::<AskLine>(path)? {
        cost.add(&line?.1.distilabel_metadata.of(step));
        n_rows += 1;
    }
    Ok((n_rows, cost))
}

fn count_lines(path: &Path) -> Result<u64> {
    let mut n_lines = 0;
    for line in lines::read(path)? {
        line?;
        n_lines += 1;
    }
    Ok(n_lines)
}

fn read_plan(path: &Path) -> Result<PlanFile> {
    let text = std::fs::read(path).map_err(|error| Error::disk("read", path, error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Error::environment_from(
            format!("{} is no plan of a run: {error}", path.display()),
            "run the recipe again in this folder: it writes the plan anew",
            error,
        )
    })
}
