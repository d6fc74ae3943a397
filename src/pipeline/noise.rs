//! Keys of randomness: which noise an answer is drawn with.
//!
//! A key is a function of what is asked, never of when or beside whom, so that an answer can be
//! drawn again alone after a crash and be the same.

use crate::data::row::RowId;

/// What an answer is an answer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw<'a> {
    /// Seed of the run, or of the step where it has its own.
    pub(crate) seed: u64,
    /// The row that the question was made from.
    pub(crate) row: RowId,
    /// The step that asks.
    pub(crate) step: &'a str,
    /// The model that answers, by its content key.
    pub(crate) model: &'a str,
    /// Which of the row's answers.
    pub(crate) sample: u64,
    /// Which order of presentation.
    pub(crate) order: u64,
}

impl Draw<'_> {
    /// 64 bits for the model's sampler.
    pub(crate) fn key(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"noise\0").update(&self.seed.to_le_bytes()).update(&self.row.0);
        for name in [self.step, self.model] {
            hasher.update(name.as_bytes()).update(&[0]);
        }
        hasher.update(&self.sample.to_le_bytes()).update(&self.order.to_le_bytes());
        let hash = hasher.finalize();
        let mut key = [0; 8];
        key.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_le_bytes(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_question_counts() {
        let draw =
            Draw { seed: 1, row: RowId([7; 16]), step: "a", model: "m", sample: 0, order: 0 };
        let others = [
            Draw { seed: 2, ..draw },
            Draw { row: RowId([8; 16]), ..draw },
            Draw { step: "b", ..draw },
            Draw { model: "n", ..draw },
            Draw { step: "am", model: "", ..draw },
            Draw { sample: 1, ..draw },
            Draw { order: 1, ..draw },
        ];
        assert!(others.iter().all(|other| other.key() != draw.key()));
        assert_eq!(draw.key(), { draw }.key());
    }
}
