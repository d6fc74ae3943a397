//! The recipe as values: models, steps and the flow between them, after all checks.
//!
//! Step types, parameter names and columns are distilabel's; what is ours says so. The same
//! structs are filled from TOML and from Rust. Nothing here runs anything.

mod argilla;
mod filters;
mod judge;
mod pairs;
mod push;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::data::row::Columns;
pub use crate::text::guides::Grammar;
pub use argilla::PreferenceToArgilla;
pub use filters::{DropRefusals, DropTruncated, FilterOp, FilterRows, MinHashDedup};
pub use judge::{Aspect, Aspects, Orders, PromptLayout, Rationale, Score, UltraFeedback};
pub use pairs::{FormatTextGenerationDpo, PairPolicy, RatingsFrom, Ties};
pub use push::{PushStep, PushToHub};

/// Models and steps by name, in the order of the file.
pub type Named<T> = Vec<(String, T)>;

/// A recipe that passed its checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Names the run folder unless `--out` does.
    pub name: String,
    /// Seed of all randomness of the run.
    pub seed: u64,
    /// Rows whose logits must not depend on their neighbours.
    pub deterministic: bool,
    /// Share of the prompts whose rows make a test split of the data set; 0 for none.
    pub test_share: f64,
    /// Models by name.
    pub models: Named<ModelSpec>,
    /// Steps by name, in topological order.
    pub steps: Named<Step>,
    /// `edges[i]` holds the parents of step `i` (indices into `steps`), in the flow's order.
    pub parents: Vec<Vec<usize>>,
    /// Where the data set goes when it is written; no step of the above.
    pub push: Option<PushStep>,
}

/// Where a model comes from and how it is held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelSpec {
    /// `demo:NAME`, `tiny:SHAPE`, a folder, or a Hub repository `org/name`.
    pub source: String,
    /// Branch, tag or commit of a Hub repository.
    pub revision: String,
    /// How the weights are held.
    pub quantize: Quantize,
}

/// How weights are held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantize {
    /// As stored (on CPU, half precision is widened to f32).
    #[default]
    None,
    /// 8 bits, blocks of 32.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 4 bits, super-blocks of 256.
    #[serde(rename = "q4_k")]
    Q4K,
}

/// One step of the flow.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum Step {
    /// Rows written in the recipe.
    LoadDataFromDicts(LoadDataFromDicts),
    /// Rows of a local file.
    LoadDataFromFileSystem(LoadDataFromFileSystem),
    /// Rows of a data set of the Hub.
    LoadDataFromHub(LoadDataFromHub),
    /// New instructions from a seed text.
    SelfInstruct(SelfInstruct),
    /// One row per item of a list.
    ExpandColumns(ExpandColumns),
    /// A choice of columns.
    KeepColumns(KeepColumns),
    /// An answer to an instruction.
    TextGeneration(TextGeneration),
    /// Branches joined by row identity.
    GroupColumns(GroupColumns),
    /// Rows that meet a condition.
    FilterRows(FilterRows),
    /// Rows whose answer declines to answer are left out.
    DropRefusals(DropRefusals),
    /// Rows whose answer was cut off are left out.
    DropTruncated(DropTruncated),
    /// Rows whose text was seen before are left out.
    MinHashDedup(MinHashDedup),
    /// A judge's ratings of several answers.
    UltraFeedback(UltraFeedback),
    /// Chosen and rejected from ratings.
    FormatTextGenerationDPO(FormatTextGenerationDpo),
    /// The finished data set to the Hub.
    PushToHub(PushToHub),
    /// Rows that people shall look at.
    PreferenceToArgilla(PreferenceToArgilla),
}

/// Parameters of [`Step::LoadDataFromDicts`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadDataFromDicts {
    /// The rows.
    pub data: Vec<Columns>,
}

