//! Stop strings: texts that end an answer and are no part of it.
//!
//! They are matched on bytes, so that neither the border between two tokens nor half a character
//! can hide one. Of several, the one that ends first counts, and of those that end together the
//! longest; what stands before it is kept.

/// Several stop strings.
#[derive(Debug, Clone)]
pub struct StopStrings {
    patterns: Vec<Pattern>,
}

/// How far a text has come towards each stop string.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    strings: StopStrings,
    /// Bytes of each pattern that the end of the text matches.
    matched: Vec<usize>,
    n_bytes: usize,
}

/// One text to look for, after Knuth, Morris and Pratt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    bytes: Vec<u8>,
    /// `[len]` longest proper prefix that is also a suffix of the first `i + 1` bytes.
    borders: Vec<usize>,
}

impl StopStrings {
    /// Empty strings are left out: they would end every answer before it starts.
    pub fn new<S: AsRef<str>>(strings: &[S]) -> Self {
        let patterns = strings.iter().map(|s| s.as_ref()).filter(|s| !s.is_empty());
        Self { patterns: patterns.map(|s| Pattern::new(s.as_bytes())).collect() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Starts a text.
    pub fn matcher(&self) -> StopMatcher {
        let matched = vec![0; self.patterns.len()];
        StopMatcher { strings: self.clone(), matched, n_bytes: 0 }
    }

    /// What stands before the first stop string; everything when there is none.
    pub fn cut<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        self.matcher().push(text).map_or(text, |n_kept| &text[..n_kept])
    }
}

impl StopMatcher {
    /// Goes on with the text; when a stop string ends in it, says how many bytes of the whole
    /// text stand before that string.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        for &byte in bytes {
            self.n_bytes += 1;
            let mut longest = None;
            for (pattern, matched) in self.strings.patterns.iter().zip(&mut self.matched) {
                *matched = pattern.advance(*matched, byte);
                if *matched == pattern.len() {
                    longest = longest.max(Some(*matched));
                }
            }
            if let Some(n_stop) = longest {
                return Some(self.n_bytes - n_stop);
            }
        }
        None
    }
}

impl Pattern {
    /// Looks for `bytes`, at least one.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut pattern = Self { bytes: bytes.to_vec(), borders: vec![0; bytes.len()] };
        let mut matched = 0;
        for (i, &byte) in bytes.iter().enumerate().skip(1) {
            matched = pattern.advance(matched, byte);
            pattern.borders[i] = matched;
        }
        pattern
    }

    /// Bytes of the pattern.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes of the pattern the text matches after one more byte, given how many it
    /// matched before; the whole pattern counts as its longest border when the text goes on.
    pub(super) fn advance(&self, mut matched: usize, byte: u8) -> usize {
        if matched == self.len() {
            matched = self.borders[matched - 1];
        }
        while matched > 0 && self.bytes[matched] != byte {
            matched = self.borders[matched - 1];
        }
        matched + usize::from(self.bytes[matched] == byte)
    }
}
