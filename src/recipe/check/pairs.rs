//! What can be asked of pairs.

use super::params::count;
use crate::argilla::{ADDRESS_HINT, address_fault};
use crate::recipe::draft::Marks;
use crate::recipe::place::Findings;
use crate::recipe::spec::{
    FormatTextGenerationDpo, PairPolicy, PreferenceToArgilla, RatingsFrom, Ties,
};

/// Longest name of a data set in Argilla.
const N_DATASET_NAME_MAX: usize = 200;

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
    match (step.ratings_from, &step.human_ratings) {
        (RatingsFrom::Judge, Some(_)) => {
            let message = "`human_ratings` is not read: the judge's ratings count";
            let hint = "add `ratings_from = \"human-then-judge\"`, or delete this line";
            marks.fault("human_ratings", found, message, Some(hint));
        }
        (RatingsFrom::Human | RatingsFrom::HumanThenJudge, None) => {
            let message = "where people's ratings are is not said";
            let hint = "add `human_ratings = \"runs/NAME/human.jsonl\"`, which `stillroom pull \
                        argilla` writes";
            marks.fault("ratings_from", found, message, Some(hint));
        }
        (RatingsFrom::Judge, None)
        | (RatingsFrom::Human | RatingsFrom::HumanThenJudge, Some(_)) => {}
    }
}

/// Numbers and names that no server takes.
pub(super) fn check_argilla(step: &PreferenceToArgilla, marks: &Marks, found: &mut Findings) {
    let n_max = PreferenceToArgilla::N_GENERATIONS_MAX;
    let n = step.num_generations;
    if !(1..=n_max).contains(&n) {
        let hint = format!("as many answers as a row has, from 1 to {n_max}");
        marks.fault("num_generations", found, format!("`num_generations` is {n}"), Some(&hint));
    }
    let n = step.dataset_name.chars().count();
    if step.dataset_name.trim().is_empty() || n > N_DATASET_NAME_MAX {
        let message = format!("the data set's name has {n} characters");
        let hint = format!("from 1 to {N_DATASET_NAME_MAX}, not all of them blank");
        marks.fault("dataset_name", found, message, Some(&hint));
    }
    if let Some(fault) = step.api_url.as_deref().and_then(address_fault) {
        marks.fault("api_url", found, format!("`api_url` {fault}"), Some(ADDRESS_HINT));
    }
}
