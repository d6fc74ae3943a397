//! The optimiser: Muon for the matrices of the layers, Adam for everything else.
//!
//! Muon (Jordan et al. 2024) takes the momentum of a matrix and makes it nearly orthogonal, so that
//! rare directions are learned as fast as common ones; on these exercises it needs about half the
//! examples that Adam does. Steps are scaled to Adam's size (Liu et al. 2025, arXiv 2502.16982), so
//! that one rate serves both. Adam: Kingma and Ba 2014.

use std::collections::{BTreeMap, HashMap};

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

const MOMENTUM: f64 = 0.95;
const BETAS: (f64, f64) = (0.9, 0.98);
const EPS: f64 = 1e-8;
/// Coefficients of the iteration that makes a matrix orthogonal, and how often it runs.
const ITERATION: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
const N_ITERATIONS: usize = 5;
/// Size of one step's change in a matrix, as that of Adam's usually is.
const RMS: f64 = 0.2;
/// Matrices shrink by this share of the rate in a step.
const DECAY: f64 = 0.1;
/// Longest gradient, over all parameters together; a longer one is shortened.
const NORM_MAX: f64 = 1.0;

/// Momenta by parameter: of a matrix `.m`, of anything else `.m` and `.v`.
#[derive(Default)]
pub(crate) struct Optimiser {
    state: HashMap<String, Tensor>,
    n_steps: usize,
}

impl Optimiser {
    /// Goes on with the momenta of an earlier run.
    pub(crate) fn resume(state: HashMap<String, Tensor>, n_steps: usize) -> Self {
        Self { state, n_steps }
    }

    /// The momenta, to be kept.
    pub(crate) fn state(&self) -> &HashMap<String, Tensor> {
        &self.state
    }

    /// Steps taken.
    pub(crate) fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// Moves all parameters by one step; returns the length that the gradient had.
    pub(crate) fn step(
        &mut self,
        params: &BTreeMap<String, Var>,
        grads: &GradStore,
        rate: f64,
    ) -> Result<f64> {
        self.n_steps += 1;
        let mut squares = 0.0;
        for param in params.values() {
            if let Some(grad) = grads.get(param) {
                squares += f64::from(grad.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        let length = squares.sqrt();
        let shorten = (NORM_MAX / length.max(1e-12)).min(1.0);
        for (name, param) in params {
            let Some(grad) = grads.get(param) else { continue };
            let grad = (grad.detach() * shorten)?;
            let moved = if is_matrix(name, param) {
                self.muon(name, param, &grad, rate)?
            } else {
                self.adam(name, param, &grad, rate)?
            };
            param.set(&moved)?;
        }
        Ok(length)
    }

    fn muon(&mut self, name: &str, param: &Tensor, grad: &Tensor, rate: f64) -> Result<Tensor> {
        let momentum = self.average(format!("{name}.m"), grad, MOMENTUM)?;
        // Nesterov's look ahead.
        let ahead = ((momentum * MOMENTUM)? + (grad * (1.0 - MOMENTUM))?)?;
        let (n, k) = ahead.dims2()?;
        let scale = RMS * (n.max(k) as f64).sqrt();
        let kept = (param.detach() * (1.0 - rate * DECAY))?;
        kept - (orthogonal(&ahead)? * (rate * scale))?
    }

    fn adam(&mut self, name: &str, param: &Tensor, grad: &Tensor, rate: f64) -> Result<Tensor> {
        let n = i32::try_from(self.n_steps).unwrap_or(i32::MAX);
        let m = self.average(format!("{name}.m"), grad, BETAS.0)?;
        let v = self.average(format!("{name}.v"), &grad.sqr()?, BETAS.1)?;
        let m = (m / (1.0 - BETAS.0.powi(n)))?;
        let v = (v / (1.0 - BETAS.1.powi(n)))?;
        param.detach() - (m / (v.sqrt()? + EPS)?)? * rate
    }

    /// The running average `key` with `value` taken in.
    fn average(&mut self, key: String, value: &Tensor, keep: f64) -> Result<Tensor> {
        let average = match self.state.get(&key) {
            Some(old) => ((old * keep)? + (value * (1.0 - keep))?)?,
            None => (value * (1.0 - keep))?,
        };
        self.state.insert(key, average.clone());
        Ok(average)
    }
}

/// Whether a parameter is a matrix of a layer; the embedding is a table, a router decides.
fn is_matrix(name: &str, param: &Tensor) -> bool {
    let is_table = name.contains("embed_tokens") || name.contains("lm_head");
    param.rank() == 2 && !is_table && !name.ends_with("block_sparse_moe.gate.weight")
}

/// The matrix with its singular values brought near 1 (Newton and Schulz's iteration).
fn orthogonal(matrix: &Tensor) -> Result<Tensor> {
    let (n, k) = matrix.dims2()?;
    // The smaller side first: the products are then as small as they can be.
    let wide = if n > k { matrix.t()?.contiguous()? } else { matrix.clone() };
    let length = wide.sqr()?.sum_all()?.sqrt()?;
    let mut x = wide.broadcast_div(&(length + 1e-12)?)?;
    let (a, b, c) = ITERATION;
    for _ in 0..N_ITERATIONS {
        let square = x.matmul(&x.t()?)?;
        let mixed = ((&square * b)? + (square.matmul(&square)? * c)?)?;
        x = ((&x * a)? + mixed.matmul(&x)?)?;
    }
    if n > k { x.t()?.contiguous() } else { Ok(x) }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn an_orthogonal_matrix_has_even_singular_values() {
        let values: Vec<f32> = (0..48).map(|i| ((i * i + 3 * i) % 17) as f32 - 8.0).collect();
        for shape in [(6, 8), (8, 6)] {
            let matrix = Tensor::from_vec(values.clone(), shape, &Device::Cpu).unwrap();
            let x = orthogonal(&matrix).unwrap();
            let square = if shape.0 < shape.1 {
                x.matmul(&x.t().unwrap())
            } else {
                x.t().unwrap().matmul(&x)
            };
            for (i, row) in square.unwrap().to_vec2::<f32>().unwrap().iter().enumerate() {
                for (j, value) in row.iter().enumerate() {
                    let wanted = if i == j { 1.0 } else { 0.0 };
                    assert!((value - wanted).abs() < 0.6, "{i} {j}: {value}");
                }
            }
        }
    }

    #[test]
    fn both_rules_walk_downhill() {
        let param = |value: &[f32], shape: &[usize]| {
            Var::from_tensor(&Tensor::from_slice(value, shape, &Device::Cpu).unwrap()).unwrap()
        };
        let params = BTreeMap::from([
            ("a.weight".to_owned(), param(&[1.0, -2.0, 3.0, 0.5], &[2, 2])),
            ("norm.weight".to_owned(), param(&[2.0, -1.0], &[2])),
        ]);
        let loss = || {
            let sums = params.values().map(|p| p.sqr().unwrap().sum_all().unwrap());
            sums.reduce(|a, b| (a + b).unwrap()).unwrap()
        };
        let before = loss().to_scalar::<f32>().unwrap();
        let mut optimiser = Optimiser::default();
        for _ in 0..100 {
            let grads = loss().backward().unwrap();
            optimiser.step(&params, &grads, 0.02).unwrap();
        }
        let after = loss().to_scalar::<f32>().unwrap();
        assert!(after < before / 2.0, "{before} to {after}");
    }
}
