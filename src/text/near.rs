//! Whether two texts say the same: equal once normalised, or nearly equal by their shingles.
//!
//! It must not know what the texts are for, nor keep them: an index holds some hundred bytes a
//! text, however long the text was, and asks its caller for the few that it must look at again.
//!
//! [`normalise`] undoes what no reader sees: how a character is encoded, which blanks part two
//! words, characters without a shape. It keeps case and compatibility forms, because they carry
//! meaning where pairs are made: an answer in capitals may be what was asked for, `True` is not
//! `true`, and `x²` is not `x2`. Shingles ask for likeness, not for equality, and so fold case.
//!
//! A shingle is five characters, not some words: many scripts put no blanks between words, and
//! prompts are too short for word shingles to tell much. Likeness is the Jaccard index of two
//! texts' sets of shingles. MinHash only finds candidates, and bands of its slots are chosen so
//! that one in a thousand at the threshold is missed; what counts is the index itself, computed
//! from the texts, so that nothing is called alike that is not.

use std::borrow::Cow;
use std::collections::HashMap;

use unicode_normalization_alignments::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Characters of a shingle.
const N_SHINGLE_CHARS: usize = 5;

/// A shingle is hashed as a number with its characters for digits. Odd and without a pattern, so
/// that two shingles with one sum modulo 2^64 are as rare as chance has it.
const RADIX: u64 = 0x9fb2_1c65_1e98_df25;

/// Slots of a sketch.
const N_SLOTS: usize = 128;

/// Share of the pairs just at the threshold that the bands may miss.
const MISS_MAX: f64 = 1e-3;

/// Texts that one bucket of one band keeps: the first ones. Texts out of one mould fill a bucket,
/// and without a limit each would be compared with all before it.
const N_BUCKET_MAX: u32 = 128;

/// Candidates that are compared with a text: those that share the most bands with it.
const N_COMPARED_MAX: usize = 64;

/// The text as a reader sees it: composed characters (NFC), each run of blanks one blank, none at
/// either end, no byte order marks, zero-width blanks, word joiners or soft hyphens.
///
/// Line breaks count as blanks: two answers that differ in their layout only teach nothing that a
/// preference should teach. Two programs that differ in indentation are taken for equal too; the
/// other mistake, a pair of equal texts, costs more.
pub fn normalise(text: &str) -> Cow<'_, str> {
    let composed = compose(text);
    if is_tidy(&composed) {
        return composed;
    }
    let mut tidy = String::with_capacity(composed.len());
    let mut is_parted = false;
    for c in composed.chars().filter(|c| !is_shapeless(*c)) {
        if c.is_whitespace() {
            is_parted = !tidy.is_empty();
            continue;
        }
        if std::mem::take(&mut is_parted) {
            tidy.push(' ');
        }
        tidy.push(c);
    }
    // What stood apart may compose once a shapeless character between is gone.
    Cow::Owned(compose(&tidy).into_owned())
}

/// The text in Unicode's composed form. Below U+0300 nothing composes, and nothing need be looked up.
fn compose(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c < '\u{300}') {
        return Cow::Borrowed(text);
    }
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(text.nfc().map(|(c, _)| c).collect()),
    }
}

fn is_tidy(text: &str) -> bool {
    let mut before = ' ';
    for c in text.chars() {
        if is_shapeless(c) || (c.is_whitespace() && (c != ' ' || before == ' ')) {
            return false;
        }
        before = c;
    }
    text.is_empty() || before != ' '
}

/// Characters that are not seen and change nothing beside them. Joiners that shape letters and
/// emoji (U+200C, U+200D) are not among them.
fn is_shapeless(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// The set of a text's shingles, as hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shingles {
    /// `[shingles]` sorted, none twice.
    hashes: Vec<u64>,
}

impl Shingles {
    /// The shingles of the normalised text in lower case. A text shorter than a shingle is one by
    /// itself, and an empty one has none.
    pub fn of(text: &str) -> Self {
        let text = normalise(text);
        let mut chars: Vec<char> = Vec::with_capacity(text.len());
        for c in text.chars() {
            if c.is_ascii() {
                chars.push(c.to_ascii_lowercase());
            } else {
                chars.extend(c.to_lowercase());
            }
        }
        let n_chars = chars.len().clamp(1, N_SHINGLE_CHARS);
        let push = |sum: u64, c: &char| sum.wrapping_mul(RADIX).wrapping_add(u64::from(*c));
        let hash = |shingle: &[char]| mix(shingle.iter().fold(shingle.len() as u64, push));
        let mut hashes: Vec<u64> = chars.windows(n_chars).map(hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        Self { hashes }
    }

    /// Shingles in both over shingles in either, from 0 to 1; two empty sets are equal.
    pub fn jaccard(&self, other: &Self) -> f64 {
        let (mut left, mut right) = (self.hashes.iter().peekable(), other.hashes.iter().peekable());
        let mut n_both = 0;
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let order = a.cmp(b);
            n_both += usize::from(order.is_eq());
            if order.is_le() {
                left.next();
            }
            if order.is_ge() {
                right.next();
            }
        }
        let n_either = self.hashes.len() + other.hashes.len() - n_both;
        if n_either == 0 { 1.0 } else { n_both as f64 / n_either as f64 }
    }

