//! The house rules that the compiler does not hold: floors, file length, module docs, words.
//!
//! Rules live in tests, not in memory. A number that stands here is a ratchet: it may go down.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines, tests included.
const N_LINES_MAX: usize = 500;

/// Fewest and most lines of a file's opening doc.
const N_DOC_LINES: std::ops::RangeInclusive<usize> = 1..=40;

/// The rooms of `src`, each with the rooms that it may import: those below it, none beside it.
const FLOORS: &[(&str, &[&str])] = &[
    ("data", &[]),
    ("text", &[]),
    ("engine", &[]),
    ("web", &[]),
    ("hub", &["web"]),
    ("argilla", &["web"]),
    ("llm", &["engine", "text", "data", "hub", "web"]),
    ("recipe", &["engine", "text", "data", "hub", "argilla", "web"]),
    ("pipeline", &["llm", "recipe", "engine", "text", "data", "hub", "argilla", "web"]),
    ("cli", &["pipeline", "llm", "recipe", "engine", "text", "data", "hub", "argilla"]),
];

/// Folders where `unsafe` may stand: SIMD and device code, and the map of a weight file.
const UNSAFE_PLACES: &[&str] = &["kernels/", "models/files"];

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The file without comments, so that a doc link is no import and a word no breach.
    fn code(&self) -> String {
        let lines = self.text.lines().map(|line| line.split("//").next().unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// All Rust files of the house, with paths relative to its root.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    let folders = ["kernels", "models", "src", "tests", "benches", "examples"];
    for folder in folders.map(|name| root.join(name)).iter().filter(|folder| folder.is_dir()) {
        collect(folder, &mut paths);
    }
    paths.sort();
    assert!(paths.len() > 20, "found only {} files", paths.len());
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a source file is text"),
        path: path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned(),
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the house") {
        let path = entry.expect("an entry of that folder").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// First segments after each `crate::`, one for a path, several for a brace group.
fn imports(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => names.push(leading_name(rest)),
            Some(group) => names.extend(group_names(group)),
        }
    }
    names
}

fn leading_name(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Names at the first level of a group whose opening brace has been read.
fn group_names(group: &str) -> Vec<&str> {
    let mut names = vec![leading_name(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(leading_name(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn expect_none(what: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{what}:\n  {}", breaches.join("\n  "));
}

#[test]
fn imports_go_down_only() {
    let mut breaches = Vec::new();
    for source in sources() {
        let Some(below_src) = source.path.strip_prefix("src/") else { continue };
        let room = below_src.split(['/', '.']).next().unwrap_or_default();
        let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == room) else { continue };
        for name in imports(&source.code()) {
            let is_room = FLOORS.iter().any(|(other, _)| *other == name);
            if is_room && name != room && !below.contains(&name) {
                breaches.push(format!("{} imports {name}", source.path));
            }
        }
    }
    expect_none("rooms that look up or sideways", &breaches);
}

#[test]
fn every_room_stands_on_a_floor() {
    let rooms: Vec<_> = sources()
        .iter()
        .filter_map(|source| source.path.strip_prefix("src/"))
        .map(|path| path.split(['/', '.']).next().unwrap_or_default().to_owned())
        .filter(|room| !["lib", "main", "error"].contains(&room.as_str()))
        .collect();
    for room in &rooms {
        assert!(FLOORS.iter().any(|(name, _)| name == room), "src/{room} is on no floor");
    }
    for (name, _) in FLOORS {
        assert!(rooms.iter().any(|room| room == name), "floor of no room: {name}");
    }
}

#[test]
fn a_planted_breach_is_seen() {
    assert_eq!(imports("use crate::engine::request::Choice;"), ["engine"]);
    assert_eq!(imports("use crate::{cli::{a, b}, data};"), ["cli", "data"]);
    assert_eq!(imports("let x = crate::pipeline::run();"), ["pipeline"]);
}

#[test]
fn a_file_is_one_idea() {
    let too_long = |source: &Source| {
        let n_lines = source.text.lines().count();
        (n_lines > N_LINES_MAX).then(|| format!("{}: {n_lines} lines", source.path))
    };
    expect_none(
        "which second idea moved in?",
        &sources().iter().filter_map(too_long).collect::<Vec<_>>(),
    );
}

#[test]
fn a_function_is_one_screen() {
    let clippy = include_str!("../clippy.toml");
    assert!(clippy.contains("too-many-lines-threshold = 70"), "clippy holds the length");
    let waived = |source: &Source| {
        let waives = ["too_many_lines", "too_many_arguments"];
        let waived = waives.iter().find(|lint| source.code().contains(&format!("clippy::{lint}")));
        waived.map(|lint| format!("{} waives {lint}", source.path))
    };
    expect_none("no function is exempt", &sources().iter().filter_map(waived).collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is() {
    let mute = |source: &Source| {
        let n_lines = source.text.lines().take_while(|line| line.starts_with("//!")).count();
        (!N_DOC_LINES.contains(&n_lines)).then(|| format!("{}: {n_lines} lines", source.path))
    };
    expect_none("opening docs", &sources().iter().filter_map(mute).collect::<Vec<_>>());
}

#[test]
fn unsafe_stands_where_it_may() {
    let strays = |source: &Source| {
        let allowed = UNSAFE_PLACES.iter().any(|place| source.path.starts_with(place));
        let has_unsafe = source.code().split_whitespace().any(|word| word == "unsafe");
        (has_unsafe && !allowed).then(|| source.path.clone())
    };
    expect_none(
        "unsafe outside its places",
        &sources().iter().filter_map(strays).collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_unfinished() {
    // Written in halves, so that this file does not find itself.
    let words = [["todo", "!("], ["unimplemented", "!("], ["FIX", "ME"], ["#[ign", "ore"]];
    let unfinished = |source: &Source| {
        let found = words.iter().map(|halves| halves.concat()).find(|w| source.text.contains(w));
        found.map(|word| format!("{}: {word}", source.path))
    };
    expect_none("unfinished places", &sources().iter().filter_map(unfinished).collect::<Vec<_>>());
}

#[test]
fn devices_are_chosen_in_few_places() {
    let strays = |source: &Source| {
        let allowed = source.path.starts_with("kernels/")
            || source.path == "models/device.rs"
            || source.path == "tests/house.rs";
        let names_one = ["\"cuda\"", "\"metal\""]
            .iter()
            .any(|device| source.code().contains(&format!("feature = {device}")));
        (names_one && !allowed).then(|| source.path.clone())
    };
    expect_none(
        "cfg(feature) for a device",
        &sources().iter().filter_map(strays).collect::<Vec<_>>(),
    );
}

/// Crates below the root and the root without its `hub` feature hold no road to the network.
#[test]
fn only_the_hub_feature_reaches_the_network() {
    let clients = ["ureq", "reqwest", "hyper", "native-tls", "openssl", "hf-hub"];
    for package in [["-p", "stillroom-models"], ["-p", "stillroom"]] {
        let output = std::process::Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--no-default-features",
                "-e",
                "normal",
                "--prefix",
                "none",
            ])
            .args(package)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = clients
            .iter()
            .find(|client| tree.lines().any(|line| line.split(' ').next() == Some(**client)));
        assert_eq!(found, None, "{package:?} can reach the network");
    }
}
