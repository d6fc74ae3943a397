//! Rotary position embedding (Su et al. 2021), half-split as in Hugging Face checkpoints.
//!
//! Element `i` of a head is paired with element `i + d/2` and the pair is turned by the angle
//! `position * inv_freq[i]`. The angles of a batch are made once per forward, and every layer reads
//! them. On the CPU they are computed from the positions in the batch: a table up to 131,072
//! positions would hold 67 MB for a 128-wide head, while a batch needs `t * d` numbers. A device
//! keeps that table and picks rows, since what it waits for is the host.
//!
//! Frequencies and angles are f32 whatever the model's type, because bf16 counts exactly only up
//! to 256, and because checkpoints were trained against f32 angles: the product of an f32 position
//! and an f32 frequency is part of the contract. Cosine and sine are then taken in f64.

mod cpu;
pub mod portable;
pub mod reference;

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::shape::Shapes;

pub(crate) use cpu::rotate_row;

/// How a checkpoint stretches its positions, `rope_scaling` in `config.json`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    Plain,
    /// All angles divided by one factor.
    Linear {
        /// What the angles are divided by.
        factor: f32,
    },
    /// Llama 3.1: long waves are divided by `factor`, short ones kept, and those between blended.
    Llama3 {
        /// What the frequencies of long waves are divided by.
        factor: f32,
        /// Waves longer than `original_max_position_embeddings / low_freq_factor` are long.
        low_freq_factor: f32,
        /// Waves shorter than `original_max_position_embeddings / high_freq_factor` are short.
        high_freq_factor: f32,
        /// The context that the unscaled frequencies were trained for.
        original_max_position_embeddings: usize,
    },
}

/// The frequencies of one model.
#[derive(Debug, Clone)]
pub struct RopeTable {
    /// `[d / 2]` radians per position.
    inv_freq: Vec<f32>,
    n_positions_max: usize,
    /// Cosines and sines of all positions, where a device keeps them.
    on_device: Arc<OnceLock<Rotation>>,
}

/// The rotation of one batch's rows, shared by its layers.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// `[t, d / 2]` f32 cosines.
    pub cos: Tensor,
    /// `[t, d / 2]` f32 sines.
    pub sin: Tensor,
}

impl RopeTable {
    /// Frequencies for heads of `head_dim` elements and positions below `n_positions_max`.
    ///
    /// # Errors
    /// When `head_dim` is odd or zero, or a factor is not a positive number.
    pub fn new(
        head_dim: usize,
        theta: f32,
        scaling: RopeScaling,
        n_positions_max: usize,
    ) -> Result<Self> {
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            bail!("rope: head_dim is {head_dim}, wanted an even number above 0")
        }
        if !(theta > 0.0 && theta.is_finite()) {
            bail!("rope: theta is {theta}, wanted a number above 0")
        }
        let inv_freq = (0..head_dim / 2).map(|i| {
            // The exponent is rounded to f32 first, as the checkpoints' own code does.
            let exponent = (2 * i) as f32 / head_dim as f32;
            1.0 / f64::from(theta).powf(f64::from(exponent)) as f32
        });
        let inv_freq = scaling.apply(inv_freq.collect())?;
        Ok(Self { inv_freq, n_positions_max, on_device: Arc::default() })
    }

    /// Size of the heads that this table rotates, `d`.
    pub fn head_dim(&self) -> usize {
        2 * self.inv_freq.len()
    }

    /// `[d / 2]` radians per position, after scaling.
    pub fn inv_freq(&self) -> &[f32] {
        &self.inv_freq
    }

    /// The rotation of rows at `positions`, on the device where `on_device` (`[t]` u32) holds the
    /// same.
    ///
    /// # Errors
    /// When a position lies beyond the table.
    pub fn rotation(&self, positions: &[u32], on_device: &Tensor) -> Result<Rotation> {
        let device = on_device.device();
        let limit = self.n_positions_max;
        if let Some(row) = positions.iter().position(|&position| position as usize >= limit) {
            bail!("rope: row {row} has position {}, the model has {limit}", positions[row])
        }
        if device.is_cpu() {
            return self.compute(positions, device);
        }
        let all = match self.on_device.get() {
            Some(all) if all.cos.device().same_device(device) => all,
            Some(_) => return self.compute(positions, device),
            None => {
                let positions = (0..).take(limit).collect::<Vec<u32>>();
                let all = self.compute(&positions, device)?;
                self.on_device.get_or_init(|| all)
            }
        };
        Ok(Rotation {
            cos: all.cos.index_select(on_device, 0)?,
            sin: all.sin.index_select(on_device, 0)?,
        })
    }

    fn compute(&self, positions: &[u32], device: &Device) -> Result<Rotation> {
        let (cos, sin) = cpu::cos_sin(positions, &self.inv_freq);
        let dims = (positions.len(), self.inv_freq.len());
        Ok(Rotation {
            cos: Tensor::from_vec(cos, dims, device)?,
            sin: Tensor::from_vec(sin, dims, device)?,
        })
    }
}

