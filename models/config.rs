//! `config.json` and `generation_config.json`, as the real files have them, to one [`ModelConfig`].
//!
//! Read by hand rather than derived: absent, `null` and present mean three things in these files
//! (an absent `sliding_window` of a Mistral is 4096, a null one is none), defaults depend on the
//! architecture, and a fault should name the key, its value and what was wanted. Anything that
//! would change the numbers and is not supported is refused, never skipped.

mod count;
mod fields;
mod rope;
mod write;

use std::path::Path;

pub use rope::Rope;
pub use stillroom_kernels::rope::RopeScaling;

use crate::error::{Error, Result};
use crate::files::Files;
use crate::stored::Stored;
use fields::Fields;

/// The architectures of this crate, by their names in `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// `LlamaForCausalLM`: Llama 2 and 3, TinyLlama, SmolLM2.
    Llama,
    /// `MistralForCausalLM`: Mistral 7B, Mistral Large.
    Mistral,
    /// `MixtralForCausalLM`: Mixtral 8x7B and 8x22B.
    Mixtral,
}

impl Architecture {
    /// Every architecture, in the order in which errors list them.
    pub const ALL: [Self; 3] = [Self::Llama, Self::Mistral, Self::Mixtral];

    /// The name in `architectures` of `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Mixtral => "MixtralForCausalLM",
        }
    }

    /// The name in `model_type` of `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Mixtral => "mixtral",
        }
    }

    /// What `transformers` assumes where the key is absent: theta, epsilon, positions, window.
    fn defaults(self) -> Defaults {
        match self {
            Self::Llama => Defaults { theta: 1e4, eps: 1e-6, context: 2048, window: None },
            Self::Mistral => {
                Defaults { theta: 1e4, eps: 1e-6, context: 131_072, window: Some(4096) }
            }
            Self::Mixtral => Defaults { theta: 1e6, eps: 1e-5, context: 131_072, window: None },
        }
    }
}

struct Defaults {
    theta: f32,
    eps: f32,
    context: usize,
    window: Option<usize>,
}

/// Experts of a Mixtral-shaped model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// Experts in each layer, `e`.
    pub n: usize,
    /// Experts that each token takes, `k`.
    pub n_per_token: usize,
}

/// A decoder's shape and numbers, checked against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Which of the known shapes.
    pub architecture: Architecture,
    /// Rows of the embedding and of the head, `v`.
    pub vocab_size: usize,
    /// Width of the residual stream, `h`.
    pub hidden_size: usize,
    /// Width of one MLP, or of one expert, `i`.
    pub intermediate_size: usize,
    /// Layers.
    pub n_layers: usize,
    /// Query heads, `hq`.
    pub n_heads: usize,
    /// Key/value heads, `hkv`; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Size of one head, `d`; even, and not always `h / hq`.
    pub head_dim: usize,
    /// Added to the mean square in every norm.
    pub norm_eps: f32,
    /// Rotary positions.
    pub rope: Rope,
    /// Longest sequence that the positions were made for.
    pub max_context: usize,
    /// A token sees itself and this many tokens less one before it; all when absent.
    pub sliding_window: Option<usize>,
    /// The head is the embedding.
    pub tied: bool,
    /// The expert kind; dense when absent.
    pub experts: Option<Experts>,
    /// Begins every sequence.
    pub bos: Option<u32>,
    /// Each of these ends a sequence: the union of `config.json` and `generation_config.json`.
    pub eos: Vec<u32>,
    /// Format of the weights by the file's own word; the shards decide.
    pub dtype: Option<Stored>,
}

impl ModelConfig {
    /// Reads `config.json` of a checkpoint, and `generation_config.json` where there is one.
    ///
    /// # Errors
    /// When there is no such folder or file, when it is no JSON, and when a key is missing, out of
    /// range, contradicts another or asks for something that is not supported.
    pub fn read(files: impl Into<Files>) -> Result<Self> {
        let files = files.into();
        if let Files::Folder(folder) = &files
            && !folder.is_dir()
        {
            return Err(Error::Absent {
                path: folder.clone(),
                what: "no such folder; wanted one with config.json and safetensors".to_owned(),
            });
        }
        let Some(fields) = object(&files, "config.json")? else {
            let path = files.path("config.json");
            return Err(Error::Absent { what: without_config(files.place()), path });
        };
        let mut config = Self::from_fields(&fields)?;
        if let Some(fields) = object(&files, "generation_config.json")? {
            config.add_eos(fields.token_ids("eos_token_id")?.unwrap_or_default());
        }
        Ok(config)
    }

