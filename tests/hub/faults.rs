//! Pushes that do not go well: cut, refused, overtaken, lied to.

use std::net::TcpListener;
use std::time::Duration;

use crate::bench::{Bench, REPO, count};
use crate::server::{TOKEN, Trick};

/// Numbers that a seed makes (splitmix64).
fn draws(seed: u64) -> impl Iterator<Item = u64> {
    (1_u64..).map(move |n| {
        let z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Requests of a first push that nothing disturbs.
fn n_requests(part_bytes: Option<usize>) -> u64 {
    let bench = Bench::new();
    bench.server.with(|state| state.part_bytes = part_bytes);
    bench.push().expect("nothing disturbs it");
    bench.server.asked().len() as u64
}

#[test]
fn interrupted_anywhere_and_repeated_there_is_one_commit() {
    for part_bytes in [None, Some(10_000)] {
        let n_requests = n_requests(part_bytes);
        for (seed, draw) in (0..20).zip(draws(part_bytes.is_some().into())) {
            let mut bench = Bench::new();
            bench.server.with(|state| state.part_bytes = part_bytes);
            let at = usize::try_from(draw % n_requests).unwrap();
            let trick =
                [Trick::CutBefore, Trick::CutAfter, Trick::CutBody(100), Trick::Status(500)];
            let trick = trick[(draw >> 32) as usize % 4].clone();
            let case = format!("case {seed}: {trick:?} at request {at} of {n_requests}");
            bench.server.play_at(at, trick);
            // One attempt only: what is cut off ends the push, as a killed process does.
            bench.options.patience.n_attempts = 1;
            let error = bench.push().expect_err(&case);
            assert_eq!(error.exit_code(), 4, "{case}: {error}");
            assert!(error.hint().unwrap().contains("push again"), "{case}");
            bench.server.behave();
            bench.options.patience.n_attempts = 3;
            bench.push().unwrap_or_else(|error| panic!("{case}: {error}"));
            bench.expect_there(&[]);
            assert_eq!(bench.n_commits(), 1, "{case}");
            assert!(!bench.push().unwrap().is_new, "{case}");
        }
    }
}

#[test]
fn any_single_interruption_is_passed_over() {
    let n_requests = n_requests(None);
    for at in 0..n_requests {
        for trick in [Trick::CutBefore, Trick::CutAfter, Trick::Status(429), Trick::Status(503)] {
            let bench = Bench::new();
            let case = format!("{trick:?} at request {at}");
            bench.server.play_at(usize::try_from(at).unwrap(), trick);
            let pushed = bench.push().unwrap_or_else(|error| panic!("{case}: {error}"));
            bench.expect_there(&[]);
            assert_eq!((pushed.is_new, bench.n_commits()), (true, 1), "{case}");
        }
    }
}

#[test]
fn a_silent_server_is_left_and_asked_again() {
    let mut bench = Bench::new();
    bench.options.patience.silence = Duration::from_millis(300);
    bench.server.play("PUT /store/", Trick::Stall);
    bench.server.play("/commit/main", Trick::Stall);
    bench.push().unwrap();
    bench.expect_there(&[]);
    assert_eq!(bench.n_commits(), 1);
}

#[test]
fn what_lasts_is_told_with_its_leg() {
    for (needle, word) in [
        ("whoami", "ask whose the token is"),
        ("revision/", "look for the repository"),
        ("repos/create", "make the repository me/pairs"),
        ("/tree/", "list the files of me/pairs"),
        ("preupload", "ask how files shall come"),
        ("objects/batch", "ask where files shall go"),
        ("PUT /store/", "upload data/train-0000"),
        ("/api/verify/", "upload data/train-0000"),
        ("/commit/", "push to me/pairs"),
    ] {
        let bench = Bench::new();
        (0..9).for_each(|_| bench.server.play(needle, Trick::Status(503)));
        let error = bench.error();
        assert!(error.to_string().contains(&format!("cannot {word}")), "{needle}: {error}");
        assert!(error.to_string().contains("status 503"), "{needle}: {error}");
        assert_eq!(error.exit_code(), 4);
        assert!(!error.to_string().contains("topsecret"), "{error}");
        assert!(bench.server.with(|state| state.repos.is_empty()) || bench.n_commits() == 0);
    }
}

#[test]
fn refusals_say_what_to_do() {
    for (needle, status, hint) in [
        ("whoami", 401, "the token is not valid"),
        ("revision/", 403, "a token (HF_TOKEN) that may write to me/pairs"),
        ("repos/create", 403, "that may write to me/pairs"),
        ("repos/create", 402, "look at the plan of the owner"),
        ("repos/create", 307, "push to its new name"),
        ("preupload", 403, "that may write to me/pairs"),
        ("objects/batch", 404, "check the name and the branch"),
        ("/commit/", 403, "that may write to me/pairs"),
        ("/commit/", 413, "too large"),
    ] {
        let bench = Bench::new();
        bench.server.play(needle, Trick::Status(status));
        let error = bench.error();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains(&format!("status {status}: as told")), "{error}");
        assert!(error.hint().unwrap().contains(hint), "{needle}: {:?}", error.hint());
    }
}

#[test]
fn a_branch_that_never_rests_is_left_in_the_end() {
    let bench = Bench::new();
    (0..9).for_each(|_| bench.server.play("/commit/", Trick::Overtake));
    let error = bench.error();
    assert!(error.to_string().contains("somebody else commits to the branch"), "{error}");
    assert_eq!(count(&bench.server.asked(), "/commit/"), 3);
}

#[test]
fn a_storage_that_forgets_is_noticed_before_the_commit() {
    let bench = Bench::new();
    bench.server.play("PUT /store/", Trick::Forget);
    bench.push().unwrap();
    bench.expect_there(&[]);
    let bench = Bench::new();
    (0..9).for_each(|_| bench.server.play("PUT /store/", Trick::Forget));
    let error = bench.error();
    assert!(error.to_string().contains("the check of data/train-"), "{error}");
    assert_eq!(bench.n_commits(), 0);
}

#[test]
fn answers_that_make_no_sense_end_the_push() {
    let orders = |upload: &str| {
        let oid = Bench::new().files()["data/train-00000-of-00002.parquet"].clone();
        let other = Bench::new().files()["data/train-00001-of-00002.parquet"].clone();
        let object = |bytes: &[u8]| {
            format!(r#"{{"oid": "{}", "actions": {{"upload": {upload}}}}}"#, sha256(bytes))
        };
        Trick::Say(format!(r#"{{"objects": [{}, {}]}}"#, object(&oid), object(&other)))
    };
    let say = |text: &str| Trick::Say(text.to_owned());
    for (needle, trick, word) in [
        (
            "/tree/",
            say(r#"[{"type": "file", "path": "../x", "oid": "1"}]"#),
            "a file called `../x`",
        ),
        ("/tree/", say("{}"), "no list"),
        ("/tree/", Trick::Link("<http://localhost:1/x>; rel=\"next\"".into()), "goes on elsewhere"),
        ("/tree/", Trick::Link("<//evil/x>; rel=\"next\"".into()), "goes on elsewhere"),
        ("revision/", say(r#"{"sha": "main"}"#), "without a commit"),
        ("whoami", say("<html>"), "no JSON"),
        ("preupload", say(r#"{"files": []}"#), "no way for README.md"),
        ("objects/batch", say(r#"{"objects": []}"#), "no word about data/train-0000"),
        ("objects/batch", orders(r#"{"href": "ftp://x/y"}"#), "whose address is none"),
        (
            "objects/batch",
            orders(r#"{"href": "x", "header": {"chunk_size": 5}}"#),
            "number of parts",
        ),
        ("/commit/", say("{}"), "a commit without its hash"),
    ] {
        let bench = Bench::new();
        bench.server.play(needle, trick);
        let error = bench.error();
        assert!(error.to_string().contains(word), "{needle}: {error}");
        assert_eq!(error.exit_code(), 4);
    }
    let bench = Bench::new();
    let moved = format!(r#"{{"sha": "{}", "id": "me/new"}}"#, "a".repeat(40));
    bench.server.play("revision/", Trick::Say(moved));
    assert_eq!(bench.error().to_string(), "me/pairs has moved to me/new");
    let (oid, code) = (sha256(&bench.files()["data/train-00000-of-00002.parquet"]), 422);
    let refused = format!(
        r#"{{"objects": [{{"oid": "{oid}", "error": {{"code": {code}, "message": "too odd"}}}}]}}"#
    );
    bench.server.play("objects/batch", Trick::Say(refused));
    let error = bench.error().to_string();
    assert!(error.contains("train-00000-of-00002.parquet with code 422: too odd"), "{error}");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_token_is_in_no_message_even_if_the_server_says_it() {
    let bench = Bench::new();
    for needle in ["whoami", "revision/"] {
        bench
            .server
            .play(needle, Trick::Say(format!("{{\"sha\": \"{TOKEN}\", \"id\": \"{TOKEN}\"")));
        let error = bench.error();
        assert!(!format!("{error} {:?}", error.hint()).contains("secret"), "{error}");
    }
    bench.server.play("whoami", Trick::Say(r#"{"name": "me"}"#.to_owned()));
    let moved = format!(r#"{{"sha": "{}", "id": "{TOKEN}"}}"#, "a".repeat(40));
    bench.server.play("revision/", Trick::Say(moved));
    assert_eq!(bench.error().to_string(), "me/pairs has moved to ***");
}

#[test]
fn files_of_others_that_the_card_would_take_in_are_told() {
    let bench = Bench::new();
    let theirs = [("README.md", "theirs"), ("data/train-00000-of-00009.parquet", "x")];
    bench.server.with(|state| state.put(REPO, &theirs));
    let error = bench.error();
    let want = "me/pairs holds data/train-00000-of-00009.parquet, which no earlier push of ours";
    assert!(error.to_string().starts_with(want), "{error}");
    assert_eq!(bench.n_commits(), 1);
    assert_eq!(count(&bench.server.asked(), "POST"), 0);
}

#[test]
fn what_shall_be_private_goes_to_no_public_place() {
    let mut bench = Bench::new();
    bench.server.with(|state| state.put(REPO, &[]));
    bench.is_private = true;
    for error in [bench.error(), bench.preview().unwrap_err()] {
        assert!(error.to_string().contains("me/pairs is public"), "{error}");
    }
    assert_eq!(count(&bench.server.asked(), "POST"), 0);
}

#[test]
fn a_file_that_the_repository_ignores_is_told() {
    let bench = Bench::new();
    bench.write("data/x.ignored", b"x");
    let error = bench.error();
    assert!(
        error.to_string().contains(".gitignore of me/pairs keeps data/x.ignored out"),
        "{error}"
    );
}

#[test]
fn weak_tokens_are_told_before_anything_is_made() {
    let bench = Bench::new();
    bench.server.with(|state| state.role = "read");
    let error = bench.error();
    assert_eq!(error.to_string(), "the token of me may only read, not push to me/pairs");
    let mut bench = Bench::new();
    bench.options.token = Some("hf_other".to_owned());
    assert!(bench.error().hint().unwrap().contains("the token is not valid"));
    assert!(bench.server.with(|state| state.repos.is_empty()));
}

#[test]
fn without_a_token_or_offline_no_socket_is_opened() {
    let mut bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    bench.options.endpoint = format!("http://{}", listener.local_addr().unwrap());
    bench.options.token = None;
    let error = bench.error();
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("no token: nobody may push to me/pairs", 4)
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("HF_TOKEN") && hint.contains("huggingface.co/settings/tokens"), "{hint}");
    bench.options.token = Some("two\nlines".to_owned());
    assert!(bench.error().to_string().starts_with("the token is no token"));
    bench.options.token = Some(TOKEN.to_owned());
    bench.options.offline = true;
    let error = bench.error();
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("offline, so nothing is pushed to me/pairs", 3)
    );
    assert!(error.hint().unwrap().contains("HF_HUB_OFFLINE"));
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}
