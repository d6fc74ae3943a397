//! What the decoder holds in memory and which checkpoint tensors each piece is made of.
//!
//! The one table of tensor names. Loading, the estimate, the quantised copy on disk and the check
//! that nothing is missing all follow it, so they cannot disagree. Nothing is read here.

use candle_core::{DType, Device};
use stillroom_kernels::linear::{Format, Quant};

use crate::config::{Experts, ModelConfig};

/// A piece of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    /// Our name for it, such as `layers.0.qkv`.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Checkpoint tensors, one below the other: names and rows of each.
    pub(crate) parts: Vec<(String, usize)>,
    /// Width of a row.
    pub(crate) k: usize,
}

/// How a piece is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A vector `[h]`.
    Norm,
    /// Rows to look up `[v, h]`, as stored.
    Table,
    /// A product that is never quantised: a router decides by small differences.
    Router,
    /// A product `[n, k]`.
    Linear,
}

impl Piece {
    /// Rows of all parts.
    pub(crate) fn n(&self) -> usize {
        self.parts.iter().map(|(_, rows)| rows).sum()
    }

    /// Shape of part `i` in the checkpoint.
    pub(crate) fn part_shape(&self, i: usize) -> Vec<usize> {
        match self.kind {
            Kind::Norm => vec![self.k],
            Kind::Table | Kind::Router | Kind::Linear => vec![self.parts[i].1, self.k],
        }
    }

    /// How the rows are kept on `device`, where the checkpoint stores them as `stored`.
    pub(crate) fn format(&self, wanted: Option<Quant>, stored: DType, device: &Device) -> Format {
        match self.kind {
            Kind::Norm | Kind::Table => Format::Dense(stored),
            Kind::Router => Format::choose(None, self.k, stored, device),
            Kind::Linear => Format::choose(wanted, self.k, stored, device),
        }
    }
}

/// All pieces of a model, in the order of the layers.
pub(crate) fn pieces(config: &ModelConfig) -> Vec<Piece> {
    let (h, v) = (config.hidden_size, config.vocab_size);
    let mut pieces = Vec::new();
    let mut add = |name: &str, kind, tensor: &str, n: usize| {
        let parts = vec![(format!("{tensor}.weight"), n)];
        pieces.push(Piece { name: name.to_owned(), kind, parts, k: h });
    };
    if config.tied {
        add("head", Kind::Linear, "model.embed_tokens", v);
    } else {
        add("embedding", Kind::Table, "model.embed_tokens", v);
        add("head", Kind::Linear, "lm_head", v);
    }
    add("norm", Kind::Norm, "model.norm", 1);
    for layer in 0..config.n_layers {
        add_layer(&mut pieces, config, layer);
    }
    pieces
}

fn add_layer(pieces: &mut Vec<Piece>, config: &ModelConfig, layer: usize) {
    let (h, i) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    let mut add = |name: &str, kind, parts: &[(&str, usize)], k: usize| {
        let tensor = |part: &str| format!("model.layers.{layer}.{part}.weight");
        pieces.push(Piece {
            name: format!("layers.{layer}.{name}"),
            kind,
            parts: parts.iter().map(|&(part, rows)| (tensor(part), rows)).collect(),
            k,
        });
    };
    add("attention_norm", Kind::Norm, &[("input_layernorm", 1)], h);
    let (wq, wk, wv) = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj");
    add("qkv", Kind::Linear, &[(wq, q), (wk, kv), (wv, kv)], h);
    add("o", Kind::Linear, &[("self_attn.o_proj", h)], q);
    add("mlp_norm", Kind::Norm, &[("post_attention_layernorm", 1)], h);
    match config.experts {
        None => {
            add("gate_up", Kind::Linear, &[("mlp.gate_proj", i), ("mlp.up_proj", i)], h);
            add("down", Kind::Linear, &[("mlp.down_proj", h)], i);
        }
        Some(Experts { n, .. }) => {
            add("router", Kind::Router, &[("block_sparse_moe.gate", n)], h);
            for e in 0..n {
                let tensor = |w: &str| format!("block_sparse_moe.experts.{e}.{w}");
                let (gate, up, down) = (tensor("w1"), tensor("w3"), tensor("w2"));
                let fused = [(gate.as_str(), i), (up.as_str(), i)];
                add(&format!("experts.{e}.gate_up"), Kind::Linear, &fused, h);
                add(&format!("experts.{e}.down"), Kind::Linear, &[(down.as_str(), h)], i);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tiny::Shape;

    #[test]
    fn pieces_hold_every_parameter_once() {
        for (name, _) in Shape::names() {
            let config = Shape::named(name).unwrap().config;
            let pieces = pieces(&config);
            let n: usize = pieces.iter().map(|piece| piece.n() * piece.k).sum();
            assert_eq!(n, config.n_params(), "{name}");
            let names: HashSet<&str> = pieces.iter().map(|piece| piece.name.as_str()).collect();
            assert_eq!(names.len(), pieces.len(), "{name}");
        }
    }
}
