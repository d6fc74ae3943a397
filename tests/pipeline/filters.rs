//! Steps that leave rows out, and pairs: what goes on, what does not and why, in any order of
//! arrival and after any stop.

use std::path::Path;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use serde_json::{Value, json};
use stillroom::Error;
use stillroom::pipeline::{Event, RunOptions, Watcher, run};

use crate::instant::Instant;
use crate::support::*;

/// Equal and nearly equal instructions, looked at behind a model: in one branch of two, and again
/// behind the group.
const DUPLICATES: &str = r#"
name = "duplicates"
seed = 7
flow = [
  "load >> [answer_a, answer_b]", "answer_a >> once",
  "[once, answer_b] >> group >> twice >> judge >> dpo",
]
[models.a]
source = "tiny:llama"
[models.b]
source = "tiny:mixtral"
[models.judge]
source = "tiny:llama"
[steps.load]
type = "LoadDataFromDicts"
data = [
  { instruction = "Why is the sky blue at noon and red at dusk, and grey in the rain?" },
  { instruction = "Name a prime." },
  { instruction = "Why is the sky blue at noon and red at dusk, and grey in the rain!" },
  { instruction = "  name a\nPRIME. " },
  { instruction = "Name a prime." },
  { instruction = "Add 1 and 2." },
  { instruction = "Why is the sky blue at noon and red at dusk, and grey in the rain?" },
]
[steps.answer_a]
type = "TextGeneration"
model = "a"
num_generations = 2
[steps.once]
type = "MinHashDedup"
column = "generation"
[steps.answer_b]
type = "TextGeneration"
model = "b"
[steps.group]
type = "GroupColumns"
columns = ["generation", "model_name"]
output_columns = ["generations", "model_names"]
[steps.twice]
type = "MinHashDedup"
column = "instruction"
[steps.judge]
type = "UltraFeedback"
model = "judge"
aspect = ["helpfulness", "honesty"]
layout = "content-first"
[steps.dpo]
type = "FormatTextGenerationDPO"
policy = "all-ordered"
"#;

fn instructions(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["instruction"].as_str().expect("a text")).collect()
}

#[test]
fn duplicates_are_left_out_with_the_row_that_they_duplicate() {
    let (folder, summary) = run_new(DUPLICATES);
    let loaded = step(folder.path(), "load");
    let kept = step(folder.path(), "twice");
    let want = [0, 1, 5].map(|i: usize| loaded[i]["instruction"].as_str().unwrap());
    assert_eq!(instructions(&kept), want);
    assert!(kept.iter().all(|row| row["keep_row_after_minhash_filtering"] == true));
    let reasons = dropped(&summary, "twice");
    let reason = |reason: &str, n| (reason.to_owned(), n);
    assert_eq!(reasons, [reason("equal text", 2), reason("nearly equal text", 2)]);
    let groups = step(folder.path(), "group");
    let lines = std::fs::read_to_string(folder.path().join("dropped.jsonl")).unwrap();
    for line in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let detail = line["detail"].as_str().unwrap();
        let original =
            groups.iter().find(|row| detail.contains(row["_row"]["id"].as_str().unwrap()));
        let original = original.expect("the detail names a row that was kept");
        let first = |row: &Value| row["instruction"].as_str().unwrap().trim()[..3].to_lowercase();
        assert_eq!(first(original), first(&line["columns"]), "{detail}");
    }
    // Behind the filter nothing is asked about what was left out.
    assert_eq!(step(folder.path(), "judge").len(), 3);
}

#[test]
fn duplicates_may_only_be_flagged_as_in_distilabel() {
    let text = DUPLICATES.replace(
        "column = \"instruction\"",
        "column = \"instruction\"\nremove = false\nthreshold = 1.0",
    );
    let (folder, summary) = run_new(&text);
    let rows = step(folder.path(), "twice");
    let found: Vec<&Value> =
        rows.iter().map(|row| &row["keep_row_after_minhash_filtering"]).collect();
    assert_eq!(found, [true, true, true, true, false, true, false]);
    assert!(dropped(&summary, "twice").is_empty());
}

