//! The ratings of one judgement, of all aspects together or of one: their spread and their doubt.

use serde::Serialize;

use super::cells::{Cells, Distribution};
use super::places::{OrderTally, Orders};
use super::rows::{OrderedRatings, Rated};
use super::share::{Share, rounded};

/// Bars of a histogram of ratings: quarters of a point, from 1 to 5.
pub(super) const N_BINS: usize = 20;

/// Choices that a distribution may have: five digits, and "not applicable".
const N_CHOICES_MAX: usize = 6;

/// How sure a judge was of its ratings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confidence {
    /// Entropy of a rating's distribution, in nats: 0 when there is no doubt.
    pub entropy: Distribution,
    /// Entropy when every choice is as likely as any other.
    pub entropy_max: f64,
    /// Probability of the likeliest choice.
    pub likeliest: Distribution,
    /// Ratings whose likeliest choice has less than half of the probability.
    pub unsure: Option<Share>,
}

/// What a judge of several aspects said of one of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AspectFigures {
    /// Its name, as the recipe writes it.
    pub aspect: String,
    /// Its ratings.
    pub ratings: Option<Distribution>,
    /// Answers that got none ("not applicable").
    pub unrated: Option<Share>,
    /// `[choices]` mean probability of each: the digits from 1, then "not applicable".
    pub choices: Vec<f64>,
    /// How sure the judge was.
    pub confidence: Option<Confidence>,
    /// What the order of presentation does; nothing where there was one order.
    pub orders: Option<Orders>,
}

/// Counts ratings.
#[derive(Debug)]
pub(super) struct RatingTally {
    ratings: Cells,
    n_unrated: u64,
    entropy: Cells,
    likeliest: Cells,
    n_unsure: u64,
    /// Sums of probabilities, and the answers that had some.
    choices: [f64; N_CHOICES_MAX],
    n_choices: usize,
    n_with_choices: u64,
    orders: OrderTally,
}

impl RatingTally {
    pub(super) fn new() -> Self {
        Self {
            ratings: Cells::fine(),
            n_unrated: 0,
            entropy: Cells::fine(),
            likeliest: Cells::fine(),
            n_unsure: 0,
            choices: [0.0; N_CHOICES_MAX],
            n_choices: 0,
            n_with_choices: 0,
            orders: OrderTally::default(),
        }
    }

    /// Takes the answers of one row, and what each order said of them.
    pub(super) fn add(&mut self, answers: &[Rated<'_>], orders: Option<&OrderedRatings>) {
        answers.iter().for_each(|answer| self.answer(answer));
        if let Some(seen) = orders {
            self.orders.add(seen);
        }
    }

    fn answer(&mut self, answer: &Rated<'_>) {
        match answer.rating {
            Some(rating) => self.ratings.add(rating),
            None => self.n_unrated += 1,
        }
        if let Some(entropy) = answer.entropy {
            self.entropy.add(entropy);
        }
        if let Some(likeliest) = answer.probabilities.iter().copied().reduce(f64::max) {
            self.likeliest.add(likeliest);
            self.n_unsure += u64::from(likeliest < 0.5);
            self.n_with_choices += 1;
            self.n_choices = self.n_choices.max(answer.probabilities.len().min(N_CHOICES_MAX));
            for (sum, share) in self.choices.iter_mut().zip(&answer.probabilities) {
                *sum += share;
            }
        }
    }

    pub(super) fn n_unrated(&self) -> u64 {
        self.n_unrated
    }

    pub(super) fn ratings(&self) -> Option<Distribution> {
        self.ratings.distribution(N_BINS)
    }

    pub(super) fn choices(&self) -> Vec<f64> {
        let mean_of = |sum: &f64| rounded(sum / self.n_with_choices.max(1) as f64);
        self.choices[..self.n_choices].iter().map(mean_of).collect()
    }

    pub(super) fn confidence(&self) -> Option<Confidence> {
        Some(Confidence {
            entropy: self.entropy.distribution(N_BINS)?,
            entropy_max: rounded((self.n_choices.max(1) as f64).ln()),
            likeliest: self.likeliest.distribution(N_BINS)?,
            unsure: Share::of(self.n_unsure, self.n_with_choices),
        })
    }

    pub(super) fn orders(&self) -> Option<Orders> {
        self.orders.orders()
    }

    /// What it came to, as the figures of one aspect.
    pub(super) fn of_aspect(&self, aspect: &str) -> AspectFigures {
        AspectFigures {
            aspect: aspect.to_owned(),
            ratings: self.ratings(),
            unrated: Share::of(self.n_unrated, self.ratings.n() + self.n_unrated),
            choices: self.choices(),
            confidence: self.confidence(),
            orders: self.orders(),
        }
    }
}
