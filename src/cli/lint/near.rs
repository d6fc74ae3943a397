//! Rows that are nearly the same as earlier ones, however many there are.
//!
//! The index asks for earlier texts again; they lie on disk, and the shingles of those that were
//! asked for last stay in memory, because the same few are asked for again and again.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::Result;
use crate::data::spool::Spool;
use crate::text::near::{NearIndex, Shingles};

/// Likeness from which two rows are nearly the same.
const ALIKE: f64 = 0.9;

/// Texts whose shingles stay in memory: some tens of MiB.
const N_KEPT_MAX: usize = 1024;

/// The rows so far.
pub(super) struct NearRows {
    index: NearIndex,
    spool: Spool,
    kept: HashMap<u32, Shingles>,
    n_rows: u32,
}

impl NearRows {
    pub(super) fn new() -> Result<Self> {
        let (index, spool) = (NearIndex::new(ALIKE, 0), Spool::create()?);
        Ok(Self { index, spool, kept: HashMap::new(), n_rows: 0 })
    }

    /// The earlier row that each of the next rows is nearly the same as.
    pub(super) fn find(&mut self, texts: &[String]) -> Result<Vec<Option<u32>>> {
        self.spool.push(texts)?;
        let shingles: Vec<Shingles> = texts.par_iter().map(|text| Shingles::of(text)).collect();
        let Self { index, spool, kept, n_rows } = self;
        let mut fetch = |number: u32| -> Result<Shingles> {
            if let Some(shingles) = kept.get(&number) {
                return Ok(shingles.clone());
            }
            let shingles = Shingles::of(&spool.get(number)?);
            if kept.len() == N_KEPT_MAX {
                kept.clear();
            }
            kept.insert(number, shingles.clone());
            Ok(shingles)
        };
        let mut found = Vec::with_capacity(texts.len());
        for shingles in &shingles {
            let near = index.find_or_insert(*n_rows, shingles, &mut fetch)?;
            found.push(near.map(|near| near.number));
            *n_rows += 1;
        }
        Ok(found)
    }
}
