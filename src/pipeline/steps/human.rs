//! What people said about answers: a file that a pull writes and the pair step reads.
//!
//! An answer belongs to the texts that were rated, not to a place in a run: it is found again by
//! the hash of instruction and answers. So it survives another judge, another seed and another
//! flow, and never reaches a text that nobody read.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Number, Value};

use crate::Result;
use crate::data::lines;
use crate::data::row::Columns;
use crate::{Error, recipe::spec::FormatTextGenerationDpo};

/// The mean rating of each answer; null where nobody rated it.
pub(crate) const HUMAN_RATINGS: &str = "human_ratings";
/// The reasons that people gave for each answer.
pub(crate) const HUMAN_RATIONALES: &str = "human_rationales";
/// How many people answered.
pub(crate) const N_ANNOTATORS: &str = "n_annotators";

/// The name of what is rated: 32 hexadecimal digits over the texts.
pub(crate) fn rated_id(instruction: &str, generations: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rated\0");
    for text in std::iter::once(&instruction).chain(generations) {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The name of what people rate in a row, and how many answers it has.
pub(crate) fn rated(row: &Columns) -> Option<(String, usize)> {
    let generations = row.get("generations")?.as_array()?;
    let generations = generations.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    let id = rated_id(row.get("instruction")?.as_str()?, &generations);
    Some((id, generations.len()))
}

/// What people said about one row's answers.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    /// Mean ratings, where each answer has one.
    pub(super) ratings: Option<Vec<Number>>,
    columns: Vec<(&'static str, Value)>,
}

/// What people said, by what they rated.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdicts(HashMap<String, Verdict>);

impl Verdicts {
    /// Reads the file that a pair step names. A file that is not there holds nothing: nobody has
    /// answered yet.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be read or a line is none of a pull's.
    pub(super) fn load(spec: &FormatTextGenerationDpo) -> Result<Self> {
        spec.human_ratings.as_deref().map_or(Ok(Self::default()), Self::read)
    }

    fn read(path: &Path) -> Result<Self> {
        let mut verdicts = HashMap::new();
        for (line, line_no) in lines::read(path)?.zip(1..) {
            let row: Option<Columns> = serde_json::from_slice(&line?.1).ok();
            let Some((id, verdict)) = row.and_then(verdict) else {
                let what = format!("line {line_no} of {} is no row of a pull", path.display());
                let hint = "pull the answers again, or name another file as `human_ratings`";
                return Err(Error::environment(what, hint));
            };
            verdicts.insert(id, verdict);
        }
        Ok(Self(verdicts))
    }

    /// What people said about these answers.
    pub(super) fn of(&self, instruction: &str, generations: &[&str]) -> Option<&Verdict> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&rated_id(instruction, generations))
    }
}

impl Verdict {
    /// The columns of a row that people answered, or did not.
    pub(super) fn columns(verdict: Option<&Self>) -> Vec<(&'static str, Value)> {
        verdict.map_or_else(
            || {
                let none = [(HUMAN_RATINGS, Value::Null), (HUMAN_RATIONALES, Value::Null)];
                none.into_iter().chain(Some((N_ANNOTATORS, Value::from(0)))).collect()
            },
            |verdict| verdict.columns.clone(),
        )
    }
}

/// A line of the file.
fn verdict(mut row: Columns) -> Option<(String, Verdict)> {
    let ratings = row.shift_remove(HUMAN_RATINGS)?;
    let items = ratings.as_array()?;
    let as_number = |value: &Value| value.as_number().cloned();
    let known: Option<Vec<Number>> = items.iter().map(as_number).collect();
    let (id, n_generations) = rated(&row)?;
    if n_generations != items.len() {
        return None;
    }
    let rationales = row.get(HUMAN_RATIONALES).cloned().unwrap_or_default();
    let n_annotators = row.get(N_ANNOTATORS).cloned().unwrap_or_default();
    let columns = vec![
        (HUMAN_RATINGS, ratings),
        (HUMAN_RATIONALES, rationales),
        (N_ANNOTATORS, n_annotators),
    ];
    Some((id, Verdict { ratings: known, columns }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_only_read_alike_in_a_row_are_told_apart() {
        assert_ne!(rated_id("ab", &["c"]), rated_id("a", &["bc"]));
        assert_ne!(rated_id("a", &["b", "c"]), rated_id("a", &["c", "b"]));
        assert_eq!(rated_id("a", &["b"]).len(), 32);
    }

    #[test]
    fn a_missing_file_holds_nothing_and_a_strange_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("human.jsonl");
        assert!(Verdicts::read(&path).unwrap().0.is_empty());
        std::fs::write(
            &path,
            "{\"instruction\":\"i\",\"generations\":[\"x\"],\"human_ratings\":[]}\n",
        )
        .unwrap();
        let said = Verdicts::read(&path).unwrap_err().to_string();
        assert!(said.contains("line 1 of") && said.contains("no row of a pull"), "{said}");
    }
}
