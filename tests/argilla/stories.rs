//! The whole way: a push, another, people's answers, a pull, pairs in which people overrule.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::run_folder::{KEY, PAIRS, RunFolder, row};
use crate::stand_in::{StandIn, Trick};

const PUSH: [&str; 2] = ["push", "argilla"];
const PULL: [&str; 2] = ["pull", "argilla"];

#[test]
fn people_overrule_the_judge() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(4);
    let pushed = run.command(&argilla.url(), &PUSH, &[]);
    assert!(pushed.stdout.contains("4 new records, 0 updated"), "{}", pushed.stdout);
    let again = run.command(&argilla.url(), &PUSH, &[]);
    assert!(again.stdout.contains("0 new records, 4 updated"), "{}", again.stdout);
    assert_eq!(argilla.state().sets[0].records.len(), 4);

    let both = |first: i64, second: i64| {
        json!({"generations-0-rating": first, "generations-1-rating": second,
               "generations-1-rationale": "Wrong sum."})
    };
    argilla.answer(0, "ann", "submitted", both(5, 1));
    argilla.answer(0, "ben", "submitted", both(4, 1));
    argilla.answer(1, "ann", "submitted", json!({"generations-0-rating": 5}));
    argilla.answer(2, "ann", "draft", both(1, 1));
    argilla.answer(3, "ben", "discarded", json!({}));
    let pulled = run.command(&argilla.url(), &PULL, &["--json"]);
    let told: Value = serde_json::from_str(&pulled.stdout).expect("JSON");
    for (what, n) in [
        ("n_records", 4),
        ("n_rows", 2),
        ("n_answers", 3),
        ("n_annotators", 2),
        ("n_partly", 1),
        ("n_overruled", 1),
        ("n_drafts", 1),
        ("n_discarded", 1),
        ("n_gone", 0),
    ] {
        assert_eq!(told[what], n, "{what} of {told}");
    }
    let human = run.rows("human.jsonl");
    assert_eq!(human[0]["human_ratings"], json!([4.5, 1]));
    assert_eq!(human[0]["human_rationales"], json!([[], ["Wrong sum.", "Wrong sum."]]));
    assert_eq!(human[0]["human_answers"][1]["ratings"], json!([4, 1]));
    assert_eq!(human[1]["human_ratings"], json!([5, null]));

    run.succeed(&[
        "run",
        "recipe.toml",
        "--quiet",
        "--set",
        "steps.dpo.ratings_from=human-then-judge",
        "--set",
        "steps.dpo.human_ratings=runs/small/human.jsonl",
    ]);
    let human = ["steps.dpo.ratings_from=human", "steps.dpo.human_ratings=humam.jsonl"];
    let planned = run.plan(&["--set", human[0], "--set", human[1]]);
    assert!(planned.contains("humam.jsonl is not there: nobody has rated"), "{planned}");
    let pairs = run.rows("steps/dpo.jsonl");
    let chosen = |i: usize| pairs[i]["chosen"][1]["content"].as_str().expect("a text");
    assert_eq!((chosen(0), &pairs[0]["n_annotators"]), ("It is 1.", &json!(2)));
    assert_eq!((&pairs[0]["chosen_rating"], &pairs[0]["margin"]), (&json!(4.5), &json!(3.5)));
    // Nobody rated both answers of the others: the judge's word stands.
    assert_eq!((chosen(1), chosen(3)), ("It is 1.", "It is 3."));
    assert_eq!(pairs.len(), 4);
}

