//! Policies on answers rated by hand.

use proptest::prelude::*;

use super::*;
use crate::recipe::spec::RatingsFrom;

const DEFAULT: FormatTextGenerationDpo = FormatTextGenerationDpo {
    policy: PairPolicy::BestWorst,
    min_margin: 0.0,
    ties: Ties::Drop,
    max_length_ratio: None,
    max_pairs_per_prompt: None,
    ratings_from: RatingsFrom::Judge,
    human_ratings: None,
};

const POLICIES: [PairPolicy; 4] = [
    PairPolicy::BestWorst,
    PairPolicy::BestRandomLower,
    PairPolicy::BestMu2Sigma,
    PairPolicy::AllOrdered,
];

fn of(policy: PairPolicy) -> FormatTextGenerationDpo {
    FormatTextGenerationDpo { policy, ..DEFAULT }
}

fn pick_of(
    spec: &FormatTextGenerationDpo,
    answers: &[(&str, f64)],
    drawn: usize,
) -> Result<Vec<(usize, usize)>, String> {
    let rated: Vec<_> = answers.iter().map(|(text, rating)| Rated::new(text, *rating)).collect();
    pick(spec, &rated, &|n| drawn % n).map_err(|dropped| dropped.reason)
}

#[test]
fn each_policy_rejects_its_own() {
    let answers = [("a", 3.0), ("b", 4.6), ("c", 1.0), ("d", 3.4), ("e", 4.0)];
    assert_eq!(pick_of(&DEFAULT, &answers, 0), Ok(vec![(1, 2)]));
    let random = of(PairPolicy::BestRandomLower);
    let all: Vec<_> = (0..4).map(|drawn| pick_of(&random, &answers, drawn).unwrap()[0]).collect();
    assert_eq!(all, [(1, 0), (1, 2), (1, 3), (1, 4)]);
}

#[test]
fn mu2sigma_passes_an_outlier_by() {
    let mut answers = vec![("best", 5.0), ("outlier", -9.0), ("low", 0.0)];
    let texts: Vec<String> = (0..20).map(|i| format!("answer {i}")).collect();
    answers.extend(texts.iter().map(|text| (text.as_str(), 4.0)));
    // The mean is 3.3 and the deviation 2.8: the aim is -2.3.
    assert_eq!(pick_of(&of(PairPolicy::BestMu2Sigma), &answers, 0), Ok(vec![(0, 2)]));
    assert_eq!(pick_of(&DEFAULT, &answers, 0), Ok(vec![(0, 1)]));
    let few = pick_of(&of(PairPolicy::BestMu2Sigma), &answers[..4], 0);
    assert_eq!(few, Err("fewer than five answers".to_owned()));
}

#[test]
fn all_ordered_pairs_come_widest_first_up_to_the_cap() {
    let answers = [("a", 3.0), ("b", 5.0), ("c", 1.0), ("d", 3.0)];
    let all = pick_of(&of(PairPolicy::AllOrdered), &answers, 0).unwrap();
    assert_eq!(all, [(1, 2), (0, 2), (1, 0), (1, 3), (3, 2)]);
    let spec =
        FormatTextGenerationDpo { max_pairs_per_prompt: Some(2), ..of(PairPolicy::AllOrdered) };
    assert_eq!(pick_of(&spec, &answers, 0).unwrap(), [(1, 2), (0, 2)]);
}

#[test]
fn a_margin_is_at_least_what_was_asked_for() {
    let spec = FormatTextGenerationDpo { min_margin: 1.5, ..of(PairPolicy::AllOrdered) };
    let answers = [("a", 1.0), ("b", 2.0), ("c", 2.5)];
    assert_eq!(pick_of(&spec, &answers, 0), Ok(vec![(2, 0)]));
    assert_eq!(pick_of(&spec, &answers[..2], 0), Err("margin too small".to_owned()));
}

