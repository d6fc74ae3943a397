//! What each lane does with its own registers.

use super::WARP;
use super::warp::{Warp, low_bits};
use crate::ptx::{Compute, Lanes};

impl Warp {
    /// Computes in the lanes of `active`.
    pub(super) fn compute(&mut self, compute: &Compute, active: u32) {
        match compute {
            Compute::Move { to, from } => {
                let lanes = *self.lanes(from);
                self.put(*to, &lanes, active);
            }
            Compute::One { run, to, a } => {
                let lanes = run(self.lanes(a));
                self.put(*to, &lanes, active);
            }
            Compute::Two { run, to, a, b } => {
                let lanes = run(self.lanes(a), self.lanes(b));
                self.put(*to, &lanes, active);
            }
            Compute::Three { run, to, a, b, c } => {
                let lanes = run(self.lanes(a), self.lanes(b), self.lanes(c));
                self.put(*to, &lanes, active);
            }
            Compute::Compare { run, to, opposite, a, b, with } => {
                let mask = run(self.lanes(a), self.lanes(b));
                let joined = |mask| match with {
                    Some((join, other)) => join(mask, self.predicate(*other)),
                    None => mask,
                };
                let (answer, not) = (joined(mask), joined(!mask));
                self.put_predicate(*to, answer, active);
                if let Some(opposite) = opposite {
                    self.put_predicate(*opposite, not, active);
                }
            }
            Compute::Logic { run, to, a, b } => {
                let mask = run(self.predicate(*a), self.predicate(*b));
                self.put_predicate(*to, mask, active);
            }
            Compute::Constant { to, value } => {
                self.put_predicate(*to, if *value { u32::MAX } else { 0 }, active);
            }
            Compute::Select { to, a, b, which } => {
                let mask = self.predicate(*which);
                let (a, b) = (self.lanes(a), self.lanes(b));
                let lanes: Lanes =
                    std::array::from_fn(
                        |lane| if mask >> lane & 1 == 1 { a[lane] } else { b[lane] },
                    );
                self.put(*to, &lanes, active);
            }
            Compute::Pack { to, from, n_bits } => {
                let mut lanes = [0; WARP];
                for (at, source) in from.iter().enumerate() {
                    let part = self.lanes(source);
                    for lane in 0..WARP {
                        lanes[lane] |= (part[lane] & low_bits(*n_bits)) << (at as u32 * n_bits);
                    }
                }
                self.put(*to, &lanes, active);
            }
            Compute::Unpack { to, from, n_bits } => {
                let whole = *self.lanes(from);
                for (at, to) in to.iter().enumerate() {
                    let Some(to) = to else { continue };
                    let part = whole.map(|bits| bits >> (at as u32 * n_bits) & low_bits(*n_bits));
                    self.put(*to, &part, active);
                }
            }
        }
    }
}
