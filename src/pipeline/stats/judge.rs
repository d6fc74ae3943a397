//! The figures of one judge: ratings, who beats whom, how sure it is, what length and place do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cells::{Cells, Distribution, Survival};
use super::duels::{Duel, Duels, EQUAL};
use super::moments::{Comoments, Correlation};
use super::places::Orders;
use super::ratings::{AspectFigures, Confidence, N_BINS, RatingTally};
use super::rows::{JudgeLine, Rated};
use super::share::Share;

/// Name of answers whose row does not say who gave them.
const NOBODY: &str = "unnamed";

/// Aspects told apart: there are no more, but a file may say so.
const N_ASPECTS_MAX: usize = 16;

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
    /// How sure the judge was; nothing where the ratings are means over aspects.
    pub confidence: Option<Confidence>,
    /// Each aspect alone, where there are several.
    pub aspects: Vec<AspectFigures>,
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
    n_compared: u64,
    n_ties: u64,
    n_best_shared: u64,
    ratings: RatingTally,
    /// In the order in which they are asked.
    aspects: Vec<(String, RatingTally)>,
    gaps: Cells,
    duels: Duels,
    models: BTreeMap<usize, OfModel>,
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
            n_compared: 0,
            n_ties: 0,
            n_best_shared: 0,
            ratings: RatingTally::new(),
            aspects: Vec::new(),
            gaps: Cells::fine(),
            duels: Duels::default(),
            models: BTreeMap::new(),
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
        self.ratings.add(&answers, line.orders().as_ref());
        for aspect in line.aspects() {
            if let Some(tally) = self.aspect(aspect.name) {
                tally.add(&aspect.answers, aspect.orders.as_ref());
            }
        }
    }

    fn aspect(&mut self, name: &str) -> Option<&mut RatingTally> {
        let known = self.aspects.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or(self.aspects.len());
        if at == self.aspects.len() && at < N_ASPECTS_MAX {
            self.aspects.push((name.to_owned(), RatingTally::new()));
        }
        self.aspects.get_mut(at).map(|(_, tally)| tally)
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
        if let Some(rating) = answer.rating {
            of_model.ratings.add(rating);
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
        let aspects = self.aspects.iter().map(|(name, tally)| tally.of_aspect(name));
        JudgeFigures {
            step: step.to_owned(),
            judge,
            n_rows: self.n_rows,
            ratings: self.ratings.ratings(),
            n_unrated: self.ratings.n_unrated(),
            choices: self.ratings.choices(),
            models: self.models(),
            duels: self.duels.matrix(),
            n_compared: self.n_compared,
            ties: Share::of(self.n_ties, self.n_compared),
            n_best_shared: self.n_best_shared,
            gaps: self.gaps.distribution(N_BINS),
            gaps_survival: self.gaps.survival(),
            confidence: self.ratings.confidence(),
            aspects: aspects.collect(),
            orders: self.ratings.orders(),
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
    fn each_aspect_is_counted_alone() {
        let orders = json!([[0, 1], [1, 0]]);
        let line = |honesty: Value, per_order: Value| {
            json!({
                "generations": ["x", "y"], "ratings": [4.0, 3.0],
                "aspects": {
                    "truthfulness": {"ratings": [4.0, 2.0], "ratings_entropy": [0.5, 1.5],
                        "ratings_probabilities": [[0.0, 0.0, 0.0, 1.0, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]],
                        "ratings_orders": orders, "ratings_per_order": [[4.0, 2.0], [4.0, 2.0]]},
                    "honesty": {"ratings": honesty, "ratings_orders": orders,
                        "ratings_per_order": per_order},
                },
            })
        };
        let figures = figures(&[
            line(json!([null, 4.0]), json!([[null, 4.0], [null, 4.0]])),
            line(json!([3.0, 2.0]), json!([[3.5, 1.0], [2.5, 3.0]])),
            json!({"ratings": [1.0], "aspects": {"honesty": "no object"}}),
            json!({"ratings": [1.0], "aspects": ["no object"]}),
        ]);
        let [truthfulness, honesty] = figures.aspects.as_slice() else { panic!("two aspects") };
        assert_eq!((&*truthfulness.aspect, &*honesty.aspect), ("truthfulness", "honesty"));
        assert_eq!(truthfulness.ratings.as_ref().unwrap().mean, 3.0);
        assert_eq!((truthfulness.unrated.unwrap().n, truthfulness.unrated.unwrap().of), (0.0, 4));
        let confidence = truthfulness.confidence.as_ref().unwrap();
        assert_eq!((confidence.entropy.mean, confidence.unsure.unwrap().n), (1.0, 2.0));
        assert_eq!(truthfulness.choices, [0.1, 0.1, 0.1, 0.6, 0.1]);
        assert_eq!((honesty.unrated.unwrap().n, honesty.unrated.unwrap().of), (1.0, 4));
        assert_eq!((honesty.ratings.as_ref().unwrap().mean, &honesty.confidence), (3.0, &None));
        let flips = |of: &AspectFigures| of.orders.as_ref().unwrap().flips.unwrap().n;
        assert_eq!((flips(truthfulness), flips(honesty)), (0.0, 1.0));
        assert_eq!((figures.confidence, figures.ratings.unwrap().n), (None, 6));
    }

    #[test]
    fn rows_without_ratings_are_no_fault() {
        let figures = figures(&[json!({"ratings": [null, null]}), json!({})]);
        assert_eq!((figures.n_rows, figures.n_unrated, figures.n_compared), (2, 2, 0));
        assert_eq!((figures.ratings, figures.ties), (None, None));
    }
}