impl RopeScaling {
    fn apply(self, inv_freq: Vec<f32>) -> Result<Vec<f32>> {
        match self {
            Self::Plain => Ok(inv_freq),
            Self::Linear { factor } => {
                expect_positive("factor", factor)?;
                Ok(inv_freq.into_iter().map(|freq| freq / factor).collect())
            }
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                expect_positive("factor", factor)?;
                expect_positive("low_freq_factor", low_freq_factor)?;
                expect_positive("high_freq_factor - low_freq_factor", {
                    high_freq_factor - low_freq_factor
                })?;
                let context = original_max_position_embeddings as f32;
                let stretch = |freq: f32| {
                    let wavelength = 2.0 * std::f32::consts::PI / freq;
                    if wavelength > context / low_freq_factor {
                        freq / factor
                    } else if wavelength < context / high_freq_factor {
                        freq
                    } else {
                        let span = high_freq_factor - low_freq_factor;
                        let kept = (context / wavelength - low_freq_factor) / span;
                        (1.0 - kept) * freq / factor + kept * freq
                    }
                };
                Ok(inv_freq.into_iter().map(stretch).collect())
            }
        }
    }
}

fn expect_positive(name: &str, value: f32) -> Result<()> {
    if !(value > 0.0 && value.is_finite()) {
        bail!("rope: {name} is {value}, wanted a number above 0")
    }
    Ok(())
}

/// Rotates the heads of `x` (`[t, hq, d]` or `[t, hkv, d]`) by their rows' angles; the result has
/// the shape and type of `x`, and is computed in f32.
///
/// A model calls [`rope_kv_write`](crate::kv_write::rope_kv_write), which does this on the way.
///
/// # Errors
/// When a shape does not fit.
pub fn rope(x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
    let mut shapes = Shapes::of("rope");
    let [_, _, d] = shapes.expect("x", x, ["t", "heads", "d"])?;
    rotation.check(&mut shapes, d)?;
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        cpu::rope(x, rotation)
    } else {
        portable::rope(x, rotation)
    }
}

impl Rotation {
    /// Checks that this rotates the rows of an op whose heads have `d` elements.
    pub(crate) fn check(&self, shapes: &mut Shapes, d: usize) -> Result<()> {
        shapes.bind("d/2", d / 2, "the head size")?;
        shapes.expect("cos", &self.cos, ["t", "d/2"])?;
        shapes.expect("sin", &self.sin, ["t", "d/2"])?;
        shapes.expect_dtype("cos", &self.cos, &[DType::F32])?;
        shapes.expect_dtype("sin", &self.sin, &[DType::F32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA3: RopeScaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };

    #[test]
    fn scaling_changes_the_frequencies_it_should() {
        let plain = RopeTable::new(128, 500_000.0, RopeScaling::Plain, 16).unwrap().inv_freq;
        let scaled = RopeTable::new(128, 500_000.0, LLAMA3, 16).unwrap().inv_freq;
        assert_eq!(plain[0], 1.0);
        assert_eq!(scaled[0], 1.0, "short waves stay");
        assert_eq!(scaled[63], plain[63] / 8.0, "long waves are divided");
        let blended = (0..64).filter(|&i| scaled[i] < plain[i] && scaled[i] > plain[i] / 8.0);
        assert!(blended.count() > 0, "those between are blended");
        let linear = RopeScaling::Linear { factor: 4.0 };
        let linear = RopeTable::new(128, 500_000.0, linear, 16).unwrap().inv_freq;
        assert!(linear.iter().zip(&plain).all(|(a, b)| *a == b / 4.0));
    }

    #[test]
    fn bad_tables_and_positions_are_named() {
        assert!(RopeTable::new(7, 1e4, RopeScaling::Plain, 16).is_err());
        assert!(RopeTable::new(8, 0.0, RopeScaling::Plain, 16).is_err());
        assert!(RopeTable::new(8, 1e4, RopeScaling::Linear { factor: 0.0 }, 16).is_err());
        let table = RopeTable::new(8, 1e4, RopeScaling::Plain, 16).unwrap();
        let error = table
            .rotation(&[3, 16], &Tensor::new(&[3u32, 16], &Device::Cpu).unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("row 1 has position 16, the model has 16"), "{error}");
    }
}
