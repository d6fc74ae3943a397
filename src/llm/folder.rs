//! A model's folder: everything about a model but its weights, and then those too.
//!
//! Reading the small files is enough to plan a run and to count tokens; what does not fit together
//! (a tokenizer with more tokens than the model has logits) is said here, before gigabytes are
//! read. It must not know where the folder came from.

use std::io;
use std::sync::Arc;

use candle_core::DType;
use stillroom_kernels::fault;
use stillroom_models::{
    self as models, Files, LoadOptions, Model, ModelConfig, ModelKey, Progress, ReadAhead,
};

use super::fit;
use super::local::{Llm, Voice};
use crate::text::chat::Chat;
use crate::text::chat::template::fixed_time;
use crate::text::tokenizer::{TokenId, Tokenizer};
use crate::{Error, Result};

/// Sequences, and tokens of each, that KV memory should hold at least: with less, a model works
/// row by row.
const N_USEFUL: (usize, usize) = (4, 4096);

/// A model's small files, read and checked against each other.
#[derive(Debug)]
pub struct ModelFolder {
    files: Files,
    config: ModelConfig,
    voice: Voice,
    notes: Vec<String>,
}

/// What a model will take, known before it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Bytes of keys and values below which the model works row by row.
    pub kv_bytes_min: u64,
    /// What the plan should say: fallbacks and other departures from what was asked.
    pub notes: Vec<String>,
}

impl ModelFolder {
    /// Reads configuration, tokenizer and chat template.
    ///
    /// # Errors
    /// When one is missing or broken, or they do not belong together.
    pub fn read(files: impl Into<Files>) -> Result<Self> {
        let files = files.into();
        let config = ModelConfig::read(&files).map_err(environment)?;
        let tokenizer = tokenizer(&files)?;
        let (n_ids, n_logits) = (tokenizer.n_ids(), config.vocab_size);
        if n_ids > n_logits {
            return Err(Error::environment(
                format!(
                    "{}: the tokenizer has {n_ids} tokens, the model {n_logits}",
                    files.place().display()
                ),
                "They do not belong together: take both from one repository.",
            ));
        }
        let chat = Chat::read(files.place(), &|name| files.read(name), fixed_time())?;
        let mut notes = chat.notes().to_vec();
        let mut stop_tokens: Vec<TokenId> = config.eos.clone();
        stop_tokens.extend(tokenizer.id(chat.eos()));
        stop_tokens.sort_unstable();
        stop_tokens.dedup();
        if stop_tokens.is_empty() {
            notes.push(format!(
                "{} names no token that ends an answer: each runs to its limit",
                files.place().display()
            ));
        }
        let voice = Voice {
            tokenizer: Arc::new(tokenizer),
            chat: Arc::new(chat),
            stop_tokens: stop_tokens.into(),
        };
        Ok(Self { files, config, voice, notes })
    }

    /// How the model reads and writes text.
    pub fn voice(&self) -> &Voice {
        &self.voice
    }

    /// The model's sizes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The key of its files; `commit` is the Hub's, where they came from there.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn key(&self, commit: Option<&str>) -> Result<ModelKey> {
        ModelKey::of(&self.files, commit).map_err(environment)
    }

    /// What the model will take, from the headers of its weights.
    ///
    /// # Errors
    /// When a shard or a tensor is missing, misshapen or damaged.
    pub fn needs(&self, options: &LoadOptions) -> Result<Needs> {
        let estimate = models::estimate(&self.files, options).map_err(environment)?;
        Ok(Needs {
            weight_bytes: estimate.weight_bytes as u64,
            kv_bytes_min: self.kv_bytes_min(estimate.kv_dtype) as u64,
            notes: [&self.notes[..], &estimate.notes].concat(),
        })
    }

    fn kv_bytes_min(&self, dtype: DType) -> usize {
        let (n_sequences, n_tokens) = N_USEFUL;
        n_sequences * n_tokens.min(self.config.max_context) * self.config.kv_bytes_per_token(dtype)
    }

    /// Starts to read the weights into the page cache, `n_bytes_max` at most.
    pub fn read_ahead(&self, options: &LoadOptions, n_bytes_max: u64) -> Option<ReadAhead> {
        ReadAhead::start(&self.files, options, n_bytes_max)
    }

    /// Loads the weights; `kv_bytes` are for keys and values. Beside the model come notes, as those
    /// of [`Needs`].
    ///
    /// # Errors
    /// When a file is damaged or memory is too small.
    pub fn load(
        &self,
        name: &str,
        options: &LoadOptions,
        kv_bytes: usize,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Llm, Vec<String>)> {
        let loaded = models::load(&self.files, options, progress).map_err(environment)?;
        let (model, notes) = (loaded.model, loaded.notes);
        let kv_bytes_min = self.kv_bytes_min(model.kv_shape().dtype);
        let limits = fit::limits(&model, &options.device, (kv_bytes_min, kv_bytes))?;
        Ok((Llm::new(name.to_owned(), self.voice.clone(), model, limits)?, notes))
    }
}

fn tokenizer(files: &Files) -> Result<Tokenizer> {
    let name = "tokenizer.json";
    let read = files.read(name).and_then(|bytes| bytes.ok_or(io::ErrorKind::NotFound.into()));
    Tokenizer::parse(&files.path(name), read)
}

/// A fault of a checkpoint or a device, with the way out.
pub(super) fn environment(error: models::Error) -> Error {
    use models::Error as E;
    let hint = match &error {
        E::Absent { .. } => {
            "A model folder holds `config.json`, `tokenizer.json` and `*.safetensors`: check the \
             path, or fetch what is missing."
        }
        E::Read { .. } => "Check the file and its permissions.",
        E::Write { .. } => "Check that the folder can be written and the disk has room.",
        E::Json { .. } | E::Damaged { .. } => "The file was cut or changed: fetch it again.",
        E::TensorAbsent { .. } | E::TensorShape { .. } => {
            "Weights and `config.json` do not belong together: take both from one repository."
        }
        E::Config { .. } | E::TensorDtype { .. } => {
            "Checkpoints of the Llama, Mistral and Mixtral shapes in safetensors are read."
        }
        E::Device { .. } => "`--device cpu` works everywhere.",
        E::Tensor { source, .. } if fault::is_out_of_memory(source) => {
            "The device is full: set `quantize`, or end what else lies on it."
        }
        E::Options(_) | E::Tensor { .. } => "Check `quantize` and the free memory.",
    };
    Error::environment_from(error.to_string(), hint, error)
}
