//! Who runs in the next step, with how many tokens, in which blocks.
//!
//! Pure bookkeeping: no tensor, no model. Requests enter in the order of their numbers, and the
//! number is also the age by which conflicts are settled. Decodes go first, prompts fill what is
//! left of the step. Blocks are given as sequences grow; when none is left the newest sequence
//! gives its own back and is computed again later. The oldest always gets on, and each fits alone
//! (`submit` proves it), so everything ends.

use std::collections::BTreeMap;
use std::ops::Bound;

use stillroom_kernels::paged::{BLOCK, Batch};
use stillroom_kernels::sample::Drawn;

use super::batch;
use super::blocks::BlockId;
use super::budget::EngineLimits;
use super::error::Refusal;
use super::lengths::LengthEstimate;
use super::prefix::{BlockCache, BlockHash, extend_hashes};
use super::request::{Completion, Request, RequestId, TokenId};
use super::sequence::Sequence;
use super::stats::Stats;

/// One block in this many stays free at admission, for the growth of those that run.
const HIGH_WATER_SHARE: usize = 32;
/// Pins may take one block in this many.
const PIN_SHARE: usize = 2;

/// The requests of one engine and the blocks that they hold.
pub struct Scheduler {
    limits: EngineLimits,
    max_context: usize,
    cache: BlockCache,
    waiting: BTreeMap<RequestId, Box<Sequence>>,
    /// Ascending by age.
    #[expect(
        clippy::vec_box,
        reason = "sequences come and go in the middle; pointers move cheaply"
    )]
    running: Vec<Box<Sequence>>,
    /// Requests that were complete before any forward.
    finished: Vec<Completion>,
    lengths: LengthEstimate,
    stats: Stats,
}

impl Scheduler {
    /// An idle scheduler for a model whose sequences hold `max_context` tokens at most.
    ///
    /// # Panics
    /// When the limits contradict each other.
    pub fn new(limits: EngineLimits, max_context: usize) -> Self {
        limits.expect_sound();
        Self {
            limits,
            max_context,
            cache: BlockCache::new(limits.n_blocks),
            waiting: BTreeMap::new(),
            running: Vec::new(),
            finished: Vec::new(),
            lengths: LengthEstimate::new(limits.length_percentile),
            stats: Stats::default(),
        }
    }

    /// Queues a request.
    ///
    /// # Errors
    /// When it can never be answered.
    ///
    /// # Panics
    /// When a request of this number is in flight.
    pub fn submit(&mut self, request: Request) -> Result<(), Refusal> {
        assert!(!self.is_in_flight(request.id), "request {} is in flight", request.id.0);
        let n_prompt = request.prompt.len();
        if n_prompt == 0 {
            return Err(Refusal::EmptyPrompt);
        }
        if request.max_new_tokens == 0 {
            return Err(Refusal::NothingToGenerate);
        }
        if n_prompt >= self.max_context {
            let max_context = self.max_context;
            return Err(Refusal::PromptTooLong { n_tokens: n_prompt, max_context });
        }
        let sequence = Box::new(Sequence::new(request, self.max_context));
        self.expect_room(sequence.n_tokens_max(), self.cache.n_pinned())?;
        if sequence.is_finished() {
            self.finished.push(sequence.into_completion());
        } else {
            self.waiting.insert(sequence.id, sequence);
        }
        Ok(())
    }

    /// Keeps the full blocks of a prefix in memory for good, from the first request on that
    /// computes them. Others with the same prefix wait for that one.
    ///
    /// # Errors
    /// When the pins would take more than half of the blocks, or leave too few for a request in
    /// flight.
    pub fn pin(&mut self, prefix: &[TokenId]) -> Result<(), Refusal> {
        let mut hashes = Vec::new();
        extend_hashes(&mut hashes, prefix);
        let n_pinned = self.cache.n_pinned() + self.cache.n_unpinned(&hashes);
        let n_blocks_max = self.limits.n_blocks / PIN_SHARE;
        if n_pinned > n_blocks_max {
            let (n_tokens, n_blocks) = (prefix.len(), n_pinned);
            return Err(Refusal::KvTooSmall { n_tokens, n_blocks, n_blocks_max });
        }
        let in_flight = self.running.iter().chain(self.waiting.values());
        let longest = in_flight.map(|sequence| sequence.n_tokens_max()).max().unwrap_or(0);
        self.expect_room(longest, n_pinned)?;
        self.cache.pin(&hashes);
        Ok(())
    }

