//! Who holds which block of KV memory.
//!
//! Every block is either held (one or more references) or free; the free ones form a doubly
//! linked list threaded through the block array, so that taking, giving back and reviving a block
//! are O(1). The list is also the order of eviction: its head is reused first. What a block
//! contains is the prefix cache's business, not this file's.

/// A block's number in the pool of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BlockId(pub(super) u32);

impl BlockId {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// End of the free list.
const NIL: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Block {
    /// Sequences (and pins) that hold this block; 0 means that it is in the free list.
    n_refs: u32,
    prev: u32,
    next: u32,
}

/// The blocks of one pool: reference counts and the free list.
#[derive(Debug)]
pub(super) struct BlockPool {
    blocks: Vec<Block>,
    /// Reused next.
    head: u32,
    /// Reused last.
    tail: u32,
    n_free: usize,
    n_held_peak: usize,
}

impl BlockPool {
    /// A pool of `n_blocks` free blocks, the lowest number reused first.
    ///
    /// # Panics
    /// When `n_blocks` is zero or does not fit a block number.
    pub(super) fn new(n_blocks: usize) -> Self {
        assert!(n_blocks > 0, "a pool needs a block");
        let n = u32::try_from(n_blocks).expect("a pool holds fewer than 2^32 blocks");
        assert!(n < NIL, "a pool of {n} blocks has no number left for the end of the list");
        let blocks = (0..n)
            .map(|i| Block {
                n_refs: 0,
                prev: i.checked_sub(1).unwrap_or(NIL),
                next: if i + 1 == n { NIL } else { i + 1 },
            })
            .collect();
        Self { blocks, head: 0, tail: n - 1, n_free: n_blocks, n_held_peak: 0 }
    }

    /// Takes the block at the head of the free list, with one reference.
    pub(super) fn take(&mut self) -> Option<BlockId> {
        let id = BlockId(self.head);
        if self.head == NIL {
            return None;
        }
        self.hold(id);
        Some(id)
    }

    /// Adds a reference; a free block leaves the free list.
    pub(super) fn hold(&mut self, id: BlockId) {
        if self.blocks[id.index()].n_refs == 0 {
            self.unlink(id);
        }
        self.blocks[id.index()].n_refs += 1;
        self.n_held_peak = self.n_held_peak.max(self.n_held());
    }

    /// Drops a reference and says whether it was the last. The caller then puts the block back
    /// with [`BlockPool::free_first`] or [`BlockPool::free_last`].
    ///
    /// # Panics
    /// When nobody holds the block.
    #[must_use]
    pub(super) fn drop_ref(&mut self, id: BlockId) -> bool {
        let block = &mut self.blocks[id.index()];
        assert!(block.n_refs > 0, "block {} was given back twice", id.0);
        block.n_refs -= 1;
        block.n_refs == 0
    }

    /// Links a block without references to the head of the free list: its contents are worth
    /// nothing, so it is reused before any other.
    pub(super) fn free_first(&mut self, id: BlockId) {
        let head = self.head;
        self.link(id, NIL, head);
    }

    /// Links a block without references to the tail of the free list: its contents may still be
    /// asked for, so it is reused after all others.
    pub(super) fn free_last(&mut self, id: BlockId) {
        let tail = self.tail;
        self.link(id, tail, NIL);
    }

    /// References to a block.
    pub(super) fn n_refs(&self, id: BlockId) -> u32 {
        self.blocks[id.index()].n_refs
    }

    /// Blocks that nobody holds.
    pub(super) fn n_free(&self) -> usize {
        self.n_free
    }

    /// Blocks that somebody holds.
    pub(super) fn n_held(&self) -> usize {
        self.blocks.len() - self.n_free
    }

    /// Most blocks that were ever held at once.
    pub(super) fn n_held_peak(&self) -> usize {
        self.n_held_peak
    }

    /// The free blocks in the order of their reuse.
    pub(super) fn free_blocks(&self) -> impl Iterator<Item = BlockId> + '_ {
        std::iter::successors(self.id(self.head), |id| self.id(self.blocks[id.index()].next))
    }

