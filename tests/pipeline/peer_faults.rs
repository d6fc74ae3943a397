//! What distilabel 1.5.3 was seen to do wrong, each fault with what happens here instead.
//!
//! Its table of judge answers is in `peer_judgements.rs`; here is what it makes of ratings, and what
//! stops, caches and batches do to its rows.

use std::fs::OpenOptions;
use std::path::Path;

use serde_json::{Value, json};
use stillroom::Error;

use crate::instant::Instant;
use crate::support::*;

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

/// A recipe that makes pairs of the rated rows of a file.
fn pairs_of(path: &Path) -> String {
    format!(
        "name = \"rated\"\nflow = \"load >> dpo\"\n[steps.load]\n\
         type = \"LoadDataFromFileSystem\"\npath = {path:?}\n\
         [steps.dpo]\ntype = \"FormatTextGenerationDPO\"\n"
    )
}

/// What its parser hands on: too few ratings make a pair of the first answer with itself, a None
/// among them is a TypeError, and fifty rows lose their pairs.
#[test]
fn ratings_that_fit_no_answers_cost_their_own_row_only() {
    let number = "ratings and answers differ in number";
    let cases = [
        ("[4]", number),
        ("[null]", number),
        ("[null, 4, 3]", number),
        ("[4, null, 2]", number),
        ("[4, null, 9, null]", number),
        ("[null, null]", "an answer has no rating"),
        ("[4, null]", "an answer has no rating"),
        ("[\"Good\", 3]", "a rating is not a number"),
        ("null", "`ratings` is not a list"),
    ];
    // The first of them stand among the rows of the first batch, the others all over.
    let bad = |i: usize| (i % 16 == 7).then_some(i / 16).and_then(|nth| cases.get(nth));
    let line = |i: usize| {
        let ratings = bad(i).map_or("[4, 3]", |(ratings, _)| ratings);
        format!(
            "{{\"instruction\": \"{i}\", \"generations\": [\"x\", \"y\"], \"ratings\": {ratings}}}\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rated.jsonl");
    std::fs::write(&path, (0..150).map(line).collect::<String>()).unwrap();
    let (run, summary) = run_new(&pairs_of(&path));
    assert_eq!(summary.n_pairs as usize, 150 - cases.len());
    let mut want: Vec<(String, u64)> = Vec::new();
    for (_, reason) in cases {
        match want.iter_mut().find(|(known, _)| known == reason) {
            Some((_, n)) => *n += 1,
            None => want.push((reason.to_owned(), 1)),
        }
    }
    want.sort();
    assert_eq!(dropped(&summary, "dpo"), want);
    expect_pairs(&dataset_rows(run.path(), "train"), 150 - cases.len());
}

/// That every row of a data set has two sides, and that they differ.
fn expect_pairs(rows: &[Value], n: usize) {
    assert_eq!(rows.len(), n);
    for row in rows {
        assert!(row["chosen"].is_array() && row["rejected"].is_array(), "{row}");
        assert_ne!(row["chosen"], row["rejected"]);
    }
}

/// The first file fixes a column without values as null, and a later value is a crash at the end.
#[test]
fn a_column_that_is_null_at_first_keeps_what_comes_later() {
    let line = |i: usize| {
        let note = if i < 60 { Value::Null } else { json!(format!("note {i}")) };
        let row = json!({
            "instruction": i.to_string(), "generations": ["x", "y"], "ratings": [4, 3], "note": note,
        });
        format!("{row}\n")
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rated.jsonl");
    std::fs::write(&path, (0..150).map(line).collect::<String>()).unwrap();
    let (run, _) = run_new(&pairs_of(&path));
    let rows = dataset_rows(run.path(), "train");
    expect_pairs(&rows, 150);
    assert!(rows[..60].iter().all(|row| row["note"].is_null()));
    assert_eq!((&rows[60]["note"], &rows[149]["note"]), (&json!("note 60"), &json!("note 149")));
}

/// `chosen_model` and `rejected_model` are missing with the walk-throughs' column names.
#[test]
fn pairs_name_their_models_under_the_walk_throughs_columns() {
    let (folder, summary) = run_new(LINEAR);
    let pairs = step(folder.path(), "dpo");
    assert!(!pairs.is_empty());
    assert_eq!(pairs.len() + summary.n_dropped() as usize, 6);
    for row in pairs {
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
        for text in 0..2 {
            let of = |name: &str| row["aspects"][name]["ratings"][text].as_f64().unwrap();
            let mean = (of("helpfulness") + of("truthfulness")) / 2.0;
            assert!((row["ratings"][text].as_f64().unwrap() - mean).abs() < 1e-5, "{row:#}");
        }
    }
}

// Stops, caches and batches.

/// The first run's data comes back for other prompts, as for any other change inside the data.
#[test]
fn changed_prompts_bring_changed_rows() {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), LINEAR, &Instant::default()).unwrap();
    let changed = LINEAR.replace("\"two\"", "\"another\"");
    let other = with_data("{ instruction = \"p\" }, { instruction = \"q\" }");
    for text in [changed, other] {
        run_in(folder.path(), &text, &Instant::default()).unwrap();
        let prompts = |folder: &Path| -> Vec<Value> {
            dataset_rows(folder, "train").into_iter().map(|row| row["prompt"].clone()).collect()
        };
        let fresh = run_new(&text).0;
        assert_eq!(prompts(folder.path()), prompts(fresh.path()));
        assert!(rows(folder.path()) == rows(fresh.path()));
    }
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
    with_data(&data.join(", "))
}

/// The linear walk-through over other rows.
fn with_data(data: &str) -> String {
    let start = LINEAR.find("data = [").expect("the data");
    let end = LINEAR.find("]\n[steps.answer_a]").expect("the end of the data");
    format!("{}data = [{data}{}", &LINEAR[..start], &LINEAR[end..])
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

/// The same after a kill that tore the last lines of the files, as the batches in flight are lost there.
#[test]
fn a_killed_run_goes_on_from_torn_files() {
    let text = four_hundred();
    let whole = run_new(&text).0;
    let folder = stopped(600);
    for (name, n_bytes) in [("answer_a", 1000), ("answer_b", 7), ("judge", 1)] {
        let path = folder.path().join(format!("steps/{name}.jsonl"));
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len().saturating_sub(n_bytes)).unwrap();
    }
    let models = Instant::default();
    run_in(folder.path(), &text, &models).unwrap();
    let n_asked = models.n_asked("a") + models.n_asked("b") + models.n_asked("judge");
    assert!((1..3 * 400).contains(&n_asked), "{n_asked} asked anew");
    assert!(rows(folder.path()) == rows(whole.path()));
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
    let n_pairs = step(folder.path(), "dpo").len();
    expect_pairs(&dataset_rows(folder.path(), "train"), n_pairs);
    assert!(n_pairs >= 380, "only ties make no pair: {n_pairs} of 400");
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
        expect_pairs(&dataset_rows(folder.path(), "train"), summary.n_pairs as usize);
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
    let expanded = step(folder.path(), "expand");
    assert_eq!(expanded.len(), 4 * 3);
    for row in expanded {
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
