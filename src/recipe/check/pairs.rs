//! What can be asked of pairs.

use super::params::count;
use crate::recipe::draft::Marks;
use crate::recipe::place::Findings;
use crate::recipe::spec::{FormatTextGenerationDpo, PairPolicy, Ties};

/// Ranges, and options that undo each other.
pub(super) fn check(step: &FormatTextGenerationDpo, marks: &Marks, found: &mut Findings) {
    if !(step.min_margin.is_finite() && step.min_margin >= 0.0) {
        let message = format!("`min_margin` is {:?}", step.min_margin);
        marks.fault("min_margin", found, message, Some("a difference of ratings, 0 or more"));
    }
    if step.min_margin > 0.0 && step.ties == Ties::Shorter {
        let message = format!("`min_margin` {:?} leaves no pair to a tie", step.min_margin);
        let hint = "delete `ties`, or set `min_margin = 0`";
        marks.fault("ties", found, message, Some(hint));
    }
    if let Some(ratio) = step.max_length_ratio.filter(|ratio| ratio.is_nan() || *ratio < 1.0) {
        let message = format!("`max_length_ratio` is {ratio:?}");
        let hint = "the longer text over the shorter one, so 1 or more";
        marks.fault("max_length_ratio", found, message, Some(hint));
    }
    if let Some(n_max) = step.max_pairs_per_prompt {
        count(n_max, "max_pairs_per_prompt", marks, found);
        if step.policy != PairPolicy::AllOrdered {
            let message =
                "`max_pairs_per_prompt` bounds `all-ordered`; other policies make one pair";
            let hint = "delete it, or set `policy = \"all-ordered\"`";
            marks.fault("max_pairs_per_prompt", found, message, Some(hint));
        }
    }
}
