//! The figures of a run, against what its files hold.

use serde_json::{Value, json};
use stillroom::data::folder::RunFolder;
use stillroom::pipeline::stats::Figures;

use crate::folder::{Folder, pair};
use crate::instant::Instant;
use crate::support::*;

fn figures(folder: &std::path::Path) -> Figures {
    Figures::read(&RunFolder::look(folder).expect("a run")).expect("whole files")
}

/// The numbers of a column of lists, those of all rows.
fn numbers<'a>(rows: &'a [Value], column: &'a str) -> impl Iterator<Item = f64> + 'a {
    let lists = rows.iter().flat_map(move |row| row[column].as_array().expect("a list"));
    lists.map(|number| number.as_f64().expect("a number"))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_run_is_counted_as_its_files_are() {
    let (folder, summary) = run_new(MATH);
    let figures = figures(folder.path());
    let (judged, pairs) = (step(folder.path(), "judge"), step(folder.path(), "dpo"));
    for (of, rows) in figures.steps.iter().zip(&summary.rows) {
        assert_eq!((&of.step, of.n_rows), (&rows.step, rows.n_made + rows.n_reused));
    }
    assert!(figures.history.is_finished && figures.history.n_started == 1);

    let judge = &figures.judges[0];
    assert_eq!((judge.n_rows, judge.judge.as_deref()), (judged.len() as u64, Some("judge")));
    let ratings = judge.ratings.as_ref().unwrap();
    assert_eq!(ratings.n, 3 * judge.n_rows);
    assert!((ratings.mean - mean(numbers(&judged, "ratings"))).abs() < 1e-6);
    let entropy = &judge.confidence.as_ref().unwrap().entropy;
    assert!((entropy.mean - mean(numbers(&judged, "ratings_entropy"))).abs() < 1e-6);
    let flips = judged.iter().filter(|row| row["ratings_flip"] == true).count();
    let orders = judge.orders.as_ref().unwrap();
    assert!(flips > 0, "a test of flips needs some");
    assert_eq!((orders.n_rows, orders.flips.unwrap().n), (judge.n_rows, flips as f64));
    assert_eq!(orders.places.len(), 3);
    assert_eq!(orders.places[1], None, "the middle of three never moves in two orders");

    let out = figures.leaves[0].pairs.as_ref().unwrap();
    assert_eq!((out.n, out.n), (pairs.len() as u64, summary.n_pairs));
    let margins = out.margins.as_ref().unwrap();
    let of_files = pairs.iter().map(|row| row["margin"].as_f64().unwrap());
    assert!((margins.mean - mean(of_files.clone())).abs() < 1e-6);
    for point in &out.margins_survival {
        let left = of_files.clone().filter(|margin| *margin >= point.at_least - 1e-6).count();
        assert_eq!(point.n, left as u64, "{point:?}");
    }
}

#[test]
fn several_aspects_are_counted_together_and_each_alone() {
    let aspects = "orders = 2\naspect = [\"helpfulness\", \"honesty\"]";
    let (folder, _) = run_new(&MATH.replace("orders = 2", aspects));
    let judged = step(folder.path(), "judge");
    let judge = &figures(folder.path()).judges[0];
    assert_eq!((judge.aspects.len(), &judge.confidence), (2, &None), "a mean has no doubt");
    for (of, name) in judge.aspects.iter().zip(["helpfulness", "honesty"]) {
        let own: Vec<Value> = judged.iter().map(|row| row["aspects"][name].clone()).collect();
        let rated = own.iter().flat_map(|row| row["ratings"].as_array().expect("a list"));
        let rated: Vec<f64> = rated.filter_map(Value::as_f64).collect();
        let ratings = of.ratings.as_ref().unwrap();
        assert_eq!((of.aspect.as_str(), ratings.n), (name, rated.len() as u64));
        assert!((ratings.mean - mean(rated.iter().copied())).abs() < 1e-6);
        let unrated = of.unrated.unwrap();
        let n_unrated = 3 * judged.len() - rated.len();
        assert_eq!((unrated.n, unrated.of), (n_unrated as f64, 3 * judge.n_rows));
        let entropy = &of.confidence.as_ref().unwrap().entropy;
        assert!((entropy.mean - mean(numbers(&own, "ratings_entropy"))).abs() < 1e-6);
        let flips = own.iter().filter(|row| row["ratings_flip"] == true).count();
        assert_eq!(of.orders.as_ref().unwrap().flips.unwrap().n, flips as f64);
    }
    let choices = judge.aspects.iter().map(|of| of.choices.len());
    assert_eq!(choices.collect::<Vec<_>>(), [5, 6], "only honesty may be not applicable");
    let (alone, _) = run_new(MATH);
    assert!(figures(alone.path()).judges[0].aspects.is_empty(), "one aspect is the judge's own");
}

#[test]
fn duels_count_prompts_and_both_samples() {
    let (folder, _) = run_new(MATH);
    let figures = figures(folder.path());
    let judged = step(folder.path(), "judge");
    let (mut score, mut wins) = (0.0, 0);
    for row in &judged {
        let ratings: Vec<f64> =
            row["ratings"].as_array().unwrap().iter().map(|r| r.as_f64().unwrap()).collect();
        // Two samples of `a`, one answer of `b`.
        let won = ratings[..2].iter().filter(|of_a| **of_a > ratings[2]).count();
        score += won as f64 / 2.0;
        wins += won as u64;
    }
    let duels = &figures.judges[0].duels;
    assert_eq!((duels.len(), duels[0].model.as_str(), duels[0].other.as_str()), (2, "a", "b"));
    assert_eq!((duels[0].wins.n, duels[0].wins.of), (score, judged.len() as u64));
    assert_eq!((duels[0].n_wins, duels[1].n_losses), (wins, wins));
}

#[test]
fn tokens_are_those_of_the_rows_and_work_is_that_of_the_runs() {
    let (folder, summary) = run_new(MATH);
    for model in figures(folder.path()).models {
        let (tokens, work) = (&summary.tokens[&model.model], model.work.unwrap());
        assert_eq!(work.n_answers, tokens.n_answers);
        assert_eq!((work.n_input, work.n_output), (tokens.n_input, tokens.n_output));
        // Every answer of the instant models becomes a row.
        assert_eq!(
            (model.rows.n_answers, model.rows.n_output),
            (tokens.n_answers, tokens.n_output)
        );
        assert!(work.busy_seconds.unwrap() > 0.0);
        assert!(!model.steps.is_empty());
    }
}

#[test]
fn a_killed_run_has_figures_and_says_that_it_is_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let models = Instant { jitter: 3, ..Instant::default() };
    models.shared.borrow_mut().n_until_interrupt = Some(20);
    run_in(folder.path(), MATH, &models).unwrap_err();
    let figures = figures(folder.path());
    assert!(!figures.history.is_finished);
    assert!(figures.remarks[0].contains("not finished"), "{:?}", figures.remarks);
    assert_eq!(figures.leaves[0].pairs, None);
    let answered: u64 = figures.models.iter().filter_map(|model| Some(model.work?.n_answers)).sum();
    assert!(answered >= 20, "what a stopped run did is written down: {answered}");
}

