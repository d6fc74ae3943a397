//! Rows that were brought from the Hub before a run reads them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::opener::Opener;
use crate::Result;
use crate::data::read::{self, SetSource};
use crate::recipe::file_columns;
use crate::recipe::spec::{LoadDataFromHub, Step};

/// Rows that were brought for a step.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Brought {
    /// The repository.
    pub repo: String,
    /// The commit that the rows are of.
    pub commit: String,
    /// The config.
    pub config: String,
    /// The split.
    pub split: String,
    /// Names of the files in the repository, as far as they were needed.
    pub files: Vec<String>,
    /// Where they are on this disk.
    #[serde(skip)]
    pub paths: Vec<PathBuf>,
}

impl Brought {
    /// The files as one source of at most `n_records` records, with `columns` added.
    pub(super) fn source(
        &self,
        columns: &BTreeMap<String, String>,
        n_records: Option<usize>,
    ) -> SetSource {
        SetSource {
            name: self.repo.clone(),
            files: self.paths.clone(),
            n_records,
            columns: columns.clone(),
        }
    }
}

/// The columns of a loader's data as far as a run with this limit reads it; nothing when they cannot
/// be told. What is not here yet is brought.
///
/// # Errors
/// As [`Opener::data_set`]. A file that cannot be read is left to the run to complain about.
pub fn columns(
    loader: &Step,
    limit: Option<usize>,
    opener: &mut dyn Opener,
) -> Result<Option<Vec<String>>> {
    let Step::LoadDataFromHub(spec) = loader else { return Ok(file_columns(loader)) };
    let n_records = n_records(spec, limit);
    let brought = opener.data_set(spec, n_records)?;
    let columns = read::set_columns(&brought.source(&BTreeMap::new(), n_records))?;
    Ok(Some(columns).filter(|columns| !columns.is_empty()))
}

/// Most records of a data set that a run with this limit reads.
pub(super) fn n_records(spec: &LoadDataFromHub, limit: Option<usize>) -> Option<usize> {
    [spec.num_examples, limit].into_iter().flatten().min()
}
