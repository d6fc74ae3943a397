//! The launch that draws one token for each row on the device, and what comes back of it.
//!
//! A [`Plan`] packs the rows' parameters into one list of words, which is uploaded; the kernel leaves
//! four words a row and the reported log-probabilities. Nothing else crosses, least of all logits.

use super::{Drawn, RowParams, SampleError};
use crate::launch::{Arg, Float, Launch, dim, threads_for};

/// Most tokens of a vocabulary: sums of weights have room for so many.
pub const VOCABULARY_MAX: usize = 1 << 19;

/// Words of one row's parameters, as `Row` in `kernel.cu` has them.
const ROW_WORDS: usize = 24;

/// Words that come back for each row.
const OUT_WORDS: usize = 4;

/// Shared memory of a block; `SHARED_BYTES` in `kernel.cu`.
const SHARED_BYTES: u32 = 20_480;

const N_THREADS_MAX: usize = 1024;

/// Addresses for [`Plan::launch`].
#[derive(Debug, Clone, Copy)]
pub struct Pointers {
    /// `[s, v]`.
    pub logits: u64,
    /// [`Plan::words`], uploaded.
    pub words: u64,
    /// `[s, v]` f32 of any content.
    pub workspace: u64,
    /// [`Plan::n_out`] u32, written.
    pub out: u64,
}

/// One draw for each row of some logits.
#[derive(Debug, Clone)]
pub struct Plan {
    n_rows: usize,
    v: usize,
    /// The rows' parameters, then their lists.
    words: Vec<u32>,
    /// Tokens that each row reports.
    n_reported: Vec<usize>,
}

impl Plan {
    /// Packs the parameters of rows over a vocabulary of `v` tokens.
    ///
    /// # Panics
    /// When a parameter or a token lies outside its range, or `v` above [`VOCABULARY_MAX`].
    pub fn new(params: &[RowParams<'_>], v: usize) -> Self {
        assert!(v <= VOCABULARY_MAX, "a vocabulary of {v}");
        let mut lists = Lists { start: params.len() * ROW_WORDS, words: Vec::new() };
        let mut words = Vec::with_capacity(lists.start);
        let mut n_reported_before = 0;
        for params in params {
            params.assert_valid(v);
            words.extend(row_words(params, &mut lists, n_reported_before));
            n_reported_before += params.report.len();
        }
        words.extend(lists.words);
        let n_reported = params.iter().map(|params| params.report.len()).collect();
        Self { n_rows: params.len(), v, words, n_reported }
    }

    /// What to upload.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Words that come back.
    pub fn n_out(&self) -> usize {
        self.n_rows * OUT_WORDS + self.n_reported.iter().sum::<usize>()
    }

    /// The launch over logits of type `float`.
    pub fn launch(&self, float: Float, at: &Pointers) -> Launch {
        let pointers = [at.logits, at.words, at.workspace, at.out].map(Arg::Pointer);
        Launch {
            op: "sample",
            kernel: format!("sample_{float}"),
            grid: [dim(self.n_rows), 1, 1],
            n_threads: threads_for(self.v, N_THREADS_MAX),
            shared_bytes: SHARED_BYTES,
            args: pointers.into_iter().chain([Arg::U32(dim(self.v))]).collect(),
        }
    }

    /// What was drawn, from the words that came back.
    ///
    /// # Errors
    /// Names the first row that holds NaN, or that leaves nothing to draw.
    ///
    /// # Panics
    /// When there are not [`Plan::n_out`] words.
    pub fn read(&self, out: &[u32]) -> Result<Vec<Drawn>, SampleError> {
        assert_eq!(out.len(), self.n_out(), "words of a draw");
        let (rows, mut reported) = out.split_at(self.n_rows * OUT_WORDS);
        let rows = rows.chunks_exact(OUT_WORDS).zip(&self.n_reported).enumerate();
        rows.map(|(row, (words, &n_reported))| {
            let (mine, rest) = reported.split_at(n_reported);
            reported = rest;
            let (token, value) = (words[0], f32::from_bits(words[1]));
            match words[2] {
                0 => Ok(Drawn {
                    token,
                    logprob: value,
                    reported: mine.iter().map(|&bits| f32::from_bits(bits)).collect(),
                }),
                1 => Err(SampleError::NotANumber { row, index: token as usize, value }),
                _ => Err(SampleError::NothingLeft { row }),
            }
        })
        .collect()
    }
}

/// The lists of all rows, which will lie at word `start`.
struct Lists {
    start: usize,
    words: Vec<u32>,
}

impl Lists {
    /// Appends a list; returns its first word and its number of entries of `width` words.
    fn push(&mut self, words: impl IntoIterator<Item = u32>, width: usize) -> [u32; 2] {
        let first = self.words.len();
        self.words.extend(words);
        [dim(self.start + first), dim((self.words.len() - first) / width)]
    }
}

fn row_words(
    params: &RowParams<'_>,
    lists: &mut Lists,
    n_reported_before: usize,
) -> [u32; ROW_WORDS] {
    let [seen, n_seen] = lists.push(params.seen.iter().copied(), 1);
    let counts = params.counts.iter().flat_map(|&(token, count)| [token, count]);
    let [counts, n_counts] = lists.push(counts, 2);
    // Entries of one token side by side, in the order given: one thread adds them.
    let mut bias = params.bias.to_vec();
    bias.sort_by_key(|&(token, _)| token);
    let bias = bias.into_iter().flat_map(|(token, bias)| [token, bias.to_bits()]);
    let [bias, n_bias] = lists.push(bias, 2);
    let [mask, n_mask] = lists.push(params.mask.unwrap_or_default().iter().copied(), 1);
    let [report, n_report] = lists.push(params.report.iter().copied(), 1);
    [
        params.temperature.to_bits(),
        // More than a vocabulary is all of it.
        u32::try_from(params.top_k).unwrap_or(0),
        params.top_p.to_bits(),
        params.min_p.to_bits(),
        params.repetition_penalty.to_bits(),
        params.presence_penalty.to_bits(),
        params.frequency_penalty.to_bits(),
        u32::from(params.adjusts()),
        seen,
        n_seen,
        counts,
        n_counts,
        bias,
        n_bias,
        u32::from(params.mask.is_some()),
        mask,
        n_mask,
        report,
        n_report,
        dim(n_reported_before),
        params.key as u32,
        (params.key >> 32) as u32,
        params.position as u32,
        (params.position >> 32) as u32,
    ]
}