#[test]
fn a_run_without_a_judge_and_one_without_rows_are_no_faults() {
    let text = LINEAR.replace(">> [answer_a, answer_b] >> group >> judge >> dpo", ">> answer_a");
    let cut = text.split("[steps.answer_b]").next().unwrap().replace(
        "[models.b]\nsource = \"tiny:mixtral\"\n[models.judge]\nsource = \"tiny:llama\"\n",
        "",
    );
    let (folder, _) = run_new(&cut);
    let of_answers = figures(folder.path());
    assert_eq!((of_answers.judges.len(), of_answers.leaves[0].n_rows), (0, 6));
    assert_eq!(of_answers.leaves[0].pairs, None);

    let refused = LINEAR.replace("instruction = \"", "instruction = \"REFUSE ");
    let (folder, summary) = run_new(&refused);
    assert_eq!(summary.n_pairs, 0);
    let of_nothing = figures(folder.path());
    assert_eq!((of_nothing.judges[0].n_rows, of_nothing.leaves[0].n_rows), (0, 0));
    let lost = of_nothing.remarks.iter().find(|remark| remark.contains("No row")).unwrap();
    assert!(lost.contains("prompt too long (6)"), "{lost}");
}

#[test]
fn two_judges_and_two_leaves_have_figures_of_their_own() {
    let judges = LINEAR
        .replace(
            "flow = \"load >> [answer_a, answer_b] >> group >> judge >> dpo\"",
            "flow = [\"load >> [answer_a, answer_b] >> group >> judge >> dpo\", \
             \"group >> honest >> honest_dpo\"]",
        )
        .replace(
            "[steps.dpo]",
            "[steps.honest]\ntype = \"UltraFeedback\"\nmodel = \"judge\"\naspect = \"honesty\"\n\
             rationale = \"none\"\n[steps.honest_dpo]\ntype = \"FormatTextGenerationDPO\"\n[steps.dpo]",
        );
    let (folder, _) = run_new(&judges);
    let figures = figures(folder.path());
    let names: Vec<&str> = figures.judges.iter().map(|judge| judge.step.as_str()).collect();
    assert_eq!(names, ["judge", "honest"]);
    let choices = figures.judges.iter().map(|judge| judge.choices.len());
    assert_eq!(choices.collect::<Vec<_>>(), [5, 6], "honesty may be not applicable");
    assert_eq!(figures.leaves.len(), 2);
    for leaf in &figures.leaves {
        assert_eq!(leaf.n_rows, step(folder.path(), &leaf.step).len() as u64);
    }
    assert!(figures.judges.iter().all(|judge| judge.orders.is_none()));
    assert!(figures.remarks.iter().any(|remark| remark.starts_with("honest: ")));
}

