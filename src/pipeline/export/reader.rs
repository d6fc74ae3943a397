//! A run folder, read without being held: its steps, its leaves, what its card tells.
//!
//! `plan.json` says what the steps are; a run that was never planned left nothing to read.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::data::dataset::{About, CardModel};
use crate::data::row::Columns;
use crate::data::{dropped, journal, lines};
use crate::{Error, Result};

/// What of `plan.json` is read.
#[derive(Debug, Deserialize)]
struct Planned {
    name: String,
    steps: Vec<ReadStep>,
    #[serde(default)]
    models: Vec<ReadModel>,
}

/// A step of the run.
#[derive(Debug, Deserialize)]
pub(in crate::pipeline) struct ReadStep {
    pub(in crate::pipeline) name: String,
    /// Names of the steps that feed it.
    #[serde(default)]
    pub(super) parents: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct ReadModel {
    name: String,
    source: String,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default)]
    quantize: Option<String>,
    #[serde(default)]
    key: String,
}

/// A run folder.
#[derive(Debug)]
pub(in crate::pipeline) struct RunReader {
    root: PathBuf,
    /// The run's name.
    pub(in crate::pipeline) name: String,
    /// Its steps, in topological order.
    pub(in crate::pipeline) steps: Vec<ReadStep>,
    models: Vec<ReadModel>,
}

impl RunReader {
    /// Reads what was planned.
    ///
    /// # Errors
    /// [`Error::Usage`] when the folder is no run's, [`Error::Environment`] when it cannot be read.
    pub(in crate::pipeline) fn open(root: &Path) -> Result<Self> {
        let path = root.join("plan.json");
        if !path.is_file() {
            return Err(Error::Usage {
                what: format!("{} is no run: there is no plan.json in it", root.display()),
                hint: "name the folder of a run, such as runs/NAME".to_owned(),
            });
        }
        let text = std::fs::read(&path).map_err(|e| Error::disk("read", &path, e))?;
        let planned: Planned = serde_json::from_slice(&text).map_err(|e| {
            let hint = "run the recipe again: it writes the plan anew and keeps the rows";
            Error::environment(format!("{} is damaged: {e}", path.display()), hint)
        })?;
        let Planned { name, steps, models } = planned;
        Ok(Self { root: root.to_owned(), name, steps, models })
    }

    /// The folder.
    pub(in crate::pipeline) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the rows of a step are.
    pub(in crate::pipeline) fn journal(&self, step: usize) -> PathBuf {
        self.root.join("steps").join(format!("{}.jsonl", self.steps[step].name))
    }

    /// The steps that feed a step, in the flow's order.
    pub(super) fn parents(&self, step: usize) -> impl Iterator<Item = usize> + '_ {
        let place = move |name: &String| self.steps.iter().position(|step| step.name == *name);
        self.steps[step].parents.iter().filter_map(place)
    }

    /// The steps that feed nothing.
    pub(in crate::pipeline) fn leaves(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.steps.len()).filter(move |leaf| {
            let name = &self.steps[*leaf].name;
            !self.steps.iter().any(|step| step.parents.contains(name))
        })
    }

    /// Whether the first row of a step is a pair, as all its rows then are.
    ///
    /// # Errors
    /// When the disk refuses or the line is damaged.
    pub(super) fn has_pairs(&self, step: usize) -> Result<bool> {
        let is_pair = |row: &Columns| {
            ["prompt", "chosen", "rejected"].iter().all(|name| row.contains_key(*name))
        };
        let first = journal::read(&self.journal(step))?.next().transpose()?;
        Ok(first.is_some_and(|(_, entry)| is_pair(&entry.row.columns)))
    }

    /// Whether the last thing that happened is the end of the run.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(in crate::pipeline) fn is_finished(&self) -> Result<bool> {
        let mut last = Vec::new();
        for line in lines::read(&self.root.join("events.jsonl"))? {
            last = line?.1;
        }
        let event: serde_json::Value = serde_json::from_slice(&last).unwrap_or_default();
        Ok(event["event"] == "finished")
    }

    /// The share of the prompts that the recipe keeps for testing.
    ///
    /// # Errors
    /// When the recipe that the run wrote down cannot be read.
    pub(super) fn test_share(&self) -> Result<f64> {
        let recipe: toml::Table = toml::from_str(&self.recipe()?).map_err(|e| {
            let hint = "run the recipe again: it writes it down anew and keeps the rows";
            Error::environment(format!("{}/recipe.toml: {e}", self.root.display()), hint)
        })?;
        Ok(recipe.get("test_share").and_then(toml::Value::as_float).unwrap_or(0.0))
    }

    /// The recipe as it was run.
    fn recipe(&self) -> Result<String> {
        let path = self.root.join("recipe.toml");
        std::fs::read_to_string(&path).map_err(|e| Error::disk("read", &path, e))
    }

    /// What the card of an export tells.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn about(&self) -> Result<About> {
        let model = |model: &ReadModel| CardModel {
            name: model.name.clone(),
            source: model.source.clone(),
            revision: model.revision.clone().filter(|_| model.source.contains('/')),
            quantize: model.quantize.clone().unwrap_or_default(),
            digest: model.key.clone(),
        };
        Ok(About {
            name: self.name.clone(),
            recipe: self.recipe()?,
            models: self.models.iter().map(model).collect(),
            dropped: dropped::count(&self.root.join("dropped.jsonl"))?,
            ..About::default()
        })
    }
}
