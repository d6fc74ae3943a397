//! The shapes that have a name: small ones for tests and examples, larger ones for benches.
//!
//! A shape is a configuration, a storage format and a number of shards; the seed is the caller's.

use crate::config::{Architecture, Experts, ModelConfig, Rope, RopeScaling};
use crate::stored::Stored;

/// What a seeded checkpoint looks like. The fields may be changed before it is written; the name
/// is part of the key of the weights, so that `judge` differs from `llama` under one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Names the checkpoint and its random stream.
    pub name: String,
    /// Sizes; `bos`, `eos` and `dtype` are replaced by what is written.
    pub config: ModelConfig,
    /// Format of the weights on disk.
    pub stored: Stored,
    /// Files that the weights are spread over.
    pub n_shards: usize,
}

/// Names and what they are for, in the order in which errors list them.
const NAMES: [(&str, &str); 10] = [
    ("llama", "2 layers of 64, the generator of tests and examples"),
    ("judge", "the same shape with other weights"),
    ("mistral", "2 layers of 64 and a sliding window of 24 tokens"),
    ("mixtral", "2 layers of 64 with 4 experts, 2 of them per token"),
    ("llama-160m", "12 layers of 768, f32: the yardstick of the benches"),
    ("llama-1b", "16 layers of 2048, bf16, tied: the shape of Llama 3.2 1B"),
    ("mixtral-small", "12 layers of 512 with 8 experts, 2 of them per token: 307 M"),
    ("llama-wide", "2 layers of 256, rows long enough for q4_k"),
    ("llama-8b", "32 layers of 4096, bf16: the shape of Llama 3 8B, 16 GB"),
    ("mixtral-8x7b", "32 layers of 4096, bf16, 8 experts: 93 GB; `mixtral-8x7b@4` has 4 layers"),
];

impl Shape {
    /// The shape of this name, if there is one; `NAME@LAYERS` is a shape cut to fewer layers.
    pub fn named(name: &str) -> Option<Self> {
        let (base, n_layers) = match name.split_once('@') {
            Some((base, n_layers)) => (base, Some(n_layers.parse::<usize>().ok()?)),
            None => (name, None),
        };
        let mut shape = Self::whole(base)?;
        if let Some(n_layers) = n_layers {
            if !(1..=shape.config.n_layers).contains(&n_layers) {
                return None;
            }
            shape.config.n_layers = n_layers;
        }
        Some(Self { name: name.to_owned(), ..shape })
    }

    fn whole(name: &str) -> Option<Self> {
        Some(match name {
            "llama" | "judge" => tiny(Architecture::Llama),
            "mistral" => tiny(Architecture::Mistral),
            "mixtral" => tiny(Architecture::Mixtral),
            "llama-wide" => wide(),
            "llama-160m" => llama_160m(),
            "llama-1b" => llama_1b(),
            "mixtral-small" => mixtral_small(),
            "llama-8b" => llama_8b(),
            "mixtral-8x7b" => mixtral_8x7b(),
            _ => return None,
        })
    }

    /// Every name with a line about it.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        NAMES.into_iter()
    }
}

fn tiny(architecture: Architecture) -> Shape {
    let is_mixtral = architecture == Architecture::Mixtral;
    Shape {
        name: String::new(),
        config: ModelConfig {
            architecture,
            vocab_size: 1024,
            hidden_size: 64,
            intermediate_size: if is_mixtral { 96 } else { 192 },
            n_layers: 2,
            n_heads: 4,
            n_kv_heads: 2,
            head_dim: 16,
            norm_eps: 1e-5,
            rope: Rope { theta: 10_000.0, scaling: RopeScaling::Plain },
            max_context: 8192,
            sliding_window: (architecture == Architecture::Mistral).then_some(24),
            tied: false,
            experts: is_mixtral.then_some(Experts { n: 4, n_per_token: 2 }),
            bos: None,
            eos: Vec::new(),
            dtype: None,
        },
        stored: Stored::Bf16,
        n_shards: 2,
    }
}

