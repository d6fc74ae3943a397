//! Parameters of the steps that leave rows out.

use serde::Serialize;
use serde_json::Value;

/// Parameters of [`Step::FilterRows`](super::Step::FilterRows); the step is ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilterRows {
    /// A column, or a path into one, such as `ratings[0]`.
    pub column: String,
    /// How its value is compared.
    pub op: FilterOp,
    /// With what; a list for `in` and `not-in`, absent for `null` and `not-null`.
    pub value: Option<Value>,
}

/// How a row's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterOp {
    /// The same value; numbers by their size.
    #[default]
    #[serde(rename = "==")]
    Equal,
    /// Another value.
    #[serde(rename = "!=")]
    NotEqual,
    /// Smaller, of two numbers; before, of two texts.
    #[serde(rename = "<")]
    Less,
    /// Not larger.
    #[serde(rename = "<=")]
    AtMost,
    /// Larger.
    #[serde(rename = ">")]
    More,
    /// Not smaller.
    #[serde(rename = ">=")]
    AtLeast,
    /// One of a list.
    In,
    /// None of a list.
    NotIn,
    /// A text that contains a text, or a list with an item.
    Contains,
    /// A text or a list that does not.
    Lacks,
    /// At least so many characters of a text, or items of a list.
    MinLength,
    /// At most so many.
    MaxLength,
    /// No value.
    Null,
    /// Any value.
    NotNull,
}

impl FilterOp {
    /// The name, as a recipe has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::In => "in",
            Self::NotIn => "not-in",
            Self::Contains => "contains",
            Self::Lacks => "lacks",
            Self::MinLength => "min-length",
            Self::MaxLength => "max-length",
            Self::Null => "null",
            Self::NotNull => "not-null",
        }
    }
}

/// Parameters of [`Step::DropRefusals`](super::Step::DropRefusals); the step is ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DropRefusals {
    /// Column of an answer, or of a list of them.
    pub column: String,
}

impl Default for DropRefusals {
    fn default() -> Self {
        Self { column: "generation".to_owned() }
    }
}

/// Parameters of [`Step::DropTruncated`](super::Step::DropTruncated); the step is ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DropTruncated {
    /// Column of an answer, or of a list of them.
    pub column: String,
    /// Ends of an answer that leave its row out.
    pub finish_reasons: Vec<String>,
}

impl DropTruncated {
    /// Every end that an answer can have.
    pub const FINISH_REASONS: [&'static str; 3] = ["stop", "length", "repetition"];
}

impl Default for DropTruncated {
    fn default() -> Self {
        Self {
            column: "generation".to_owned(),
            finish_reasons: vec!["length".to_owned(), "repetition".to_owned()],
        }
    }
}

/// Parameters of [`Step::MinHashDedup`](super::Step::MinHashDedup).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MinHashDedup {
    /// Ours: column of the text that is compared.
    pub column: String,
    /// Jaccard index of two texts' five-character shingles from which on they are duplicates; 1
    /// leaves out only texts that are equal once normalised.
    pub threshold: f64,
    /// Seeds the search for candidates.
    pub seed: u64,
    /// Ours: whether duplicates are left out. Otherwise every row stays, as in distilabel, and
    /// `keep_row_after_minhash_filtering` tells.
    pub remove: bool,
}

impl MinHashDedup {
    /// Column that tells whether a row is the first of its kind.
    pub const FLAG: &'static str = "keep_row_after_minhash_filtering";
}

impl Default for MinHashDedup {
    fn default() -> Self {
        Self { column: "text".to_owned(), threshold: 0.9, seed: 1, remove: true }
    }
}
