//! People's answers as columns, in a file of the run's folder.
//!
//! A line is a row that somebody answered, with the columns of its step and what people said. An
//! answer belongs to the texts that were rated, whichever step of the run holds them: a row that
//! made no pair is in no pair step, and what people said of it may be what makes it one. An answer to
//! texts that are in the run no more is counted and told, and is nobody else's.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Value, json};

use super::target::Target;
use super::{ArgillaOptions, Pulled};
use crate::argilla::{Answers, Client, Dataset, Place, Response, read_answers};
use crate::data::row::Columns;
use crate::data::{disk, journal};
use crate::pipeline::steps::{
    HUMAN_RATINGS, HUMAN_RATIONALES, N_ANNOTATORS, rated, rating_question, rationale_question,
};
use crate::{Error, Result};

/// Each person's answer, as it was given.
const HUMAN_ANSWERS: &str = "human_answers";

/// The ratings that a push asks for.
const RATINGS: RangeInclusive<i64> = 1..=5;

/// The file in the run's folder.
const FILE: &str = "human.jsonl";

/// See [`super::pull_argilla`].
pub(super) fn pull(root: &Path, options: &ArgillaOptions) -> Result<Pulled> {
    if options.dry_run {
        let hint = "leave --dry-run out: a pull changes nothing there".to_owned();
        return Err(Error::Usage { what: "a pull has no dry run".to_owned(), hint });
    }
    let target = Target::find_rated(root, options)?;
    let client = Client::new(options.access.server(target.url.as_deref())?)?;
    let place = Place { dataset: &target.dataset, workspace: target.workspace.as_deref() };
    let dataset = Dataset::find(&client, place)?;
    let (answers, counted) = read_answers(&client, &dataset)?;
    let mut pulled = Pulled {
        file: root.join(FILE),
        dataset: dataset.name.clone(),
        workspace: dataset.workspace.clone(),
        step: target.step_name().to_owned(),
        n_records: counted.n_records,
        n_drafts: counted.n_drafts,
        n_discarded: counted.n_discarded,
        n_gone: counted.n_nameless,
        ..Pulled::default()
    };
    let lines = lines(&target, answers, &mut pulled)?;
    disk::write_atomic(&pulled.file, &lines)?;
    Ok(pulled)
}

/// A line for each answered row: those of the step that is meant, then those that only other steps
/// have, of the latest that has them.
fn lines(target: &Target, mut answers: Answers, pulled: &mut Pulled) -> Result<Vec<u8>> {
    let mut people = BTreeSet::new();
    let mut lines = Vec::new();
    let others = (0..target.run.steps.len()).rev().filter(|step| *step != target.step);
    for step in std::iter::once(target.step).chain(others) {
        if answers.is_empty() {
            break;
        }
        for entry in journal::read(&target.run.journal(step))? {
            let row = entry?.1.row.columns;
            let Some((id, n_generations)) = rated(&row) else { continue };
            // Rows of equal texts are one record, and one line.
            let Some(responses) = answers.remove(&id) else { continue };
            people.extend(responses.iter().map(|response| response.user_id.clone()));
            pulled.n_answers += responses.len() as u64;
            let row = answered(row, &responses, n_generations, pulled);
            serde_json::to_writer(&mut lines, &row).expect("columns are plain JSON");
            lines.push(b'\n');
        }
    }
    pulled.n_annotators = people.len() as u64;
    pulled.n_gone += answers.len() as u64;
    Ok(lines)
}

