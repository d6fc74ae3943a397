//! What can be asked of any step, and the values that its parameters have when nobody gives any.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::spec::{
    ColumnNames, DropRefusals, DropTruncated, ExpandColumns, FilterRows, FormatTextGenerationDpo,
    Generation, GroupColumns, KeepColumns, LoadDataFromDicts, LoadDataFromFileSystem,
    LoadDataFromHub, MinHashDedup, ModelSpec, PreferenceToArgilla, PushToHub, Quantize,
    SelfInstruct, Step, TextGeneration, UltraFeedback,
};
use crate::data::row::Columns;

impl Step {
    /// The names by which a recipe calls the step types, `CombineColumns` being the old one of
    /// `GroupColumns`.
    pub const TYPES: [&'static str; 17] = [
        "LoadDataFromDicts",
        "LoadDataFromFileSystem",
        "LoadDataFromHub",
        "SelfInstruct",
        "ExpandColumns",
        "KeepColumns",
        "TextGeneration",
        "GroupColumns",
        "CombineColumns",
        "FilterRows",
        "DropRefusals",
        "DropTruncated",
        "MinHashDedup",
        "UltraFeedback",
        "FormatTextGenerationDPO",
        "PreferenceToArgilla",
        "PushToHub",
    ];

    /// The name of the step's type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::LoadDataFromDicts(_) => "LoadDataFromDicts",
            Self::LoadDataFromFileSystem(_) => "LoadDataFromFileSystem",
            Self::LoadDataFromHub(_) => "LoadDataFromHub",
            Self::SelfInstruct(_) => "SelfInstruct",
            Self::ExpandColumns(_) => "ExpandColumns",
            Self::KeepColumns(_) => "KeepColumns",
            Self::TextGeneration(_) => "TextGeneration",
            Self::GroupColumns(_) => "GroupColumns",
            Self::FilterRows(_) => "FilterRows",
            Self::DropRefusals(_) => "DropRefusals",
            Self::DropTruncated(_) => "DropTruncated",
            Self::MinHashDedup(_) => "MinHashDedup",
            Self::UltraFeedback(_) => "UltraFeedback",
            Self::FormatTextGenerationDPO(_) => "FormatTextGenerationDPO",
            Self::PreferenceToArgilla(_) => "PreferenceToArgilla",
            Self::PushToHub(_) => "PushToHub",
        }
    }

    /// The recipe's name of the model that the step asks, if it asks one.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::SelfInstruct(step) => Some(&step.model),
            Self::TextGeneration(step) => Some(&step.model),
            Self::UltraFeedback(step) => Some(&step.model),
            Self::LoadDataFromDicts(_)
            | Self::LoadDataFromFileSystem(_)
            | Self::LoadDataFromHub(_)
            | Self::ExpandColumns(_)
            | Self::KeepColumns(_)
            | Self::GroupColumns(_)
            | Self::FilterRows(_)
            | Self::DropRefusals(_)
            | Self::DropTruncated(_)
            | Self::MinHashDedup(_)
            | Self::FormatTextGenerationDPO(_)
            | Self::PreferenceToArgilla(_)
            | Self::PushToHub(_) => None,
        }
    }

    /// How the step's tokens are drawn, if it asks a model.
    pub fn generation(&self) -> Option<&Generation> {
        match self {
            Self::SelfInstruct(step) => Some(&step.generation),
            Self::TextGeneration(step) => Some(&step.generation),
            Self::UltraFeedback(step) => Some(&step.generation),
            Self::LoadDataFromDicts(_)
            | Self::LoadDataFromFileSystem(_)
            | Self::LoadDataFromHub(_)
            | Self::ExpandColumns(_)
            | Self::KeepColumns(_)
            | Self::GroupColumns(_)
            | Self::FilterRows(_)
            | Self::DropRefusals(_)
            | Self::DropTruncated(_)
            | Self::MinHashDedup(_)
            | Self::FormatTextGenerationDPO(_)
            | Self::PreferenceToArgilla(_)
            | Self::PushToHub(_) => None,
        }
    }

    /// Whether the step makes rows out of nothing; it stands at the start of a flow.
    pub fn is_loader(&self) -> bool {
        matches!(
            self,
            Self::LoadDataFromDicts(_) | Self::LoadDataFromFileSystem(_) | Self::LoadDataFromHub(_)
        )
    }

    /// Whether the step leaves rows out and changes none.
    pub fn is_filter(&self) -> bool {
        matches!(
            self,
            Self::FilterRows(_)
                | Self::DropRefusals(_)
                | Self::DropTruncated(_)
                | Self::MinHashDedup(_)
        )
    }

    /// Whether the step takes the finished data set, and no rows; it stands at the end of a flow.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::PushToHub(_))
    }

    /// Whether the step joins several branches.
    pub fn is_join(&self) -> bool {
        matches!(self, Self::GroupColumns(_))
    }
}

