//! Data sets of the Hub, in a build that has no Hub in it.

use std::path::Path;

use super::brought::Brought;
use crate::hub::{HubOptions, Progress};
use crate::recipe::spec::LoadDataFromHub;
use crate::{Error, Result};

/// Says that this build cannot.
pub(super) fn bring(
    spec: &LoadDataFromHub,
    _n_records: Option<usize>,
    _options: &HubOptions,
    _cache: &Path,
    _progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Brought> {
    Err(Error::Usage {
        what: format!("cannot fetch the data set {}: this build has no Hub in it", spec.repo_id),
        hint: "build with the feature `hub`, or read a local file with LoadDataFromFileSystem"
            .into(),
    })
}
