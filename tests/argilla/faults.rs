//! Servers that are old, shut, in a bad state, slow, or cut off in the middle.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use stillroom::Error;
use stillroom::argilla::ArgillaAccess;
use stillroom::pipeline::{self, ArgillaOptions, Pushed};
use stillroom::recipe::Recipe;
use stillroom::web::Patience;

use crate::run_folder::{PAIRS, RunFolder, row};
use crate::stand_in::{StandIn, Trick};

fn options(url: &str, key: &str, n_attempts: u32) -> ArgillaOptions {
    let env = |name: &str| (name == "ARGILLA_API_KEY").then(|| key.to_owned());
    let mut access = ArgillaAccess::read(&env, Some(url.to_owned()), false);
    let (silence, pause) = (Duration::from_secs(30), Duration::from_millis(1));
    access.patience = Patience { silence, n_attempts, pause };
    ArgillaOptions {
        access,
        step: None,
        dataset: None,
        workspace: None,
        num_generations: None,
        dry_run: false,
    }
}

fn push(run: &RunFolder, options: &ArgillaOptions) -> Result<Pushed, Error> {
    pipeline::push_argilla(&run.run(), options, &mut |_| ())
}

/// A push that must fail, and say all of `words`, hint included.
fn fail(run: &RunFolder, options: &ArgillaOptions, words: &[&str]) {
    let error = push(run, options).expect_err("the server refuses");
    assert_eq!(error.exit_code(), 4, "{error}");
    let said = format!("{error} | {}", error.hint().unwrap_or_default());
    for word in words {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
}

#[test]
fn a_server_that_refuses_ends_it_with_the_reason() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(2);
    let url = argilla.url();
    fail(
        &run,
        &options(&url, "another.key", 2),
        &["status 401", "Could not validate", "ARGILLA_API_KEY"],
    );
    fail(
        &run,
        &options(&url, "annotator.key", 2),
        &["`annotator` is an annotator", "key of an owner"],
    );
    let mut elsewhere = options(&url, "owner.key", 2);
    elsewhere.workspace = Some("secret".to_owned());
    fail(&run, &elsewhere, &["no workspace `secret`", "--workspace: `review`"]);
    argilla.state().workspaces.push("second".to_owned());
    fail(&run, &options(&url, "owner.key", 2), &["you have 2 workspaces", "`review`, `second`"]);
    argilla.state().workspaces.pop();
    for (status, words) in [
        (403, ["status 403", "owner's, or an admin's"]),
        (404, ["status 404", "deleted meanwhile"]),
    ] {
        argilla.play("POST /api/v1/datasets", Trick::Status(status));
        fail(&run, &options(&url, "owner.key", 2), &words);
    }
    argilla.state().version = "1.29.1".to_owned();
    fail(&run, &options(&url, "owner.key", 2), &["is version 1.29.1", "2.1 or later is needed"]);
    argilla.play("version", Trick::Status(404));
    fail(&run, &options(&url, "owner.key", 2), &["no Argilla 2.1 or later", "check the address"]);
    argilla.play("version", Trick::Status(301));
    fail(&run, &options(&url, "owner.key", 2), &["sends us on to", "name that address yourself"]);
    assert!(argilla.state().sets.is_empty(), "nothing was made meanwhile");
    drop(argilla);
    fail(&run, &options(&url, "owner.key", 2), &["gave no answer in 2 attempts"]);
}

#[test]
fn what_passes_is_asked_again() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(2);
    let tricks = [
        ("version", Trick::Status(500)),
        ("me/workspaces", Trick::Status(429)),
        ("POST /api/v1/datasets", Trick::CutAfter),
        ("/fields", Trick::CutBefore),
        ("POST /api/v1/datasets/set-0/questions", Trick::CutAfter),
        ("/publish", Trick::CutAfter),
        ("bulk", Trick::Stall),
        ("bulk", Trick::CutAfter),
        ("bulk", Trick::Status(503)),
    ];
    tricks.into_iter().for_each(|(part, trick)| argilla.play(part, trick));
    let mut hasty = options(&argilla.url(), "owner.key", 5);
    hasty.access.patience.silence = Duration::from_secs(2);
    let pushed = push(&run, &hasty).expect("it passes");
    assert_eq!((pushed.n_created, pushed.n_updated), (2, 0));
    let state = argilla.state();
    assert_eq!((state.sets.len(), state.sets[0].records.len()), (1, 2));
    assert_eq!((state.sets[0].fields.len(), state.sets[0].questions.len()), (4, 4));
    drop(state);
    for _ in 0..3 {
        argilla.play("bulk", Trick::Status(500));
    }
    let words = ["gave no answer in 3 attempts", "status 500", "doubles nothing"];
    fail(&run, &options(&argilla.url(), "owner.key", 3), &words);
}

