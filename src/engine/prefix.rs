//! Which block holds which tokens: full blocks are found again by their contents.
//!
//! A block's hash covers its tokens and all that stand before them (128 bits of BLAKE3, chained).
//! A hit also compares the block's tokens, so that a collision costs a prefill and never an
//! answer. Given-back blocks keep their contents until the pool reuses them; that order is the
//! only eviction there is. Whoever is about to write a block promises it, so that a burst of
//! equal prompts waits for the first instead of missing together. A pin is a reference that is
//! never dropped.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use stillroom_kernels::paged::BLOCK;

use super::blocks::{BlockId, BlockPool};
use super::request::TokenId;

/// Names the contents of a full block together with everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHash(u128);

impl std::hash::Hash for BlockHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Any 64 bits of a digest are as good as all of it.
        state.write_u64(self.0 as u64);
    }
}

/// What a map of digests is keyed by: they are hashes already.
#[derive(Debug, Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a block's name is written as one number");
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

type ByHash<V> = HashMap<BlockHash, V, BuildHasherDefault<Ready>>;

impl BlockHash {
    /// What stands before the first block: nothing.
    const ROOT: Self = Self(0);

    fn after(self, tokens: &[TokenId]) -> Self {
        assert_eq!(tokens.len(), BLOCK, "only full blocks have a name");
        let mut bytes = [0u8; 16 + 4 * BLOCK];
        bytes[..16].copy_from_slice(&self.0.to_le_bytes());
        for (bytes, token) in bytes[16..].chunks_exact_mut(4).zip(tokens) {
            bytes.copy_from_slice(&token.to_le_bytes());
        }
        let mut name = [0u8; 16];
        name.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
        Self(u128::from_le_bytes(name))
    }
}

/// Extends `hashes` to every full block of `tokens`. Those that are there already are kept, so
/// a growing sequence hashes each block once.
pub(super) fn extend_hashes(hashes: &mut Vec<BlockHash>, tokens: &[TokenId]) {
    let mut last = hashes.last().copied().unwrap_or(BlockHash::ROOT);
    for block in tokens.chunks_exact(BLOCK).skip(hashes.len()) {
        last = last.after(block);
        hashes.push(last);
    }
}

#[derive(Debug)]
struct Content {
    hash: BlockHash,
    tokens: [TokenId; BLOCK],
}

/// The blocks of one pool and what they contain.
#[derive(Debug)]
pub(super) struct BlockCache {
    pool: BlockPool,
    /// `[n]` contents of each block that can be found again.
    contents: Vec<Option<Content>>,
    index: ByHash<BlockId>,
    /// Blocks that a running sequence is about to write, and how many do.
    promised: ByHash<usize>,
    /// Blocks never to be evicted; held from the moment they are written.
    pinned: ByHash<Option<BlockId>>,
}

impl BlockCache {
    /// A cache over `n_blocks` empty blocks.
    pub(super) fn new(n_blocks: usize) -> Self {
        Self {
            pool: BlockPool::new(n_blocks),
            contents: (0..n_blocks).map(|_| None).collect(),
            index: ByHash::default(),
            promised: ByHash::default(),
            pinned: ByHash::default(),
        }
    }

    /// Counts and the free list.
    pub(super) fn pool(&self) -> &BlockPool {
        &self.pool
    }

    /// Takes a block to write to; what it contained is forgotten. `None` when all are held.
    pub(super) fn take(&mut self) -> Option<BlockId> {
        let id = self.pool.take()?;
        if let Some(content) = self.contents[id.0 as usize].take() {
            self.index.remove(&content.hash);
        }
        Some(id)
    }

    /// Adds a reference to a block that [`BlockCache::find`] gave.
    pub(super) fn hold(&mut self, id: BlockId) {
        self.pool.hold(id);
    }