/// The row with what people said.
fn answered(
    mut row: Columns,
    responses: &[Response],
    n_generations: usize,
    pulled: &mut Pulled,
) -> Columns {
    let given = |response: &Response, i| response.value(&rating_question(i)).cloned();
    let rating = |response: &Response, i| taken(&given(response, i)?);
    let reason = |response: &Response, i| {
        let text = response.value(&rationale_question(i))?.as_str()?;
        (!text.trim().is_empty()).then(|| text.to_owned())
    };
    let means: Vec<Option<f64>> = (0..n_generations)
        .map(|i| mean(responses.iter().filter_map(|response| rating(response, i))))
        .collect();
    let reasons: Vec<Vec<String>> = (0..n_generations)
        .map(|i| responses.iter().filter_map(|response| reason(response, i)).collect())
        .collect();
    let each: Vec<Value> = responses
        .iter()
        .map(|response| {
            let ratings: Vec<_> = (0..n_generations).map(|i| rating(response, i)).collect();
            let reasons: Vec<_> = (0..n_generations).map(|i| reason(response, i)).collect();
            json!({
                "annotator": response.user_id, "updated_at": response.updated_at,
                "ratings": ratings, "rationales": reasons,
            })
        })
        .collect();
    let given = responses.iter().flat_map(|one| (0..n_generations).filter_map(|i| given(one, i)));
    let is_strange = |given: &Value| !given.is_null() && taken(given).is_none();
    pulled.n_strange += given.filter(is_strange).count() as u64;
    pulled.n_rows += 1;
    pulled.n_partly += u64::from(means.iter().any(Option::is_none));
    pulled.n_overruled += u64::from(is_overruled(&row, &means));
    row.insert(HUMAN_RATINGS.to_owned(), means.iter().map(|mean| written(*mean)).collect());
    row.insert(HUMAN_RATIONALES.to_owned(), json!(reasons));
    row.insert(N_ANNOTATORS.to_owned(), json!(responses.len()));
    row.insert(HUMAN_ANSWERS.to_owned(), Value::Array(each));
    row
}

/// A rating that can be used: of a data set that somebody made otherwise, others come back.
fn taken(given: &Value) -> Option<i64> {
    given.as_i64().filter(|rating| RATINGS.contains(rating))
}

fn mean(ratings: impl Iterator<Item = i64>) -> Option<f64> {
    let (mut sum, mut n) = (0_i64, 0_i64);
    for rating in ratings {
        sum += rating;
        n += 1;
    }
    (n > 0).then(|| (sum as f64 / n as f64 * 1e6).round() / 1e6)
}

/// A whole number stays one.
fn written(mean: Option<f64>) -> Value {
    match mean {
        Some(mean) if mean.fract() == 0.0 => json!(mean as i64),
        Some(mean) => json!(mean),
        None => Value::Null,
    }
}

/// Whether what the judge likes best is not what people like best.
fn is_overruled(row: &Columns, means: &[Option<f64>]) -> bool {
    let judged = row.get("ratings").and_then(Value::as_array).filter(|l| l.len() == means.len());
    let judged = judged.into_iter().flatten().map(Value::as_f64).collect::<Option<Vec<f64>>>();
    let people = means.iter().copied().collect::<Option<Vec<f64>>>();
    let (Some(judged), Some(people)) = (judged, people) else { return false };
    let best = |ratings: &[f64]| ratings.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (best_judged, best_people) = (best(&judged), best(&people));
    let mut both = judged.iter().zip(&people);
    !judged.is_empty() && !both.any(|(j, p)| *j == best_judged && *p == best_people)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_overrule_where_their_best_is_not_the_judges() {
        let is = |judged: Value, people: &[Option<f64>]| {
            is_overruled(json!({"ratings": judged}).as_object().unwrap(), people)
        };
        assert!(is(json!([2, 3]), &[Some(4.0), Some(1.0)]));
        assert!(!is(json!([3, 2]), &[Some(4.0), Some(1.0)]));
        assert!(!is(json!([3, 3]), &[Some(4.0), Some(1.0)]));
        assert!(!is(json!([2, 3]), &[Some(4.0), None]));
        assert!(!is(json!([2]), &[Some(4.0), Some(1.0)]));
    }

    #[test]
    fn a_rating_is_one_that_was_asked_for() {
        for strange in [json!(0), json!(6), json!(i64::MAX), json!(4.5), json!("4"), json!(null)] {
            assert_eq!(taken(&strange), None, "{strange}");
        }
        assert_eq!((taken(&json!(1)), taken(&json!(5))), (Some(1), Some(5)));
    }

    #[test]
    fn a_mean_is_whole_where_it_can_be() {
        assert_eq!(written(mean([4, 5].into_iter())), json!(4.5));
        assert_eq!(written(mean([4, 4].into_iter())), json!(4));
        assert_eq!(written(mean([1, 1, 2].into_iter())), json!(1.333333));
        assert_eq!(written(mean(std::iter::empty())), Value::Null);
    }
}
