//! The figures of one judge: ratings, who beats whom, how sure it is, what length and place do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cells::{Cells, Distribution, Survival};
use super::duels::{Duel, Duels, EQUAL};
use super::moments::{Comoments, Correlation};
use super::places::{OrderTally, Orders};
use super::rows::{JudgeLine, Rated};
use super::share::{Share, rounded};

/// Bars of a histogram of ratings: quarters of a point, from 1 to 5.
const N_BINS: usize = 20;

/// Name of answers whose row does not say who gave them.
const NOBODY: &str = "unnamed";

/// Choices that a distribution may have: five digits, and "not applicable".
const N_CHOICES_MAX: usize = 6;

/// What a judge said, in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgeFigures {
    /// The step.
    pub step: String,
    /// The judge's name in the recipe.
    pub judge: Option<String>,
    /// Rows judged.
    pub n_rows: u64,
    /// The ratings that count.
    pub ratings: Option<Distribution>,
    /// Answers that got none ("not applicable").
    pub n_unrated: u64,
    /// `[choices]` mean probability of each: the digits from 1, then "not applicable".
    pub choices: Vec<f64>,
    /// Answers by the model that gave them.
    pub models: Vec<ModelRatings>,
    /// Every model against every other one.
    pub duels: Vec<Duel>,
    /// Rows whose answers can be compared: two ratings or more.
    pub n_compared: u64,
    /// Of those, rows whose ratings are all equal.
    pub ties: Option<Share>,
    /// Of those, rows where several answers share the best rating, the ties among them.
    pub n_best_shared: u64,
    /// Best rating less worst one, by row.
    pub gaps: Option<Distribution>,
    /// Rows whose gap reaches a bound.
    pub gaps_survival: Vec<Survival>,
    /// How sure the judge was.
    pub confidence: Option<Confidence>,
    /// What the order of presentation does; nothing where there was one order.
    pub orders: Option<Orders>,
    /// Length in characters and rating.
    pub length: LengthAndRating,
}

/// The ratings of one model's answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelRatings {
    /// The name that rows carry.
    pub model: String,
    /// Its answers.
    pub n_answers: u64,
    /// Their ratings.
    pub ratings: Option<Distribution>,
    /// Their lengths in characters.
    pub length: Option<Distribution>,
    /// Prompts won against all other models, ties counted half.
    pub wins: Option<Share>,
}

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

/// Correlations of length and rating.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LengthAndRating {
    /// Over all answers.
    pub overall: Option<Correlation>,
    /// Among the answers to one prompt: lengths and ratings less their means over the prompt.
    pub within_prompts: Option<Correlation>,
}

/// Counts what a judge's rows say.
pub(super) struct JudgeTally {
    n_rows: u64,
    n_unrated: u64,
    n_compared: u64,
    n_ties: u64,
    n_best_shared: u64,
    ratings: Cells,
    gaps: Cells,
    entropy: Cells,
    likeliest: Cells,
    n_unsure: u64,
    /// Sums of probabilities, and the answers that had some.
    choices: [f64; N_CHOICES_MAX],
    n_choices: usize,
    n_with_choices: u64,
    duels: Duels,
    models: BTreeMap<usize, OfModel>,
    orders: OrderTally,
    overall: Comoments,
    within: Comoments,
}

struct OfModel {
    n_answers: u64,
    ratings: Cells,
    length: Cells,
}

impl JudgeTally {
    pub(super) fn new() -> Self {
        Self {
            n_rows: 0,
            n_unrated: 0,
            n_compared: 0,
            n_ties: 0,
            n_best_shared: 0,
            ratings: Cells::fine(),
            gaps: Cells::fine(),
            entropy: Cells::fine(),
            likeliest: Cells::fine(),
            n_unsure: 0,
            choices: [0.0; N_CHOICES_MAX],
            n_choices: 0,
            n_with_choices: 0,
            duels: Duels::default(),
            models: BTreeMap::new(),
            orders: OrderTally::default(),
            overall: Comoments::default(),
            within: Comoments::default(),
        }
    }

    /// Takes one judged row.
    pub(super) fn add(&mut self, line: &JudgeLine) {
        self.n_rows += 1;
        let answers = line.answers();
        let mut rated: Vec<(usize, f64)> = Vec::with_capacity(answers.len());
        let mut lengths: Vec<(f64, f64)> = Vec::with_capacity(answers.len());
        for answer in &answers {
            let model = self.answer(answer);
            let Some(rating) = answer.rating else { continue };
            rated.push((model, rating));
            lengths.extend(answer.n_chars.map(|n_chars| (n_chars as f64, rating)));
        }
        lengths.iter().for_each(|(length, rating)| self.overall.add(*length, *rating));
        if lengths.len() > 1 {
            self.within.add_centered(&lengths);
        }
        self.compare(&rated);
        if let Some(seen) = line.orders() {
            self.orders.add(&seen);
        }
    }

