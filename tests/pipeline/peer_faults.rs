//! What distilabel 1.5.3 was seen to do wrong, each fault with what happens here instead.
//!
//! The faults of a judge's answer are shown on a real engine: a judge with random weights is biased
//! towards the very tokens of the answer that the peer could not read, and still fills the form.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use stillroom::Error;
use stillroom::llm::{ModelFolder, tiny};
use stillroom::pipeline::{LocalModels, RunOptions, Summary, run};

use crate::instant::Instant;
use crate::nasty;
use crate::support::*;

/// Runs a recipe on the models of this machine.
fn run_local(text: &str, cache: &Path, out: &Path) -> Summary {
    let interrupt = AtomicBool::new(false);
    let options = RunOptions {
        out: out.to_owned(),
        limit: None,
        dry_run: false,
        layout: Default::default(),
        interrupt: &interrupt,
    };
    let mut models = LocalModels::new("cpu", cache).expect("a CPU").memory(256 << 20);
    run(&recipe(text), &options, &mut models, &mut ()).expect("the run ends well")
}

/// Rows of a random judge that is drawn towards the tokens of `wish`; with no wish, towards the
/// end of its answer.
fn judged(wish: &str) -> Vec<Value> {
    let cache = tempfile::tempdir().expect("a folder");
    let folder = tiny("judge", &cache.path().join("tiny")).expect("a tiny judge");
    let folder = ModelFolder::read(&folder).expect("a model's folder");
    let voice = folder.voice();
    let mut tokens = match wish {
        "" => voice.stop_tokens.to_vec(),
        wish => voice.tokenizer.encode(wish).expect("tokens"),
    };
    tokens.sort_unstable();
    tokens.dedup();
    let bias: Vec<String> = tokens.iter().map(|token| format!("{token} = 40.0")).collect();
    let text = format!(
        r#"
name = "wish"
flow = "load >> judge"
[models.judge]
source = "tiny:judge"
[steps.load]
type = "LoadDataFromDicts"
data = [
  {{ instruction = "1 + 1?", generations = ["2", "two or three"] }},
  {{ instruction = "A prime?", generations = ["7 is one.", "I cannot say."] }},
]
[steps.judge]
type = "UltraFeedback"
model = "judge"
max_rationale_tokens = 16
generation = {{ temperature = 1.0, logit_bias = {{ {} }} }}
"#,
        bias.join(", ")
    );
    let out = tempfile::tempdir().expect("a folder");
    let summary = run_local(&text, cache.path(), &out.path().join("run"));
    assert_eq!(summary.n_dropped(), 0, "{wish:?}: {:?}", summary.dropped);
    step(&out.path().join("run"), "judge")
}

/// That every text has a rating, and that the judge wrote what it was drawn to where it was free.
fn expect_rated(wish: &str, is_written: impl Fn(&str) -> bool) {
    let rows = judged(wish);
    assert_eq!(rows.len(), 2);
    for row in &rows {
        let ratings = row["ratings"].as_array().expect("a list of ratings");
        assert_eq!(ratings.len(), 2, "{wish:?}: one rating for each text");
        for rating in ratings {
            let rating = rating.as_f64().expect("a number");
            assert!((1.0..=5.0).contains(&rating), "{wish:?}: {rating}");
        }
        for sampled in row["ratings_sampled"].as_array().expect("a list") {
            assert!(matches!(sampled.as_u64(), Some(1..=5)), "{wish:?}: {sampled}");
        }
        let raw = row["distilabel_metadata"]["raw_output_judge"].as_str().expect("a text");
        assert!(raw.starts_with("Answer 1\nRating: ") && raw.contains("\n\nAnswer 2\nRating: "));
        for reason in row["rationales"].as_array().expect("a list") {
            let reason = reason.as_str().expect("a text");
            assert!(is_written(reason), "{wish:?} shows in {reason:?}");
        }
    }
}

// The table of judge answers: what the peer's parser made of each, in brackets.

#[test]
fn a_clean_answer_is_read() {
    expect_rated("Good.", |_| true);
}

/// [None, 4, 3], then a TypeError that voids the batch.
#[test]
fn a_polite_first_line_shifts_no_rating() {
    expect_rated("Sure! Here are the ratings:", |reason| !reason.is_empty());
}

/// [None], and a pair of the first answer with itself.
#[test]
fn a_refusal_makes_no_pair_of_one_text() {
    expect_rated("I cannot rate", |reason| !reason.is_empty());
}