    /// Reads one file that holds what `config.json` holds, such as a published configuration
    /// without its model.
    ///
    /// # Errors
    /// As [`ModelConfig::read`].
    pub fn read_file(path: &Path) -> Result<Self> {
        Self::from_fields(&Fields::read(path)?)
    }

    fn from_fields(fields: &Fields) -> Result<Self> {
        let architecture = architecture(fields)?;
        refuse_unsupported(fields)?;
        let defaults = architecture.defaults();
        let hidden_size = fields.count("hidden_size")?;
        let n_heads = fields.count("num_attention_heads")?;
        let max_context =
            fields.count_if_present("max_position_embeddings")?.unwrap_or(defaults.context);
        let config = Self {
            architecture,
            vocab_size: fields.count("vocab_size")?,
            hidden_size,
            intermediate_size: fields.count("intermediate_size")?,
            n_layers: fields.count("num_hidden_layers")?,
            n_heads,
            n_kv_heads: fields.count_if_present("num_key_value_heads")?.unwrap_or(n_heads),
            head_dim: fields.count_if_present("head_dim")?.unwrap_or(hidden_size / n_heads),
            norm_eps: eps(fields)?.unwrap_or(defaults.eps),
            rope: Rope::from_fields(fields, defaults.theta, max_context)?,
            max_context,
            sliding_window: window(fields, architecture, defaults.window)?,
            tied: fields.flag("tie_word_embeddings")?,
            experts: experts(fields, architecture)?,
            bos: bos(fields)?,
            eos: match fields.token_ids("eos_token_id")? {
                Some(ids) => ids,
                None if fields.has("eos_token_id") => Vec::new(),
                None => vec![2],
            },
            dtype: dtype(fields)?,
        };
        config.check(fields)?;
        Ok(config)
    }

    fn add_eos(&mut self, ids: Vec<u32>) {
        for id in ids {
            if !self.eos.contains(&id) {
                self.eos.push(id);
            }
        }
    }

    fn check(&self, fields: &Fields) -> Result<()> {
        let (hq, hkv, d) = (self.n_heads, self.n_kv_heads, self.head_dim);
        if !fields.is_present("head_dim") && !self.hidden_size.is_multiple_of(hq) {
            return Err(fields.fault(format!(
                "hidden_size {} is no multiple of num_attention_heads {hq}, and there is no \
                 head_dim",
                self.hidden_size
            )));
        }
        if !hq.is_multiple_of(hkv) {
            return Err(fields.fault(format!(
                "num_attention_heads {hq} is no multiple of num_key_value_heads {hkv}"
            )));
        }
        if !d.is_multiple_of(2) {
            return Err(fields.fault(format!("head_dim {d} is odd; rotation works on pairs")));
        }
        if self.norm_eps <= 0.0 {
            return Err(fields.fault(format!("rms_norm_eps is {}, wanted above 0", self.norm_eps)));
        }
        if let Some(Experts { n, n_per_token }) = self.experts
            && n_per_token > n
        {
            return Err(fields.fault(format!(
                "num_experts_per_tok {n_per_token} exceeds num_local_experts {n}"
            )));
        }
        Ok(())
    }
}

/// The object in a file of this name; none where there is no such file.
fn object(files: &Files, name: &str) -> Result<Option<Fields>> {
    let path = files.path(name);
    let bytes = files.read(name).map_err(Error::read(&path))?;
    bytes.map(|bytes| Fields::parse(&path, &bytes)).transpose()
}