    /// Takes one answer; returns the index of its model.
    fn answer(&mut self, answer: &Rated<'_>) -> usize {
        let model = self.duels.index(answer.model.unwrap_or(NOBODY));
        let of_model = self.models.entry(model).or_insert_with(|| OfModel {
            n_answers: 0,
            ratings: Cells::fine(),
            length: Cells::whole(),
        });
        of_model.n_answers += 1;
        if let Some(n_chars) = answer.n_chars {
            of_model.length.add(n_chars as f64);
        }
        match answer.rating {
            Some(rating) => {
                of_model.ratings.add(rating);
                self.ratings.add(rating);
            }
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
        model
    }

    fn compare(&mut self, rated: &[(usize, f64)]) {
        if rated.len() < 2 {
            return;
        }
        let ratings = || rated.iter().map(|(_, rating)| *rating);
        let best = ratings().fold(f64::NEG_INFINITY, f64::max);
        let worst = ratings().fold(f64::INFINITY, f64::min);
        self.n_compared += 1;
        self.n_ties += u64::from(best - worst <= EQUAL);
        self.n_best_shared += u64::from(ratings().filter(|r| best - r <= EQUAL).count() > 1);
        self.gaps.add(best - worst);
        self.duels.add(rated);
    }

    /// What it all came to.
    pub(super) fn figures(&self, step: &str, judge: Option<String>) -> JudgeFigures {
        let mean_of = |sum: &f64| rounded(sum / self.n_with_choices.max(1) as f64);
        JudgeFigures {
            step: step.to_owned(),
            judge,
            n_rows: self.n_rows,
            ratings: self.ratings.distribution(N_BINS),
            n_unrated: self.n_unrated,
            choices: self.choices[..self.n_choices].iter().map(mean_of).collect(),
            models: self.models(),
            duels: self.duels.matrix(),
            n_compared: self.n_compared,
            ties: Share::of(self.n_ties, self.n_compared),
            n_best_shared: self.n_best_shared,
            gaps: self.gaps.distribution(N_BINS),
            gaps_survival: self.gaps.survival(),
            confidence: self.confidence(),
            orders: self.orders.orders(),
            length: LengthAndRating {
                overall: self.overall.correlation(),
                within_prompts: self.within.correlation(),
            },
        }
    }

    /// The models, the best ones first.
    fn models(&self) -> Vec<ModelRatings> {
        let of_model = |(model, of): (&usize, &OfModel)| ModelRatings {
            model: self.duels.name(*model).to_owned(),
            n_answers: of.n_answers,
            ratings: of.ratings.distribution(N_BINS),
            length: of.length.distribution(N_BINS),
            wins: self.duels.against_all(*model),
        };
        let mut models: Vec<ModelRatings> = self.models.iter().map(of_model).collect();
        let mean = |of: &ModelRatings| of.ratings.as_ref().map_or(f64::NEG_INFINITY, |r| r.mean);
        models.sort_by(|a, b| mean(b).total_cmp(&mean(a)).then_with(|| a.model.cmp(&b.model)));
        models
    }

    fn confidence(&self) -> Option<Confidence> {
        Some(Confidence {
            entropy: self.entropy.distribution(N_BINS)?,
            entropy_max: rounded((self.n_choices.max(1) as f64).ln()),
            likeliest: self.likeliest.distribution(N_BINS)?,
            unsure: Share::of(self.n_unsure, self.n_with_choices),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn figures(lines: &[Value]) -> JudgeFigures {
        let mut tally = JudgeTally::new();
        for line in lines {
            tally.add(&serde_json::from_value(line.clone()).unwrap());
        }
        tally.figures("judge", Some("j".to_owned()))
    }

    #[test]
    fn four_rows_by_hand() {
        let line = |generations: [&str; 2], ratings: Value| json!({"generations": generations, "model_names": ["a", "b"], "ratings": ratings});
        let figures = figures(&[
            line(["xx", "x"], json!([4, 2])),
            line(["x", "xxx"], json!([3, 3])),
            line(["xxx", "x"], json!([1.5, 3.0])),
            line(["xx", "xx"], json!([5, null])),
        ]);
        assert_eq!((figures.n_rows, figures.n_compared, figures.n_unrated), (4, 3, 1));
        let ratings = figures.ratings.unwrap();
        assert_eq!((ratings.n, ratings.mean), (7, 3.071429));
        assert_eq!((figures.ties.unwrap().n, figures.n_best_shared), (1.0, 1));
        let gaps = figures.gaps.unwrap();
        assert_eq!((gaps.median, gaps.max), (1.5, 2.0));
        let left = |bound: f64| {
            figures.gaps_survival.iter().find(|p| p.at_least >= bound - 1e-9).unwrap().n
        };
        assert_eq!([left(0.0), left(0.05), left(1.5), left(1.55)], [3, 2, 2, 1]);
        assert_eq!((figures.models[0].model.as_str(), figures.models[0].n_answers), ("a", 4));
        assert_eq!(figures.models[0].ratings.as_ref().unwrap().mean, 3.375);
        assert_eq!(figures.duels[0].wins.n, 1.5);
        assert_eq!((figures.confidence, figures.orders), (None, None));
    }

    #[test]
    fn certainty_is_seen_in_the_probabilities() {
        let certain = json!([0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        let torn = json!([0.4, 0.0, 0.2, 0.0, 0.2, 0.2]);
        let figures = figures(&[json!({
            "generations": ["x", "y"], "ratings": [3, 2.75], "ratings_entropy": [0.0, 1.332],
            "ratings_probabilities": [certain, torn],
        })]);
        let confidence = figures.confidence.unwrap();
        assert_eq!(confidence.unsure.unwrap().n, 1.0);
        assert_eq!((confidence.entropy.max, confidence.entropy_max), (1.332, 1.791759));
        assert_eq!(confidence.likeliest.min, 0.4);
        assert_eq!(figures.choices, [0.2, 0.0, 0.6, 0.0, 0.1, 0.1]);
        assert_eq!(figures.models[0].model, NOBODY);
    }

    #[test]
    fn rows_without_ratings_are_no_fault() {
        let figures = figures(&[json!({"ratings": [null, null]}), json!({})]);
        assert_eq!((figures.n_rows, figures.n_unrated, figures.n_compared), (2, 2, 0));
        assert_eq!((figures.ratings, figures.ties), (None, None));
    }
}