    /// `[slots]` a MinHash sketch; two sketches agree in a share of slots near the Jaccard index.
    ///
    /// Round after round throws all shingles into slots, and a slot keeps the least of the first
    /// round that reached it (Dahlgaard, Knudsen, Thorup: Fast Similarity Sketching, 2017). A long
    /// text fills its slots in a round or two, where the classic way hashes each shingle once for
    /// each slot; in the last rounds every slot takes its share by force, so that a short text
    /// fills them too. Empty only for a text without shingles.
    fn sketch(&self, seed: u64) -> Vec<u32> {
        let n_slots = N_SLOTS as u64;
        let mut slots = vec![(u64::MAX, 0_u32); if self.hashes.is_empty() { 0 } else { N_SLOTS }];
        for round in 0..2 * n_slots {
            if slots.iter().all(|(filled, _)| *filled < round) {
                break;
            }
            let key = mix(seed ^ mix(round));
            for hash in &self.hashes {
                let hash = mix(hash ^ key);
                let slot = if round < n_slots { hash % n_slots } else { round - n_slots };
                let (filled, least) = &mut slots[slot as usize];
                let value = (hash >> 32) as u32;
                if *filled == u64::MAX || (*filled == round && value < *least) {
                    (*filled, *least) = (round, value);
                }
            }
        }
        slots.into_iter().map(|(_, least)| least).collect()
    }
}

/// A text that is like one in the index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The number under which it was put in.
    pub number: u32,
    /// The Jaccard index of the two, at least the threshold.
    pub jaccard: f64,
}

/// Texts seen so far, each findable by its likes.
#[derive(Debug)]
pub struct NearIndex {
    threshold: f64,
    seed: u64,
    /// Slots of a band.
    n_band_slots: usize,
    /// The buckets by band and content: the last link of the chain, and its length.
    buckets: HashMap<u64, (u32, u32)>,
    /// Chains through all buckets: a text's number, and the link before it.
    links: Vec<(u32, u32)>,
}

/// The link before the first of a chain.
const NO_LINK: u32 = u32::MAX;

impl NearIndex {
    /// An empty index of texts that are alike from a Jaccard index of `threshold` on, above 0 and
    /// up to 1. The seed decides which of the rarely missed pairs are missed, nothing else.
    pub fn new(threshold: f64, seed: u64) -> Self {
        assert!(threshold > 0.0 && threshold <= 1.0, "a threshold is above 0 and up to 1");
        let n_band_slots = band_slots(threshold);
        Self { threshold, seed, n_band_slots, buckets: HashMap::new(), links: Vec::new() }
    }

    /// The likest of the texts before, the first of several; where there is none, the text is put
    /// in under its number. `fetch` gives the shingles of a text that was put in. A text without
    /// shingles is like no other: empty texts are equal, which is cheaper to see.
    ///
    /// # Errors
    /// What `fetch` fails with.
    pub fn find_or_insert<E>(
        &mut self,
        number: u32,
        shingles: &Shingles,
        mut fetch: impl FnMut(u32) -> Result<Shingles, E>,
    ) -> Result<Option<Near>, E> {
        let keys = self.keys(shingles);
        let mut best: Option<Near> = None;
        for number in self.candidates(&keys) {
            let jaccard = shingles.jaccard(&fetch(number)?);
            let near = Near { number, jaccard };
            let is_better = |best: Near| (-jaccard, number) < (-best.jaccard, best.number);
            if jaccard >= self.threshold && best.is_none_or(is_better) {
                best = Some(near);
            }
        }
        if best.is_none() {
            self.insert(number, &keys);
        }
        Ok(best)
    }

    /// `[bands]` a key for each band of the text's sketch.
    fn keys(&self, shingles: &Shingles) -> Vec<u64> {
        let sketch = shingles.sketch(self.seed);
        let bands = sketch.chunks_exact(self.n_band_slots).zip(0_u64..);
        bands
            .map(|(slots, band)| {
                slots.iter().fold(mix(band), |key, slot| mix(key ^ u64::from(*slot)))
            })
            .collect()
    }

    /// Texts that share a band, those that share most first.
    fn candidates(&self, keys: &[u64]) -> Vec<u32> {
        let mut n_shared: HashMap<u32, usize> = HashMap::new();
        for key in keys {
            let mut link = self.buckets.get(key).map_or(NO_LINK, |(last, _)| *last);
            while let Some((number, before)) = self.links.get(link as usize) {
                *n_shared.entry(*number).or_insert(0) += 1;
                link = *before;
            }
        }
        let mut candidates: Vec<(usize, u32)> =
            n_shared.into_iter().map(|(number, n)| (keys.len() - n, number)).collect();
        candidates.sort_unstable();
        candidates.truncate(N_COMPARED_MAX);
        candidates.into_iter().map(|(_, number)| number).collect()
    }

    fn insert(&mut self, number: u32, keys: &[u64]) {
        for key in keys {
            let (last, n_links) = self.buckets.entry(*key).or_insert((NO_LINK, 0));
            if *n_links < N_BUCKET_MAX {
                let link = u32::try_from(self.links.len()).expect("fewer than 2^32 links");
                self.links.push((number, *last));
                (*last, *n_links) = (link, *n_links + 1);
            }
        }
    }
}

/// The most slots a band, hence the fewest false candidates, with which a pair just at the
/// threshold still shares a band often enough.
fn band_slots(threshold: f64) -> usize {
    let miss = |n: usize| {
        let n_bands = (N_SLOTS / n) as i32;
        (1.0 - threshold.powi(n as i32)).powi(n_bands)
    };
    (1..=N_SLOTS).rev().find(|n| miss(*n) <= MISS_MAX).unwrap_or(1)
}

/// Each bit of the input in each bit of the output: the finish of MurmurHash3 with Stafford's
/// 13th set of constants, as splitmix64 has it.
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
