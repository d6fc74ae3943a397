//! Where a model's folder comes from: seeded tiny checkpoints.
//!
//! A folder is its own source, and the Hub's are fetched by `hub`; what is left are the models
//! that this program writes itself, once, into a cache folder that the caller names.

use std::path::{Path, PathBuf};

use stillroom_models::tiny::{self, Shape};

use super::folder::environment;
use crate::{Error, Result};

/// Seed of all tiny checkpoints: their words mean nothing, but mean the same everywhere.
const SEED: u64 = 1;

/// The folder below `cache` that holds the seeded checkpoint `tiny:SHAPE`, written at first use.
///
/// # Errors
/// When there is no such shape, or the disk refuses.
pub fn tiny(shape: &str, cache: &Path) -> Result<PathBuf> {
    let Some(known) = Shape::named(shape) else {
        let names: Vec<&str> = Shape::names().map(|(name, _)| name).collect();
        return Err(Error::Usage {
            what: format!("there is no tiny model `{shape}`"),
            hint: format!("The shapes are {}.", names.join(", ")),
        });
    };
    tiny::cached(&known, SEED, cache).map_err(environment)
}