    /// Gives back one reference to each of a sequence's blocks, the last block first, so that of
    /// one prefix the end is evicted before the beginning.
    pub(super) fn give_back(&mut self, blocks: &[BlockId]) {
        for &id in blocks.iter().rev() {
            if !self.pool.drop_ref(id) {
                continue;
            }
            match self.contents[id.0 as usize] {
                Some(_) => self.pool.free_last(id),
                None => self.pool.free_first(id),
            }
        }
    }

    /// The block of this name, if it is there and holds these very tokens.
    pub(super) fn find(&self, hash: BlockHash, tokens: &[TokenId]) -> Option<BlockId> {
        let id = *self.index.get(&hash)?;
        let content = self.contents[id.0 as usize].as_ref()?;
        (content.tokens == tokens).then_some(id)
    }

    /// Makes a block findable, now that all its tokens are written. A block whose twin is
    /// findable already stays private. Keeps a promise and a pin, if there was one.
    ///
    /// # Panics
    /// When the block is not held, is findable already, or `tokens` do not fill it.
    pub(super) fn publish(&mut self, id: BlockId, hash: BlockHash, tokens: &[TokenId]) {
        assert!(self.pool.n_refs(id) > 0, "block {} is nobody's to publish", id.0);
        let slot = &mut self.contents[id.0 as usize];
        assert!(slot.is_none(), "block {} is published twice", id.0);
        if self.index.contains_key(&hash) {
            return;
        }
        let tokens = tokens.try_into().expect("a full block");
        *slot = Some(Content { hash, tokens });
        self.index.insert(hash, id);
        if let Some(pin @ None) = self.pinned.get_mut(&hash) {
            *pin = Some(id);
            self.pool.hold(id);
        }
    }

    /// Says that somebody is about to write this block.
    pub(super) fn promise(&mut self, hash: BlockHash) {
        *self.promised.entry(hash).or_insert(0) += 1;
    }

    /// Takes a promise back, kept or not.
    ///
    /// # Panics
    /// When nobody promised.
    pub(super) fn unpromise(&mut self, hash: BlockHash) {
        let n = self.promised.get_mut(&hash).expect("a promise is taken back once");
        *n -= 1;
        if *n == 0 {
            self.promised.remove(&hash);
        }
    }

    /// Whether somebody is about to write this block.
    pub(super) fn is_promised(&self, hash: BlockHash) -> bool {
        self.promised.contains_key(&hash)
    }

    /// Keeps the blocks of these names for good, from the moment they are written.
    pub(super) fn pin(&mut self, hashes: &[BlockHash]) {
        for &hash in hashes {
            if self.pinned.contains_key(&hash) {
                continue;
            }
            let id = self.index.get(&hash).copied();
            if let Some(id) = id {
                self.pool.hold(id);
            }
            self.pinned.insert(hash, id);
        }
    }

    /// Blocks that are pinned or will be, once written.
    pub(super) fn n_pinned(&self) -> usize {
        self.pinned.len()
    }

    /// How many of these names are not pinned yet.
    pub(super) fn n_unpinned(&self, hashes: &[BlockHash]) -> usize {
        hashes.iter().filter(|hash| !self.pinned.contains_key(hash)).count()
    }

    /// Whether a block can be found by its contents, so that nobody may write to it.
    pub(super) fn is_published(&self, id: BlockId) -> bool {
        self.contents[id.0 as usize].is_some()
    }

    /// References to each block that do not come from sequences: one for each pin.
    pub(super) fn n_pin_refs(&self, id: BlockId) -> u32 {
        u32::from(self.pinned.values().any(|pin| *pin == Some(id)))
    }

    /// Promises not yet kept, in all.
    pub(super) fn n_promises(&self) -> usize {
        self.promised.values().sum()
    }

