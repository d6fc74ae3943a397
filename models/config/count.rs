//! Parameters and bytes that follow from a configuration alone.
//!
//! Used by `plan` and `models inspect`, and by the loader's own estimate; nothing is read.

use stillroom_kernels::paged::KvShape;

use super::{Experts, ModelConfig};
use candle_core::DType;

impl ModelConfig {
    /// Numbers in the checkpoint; a tied head counts once.
    pub fn n_params(&self) -> usize {
        self.count(self.experts.map_or(1, |experts| experts.n))
    }

    /// Numbers that one token meets: all but the experts that it does not take.
    pub fn n_active_params(&self) -> usize {
        self.count(self.experts.map_or(1, |experts| experts.n_per_token))
    }

    fn count(&self, n_mlps: usize) -> usize {
        let h = self.hidden_size;
        let vocab = self.vocab_size * h * if self.tied { 1 } else { 2 };
        let attention = 2 * h * self.head_dim * (self.n_heads + self.n_kv_heads);
        let router = self.experts.map_or(0, |Experts { n, .. }| n * h);
        let mlps = n_mlps * 3 * h * self.intermediate_size;
        vocab + self.n_layers * (attention + router + mlps + 2 * h) + h
    }

    /// The KV memory of this model with elements of `dtype`.
    pub fn kv_shape(&self, dtype: DType) -> KvShape {
        KvShape {
            n_layers: self.n_layers,
            n_kv_heads: self.n_kv_heads,
            head_dim: self.head_dim,
            dtype,
        }
    }

    /// Bytes that the keys and values of one token take over all layers.
    pub fn kv_bytes_per_token(&self, dtype: DType) -> usize {
        2 * self.n_layers * self.n_kv_heads * self.head_dim * dtype.size_in_bytes()
    }
}
