//! Parameters of the step that takes the data set to the Hub.

use serde::Serialize;

/// Parameters of [`Step::PushToHub`](super::Step::PushToHub). Credentials are none of them: they
/// come from the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushToHub {
    /// The repository, `owner/name`; `name` alone is one of the token's own user.
    pub repo_id: String,
    /// Whether only its owner and those that they invite may see it.
    pub private: bool,
    /// Ours: the branch.
    pub revision: String,
    /// Ours: the commit's message; one that names the run when absent.
    pub message: Option<String>,
}

impl PushToHub {
    /// The branch when none is named.
    pub const MAIN: &'static str = "main";

    /// To the main branch of a repository; a new one is public unless its owner has it otherwise.
    pub fn new(repo_id: impl Into<String>) -> Self {
        Self {
            repo_id: repo_id.into(),
            private: false,
            revision: Self::MAIN.to_owned(),
            message: None,
        }
    }
}

/// A recipe's [`PushToHub`]. Rows do not reach it: it comes after the data set, whose leaves are
/// its parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushStep {
    /// Its name in the recipe.
    pub name: String,
    /// Its parameters.
    pub spec: PushToHub,
    /// The steps before it: indices into [`Recipe::steps`](super::Recipe::steps), in the flow's
    /// order.
    pub parents: Vec<usize>,
}
