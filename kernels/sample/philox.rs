//! Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): random
//! bits as a pure function of a key and a counter.
//!
//! No state means that a draw depends on nothing but its own key, position and purpose: not on the
//! neighbours in a batch, on preemption or on a resume. Anything that must be random and
//! reproducible draws from here.

/// What a draw is for; draws of different purposes at one position are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Taking the next token.
    Token,
    /// Taking an alternative at a choice point.
    Choice,
    /// Filling seeded weights.
    Weights,
}

/// The random stream of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// The stream of `key`.
    pub fn new(key: u64) -> Self {
        Self { key: [key as u32, (key >> 32) as u32] }
    }

    /// The 128 random bits at `position`.
    pub fn bits(self, position: u64, purpose: Purpose) -> [u32; 4] {
        rounds([position as u32, (position >> 32) as u32, purpose as u32, 0], self.key)
    }

    /// A number in `0.0..1.0`, a multiple of 2^-53.
    pub fn uniform(self, position: u64, purpose: Purpose) -> f64 {
        let [low, high, ..] = self.bits(position, purpose);
        let bits = u64::from(high) << 32 | u64::from(low);
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The ten rounds, as published: counter and key to four words.
fn rounds(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors of Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn known_answers() {
        let zeros = rounds([0; 4], [0; 2]);
        assert_eq!(zeros, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = rounds([u32::MAX; 4], [u32::MAX; 2]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = rounds(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
        );
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn purposes_and_positions_differ() {
        let stream = Philox::new(7);
        assert_ne!(stream.bits(0, Purpose::Token), stream.bits(0, Purpose::Choice));
        assert_ne!(stream.bits(0, Purpose::Token), stream.bits(1, Purpose::Token));
        assert_ne!(stream.bits(0, Purpose::Token), Philox::new(8).bits(0, Purpose::Token));
        assert_eq!(stream.bits(9, Purpose::Token), Philox::new(7).bits(9, Purpose::Token));
    }

    #[test]
    fn uniforms_fill_the_unit_interval() {
        let stream = Philox::new(3);
        let mut counts = [0u32; 16];
        for position in 0..16_000 {
            let u = stream.uniform(position, Purpose::Token);
            counts[(u * 16.0) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