impl ModelSpec {
    /// The model at `source`, of the main revision, as stored.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            revision: Self::MAIN.to_owned(),
            quantize: Quantize::default(),
        }
    }

    /// The revision of a Hub repository when none is named.
    pub const MAIN: &'static str = "main";
}

impl LoadDataFromDicts {
    /// These rows.
    pub fn new(data: Vec<Columns>) -> Self {
        Self { data }
    }
}

impl LoadDataFromFileSystem {
    /// All rows and columns of a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), num_examples: None, columns: BTreeMap::new() }
    }
}

impl LoadDataFromHub {
    /// The training split of a data set's default config.
    pub fn new(repo_id: impl Into<String>) -> Self {
        Self {
            repo_id: repo_id.into(),
            split: "train".to_owned(),
            config: None,
            revision: ModelSpec::MAIN.to_owned(),
            num_examples: None,
            streaming: false,
            columns: BTreeMap::new(),
        }
    }
}

impl SelfInstruct {
    /// Five instructions for an AI assistant.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            num_instructions: 5,
            criteria_for_query_generation: None,
            application_description: "AI assistant".to_owned(),
            generation: Generation::default(),
        }
    }
}

impl ExpandColumns {
    /// One row per item of `column`, in a column called `renamed`.
    pub fn new(column: impl Into<String>, renamed: impl Into<String>) -> Self {
        let names = BTreeMap::from([(column.into(), renamed.into())]);
        Self { columns: ColumnNames::Renamed(names) }
    }
}

impl KeepColumns {
    /// These columns.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect() }
    }
}

impl TextGeneration {
    /// One answer to the column `instruction`.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            system_prompt: None,
            template: "{{ instruction }}".to_owned(),
            columns: vec!["instruction".to_owned()],
            num_generations: 1,
            group_generations: false,
            generation: Generation::default(),
        }
    }
}

impl GroupColumns {
    /// `columns` as lists that are called `grouped_<column>`.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            output_columns: None,
            min_generations: None,
        }
    }

    /// The names of the lists, one for each of `columns`.
    pub fn lists(&self) -> Vec<String> {
        match &self.output_columns {
            Some(names) => names.clone(),
            None => self.columns.iter().map(|column| format!("grouped_{column}")).collect(),
        }
    }
}

impl From<LoadDataFromDicts> for Step {
    fn from(step: LoadDataFromDicts) -> Self {
        Self::LoadDataFromDicts(step)
    }
}

impl From<LoadDataFromFileSystem> for Step {
    fn from(step: LoadDataFromFileSystem) -> Self {
        Self::LoadDataFromFileSystem(step)
    }
}

impl From<LoadDataFromHub> for Step {
    fn from(step: LoadDataFromHub) -> Self {
        Self::LoadDataFromHub(step)
    }
}

impl From<SelfInstruct> for Step {
    fn from(step: SelfInstruct) -> Self {
        Self::SelfInstruct(step)
    }
}

impl From<ExpandColumns> for Step {
    fn from(step: ExpandColumns) -> Self {
        Self::ExpandColumns(step)
    }
}

impl From<KeepColumns> for Step {
    fn from(step: KeepColumns) -> Self {
        Self::KeepColumns(step)
    }
}

impl From<TextGeneration> for Step {
    fn from(step: TextGeneration) -> Self {
        Self::TextGeneration(step)
    }
}

impl From<GroupColumns> for Step {
    fn from(step: GroupColumns) -> Self {
        Self::GroupColumns(step)
    }
}

impl From<UltraFeedback> for Step {
    fn from(step: UltraFeedback) -> Self {
        Self::UltraFeedback(step)
    }
}

impl From<FormatTextGenerationDpo> for Step {
    fn from(step: FormatTextGenerationDpo) -> Self {
        Self::FormatTextGenerationDPO(step)
    }
}

impl From<FilterRows> for Step {
    fn from(step: FilterRows) -> Self {
        Self::FilterRows(step)
    }
}

impl From<DropRefusals> for Step {
    fn from(step: DropRefusals) -> Self {
        Self::DropRefusals(step)
    }
}

impl From<DropTruncated> for Step {
    fn from(step: DropTruncated) -> Self {
        Self::DropTruncated(step)
    }
}

impl From<MinHashDedup> for Step {
    fn from(step: MinHashDedup) -> Self {
        Self::MinHashDedup(step)
    }
}

impl From<PreferenceToArgilla> for Step {
    fn from(step: PreferenceToArgilla) -> Self {
        Self::PreferenceToArgilla(step)
    }
}

impl From<PushToHub> for Step {
    fn from(step: PushToHub) -> Self {
        Self::PushToHub(step)
    }
}
