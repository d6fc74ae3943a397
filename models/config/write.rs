//! `config.json` written: a configuration in the keys of the real files, for checkpoints that are
//! made here. Reading it back gives the configuration again.

use serde_json::{Value, json};

use super::{Architecture, ModelConfig, RopeScaling};
use crate::stored::Stored;

impl ModelConfig {
    /// `config.json` of this configuration, whose weights are stored in the format `stored`.
    pub fn to_json(&self, stored: Stored) -> Value {
        let mut json = json!({
            "architectures": [self.architecture.name()],
            "model_type": self.architecture.model_type(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": plain(self.norm_eps),
            "rope_theta": plain(self.rope.theta),
            "rope_scaling": scaling_to_json(self.rope.scaling),
            "max_position_embeddings": self.max_context,
            "tie_word_embeddings": self.tied,
            "bos_token_id": self.bos,
            "eos_token_id": self.eos[0],
            "torch_dtype": stored.config_name(),
        });
        match self.architecture {
            Architecture::Llama => {
                json["attention_bias"] = json!(false);
                json["mlp_bias"] = json!(false);
            }
            Architecture::Mistral | Architecture::Mixtral => {
                json["sliding_window"] = json!(self.sliding_window);
            }
        }
        if let Some(experts) = self.experts {
            json["num_local_experts"] = json!(experts.n);
            json["num_experts_per_tok"] = json!(experts.n_per_token);
        }
        json
    }
}

fn scaling_to_json(scaling: RopeScaling) -> Value {
    match scaling {
        RopeScaling::Plain => Value::Null,
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": plain(factor) }),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            json!({
                "rope_type": "llama3",
                "factor": plain(factor),
                "low_freq_factor": plain(low_freq_factor),
                "high_freq_factor": plain(high_freq_factor),
                "original_max_position_embeddings": original_max_position_embeddings,
            })
        }
    }
}

/// The number as people write it: `1e-5`, not the nearest f32 in seventeen digits.
fn plain(number: f32) -> f64 {
    number.to_string().parse().expect("a float prints as a float")
}
