//! What was found, and where first.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::fit::Fit;
use super::lengths::Lengths;
use super::rules::Rule;
use super::schema::Schema;
use crate::data::export::Format;

/// Places that are named for each finding.
const N_PLACES: usize = 5;

/// A file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Its split.
    pub split: &'static str,
    /// Its layout.
    pub schema: Schema,
    /// Its records.
    pub n_rows: u64,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Rows that break it; 1 where it is broken by a file or by all rows together.
    pub count: u64,
    /// The first places, as `file:line` (of Parquet and arrays `file:row`, from 1).
    pub places: Vec<String>,
    /// What is the matter.
    pub what: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The files with preferences.
    pub files: Vec<FileReport>,
    /// Files without.
    pub strangers: Vec<String>,
    /// Lengths of the answers.
    pub lengths: Lengths,
    /// The broken rules.
    pub findings: Vec<Finding>,
    /// The trainer that the data set is meant for.
    pub format: Option<Format>,
}

/// What is found while files are read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    files: Vec<FileReport>,
    /// `[rows]` the file of a row, and its place there.
    places: Vec<(u32, u64)>,
    found: BTreeMap<Rule, (u64, Vec<String>)>,
}

impl Findings {
    /// Whether no file has been opened.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Goes on to a file.
    pub(super) fn open(&mut self, name: String, split: &'static str, schema: Schema) {
        self.files.push(FileReport { name, split, schema, n_rows: 0 });
    }

    /// Rows so far.
    pub(super) fn n_rows(&self) -> u32 {
        u32::try_from(self.places.len()).expect("fewer than 2^32 rows")
    }

    /// Goes on to a row of the file, at this place; its number among all.
    pub(super) fn row(&mut self, place: u64) -> u32 {
        let row = self.n_rows();
        self.places.push((self.files.len() as u32 - 1, place));
        self.files.last_mut().expect("a row is in a file").n_rows += 1;
        row
    }

    /// Notes that a row breaks a rule.
    pub(super) fn add(&mut self, rule: Rule, row: u32) {
        let (file, place) = self.places[row as usize];
        let file = &self.files[file as usize].name;
        let (count, places) = self.found.entry(rule).or_default();
        *count += 1;
        if places.len() < N_PLACES {
            places.push(format!("{file}:{place}"));
        }
    }

    /// Notes that a file breaks a rule as a whole.
    pub(super) fn add_file(&mut self, rule: Rule, file: &str) {
        let (count, places) = self.found.entry(rule).or_default();
        *count += 1;
        if places.len() < N_PLACES {
            places.push(file.to_owned());
        }
    }

    /// What has been found.
    pub(super) fn report(
        self,
        lengths: Lengths,
        strangers: Vec<String>,
        format: Option<Format>,
    ) -> Report {
        let finding = |(rule, (count, places)): (Rule, _)| Finding {
            rule: rule.name(),
            count,
            places,
            what: rule.words(),
            advice: rule.advice(),
        };
        let findings = self.found.into_iter().map(finding).collect();
        Report { files: self.files, strangers, lengths, findings, format }
    }
}

impl Report {
    /// Rows of all files.
    pub fn n_rows(&self) -> u64 {
        self.files.iter().map(|file| file.n_rows).sum()
    }

    /// Whether each trainer reads all files, by the trainer's name; where it does not, why it does
    /// not read the first of those.
    pub fn fits(&self) -> Vec<(&'static str, Fit)> {
        let fit = |format: Format| {
            let mut fits = self.files.iter().map(|file| file.schema.fit(format));
            let first = fits.next()?;
            let fit =
                if first.is_no() { first } else { fits.find(|fit| fit.is_no()).unwrap_or(first) };
            Some((format.name(), fit))
        };
        Format::ALL.into_iter().filter_map(fit).collect()
    }

    /// The report for machines.
    pub fn to_json(&self) -> Value {
        let file = |file: &FileReport| {
            json!({
                "file": file.name, "split": file.split, "schema": file.schema.words(),
                "rows": file.n_rows,
            })
        };
        let trainer = |(name, fit): (&str, Fit)| {
            let fit = match fit {
                Fit::Yes => json!({"reads": true}),
                Fit::With(setting) => json!({"reads": true, "with": setting}),
                Fit::No(why) => json!({"reads": false, "why": why}),
            };
            (name.to_owned(), fit)
        };
        json!({
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "strangers": self.strangers,
            "rows": self.n_rows(),
            "trainers": self.fits().into_iter().map(trainer).collect::<Map<_, _>>(),
            "lengths": self.lengths.figures(),
            "findings": self.findings,
        })
    }
}
