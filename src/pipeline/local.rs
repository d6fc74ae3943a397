//! The models of this machine: the program's own, folders, repositories of the Hub; and data sets
//! of the Hub.
//!
//! What a model is, its small files tell; they are read once. It must not know rows or steps.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use stillroom_models::{
    CopyCache, Files, LoadOptions, ModelKey, Progress, Quant, ReadAhead, device,
};

use super::brought::Brought;
use super::data_sets;
use super::memory::{self, Ledger};
use super::opener::{Facts, Opener, Opening};
use crate::hub::{self, HubOptions};
use crate::llm::{self, Door, ModelFolder, Needs, Refusal};
use crate::recipe::Source;
use crate::recipe::spec::{LoadDataFromHub, ModelSpec, Quantize};
use crate::text::guides::AnswerTemplate;
use crate::{Error, Result};

/// Share of the free memory that models take when nobody says how much: the rest is for rows,
/// activations and everybody else.
const SHARE: f64 = 0.8;

/// The same of a device with memory of its own: rows live elsewhere, and what activations take is
/// measured when a model is loaded.
const SHARE_OF_DEVICE: f64 = 0.97;

/// Folder of the tiny checkpoints, below the cache.
pub const TINY: &str = "tiny";

/// Folder of checkpoints without weights, below the cache.
const OUTLINES: &str = "outlines";

/// Opens the models of this machine.
pub struct LocalModels {
    device: Device,
    deterministic: bool,
    hub: HubOptions,
    budget: u64,
    cache: PathBuf,
    known: HashMap<String, Known>,
    is_outline: bool,
    on_fetch: Box<dyn FnMut(&hub::Progress<'_>)>,
    /// What resident models took, where the device has memory of its own.
    ledger: Option<Ledger>,
    /// Files that are read before they are wanted.
    ahead: Option<ReadAhead>,
    /// Data sets that were brought, by what was asked for.
    data_sets: Vec<(LoadDataFromHub, Option<usize>, Brought)>,
}

/// A model whose small files have been read.
struct Known {
    folder: ModelFolder,
    name: String,
    key: ModelKey,
    needs: Needs,
}

impl LocalModels {
    /// Models on `device` (`auto`, `cpu`, `cuda:N`, `metal`), within most of what memory is free,
    /// with files of our own kept below `cache`.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn new(device_name: &str, cache: &Path) -> Result<Self> {
        let device = device(device_name).map_err(|error| {
            Error::environment_from(error.to_string(), "`--device cpu` works everywhere", error)
        })?;
        let own = device::free_bytes(&device);
        let budget = match own {
            Some(free) => free as f64 * SHARE_OF_DEVICE,
            None => memory::free_bytes(&device) as f64 * SHARE,
        };
        Ok(Self {
            device,
            deterministic: true,
            hub: HubOptions::from_env(false),
            budget: budget as u64,
            cache: cache.to_owned(),
            known: HashMap::new(),
            is_outline: false,
            on_fetch: Box::new(|_| ()),
            ledger: own.map(Ledger::new),
            ahead: None,
            data_sets: Vec::new(),
        })
    }

    /// Whether a row's logits must not depend on the rows beside it.
    #[must_use]
    pub fn deterministic(mut self, deterministic: bool) -> Self {
        self.deterministic = deterministic;
        self
    }

    /// Opens no connection if `offline`.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.hub = HubOptions::from_env(offline);
        self
    }

    /// Fetches of a repository only what a plan needs: such models cannot be opened.
    #[must_use]
    pub fn only_planned(mut self) -> Self {
        self.is_outline = true;
        self
    }

    /// Bytes for weights and KV blocks of all models in memory at one time.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.budget = bytes;
        self
    }

    /// Tells `on_fetch` how far each file of the Hub is.
    #[must_use]
    pub fn on_fetch(mut self, on_fetch: impl FnMut(&hub::Progress<'_>) + 'static) -> Self {
        self.on_fetch = Box::new(on_fetch);
        self
    }

    fn known(&mut self, name: &str, spec: &ModelSpec) -> Result<&Known> {
        if !self.known.contains_key(name) {
            let known = self.read(spec)?;
            self.known.insert(name.to_owned(), known);
        }
        Ok(&self.known[name])
    }

    fn read(&mut self, spec: &ModelSpec) -> Result<Known> {
        let (files, name, commit) = self.files(spec)?;
        let folder = ModelFolder::read(files)?;
        let key = folder.key(commit.as_deref())?;
        let needs = folder.needs(&self.options(spec, &key))?;
        Ok(Known { folder, name, key, needs })
    }

    /// The files of a model, the name that its rows carry, and its commit on the Hub.
    fn files(&mut self, spec: &ModelSpec) -> Result<(Files, String, Option<String>)> {
        let source = spec.origin().map_err(|(what, hint)| Error::Usage { what, hint })?;
        Ok(match source {
            Source::Demo(member) => (llm::demo(&member)?, spec.source.clone(), None),
            Source::Tiny(shape) => {
                let path = llm::tiny(&shape, &self.cache.join(TINY))?;
                (path.into(), spec.source.clone(), None)
            }
            Source::Folder(path) => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                let name = name.to_string_lossy().into_owned();
                (path.into(), name, None)
            }
            Source::Hub(repo) => {
                let mut progress = |progress: hub::Progress<'_>| (self.on_fetch)(&progress);
                let (revision, hub) = (&spec.revision, &self.hub);
                let found = if self.is_outline {
                    hub::outline(&repo, revision, hub, &self.cache.join(OUTLINES), &mut progress)?
                } else {
                    hub::fetch(&repo, revision, hub, &mut progress)?
                };
                (found.folder.into(), repo, Some(found.commit))
            }
        })
    }

    fn options(&self, spec: &ModelSpec, key: &ModelKey) -> LoadOptions {
        let copies = CopyCache { folder: self.cache.join("quantised"), key: key.clone() };
        LoadOptions {
            device: self.device.clone(),
            quantize: match spec.quantize {
                Quantize::None => None,
                Quantize::Q8_0 => Some(Quant::Q8_0),
                Quantize::Q4K => Some(Quant::Q4K),
            },
            dtype: None,
            deterministic: self.deterministic,
            copies: Some(copies),
        }
    }
}