/// What stands in the folder instead of `config.json`, where that explains something.
fn without_config(folder: &Path) -> String {
    let has_gguf = std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.path().extension().is_some_and(|ext| ext == "gguf"))
    });
    if has_gguf {
        "not there; the folder holds a GGUF file, which is not read: take the safetensors of the \
         same model"
            .to_owned()
    } else {
        "not there; a checkpoint is a folder in Hugging Face format".to_owned()
    }
}

fn architecture(fields: &Fields) -> Result<Architecture> {
    let found = fields.texts("architectures")?;
    let known = |name: &str| Architecture::ALL.into_iter().find(|a| a.name() == name);
    if let Some(architecture) = found.iter().find_map(|name| known(name)) {
        return Ok(architecture);
    }
    if found.is_empty()
        && let Some(kind) = fields.text("model_type")?
        && let Some(found) = Architecture::ALL.into_iter().find(|a| a.model_type() == kind)
    {
        return Ok(found);
    }
    let names = Architecture::ALL.map(Architecture::name).join(", ");
    let found = match (found.is_empty(), fields.text("model_type")?) {
        (false, _) => found.join(", "),
        (true, Some(kind)) => format!("of model_type {kind:?}"),
        (true, None) => "not named".to_owned(),
    };
    Err(fields.fault(format!("architecture {found} is not known; known are {names}")))
}

/// Refuses what would change the numbers and is not computed here.
fn refuse_unsupported(fields: &Fields) -> Result<()> {
    for key in ["attention_bias", "mlp_bias"] {
        if fields.flag(key)? {
            return Err(
                fields.fault(format!("{key} is true; layers with a bias are not supported"))
            );
        }
    }
    if let Some(act) = fields.text("hidden_act")?
        && act != "silu"
    {
        return Err(fields.fault(format!("hidden_act is {act:?}, supported is \"silu\"")));
    }
    if let Some(share) = fields.number_if_present("partial_rotary_factor")?
        && share != 1.0
    {
        return Err(fields.fault(format!("partial_rotary_factor is {share}, supported is 1")));
    }
    if fields.is_present("quantization_config") {
        return Err(fields.fault(
            "the checkpoint is already quantised (quantization_config); take the original \
             and set `quantize` to q8_0 or q4_k"
                .to_owned(),
        ));
    }
    Ok(())
}

fn eps(fields: &Fields) -> Result<Option<f32>> {
    Ok(fields.number_if_present("rms_norm_eps")?.map(|eps| eps as f32))
}

/// Llama has no window, whatever its file says; the others follow `transformers`.
fn window(
    fields: &Fields,
    architecture: Architecture,
    default: Option<usize>,
) -> Result<Option<usize>> {
    match architecture {
        Architecture::Llama => Ok(None),
        Architecture::Mistral | Architecture::Mixtral => {
            let found = fields.count_if_present("sliding_window")?;
            Ok(if fields.has("sliding_window") { found } else { default })
        }
    }
}

fn experts(fields: &Fields, architecture: Architecture) -> Result<Option<Experts>> {
    match architecture {
        Architecture::Llama | Architecture::Mistral => Ok(None),
        Architecture::Mixtral => Ok(Some(Experts {
            n: fields.count("num_local_experts")?,
            n_per_token: fields.count("num_experts_per_tok")?,
        })),
    }
}

fn bos(fields: &Fields) -> Result<Option<u32>> {
    match fields.token_ids("bos_token_id")? {
        Some(ids) => Ok(ids.first().copied()),
        None if fields.has("bos_token_id") => Ok(None),
        None => Ok(Some(1)),
    }
}

fn dtype(fields: &Fields) -> Result<Option<Stored>> {
    let name = match fields.text("dtype")? {
        Some(name) => Some(name),
        None => fields.text("torch_dtype")?,
    };
    let Some(name) = name else { return Ok(None) };
    let name = name.trim_start_matches("torch.");
    if name == "auto" {
        return Ok(None);
    }
    let known = Stored::ALL.into_iter().find(|stored| stored.config_name() == name);
    known.map(Some).ok_or_else(|| {
        fields
            .fault(format!("torch_dtype is {name:?}; supported are float32, float16 and bfloat16"))
    })
}

#[cfg(test)]
mod tests;
