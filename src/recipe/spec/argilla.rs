//! Parameters of the step that brings rows before people.

use serde::Serialize;

/// Parameters of [`Step::PreferenceToArgilla`](super::Step::PreferenceToArgilla), distilabel's. The
/// key is none of them: it comes from the environment alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreferenceToArgilla {
    /// Most answers of a row.
    pub num_generations: usize,
    /// The data set's name.
    pub dataset_name: String,
    /// The workspace that holds it; the user's only one when absent.
    pub dataset_workspace: Option<String>,
    /// Where Argilla is; `ARGILLA_API_URL` when absent.
    pub api_url: Option<String>,
}

impl PreferenceToArgilla {
    /// Most answers of a record: more than anybody reads at a time.
    pub const N_GENERATIONS_MAX: usize = 32;

    /// Two answers a row, in the only workspace of the server that the environment names.
    pub fn new(dataset_name: impl Into<String>) -> Self {
        Self {
            num_generations: 2,
            dataset_name: dataset_name.into(),
            dataset_workspace: None,
            api_url: None,
        }
    }
}