#[test]
fn interrupted_anywhere_and_repeated_no_record_is_there_twice() {
    const N_ROWS: usize = 1100;
    let run = RunFolder::with_rows(N_ROWS);
    let n_calls = {
        let argilla = StandIn::new();
        push(&run, &options(&argilla.url(), "owner.key", 1)).expect("nothing is in its way");
        argilla.state().asked.len()
    };
    let mut noise: u64 = 20_261_125;
    for seed in 0..20 {
        let mut draw = |n: usize| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 33) as usize % n
        };
        let argilla = StandIn::new();
        let (call, is_done) = (draw(n_calls), draw(2) == 1);
        argilla.state().cut_at(call, is_done);
        let cut = push(&run, &options(&argilla.url(), "owner.key", 1));
        assert!(cut.is_err(), "seed {seed}: cut at call {call} of {n_calls}");
        push(&run, &options(&argilla.url(), "owner.key", 1)).expect("the second goes through");
        let state = argilla.state();
        assert_eq!(state.sets.len(), 1, "seed {seed}, call {call}");
        let set = &state.sets[0];
        let ids: BTreeSet<_> =
            set.records.iter().map(|record| record["external_id"].to_string()).collect();
        assert_eq!((ids.len(), set.records.len()), (N_ROWS, N_ROWS), "seed {seed}, call {call}");
        let n_parts = (set.fields.len(), set.questions.len(), set.metadata.len());
        assert_eq!(n_parts, (4, 4, 5), "seed {seed}, call {call}");
    }
}

/// What a push could have changed: parts, and whether people are let in.
fn shape(argilla: &StandIn) -> (Vec<Value>, Vec<Value>, Vec<Value>, bool) {
    let set = &argilla.state().sets[0];
    (set.fields.clone(), set.questions.clone(), set.metadata.clone(), set.is_ready)
}

#[test]
fn a_data_set_that_takes_other_records_is_named_with_what_differs() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(2);
    let two = options(&argilla.url(), "owner.key", 2);
    push(&run, &two).expect("it is made");
    let three = ArgillaOptions { num_generations: Some(3), ..two.clone() };
    let before = shape(&argilla);
    let words = ["`answers`", "no field `generations-2`", "choose another --dataset"];
    fail(&run, &three, &words);
    assert_eq!(shape(&argilla), before);
    argilla.state().sets[0].fields.push(json!({
        "id": "x", "name": "image", "required": true, "settings": {"type": "image"},
    }));
    let before = shape(&argilla);
    fail(&run, &two, &["it asks for a field `image`"]);
    assert_eq!(shape(&argilla), before);
}

#[test]
fn a_half_made_data_set_is_finished_only_where_what_is_there_fits() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(2);
    let options = options(&argilla.url(), "owner.key", 2);
    push(&run, &options).expect("it is made");
    let recipe = Recipe::load(&run.path().join("recipe.toml"), &[]).expect("a good recipe");
    let check = || pipeline::check_argilla(&recipe, "argilla", &options.access);
    {
        let set = &mut argilla.state().sets[0];
        set.is_ready = false;
        set.fields.truncate(2);
        set.metadata.clear();
        set.questions.remove(3);
        set.questions[2]["settings"] = json!({"type": "span"});
    }
    let before = shape(&argilla);
    fail(&run, &options, &["its question `generations-1-rating` is span, not rating"]);
    let said = check().expect_err("it does not fit").to_string();
    assert!(said.contains("is span, not rating"), "{said}");
    assert_eq!(shape(&argilla), before);
    // What is only missing is made.
    argilla.state().sets[0].questions.truncate(2);
    assert!(check().expect("it fits").is_there);
    push(&run, &options).expect("it is finished");
    let (fields, questions, metadata, is_ready) = shape(&argilla);
    assert_eq!((fields.len(), questions.len(), metadata.len(), is_ready), (4, 4, 5, true));
}