#[test]
fn what_pairs_may_teach_by_mistake_is_remarked() {
    let folder = Folder::new();
    let of = |i: u32| pair(&format!("{i}"), ("a long answer", 3.2), ("short", 3.0));
    folder.rows("dpo", (0..40).map(of).collect());
    folder.rows("judge", Vec::new());
    folder.events(&[
        json!({"time": 1.0, "event": "started"}),
        json!({"time": 2.0, "event": "finished"}),
    ]);
    let remarks = figures(folder.path()).remarks;
    let has =
        |words: &str| assert!(remarks.iter().any(|r| r.contains(words)), "{words}: {remarks:?}");
    has("longer one in 100 %");
    has("margin is below 0.25 in 100 %");
    has("`a` is chosen in 100 %");
}

#[test]
fn an_aspect_on_which_the_judge_hardly_decides_is_remarked() {
    let folder = Folder::new();
    let aspect = |entropy: f64| json!({"ratings": [4, 2], "ratings_entropy": [entropy, entropy], "ratings_probabilities": [[0.2, 0.2, 0.2, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2, 0.2]]});
    let aspects = json!({"honesty": aspect(1.6), "helpfulness": aspect(0.2)});
    folder.rows("judge", vec![json!({"ratings": [4, 2], "aspects": aspects})]);
    folder.rows("dpo", Vec::new());
    let remarks = figures(folder.path()).remarks;
    let undecided: Vec<&String> = remarks.iter().filter(|r| r.contains("hardly decides")).collect();
    assert!(
        undecided.len() == 1 && undecided[0].starts_with("On honesty the judge"),
        "{remarks:?}"
    );
}

#[test]
fn a_damaged_line_is_named() {
    let folder = Folder::new();
    folder.write("steps/judge.jsonl", "{\"ratings\": [1, 2]}\n{oh}\n");
    let error = Figures::read(&RunFolder::look(folder.path()).unwrap()).unwrap_err();
    assert!(error.to_string().contains("line 2 of"), "{error}");
}