#[test]
fn what_people_said_of_a_row_without_a_pair_stays() {
    let argilla = StandIn::new();
    let mut tie = row(0);
    tie["ratings"] = json!([3, 3]);
    let run = RunFolder::of(PAIRS, &[tie, row(1)]);
    assert_eq!(run.command(&argilla.url(), &PUSH, &["--step", "load"]).code, 0);
    let both = json!({"generations-0-rating": 5, "generations-1-rating": 1});
    argilla.answer(0, "ann", "submitted", both);
    argilla.answer(1, "ann", "submitted", json!({"generations-0-rating": 5}));
    for (ratings_from, n_pairs) in [("judge", 1), ("human-then-judge", 2), ("human", 1)] {
        if ratings_from != "judge" {
            let from = format!("steps.dpo.ratings_from={ratings_from}");
            let file = "steps.dpo.human_ratings=runs/small/human.jsonl";
            run.succeed(&["run", "recipe.toml", "--quiet", "--set", &from, "--set", file]);
        }
        assert_eq!(run.rows("steps/dpo.jsonl").len(), n_pairs, "{ratings_from}");
        let pulled = run.command(&argilla.url(), &PULL, &[]);
        assert!(!pulled.stdout.contains("no row of this run"), "{}", pulled.stdout);
        let mut human = run.rows("human.jsonl");
        human.sort_by_key(|row| row["instruction"].to_string());
        let ratings: Vec<_> = human.iter().map(|row| &row["human_ratings"]).collect();
        assert_eq!(ratings, [&json!([5, 1]), &json!([5, null])], "{ratings_from}");
    }
}

#[test]
fn the_lines_of_a_pull_are_good_in_any_folder() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(1);
    assert_eq!(run.command(&argilla.url(), &PUSH, &[]).code, 0);
    let both = json!({"generations-0-rating": 5, "generations-1-rating": 1});
    argilla.answer(0, "ann", "submitted", both);
    let pulled = run.command(&argilla.url(), &PULL, &[]).stdout;
    let lines = pulled.split_once("ratings_from").expect("the lines are told").1;
    fs::create_dir(run.path().join("elsewhere")).expect("a folder");
    let recipe = format!("{}ratings_from{lines}", PAIRS.replace("rows.jsonl", "../rows.jsonl"));
    run.write("elsewhere/pasted.toml", &recipe);
    run.succeed(&["run", "elsewhere/pasted.toml", "--quiet", "--out", "runs/small"]);
    let pairs = run.rows("steps/dpo.jsonl");
    assert_eq!((&pairs[0]["n_annotators"], &pairs[0]["chosen_rating"]), (&json!(1), &json!(5)));
}

#[test]
fn ratings_that_nobody_asked_for_are_counted_and_not_used() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(1);
    assert_eq!(run.command(&argilla.url(), &PUSH, &[]).code, 0);
    for (user, first, second) in [("ann", i64::MAX, 4), ("ben", i64::MAX, 0), ("eve", 3, 1)] {
        let both = json!({"generations-0-rating": first, "generations-1-rating": second});
        argilla.answer(0, user, "submitted", both);
    }
    let pulled = run.command(&argilla.url(), &PULL, &[]);
    assert!(pulled.stdout.contains("3 ratings that are no whole number"), "{}", pulled.stdout);
    assert_eq!(run.rows("human.jsonl")[0]["human_ratings"], json!([3, 2.5]));
}

#[test]
fn an_answer_reaches_no_text_that_nobody_read() {
    let argilla = StandIn::new();
    let before = RunFolder::with_rows(2);
    assert_eq!(before.command(&argilla.url(), &PUSH, &[]).code, 0);
    argilla.answer(0, "ann", "submitted", json!({"generations-0-rating": 5}));
    // The same prompts, answered anew.
    let mut rows = [row(0), row(1)];
    rows[0]["generations"][0] = json!("One.");
    let after = RunFolder::new(&rows);
    let pushed = after.command(&argilla.url(), &PUSH, &[]);
    assert!(pushed.stdout.contains("1 new records, 1 updated"), "{}", pushed.stdout);
    let pulled = after.command(&argilla.url(), &PULL, &[]);
    assert!(pulled.stdout.contains("1 answered records that no row of this run has the texts of"));
    assert_eq!(fs::read_to_string(after.run().join("human.jsonl")).expect("it is there"), "");
}