#[test]
fn a_number_of_answers_that_nobody_knows_is_asked_for() {
    let argilla = StandIn::new();
    let run = RunFolder::of(PAIRS, &[row(0), row(1)]);
    let mut options = options(&argilla.url(), "owner.key", 2);
    let mut ask = |why: &str| {
        let error = push(&run, &options).expect_err("nobody knows it");
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--num-generations")));
        options.step = Some("dpo".to_owned());
    };
    let events = run.run().join("events.jsonl");
    let whole = fs::read_to_string(&events).expect("what happened");
    let cut = whole.trim_end().rsplit_once('\n').expect("several lines").0;
    fs::write(&events, format!("{cut}\n")).expect("it can be written");
    ask("the run has not finished");
    fs::write(&events, whole).expect("it can be written");
    let rows = run.run().join("steps/dpo.jsonl");
    fs::rename(&rows, rows.with_extension("away")).expect("it is there");
    ask("none is there");
    assert!(argilla.state().asked.is_empty(), "nothing was asked meanwhile");
    options.num_generations = Some(3);
    push(&run, &options).expect("now it is known");
    assert_eq!(argilla.state().sets[0].fields.len(), 5);
}

#[test]
fn pages_that_do_not_add_up_are_read_again_or_told() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(300);
    let options = options(&argilla.url(), "owner.key", 2);
    push(&run, &options).expect("it is made");
    argilla.answer(0, "ann", "submitted", json!({"generations-0-rating": 5}));
    argilla.answer(1, "ann", "draft", json!({}));
    let pull = || pipeline::pull_argilla(&run.run(), &options);
    let fewer = Trick::Twist(|page| page["total"] = json!(299));
    argilla.play("offset=250", fewer);
    let pulled = pull().expect("the second reading is whole");
    assert_eq!((pulled.n_records, pulled.n_answers, pulled.n_drafts), (300, 1, 1));
    for _ in 0..5 {
        argilla.play("offset=250", fewer);
    }
    let said = pull().expect_err("it never stands still").to_string();
    assert!(said.contains("records in `answers` changes while they are read"), "{said}");
    let nothing_new = Trick::Twist(|page| page["items"] = json!([{"id": "record-0"}]));
    argilla.play("offset=250", nothing_new);
    let said = pull().expect_err("it would be read for ever").to_string();
    assert!(said.contains("300 records in `answers`, shows 250 of them"), "{said}");
    let nameless = Trick::Twist(|page| drop(page.as_object_mut().map(|page| page.remove("total"))));
    argilla.play("offset=250", nameless);
    let said = pull().expect_err("nobody knows the end").to_string();
    assert!(said.contains("missing field `total`"), "{said}");
    assert_eq!(pull().expect("the tricks are played").n_answers, 1);
}

#[test]
fn a_server_that_refuses_every_record_is_not_asked_for_each() {
    let argilla = StandIn::new();
    let rows = (0..400).map(|i| {
        let mut row = row(i);
        row["instruction"] = json!(format!("REFUSE {i}"));
        row
    });
    let run = RunFolder::new(&rows.collect::<Vec<_>>());
    let words = ["refuses each of the first 20 records", "it says so"];
    fail(&run, &options(&argilla.url(), "owner.key", 2), &words);
    let n_calls = argilla.state().asked.iter().filter(|line| line.contains("bulk")).count();
    assert!(n_calls < 60, "{n_calls} calls");
}

#[test]
fn a_recipe_is_checked_against_the_server_before_it_runs() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(1);
    let recipe = Recipe::load(&run.path().join("recipe.toml"), &[]).expect("a good recipe");
    let access = options(&argilla.url(), "owner.key", 2).access;
    let check = || pipeline::check_argilla(&recipe, "argilla", &access);
    assert!(!check().expect("it fits").is_there);
    assert!(argilla.state().sets.is_empty(), "a check makes nothing");
    push(&run, &options(&argilla.url(), "owner.key", 2)).expect("it is made");
    assert!(check().expect("it fits").is_there);
    argilla.state().sets[0].questions.remove(0);
    let said = check().expect_err("it does not fit").to_string();
    assert!(said.contains("no question `generations-0-rating`"), "{said}");
    assert_eq!(pipeline::argilla_steps(&recipe), ["argilla"]);
}
