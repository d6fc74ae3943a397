//! The decoder once more, in plain differentiable tensor operations, for training alone.
//!
//! Nothing fused: candle's own `rms_norm`, `softmax_last_dim` and `rope` cut the gradient without a
//! word. Sequences of a batch are padded to one length; the causal mask keeps padding, which comes
//! last, from every real token. A test holds the logits against the engine's.

use std::collections::{BTreeMap, HashMap};

use candle_core::{D, DType, Device, Result, Tensor, Var};
use stillroom_models::config::{Experts, ModelConfig};
use stillroom_models::demo::dice::Dice;

/// Parameters by their names in a checkpoint, and tables of the rotation.
pub(crate) struct Net {
    config: ModelConfig,
    params: BTreeMap<String, Var>,
    /// `[positions, d / 2]`.
    cos: Tensor,
    sin: Tensor,
}

/// What a forward gives.
pub(crate) struct Output {
    /// `[n, v]` logits of the rows that were asked for.
    pub(crate) logits: Tensor,
    /// How unevenly the experts are used, 1 where evenly; absent in a dense model.
    pub(crate) imbalance: Option<Tensor>,
}

impl Net {
    /// A net with random weights.
    pub(crate) fn new(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        let mut params = BTreeMap::new();
        let depth = (2.0 * config.n_layers as f64).sqrt();
        for (i, (name, shape)) in shapes(config).into_iter().enumerate() {
            let deviation = match shape.len() {
                1 => None,
                // What is added to the residual stream starts smaller the more of it there is.
                _ if name.ends_with("o_proj.weight") || is_down(&name) => Some(0.02 / depth),
                _ if name.ends_with("embed_tokens.weight") => Some(0.02),
                _ => Some((1.0 / shape[1] as f64).sqrt() / 2.0),
            };
            let tensor = match deviation {
                None => Tensor::ones(shape, DType::F32, device)?,
                Some(deviation) => {
                    let mut dice = Dice::nth(seed, i as u64);
                    let n = shape.iter().product();
                    let values = (0..n).map(|_| (normal(&mut dice) * deviation) as f32).collect();
                    Tensor::from_vec::<_, f32>(values, shape, device)?
                }
            };
            params.insert(name, Var::from_tensor(&tensor)?);
        }
        Self::with_params(config, params, device)
    }

