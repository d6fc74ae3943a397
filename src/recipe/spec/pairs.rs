//! Parameters of the step that makes pairs.

use std::path::PathBuf;

use serde::Serialize;

/// Parameters of [`Step::FormatTextGenerationDPO`](super::Step::FormatTextGenerationDPO); all are
/// ours.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct FormatTextGenerationDpo {
    /// Which answers make pairs.
    pub policy: PairPolicy,
    /// Least by which the chosen answer's rating must exceed the rejected one's.
    pub min_margin: f64,
    /// What answers of equal rating make.
    pub ties: Ties,
    /// Most by which the longer side may exceed the shorter, as a ratio of their characters; any
    /// when absent.
    pub max_length_ratio: Option<f64>,
    /// Most pairs of one row under [`PairPolicy::AllOrdered`], widest margins first; all when
    /// absent.
    pub max_pairs_per_prompt: Option<usize>,
    /// Whose ratings count.
    pub ratings_from: RatingsFrom,
    /// The file that `stillroom pull argilla` wrote; one that is not there yet holds no answers.
    pub human_ratings: Option<PathBuf>,
}

/// Whose ratings make pairs. People have rated a row when each of its answers has a rating of
/// theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RatingsFrom {
    /// The judge's.
    #[default]
    Judge,
    /// People's; a row that they have not rated makes no pair.
    Human,
    /// People's where they have rated a row, the judge's elsewhere.
    HumanThenJudge,
}

/// Which of a row's rated answers make pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairPolicy {
    /// The best against the worst.
    #[default]
    BestWorst,
    /// The best against a random one of those below it.
    BestRandomLower,
    /// The best against the one nearest to two standard deviations below the mean: the worst of
    /// many samples is too easily told apart (arXiv 2502.16825).
    #[serde(rename = "best-mu2sigma")]
    BestMu2Sigma,
    /// Each answer against every one rated below it.
    AllOrdered,
}

impl PairPolicy {
    /// Fewest answers that the policy makes sense of.
    pub fn n_answers_min(self) -> usize {
        match self {
            Self::BestWorst | Self::BestRandomLower | Self::AllOrdered => 2,
            Self::BestMu2Sigma => 5,
        }
    }
}

/// What two answers of equal rating make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// No pair.
    #[default]
    Drop,
    /// A pair that prefers the shorter one: judges favour length, so of two that please a judge
    /// alike the shorter one is the better.
    Shorter,
}
