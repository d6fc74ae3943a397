//! Fetching from a Hub on the loopback device.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::loopback::{COMMIT, Loopback, Trick, etag};
use super::*;
use crate::Error;

const SHARD: &str = "model-00001-of-00002.safetensors";

/// Bytes that differ from place to place.
fn bytes(n: usize, seed: usize) -> Vec<u8> {
    (0..n).map(|i| ((i * 31 + seed) ^ (i >> 8)) as u8).collect()
}

fn sharded() -> Vec<(&'static str, Vec<u8>)> {
    let index = format!(r#"{{"weight_map": {{"a": "{SHARD}", "b": "x/2.safetensors"}}}}"#);
    vec![
        ("README.md", b"no".to_vec()),
        ("config.json", b"{}".to_vec()),
        ("tokenizer.json", bytes(5000, 1)),
        ("chat_template.jinja", b"{{ messages }}".to_vec()),
        ("model.safetensors.index.json", index.into_bytes()),
        (SHARD, bytes(300_000, 2)),
        ("x/2.safetensors", bytes(2000, 3)),
        ("pytorch_model.bin", bytes(9000, 4)),
    ]
}

struct Fetcher {
    hub: Loopback,
    options: HubOptions,
    cache: tempfile::TempDir,
}

impl Fetcher {
    fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let hub = Loopback::new(files);
        let cache = tempfile::tempdir().unwrap();
        let options = hub.options(cache.path());
        Self { hub, options, cache }
    }

    fn fetch(&self) -> Result<Checkpoint> {
        fetch("org/name", "main", &self.options, &mut |_| {})
    }

    fn repo(&self) -> std::path::PathBuf {
        self.cache.path().join("models--org--name")
    }

    fn error(&self) -> Error {
        self.fetch().unwrap_err()
    }
}

/// The names below a folder, with `/` between folders.
fn tree(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).unwrap();
                names.push(below.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    names.sort();
    names
}

fn check(checkpoint: &Checkpoint, files: &[(&str, Vec<u8>)]) {
    for name in tree(&checkpoint.folder) {
        let (_, want) = files.iter().find(|(file, _)| *file == name).unwrap();
        assert!(fs::read(checkpoint.folder.join(&name)).unwrap() == *want, "{name}");
    }
}

#[test]
fn the_needed_files_come_into_the_standard_layout() {
    let files = sharded();
    let fetcher = Fetcher::new(&files);
    let mut seen = Vec::new();
    let checkpoint = fetch("org/name", "main", &fetcher.options, &mut |progress| {
        if progress.n_done == progress.n_total {
            seen.push(progress.file.to_owned());
        }
    })
    .unwrap();
    let repo = fetcher.repo();
    assert_eq!(checkpoint.commit, COMMIT);
    assert_eq!(checkpoint.folder, repo.join("snapshots").join(COMMIT));
    let mut wanted = vec![
        "chat_template.jinja",
        "config.json",
        SHARD,
        "model.safetensors.index.json",
        "tokenizer.json",
        "x/2.safetensors",
    ];
    assert_eq!(tree(&checkpoint.folder), wanted);
    check(&checkpoint, &files);
    seen.sort();
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    let mut blobs: Vec<_> =
        files.iter().filter(|(name, _)| wanted.contains(name)).map(|(_, b)| etag(b)).collect();
    blobs.sort();
    assert_eq!(tree(&repo.join("blobs")), blobs);
    #[cfg(unix)]
    {
        let link = fs::read_link(checkpoint.folder.join("x/2.safetensors")).unwrap();
        assert_eq!(link, Path::new("../../../blobs").join(etag(&files[6].1)));
    }

    let n_asked = fetcher.hub.asked().len();
    assert_eq!(fetcher.fetch().unwrap(), checkpoint);
    assert_eq!(fetcher.hub.asked().len(), n_asked + 1, "only the list of files is asked for again");
    let pinned = fetch("org/name", COMMIT, &fetcher.options, &mut |_| {}).unwrap();
    assert_eq!(pinned, checkpoint);
    assert_eq!(fetcher.hub.asked().len(), n_asked + 1, "a commit never changes");
}

