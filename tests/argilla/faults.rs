//! Servers that are old, shut, in a bad state, slow, or cut off in the middle.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use stillroom::Error;
use stillroom::argilla::ArgillaAccess;
use stillroom::pipeline::{self, ArgillaOptions, Pushed};
use stillroom::recipe::Recipe;
use stillroom::web::Patience;

use crate::run_folder::RunFolder;
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

#[test]
fn a_data_set_that_takes_other_records_is_named_with_what_differs() {
    let argilla = StandIn::new();
    let run = RunFolder::with_rows(2);
    let mut three = options(&argilla.url(), "owner.key", 2);
    push(&run, &three).expect("it is made");
    three.num_generations = Some(3);
    let words = ["`answers`", "no field `generations-2`", "choose another --dataset"];
    fail(&run, &three, &words);
    argilla.state().sets[0].fields.push(json!({
        "id": "x", "name": "image", "required": true, "settings": {"type": "image"},
    }));
    fail(&run, &options(&argilla.url(), "owner.key", 2), &["it asks for a field `image`"]);
}

#[test]
fn a_server_that_refuses_every_record_is_not_asked_for_each() {
    let argilla = StandIn::new();
    let rows = (0..400).map(|i| {
        let mut row = crate::run_folder::row(i);
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
    let check = || pipeline::check_argilla(&recipe, &access);
    assert!(!check().expect("it fits")[0].is_there);
    assert!(argilla.state().sets.is_empty(), "a check makes nothing");
    push(&run, &options(&argilla.url(), "owner.key", 2)).expect("it is made");
    assert!(check().expect("it fits")[0].is_there);
    argilla.state().sets[0].questions.remove(0);
    let said = check().expect_err("it does not fit").to_string();
    assert!(said.contains("no question `generations-0-rating`"), "{said}");
    assert_eq!(pipeline::argilla_steps(&recipe), ["argilla"]);
}
