//! Runs that stop and go on: nothing is lost, nothing is made twice, nothing differs.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use stillroom::Error;

use crate::instant::Instant;
use crate::support::*;

/// Runs until the models raise the interrupt after `n` answers.
fn run_until(folder: &Path, text: &str, n: usize, models: &Instant) -> bool {
    models.shared.borrow_mut().n_until_interrupt = Some(n);
    models.interrupt().store(false, Ordering::Relaxed);
    match run_in(folder, text, models) {
        Ok(_) => true,
        Err(Error::Interrupted { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Cuts bytes off the end of a file, as a power cut may.
fn tear(path: &Path, n_bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("a step's file");
    let n_left = file.metadata().expect("its length").len().saturating_sub(n_bytes);
    file.set_len(n_left).expect("it can be cut");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_run_killed_anywhere_ends_as_an_undisturbed_one(
        stops in prop::collection::vec(1_usize..60, 1..4),
        jitter in 0_u64..4,
        staged in any::<bool>(),
        torn in prop::collection::vec((0_usize..8, 0_u64..4000), 0..4),
    ) {
        let (whole, summary) = run_new(MATH);
        let folder = tempfile::tempdir().unwrap();
        let budget = if staged { 10 } else { 1000 };
        let models = Instant { jitter, budget, ..Instant::default() };
        for n in stops {
            run_until(folder.path(), MATH, n, &models);
            for (file, n_bytes) in &torn {
                let mut paths: Vec<_> = fs::read_dir(folder.path().join("steps"))
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect();
                paths.sort();
                tear(&paths[file % paths.len()], *n_bytes);
            }
        }
        models.shared.borrow_mut().n_until_interrupt = None;
        models.interrupt().store(false, Ordering::Relaxed);
        let last = run_in(folder.path(), MATH, &models).unwrap();
        prop_assert!(rows(folder.path()) == rows(whole.path()));
        prop_assert_eq!(last.n_pairs, summary.n_pairs);
        prop_assert_eq!(last.dropped, summary.dropped);
    }
}

#[test]
fn a_finished_run_asks_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), MATH, &Instant::default()).unwrap();
    let before = rows(folder.path());
    let models = Instant::default();
    let summary = run_in(folder.path(), MATH, &models).unwrap();
    assert!(models.shared.borrow().n_asked.is_empty());
    assert!(summary.rows.iter().all(|step| step.n_made == 0));
    assert!(rows(folder.path()) == before);
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let first = Instant { jitter: 3, ..Instant::default() };
    assert!(!run_until(folder.path(), MATH, 20, &first));
    let kept = step(folder.path(), "answer_a").len() + step(folder.path(), "answer_b").len();
    assert!(kept > 0);
    let second = Instant::default();
    run_in(folder.path(), MATH, &second).unwrap();
    let asked = second.n_asked("a") + second.n_asked("b");
    let instructed = step(folder.path(), "instruct").len();
    assert!(asked <= 36 - kept + instructed, "{asked} asked, {kept} kept");
}

#[test]
fn a_failing_model_costs_only_rows_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let failing = Instant { jitter: 2, ..Instant::default() };
    failing.shared.borrow_mut().n_until_failure = Some(25);
    let error = run_in(folder.path(), MATH, &failing).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(!step(folder.path(), "answer_a").is_empty());
    run_in(folder.path(), MATH, &Instant::default()).unwrap();
    assert!(rows(folder.path()) == rows(run_new(MATH).0.path()));
}

#[test]
fn a_changed_step_reuses_what_the_change_does_not_reach() {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), MATH, &Instant::default()).unwrap();
    let answers = step(folder.path(), "answer_b");

    let changed = MATH.replace("orders = 2", "orders = \"all\"");
    let models = Instant::default();
    run_in(folder.path(), &changed, &models).unwrap();
    assert_eq!((models.n_asked("a"), models.n_asked("b")), (0, 0));
    assert_eq!(models.n_asked("judge"), 12 * 3);
    assert_eq!(step(folder.path(), "answer_b"), answers);
    assert!(rows(folder.path()) == rows(run_new(&changed).0.path()), "stale rows are mixed in");

    let back = Instant::default();
    run_in(folder.path(), MATH, &back).unwrap();
    assert!(back.shared.borrow().n_asked.is_empty(), "what was set aside comes back");
    assert!(rows(folder.path()) == rows(run_new(MATH).0.path()));
}

#[test]
fn another_model_behind_the_same_name_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), LINEAR, &Instant::default()).unwrap();
    let changed = LINEAR.replace("tiny:mixtral", "tiny:mistral");
    let models = Instant::default();
    run_in(folder.path(), &changed, &models).unwrap();
    assert_eq!((models.n_asked("a"), models.n_asked("b"), models.n_asked("judge")), (0, 6, 6));
}

#[test]
fn changed_data_costs_only_the_changed_rows() {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), LINEAR, &Instant::default()).unwrap();
    let changed = LINEAR.replace("\"three\"", "\"eight\"");
    let models = Instant::default();
    run_in(folder.path(), &changed, &models).unwrap();
    assert_eq!((models.n_asked("a"), models.n_asked("judge")), (1, 1));
    assert!(rows(folder.path()) == rows(run_new(&changed).0.path()), "old rows are mixed in");
}

#[test]
fn a_finished_run_opens_no_model() {
    for budget in [10, 1000] {
        let folder = tempfile::tempdir().unwrap();
        let models = Instant { budget, ..Instant::default() };
        run_in(folder.path(), MATH, &models).unwrap();
        let before = rows(folder.path());
        models.shared.borrow_mut().residency.clear();
        run_in(folder.path(), MATH, &models).unwrap();
        assert!(models.shared.borrow().residency.is_empty(), "there was nothing to ask");
        assert!(rows(folder.path()) == before);
    }
}
