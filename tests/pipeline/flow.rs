//! What comes out of a flow: columns, joins, drops, stages.

use serde_json::{Value, json};
use stillroom::pipeline::{RunOptions, run};

use crate::instant::Instant;
use crate::support::*;

#[test]
fn the_first_walk_through_gives_distilabels_columns() {
    let (folder, summary) = run_new(LINEAR);
    let rows = step(folder.path(), "dpo");
    assert_eq!(rows.len() + summary.n_dropped() as usize, 6);
    assert_eq!(summary.n_pairs as usize, rows.len());
    let columns: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    let distilabels = [
        "instruction",
        "model_name",
        "generations",
        "model_names",
        "distilabel_metadata",
        "ratings",
        "rationales",
        "prompt",
        "prompt_id",
        "chosen",
        "chosen_model",
        "chosen_rating",
        "rejected",
        "rejected_model",
        "rejected_rating",
    ];
    for column in distilabels {
        assert!(columns.iter().any(|found| *found == column), "{column} in {columns:?}");
    }
    for row in &rows {
        assert_eq!(row["model_names"], json!(["a", "b"]));
        assert_eq!(row["model_name"], "judge");
        assert_eq!(row["ratings"].as_array().unwrap().len(), 2);
        let metadata = row["distilabel_metadata"].as_object().unwrap();
        for step in ["answer_a", "answer_b", "judge"] {
            for key in ["raw_input", "raw_output", "statistics"] {
                assert!(metadata.contains_key(&format!("{key}_{step}")), "{key}_{step}");
            }
            assert_eq!(metadata[&format!("statistics_{step}")]["finish_reason"], "stop");
        }
        assert_eq!(metadata["raw_output_answer_a"], row["generations"][0]);
    }
    let dataset = folder.path().join("dataset");
    assert!(dataset.join("README.md").exists() && dataset.join("data").is_dir());
}

#[test]
fn the_second_walk_through_joins_by_identity() {
    let (folder, summary) = run_new(MATH);
    let answers = step(folder.path(), "answer_a");
    assert_eq!(answers.len(), 4 * 3 * 2);
    let groups = step(folder.path(), "group");
    assert_eq!(groups.len(), 12);
    for group in &groups {
        assert_eq!(group["model_names"], json!(["a", "a", "b"]));
        let of_group: Vec<&Value> =
            answers.iter().filter(|row| row["instruction"] == group["instruction"]).collect();
        assert_eq!(group["generations"][0], of_group[0]["generation"]);
        assert_eq!(group["generations"][1], of_group[1]["generation"]);
        assert_ne!(group["generations"][0], group["generations"][1], "samples draw apart");
    }
    assert_eq!(summary.rows.iter().map(|rows| rows.n_made).collect::<Vec<_>>()[..3], [4, 4, 12]);
    let judged = step(folder.path(), "judge");
    assert_eq!(judged[0]["ratings_orders"], json!([[0, 1, 2], [2, 1, 0]]));
    assert_eq!(judged[0]["distilabel_metadata"]["raw_output_judge"].as_array().unwrap().len(), 2);
}

#[test]
fn nothing_depends_on_the_order_in_which_answers_come() {
    let (folder, _) = run_new(MATH);
    let calm = rows(folder.path());
    for jitter in 1..6 {
        let folder = tempfile::tempdir().unwrap();
        let models = Instant { jitter, ..Instant::default() };
        run_in(folder.path(), MATH, &models).unwrap();
        assert!(rows(folder.path()) == calm, "jitter {jitter}");
    }
}

#[test]
fn models_that_do_not_fit_together_take_turns() {
    let (folder, summary) = run_new(MATH);
    let together = rows(folder.path());
    let folder = tempfile::tempdir().unwrap();
    let models = Instant { budget: 10, leaks: Some("b"), ..Instant::default() };
    let staged = run_in(folder.path(), MATH, &models).unwrap();
    assert!(rows(folder.path()) == together);
    assert_eq!(staged.rows, summary.rows);
    assert_eq!(staged.dropped, summary.dropped);
    let turns = "open a, ahead b, close a, open b, ahead judge, close b, open judge, close judge";
    assert_eq!(models.shared.borrow().residency.join(", "), turns);
    let events = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let notes: Vec<&str> = events.lines().filter(|line| line.contains("come back")).collect();
    assert!(notes.len() == 1 && notes[0].contains("\"model\":\"b\""), "{notes:?}");
    let parquet = |folder: &std::path::Path| {
        std::fs::read(folder.join("dataset/data/train-00000-of-00001.parquet")).unwrap()
    };
    let (again, _) = run_new(MATH);
    assert_eq!(parquet(folder.path()), parquet(again.path()));
}

