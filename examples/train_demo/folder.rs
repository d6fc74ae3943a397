//! The folder of a model that is being trained: Hugging Face's files, and the state to go on from.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var, safetensors};
use serde_json::{Value, json};
use stillroom_models::config::ModelConfig;
use stillroom_models::stored::Stored;

use super::net::Net;
use super::optimiser::Optimiser;
use super::{Result, words};

const STATE: &str = "state";

/// What a training goes on from.
pub(crate) struct State {
    /// Weights in f32, by name.
    pub(crate) params: BTreeMap<String, Var>,
    /// The optimiser with its momenta.
    pub(crate) optimiser: Optimiser,
    /// Rounds that are done.
    pub(crate) n_rounds: usize,
}

/// Writes everything but the weights.
pub(crate) fn write_small(folder: &Path, config: &ModelConfig, tokenizer: &Value) -> Result<()> {
    fs::create_dir_all(folder)?;
    let generation = json!({ "bos_token_id": config.bos, "eos_token_id": config.eos });
    write_json(&folder.join("config.json"), &config.to_json(Stored::Bf16))?;
    write_json(&folder.join("generation_config.json"), &generation)?;
    write_json(&folder.join("tokenizer.json"), tokenizer)?;
    write_json(&folder.join("tokenizer_config.json"), &words::settings(config.max_context))
}

/// Writes the weights in bf16, and the state after `n_rounds` rounds. Each file appears whole.
pub(crate) fn write(
    folder: &Path,
    net: &Net,
    optimiser: &Optimiser,
    n_rounds: usize,
) -> Result<()> {
    let halves: candle_core::Result<HashMap<String, Tensor>> = net
        .params()
        .iter()
        .map(|(name, var)| Ok((name.clone(), var.to_dtype(DType::BF16)?)))
        .collect();
    save(&halves?, &folder.join("model.safetensors"))?;
    let state = folder.join(STATE);
    fs::create_dir_all(&state)?;
    let params = net.params().iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()));
    let mut all: HashMap<String, Tensor> = params.collect();
    all.extend(optimiser.state().iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
    let counts = Tensor::new(&[n_rounds as u32, optimiser.n_steps() as u32], &Device::Cpu);
    all.insert("counts".to_owned(), counts?);
    save(&all, &state.join("state.safetensors"))
}

/// Reads the state, if there is one.
pub(crate) fn read(folder: &Path, names: &[&String], device: &Device) -> Result<Option<State>> {
    let path = folder.join(STATE).join("state.safetensors");
    if !path.is_file() {
        return Ok(None);
    }
    let mut all = safetensors::load(&path, device)?;
    let counts = all.remove("counts").expect("a state has counts");
    let counts = counts.to_vec1::<u32>()?;
    let mut params = BTreeMap::new();
    for name in names {
        let tensor = all.remove(*name).expect("a state has every parameter");
        params.insert((*name).clone(), Var::from_tensor(&tensor)?);
    }
    let optimiser = Optimiser::resume(all, counts[1] as usize);
    Ok(Some(State { params, optimiser, n_rounds: counts[0] as usize }))
}

/// The weights of another training, in f32.
pub(crate) fn weights(folder: &Path, device: &Device) -> Result<HashMap<String, Tensor>> {
    let path = folder.join(STATE).join("state.safetensors");
    Ok(safetensors::load(&path, device)?)
}

fn save(tensors: &HashMap<String, Tensor>, path: &Path) -> Result<()> {
    let draft = path.with_extension("draft");
    safetensors::save(tensors, &draft)?;
    Ok(fs::rename(&draft, path)?)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    Ok(fs::write(path, format!("{value:#}\n"))?)
}
