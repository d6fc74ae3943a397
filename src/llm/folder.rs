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
    self as models, Files, LoadOptions, Model, ModelConfig, ModelKey, Progress, Quant, ReadAhead,
    device,
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
        let free_bytes = device::free_bytes(&options.device);
        let loaded = models::load(&self.files, options, progress)
            .map_err(|error| load_fault(&self.files, options, free_bytes, error))?;
        let (model, notes) = (loaded.model, loaded.notes);
        let kv_bytes_min = self.kv_bytes_min(model.kv_shape().dtype);
        let limits = fit::limits(&model, &options.device, (kv_bytes_min, kv_bytes))?;
        Ok((Llm::new(name.to_owned(), self.voice.clone(), model, limits)?, notes))
    }
}

/// Checks that `free_bytes` of a device hold the weights with the keys and values of `n_tokens`.
///
/// # Errors
/// When they do not, with the formats that would fit; and as [`models::estimate`].
pub fn expect_room(
    files: &Files,
    options: &LoadOptions,
    n_tokens: u64,
    free_bytes: u64,
) -> Result<()> {
    let estimate = models::estimate(files, options).map_err(environment)?;
    let config = ModelConfig::read(files).map_err(environment)?;
    // What asks for more than the context holds is refused for that.
    let n_tokens = n_tokens.min(config.max_context as u64);
    let kv_bytes = n_tokens * config.kv_bytes_per_token(estimate.kv_dtype) as u64;
    let weight_bytes = estimate.weight_bytes as u64;
    if weight_bytes + kv_bytes <= free_bytes {
        return Ok(());
    }
    let what = format!(
        "{} needs {} MiB ({} MiB of weights), {} MiB of the device are free",
        files.place().display(),
        mib(weight_bytes + kv_bytes),
        mib(weight_bytes),
        mib(free_bytes),
    );
    Err(Error::environment(what, narrower(files, options, kv_bytes, free_bytes)))
}

/// What [`models::load`] says, and where memory was too small how much it wanted of the
/// `free_bytes` that a device with memory of its own had before.
pub fn load_fault(
    files: &Files,
    options: &LoadOptions,
    free_bytes: Option<u64>,
    error: models::Error,
) -> Error {
    let is_full =
        matches!(&error, models::Error::Tensor { source, .. } if fault::is_out_of_memory(source));
    let estimate = models::estimate(files, options);
    let (true, Some(free_bytes), Ok(estimate)) = (is_full, free_bytes, estimate) else {
        return environment(error);
    };
    let what = format!(
        "{error}: the device is full; {} MiB of weights were to go there, {} MiB of the device are \
         free",
        mib(estimate.weight_bytes as u64),
        mib(free_bytes),
    );
    // What was free did not do for these weights, whatever else wanted it.
    let room = free_bytes.min(estimate.weight_bytes as u64 - 1);
    Error::environment_from(what, narrower(files, options, 0, room), error)
}

/// The way out for a model of these files that does not fit, with so many bytes of keys and values.
fn narrower(files: &Files, options: &LoadOptions, kv_bytes: u64, room: u64) -> String {
    let bytes = |quant| {
        let options = LoadOptions { quantize: Some(quant), ..options.clone() };
        let held = models::estimate(files, &options).map_err(environment)?;
        Ok(held.weight_bytes as u64 + kv_bytes)
    };
    way_out(room, bytes).unwrap_or_else(|_| "set `quantize`, or free some memory".to_owned())
}

/// The way out for a model that does not fit into `room`: the first format whose `bytes` would.
///
/// # Errors
/// Those of `bytes`.
pub fn way_out(room: u64, mut bytes: impl FnMut(Quant) -> Result<u64>) -> Result<String> {
    let mut least = u64::MAX;
    for quant in [Quant::Q8_0, Quant::Q4K] {
        let bytes = bytes(quant)?;
        if bytes <= room {
            let (word, mib) = (quant.name(), mib(bytes));
            return Ok(format!("set `quantize = \"{word}\"` for it, which needs {mib} MiB"));
        }
        least = least.min(bytes);
    }
    Ok(format!(
        "`quantize` alone does not help, {} MiB are the least: choose a smaller model or a larger \
         device",
        mib(least)
    ))
}

/// Bytes as they are told, rounded up.
pub fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::Device;
    use stillroom_models::tiny::{self, Shape};

    use super::*;

    /// A checkpoint with rows that are long enough for every format.
    fn wide(cache: &Path) -> Files {
        tiny::cached(&Shape::named("llama-wide").unwrap(), 1, cache).unwrap().into()
    }

    #[test]
    fn a_model_that_does_not_fit_names_the_format_that_would() {
        let cache = tempfile::tempdir().unwrap();
        let (files, options) = (wide(cache.path()), LoadOptions::new(Device::Cpu));
        let bytes = |quantize| {
            let options = LoadOptions { quantize, ..options.clone() };
            models::estimate(&files, &options).unwrap().weight_bytes as u64
        };
        let [plain, q8, q4] = [None, Some(Quant::Q8_0), Some(Quant::Q4K)].map(bytes);
        assert!(q4 < q8 && q8 < plain, "{q4} {q8} {plain}");
        let check = |free, expect: &str| {
            let error = expect_room(&files, &options, 0, free).unwrap_err();
            let (what, hint) = (error.to_string(), error.hint().unwrap());
            let there = format!("{} MiB of the device are free", mib(free));
            assert!(what.contains(&there) && what.contains("MiB of weights"), "{what}");
            assert!(hint.contains(expect), "{hint}");
        };
        expect_room(&files, &options, 0, plain).unwrap();
        // Keys and values want some, too.
        assert!(expect_room(&files, &options, 1, plain).is_err());
        check(q8, "`quantize = \"q8_0\"` for it, which needs");
        check(q4, "`quantize = \"q4_k\"` for it, which needs");
        check(q4 - 1, "MiB are the least");
    }

    #[test]
    fn a_device_that_fills_up_while_loading_says_what_was_wanted() {
        let cache = tempfile::tempdir().unwrap();
        let (files, options) = (wide(cache.path()), LoadOptions::new(Device::Cpu));
        let failed = |code: &str| models::Error::Tensor {
            what: "cannot place a weight".to_owned(),
            source: candle_core::Error::Cuda(code.to_owned().into()),
        };
        let full = || failed("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
        let error = load_fault(&files, &options, Some(1 << 30), full());
        assert!(error.to_string().contains("1024 MiB of the device are free"), "{error}");
        assert!(error.hint().unwrap().contains("`quantize = \"q8_0\"`"), "{:?}", error.hint());
        assert_eq!(error.exit_code(), 3);
        // A device that does not tell what is free, and a fault that has nothing to do with it.
        let error = load_fault(&files, &options, None, full());
        assert!(error.hint().unwrap().contains("The device is full"), "{:?}", error.hint());
        let error = load_fault(&files, &options, Some(1 << 30), failed("ILLEGAL_ADDRESS"));
        assert!(!error.to_string().contains("MiB"), "{error}");
    }
}