#[test]
fn a_tie_makes_no_pair_or_prefers_the_shorter() {
    let tie = [("longer text", 3.0), ("short", 3.0)];
    assert_eq!(pick_of(&DEFAULT, &tie, 0), Err("equal ratings".to_owned()));
    let shorter = FormatTextGenerationDpo { ties: Ties::Shorter, ..DEFAULT };
    assert_eq!(pick_of(&shorter, &tie, 0), Ok(vec![(1, 0)]));
    assert_eq!(
        pick_of(&shorter, &[("abc", 3.0), ("abd", 3.0)], 0),
        Err("equal ratings".to_owned())
    );
    // Where ratings differ they count first.
    assert_eq!(pick_of(&shorter, &[("longer text", 4.0), ("short", 3.0)], 0), Ok(vec![(0, 1)]));
}

#[test]
fn sides_that_differ_in_blanks_only_say_the_same() {
    let same = [("a b\u{e9}", 3.0), ("  a\nbe\u{301} ", 1.0)];
    assert_eq!(pick_of(&DEFAULT, &same, 0), Err("equal texts".to_owned()));
    let third = [("a b", 3.0), ("a  b", 1.0), ("c", 2.0)];
    assert_eq!(pick_of(&of(PairPolicy::BestRandomLower), &third, 0), Ok(vec![(0, 2)]));
    assert_eq!(pick_of(&DEFAULT, &[("True", 3.0), ("true", 1.0)], 0), Ok(vec![(0, 1)]));
    assert_eq!(
        pick_of(&DEFAULT, &[("x", 3.0), ("\u{200b}", 1.0)], 0),
        Err("empty answer".to_owned())
    );
}

#[test]
fn lengths_may_be_kept_together() {
    let spec = FormatTextGenerationDpo { max_length_ratio: Some(2.0), ..DEFAULT };
    assert_eq!(pick_of(&spec, &[("aaaa", 3.0), ("bb", 1.0)], 0), Ok(vec![(0, 1)]));
    let far = Err("lengths too far apart".to_owned());
    assert_eq!(pick_of(&spec, &[("aaaaa", 3.0), ("bb", 1.0)], 0), far);
    assert_eq!(pick_of(&spec, &[("aa", 3.0), ("bbbbb", 1.0)], 0), far);
}

proptest! {
    /// Whatever is asked, a pair prefers the better answer and keeps every rule.
    #[test]
    fn a_pair_keeps_the_rules(
        ratings in prop::collection::vec(0_u8..5, 2..8),
        texts in prop::collection::vec("[ab ]{0,3}", 8),
        policy in 0_usize..4,
        min_margin in 0_u8..3,
        ratio in prop::option::of(1_u8..3),
        drawn in 0_usize..9,
    ) {
        let spec = FormatTextGenerationDpo {
            policy: POLICIES[policy],
            min_margin: min_margin.into(),
            max_length_ratio: ratio.map(f64::from),
            ..DEFAULT
        };
        let answers: Vec<(&str, f64)> =
            texts.iter().map(String::as_str).zip(ratings.iter().map(|r| f64::from(*r))).collect();
        let Ok(pairs) = pick_of(&spec, &answers, drawn) else { return Ok(()) };
        prop_assert!(!pairs.is_empty());
        for (chosen, rejected) in &pairs {
            let (a, b) = (answers[*chosen], answers[*rejected]);
            prop_assert!(a.1 > b.1 && a.1 - b.1 >= f64::from(min_margin));
            let (one, other) = (normalise(a.0), normalise(b.0));
            prop_assert!(one != other && !one.is_empty() && !other.is_empty());
            if let Some(ratio) = ratio {
                let (n, m) = (one.len().max(other.len()), one.len().min(other.len()));
                prop_assert!(n <= usize::from(ratio) * m);
            }
        }
        if spec.policy != PairPolicy::AllOrdered {
            let best = answers.iter().map(|(_, rating)| *rating).fold(f64::MIN, f64::max);
            prop_assert_eq!(pairs.len(), 1);
            prop_assert_eq!(answers[pairs[0].0].1, best);
        }
    }
}
