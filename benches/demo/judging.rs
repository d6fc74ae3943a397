//! The judge, where exactly one of two answers is right: does the right one get the higher rating?
//!
//! Reason first and rating first; each order alone, both, and what the digit taken says beside the
//! mean over all digits. A tie counts as half.

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
    println!("\n## The judge on {n} held-out exercises with one right and one wrong answer\n");
    println!("The right answer is shown first in half of them; two orders are all there are.\n");
    println!(
        "| reason | rating | one order | the other | both | ties | flips | agrees with its reason |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let rows = pairs(&exercises(n));
    for rationale in [Rationale::Before, Rationale::After] {
        let judged = |orders| {
            let Step::UltraFeedback(spec) = step_of_recipe("judge") else {
                panic!("`judge` is UltraFeedback")
            };
            let spec = UltraFeedback { rationale, orders, model: "judge".to_owned(), ..spec };
            let flow = step("load", LoadDataFromDicts::new(rows.clone())) >> step("judge", spec);
            Job::of_flow(&[("judge", family.source("judge"))], flow).rows("judge")
        };
        tell(rationale, &judged(Orders::One), &judged(Orders::Two));
    }
}

/// Rows with two answers each; `right` says which one is right.
fn pairs(exercises: &[(Exercise, String)]) -> Vec<Columns> {
    let mut dice = Dice::new(SEED ^ 1);
    let row = |(exercise, text): &(Exercise, String)| {
        let right = Answer::right(exercise).text();
        let wrong = loop {
            let kind = *dice.pick(&WRONG);
            let answer = Answer::of_kind(exercise, kind, &mut dice);
            if !answer.is_right() {
                break answer.text();
            }
        };
        let at = usize::from(dice.chance(50));
        let answers = if at == 0 { [right, wrong] } else { [wrong, right] };
        columns(&[
            ("instruction", json!(text)),
            ("generations", json!(answers)),
            ("right", json!(at)),
        ])
    };
    exercises.iter().map(row).collect()
}

/// Right, and half for a tie.
#[derive(Default)]
struct Wins {
    halves: usize,
    n: usize,
    n_ties: usize,
}

impl Wins {
    /// One more pair, by its ratings; `right` of its row says which answer is right.
    fn count_ratings(&mut self, row: &Columns, ratings: &Value) {
        let at = usize::try_from(row["right"].as_u64().expect("0 or 1")).expect("small");
        // A digit that was taken stands there as a text.
        let of = |i: usize| ratings[i].as_f64().or_else(|| ratings[i].as_str()?.parse().ok());
        self.count(of(at).expect("a rating"), of(1 - at).expect("a rating"));
    }

    fn count(&mut self, right: f64, wrong: f64) {
        self.n += 1;
        self.n_ties += usize::from(right == wrong);
        self.halves += if right > wrong { 2 } else { usize::from(right == wrong) };
    }

    fn shown(&self) -> Share {
        Share { n: self.n, n_held: self.halves / 2 }
    }
}

fn tell(rationale: Rationale, once: &[Columns], twice: &[Columns]) {
    let [mut first, mut second, mut both] = [(); 3].map(|()| Wins::default());
    let [mut taken_once, mut taken] = [(); 2].map(|()| Wins::default());
    let (mut flips, mut agrees) = (Share::default(), Share::default());
    for row in once {
        taken_once.count_ratings(row, &row["ratings_sampled"]);
    }
    for row in twice {
        first.count_ratings(row, &row["ratings_per_order"][0]);
        second.count_ratings(row, &row["ratings_per_order"][1]);
        both.count_ratings(row, &row["ratings_expected"]);
        taken.count_ratings(row, &row["ratings_sampled"]);
        flips.count(row["ratings_flip"].as_bool().expect("yes or no"));
        for i in 0..2 {
            let reason = row["rationales"][i].as_str().unwrap_or_default();
            let rating = row["ratings_per_order"][0][i].as_f64().expect("a rating");
            agrees.count(reason.contains(": right") == (rating > 3.0));
        }
    }
    let name = match rationale {
        Rationale::Before => "before",
        Rationale::After => "after",
        Rationale::None => "none",
    };
    let [first, second] = [first.shown(), second.shown()];
    println!(
        "| {name} | expected | {first} | {second} | {} | {} | {flips} | {agrees} |",
        both.shown(),
        both.n_ties
    );
    println!(
        "| {name} | digit taken | {} | | {} | {} | | |",
        taken_once.shown(),
        taken.shown(),
        taken.n_ties
    );
}
