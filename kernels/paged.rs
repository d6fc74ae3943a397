//! The layout of paged KV memory and of one ragged batch.
//!
//! A block holds [`BLOCK`] tokens; a slot is one token's place (`block * BLOCK + offset`). The
//! batch is plain host memory, built by the engine and uploaded once per forward, so that every
//! op reads the same indices. Nothing here decides who runs: that is the scheduler's work.

use std::sync::OnceLock;

use candle_core::{DType, Device, Result, Tensor};

use crate::paged_attention::portable::Gather;

/// Tokens in one block. 32 is what candle's paged flash attention asks for on CUDA, and one
/// layout on all devices keeps one engine.
pub const BLOCK: usize = 32;

/// The ragged rows of one forward: `b` sequences with `t` query tokens in all.
///
/// Row `r` of sequence `j` lies in `starts[j]..starts[j + 1]`. A decode is a sequence with one
/// row, a prefill chunk one with more; nothing else tells them apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// `[t]` token ids.
    pub tokens: Vec<u32>,
    /// `[t]` place of each token in its own sequence, counted from 0.
    pub positions: Vec<u32>,
    /// `[t]` slot that receives each token's key and value.
    pub slots: Vec<u32>,
    /// `[b + 1]` first row of each sequence, then `t`.
    pub starts: Vec<u32>,
    /// `[b]` tokens of each sequence that lie in KV once this forward has written its own.
    pub contexts: Vec<u32>,
    /// `[b, table_width]` blocks of each sequence in order, padded with 0.
    pub tables: Vec<u32>,
    /// Blocks per row of `tables`.
    pub table_width: usize,
    /// `[s]` rows whose logits are wanted, ascending.
    pub sample_rows: Vec<u32>,
}

impl Batch {
    /// Number of sequences, `b`.
    pub fn n_sequences(&self) -> usize {
        self.contexts.len()
    }

    /// Number of rows, `t`.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Blocks of sequence `j`, as many as its context fills.
    pub fn table(&self, j: usize) -> &[u32] {
        let n_blocks = (self.contexts[j] as usize).div_ceil(BLOCK);
        &self.tables[j * self.table_width..][..n_blocks]
    }
}

/// A batch whose indices also lie on the model's device: what every op of a forward takes.
///
/// CPU paths read the host vectors of `host`; the others read the tensors, all u32. They are
/// uploaded once a forward, as parts of one buffer, and shared by its layers.
#[derive(Debug)]
pub struct BatchOn<'a> {
    /// The same indices in host memory.
    pub host: &'a Batch,
    /// `[t]` token ids.
    pub tokens: Tensor,
    /// `[t]` positions.
    pub positions: Tensor,
    /// `[t]` slots.
    pub slots: Tensor,
    /// `[b + 1]` first row of each sequence, then `t`.
    pub starts: Tensor,
    /// `[b]` tokens of each sequence.
    pub contexts: Tensor,
    /// `[b * table_width]` blocks of each sequence.
    pub tables: Tensor,
    /// `[s]` rows whose logits are wanted.
    pub sample_rows: Tensor,
    /// What portable attention gathers by; made by the first layer that asks.
    pub(crate) gather: OnceLock<Gather>,
    /// What attention on CUDA is planned as, likewise.
    #[cfg(feature = "cuda")]
    pub(crate) planned: OnceLock<crate::paged_attention::cuda::Planned>,
}

