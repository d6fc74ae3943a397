//! The seam between the flow and what lies outside: who says what a model costs, who opens it, and
//! who brings a data set.

use super::brought::Brought;
use crate::llm::{Door, Refusal};
use crate::recipe::spec::{LoadDataFromHub, ModelSpec};
use crate::text::guides::AnswerTemplate;
use crate::{Error, Result};

/// What is known of a model before its weights are read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// The name that rows carry as `model_name`.
    #[serde(rename = "model_name")]
    pub name: String,
    /// Changes whenever an answer might: a hash of config, tokenizer and weights' headers.
    pub key: String,
    /// Bytes that the weights take in memory.
    pub weight_bytes: u64,
    /// Bytes of KV memory below which the model cannot work usefully.
    pub kv_bytes_min: u64,
    /// Longest sequence, in tokens.
    pub max_context: usize,
    /// What the user should know: fallbacks and other departures from what was asked.
    pub notes: Vec<String>,
}

/// What is told while a model is opened.
#[derive(Debug, Clone, Copy)]
pub enum Opening<'a> {
    /// How far the weights are.
    Read {
        /// Parameters that lie in their place.
        n_done: u64,
        /// Parameters of the model.
        n_total: u64,
    },
    /// Something that the plan could not know.
    Note(&'a str),
}

/// Opens models and brings data sets: what a run needs from outside of its folder.
///
/// A trait, because tests and the pipeline's bench open models that answer at once.
pub trait Opener {
    /// Looks at a model without reading its weights.
    ///
    /// # Errors
    /// When it is not there, or is nothing that can be run.
    fn facts(&mut self, name: &str, spec: &ModelSpec) -> Result<Facts>;

    /// Most tokens that an answer of this form takes, by the model's tokenizer, without reading
    /// its weights; or why its vocabulary cannot write such an answer.
    ///
    /// # Errors
    /// When the model has no tokenizer.
    fn n_tokens_max(
        &mut self,
        name: &str,
        spec: &ModelSpec,
        template: &AnswerTemplate,
    ) -> Result<Result<usize, Refusal>>;

    /// Bytes that all resident models may take together, weights and KV memory.
    fn budget(&self) -> u64;

    /// Reads the weights and says how far it is. `bytes` is this model's share of the budget.
    ///
    /// # Errors
    /// When a file is damaged or memory runs out.
    fn open(
        &mut self,
        name: &str,
        spec: &ModelSpec,
        bytes: u64,
        tell: &mut dyn FnMut(Opening<'_>),
    ) -> Result<Box<dyn Door>>;

    /// Brings the first `n_records` records of a data set of the Hub, or all, onto this disk.
    ///
    /// # Errors
    /// When there is no such data set, config or split, or it cannot be reached.
    fn data_set(&mut self, spec: &LoadDataFromHub, _n_records: Option<usize>) -> Result<Brought> {
        Err(Error::Usage {
            what: format!("there is no road to the data set {} of the Hub", spec.repo_id),
            hint: "read a local file with LoadDataFromFileSystem".to_owned(),
        })
    }

    /// Told when a model that was opened is gone; a sentence when its memory has not come back.
    fn closed(&mut self, _name: &str) -> Option<String> {
        None
    }

    /// Brings a model's files nearer while others work. A promise of speed only.
    fn read_ahead(&mut self, _name: &str, _spec: &ModelSpec) {}
}