    /// Drops a request; false when it is not in flight.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        if self.waiting.remove(&id).is_some() {
            return true;
        }
        let Ok(at) = self.running.binary_search_by_key(&id, |sequence| sequence.id) else {
            let n_before = self.finished.len();
            self.finished.retain(|completion| completion.id != id);
            return self.finished.len() < n_before;
        };
        let mut sequence = self.running.remove(at);
        release(&mut self.cache, &mut sequence);
        true
    }

    /// Decides the next step; false when there is nothing to run.
    pub fn plan(&mut self) -> bool {
        loop {
            self.running.iter_mut().for_each(|sequence| sequence.n_scheduled = 0);
            let mut n_left = self.limits.n_step_tokens_max;
            self.plan_decodes(&mut n_left);
            self.plan_prefills(&mut n_left);
            self.admit(&mut n_left);
            if self.scheduled().next().is_some() {
                return true;
            }
            if self.running.is_empty() {
                assert!(self.waiting.is_empty(), "an idle engine admits a request that fits");
                return false;
            }
            // Prompts hold all blocks and each waits for more.
            self.preempt_newest();
        }
    }

    /// Makes this step and all later ones smaller, after the planned one did not fit the device;
    /// false when it cannot be smaller. The plan is void: `plan` again.
    pub(super) fn narrow(&mut self) -> bool {
        let n_rows: usize = self.scheduled().map(|sequence| sequence.n_scheduled).sum();
        let narrowed = self.limits.narrowed(n_rows);
        self.stats.n_narrowed += u64::from(narrowed.is_some());
        self.limits = narrowed.unwrap_or(self.limits);
        narrowed.is_some()
    }

    /// The sequences of the planned step, oldest first.
    pub(super) fn scheduled(&self) -> impl Iterator<Item = &Sequence> + Clone {
        self.running.iter().map(|sequence| &**sequence).filter(|sequence| sequence.n_scheduled > 0)
    }

    /// Lays the planned step out as the arrays that a forward reads.
    pub fn fill(&self, batch: &mut Batch) {
        batch::fill(batch, self.scheduled());
    }

    /// Takes the results of the planned step: one [`Drawn`] for each sampled row, in the order of
    /// `scheduled`. Returns what was finished.
    ///
    /// # Panics
    /// When the number of results is not that of the sampled rows.
    pub fn commit(&mut self, drawn: impl IntoIterator<Item = Drawn>) -> Vec<Completion> {
        let mut drawn = drawn.into_iter();
        let mut finished = std::mem::take(&mut self.finished);
        let runs = self.scheduled().next().is_some();
        self.stats.n_steps += u64::from(runs);
        for sequence in self.running.iter_mut().filter(|sequence| sequence.n_scheduled > 0) {
            self.stats.n_sequence_steps += 1;
            match sequence.n_scheduled {
                1 => self.stats.n_decode_tokens += 1,
                n => self.stats.n_prefill_tokens += n as u64,
            }
            let n_sampled = sequence.n_sampled();
            let mut n_taken = 0;
            sequence.commit(drawn.by_ref().take(n_sampled).inspect(|_| n_taken += 1));
            assert_eq!(n_taken, n_sampled, "a result for each sampled row");
            publish(&mut self.cache, sequence);
            if sequence.is_finished() {
                release(&mut self.cache, sequence);
            }
        }
        assert!(drawn.next().is_none(), "a sampled row for each result");
        for sequence in self.running.extract_if(.., |sequence| sequence.is_finished()) {
            self.lengths.record(sequence.n_generated());
            self.stats.n_finished += 1;
            self.stats.n_generated_tokens += sequence.n_generated() as u64;
            finished.push(sequence.into_completion());
        }
        finished
    }

    /// Requests in flight.
    pub fn n_in_flight(&self) -> usize {
        self.waiting.len() + self.running.len() + self.finished.len()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        Stats { n_blocks_peak: self.cache.pool().n_held_peak(), ..self.stats }
    }

    /// The limits that the scheduler was made with.
    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    /// Decodes go first: each is one row (or a probe) and brings its sequence a token further.
    fn plan_decodes(&mut self, n_left: &mut usize) {
        let mut at = 0;
        while at < self.running.len() && *n_left > 0 {
            if self.running[at].is_decoding() {
                let n_rows = self.running[at].n_pending().min(*n_left);
                while !self.grow(at, n_rows) {
                    self.preempt_newest();
                    if at == self.running.len() {
                        assert!(at > 0, "a sequence alone in the pool fits");
                        return;
                    }
                }
                *n_left -= n_rows;
            }
            at += 1;
        }
    }

    /// Prompts and forced text fill the rest. They take only free blocks: a decode is not undone
    /// for a prompt.
    fn plan_prefills(&mut self, n_left: &mut usize) {
        for at in 0..self.running.len() {
            if !self.running[at].is_decoding() {
                *n_left -= self.plan_chunk(at, *n_left);
            }
        }
    }

    /// Schedules as many pending tokens as rows and free blocks allow, and says how many.
    fn plan_chunk(&mut self, at: usize, n_left: usize) -> usize {
        let sequence = &self.running[at];
        let n_slots = (sequence.blocks.len() + self.cache.pool().n_free()) * BLOCK;
        let n_rows = sequence.n_pending().min(n_left).min(n_slots - sequence.n_computed);
        let fits = self.grow(at, n_rows);
        assert!(fits, "{n_rows} rows were cut to the free blocks");
        n_rows
    }

    /// Schedules `n_rows` of a sequence and takes the blocks for them; false, with nothing
    /// changed, when too few are free.
    fn grow(&mut self, at: usize, n_rows: usize) -> bool {
        let sequence = &mut self.running[at];
        let n_blocks = EngineLimits::blocks_for(sequence.n_computed + n_rows);
        let n_missing = n_blocks.saturating_sub(sequence.blocks.len());
        if n_missing > self.cache.pool().n_free() {
            return false;
        }
        let cache = &mut self.cache;
        sequence.blocks.extend(std::iter::from_fn(|| cache.take()).take(n_missing));
        sequence.n_scheduled = n_rows;
        true
    }

    fn preempt_newest(&mut self) {
        let mut sequence = self.running.pop().expect("somebody runs");
        release(&mut self.cache, &mut sequence);
        sequence.forget_kv();
        self.stats.n_preemptions += 1;
        self.waiting.insert(sequence.id, sequence);
    }

    /// Lets waiting requests in, oldest first, for as long as rows, places and blocks last. One
    /// that waits for a twin's prefix is passed over and keeps its place in the batch.
    fn admit(&mut self, n_left: &mut usize) {
        let n_places = self.limits.n_sequences_max - self.running.len();
        let mut n_reserved = None;
        let mut after = Bound::Unbounded;
        for _ in 0..n_places {
            if *n_left == 0 {
                return;
            }
            let Some(sequence) = self.waiting.range_mut((after, Bound::Unbounded)).next() else {
                return;
            };
            let (&id, sequence) = sequence;
            after = Bound::Excluded(id);
            if sequence.waits_for.is_some_and(|hash| self.cache.is_promised(hash)) {
                continue;
            }
            let cached = match find_prefix(&self.cache, sequence) {
                Prefix::Promised(hash) => {
                    sequence.waits_for = Some(hash);
                    continue;
                }
                Prefix::Written(blocks) => blocks,
            };
            let sequence = &self.waiting[&id];
            let n_reserved = n_reserved.get_or_insert_with(|| self.n_blocks_reserved());
            let n_needed = self.n_blocks_expected(sequence) - cached.len();
            let n_revived = cached.iter().filter(|&&id| self.cache.pool().n_refs(id) == 0).count();
            let n_kept = *n_reserved + self.limits.n_blocks / HIGH_WATER_SHARE;
            let fits = n_kept + n_needed + n_revived <= self.cache.pool().n_free();
            if !fits && !self.running.is_empty() {
                return;
            }
            let sequence = self.waiting.remove(&id).expect("it was just seen");
            let at = self.enter(sequence, cached);
            let n_blocks_before = self.running[at].blocks.len();
            *n_left -= self.plan_chunk(at, *n_left);
            *n_reserved += n_needed - (self.running[at].blocks.len() - n_blocks_before);
        }
    }

    /// Puts a sequence among those that run, on top of the blocks that are written already.
    fn enter(&mut self, mut sequence: Box<Sequence>, cached: Vec<BlockId>) -> usize {
        cached.iter().for_each(|&id| self.cache.hold(id));
        sequence.enter(cached);
        let (from, to) = sequence.promised;
        sequence.hashes[from..to].iter().for_each(|&hash| self.cache.promise(hash));
        if sequence.n_cached.is_none() {
            let n_cached = sequence.n_computed.min(sequence.n_prompt());
            sequence.n_cached = Some(n_cached);
            self.stats.n_prompt_tokens += sequence.n_prompt() as u64;
            self.stats.n_cached_tokens += n_cached as u64;
        }
        let n_recomputed = sequence.n_lost.saturating_sub(sequence.n_computed);
        self.stats.n_recomputed_tokens += n_recomputed as u64;
        let at = self.running.partition_point(|other| other.id < sequence.id);
        self.running.insert(at, sequence);
        at
    }

    /// Blocks that a sequence will probably fill.
    fn n_blocks_expected(&self, sequence: &Sequence) -> usize {
        let n_new = self.lengths.expected().unwrap_or(usize::MAX);
        let n_expected = sequence.n_prompt().saturating_add(n_new);
        // One that is longer than expected already gets another block.
        let n_more = if self.limits.length_percentile == 0 { 1 } else { BLOCK };
        let n_tokens = n_expected.max(sequence.tokens().len() + n_more);
        EngineLimits::blocks_for(n_tokens.min(sequence.n_tokens_max()))
    }

    /// Blocks that those that run will probably still ask for.
    fn n_blocks_reserved(&self) -> usize {
        let growth = |s: &Sequence| self.n_blocks_expected(s).saturating_sub(s.blocks.len());
        self.running.iter().map(|sequence| growth(sequence)).sum()
    }

    /// Proves that a sequence of `n_tokens` fits beside `n_pinned` blocks.
    fn expect_room(&self, n_tokens: usize, n_pinned: usize) -> Result<(), Refusal> {
        let n_blocks = EngineLimits::blocks_for(n_tokens);
        let n_blocks_max = self.limits.n_blocks - n_pinned;
        if n_blocks > n_blocks_max {
            return Err(Refusal::KvTooSmall { n_tokens, n_blocks, n_blocks_max });
        }
        Ok(())
    }

    fn is_in_flight(&self, id: RequestId) -> bool {
        self.waiting.contains_key(&id)
            || self.running.binary_search_by_key(&id, |sequence| sequence.id).is_ok()
            || self.finished.iter().any(|completion| completion.id == id)
    }
}