/// Parameters of [`Step::LoadDataFromFileSystem`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadDataFromFileSystem {
    /// A `.jsonl`, `.json`, `.csv` or `.parquet` file. Relative to the recipe when the recipe
    /// names it, to the working folder when `--set` does.
    pub path: PathBuf,
    /// Most rows to read; all when absent.
    pub num_examples: Option<usize>,
    /// Ours: new column name to a column or a path in one, such as `turns[0]`. When absent or
    /// empty, all columns are kept as they are; otherwise the named ones are added to them.
    pub columns: BTreeMap<String, String>,
}

/// Parameters of [`Step::LoadDataFromHub`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadDataFromHub {
    /// The repository, `org/name`.
    pub repo_id: String,
    /// The split.
    pub split: String,
    /// The config; the data set's default when absent.
    pub config: Option<String>,
    /// Branch, tag or commit.
    pub revision: String,
    /// Records to take, from the first; all when absent. Of Parquet only the row groups that hold
    /// them are fetched.
    pub num_examples: Option<usize>,
    /// Whether of JSON Lines, too, only what `num_examples` needs is fetched, instead of the whole
    /// file into the standard cache.
    pub streaming: bool,
    /// Ours: as [`LoadDataFromFileSystem::columns`].
    pub columns: BTreeMap<String, String>,
}

/// Parameters of [`Step::SelfInstruct`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfInstruct {
    /// Name of the model.
    pub model: String,
    /// Instructions asked for, and most that are kept.
    pub num_instructions: usize,
    /// What good instructions are like; our own sentences when absent.
    pub criteria_for_query_generation: Option<String>,
    /// What the instructions are for.
    pub application_description: String,
    /// How tokens are drawn.
    pub generation: Generation,
}

/// Parameters of [`Step::ExpandColumns`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpandColumns {
    /// Columns to expand, with the names that their items get.
    pub columns: ColumnNames,
}

/// A list of columns, or a table of old names to new ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ColumnNames {
    /// Names kept.
    Kept(Vec<String>),
    /// Old name to new name.
    Renamed(BTreeMap<String, String>),
}

/// Parameters of [`Step::KeepColumns`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeepColumns {
    /// Columns to keep, in this order.
    pub columns: Vec<String>,
}

/// Parameters of [`Step::TextGeneration`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextGeneration {
    /// Name of the model.
    pub model: String,
    /// System prompt of rows that bring none of their own.
    pub system_prompt: Option<String>,
    /// Template of the user's turn over the columns of the row.
    pub template: String,
    /// Columns that the template uses.
    pub columns: Vec<String>,
    /// Answers per row: as many rows, or one row of lists when grouped.
    pub num_generations: usize,
    /// Keep the answers of one row in one row.
    pub group_generations: bool,
    /// How tokens are drawn.
    pub generation: Generation,
}

/// Parameters of [`Step::GroupColumns`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupColumns {
    /// Columns gathered into lists, over all branches.
    pub columns: Vec<String>,
    /// Names of the lists; `grouped_<column>` when absent.
    pub output_columns: Option<Vec<String>>,
    /// Ours: fewest answers that make a group; all of them when absent.
    pub min_generations: Option<usize>,
}

/// How tokens are drawn: distilabel's `generation_kwargs`, plus what our engine adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generation {
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the likeliest tokens up to this share of probability.
    pub top_p: f32,
    /// Keep tokens at least this share as likely as the likeliest.
    pub min_p: f32,
    /// Divides logits of tokens already seen.
    pub repetition_penalty: f32,
    /// Taken from logits of tokens already generated.
    pub presence_penalty: f32,
    /// Taken from logits for each time that a token was generated.
    pub frequency_penalty: f32,
    /// Texts that end an answer and are not part of it.
    pub stop: Vec<String>,
    /// Added to the logit of a token, by token id.
    pub logit_bias: BTreeMap<String, f32>,
    /// A grammar that the answer follows: `{ regex = ... }`, `{ json = SCHEMA }` or `{ lark = ... }`.
    pub grammar: Option<Grammar>,
    /// Seeds this step apart from the run's seed.
    pub seed: Option<u64>,
}

impl Default for Generation {
    fn default() -> Self {
        Self {
            max_new_tokens: 128,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            stop: Vec::new(),
            logit_bias: BTreeMap::new(),
            grammar: None,
            seed: None,
        }
    }
}
