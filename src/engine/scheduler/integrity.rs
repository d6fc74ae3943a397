//! What must hold between two steps, checked in the simulation and in debug builds.

use std::collections::HashMap;

use stillroom_kernels::paged::BLOCK;

use super::{BlockId, EngineLimits, Scheduler};

impl Scheduler {
    /// Checks every count against what it counts.
    ///
    /// # Panics
    /// When two of them disagree.
    pub fn check_integrity(&self) {
        self.cache.check_integrity();
        assert!(self.running.len() <= self.limits.n_sequences_max, "too many sequences");
        assert!(self.running.is_sorted_by_key(|sequence| sequence.id), "running out of order");
        self.check_references();
        self.check_sequences();
        for (id, sequence) in &self.waiting {
            assert_eq!(*id, sequence.id);
            assert!(sequence.blocks.is_empty(), "waiting request {} holds blocks", id.0);
            assert_eq!(sequence.n_computed, 0, "waiting request {} is computed", id.0);
        }
    }

    /// Each reference to a block belongs to a sequence or a pin, each promise to a sequence.
    fn check_references(&self) {
        let mut n_refs: HashMap<BlockId, u32> = HashMap::new();
        for id in self.running.iter().flat_map(|sequence| &sequence.blocks) {
            *n_refs.entry(*id).or_insert(0) += 1;
        }
        for number in 0..self.limits.n_blocks {
            let id = BlockId(u32::try_from(number).expect("a block number"));
            let expected = n_refs.get(&id).copied().unwrap_or(0) + self.cache.n_pin_refs(id);
            assert_eq!(self.cache.pool().n_refs(id), expected, "references to block {number}");
        }
        let n_promised = |s: &super::Sequence| s.promised.1 - s.promised.0;
        let n_promises: usize = self.running.iter().map(|sequence| n_promised(sequence)).sum();
        assert_eq!(self.cache.n_promises(), n_promises, "promises without a sequence");
    }

    fn check_sequences(&self) {
        for sequence in &self.running {
            let id = sequence.id.0;
            assert!(sequence.n_pending() > 0, "request {id} runs without a pending token");
            assert!(sequence.tokens().len() <= sequence.n_tokens_max(), "request {id} is too long");
            let n_needed = EngineLimits::blocks_for(sequence.n_computed);
            assert!(sequence.blocks.len() >= n_needed, "request {id} lacks blocks");
            for (at, block) in sequence.blocks.iter().enumerate() {
                if (at + 1) * BLOCK > sequence.n_computed {
                    let n_refs = self.cache.pool().n_refs(*block);
                    assert_eq!(n_refs, 1, "request {id} will write to a shared block");
                    let published = self.cache.is_published(*block);
                    assert!(!published, "request {id} will write to a published block");
                }
            }
        }
    }
}
