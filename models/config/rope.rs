//! Rotary positions in all the spellings of the real files: `rope_theta` with `rope_scaling`
//! (whose kind is `type` or `rope_type`), or both inside the newer `rope_parameters`.
//!
//! Only reads the numbers; the tables are the rope kernel's. A kind that is not computed there is
//! refused, because plain rotation in its place would go wrong silently and only at length.

use stillroom_kernels::rope::RopeScaling;

use super::fields::Fields;
use crate::error::Result;

/// Rotary positions of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the wavelengths.
    pub theta: f32,
    /// How the wavelengths are stretched for long contexts.
    pub scaling: RopeScaling,
}

impl Rope {
    pub(super) fn from_fields(
        fields: &Fields,
        default_theta: f32,
        max_context: usize,
    ) -> Result<Self> {
        let newer = fields.object("rope_parameters")?;
        let older = fields.object("rope_scaling")?;
        let theta = match &newer {
            Some(rope) => rope.number_if_present("rope_theta")?,
            None => None,
        };
        let theta = match theta {
            Some(theta) => narrow(theta),
            None => fields.number_if_present("rope_theta")?.map_or(default_theta, narrow),
        };
        if theta <= 1.0 {
            return Err(fields.fault(format!("rope_theta is {theta}, wanted above 1")));
        }
        let scaling = match newer.or(older) {
            Some(rope) => scaling(&rope, max_context)?,
            None => RopeScaling::Plain,
        };
        Ok(Self { theta, scaling })
    }
}

fn scaling(rope: &Fields, max_context: usize) -> Result<RopeScaling> {
    let kind = match rope.text("rope_type")? {
        Some(kind) => Some(kind),
        None => rope.text("type")?,
    };
    match kind {
        None | Some("default") => Ok(RopeScaling::Plain),
        Some("linear") => Ok(RopeScaling::Linear { factor: factor(rope)? }),
        Some("llama3") => llama3(rope, max_context),
        Some(other) => Err(rope.fault(format!(
            "rope scaling of type {other:?} is not supported; supported are default, linear and \
             llama3"
        ))),
    }
}

fn llama3(rope: &Fields, max_context: usize) -> Result<RopeScaling> {
    let needed = |key: &str| {
        let found = rope.number_if_present(key)?.map(narrow);
        found.ok_or_else(|| rope.fault(format!("{key} of llama3 rope scaling is missing")))
    };
    let (low_freq_factor, high_freq_factor) =
        (needed("low_freq_factor")?, needed("high_freq_factor")?);
    if low_freq_factor <= 0.0 || high_freq_factor <= low_freq_factor {
        return Err(rope.fault(format!(
            "llama3 rope scaling has low_freq_factor {low_freq_factor} and high_freq_factor \
             {high_freq_factor}; wanted 0 < low < high"
        )));
    }
    Ok(RopeScaling::Llama3 {
        factor: factor(rope)?,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings: rope
            .count_if_present("original_max_position_embeddings")?
            .unwrap_or(max_context),
    })
}

fn factor(rope: &Fields) -> Result<f32> {
    match rope.number_if_present("factor")? {
        Some(factor) if factor >= 1.0 => Ok(narrow(factor)),
        Some(factor) => {
            Err(rope.fault(format!("rope scaling factor is {factor}, wanted at least 1")))
        }
        None => Err(rope.fault("rope scaling has no factor".to_owned())),
    }
}

/// The numbers of a checkpoint's positions are f32, as it was trained with them.
fn narrow(number: f64) -> f32 {
    number as f32
}