    /// A net with these weights, in f32.
    pub(crate) fn with_params(
        config: &ModelConfig,
        params: BTreeMap<String, Var>,
        device: &Device,
    ) -> Result<Self> {
        let (half, theta) = (config.head_dim / 2, f64::from(config.rope.theta));
        let angle = |i: usize| {
            let (position, pair) = (i / half, i % half);
            position as f64 / theta.powf(pair as f64 / half as f64)
        };
        let angles: Vec<f64> = (0..config.max_context * half).map(angle).collect();
        let table = |of: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|angle| of(*angle) as f32).collect();
            Tensor::from_vec(values, (config.max_context, half), device)
        };
        let (cos, sin) = (table(f64::cos)?, table(f64::sin)?);
        Ok(Self { config: config.clone(), params, cos, sin })
    }

    /// Takes over the weights of a net with fewer layers. Those that it lacks come last and add
    /// nothing at first, so that the grown net answers as the smaller one did. Returns how many
    /// tensors were taken over.
    pub(crate) fn grow(&self, smaller: &HashMap<String, Tensor>) -> Result<usize> {
        let mut n_taken = 0;
        for (name, param) in &self.params {
            match smaller.get(name) {
                Some(weight) => {
                    param.set(weight)?;
                    n_taken += 1;
                }
                None if name.ends_with("o_proj.weight") || is_down(name) => {
                    param.set(&param.zeros_like()?)?;
                }
                None => {}
            }
        }
        Ok(n_taken)
    }

    /// The parameters by name.
    pub(crate) fn params(&self) -> &BTreeMap<String, Var> {
        &self.params
    }

    /// Logits of the flat positions `rows [n]` of `tokens [b, t]`, both u32.
    pub(crate) fn forward(&self, tokens: &Tensor, rows: &Tensor) -> Result<Output> {
        let (b, t) = tokens.dims2()?;
        let embedding = self.param("model.embed_tokens.weight");
        let mut x = embedding.index_select(&tokens.flatten_all()?, 0)?;
        let mut imbalances = Vec::new();
        for layer in 0..self.config.n_layers {
            let normed = self.norm(&x, &format!("model.layers.{layer}.input_layernorm.weight"))?;
            x = (x + self.attention(&normed, layer, (b, t))?)?;
            let name = format!("model.layers.{layer}.post_attention_layernorm.weight");
            let normed = self.norm(&x, &name)?;
            x = match self.config.experts {
                None => (x + self.mlp(&normed, &format!("model.layers.{layer}.mlp"), DENSE)?)?,
                Some(experts) => {
                    let (out, imbalance) = self.experts(&normed, layer, experts)?;
                    imbalances.push(imbalance);
                    (x + out)?
                }
            };
        }
        let picked = self.norm(&x.index_select(rows, 0)?, "model.norm.weight")?;
        let head = self.params.get("lm_head.weight").unwrap_or(embedding);
        let logits = picked.matmul(&head.t()?)?;
        let imbalance = match imbalances.len() {
            0 => None,
            n => Some((Tensor::stack(&imbalances, 0)?.sum_all()? / n as f64)?),
        };
        Ok(Output { logits, imbalance })
    }

    fn param(&self, name: &str) -> &Var {
        self.params.get(name).unwrap_or_else(|| panic!("the net has a parameter {name}"))
    }

    /// `x [n, h]` times the transpose of a weight.
    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        x.matmul(&self.param(&format!("{name}.weight")).t()?)
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(self.config.norm_eps))?;
        x.broadcast_div(&scale.sqrt()?)?.broadcast_mul(self.param(name))
    }

    /// `x [b * t, h]` to `[b * t, h]`.
    fn attention(&self, x: &Tensor, layer: usize, (b, t): (usize, usize)) -> Result<Tensor> {
        let ModelConfig { n_heads, n_kv_heads, head_dim: d, .. } = self.config;
        let group = n_heads / n_kv_heads;
        let name = |part: &str| format!("model.layers.{layer}.self_attn.{part}_proj");
        let heads = |part: &str, n: usize| -> Result<Tensor> {
            self.linear(x, &name(part))?.reshape((b, t, n, d))?.transpose(1, 2)?.contiguous()
        };
        let (q, k, v) = (heads("q", n_heads)?, heads("k", n_kv_heads)?, heads("v", n_kv_heads)?);
        // Queries that share keys lie one below the other: no key or value is repeated.
        let q = (self.rotate(&q, t)? / (d as f64).sqrt())?;
        let q = q.reshape((b * n_kv_heads, group * t, d))?;
        let k = self.rotate(&k, t)?.reshape((b * n_kv_heads, t, d))?;
        let v = v.reshape((b * n_kv_heads, t, d))?;
        let scores = q.matmul(&k.transpose(1, 2)?)?.reshape((b * n_kv_heads * group, t, t))?;
        let scores = scores.broadcast_add(&causal(t, x.device())?)?;
        let exps = scores.broadcast_sub(&scores.detach().max_keepdim(D::Minus1)?)?.exp()?;
        let shares = exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)?;
        let out = shares.reshape((b * n_kv_heads, group * t, t))?.matmul(&v)?;
        let out =
            out.reshape((b, n_heads, t, d))?.transpose(1, 2)?.reshape((b * t, n_heads * d))?;
        self.linear(&out, &name("o"))
    }

    /// `x [b, heads, t, d]`, each pair of a head's halves turned by the angle of its position.
    fn rotate(&self, x: &Tensor, t: usize) -> Result<Tensor> {
        let half = self.config.head_dim / 2;
        let (cos, sin) = (self.cos.narrow(0, 0, t)?, self.sin.narrow(0, 0, t)?);
        let (first, second) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
        let turned = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
        let other = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
        Tensor::cat(&[turned, other], 3)
    }

    fn mlp(&self, x: &Tensor, name: &str, parts: Parts) -> Result<Tensor> {
        let [gate, up, down] = parts.map(|part| format!("{name}.{part}"));
        let (gate, up) = (self.linear(x, &gate)?, self.linear(x, &up)?);
        self.linear(&(gate.silu()? * up)?, &down)
    }

    /// The experts' part of a layer, and how unevenly they are used (Switch Transformer: Fedus et
    /// al. 2021, equation 4, for more than one expert a token).
    fn experts(&self, x: &Tensor, layer: usize, experts: Experts) -> Result<(Tensor, Tensor)> {
        let name = format!("model.layers.{layer}.block_sparse_moe");
        let (n, k) = (experts.n, experts.n_per_token);
        let logits = self.linear(x, &format!("{name}.gate"))?;
        let exps = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?.exp()?;
        let shares = exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)?;
        let chosen = best(&shares.to_vec2()?, k);
        let index: Vec<u32> = chosen.iter().flatten().map(|e| *e as u32).collect();
        let index = Tensor::from_vec(index, (chosen.len(), k), x.device())?;
        let weights = shares.gather(&index, 1)?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(1)?)?.flatten_all()?;
        let mut sum = x.zeros_like()?;
        let mut used = Vec::with_capacity(n);
        for expert in 0..n {
            let places: Vec<usize> = (0..chosen.len() * k)
                .filter(|place| chosen[place / k][place % k] == expert)
                .collect();
            used.push(places.len() as f32 / (chosen.len() * k) as f32);
            if places.is_empty() {
                continue;
            }
            let upload = |of: fn(usize, usize) -> usize| {
                let ids: Vec<u32> = places.iter().map(|place| of(*place, k) as u32).collect();
                Tensor::from_vec(ids, places.len(), x.device())
            };
            let (rows, slots) = (upload(|place, k| place / k)?, upload(|place, _| place)?);
            let prefix = format!("{name}.experts.{expert}");
            let out = self.mlp(&x.index_select(&rows, 0)?, &prefix, EXPERT)?;
            let weight = weights.index_select(&slots, 0)?.unsqueeze(1)?;
            sum = sum.index_add(&rows, &out.broadcast_mul(&weight)?, 0)?;
        }
        let used = Tensor::from_vec(used, n, x.device())?;
        Ok((sum, ((shares.mean(0)? * used)?.sum_all()? * n as f64)?))
    }
}