#[test]
fn a_bad_row_costs_no_other() {
    let text = LINEAR
        .replace(r#"{ instruction = "two" }"#, r#"{ instruction = "REFUSE" }"#)
        .replace(r#"{ instruction = "three" }"#, r#"{ instruction = " " }"#);
    let (folder, summary) = run_new(&text);
    assert_eq!(step(folder.path(), "answer_a").len(), 4);
    let expected = [("empty prompt".to_owned(), 1), ("prompt too long".to_owned(), 1)];
    assert_eq!(dropped(&summary, "answer_a"), expected);
    assert_eq!(dropped(&summary, "group"), [("too few answers".to_owned(), 2)]);
    let (clean, _) = run_new(LINEAR);
    let other = |row: &&Value| row["instruction"] != "two" && row["instruction"] != "three";
    let clean = step(clean.path(), "judge");
    assert_eq!(
        step(folder.path(), "judge"),
        clean.iter().filter(other).cloned().collect::<Vec<_>>()
    );
}

#[test]
fn a_branch_that_lost_its_row_may_be_left_out() {
    let text =
        MATH.replace("output_columns = [", "min_generations = 2\noutput_columns = [").replace(
            "[steps.answer_b]\n",
            "[steps.answer_b]\ntemplate = \"REFUSE {{ instruction }}\"\n",
        );
    let (folder, summary) = run_new(&text);
    assert_eq!(dropped(&summary, "answer_b"), [("prompt too long".to_owned(), 12)]);
    let groups = step(folder.path(), "group");
    assert_eq!(groups.len(), 12);
    assert!(groups.iter().all(|group| group["model_names"] == json!(["a", "a"])));
    let strict = text.replace("min_generations = 2", "min_generations = 3");
    let (_, summary) = run_new(&strict);
    assert_eq!(dropped(&summary, "group"), [("too few answers".to_owned(), 12)]);
    assert_eq!(summary.n_pairs, 0);
}

#[test]
fn grouped_answers_are_judged_as_answers() {
    let text = MATH.replace("num_generations = 2", "num_generations = 2\ngroup_generations = true");
    let (folder, _) = run_new(&text);
    let answers = step(folder.path(), "answer_a");
    assert_eq!(answers.len(), 12);
    assert_eq!(answers[0]["generation"].as_array().unwrap().len(), 2);
    for group in step(folder.path(), "group") {
        assert_eq!(group["model_names"], json!(["a", "a", "b"]));
        assert!(group["generations"].as_array().unwrap().iter().all(Value::is_string));
    }
}

#[test]
fn a_judge_without_room_is_refused_before_anything_is_loaded() {
    let text = LINEAR
        .replace("model = \"judge\"", "model = \"judge\"\ngeneration = { max_new_tokens = 20 }");
    let folder = tempfile::tempdir().unwrap();
    let models = Instant::default();
    let error = run_in(folder.path(), &text, &models).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("`judge` about 2 texts"), "{error}");
    assert!(error.hint().unwrap().contains("max_new_tokens"), "{error}");
    assert!(models.shared.borrow().residency.is_empty());
}

#[test]
fn an_answer_as_long_as_the_context_is_refused_before_anything_is_loaded() {
    let text = LINEAR.replace("model = \"b\"", "model = \"b\"\ngeneration.max_new_tokens = 4096");
    let folder = tempfile::tempdir().unwrap();
    let models = Instant::default();
    let error = run_in(folder.path(), &text, &models).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let want = "`answer_b` asks for up to 4096 new tokens, the whole context of `b` is 4096";
    assert!(error.to_string().contains(want), "{error}");
    assert!(models.shared.borrow().residency.is_empty());
}

#[test]
fn empty_answers_make_no_pair_and_no_data_set() {
    let models = Instant { n_words: 0, ..Instant::default() };
    let folder = tempfile::tempdir().unwrap();
    let summary = run_in(folder.path(), LINEAR, &models).unwrap();
    assert_eq!(summary.n_pairs, 0);
    assert_eq!(dropped(&summary, "answer_a"), [("empty answer".to_owned(), 6)]);
    assert!(!folder.path().join("dataset").exists(), "a data set without rows loads nowhere");
}

#[test]
fn a_second_judge_leaves_nothing_of_the_first_ones_verdict() {
    let text = LINEAR.replace(">> judge >>", ">> first >> judge >>")
        + "[steps.first]\ntype = \"UltraFeedback\"\nmodel = \"judge\"\n\
           aspect = \"helpfulness\"\norders = 2\n";
    let (folder, _) = run_new(&text);
    let (first, judged) = (step(folder.path(), "first"), step(folder.path(), "judge"));
    for column in ["types", "rationales-for-ratings", "ratings_orders", "ratings_flip"] {
        assert!(first[0].get(column).is_some(), "{column}");
        assert!(judged[0].get(column).is_none(), "{column}");
    }
    let metadata = judged[0]["distilabel_metadata"].as_object().unwrap();
    assert!(metadata.contains_key("raw_output_first") && metadata.contains_key("raw_output_judge"));
}

#[test]
fn a_model_larger_than_memory_is_refused_before_anything_is_loaded() {
    let models = Instant { budget: 9, ..Instant::default() };
    let folder = tempfile::tempdir().unwrap();
    let error = run_in(folder.path(), LINEAR, &models).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let hint = error.hint().unwrap();
    assert!(hint.contains("set `quantize = \"q8_0\"` for it, which needs 1 MiB"), "{hint}");
    assert!(models.shared.borrow().residency.is_empty());

    let models = Instant { budget: 3, ..Instant::default() };
    let error = run_in(folder.path(), LINEAR, &models).unwrap_err();
    assert!(error.hint().unwrap().contains("does not help, 1 MiB are the least"), "{error}");
}

#[test]
fn a_dry_run_takes_one_row_through_and_leaves_nothing() {
    let models = Instant::default();
    let folder = tempfile::tempdir().unwrap();
    let interrupt = models.interrupt();
    let options = RunOptions {
        out: folder.path().join("run"),
        limit: None,
        dry_run: true,
        layout: Default::default(),
        interrupt: &interrupt,
    };
    let summary = run(&recipe(MATH), &options, &mut models.clone(), &mut ()).unwrap();
    assert_eq!((summary.n_roots, models.n_asked("judge")), (1, 6));
    assert!(!folder.path().join("run").exists() && !summary.folder.exists());
}