/// How much of a sequence is in memory.
enum Prefix {
    /// These blocks; what follows is for the sequence to compute.
    Written(Vec<BlockId>),
    /// Somebody is about to write the next block that it could use.
    Promised(BlockHash),
}

/// Looks for the blocks of a waiting sequence. Its last token is always computed anew, since the
/// draw needs that row's logits; and so is what stands before it in the same block. A copy of
/// that block would save some rows of a chunk, at most 31, and cost a copying op on every device.
fn find_prefix(cache: &BlockCache, sequence: &mut Sequence) -> Prefix {
    sequence.extend_hashes();
    let mut blocks = Vec::new();
    let usable = sequence.tokens()[..sequence.tokens().len() - 1].chunks_exact(BLOCK);
    for (tokens, &hash) in usable.zip(&sequence.hashes) {
        match cache.find(hash, tokens) {
            Some(id) => blocks.push(id),
            None if cache.is_promised(hash) => return Prefix::Promised(hash),
            None => break,
        }
    }
    Prefix::Written(blocks)
}

/// Makes the blocks findable that the last step filled.
fn publish(cache: &mut BlockCache, sequence: &mut Sequence) {
    let n_full = sequence.n_computed.min(sequence.tokens().len()) / BLOCK;
    if n_full == sequence.n_published {
        return;
    }
    sequence.extend_hashes();
    for at in sequence.n_published..n_full {
        let tokens = &sequence.tokens()[at * BLOCK..][..BLOCK];
        cache.publish(sequence.blocks[at], sequence.hashes[at], tokens);
    }
    sequence.n_published = n_full;
    let kept = sequence.promised.0..sequence.promised.1.min(n_full).max(sequence.promised.0);
    sequence.promised.0 = kept.end;
    sequence.hashes[kept].iter().for_each(|&hash| cache.unpromise(hash));
}

/// Takes all blocks and promises of a sequence back.
fn release(cache: &mut BlockCache, sequence: &mut Sequence) {
    let (from, to) = std::mem::take(&mut sequence.promised);
    sequence.hashes[from..to].iter().for_each(|&hash| cache.unpromise(hash));
    cache.give_back(&std::mem::take(&mut sequence.blocks));
    sequence.n_published = 0;
}

mod integrity;
