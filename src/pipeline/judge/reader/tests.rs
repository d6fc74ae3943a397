//! The reader against forms filled by hand.

use super::*;
use crate::engine::request::{Choice, FinishReason, RequestId};
use crate::pipeline::judge::form::Shape;
use crate::recipe::spec::{Aspect, Rationale};
use crate::text::guides::Segment;

const GREEDY: Taking = Taking { temperature: 0.0, noise: 1 };

fn form(aspect: Aspect) -> Form {
    let shape =
        Shape { aspect, rationale: Rationale::After, n_rationale_tokens: 9, n_tokens_max: 999 };
    Form::build(shape, 2, &|_| Ok(40)).unwrap()
}

/// Fills a form: `ratings[position]` are the probabilities at each rating; kinds are certain.
fn filled(form: &Form, ratings: &[&[f64]], kind: usize) -> Answer {
    let mut choices = Vec::new();
    let mut parts = Vec::new();
    for (segment, slot) in form.template.segments.iter().zip(&form.slots) {
        let probabilities = match slot {
            Some((position, Slot::Rating)) => ratings[*position].to_vec(),
            Some((_, Slot::Kind)) => (0..4).map(|i| f64::from(i == kind as i32)).collect(),
            _ => Vec::new(),
        };
        parts.push(match segment {
            Segment::Forced(text) => text.clone(),
            Segment::Choice(words) => words[0].clone(),
            Segment::Free { .. } => format!(" because {} ", parts.len()),
        });
        if !probabilities.is_empty() {
            let logprobs = probabilities.iter().map(|p| p.ln() as f32).collect();
            let taken = take(&probabilities, 0.0, 0.0);
            choices.push(Choice { at: 0, logprobs, taken });
        }
    }
    Answer {
        id: RequestId(0),
        text: parts.concat(),
        parts,
        choices,
        n_input_tokens: 1,
        n_cached_tokens: 0,
        n_output_tokens: 1,
        logprob: 0.0,
        finish: FinishReason::Stop,
    }
}

const LOW: &[f64] = &[0.5, 0.5, 0.0, 0.0, 0.0];
const HIGH: &[f64] = &[0.0, 0.0, 0.0, 0.25, 0.75];

fn close(a: Option<f64>, b: f64) -> bool {
    a.is_some_and(|a| (a - b).abs() < 1e-6)
}

#[test]
fn the_expected_rating_is_the_mean_of_the_digits() {
    let form = form(Aspect::OverallRating);
    let answer = filled(&form, &[LOW, HIGH], 0);
    let reading = read(&form, &[vec![0, 1]], &[&answer], GREEDY).unwrap();
    assert!(close(reading.texts[0].expected, 1.5) && close(reading.texts[1].expected, 4.75));
    assert_eq!((reading.texts[0].sampled, reading.texts[1].sampled), (Some(1), Some(5)));
    assert!((reading.texts[0].entropy - 2_f64.ln()).abs() < 1e-6);
    assert_eq!(reading.texts[0].rating_reason.as_deref(), Some("because 3"));
    assert!(!flips(&reading.expected_per_order));
}

#[test]
fn a_judge_that_likes_the_first_place_is_evened_out() {
    let form = form(Aspect::OverallRating);
    let answers = [filled(&form, &[HIGH, LOW], 0), filled(&form, &[HIGH, LOW], 0)];
    let reading =
        read(&form, &[vec![0, 1], vec![1, 0]], &[&answers[0], &answers[1]], GREEDY).unwrap();
    assert!(close(reading.texts[0].expected, 3.125) && close(reading.texts[1].expected, 3.125));
    assert!(flips(&reading.expected_per_order));
    assert!(close(reading.expected_per_order[1][1], 4.75));
    let sure = [filled(&form, &[HIGH, LOW], 0), filled(&form, &[LOW, HIGH], 0)];
    assert!(!flips(
        &read(&form, &[vec![0, 1], vec![1, 0]], &[&sure[0], &sure[1]], GREEDY)
            .unwrap()
            .expected_per_order
    ));
}

#[test]
fn texts_that_are_rated_alike_do_not_flip() {
    let of = |orders: &[[f64; 2]]| -> Vec<Vec<Option<f64>>> {
        orders.iter().map(|ratings| ratings.iter().copied().map(Some).collect()).collect()
    };
    assert!(!flips(&of(&[[5.0, 4.999], [4.999, 5.0]])), "noise");
    assert!(!flips(&of(&[[5.0, 5.0], [4.0, 5.0]])), "the second is among the best in both");
    assert!(flips(&of(&[[5.0, 4.9], [4.9, 5.0]])));
    assert!(!flips(&of(&[[2.0, 1.0]])) && !flips(&[]));
}

#[test]
fn what_is_mostly_not_applicable_has_no_rating() {
    let form = form(Aspect::Honesty);
    let no: &[f64] = &[0.0, 0.0, 0.2, 0.2, 0.0, 0.6];
    let yes: &[f64] = &[0.0, 0.0, 0.3, 0.3, 0.0, 0.4];
    let reading = read(&form, &[vec![0, 1]], &[&filled(&form, &[no, yes], 0)], GREEDY).unwrap();
    assert_eq!((reading.texts[0].expected, reading.texts[0].sampled), (None, None));
    assert!(close(reading.texts[1].expected, 3.5));
    assert_eq!(reading.texts[1].sampled, None, "N/A is still the likeliest");
}

#[test]
fn kinds_are_read_where_the_aspect_has_them() {
    let form = form(Aspect::Truthfulness);
    let kind_of = |kind| {
        let answer = filled(&form, &[LOW, HIGH], kind);
        let reading = read(&form, &[vec![0, 1]], &[&answer], GREEDY).unwrap();
        (reading.texts[0].kind, reading.texts[0].kind_reason.is_some())
    };
    assert_eq!(kind_of(1), (Some(2), true));
    assert_eq!(kind_of(3), (None, true));
}

#[test]
fn a_form_that_was_not_filled_is_told() {
    let form = form(Aspect::OverallRating);
    let mut answer = filled(&form, &[LOW, HIGH], 0);
    answer.parts.truncate(5);
    answer.choices.truncate(1);
    assert_eq!(read(&form, &[vec![0, 1]], &[&answer], GREEDY), Err(CutShort));
}

#[test]
fn averaged_ratings_are_drawn_by_their_share() {
    let draws = (0..4000).map(|i| take(HIGH, 1.0, uniform(i, 0, 0)));
    let share = draws.filter(|taken| *taken == 4).count() as f64 / 4000.0;
    assert!((share - 0.75).abs() < 0.03, "{share}");
}
