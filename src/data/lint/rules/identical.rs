//! Two sides that are the same text, or nearly.
//!
//! Short answers that differ in what matters ("4" and "5") are far from alike by their shingles; a
//! long text with one changed word is nearly the same, and a preference between the two rests on
//! that word alone.

use super::{Rule, Seen};

/// Likeness from which sides are nearly the same.
const ALIKE: f64 = 0.95;

pub(super) fn found(seen: &Seen<'_>) -> Option<Rule> {
    let [chosen, rejected] = seen.tidy else { return None };
    if chosen == rejected {
        return Some(Rule::Identical);
    }
    // Texts of different lengths cannot be that alike, and comparing lengths costs nothing.
    let (short, long) = (chosen.len().min(rejected.len()), chosen.len().max(rejected.len()));
    let is_near = short * 5 > long * 4 && (seen.tools.likeness)(chosen, rejected) >= ALIKE;
    is_near.then_some(Rule::NearIdentical)
}