/// [4], and a pair of the first answer with itself.
#[test]
fn an_answer_that_wants_to_end_early_is_not_cut_off() {
    expect_rated("", |_| true);
}

/// A limit of 128 tokens, the peer's default, cuts its judge off after the first text.
#[test]
fn a_small_limit_shortens_reasons_and_not_ratings() {
    let text = LINEAR.replace(
        "type = \"UltraFeedback\"",
        "type = \"UltraFeedback\"\ngeneration = { max_new_tokens = 45 }",
    );
    let (folder, summary) = run_new(&text);
    assert!(dropped(&summary, "judge").is_empty());
    let rows = step(folder.path(), "judge");
    assert!(rows.iter().all(|row| row["ratings"].as_array().unwrap().len() == 2));
}

/// [4], the second text swallowed by the first one's reason.
#[test]
fn both_texts_in_one_block_cannot_be() {
    expect_rated("Answer 2 Rating: 3", |_| true);
}

/// [4, None, 2] or [4, None, 9, None].
#[test]
fn a_reason_of_two_paragraphs_ends_with_its_first() {
    expect_rated("\n\n", |reason| !reason.contains('\n'));
}

/// [None, None] or four Nones.
#[test]
fn markdown_labels_do_not_hide_a_rating() {
    expect_rated("**Rating:** 4", |_| true);
}

/// None in the place of a list.
#[test]
fn a_rating_in_words_cannot_be() {
    expect_rated("Rating: Good", |_| true);
}

/// 4, 4, 5, 1 and 10, all accepted.
#[test]
fn a_rating_out_of_range_cannot_be() {
    expect_rated("4.5 4/5 [5] -1 10", |_| true);
}

/// Structured output with a free list: `{"ratings": [4]}` passes.
#[test]
fn a_list_of_another_length_cannot_be() {
    expect_rated("{\"ratings\": [4]}", |_| true);
}

/// [None, None].
#[test]
fn an_answer_of_nothing_still_has_ratings() {
    for row in judged("") {
        let raw = row["distilabel_metadata"]["raw_output_judge"].as_str().unwrap();
        assert!(
            raw.contains("Answer 1\nRating: ") && raw.contains("\nAnswer 2\nRating: "),
            "{raw}"
        );
        assert!(row["ratings"].as_array().unwrap().iter().all(Value::is_number));
    }
}

/// Two hundred calls here; `cargo bench --bench judge` makes ten thousand of them.
#[test]
fn every_judgement_is_readable_whatever_stands_in_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (n_rows, n_long) = (40, 3000);
    let lines: Vec<String> =
        (0..n_rows).map(|i| nasty::row(i, if i == 17 { n_long } else { 0 }).to_string()).collect();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let judge = nasty::judge(folder.path());
    let out = folder.path().join("run");
    let summary = run_local(&nasty::recipe_text(&judge, &path), folder.path(), &out);
    assert_eq!(summary.n_dropped(), 0, "{:?}", summary.dropped);
    assert_eq!(summary.tokens["judge"].n_answers, 5 * n_rows as u64);
    let rows = step(&out, "judge");
    assert_eq!(rows.len(), n_rows);
    for row in &rows {
        assert!(nasty::is_readable(row), "{row:#}");
    }
}

// What pairs the peer makes of ratings.

/// Chosen and rejected are the same text.
#[test]
fn a_total_tie_makes_no_pair() {
    let text = r#"
name = "ties"
flow = "load >> dpo"
[steps.load]
type = "LoadDataFromDicts"
data = [
  { instruction = "a", generations = ["x", "y"], ratings = [3, 3] },
  { instruction = "b", generations = ["x", "x "], ratings = [4, 3] },
  { instruction = "c", generations = ["x", "y"], ratings = [4, 3] },
]
[steps.dpo]
type = "FormatTextGenerationDPO"
"#;
    let (folder, summary) = run_new(text);
    let want = [("equal ratings".to_owned(), 1), ("equal texts".to_owned(), 1)];
    assert_eq!(dropped(&summary, "dpo"), want);
    let rows = step(folder.path(), "dpo");
    assert_eq!((rows.len(), &rows[0]["instruction"]), (1, &json!("c")));
}