/// A safetensors file with one tensor of zeros.
fn weights(n: usize) -> Vec<u8> {
    let header =
        format!(r#"{{"a": {{"dtype": "F32", "shape": [{n}], "data_offsets": [0, {}]}}}}"#, 4 * n);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(std::iter::repeat_n(0, 4 * n));
    bytes
}

#[test]
fn an_outline_has_headers_and_lengths_and_leaves_the_cache_without_weights() {
    let mut files = sharded();
    files[5].1 = weights(500_000);
    files[6].1 = weights(700_000);
    let fetcher = Fetcher::new(&files);
    let outlines = tempfile::tempdir().unwrap();
    let outline = || outline("org/name", "main", &fetcher.options, outlines.path(), &mut |_| {});
    fetcher.hub.play(SHARD, &[Trick::Cut(20)]);
    let found = outline().unwrap();
    assert_eq!(found.commit, COMMIT);
    assert!(found.folder.starts_with(outlines.path()));
    check(&found, &files);
    let cached = fetcher.repo().join("snapshots").join(COMMIT);
    assert!(!cached.join(SHARD).exists() && cached.join("config.json").exists());

    fetcher.fetch().unwrap();
    assert_eq!(outline().unwrap().folder, cached, "what is there in whole is better");
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let files = sharded();
    let fetcher = Fetcher::new(&files);
    // More cuts than attempts: each of them has brought something.
    let cuts = [10_000, 1, 100_000, 50_000].map(Trick::Cut);
    fetcher.hub.play(SHARD, &cuts);
    check(&fetcher.fetch().unwrap(), &files);
    assert_eq!(fetcher.hub.n_served(SHARD), 300_000, "no byte is served twice");
    let starts: Vec<_> = fetcher
        .hub
        .asked()
        .into_iter()
        .filter_map(|asked| {
            (asked.n_served > 0 && asked.line.ends_with(SHARD)).then_some(asked.start)
        })
        .collect();
    assert_eq!(starts, [None, Some(10_000), Some(10_001), Some(110_001), Some(160_001)]);
}

#[test]
fn a_killed_run_goes_on_where_it_stopped() {
    let files = sharded();
    let mut fetcher = Fetcher::new(&files);
    fetcher.options.patience.n_attempts = 1;
    fetcher.hub.play(SHARD, &[Trick::Cut(123_456)]);
    let error = fetcher.error();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains(SHARD), "{error}");
    assert!(error.hint().unwrap().contains("goes on where it stopped"));
    check(&fetcher.fetch().unwrap(), &files);
    assert_eq!(fetcher.hub.n_served(SHARD), 300_000);
    assert_eq!(fetcher.hub.n_served("tokenizer.json"), 5000, "what was whole is not asked for");
}

#[test]
fn a_silent_server_is_left_and_asked_again() {
    let files = sharded();
    let mut fetcher = Fetcher::new(&files);
    fetcher.options.patience.silence = Duration::from_millis(300);
    fetcher.hub.play(SHARD, &[Trick::Stall(70_000)]);
    check(&fetcher.fetch().unwrap(), &files);
    assert_eq!(fetcher.hub.n_served(SHARD), 300_000);
}

#[test]
fn a_server_without_ranges_begins_anew() {
    let files = sharded();
    let fetcher = Fetcher::new(&files);
    fetcher.hub.play(SHARD, &[Trick::Cut(10_000), Trick::Whole]);
    check(&fetcher.fetch().unwrap(), &files);
    assert_eq!(fetcher.hub.n_served(SHARD), 310_000);
}

#[test]
fn wrong_bytes_are_noticed_and_brought_once_more() {
    let files = sharded();
    let fetcher = Fetcher::new(&files);
    fetcher.hub.play(SHARD, &[Trick::Lie]);
    check(&fetcher.fetch().unwrap(), &files);

    let fetcher = Fetcher::new(&files);
    fetcher.hub.play(SHARD, &[Trick::Lie, Trick::Lie]);
    let error = fetcher.error();
    assert_eq!(error.exit_code(), 4);
    let want = format!("{SHARD} came with the digest ");
    assert!(error.to_string().starts_with(&want), "{error}");
    let blobs = tree(&fetcher.repo().join("blobs"));
    assert!(!blobs.iter().any(|blob| blob.starts_with(&etag(&files[5].1))), "{blobs:?}");
}

#[test]
fn a_wrong_size_is_noticed() {
    let files = sharded();
    let fetcher = Fetcher::new(&files);
    fetcher.hub.play(SHARD, &[Trick::TooMuch]);
    fetcher.hub.play("config.json", &[Trick::TooMuch, Trick::Cut(1)]);
    check(&fetcher.fetch().unwrap(), &files);
    let partial = fetcher.repo().join("blobs").join(format!("{}.incomplete", etag(&files[5].1)));
    assert!(!partial.exists());

    let fetcher = Fetcher::new(&files);
    fs::create_dir_all(partial_folder(&fetcher)).unwrap();
    let partial = partial_folder(&fetcher).join(format!("{}.incomplete", etag(&files[5].1)));
    fs::write(partial, bytes(400_000, 9)).unwrap();
    check(&fetcher.fetch().unwrap(), &files);
}

fn partial_folder(fetcher: &Fetcher) -> std::path::PathBuf {
    fetcher.repo().join("blobs")
}

#[test]
fn a_passing_failure_is_passed_over_and_a_lasting_one_told() {
    let files = sharded();
    let fetcher = Fetcher::new(&files);
    fetcher.hub.play(SHARD, &[Trick::Status(503), Trick::Status(429)]);
    check(&fetcher.fetch().unwrap(), &files);

    let fetcher = Fetcher::new(&files);
    fetcher.hub.play(SHARD, &[Trick::Status(503); 9]);
    let error = fetcher.error();
    assert!(error.to_string().contains("status 503"), "{error}");
    assert_eq!(error.exit_code(), 4);
}