impl Opener for LocalModels {
    fn facts(&mut self, name: &str, spec: &ModelSpec) -> Result<Facts> {
        let quantize = spec.quantize;
        let known = self.known(name, spec)?;
        Ok(Facts {
            name: known.name.clone(),
            notes: known.needs.notes.clone(),
            // Quantised weights answer otherwise than the same weights as they are stored.
            key: match quantize {
                Quantize::None => known.key.to_string(),
                Quantize::Q8_0 | Quantize::Q4K => format!("{}-{quantize:?}", known.key),
            },
            weight_bytes: known.needs.weight_bytes,
            kv_bytes_min: known.needs.kv_bytes_min,
            max_context: known.folder.config().max_context,
        })
    }

    fn n_tokens_max(
        &mut self,
        name: &str,
        spec: &ModelSpec,
        template: &AnswerTemplate,
    ) -> Result<Result<usize, Refusal>> {
        let tokenizer = &self.known(name, spec)?.folder.voice().tokenizer;
        Ok(template.n_tokens_max(tokenizer).map_err(|error| Refusal(error.to_string())))
    }

    fn budget(&self) -> u64 {
        self.budget
    }

    fn open(
        &mut self,
        name: &str,
        spec: &ModelSpec,
        bytes: u64,
        tell: &mut dyn FnMut(Opening<'_>),
    ) -> Result<Box<dyn Door>> {
        assert!(!self.is_outline, "a plan opens no model");
        let known = self.known(name, spec)?;
        let (key, kv_bytes) = (known.key.clone(), bytes.saturating_sub(known.needs.weight_bytes));
        let options = self.options(spec, &key);
        // What is not read by now is read by the loader itself.
        self.ahead = None;
        let free_before = device::free_bytes(&self.device);
        let known = &self.known[name];
        let kv_bytes = usize::try_from(kv_bytes).unwrap_or(usize::MAX);
        let mut read = |progress: Progress| {
            let (n_done, n_total) = (progress.n_done as u64, progress.n_params as u64);
            tell(Opening::Read { n_done, n_total });
        };
        let (model, notes) = known.folder.load(&known.name, &options, kv_bytes, &mut read)?;
        // What was foreseen has been said with the plan.
        let news = notes.iter().filter(|note| !known.needs.notes.contains(note));
        news.for_each(|note| tell(Opening::Note(note)));
        let free = device::free_bytes(&self.device);
        if let (Some(ledger), Some((before, free))) = (&mut self.ledger, free_before.zip(free)) {
            ledger.came(name, before, free);
        }
        Ok(Box::new(model))
    }

    fn data_set(&mut self, spec: &LoadDataFromHub, n_records: Option<usize>) -> Result<Brought> {
        let known = self.data_sets.iter().find(|(known, n, _)| known == spec && *n == n_records);
        if let Some((_, _, brought)) = known {
            return Ok(brought.clone());
        }
        let mut progress = |progress: hub::Progress<'_>| (self.on_fetch)(&progress);
        let brought = data_sets::bring(spec, n_records, &self.hub, &self.cache, &mut progress)?;
        self.data_sets.push((spec.clone(), n_records, brought.clone()));
        Ok(brought)
    }

    fn closed(&mut self, name: &str) -> Option<String> {
        let free = device::free_bytes(&self.device)?;
        self.ledger.as_mut()?.went(name, free)
    }

    fn read_ahead(&mut self, name: &str, spec: &ModelSpec) {
        let Some(known) = self.known.get(name) else { return };
        let options = self.options(spec, &known.key);
        self.ahead = known.folder.read_ahead(&options, memory::for_files());
    }
}