    /// Checks index, contents and pins against each other.
    ///
    /// # Panics
    /// When they disagree.
    pub(super) fn check_integrity(&self) {
        self.pool.check_integrity();
        let n_contents = self.contents.iter().flatten().count();
        assert_eq!(n_contents, self.index.len(), "index and contents differ in number");
        for (i, content) in self.contents.iter().enumerate() {
            if let Some(content) = content {
                let found = self.index.get(&content.hash).map(|id| id.0 as usize);
                assert_eq!(found, Some(i), "block {i} is not found under its own name");
            }
        }
        for (hash, pin) in &self.pinned {
            if let Some(id) = pin {
                assert!(self.pool.n_refs(*id) > 0, "pinned block {} is free", id.0);
                assert_eq!(self.index.get(hash), Some(id), "a pinned block lost its name");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashes(tokens: &[TokenId]) -> Vec<BlockHash> {
        let mut hashes = Vec::new();
        extend_hashes(&mut hashes, tokens);
        hashes
    }

    #[test]
    fn a_name_covers_everything_before_the_block() {
        let a: Vec<TokenId> = (0..96).collect();
        let mut b = a.clone();
        b[0] += 1;
        let (a, b) = (hashes(&a), hashes(&b));
        assert_eq!(a.len(), 3);
        assert!(a.iter().zip(&b).all(|(a, b)| a != b));
    }

    #[test]
    fn a_collision_is_a_miss() {
        let tokens = [7; BLOCK];
        let hash = hashes(&tokens)[0];
        let mut cache = BlockCache::new(2);
        let id = cache.take().unwrap();
        cache.publish(id, hash, &tokens);
        assert_eq!(cache.find(hash, &tokens), Some(id));
        assert_eq!(cache.find(hash, &[8; BLOCK]), None);
    }

    #[test]
    fn pins_outlive_every_sequence() {
        let tokens = [7; BLOCK];
        let hash = hashes(&tokens)[0];
        let mut cache = BlockCache::new(2);
        cache.pin(&[hash]);
        let id = cache.take().unwrap();
        cache.publish(id, hash, &tokens);
        cache.give_back(&[id]);
        while let Some(other) = cache.take() {
            assert_ne!(other, id);
        }
        assert_eq!(cache.find(hash, &tokens), Some(id));
        cache.check_integrity();
    }

    #[test]
    fn the_end_of_a_prefix_is_evicted_first() {
        let tokens: Vec<TokenId> = (0..64).collect();
        let names = hashes(&tokens);
        let mut cache = BlockCache::new(2);
        let blocks = [cache.take().unwrap(), cache.take().unwrap()];
        for ((&id, &hash), tokens) in blocks.iter().zip(&names).zip(tokens.chunks(BLOCK)) {
            cache.publish(id, hash, tokens);
        }
        cache.give_back(&blocks);
        assert_eq!(cache.take(), Some(blocks[1]));
        assert_eq!(cache.find(names[0], &tokens[..32]), Some(blocks[0]));
        assert_eq!(cache.find(names[1], &tokens[32..]), None);
    }

    proptest! {
        /// Whatever was written and taken since, what is found is what was asked for.
        #[test]
        fn found_blocks_hold_what_was_asked(
            n_blocks in 1..6usize,
            prompts in prop::collection::vec((0..4u32, 1..4usize), 1..60),
        ) {
            let mut cache = BlockCache::new(n_blocks);
            let mut written = vec![Vec::new(); n_blocks];
            for (first, n) in prompts {
                let places = 0..(n * BLOCK) as u32;
                let tokens: Vec<TokenId> = places.map(|place| place / 40 + first).collect();
                let names = hashes(&tokens);
                let mut held = Vec::new();
                for (i, &hash) in names.iter().enumerate() {
                    let block = &tokens[i * BLOCK..][..BLOCK];
                    if let Some(id) = cache.find(hash, block) {
                        prop_assert_eq!(&written[id.0 as usize], &tokens[..(i + 1) * BLOCK]);
                        cache.hold(id);
                        held.push(id);
                    } else if let Some(id) = cache.take() {
                        written[id.0 as usize] = tokens[..(i + 1) * BLOCK].to_vec();
                        cache.publish(id, hash, block);
                        held.push(id);
                    }
                    cache.check_integrity();
                }
                cache.give_back(&held);
                cache.check_integrity();
            }
            prop_assert_eq!(cache.pool().n_held(), 0);
        }
    }
}