fn wide() -> Shape {
    let shape = tiny(Architecture::Llama);
    let config = ModelConfig {
        hidden_size: 256,
        intermediate_size: 512,
        head_dim: 64,
        tied: true,
        ..shape.config
    };
    Shape { config, ..shape }
}

fn llama_160m() -> Shape {
    let shape = tiny(Architecture::Llama);
    let config = ModelConfig {
        vocab_size: 32_768,
        hidden_size: 768,
        intermediate_size: 3072,
        n_layers: 12,
        n_heads: 12,
        n_kv_heads: 4,
        head_dim: 64,
        ..shape.config
    };
    Shape { config, stored: Stored::F32, ..shape }
}

fn llama_1b() -> Shape {
    let shape = tiny(Architecture::Llama);
    let config = ModelConfig {
        vocab_size: 128_256,
        hidden_size: 2048,
        intermediate_size: 8192,
        n_layers: 16,
        n_heads: 32,
        n_kv_heads: 8,
        head_dim: 64,
        rope: Rope {
            theta: 500_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 32.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: 8192,
            },
        },
        max_context: 131_072,
        tied: true,
        ..shape.config
    };
    Shape { config, n_shards: 3, ..shape }
}

fn mixtral_small() -> Shape {
    let shape = tiny(Architecture::Mixtral);
    let config = ModelConfig {
        vocab_size: 32_000,
        hidden_size: 512,
        intermediate_size: 1792,
        n_layers: 12,
        n_heads: 8,
        n_kv_heads: 4,
        head_dim: 64,
        experts: Some(Experts { n: 8, n_per_token: 2 }),
        ..shape.config
    };
    Shape { config, n_shards: 3, ..shape }
}

fn llama_8b() -> Shape {
    let shape = llama_1b();
    let config = ModelConfig {
        hidden_size: 4096,
        intermediate_size: 14_336,
        n_layers: 32,
        head_dim: 128,
        rope: Rope { theta: 500_000.0, scaling: RopeScaling::Plain },
        max_context: 8192,
        tied: false,
        ..shape.config
    };
    Shape { config, n_shards: 16, ..shape }
}

fn mixtral_8x7b() -> Shape {
    let shape = tiny(Architecture::Mixtral);
    let config = ModelConfig {
        vocab_size: 32_000,
        hidden_size: 4096,
        intermediate_size: 14_336,
        n_layers: 32,
        n_heads: 32,
        n_kv_heads: 8,
        head_dim: 128,
        rope: Rope { theta: 1_000_000.0, scaling: RopeScaling::Plain },
        max_context: 32_768,
        experts: Some(Experts { n: 8, n_per_token: 2 }),
        ..shape.config
    };
    Shape { config, n_shards: 16, ..shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_a_shape() {
        for (name, _) in Shape::names() {
            assert!(Shape::named(name).is_some(), "{name}");
        }
        assert_eq!(Shape::named("llama-7b"), None);
    }

    #[test]
    fn bench_shapes_have_the_sizes_they_are_named_for() {
        let millions = |name| Shape::named(name).map(|s| s.config.n_params() / 1_000_000);
        assert_eq!(millions("llama-160m"), Some(154));
        assert_eq!(millions("llama-1b"), Some(1235));
        assert_eq!(millions("mixtral-small"), Some(306));
        assert_eq!(millions("llama-8b"), Some(8030));
        assert_eq!(millions("mixtral-8x7b"), Some(46_702));
        assert_eq!(millions("mixtral-8x7b@4"), Some(6067));
    }

    #[test]
    fn a_shape_is_cut_to_layers_that_it_has() {
        assert_eq!(Shape::named("llama-1b@3").map(|shape| shape.config.n_layers), Some(3));
        for name in ["llama@0", "llama@3", "llama@", "llama@x", "@1"] {
            assert_eq!(Shape::named(name), None, "{name}");
        }
    }
}
