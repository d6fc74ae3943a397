//! Where a model's files come from: those that the program brings or makes.
//!
//! A folder is its own source, and the Hub's are fetched by `hub`; what is left are the demo
//! family, which is part of the program, and seeded tiny checkpoints, which it writes once into a
//! cache folder that the caller names.

use std::path::{Path, PathBuf};

use stillroom_models::Files;
use stillroom_models::demo::family;
use stillroom_models::tiny::{self, Shape};

use super::folder::environment;
use crate::{Error, Result};

/// Seed of all tiny checkpoints: their words mean nothing, but mean the same everywhere.
const SEED: u64 = 1;

/// The model `demo:NAME`, which is part of the program.
///
/// # Errors
/// When there is none of this name.
pub fn demo(name: &str) -> Result<Files> {
    family::member(name).map(Files::Inside).ok_or_else(|| Error::Usage {
        what: format!("there is no demo model `{name}`"),
        hint: format!("The family is {}.", family::names().join(", ")),
    })
}

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