#[test]
fn refusals_say_what_to_do() {
    let mut fetcher = Fetcher::new(&sharded());
    let check = |fetcher: &Fetcher, status: u16, hint: &str| {
        fetcher.hub.refuse(status);
        let error = fetcher.error();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
    };
    check(&fetcher, 401, "the token is not valid");
    check(&fetcher, 403, "accept its terms at");
    check(&fetcher, 404, "check the name and the revision");
    fetcher.options.token = None;
    check(&fetcher, 401, "set HF_TOKEN");
    assert_eq!(fetcher.hub.asked().len(), 4, "what is refused is not asked for again");
}

#[test]
fn the_token_stays_with_the_hub() {
    let fetcher = Fetcher::new(&sharded());
    fetcher.fetch().unwrap();
    let asked = fetcher.hub.asked();
    let (cdn, hub): (Vec<_>, Vec<_>) =
        asked.iter().partition(|asked| asked.line.contains(" /cdn/"));
    assert!(!cdn.is_empty() && cdn.iter().all(|asked| !asked.has_token));
    assert!(hub.iter().all(|asked| asked.has_token));
}

#[test]
fn a_repository_that_moved_is_followed() {
    let files = sharded();
    let fetcher = Fetcher::new(&files);
    let checkpoint = fetch("old/name", "main", &fetcher.options, &mut |_| {}).unwrap();
    check(&checkpoint, &files);
    assert!(checkpoint.folder.starts_with(fetcher.cache.path().join("models--old--name")));
}

#[test]
fn offline_opens_no_socket_and_names_what_is_missing() {
    let files = sharded();
    let mut fetcher = Fetcher::new(&files);
    let online = fetcher.fetch().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    fetcher.options.endpoint = format!("http://{}", listener.local_addr().unwrap());
    fetcher.options.offline = true;
    assert_eq!(fetcher.fetch().unwrap(), online);

    fs::remove_file(online.folder.join(SHARD)).unwrap();
    fs::remove_file(online.folder.join("tokenizer.json")).unwrap();
    let error = fetcher.error();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().ends_with(&format!("org/name: tokenizer.json, {SHARD}")), "{error}");
    let error = fetch("org/other", "main", &fetcher.options, &mut |_| {}).unwrap_err();
    assert!(error.to_string().ends_with("org/other: the revision `main`"), "{error}");
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn an_unreachable_hub_is_told() {
    let mut fetcher = Fetcher::new(&sharded());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    fetcher.options.endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = fetcher.error();
    assert_eq!(error.exit_code(), 4);
    assert!(error.hint().unwrap().contains("--offline"));
}

#[test]
fn repositories_that_cannot_be_used_say_why() {
    let tell = |files: &[(&str, &str)]| {
        let files: Vec<_> =
            files.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
        Fetcher::new(&files).error().to_string()
    };
    let (config, tokenizer) = (("config.json", "{}"), ("tokenizer.json", "{}"));
    let bin = tell(&[config, tokenizer, ("pytorch_model.bin", "x")]);
    assert!(bin.contains("pickled .bin files only"), "{bin}");
    let gguf = tell(&[config, tokenizer, ("m.gguf", "x")]);
    assert!(gguf.contains(".gguf files only"), "{gguf}");
    let bare = tell(&[("model.safetensors", "x"), tokenizer]);
    assert!(bare.contains("has no config.json"), "{bare}");
    let index = r#"{"weight_map": {"a": "gone.safetensors"}}"#;
    let gone = tell(&[config, tokenizer, ("model.safetensors.index.json", index)]);
    assert!(gone.contains("names gone.safetensors, which is not there"), "{gone}");
}

#[test]
fn names_that_cannot_be_are_refused_before_anything_is_asked() {
    let fetcher = Fetcher::new(&sharded());
    for (repo, revision) in [
        ("", "main"),
        ("../x", "main"),
        ("a/b/c", "main"),
        ("a b", "main"),
        ("org/name", "../../x"),
        ("org/name", ""),
        ("org/name?x", "main"),
    ] {
        let error = fetch(repo, revision, &fetcher.options, &mut |_| {}).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{repo} {revision}");
    }
    assert!(fetcher.hub.asked().is_empty());
}

#[test]
fn a_small_file_is_held_against_gits_digest() {
    let files = sharded();
    let fetcher = Fetcher::new(&files);
    fetcher.hub.play("config.json", &[Trick::Lie]);
    check(&fetcher.fetch().unwrap(), &files);
    let fetcher = Fetcher::new(&files);
    fetcher.hub.play("config.json", &[Trick::Lie, Trick::Lie]);
    let error = fetcher.error();
    assert!(error.to_string().contains("config.json came with the digest"), "{error}");
    assert!(!tree(&fetcher.repo()).contains(&format!("blobs/{}", etag(&files[1].1))));
}

#[test]
fn a_server_that_always_begins_anew_is_given_up() {
    let fetcher = Fetcher::new(&sharded());
    let cuts = [50_000, 80_000, 50_000, 70_000, 60_000, 50_000, 75_000];
    fetcher.hub.play(SHARD, &cuts.map(Trick::WholeCut));
    let error = fetcher.error();
    assert!(error.to_string().contains("cannot fetch"), "{error}");
}