/// A None among the ratings is a TypeError: fifty rows lose their pairs.
#[test]
fn an_answer_without_a_rating_costs_its_own_row_only() {
    let data: Vec<String> = (0..150)
        .map(|i| {
            let ratings = if i == 107 { "[4]" } else { "[4, 3]" };
            format!(
                "{{ instruction = \"{i}\", generations = [\"x\", \"y\"], ratings = {ratings} }}"
            )
        })
        .collect();
    let text = format!(
        "name = \"none\"\nflow = \"load >> dpo\"\n[steps.load]\ntype = \"LoadDataFromDicts\"\n\
         data = [{}]\n[steps.dpo]\ntype = \"FormatTextGenerationDPO\"\n",
        data.join(", ")
    );
    let (folder, summary) = run_new(&text);
    assert_eq!(summary.n_pairs, 149);
    assert_eq!(dropped(&summary, "dpo"), [("ratings and answers differ in number".to_owned(), 1)]);
    assert!(folder.path().join("dataset/data").is_dir());
}

/// `chosen_model` and `rejected_model` are missing with the walk-throughs' column names.
#[test]
fn pairs_name_their_models_under_the_walk_throughs_columns() {
    let (folder, _) = run_new(LINEAR);
    for row in step(folder.path(), "dpo") {
        assert!(["a", "b"].map(Value::from).contains(&row["chosen_model"]));
        assert_ne!(row["chosen_model"], row["rejected_model"]);
    }
}

/// Four aspects are four tasks with renamed columns, and nothing joins them.
#[test]
fn several_aspects_are_one_step_with_one_mean() {
    let aspects = "type = \"UltraFeedback\"\naspect = [\"helpfulness\", \"truthfulness\"]";
    let (folder, summary) = run_new(&LINEAR.replace("type = \"UltraFeedback\"", aspects));
    assert!(summary.n_pairs > 0);
    for row in step(folder.path(), "judge") {
        assert_eq!(row["ratings"].as_array().unwrap().len(), 2);
        assert_eq!(row["aspects"].as_object().unwrap().len(), 2);
    }
}

// Stops, caches and batches.

/// The first run's data comes back for other prompts.
#[test]
fn changed_prompts_bring_changed_rows() {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), LINEAR, &Instant::default()).unwrap();
    let changed = LINEAR.replace("\"two\"", "\"another\"");
    run_in(folder.path(), &changed, &Instant::default()).unwrap();
    let loaded = step(folder.path(), "load");
    let has = |text: &str| loaded.iter().any(|row| row["instruction"] == text);
    assert!(has("another") && !has("two"));
    assert!(rows(folder.path()) == rows(run_new(&changed).0.path()));
}

/// Four hundred rows, two branches, the same steps, stopped at `n` answers.
fn stopped(n: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = Instant::default();
    models.shared.borrow_mut().n_until_interrupt = Some(n);
    let stopped = run_in(folder.path(), &four_hundred(), &models);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    folder
}

fn four_hundred() -> String {
    let data: Vec<String> = (0..400).map(|i| format!("{{ instruction = \"{i}\" }}")).collect();
    let start = LINEAR.find("data = [").expect("the data");
    let end = LINEAR.find("]\n[steps.answer_a]").expect("the end of the data");
    format!("{}data = [{}{}", &LINEAR[..start], data.join(", "), &LINEAR[end..])
}

/// The second run loads and waits forever where batch sizes are equal.
#[test]
fn a_stopped_run_goes_on() {
    let text = four_hundred();
    let whole = run_new(&text).0;
    for n in [1, 137, 800, 1100] {
        let folder = stopped(n);
        run_in(folder.path(), &text, &Instant::default()).unwrap();
        assert!(rows(folder.path()) == rows(whole.path()), "stopped after {n} answers");
    }
}

/// Eight hundred answers were given, and the data set has 280 of 400 rows.
#[test]
fn what_was_answered_before_a_stop_is_not_asked_again() {
    let folder = stopped(800);
    let kept = step(folder.path(), "answer_a").len()
        + step(folder.path(), "answer_b").len()
        + step(folder.path(), "judge").len();
    assert!(kept >= 800, "{kept} of 800 answers are on disk");
    let models = Instant::default();
    run_in(folder.path(), &four_hundred(), &models).unwrap();
    let n_asked = models.n_asked("a") + models.n_asked("b") + models.n_asked("judge");
    assert_eq!(n_asked + kept, 3 * 400);
}

