//! The decoder of every architecture here: pre-norm blocks of grouped-query attention and a gated
//! MLP or a mixture of them. The architectures differ in numbers, not in code.
//!
//! Activations are two-dimensional, `[t, h]`, one row for each token of the ragged batch; nothing
//! knows prefill from decode. In the last layer only the rows whose logits are wanted go on after
//! attention: what the others would compute nobody reads. Must not know files.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, bail};
use stillroom_kernels::embed::Embedding;
use stillroom_kernels::kv_write::rope_kv_write;
use stillroom_kernels::linear::{Linear, RowOrder};
use stillroom_kernels::moe::{Expert, Experts, moe};
use stillroom_kernels::paged::{Batch, BatchOn, KvLayer, KvPool, KvShape};
use stillroom_kernels::paged_attention::{Attend, paged_attention};
use stillroom_kernels::rms_norm::{add_rms_norm, rms_norm};
use stillroom_kernels::rope::{RopeTable, Rotation};
use stillroom_kernels::silu_mul::silu_mul;

use crate::Model;
use crate::config::ModelConfig;
use crate::place::Placed;

/// A model in memory.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    device: Device,
    /// Type of the activations, and of keys and values.
    dtype: DType,
    rope: RopeTable,
    attend: Attend,
    embedding: Embedding,
    layers: Vec<Layer>,
    /// `[h]`.
    norm: Tensor,
    head: Linear,
}

#[derive(Debug)]
struct Layer {
    /// `[h]`.
    attention_norm: Tensor,
    /// `[(hq + 2 * hkv) * d, h]`.
    qkv: Linear,
    /// `[h, hq * d]`.
    o: Linear,
    /// `[h]`.
    mlp_norm: Tensor,
    mlp: Mlp,
}

#[derive(Debug)]
enum Mlp {
    Dense(Expert),
    Moe {
        /// `[e, h]`.
        router: Linear,
        experts: Experts,
        n_per_token: usize,
    },
}

impl Decoder {
    /// Puts placed pieces together.
    pub(crate) fn assemble(
        config: ModelConfig,
        placed: &Placed,
        device: &Device,
        dtype: DType,
        order: RowOrder,
    ) -> Result<Self> {
        let linear = |name: &str| Linear::new(placed.matrix(name), order);
        let embedding = if config.tied {
            Embedding::Tied(placed.matrix("head"))
        } else {
            Embedding::Table(placed.tensor("embedding"))
        };
        let rope = RopeTable::new(
            config.head_dim,
            config.rope.theta,
            config.rope.scaling,
            config.max_context,
        )?;
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        Ok(Self {
            rope,
            attend: Attend { window: config.sliding_window, scale },
            embedding,
            layers: (0..config.n_layers)
                .map(|layer| Layer::assemble(&config, placed, layer, &linear))
                .collect(),
            norm: placed.tensor("norm"),
            head: linear("head"),
            device: device.clone(),
            dtype,
            config,
        })
    }

    /// The configuration that this was loaded by.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where it lies.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Normed activations `[s, h]` of the rows whose logits are wanted; none when there are none.
    fn trunk(&self, batch: &BatchOn<'_>, kv: &mut KvPool) -> Result<Option<Tensor>> {
        let rotation = self.rope.rotation(&batch.host.positions, &batch.positions)?;
        let eps = self.config.norm_eps;
        let mut sum = self.embedding.forward(&batch.tokens, self.dtype)?;
        let mut normed = rms_norm(&sum, &self.layers[0].attention_norm, eps)?;
        for (i, (layer, kv)) in self.layers.iter().zip(&mut kv.layers).enumerate() {
            let q = layer.project(&normed, &rotation, batch, kv)?;
            let next = self.layers.get(i + 1);
            let is_last = next.is_none();
            if is_last && batch.host.sample_rows.is_empty() {
                return Ok(None);
            }
            let mut attended = paged_attention(&q, kv, batch, self.attend)?;
            if is_last && batch.host.sample_rows.len() < batch.host.n_tokens() {
                attended = attended.index_select(&batch.sample_rows, 0)?;
                sum = sum.index_select(&batch.sample_rows, 0)?;
            }
            let out = layer.o.forward(&attended)?;
            (normed, sum) = add_rms_norm(&out, &sum, &layer.mlp_norm, eps)?;
            let out = layer.mlp.forward(&normed)?;
            let next_norm = next.map_or(&self.norm, |next| &next.attention_norm);
            (normed, sum) = add_rms_norm(&out, &sum, next_norm, eps)?;
        }
        Ok(Some(normed))
    }
}

impl Layer {
    fn assemble(
        config: &ModelConfig,
        placed: &Placed,
        layer: usize,
        linear: &impl Fn(&str) -> Linear,
    ) -> Self {
        let name = |piece: &str| format!("layers.{layer}.{piece}");
        let expert = |prefix: &str| Expert {
            gate_up: linear(&name(&format!("{prefix}gate_up"))),
            down: linear(&name(&format!("{prefix}down"))),
        };
        let mlp = match config.experts {
            None => Mlp::Dense(expert("")),
            Some(experts) => Mlp::Moe {
                router: linear(&name("router")),
                experts: (0..experts.n).map(|e| expert(&format!("experts.{e}."))).collect(),
                n_per_token: experts.n_per_token,
            },
        };
        Self {
            attention_norm: placed.tensor(&name("attention_norm")),
            qkv: linear(&name("qkv")),
            o: linear(&name("o")),
            mlp_norm: placed.tensor(&name("mlp_norm")),
            mlp,
        }
    }

    /// Rotated queries `[t, hq, d]`; keys and values go to `kv`.
    fn project(
        &self,
        normed: &Tensor,
        rotation: &Rotation,
        batch: &BatchOn<'_>,
        kv: &mut KvLayer,
    ) -> Result<Tensor> {
        rope_kv_write(&self.qkv.forward(normed)?, rotation, batch, kv)
    }
}

impl Mlp {
    /// `x [t, h]` to `[t, h]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(mlp) => mlp.down.forward(&silu_mul(&mlp.gate_up.forward(x)?)?),
            Self::Moe { router, experts, n_per_token } => {
                moe(x, &router.forward(x)?, experts, *n_per_token)
            }
        }
    }
}

impl Model for Decoder {
    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn max_context(&self) -> usize {
        self.config.max_context
    }

    fn kv_shape(&self) -> KvShape {
        self.config.kv_shape(self.dtype)
    }

    fn new_kv(&self, n_blocks: usize) -> Result<KvPool> {
        KvPool::new(&self.kv_shape(), n_blocks, &self.device)
    }

    fn forward(&self, batch: &Batch, kv: &mut KvPool) -> Result<Tensor> {
        if kv.layers.len() != self.layers.len() {
            bail!("a pool of {} layers serves no model of {}", kv.layers.len(), self.layers.len())
        }
        let batch = kv.upload(batch, &self.device)?;
        match self.trunk(&batch, kv)? {
            Some(normed) => self.head.forward(&normed),
            // Memory of no bytes is not what every device can be asked for.
            None => Tensor::zeros((0, self.config.vocab_size), self.dtype, &Device::Cpu),
        }
    }
}

/// The decoder goes to the thread that owns the device.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Arc<Decoder>>();
};
