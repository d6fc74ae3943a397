//! The judge, where exactly one of two or three answers is right: does it get the highest rating?
//!
//! Reason first and rating first; one order, both, with three answers all, and what the digit taken
//! says beside the mean over all digits. A best rating that `k` answers share counts as one in `k`.

use serde_json::{Value, json};
use stillroom::data::row::Columns;
use stillroom::recipe::spec::{LoadDataFromDicts, Orders, Rationale, Step, UltraFeedback};
use stillroom::recipe::step;
use stillroom_models::demo::answer::{Answer, Kind};
use stillroom_models::demo::dice::Dice;
use stillroom_models::demo::exercise::Exercise;

use super::runs::{Family, Job, columns, step_of_recipe};
use super::share::Share;
use super::{SEED, exercises};

const WRONG: [Kind; 5] =
    [Kind::Slip, Kind::Slip, Kind::OtherOperation, Kind::StopsEarly, Kind::Miscopied];

pub(crate) fn judging(family: &Family, n: usize) {
    let exercises = exercises(n);
    println!("\n## The judge on {n} held-out exercises with one right and one wrong answer\n");
    println!("The right answer is shown first in half of them; two orders are all there are.\n");
    println!(
        "| reason | rating | one order | the other | both | ties | flips | agrees with its reason |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let rows = answered(&exercises, 1);
    for rationale in [Rationale::Before, Rationale::After] {
        let judged = |orders| judged(family, &rows, rationale, orders);
        tell(rationale, &judged(Orders::One), &judged(Orders::Two));
    }
    println!("\n## The judge on {n} held-out exercises with one right and two wrong answers\n");
    println!("The right answer is shown at each place in a third of them; all orders are three.\n");
    println!(
        "| reason | rating | one order | both | all | best shared | flips, both | flips, all |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let rows = answered(&exercises, 2);
    for rationale in [Rationale::Before, Rationale::After] {
        let judged = |orders| judged(family, &rows, rationale, orders);
        let all = [Orders::One, Orders::Two, Orders::All].map(judged);
        tell_three(rationale, &all);
    }
}

/// Rows with the judge's verdicts, by the recipe's own step but for reasons and orders.
fn judged(family: &Family, rows: &[Columns], rationale: Rationale, orders: Orders) -> Vec<Columns> {
    let Step::UltraFeedback(spec) = step_of_recipe("judge") else {
        panic!("`judge` is UltraFeedback")
    };
    let spec = UltraFeedback { rationale, orders, model: "judge".to_owned(), ..spec };
    let flow = step("load", LoadDataFromDicts::new(rows.to_vec())) >> step("judge", spec);
    Job::of_flow(&[("judge", family.source("judge"))], flow).rows("judge")
}

/// Rows with a right answer and `n_wrong` different wrong ones; `right` says which one is right.
fn answered(exercises: &[(Exercise, String)], n_wrong: usize) -> Vec<Columns> {
    let mut dice = Dice::new(SEED ^ n_wrong as u64);
    let row = |(exercise, text): &(Exercise, String)| {
        let mut answers: Vec<String> = Vec::with_capacity(n_wrong + 1);
        while answers.len() < n_wrong {
            let kind = *dice.pick(&WRONG);
            let answer = Answer::of_kind(exercise, kind, &mut dice);
            if !answer.is_right() && !answers.contains(&answer.text()) {
                answers.push(answer.text());
            }
        }
        let at = dice.below(n_wrong + 1);
        answers.insert(at, Answer::right(exercise).text());
        columns(&[
            ("instruction", json!(text)),
            ("generations", json!(answers)),
            ("right", json!(at)),
        ])
    };
    exercises.iter().map(row).collect()
}

/// Rows whose right answer is rated highest, a part of one where it shares that place.
#[derive(Default)]
struct Wins {
    won: f64,
    n: usize,
    n_shared: usize,
}

impl Wins {
    /// Those by the ratings in a column.
    fn of(rows: &[Columns], column: &str) -> Self {
        let mut wins = Self::default();
        rows.iter().for_each(|row| wins.count(row, &row[column]));
        wins
    }

    /// One more row, by these ratings; its `right` says which answer is right.
    fn count(&mut self, row: &Columns, ratings: &Value) {
        let at = usize::try_from(row["right"].as_u64().expect("an index")).expect("small");
        let ratings = ratings.as_array().expect("a list").iter();
        let ratings: Vec<f64> = ratings.map(|r| r.as_f64().expect("a rating")).collect();
        let best = ratings.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let n_best = ratings.iter().filter(|rating| **rating == best).count();
        self.n += 1;
        self.n_shared += usize::from(n_best > 1);
        if ratings[at] == best {
            self.won += 1.0 / n_best as f64;
        }
    }

    fn shown(&self) -> Share {
        Share { n: self.n, n_held: self.won as usize }
    }
}

fn tell(rationale: Rationale, once: &[Columns], twice: &[Columns]) {
    let [mut first, mut second] = [(); 2].map(|()| Wins::default());
    let mut agrees = Share::default();
    for row in twice {
        first.count(row, &row["ratings_per_order"][0]);
        second.count(row, &row["ratings_per_order"][1]);
        for i in 0..2 {
            let reason = row["rationales"][i].as_str().unwrap_or_default();
            let rating = row["ratings_per_order"][0][i].as_f64().expect("a rating");
            agrees.count(reason.contains(": right") == (rating > 3.0));
        }
    }
    let name = name(rationale);
    let both = Wins::of(twice, "ratings_expected");
    let [taken_once, taken] = [once, twice].map(|rows| Wins::of(rows, "ratings_sampled"));
    println!(
        "| {name} | expected | {} | {} | {} | {} | {} | {agrees} |",
        first.shown(),
        second.shown(),
        both.shown(),
        both.n_shared,
        flips(twice)
    );
    println!(
        "| {name} | digit taken | {} | | {} | {} | | |",
        taken_once.shown(),
        taken.shown(),
        taken.n_shared
    );
}

/// `all` holds the same rows judged in one order, in both and in all.
fn tell_three(rationale: Rationale, all: &[Vec<Columns>; 3]) {
    for (rating, column) in [("expected", "ratings_expected"), ("digit taken", "ratings_sampled")] {
        let wins = all.each_ref().map(|rows| Wins::of(rows, column));
        let [one, both, every] = wins.each_ref().map(Wins::shown);
        let shared = wins.map(|wins| wins.n_shared.to_string()).join(", ");
        let flips = match rating {
            "expected" => format!("{} | {}", flips(&all[1]), flips(&all[2])),
            _ => " | ".to_owned(),
        };
        println!(
            "| {} | {rating} | {one} | {both} | {every} | {shared} | {flips} |",
            name(rationale)
        );
    }
}

/// Rows in which another order makes another answer the best.
fn flips(rows: &[Columns]) -> Share {
    let mut flips = Share::default();
    rows.iter().for_each(|row| flips.count(row["ratings_flip"].as_bool().expect("yes or no")));
    flips
}

fn name(rationale: Rationale) -> &'static str {
    match rationale {
        Rationale::Before => "before",
        Rationale::After => "after",
        Rationale::None => "none",
    }
}
