//! What is wrong with a preference data set, ours or another's, before a trainer meets it.
//!
//! A pass over the files: each row is looked at by itself (a batch at a time, on all cores), then,
//! in order, against the rows before it. What is kept of a row are some hashes and its place, so
//! memory grows by about a hundred bytes a row. It must not know how texts are compared or
//! tokenised: the caller brings that as [`Tools`].

mod among;
mod files;
mod fit;
mod lengths;
mod report;
mod rules;
mod sample;
mod schema;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::Path;

use rayon::prelude::*;

use crate::data::export::Format;
use crate::data::read::{self, RawRecord};
use crate::{Error, Result};
use among::Among;
use files::DataFile;
use report::Findings;
use rules::Facts;

pub use fit::Fit;
pub use lengths::{LengthFigures, Lengths};
pub use report::{FileReport, Finding, Report};
pub use rules::Rule;
pub use schema::Schema;

/// Rows that are looked at together.
const N_BATCH_ROWS: usize = 1024;

/// Tokens of a prompt, given as roles and contents; none where it cannot be rendered.
pub type PromptLen<'a> = dyn Fn(&[(&str, &str)]) -> Option<usize> + Sync + 'a;

/// Where a trainer cuts a row, and the tokens that say so.
#[derive(Clone, Copy)]
pub struct Cut<'a> {
    /// Tokens of the longest prompt with its answer.
    pub max_len: usize,
    /// Counts the tokens of a prompt.
    pub prompt_len: &'a PromptLen<'a>,
    /// Tokens of an answer; none where it cannot be spelled.
    pub ids: &'a (dyn Fn(&str) -> Option<Vec<u32>> + Sync),
}

/// What the rules cannot do themselves.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// A text without what no reader sees.
    pub normalise: &'a (dyn for<'t> Fn(&'t str) -> Cow<'t, str> + Sync),
    /// How alike two texts are, from 0 to 1.
    pub likeness: &'a (dyn Fn(&str, &str) -> f64 + Sync),
    /// Where the trainer cuts, if that is known.
    pub cut: Option<Cut<'a>>,
    /// Control tokens of the model, beside those that are known of many.
    pub control_tokens: &'a [String],
}

/// Finds the earlier row that each of these texts is nearly the same as. Rows are numbered in the
/// order in which they are given, from 0; an empty text is like no other.
pub type FindNear<'a> = dyn FnMut(Vec<String>) -> Result<Vec<Option<u32>>> + 'a;

/// Looks at a file, or at all data files of a folder; `format` is what the trainer reads, if the
/// data set is meant for one.
///
/// # Errors
/// [`Error::Usage`] when there is no file to read or none of them holds preferences;
/// [`Error::Environment`] when one cannot be read. What is wrong with the data is no error.
pub fn lint(
    path: &Path,
    format: Option<Format>,
    tools: Tools<'_>,
    find_near: &mut FindNear<'_>,
) -> Result<Report> {
    let mut pass =
        Pass { tools, find_near, findings: Findings::default(), among: Among::default() };
    let mut strangers = Vec::new();
    for file in files::find(path)? {
        match schema::of_file(&file.path)? {
            Ok(schema) => {
                if format.is_some_and(|format| schema.fit(format).is_no()) {
                    pass.findings.add_file(Rule::Schema, &file.shown);
                }
                pass.file(file, schema)?;
            }
            Err(columns) => strangers.push((file.shown, columns)),
        }
    }
    let Pass { mut findings, among, .. } = pass;
    if findings.is_empty() {
        return Err(no_preferences(path, &strangers));
    }
    if among.lengths.is_skewed() {
        findings.add_file(Rule::LengthSkew, &path.display().to_string());
    }
    let strangers = strangers.into_iter().map(|(file, _)| file).collect();
    Ok(findings.report(among.lengths, strangers, format))
}

fn no_preferences(path: &Path, strangers: &[(String, String)]) -> Error {
    let columns = strangers.first().map_or("", |(_, columns)| columns);
    Error::Usage {
        what: format!("{} holds no preferences known here; its columns: {columns}", path.display()),
        hint: "prompt, chosen and rejected make a pair; prompt, completion and label an answer \
               with its label; see the README for the other layouts"
            .to_owned(),
    }
}

/// A pass over the files.
struct Pass<'a, 'n> {
    tools: Tools<'a>,
    find_near: &'a mut FindNear<'n>,
    findings: Findings,
    among: Among,
}

impl Pass<'_, '_> {
    fn file(&mut self, file: DataFile, schema: Schema) -> Result<()> {
        let mut records = read::open_records(&file.path)?;
        self.findings.open(file.shown, file.split, schema);
        loop {
            let batch: Vec<RawRecord> =
                records.by_ref().take(N_BATCH_ROWS).collect::<Result<_>>()?;
            if batch.is_empty() {
                return Ok(());
            }
            self.batch(&batch, schema, file.split)?;
        }
    }

    fn batch(&mut self, batch: &[RawRecord], schema: Schema, split: &'static str) -> Result<()> {
        let tools = self.tools;
        let facts: Vec<Facts> =
            batch.par_iter().map(|record| Facts::of(record, schema, tools)).collect();
        let mut texts = Vec::with_capacity(facts.len());
        let first = self.findings.n_rows();
        for (record, mut facts) in batch.iter().zip(facts) {
            let row = self.findings.row(record.place.number);
            let among = self.among.see(&facts, split);
            let is_copy = !among.is_empty();
            facts.rules.extend(among);
            facts.rules.iter().for_each(|rule| self.findings.add(*rule, row));
            texts.push(if is_copy { String::new() } else { facts.text });
        }
        for (near, row) in (self.find_near)(texts)?.into_iter().zip(first..) {
            if near.is_some_and(|near| self.among.differ_in_prompt(near, row)) {
                self.findings.add(Rule::NearDuplicate, row);
            }
        }
        Ok(())
    }
}
