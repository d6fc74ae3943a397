//! The columns that each step needs and leaves, as distilabel's contracts have them.
//!
//! The checks walk these along the flow before anything runs; the steps themselves must keep them.

use super::spec::{Aspect, ColumnNames, MinHashDedup, Orders, RatingsFrom, Step, UltraFeedback};
use crate::data::read::ColumnPath;

/// Column that names the model of the last task.
pub const MODEL_NAME: &str = "model_name";

/// Column in which every task leaves its raw input, raw output and token counts.
pub const METADATA: &str = "distilabel_metadata";

/// Columns of the rows between two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSet {
    /// Names that are there, in the order in which steps added them.
    pub names: Vec<String>,
    /// Whether there may be more, because the data was not looked at.
    pub is_open: bool,
}

impl ColumnSet {
    /// Nothing known: any column may be there.
    pub fn open() -> Self {
        Self { names: Vec::new(), is_open: true }
    }

    /// Exactly these.
    pub fn closed<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut set = Self { names: Vec::new(), is_open: false };
        set.add(names);
        set
    }

    /// Whether `name` is there or may be.
    pub fn may_have(&self, name: &str) -> bool {
        self.is_open || self.names.iter().any(|known| known == name)
    }

    fn add<S: Into<String>>(&mut self, names: impl IntoIterator<Item = S>) {
        for name in names {
            let name = name.into();
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    fn remove(&mut self, name: &str) {
        self.names.retain(|known| known != name);
    }
}

impl Step {
    /// Columns without which the step cannot work on a row, each with the key of the recipe that
    /// asks for it, if one does.
    pub fn inputs(&self) -> Vec<(String, Option<&'static str>)> {
        let fixed = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), None)).collect();
        let asked = |names: &[String]| {
            names.iter().map(|name| (name.clone(), Some("columns"))).collect::<Vec<_>>()
        };
        match self {
            Self::LoadDataFromDicts(_)
            | Self::LoadDataFromFileSystem(_)
            | Self::LoadDataFromHub(_) => Vec::new(),
            Self::SelfInstruct(_) => fixed(&["input"]),
            Self::ExpandColumns(step) => match &step.columns {
                ColumnNames::Kept(names) => asked(names),
                ColumnNames::Renamed(names) => asked(&names.keys().cloned().collect::<Vec<_>>()),
            },
            Self::KeepColumns(step) => asked(&step.columns),
            Self::TextGeneration(step) => asked(&step.columns),
            Self::GroupColumns(step) => asked(&step.columns),
            Self::FilterRows(step) => {
                let path = ColumnPath::parse(&step.column);
                // A path that is none is a fault of its own.
                path.map_or(Vec::new(), |path| vec![(path.head().to_owned(), Some("column"))])
            }
            Self::DropRefusals(step) => vec![(step.column.clone(), Some("column"))],
            Self::DropTruncated(step) => {
                vec![(step.column.clone(), Some("column")), (METADATA.to_owned(), None)]
            }
            Self::MinHashDedup(step) => vec![(step.column.clone(), Some("column"))],
            Self::UltraFeedback(_) | Self::PreferenceToArgilla(_) => {
                fixed(&["instruction", "generations"])
            }
            Self::FormatTextGenerationDPO(step) => match step.ratings_from {
                RatingsFrom::Human => fixed(&["instruction", "generations"]),
                RatingsFrom::Judge | RatingsFrom::HumanThenJudge => {
                    fixed(&["instruction", "generations", "ratings"])
                }
            },
            Self::PushToHub(_) => Vec::new(),
        }
    }

    /// Columns of the rows that the step makes of rows with the columns of `parents`.
    ///
    /// `file` are the columns of a loader's file or data set, when they are known.
    pub fn outputs(&self, parents: &[&ColumnSet], file: Option<&[String]>) -> ColumnSet {
        let mut set = union(parents);
        match self {
            Self::LoadDataFromDicts(step) => {
                set.is_open = step.data.is_empty();
                set.add(step.data.iter().flat_map(|row| row.keys().cloned()));
            }
            Self::LoadDataFromFileSystem(step) => {
                set.is_open = file.is_none();
                set.add(file.unwrap_or_default().iter().cloned());
                set.add(step.columns.keys().cloned());
            }
            Self::LoadDataFromHub(step) => {
                set.is_open = file.is_none();
                set.add(file.unwrap_or_default().iter().cloned());
                set.add(step.columns.keys().cloned());
            }
            Self::SelfInstruct(_) => set.add(["instructions", MODEL_NAME, METADATA]),
            Self::ExpandColumns(step) => match &step.columns {
                ColumnNames::Kept(_) => (),
                ColumnNames::Renamed(names) => set.add(names.values().cloned()),
            },
            Self::KeepColumns(step) => set = ColumnSet::closed(step.columns.iter().cloned()),
            Self::TextGeneration(_) => set.add(["generation", MODEL_NAME, METADATA]),
            Self::GroupColumns(step) => {
                step.columns.iter().for_each(|column| set.remove(column));
                set.add(step.lists());
            }
            Self::FilterRows(_)
            | Self::DropRefusals(_)
            | Self::DropTruncated(_)
            | Self::PreferenceToArgilla(_)
            | Self::PushToHub(_) => (),
            Self::MinHashDedup(_) => set.add([MinHashDedup::FLAG]),
            Self::UltraFeedback(step) => {
                set.add(verdict(step));
                set.add([MODEL_NAME, METADATA]);
            }
            Self::FormatTextGenerationDPO(step) => {
                let names_models = ["generation_models", "model_names"];
                let has_models = names_models.iter().any(|name| set.may_have(name));
                set.add(["prompt", "prompt_id", "chosen", "chosen_rating"]);
                set.add(["rejected", "rejected_rating", "margin"]);
                if step.ratings_from != RatingsFrom::Judge {
                    set.add(["human_ratings", "human_rationales", "n_annotators"]);
                }
                set.add(["chosen_model", "rejected_model"].iter().copied().filter(|_| has_models));
            }
        }
        set
    }
}

/// Columns of a judge's verdict: distilabel's for the aspect, then ours. Several aspects leave
/// their means there, and the columns of each in `aspects`.
fn verdict(step: &UltraFeedback) -> Vec<&'static str> {
    let mut names = vec!["ratings", "rationales"];
    match step.aspect.0.as_slice() {
        [Aspect::Helpfulness | Aspect::Truthfulness] => {
            names.extend(["types", "rationales-for-ratings"]);
            names.extend(["ratings_entropy", "ratings_probabilities"]);
        }
        [_] => names.extend(["ratings_entropy", "ratings_probabilities"]),
        _ => names.push("aspects"),
    }
    names.extend(["ratings_expected", "ratings_sampled"]);
    if step.orders != Orders::One {
        names.extend(["ratings_orders", "ratings_per_order", "ratings_flip"]);
    }
    names
}

fn union(parents: &[&ColumnSet]) -> ColumnSet {
    let mut set = ColumnSet::closed(parents.iter().flat_map(|parent| parent.names.iter().cloned()));
    set.is_open = parents.iter().any(|parent| parent.is_open);
    set
}
