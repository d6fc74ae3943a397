//! Rotary positions in all the spellings of the real files: `rope_theta` with `rope_scaling`
//! (whose kind is `type` or `rope_type`), or both inside the newer `rope_parameters`.
//!
//! Only reads the numbers; the tables are the rope kernel's. A kind that is not computed there is
//! refused, because plain rotation in its place would go wrong silently and only at length.

use super::fields::Fields;
use crate::error::Result;

/// Rotary positions of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the wavelengths.
    pub theta: f64,
    /// How the wavelengths are stretched for long contexts.
    pub scaling: RopeScaling,
}

/// How wavelengths are stretched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    Plain,
    /// All positions divided by `factor`.
    Linear {
        /// At least 1.
        factor: f64,
    },
    /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, a ramp between.
    Llama3 {
        /// At least 1.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are stretched fully.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context before stretching, in tokens.
        original_context: usize,
    },
}

impl Rope {
    pub(super) fn from_fields(
        fields: &Fields,
        default_theta: f64,
        max_context: usize,
    ) -> Result<Self> {
        let newer = fields.object("rope_parameters")?;
        let older = fields.object("rope_scaling")?;
        let theta = match &newer {
            Some(rope) => rope.number_if_present("rope_theta")?,
            None => None,
        };
        let theta = match theta {
            Some(theta) => theta,
            None => fields.number_if_present("rope_theta")?.unwrap_or(default_theta),
        };
        if theta <= 1.0 {
            return Err(fields.fault(format!("rope_theta is {theta}, wanted above 1")));
        }
        let scaling = match newer.or(older) {
            Some(rope) => RopeScaling::from_fields(&rope, max_context)?,
            None => RopeScaling::Plain,
        };
        Ok(Self { theta, scaling })
    }
}

impl RopeScaling {
    fn from_fields(rope: &Fields, max_context: usize) -> Result<Self> {
        let kind = match rope.text("rope_type")? {
            Some(kind) => Some(kind),
            None => rope.text("type")?,
        };
        match kind {
            None | Some("default") => Ok(Self::Plain),
            Some("linear") => Ok(Self::Linear { factor: factor(rope)? }),
            Some("llama3") => Self::llama3(rope, max_context),
            Some(other) => Err(rope.fault(format!(
                "rope scaling of type {other:?} is not supported; supported are default, linear \
                 and llama3"
            ))),
        }
    }

    fn llama3(rope: &Fields, max_context: usize) -> Result<Self> {
        let needed = |key: &str| {
            rope.number_if_present(key)?
                .ok_or_else(|| rope.fault(format!("{key} of llama3 rope scaling is missing")))
        };
        let (low, high) = (needed("low_freq_factor")?, needed("high_freq_factor")?);
        if low <= 0.0 || high <= low {
            return Err(rope.fault(format!(
                "llama3 rope scaling has low_freq_factor {low} and high_freq_factor {high}; wanted \
                 0 < low < high"
            )));
        }
        Ok(Self::Llama3 {
            factor: factor(rope)?,
            low_freq_factor: low,
            high_freq_factor: high,
            original_context: rope
                .count_if_present("original_max_position_embeddings")?
                .unwrap_or(max_context),
        })
    }
}

fn factor(rope: &Fields) -> Result<f64> {
    let factor = rope.number_if_present("factor")?;
    match factor {
        Some(factor) if factor >= 1.0 => Ok(factor),
        Some(factor) => {
            Err(rope.fault(format!("rope scaling factor is {factor}, wanted at least 1")))
        }
        None => Err(rope.fault("rope scaling has no factor".to_owned())),
    }
}