    /// Checks the list against the counts.
    ///
    /// # Panics
    /// When they disagree.
    pub(super) fn check_integrity(&self) {
        let mut n_listed = 0;
        let mut prev = NIL;
        for id in self.free_blocks() {
            n_listed += 1;
            assert!(n_listed <= self.n_free, "the free list is longer than {}", self.n_free);
            assert_eq!(self.blocks[id.index()].n_refs, 0, "held block {} is listed free", id.0);
            assert_eq!(self.blocks[id.index()].prev, prev, "block {} has a wrong back link", id.0);
            prev = id.0;
        }
        assert_eq!(prev, self.tail, "the free list does not end at its tail");
        assert_eq!(n_listed, self.n_free, "the free list has lost blocks");
        let n_unheld = self.blocks.iter().filter(|block| block.n_refs == 0).count();
        assert_eq!(n_unheld, self.n_free, "blocks without references are not all listed");
    }

    fn id(&self, number: u32) -> Option<BlockId> {
        (number != NIL).then_some(BlockId(number))
    }

    fn unlink(&mut self, id: BlockId) {
        let Block { prev, next, .. } = self.blocks[id.index()];
        match self.id(prev) {
            Some(prev) => self.blocks[prev.index()].next = next,
            None => self.head = next,
        }
        match self.id(next) {
            Some(next) => self.blocks[next.index()].prev = prev,
            None => self.tail = prev,
        }
        self.n_free -= 1;
    }

    fn link(&mut self, id: BlockId, prev: u32, next: u32) {
        assert_eq!(self.n_refs(id), 0, "block {} is held", id.0);
        let block = &mut self.blocks[id.index()];
        (block.prev, block.next) = (prev, next);
        match self.id(prev) {
            Some(prev) => self.blocks[prev.index()].next = id.0,
            None => self.head = id.0,
        }
        match self.id(next) {
            Some(next) => self.blocks[next.index()].prev = id.0,
            None => self.tail = id.0,
        }
        self.n_free += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Take,
        Hold(usize),
        Release { which: usize, last: bool },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => Just(Op::Take),
            1 => (0..64usize).prop_map(Op::Hold),
            3 => (0..64usize, any::<bool>()).prop_map(|(which, last)| Op::Release { which, last }),
        ]
    }

    proptest! {
        /// The pool against the plainest model of it: a deque of free blocks and a count each.
        #[test]
        fn agrees_with_a_deque(n in 1..12u32, ops in prop::collection::vec(op(), 0..200)) {
            let mut pool = BlockPool::new(n as usize);
            let mut free: VecDeque<u32> = (0..n).collect();
            let mut refs = vec![0u32; n as usize];
            for op in ops {
                match op {
                    Op::Take => {
                        let expected = free.pop_front();
                        prop_assert_eq!(pool.take().map(|id| id.0), expected);
                        if let Some(id) = expected {
                            refs[id as usize] = 1;
                        }
                    }
                    Op::Hold(which) => {
                        let id = which as u32 % n;
                        free.retain(|&other| other != id);
                        refs[id as usize] += 1;
                        pool.hold(BlockId(id));
                    }
                    Op::Release { which, last } => {
                        let id = which as u32 % n;
                        if refs[id as usize] == 0 {
                            continue;
                        }
                        refs[id as usize] -= 1;
                        let freed = pool.drop_ref(BlockId(id));
                        prop_assert_eq!(freed, refs[id as usize] == 0);
                        match (freed, last) {
                            (false, _) => {}
                            (true, true) => {
                                pool.free_last(BlockId(id));
                                free.push_back(id);
                            }
                            (true, false) => {
                                pool.free_first(BlockId(id));
                                free.push_front(id);
                            }
                        }
                    }
                }
                pool.check_integrity();
                let listed: Vec<u32> = pool.free_blocks().map(|id| id.0).collect();
                prop_assert_eq!(listed, Vec::from(free.clone()));
            }
        }
    }
}