#[test]
fn a_filter_does_not_ask_in_which_order_answers_came() {
    let (folder, _) = run_new(DUPLICATES);
    let calm = rows(folder.path());
    for jitter in 1..6 {
        for budget in [10, 1000] {
            let folder = tempfile::tempdir().unwrap();
            let models = Instant { jitter, budget, ..Instant::default() };
            run_in(folder.path(), DUPLICATES, &models).unwrap();
            assert!(rows(folder.path()) == calm, "jitter {jitter}, budget {budget}");
        }
    }
}

#[test]
fn data_put_before_a_duplicate_changes_which_row_is_the_first() {
    let first = "{ instruction = \"Why is the sky blue at noon";
    let changed =
        DUPLICATES.replacen(first, &format!("{{ instruction = \"Add 1 and 2.\" }},\n  {first}"), 1);
    let changed = changed.replace(
        "Name a prime.\" },\n  { instruction = \"Why",
        "Name a prime.\" },\n  { instruction = \"Oh, why",
    );
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), DUPLICATES, &Instant::default()).unwrap();
    run_in(folder.path(), &changed, &Instant::default()).unwrap();
    let (fresh, _) = run_new(&changed);
    assert!(rows(folder.path()) == rows(fresh.path()), "an older verdict is mixed in");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_filtered_run_killed_anywhere_ends_as_an_undisturbed_one(
        stops in prop::collection::vec(1_usize..40, 1..4),
        jitter in 0_u64..4,
        staged in any::<bool>(),
    ) {
        let (whole, summary) = run_new(DUPLICATES);
        let folder = tempfile::tempdir().unwrap();
        let budget = if staged { 10 } else { 1000 };
        let models = Instant { jitter, budget, ..Instant::default() };
        for n in stops {
            models.shared.borrow_mut().n_until_interrupt = Some(n);
            models.interrupt().store(false, Ordering::Relaxed);
            match run_in(folder.path(), DUPLICATES, &models) {
                Ok(_) | Err(Error::Interrupted { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        models.shared.borrow_mut().n_until_interrupt = None;
        models.interrupt().store(false, Ordering::Relaxed);
        let last = run_in(folder.path(), DUPLICATES, &models).unwrap();
        prop_assert!(rows(folder.path()) == rows(whole.path()));
        prop_assert_eq!(last.n_pairs, summary.n_pairs);
        prop_assert_eq!(last.dropped, summary.dropped);
    }
}

#[test]
fn several_pairs_of_one_prompt_are_rows_of_their_own() {
    let (folder, summary) = run_new(DUPLICATES);
    let rows = step(folder.path(), "dpo");
    assert_eq!(summary.n_pairs as usize, rows.len());
    let of_first: Vec<&Value> =
        rows.iter().filter(|row| row["_row"]["parents"] == rows[0]["_row"]["parents"]).collect();
    let ordinals: Vec<&Value> = of_first.iter().map(|row| &row["_row"]["ordinal"]).collect();
    assert_eq!(ordinals, [0, 1, 2], "three answers of three ratings make three pairs");
    let ids: std::collections::BTreeSet<String> =
        rows.iter().map(|row| row["_row"]["id"].to_string()).collect();
    assert_eq!(ids.len(), rows.len());
    assert!(of_first.iter().all(|row| row["_row"]["siblings"] == 3));
    assert!(of_first.iter().all(|row| row["margin"].as_f64().unwrap() > 0.0));
}

#[test]
fn a_random_opponent_is_drawn_by_seed_and_row() {
    let text = MATH.replace(
        "type = \"FormatTextGenerationDPO\"",
        "type = \"FormatTextGenerationDPO\"\npolicy = \"best-random-lower\"",
    );
    let sides = |folder: &Path| -> Vec<(Value, Value)> {
        let rows = step(folder, "dpo");
        rows.iter().map(|row| (row["chosen"].clone(), row["rejected"].clone())).collect()
    };
    let (folder, _) = run_new(&text);
    let drawn = sides(folder.path());
    assert_eq!(sides(run_new(&text).0.path()), drawn);
    let (worst, _) = run_new(MATH);
    let best: Vec<Value> = sides(worst.path()).into_iter().map(|(chosen, _)| chosen).collect();
    assert_eq!(drawn.iter().map(|(chosen, _)| chosen.clone()).collect::<Vec<_>>(), best);
    assert_ne!(drawn, sides(worst.path()), "somewhere the middle one was drawn");
}

#[test]
fn refusals_cut_answers_and_conditions_leave_rows_out() {
    let text = r#"
name = "filters"
flow = "load >> short >> answer >> whole >> polite >> keep"
[models.a]
source = "tiny:llama"
[steps.load]
type = "LoadDataFromDicts"
data = [
  { instruction = "one", generation = "I'm sorry, but I can't help with that." },
  { instruction = "two", generation = "2" }, { instruction = "a long instruction", generation = "3" },
]
[steps.short]
type = "FilterRows"
column = "instruction"
op = "max-length"
value = 5
[steps.answer]
type = "TextGeneration"
model = "a"
[steps.whole]
type = "DropTruncated"
[steps.polite]
type = "DropRefusals"
[steps.keep]
type = "KeepColumns"
columns = ["instruction", "generation"]
"#;
    let (folder, summary) = run_new(text);
    let one = |reason: &str, n| vec![(reason.to_owned(), n)];
    assert_eq!(dropped(&summary, "short"), one("not `instruction max-length 5`", 1));
    assert!(dropped(&summary, "whole").is_empty() && dropped(&summary, "polite").is_empty());
    assert_eq!(step(folder.path(), "keep").len(), 2);

    let cut =
        Instant { finish: stillroom::engine::request::FinishReason::Length, ..Instant::default() };
    let folder = tempfile::tempdir().unwrap();
    let summary = run_in(folder.path(), text, &cut).unwrap();
    assert_eq!(dropped(&summary, "whole"), one("the answer ended by length", 2));

    let given = text.replace(">> answer >> whole ", "").replace(
        "[steps.answer]\ntype = \"TextGeneration\"\nmodel = \"a\"\n[steps.whole]\ntype = \"DropTruncated\"\n",
        "",
    );
    let given = given.replace("[models.a]\nsource = \"tiny:llama\"\n", "");
    let (folder, summary) = run_new(&given);
    assert_eq!(dropped(&summary, "polite"), one("the answer is a refusal", 1));
    assert_eq!(instructions(&step(folder.path(), "keep")), ["two"]);
}

#[test]
fn several_aspects_are_asked_one_by_one_and_averaged() {
    let aspects = "aspect = [\"helpfulness\", \"truthfulness\", \"overall-rating\"]";
    let text = MATH.replace("orders = 2", &format!("orders = 2\n{aspects}"));
    let models = Instant::default();
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), &text, &models).unwrap();
    let judged = step(folder.path(), "judge");
    assert_eq!(models.n_asked("judge"), judged.len() * 2 * 3);
    for row in &judged {
        let aspects = row["aspects"].as_object().unwrap();
        assert_eq!(
            aspects.keys().collect::<Vec<_>>(),
            ["helpfulness", "truthfulness", "overall-rating"]
        );
        for (text, rating) in row["ratings"].as_array().unwrap().iter().enumerate() {
            let of = |aspect: &Value| aspect["ratings"][text].as_f64().unwrap();
            let mean = aspects.values().map(of).sum::<f64>() / 3.0;
            assert!((rating.as_f64().unwrap() - mean).abs() < 1e-5, "{rating} {mean}");
        }
        let raw = row["distilabel_metadata"]["raw_output_judge"].as_array().unwrap();
        assert_eq!(raw.len(), 6);
        // The three aspects of the first order, then those of the second.
        assert!(raw[0].as_str().unwrap().contains("Kind: "));
        assert!(!raw[2].as_str().unwrap().contains("Kind: "));
        assert!(aspects["helpfulness"]["types"].is_array());
    }
    // What one aspect says does not depend on its company.
    let alone = MATH.replace("orders = 2", "orders = 2\naspect = \"helpfulness\"");
    let (folder, _) = run_new(&alone);
    let alone = step(folder.path(), "judge");
    for (row, alone) in judged.iter().zip(&alone) {
        for column in ["types", "ratings", "rationales", "ratings_per_order", "ratings_flip"] {
            assert_eq!(row["aspects"]["helpfulness"][column], alone[column], "{column}");
        }
    }
}

#[test]
fn the_layout_decides_what_of_the_prompt_comes_first() {
    let first = |layout: &str| {
        let layout = format!("orders = 2\nlayout = \"{layout}\"");
        let (folder, _) = run_new(&MATH.replace("orders = 2", &layout));
        let judged = step(folder.path(), "judge");
        let input = judged[0]["distilabel_metadata"]["raw_input_judge"][0][1]["content"].clone();
        input.as_str().unwrap().to_owned()
    };
    assert!(first("content-first").starts_with("# The instruction\n\n<instruction>\n"));
    let rubric = first("rubric-first");
    assert!(rubric.contains("# The instruction") && !rubric.starts_with("# The instruction"));
    let (folder, _) = run_new(MATH);
    let judged = step(folder.path(), "judge");
    let content = &judged[0]["distilabel_metadata"]["raw_input_judge"][0][1]["content"];
    assert_eq!(content.as_str(), Some(rubric.as_str()), "rubric first unless asked otherwise");
}

#[test]
fn one_prompt_never_crosses_from_train_to_test() {
    let text = DUPLICATES.replace("seed = 7", "seed = 7\ntest_share = 0.4");
    let text = text
        .replace(" >> twice", "")
        .replace("[steps.twice]\ntype = \"MinHashDedup\"\ncolumn = \"instruction\"\n", "");
    let (folder, summary) = run_new(&text);
    let (train, test) = (dataset_rows(folder.path(), "train"), dataset_rows(folder.path(), "test"));
    assert_eq!((train.len() + test.len()) as u64, summary.n_pairs);
    let prompts = |rows: &[Value]| {
        let words = |row: &Value| {
            let text = row["instruction"].as_str().unwrap();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        rows.iter().map(words).collect::<std::collections::BTreeSet<_>>()
    };
    let (train, test) = (prompts(&train), prompts(&test));
    assert!(
        !train.is_empty() && !test.is_empty() && train.is_disjoint(&test),
        "{train:?} {test:?}"
    );
}

/// Keeps what a run tells in words.
struct Notes(Vec<String>);

impl Watcher for Notes {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Note { text } = event {
            self.0.push((*text).to_owned());
        }
    }
}

#[test]
fn a_judge_of_its_own_kind_is_told() {
    let notes = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let models = Instant::default();
        let interrupt = models.interrupt();
        let options = RunOptions {
            out: folder.path().to_owned(),
            limit: None,
            dry_run: false,
            layout: Default::default(),
            interrupt: &interrupt,
        };
        let mut notes = Notes(Vec::new());
        run(&recipe(text), &options, &mut models.clone(), &mut notes).unwrap();
        let plan = std::fs::read_to_string(folder.path().join("plan.json")).unwrap();
        let plan: Value = serde_json::from_str(&plan).unwrap();
        assert_eq!(plan["notes"], json!(notes.0));
        notes.0
    };
    let same = notes(LINEAR);
    assert_eq!(same.len(), 1, "{same:?}");
    assert!(same[0].starts_with("judge: the judge `judge` is the model of `a`: judges favour"));
    let judge = |source: &str| {
        LINEAR.replace(
            "[models.judge]\nsource = \"tiny:llama\"",
            &format!("[models.judge]\nsource = \"{source}\""),
        )
    };
    let kin = notes(&judge("tiny:llama-1b"));
    assert!(kin[0].contains("is of one family (Llama) with `a`"), "{kin:?}");
    assert!(notes(&judge("tiny:judge")).is_empty());
}
