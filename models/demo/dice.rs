//! Seeded chance for exercises and lessons: the same seed gives the same text everywhere.
//!
//! Sequential, unlike the noise of weights and of sampling: a lesson is drawn from start to end and
//! nobody asks for its middle.

/// A stream of random numbers (SplitMix64: Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The stream of number `index` under `seed`, independent of its neighbours.
    pub fn nth(seed: u64, index: u64) -> Self {
        let mut dice = Self::new(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        dice.bits();
        dice
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A whole number of `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let n = u64::try_from(high - low + 1).expect("a range runs upwards");
        // The bias of the remainder is below 2^-50 for the ranges of exercises.
        low + (self.bits() % n) as i64
    }

    /// An index below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// One of `choices`, which are not none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.bits() % 100 < percent
    }
}
