//! A model that remembers which token was written to which slot, and computes logits from nothing
//! but what it reads back: a wrong block, slot, position or table changes the answer or fails.

use std::cell::RefCell;

use candle_core::{DType, Device, Result, Tensor};
use stillroom_kernels::paged::{BLOCK, Batch, KvPool, KvShape};
use stillroom_models::Model;

/// Small enough that a top-k or a mask often decides.
pub(crate) const VOCAB_SIZE: usize = 24;

/// The fake.
pub(crate) struct Fake {
    max_context: usize,
    /// `[n * BLOCK]` token and position of each slot.
    slots: RefCell<Vec<Option<(u32, u32)>>>,
    /// A context that ends in this token gets NaN in its logits.
    poison: Option<u32>,
    /// A step of more rows finds no memory.
    n_rows_max: usize,
}

impl Fake {
    pub(crate) fn new(max_context: usize) -> Self {
        let slots = RefCell::new(Vec::new());
        Self { max_context, slots, poison: None, n_rows_max: usize::MAX }
    }

    pub(crate) fn cramped(max_context: usize, n_rows_max: usize) -> Self {
        Self { n_rows_max, ..Self::new(max_context) }
    }

    pub(crate) fn poisoned(max_context: usize, token: u32) -> Self {
        Self { poison: Some(token), ..Self::new(max_context) }
    }

    /// `[v]` the logits behind a context.
    pub(crate) fn logits(&self, context: &[u32]) -> Vec<f32> {
        let start = 0xcbf2_9ce4_8422_2325u64;
        let hash = context.iter().fold(start, |hash, &token| mix(hash ^ u64::from(token)));
        let poisoned = self.poison.is_some() && self.poison == context.last().copied();
        (0..VOCAB_SIZE as u64)
            .map(|token| match poisoned && token == 5 {
                true => f32::NAN,
                false => (mix(hash ^ mix(token + 1)) >> 40) as f32 / (1 << 24) as f32 * 8.0 - 4.0,
            })
            .collect()
    }

    fn write(&self, batch: &Batch) {
        let mut slots = self.slots.borrow_mut();
        let mut written = std::collections::HashSet::new();
        let rows = batch.slots.iter().zip(&batch.tokens).zip(&batch.positions);
        for ((&slot, &token), &position) in rows {
            assert!(written.insert(slot), "slot {slot} is written twice in one step");
            slots[slot as usize] = Some((token, position));
        }
    }

    /// What sequence `j` finds in KV memory, through its table.
    fn context(&self, batch: &Batch, j: usize) -> Vec<u32> {
        let slots = self.slots.borrow();
        let table = batch.table(j);
        (0..batch.contexts[j] as usize)
            .map(|place| {
                let slot = table[place / BLOCK] as usize * BLOCK + place % BLOCK;
                let (token, position) = slots[slot].expect("a slot that was written");
                assert_eq!(position as usize, place, "slot {slot} belongs to another place");
                token
            })
            .collect()
    }
}

impl Model for Fake {
    fn vocab_size(&self) -> usize {
        VOCAB_SIZE
    }

    fn max_context(&self) -> usize {
        self.max_context
    }

    fn kv_shape(&self) -> KvShape {
        KvShape { n_layers: 1, n_kv_heads: 1, head_dim: 2, dtype: DType::F32 }
    }

    fn new_kv(&self, n_blocks: usize) -> Result<KvPool> {
        *self.slots.borrow_mut() = vec![None; n_blocks * BLOCK];
        Ok(KvPool::of(Vec::new(), n_blocks))
    }

    fn forward(&self, batch: &Batch, _: &mut KvPool) -> Result<Tensor> {
        self.write(batch);
        if batch.n_tokens() > self.n_rows_max {
            // What a driver says, in the middle of a forward whose first layers are done.
            let text = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
            return Err(candle_core::Error::Cuda(text.into()));
        }
        let mut logits = Vec::new();
        let mut wanted = batch.sample_rows.iter().copied().peekable();
        for j in 0..batch.n_sequences() {
            let context = self.context(batch, j);
            let (first, end) = (batch.starts[j], batch.starts[j + 1]);
            assert!(first < end, "a sequence without rows");
            let own = &batch.tokens[first as usize..end as usize];
            assert!(context.ends_with(own), "a sequence does not end in its own rows");
            while let Some(row) = wanted.next_if(|&row| row < end) {
                let n_seen = context.len() - (end - 1 - row) as usize;
                logits.extend(self.logits(&context[..n_seen]));
            }
        }
        assert_eq!(wanted.next(), None, "sampled rows are ascending and inside the batch");
        Tensor::from_vec(logits, (batch.sample_rows.len(), VOCAB_SIZE), &Device::Cpu)
    }
}

/// SplitMix64.
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A stream of seeded numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// A number in the range.
    pub(crate) fn pick(&mut self, range: std::ops::Range<usize>) -> usize {
        range.start + (self.next() % range.len() as u64) as usize
    }

    /// True in one of `n` cases.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.pick(0..n) == 0
    }

    pub(crate) fn tokens(&mut self, n: usize) -> Vec<u32> {
        (0..n).map(|_| self.pick(0..VOCAB_SIZE) as u32).collect()
    }
}
