//! Rows before people and back: the stories of `push argilla` and `pull argilla`.
//!
//! Against a stand-in on the loopback device always, and against a real server where
//! `STILLROOM_ARGILLA_URL` names one (tests/argilla/server.sh starts it).

#[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "only the network needs it all"))]
mod run_folder;

#[cfg(feature = "hub")]
mod faults;
#[cfg(feature = "hub")]
mod real;
#[cfg(feature = "hub")]
mod stand_in;
#[cfg(feature = "hub")]
mod stories;

/// Without the feature `hub` there is no network: the commands say so, and a dry run still works.
#[cfg(not(feature = "hub"))]
#[test]
fn a_build_without_the_network_says_so() {
    let run = run_folder::RunFolder::with_rows(3);
    for words in [["push", "argilla"], ["pull", "argilla"]] {
        let done = run.command("http://127.0.0.1:9", &words, &[]);
        assert_eq!(done.code, 2, "{}", done.stderr);
        assert!(done.stderr.contains("this build has no network"), "{}", done.stderr);
    }
    let done = run.command("http://127.0.0.1:9", &["push", "argilla"], &["--dry-run"]);
    assert!(done.stdout.contains("3 of 3 rows of argilla would go to"), "{}", done.stdout);
}
