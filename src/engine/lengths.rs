//! How long completions get, learnt from those that are finished.
//!
//! Admission reserves what a sequence will probably need, not what it may: reserving the limit
//! leaves memory idle, reserving nothing ends in preemptions. The estimate is a high percentile of
//! the last finished lengths, so that most guesses are too high by a little.

/// Finished lengths that are remembered.
const WINDOW: usize = 256;
/// With fewer than this many the limit is all that is known; the first to finish are the short
/// ones.
const N_SAMPLES_MIN: usize = 32;

/// A running percentile of finished lengths.
#[derive(Debug)]
pub(super) struct LengthEstimate {
    percentile: usize,
    /// The last lengths, overwritten in a ring.
    recent: Vec<usize>,
    next: usize,
    expected: Option<usize>,
}

impl LengthEstimate {
    /// An estimate above which `100 - percentile` of the lengths will lie. 0 expects nothing.
    pub(super) fn new(percentile: usize) -> Self {
        let expected = (percentile == 0).then_some(0);
        Self { percentile, recent: Vec::new(), next: 0, expected }
    }

    /// Takes the length of a finished completion.
    pub(super) fn record(&mut self, n_tokens: usize) {
        if self.recent.len() < WINDOW {
            self.recent.push(n_tokens);
        } else {
            self.recent[self.next] = n_tokens;
        }
        self.next = (self.next + 1) % WINDOW;
        if self.percentile > 0 && self.recent.len() >= N_SAMPLES_MIN {
            let mut sorted = self.recent.clone();
            let at = sorted.len() * self.percentile / 100;
            self.expected = Some(*sorted.select_nth_unstable(at).1);
        }
    }

    /// The expected length; `None` until enough is known.
    pub(super) fn expected(&self) -> Option<usize> {
        self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_expected_of_the_first_few() {
        let mut lengths = LengthEstimate::new(90);
        (1..N_SAMPLES_MIN).for_each(|n| lengths.record(n));
        assert_eq!(lengths.expected(), None);
    }

    #[test]
    fn old_lengths_are_forgotten() {
        let mut lengths = LengthEstimate::new(90);
        (0..1000).for_each(|_| lengths.record(5));
        (0..200).for_each(|n| lengths.record(100 + n));
        assert_eq!(lengths.expected(), Some(274));
    }
}