impl Batch {
    /// Copies the indices to `device`, once for all layers of a forward.
    ///
    /// # Errors
    /// When the device refuses the memory.
    ///
    /// # Panics
    /// When the vectors' lengths do not fit one another: that is our own fault, and no op looks
    /// again.
    pub fn upload(&self, device: &Device) -> Result<BatchOn<'_>> {
        self.assert_consistent();
        let joined = self.joined();
        let n_joined = joined.len();
        self.on(&Tensor::from_vec(joined, n_joined, device)?)
    }

    /// All indices, one vector behind the other.
    fn joined(&self) -> Vec<u32> {
        let parts = [
            &self.tokens,
            &self.positions,
            &self.slots,
            &self.starts,
            &self.contexts,
            &self.tables,
            &self.sample_rows,
        ];
        parts.map(Vec::as_slice).concat()
    }

    /// The batch whose indices `joined` begins with.
    fn on(&self, joined: &Tensor) -> Result<BatchOn<'_>> {
        let mut start = 0;
        let mut part = |host: &[u32]| {
            start += host.len();
            joined.narrow(0, start - host.len(), host.len())
        };
        Ok(BatchOn {
            host: self,
            tokens: part(&self.tokens)?,
            positions: part(&self.positions)?,
            slots: part(&self.slots)?,
            starts: part(&self.starts)?,
            contexts: part(&self.contexts)?,
            tables: part(&self.tables)?,
            sample_rows: part(&self.sample_rows)?,
            gather: OnceLock::new(),
            #[cfg(feature = "cuda")]
            planned: OnceLock::new(),
        })
    }

    /// Rows of sequence `j`.
    pub fn rows(&self, j: usize) -> std::ops::Range<usize> {
        self.starts[j] as usize..self.starts[j + 1] as usize
    }

    fn assert_consistent(&self) {
        let (t, b) = (self.n_tokens(), self.n_sequences());
        assert_eq!(self.positions.len(), t, "positions");
        assert_eq!(self.slots.len(), t, "slots");
        assert_eq!(self.starts.len(), b + 1, "starts");
        assert_eq!(self.tables.len(), b * self.table_width, "tables");
        assert_eq!(
            self.starts.last().map(|&end| end as usize),
            Some(t),
            "end of the last sequence"
        );
        assert!(self.sample_rows.iter().all(|&row| (row as usize) < t), "sample rows");
        for j in 0..b {
            assert!(self.starts[j] < self.starts[j + 1], "sequence {j} has no row");
            let n_blocks = (self.contexts[j] as usize).div_ceil(BLOCK);
            assert!(n_blocks <= self.table_width, "context of sequence {j}");
            let beyond = self.rows(j).find(|&row| self.positions[row] >= self.contexts[j]);
            assert_eq!(beyond, None, "row of sequence {j} beyond its context");
        }
    }
}

/// Keys and values of one layer, each `[n, BLOCK, hkv, d]`.
#[derive(Debug, Clone)]
pub struct KvLayer {
    /// Keys, rotated.
    pub k: Tensor,
    /// Values.
    pub v: Tensor,
}

/// The block memory of one model: the same `n` blocks in every layer.
#[derive(Debug, Clone)]
pub struct KvPool {
    /// One entry a layer.
    pub layers: Vec<KvLayer>,
    /// Blocks in each layer.
    pub n_blocks: usize,
    /// Where a step's indices lie on a device with memory of its own: one place for all steps, so
    /// that equal shapes find them at equal addresses.
    #[cfg(feature = "cuda")]
    indices: Option<Tensor>,
}

/// What a pool for one model looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Layers of the model.
    pub n_layers: usize,
    /// Key/value heads.
    pub n_kv_heads: usize,
    /// Size of one head.
    pub head_dim: usize,
    /// Element type of keys and values.
    pub dtype: DType,
}

impl KvShape {
    /// Bytes that one block costs over all layers, keys and values together.
    pub fn block_bytes(&self) -> usize {
        2 * self.n_layers * BLOCK * self.n_kv_heads * self.head_dim * self.dtype.size_in_bytes()
    }
}

impl KvPool {
    /// Allocates `n_blocks` zeroed blocks in every layer.
    pub fn new(shape: &KvShape, n_blocks: usize, device: &Device) -> Result<Self> {
        let dims = (n_blocks, BLOCK, shape.n_kv_heads, shape.head_dim);
        let layers = (0..shape.n_layers)
            .map(|_| {
                Ok(KvLayer {
                    k: Tensor::zeros(dims, shape.dtype, device)?,
                    v: Tensor::zeros(dims, shape.dtype, device)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self::of(layers, n_blocks))
    }

    /// A pool of these layers; none for a model without any.
    pub fn of(layers: Vec<KvLayer>, n_blocks: usize) -> Self {
        Self {
            layers,
            n_blocks,
            #[cfg(feature = "cuda")]
            indices: None,
        }
    }

    /// [`Batch::upload`] to the pool's own place, on a device that has one.
    ///
    /// # Errors
    /// When the device refuses the memory.
    ///
    /// # Panics
    /// As [`Batch::upload`].
    pub fn upload<'a>(&mut self, batch: &'a Batch, device: &Device) -> Result<BatchOn<'a>> {
        #[cfg(feature = "cuda")]
        if device.is_cuda() {
            batch.assert_consistent();
            let joined = batch.joined();
            let indices = crate::cuda::refill(&mut self.indices, &joined, device)?;
            return batch.on(indices);
        }
        batch.upload(device)
    }

    /// Gives back what the device's own pool holds in reserve, so that the memory can be had in
    /// other pieces. Waits for all work of the device.
    ///
    /// # Errors
    /// When work on the device has failed.
    pub fn release_reserve(&self) -> Result<()> {
        match self.layers.first().map(|layer| layer.k.device()) {
            #[cfg(feature = "cuda")]
            Some(Device::Cuda(device)) => crate::cuda::trim(device),
            _ => Ok(()),
        }
    }
}
