//! The least time that a step can take on this machine: weights and KV memory are read once, and
//! every product is multiplied out, one after the other.
//!
//! With `W` bytes of weights, `K` bytes of KV a token, `f` operations a token, batch `B` and
//! context `c`: a decode takes `max(W / bandwidth, B f / peak) + B c K / bandwidth`, a prefill
//! `max(steps W / bandwidth, (tokens f + attention) / peak)`.

use stillroom_kernels::linear::Format;
use stillroom_kernels::paged::{BLOCK, KvShape};
use stillroom_models::ModelConfig;
use stillroom_models::config::Experts;

use super::machine::Roof;
use super::measure::Cell;

/// What one model has to do.
#[derive(Debug)]
pub(super) struct Work {
    /// Bytes of the weights that every step reads, the head among them.
    dense_bytes: f64,
    /// Bytes of all experts of all layers, or of the only MLP.
    mlp_bytes: f64,
    /// Operations a token, without MLP and head.
    attention_flops: f64,
    /// Operations a token in the MLP or in the experts that it takes.
    mlp_flops: f64,
    /// Operations for a row of logits.
    head_flops: f64,
    experts: Option<Experts>,
    kv_bytes_per_token: f64,
    /// Operations for one query against one key and its value, over all layers.
    flops_per_pair: f64,
    /// Keys that a row sees at most.
    window: Option<usize>,
}

impl Work {
    /// The work of `config`, where `format` is that of a weight with rows of so many elements.
    pub(super) fn of(
        config: &ModelConfig,
        shape: &KvShape,
        format: impl Fn(usize) -> Format,
    ) -> Self {
        let (h, i, d) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let n_layers = config.n_layers as f64;
        let n_experts = config.experts.map_or(1, |experts| experts.n);
        let n_taken = config.experts.map_or(1, |experts| experts.n_per_token);
        let weight_bytes = |n: usize, k: usize| format(k).bytes(n, k) as f64;
        let flops = |n: usize, k: usize| 2.0 * n as f64 * k as f64;
        let n_qkv = (config.n_heads + 2 * config.n_kv_heads) * d;
        let n_query = config.n_heads * d;
        let attention = weight_bytes(n_qkv, h) + weight_bytes(h, n_query);
        let mlp = weight_bytes(2 * i, h) + weight_bytes(h, i);
        Self {
            dense_bytes: n_layers * attention + weight_bytes(config.vocab_size, h),
            mlp_bytes: n_layers * n_experts as f64 * mlp,
            attention_flops: n_layers * (flops(n_qkv, h) + flops(h, n_query)),
            mlp_flops: n_layers * n_taken as f64 * 3.0 * flops(i, h),
            head_flops: flops(config.vocab_size, h),
            experts: config.experts,
            kv_bytes_per_token: (shape.block_bytes() / BLOCK) as f64,
            flops_per_pair: n_layers * 4.0 * n_query as f64,
            window: config.sliding_window,
        }
    }

    /// Bytes of weights that a step of `n_rows` rows reads. Of the experts, those that so many
    /// rows will touch when each takes its own by chance.
    pub(super) fn weight_bytes(&self, n_rows: usize) -> f64 {
        let touched = self.experts.map_or(1.0, |experts| {
            let missed = 1.0 - experts.n_per_token as f64 / experts.n as f64;
            1.0 - missed.powf(n_rows as f64)
        });
        self.dense_bytes + touched * self.mlp_bytes
    }

    /// Operations of a token with its row of logits, without attention.
    pub(super) fn flops_per_token(&self) -> f64 {
        self.attention_flops + self.mlp_flops + self.head_flops
    }

    /// Least seconds of a step that decodes the whole batch, at the mean context of the run.
    pub(super) fn decode_s(&self, roof: &Roof, cell: Cell) -> f64 {
        let context = cell.n_prompt + cell.n_output / 2;
        let context = self.window.map_or(context, |window| window.min(context)) as f64;
        let batch = cell.batch as f64;
        let read_s = self.weight_bytes(cell.batch) / roof.bytes_per_s;
        let multiply_s = batch * self.flops_per_token() / roof.flops_per_s;
        read_s.max(multiply_s) + batch * context * self.kv_bytes_per_token / roof.bytes_per_s
    }

    /// Least seconds to compute all prompts in steps of `n_step_tokens`.
    pub(super) fn prefill_s(&self, roof: &Roof, cell: Cell, n_step_tokens: usize) -> f64 {
        let n_tokens = cell.batch * cell.n_prompt;
        let n_steps = n_tokens.div_ceil(n_step_tokens) as f64;
        let read_s = n_steps * self.weight_bytes(n_tokens.min(n_step_tokens)) / roof.bytes_per_s;
        let n_seen = self.window.map_or(cell.n_prompt, |window| window.min(cell.n_prompt)) as f64;
        // The first rows see less: a triangle, then a band as wide as the window.
        let n_pairs = cell.batch as f64 * n_seen * (cell.n_prompt as f64 - n_seen / 2.0);
        let flops = n_tokens as f64 * (self.attention_flops + self.mlp_flops)
            + cell.batch as f64 * self.head_flops
            + n_pairs * self.flops_per_pair;
        read_s.max(flops / roof.flops_per_s)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use stillroom_models::tiny::Shape;

    use super::*;

    #[test]
    fn the_yardstick_has_its_known_size() {
        let config = Shape::named("llama-160m").unwrap().config;
        let shape = KvShape { n_layers: 12, n_kv_heads: 4, head_dim: 64, dtype: DType::F32 };
        let format = |k| Format::choose(None, k, DType::F32, &Device::Cpu);
        let work = Work::of(&config, &shape, format);
        // 154.2 M parameters less the embedding's 25.2 M, which is not multiplied.
        let n_params = work.flops_per_token() / 2.0;
        assert!((n_params - 129.0e6).abs() < 1e6, "{n_params}");
        assert!((work.weight_bytes(1) / n_params - 4.0).abs() < 0.1);
        let roof = Roof { bytes_per_s: 20e9, flops_per_s: 200e9 };
        let cell = |batch| Cell { n_prompt: 128, n_output: 64, batch };
        let alone = work.decode_s(&roof, cell(1));
        assert!((0.025..0.030).contains(&alone), "{alone}");
        assert!(work.decode_s(&roof, cell(32)) < 4.0 * alone);
    }

    #[test]
    fn a_crowd_touches_all_experts() {
        let config = Shape::named("mixtral").unwrap().config;
        let shape = KvShape { n_layers: 2, n_kv_heads: 2, head_dim: 16, dtype: DType::F32 };
        let format = |k| Format::choose(None, k, DType::F32, &Device::Cpu);
        let work = Work::of(&config, &shape, format);
        let experts = |n_rows| work.weight_bytes(n_rows) - work.dense_bytes;
        assert!((experts(1) / work.mlp_bytes - 0.5).abs() < 1e-9);
        assert!((experts(100) / work.mlp_bytes - 1.0).abs() < 1e-9);
    }
}