/// One unreadable judgement of 150: fifty rows void at row 107, a crash at row 7.
#[test]
fn one_bad_judgement_costs_one_row_wherever_it_stands() {
    for bad in [7, 107] {
        let data: Vec<String> = (0..150)
            .map(|i| {
                let text = if i == bad { "REFUSE" } else { "x" };
                format!("{{ instruction = \"{i}\", generations = [\"{text}\", \"y\"] }}")
            })
            .collect();
        let text = format!(
            "name = \"bad\"\nflow = \"load >> judge >> dpo\"\n[models.judge]\nsource = \"tiny:judge\"\n\
             [steps.load]\ntype = \"LoadDataFromDicts\"\ndata = [{}]\n\
             [steps.judge]\ntype = \"UltraFeedback\"\nmodel = \"judge\"\n\
             [steps.dpo]\ntype = \"FormatTextGenerationDPO\"\n",
            data.join(", ")
        );
        let (folder, summary) = run_new(&text);
        assert_eq!(step(folder.path(), "judge").len(), 149);
        assert_eq!(dropped(&summary, "judge"), [("prompt too long".to_owned(), 1)]);
        assert_eq!(summary.n_pairs as usize, step(folder.path(), "dpo").len());
        assert!(summary.n_pairs >= 140, "only ties make no pair: {}", summary.n_pairs);
    }
}

/// The judge's metadata replaces the generators', and the column cannot be left out.
#[test]
fn metadata_of_all_tasks_is_kept_until_it_is_not_wanted() {
    let text = LINEAR.replace(">> dpo\"", ">> dpo >> keep\"")
        + "[steps.keep]\ntype = \"KeepColumns\"\ncolumns = [\"prompt\", \"chosen\", \"rejected\"]\n";
    let (folder, _) = run_new(&text);
    let metadata = &step(folder.path(), "dpo")[0]["distilabel_metadata"];
    for step in ["answer_a", "answer_b", "judge"] {
        assert!(metadata.get(format!("statistics_{step}")).is_some(), "{step}");
    }
    let kept = step(folder.path(), "keep");
    let columns: Vec<&String> = kept[0].as_object().unwrap().keys().collect();
    assert_eq!(columns, ["prompt", "chosen", "rejected", "_row"]);
}

// Steps between.

/// "Here are five queries:" and "1. ..." become instructions.
#[test]
fn prefaces_and_numbers_are_no_instructions() {
    let (folder, _) = run_new(MATH);
    for row in step(folder.path(), "expand") {
        let instruction = row["instruction"].as_str().unwrap();
        assert!(instruction.starts_with("Explain "), "{instruction:?}");
    }
}

/// The missing item becomes the whole row.
#[test]
fn lists_of_unequal_length_are_not_filled_up() {
    let text = r#"
name = "lists"
flow = "load >> expand"
[steps.load]
type = "LoadDataFromDicts"
data = [{ a = ["x", "y"], b = ["z"] }, { a = ["x"], b = ["z"] }]
[steps.expand]
type = "ExpandColumns"
columns = ["a", "b"]
"#;
    let (folder, summary) = run_new(text);
    assert_eq!(dropped(&summary, "expand"), [("lists of unequal length".to_owned(), 1)]);
    let rows = step(folder.path(), "expand");
    assert_eq!((rows.len(), &rows[0]["b"]), (1, &json!("z")));
}

/// Branches are joined by position: a row that one lacks shifts all later ones.
#[test]
fn a_lost_row_of_one_branch_shifts_no_other() {
    let text = LINEAR.replace("{ instruction = \"two\" }", "{ instruction = \"two REFUSE\" }");
    let (folder, _) = run_new(&text);
    let answers = [step(folder.path(), "answer_a"), step(folder.path(), "answer_b")];
    let groups = step(folder.path(), "group");
    assert_eq!(groups.len(), 5);
    for group in groups {
        for (place, answers) in answers.iter().enumerate() {
            let own =
                answers.iter().find(|answer| answer["generation"] == group["generations"][place]);
            assert_eq!(own.expect("an answer of the group")["instruction"], group["instruction"]);
        }
    }
}

/// An empty list of data is an IndexError.
#[test]
fn no_data_is_a_fault_with_a_place() {
    let text =
        "name = \"none\"\nflow = \"load\"\n[steps.load]\ntype = \"LoadDataFromDicts\"\ndata = []\n";
    let faults = stillroom::recipe::Recipe::parse(text, "none.toml", Path::new(""), &[], &|_| None);
    let faults = faults.expect_err("no rows");
    assert_eq!(faults.faults[0].message, "`data` has no rows");
    assert!(faults.faults[0].place.is_some());
}