#[test]
fn a_bad_row_is_left_out_and_a_refused_record_is_told_alone() {
    let argilla = StandIn::new();
    let mut rows: Vec<Value> = (0..1203).map(row).collect();
    rows[3]["generations"] = json!([]);
    rows[7]["generations"][1] = json!("  ");
    rows[700]["instruction"] = json!("REFUSE this");
    rows[9] = rows[8].clone();
    let run = RunFolder::new(&rows);
    let dropped = run.rows("dropped.jsonl");
    let reasons: Vec<_> = dropped.iter().filter(|d| d["step"] == "argilla").collect();
    assert_eq!(reasons.len(), 2, "{dropped:?}");
    let pushed = run.command(&argilla.url(), &PUSH, &["--json"]);
    let told: Value = serde_json::from_str(&pushed.stdout).expect("JSON");
    assert_eq!((&told["n_rows"], &told["n_created"]), (&json!(1201), &json!(1199)), "{told}");
    assert_eq!((&told["n_same"], &told["n_refused"]), (&json!(1), &json!(1)));
    let refused = &told["refused"][0];
    let at =
        run.rows("steps/argilla.jsonl").into_iter().find(|row| row["_row"]["id"] == refused["row"]);
    assert_eq!(at.expect("a row of the run")["instruction"], "REFUSE this");
    assert_eq!(refused["reason"], "Record at position 0 is not valid because it says so");
    let state = argilla.state();
    let n_calls = state.asked.iter().filter(|line| line.contains("bulk")).count();
    assert!(n_calls <= 3 + 2 * 9, "{n_calls} calls for three batches with one bad record");
}

#[test]
fn rows_of_another_step_go_where_the_recipe_says() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(3);
    let pushed = run.command(&argilla.url(), &PUSH, &["--step", "dpo"]);
    assert!(pushed.stdout.contains("review/answers at"), "{}", pushed.stdout);
    // The same texts are the same records, whichever step they come from.
    let again = run.command(&argilla.url(), &PUSH, &["--step", "argilla"]);
    assert!(again.stdout.contains("0 new records, 3 updated"), "{}", again.stdout);
    let other = ["--dataset", "other", "--num-generations", "3"];
    assert_eq!(run.command(&argilla.url(), &PUSH, &other).code, 0);
    assert_eq!(argilla.state().sets[1].fields.len(), 5);
    let none = run.command(&argilla.url(), &PUSH, &["--step", "answer"]);
    assert!(none.code == 2 && none.stderr.contains("`answer` is no step"), "{}", none.stderr);
}

#[test]
fn a_dry_run_and_offline_open_no_connection() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(3);
    let dry = run.command(&argilla.url(), &PUSH, &["--dry-run", "--offline"]);
    assert!(dry.stdout.contains("3 of 3 rows of argilla would go to answers at"), "{}", dry.stdout);
    for words in [PUSH, PULL] {
        let offline = run.command(&argilla.url(), &words, &["--offline"]);
        assert_eq!(offline.code, 2);
        assert!(offline.stderr.contains("--offline"), "{}", offline.stderr);
        assert!(offline.stderr.contains("--dry-run"), "{}", offline.stderr);
    }
    assert_eq!(argilla.state().asked, Vec::<String>::new());
}

#[test]
fn the_key_is_nowhere() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(3);
    let mut shown = String::new();
    for words in [PUSH, PULL] {
        let done = run.command(&argilla.url(), &words, &["--json"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        shown += &(done.stdout + &done.stderr);
        // A server that repeats the key in its refusal.
        argilla.play("me/workspaces", Trick::Status(403));
        let refused = run.command(&argilla.url(), &words, &["--json"]);
        assert!(refused.code == 4 && refused.stderr.contains("no *** today"), "{}", refused.stderr);
        shown += &(refused.stdout + &refused.stderr);
    }
    // Runs that end at the server: before the first step, and after the last.
    for call in ["me/workspaces", "bulk"] {
        argilla.play(call, Trick::Status(401));
        let refused = run.start(&argilla.url(), &["run", "recipe.toml", "--json"]);
        let said = refused.stdout + &refused.stderr;
        assert!(refused.code == 4 && said.contains("no *** today"), "{call}: {said}");
        shown += &said;
    }
    assert!(!shown.contains(KEY), "{shown}");
    expect_not_in(run.path());
}

fn expect_not_in(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder of the run") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            expect_not_in(&path);
        } else {
            let bytes = fs::read(&path).expect("a file of the run");
            let is_in = bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes());
            assert!(!is_in, "the key is in {}", path.display());
        }
    }
}
