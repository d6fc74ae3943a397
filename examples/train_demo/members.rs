//! The three models: shape, and what each learns when.

use stillroom_models::config::{Architecture, Experts, ModelConfig, Rope, RopeScaling};
use stillroom_models::stored::Stored;

use super::lessons::Subject;
use super::words;

/// Positions that the rotation is made for.
pub(crate) const MAX_CONTEXT: usize = 1024;

/// One of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Member {
    /// Writes exercises and answers them.
    Llama,
    /// Answers them.
    Mixtral,
    /// Judges the answers.
    Judge,
}

impl Member {
    /// The folder's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mixtral => "mixtral",
            Self::Judge => "judge",
        }
    }

    /// The shape.
    pub(crate) fn config(self) -> ModelConfig {
        let shape = |architecture, hidden_size, intermediate_size, n_layers| ModelConfig {
            architecture,
            vocab_size: words::N_TOKENS,
            hidden_size,
            intermediate_size,
            n_layers,
            n_heads: hidden_size / 32,
            n_kv_heads: 2,
            head_dim: 32,
            norm_eps: 1e-5,
            rope: Rope { theta: 1e4, scaling: RopeScaling::Plain },
            max_context: MAX_CONTEXT,
            sliding_window: None,
            tied: true,
            experts: None,
            bos: Some(words::BEGIN),
            eos: vec![words::END],
            dtype: Some(Stored::Bf16),
        };
        match self {
            Self::Llama => shape(Architecture::Llama, 192, 512, 4),
            Self::Mixtral => ModelConfig {
                experts: Some(Experts { n: 4, n_per_token: 2 }),
                ..shape(Architecture::Mixtral, 192, 128, 4)
            },
            Self::Judge => shape(Architecture::Llama, 192, 512, 5),
        }
    }

    /// Lessons of each subject among a hundred, `writing` of them in writing exercises where this
    /// member does.
    pub(crate) fn subjects(self, writing: u64) -> Vec<(Subject, u64)> {
        use Subject::{Answer, Judge, JudgeFirst, Write};
        match self {
            Self::Llama => vec![(Answer, 100 - writing.min(100)), (Write, writing.min(100))],
            Self::Mixtral => vec![(Answer, 100)],
            Self::Judge => vec![(Answer, 25), (Judge, 65), (JudgeFirst, 10)],
        }
    }
}