type Parts = [&'static str; 3];

const DENSE: Parts = ["gate_proj", "up_proj", "down_proj"];
const EXPERT: Parts = ["w1", "w3", "w2"];

fn is_down(name: &str) -> bool {
    name.ends_with("down_proj.weight") || name.ends_with("w2.weight")
}

/// Names and shapes of all parameters.
fn shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let (h, i, v) = (config.hidden_size, config.intermediate_size, config.vocab_size);
    let (q, kv) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    let mut all = vec![("model.embed_tokens".to_owned(), vec![v, h])];
    if !config.tied {
        all.push(("lm_head".to_owned(), vec![v, h]));
    }
    for layer in 0..config.n_layers {
        let mut add = |name: &str, shape: Vec<usize>| {
            all.push((format!("model.layers.{layer}.{name}"), shape));
        };
        add("input_layernorm", vec![h]);
        add("self_attn.q_proj", vec![q, h]);
        add("self_attn.k_proj", vec![kv, h]);
        add("self_attn.v_proj", vec![kv, h]);
        add("self_attn.o_proj", vec![h, q]);
        add("post_attention_layernorm", vec![h]);
        let (prefixes, parts) = match config.experts {
            None => (vec!["mlp".to_owned()], DENSE),
            Some(Experts { n, .. }) => {
                add("block_sparse_moe.gate", vec![n, h]);
                ((0..n).map(|e| format!("block_sparse_moe.experts.{e}")).collect(), EXPERT)
            }
        };
        for prefix in prefixes {
            let [gate, up, down] = parts.map(|part| format!("{prefix}.{part}"));
            add(&gate, vec![i, h]);
            add(&up, vec![i, h]);
            add(&down, vec![h, i]);
        }
    }
    all.push(("model.norm".to_owned(), vec![h]));
    all.into_iter().map(|(name, shape)| (format!("{name}.weight"), shape)).collect()
}

/// The `k` best experts of each row, best first, ties to the lower index.
fn best(shares: &[Vec<f32>], k: usize) -> Vec<Vec<usize>> {
    let of_row = |row: &Vec<f32>| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        order.truncate(k);
        order
    };
    shares.iter().map(of_row).collect()
}

/// `[t, t]`: 0 where a row may look, minus a lot where it may not.
fn causal(t: usize, device: &Device) -> Result<Tensor> {
    let of = |i: usize| if i % t > i / t { -1e9f32 } else { 0.0 };
    Tensor::from_vec((0..t * t).map(of).collect::<Vec<_>>(), (t, t), device)
}

/// Mean 0, deviation 1 (Irwin and Hall's sum of twelve uniforms).
fn normal(dice: &mut Dice) -> f64 {
    (0..12).map(|_| (dice.bits() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
}
