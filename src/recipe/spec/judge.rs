//! Parameters of the judge.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::Generation;

/// Parameters of [`Step::UltraFeedback`](super::Step::UltraFeedback).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UltraFeedback {
    /// Name of the judge.
    pub model: String,
    /// What is rated. Ours: several aspects, one call each, and `ratings` is their mean.
    pub aspect: Aspects,
    /// Ours: where each rating's reason stands.
    pub rationale: Rationale,
    /// Ours: most tokens of one rationale; the answer's worst case must fit `max_new_tokens`.
    pub max_rationale_tokens: usize,
    /// Ours: which rating becomes `ratings`.
    pub score: Score,
    /// Ours: orders of presentation whose probabilities are averaged.
    pub orders: Orders,
    /// Ours: what of the prompt comes first.
    pub layout: PromptLayout,
    /// Ours: a file whose text replaces the rubric of the aspect.
    pub rubric: Option<PathBuf>,
    /// How tokens are drawn.
    pub generation: Generation,
}

impl UltraFeedback {
    /// Everything in one rating, with a reason after it.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            aspect: Aspects::default(),
            rationale: Rationale::default(),
            max_rationale_tokens: 64,
            score: Score::default(),
            orders: Orders::default(),
            layout: PromptLayout::default(),
            rubric: None,
            generation: Generation {
                max_new_tokens: 1024,
                temperature: 0.0,
                ..Generation::default()
            },
        }
    }
}

/// One aspect, or several, each at most once. Written down as a text or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aspects(pub Vec<Aspect>);

impl Aspects {
    /// Whether ratings are aggregated over several aspects.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }
}

impl Default for Aspects {
    fn default() -> Self {
        Aspect::default().into()
    }
}

impl From<Aspect> for Aspects {
    fn from(aspect: Aspect) -> Self {
        Self(vec![aspect])
    }
}

impl<const N: usize> From<[Aspect; N]> for Aspects {
    fn from(aspects: [Aspect; N]) -> Self {
        Self(aspects.to_vec())
    }
}

impl Serialize for Aspects {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [aspect] => aspect.serialize(serializer),
            aspects => aspects.serialize(serializer),
        }
    }
}

/// What an UltraFeedback judge rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// Everything in one rating.
    #[default]
    OverallRating,
    /// Usefulness, with the kinds of help given.
    Helpfulness,
    /// Knowing what one does not know.
    Honesty,
    /// Doing what was asked.
    InstructionFollowing,
    /// Being right, with the kinds of error made.
    Truthfulness,
}

impl Aspect {
    /// The name, as a recipe has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OverallRating => "overall-rating",
            Self::Helpfulness => "helpfulness",
            Self::Honesty => "honesty",
            Self::InstructionFollowing => "instruction-following",
            Self::Truthfulness => "truthfulness",
        }
    }
}

/// What of a judge's prompt comes first: the prefix cache serves all prompts that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptLayout {
    /// The rubric, which all rows of an aspect share.
    #[default]
    RubricFirst,
    /// Instruction and answers, which all aspects of a row share.
    ContentFirst,
}

/// Where a rating's reason stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rationale {
    /// The rating is read first, so that the reason cannot narrow its distribution.
    #[default]
    After,
    /// The judge thinks, then rates.
    Before,
    /// Ratings only.
    None,
}

/// Which rating counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// The mean over the allowed digits.
    #[default]
    Expected,
    /// The digit taken.
    Sampled,
}

/// How many orders of presentation are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(into = "toml::Value")]
pub enum Orders {
    /// As the flow gives them.
    #[default]
    One,
    /// Forwards and backwards.
    Two,
    /// Every rotation.
    All,
}

impl From<Orders> for toml::Value {
    fn from(orders: Orders) -> Self {
        match orders {
            Orders::One => Self::Integer(1),
            Orders::Two => Self::Integer(2),
            Orders::All => Self::String("all".to_owned()),
        }
    }
}
