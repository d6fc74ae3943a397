//! Which files of a repository are the rows of which split of which config, as Python's `datasets`
//! resolves it: the card first, then `data/<split>-00000-of-00001.*`, then names of splits in
//! folders, then in files, and at last every file is training data.
//!
//! Source: the documentation "Structure your repository" of `datasets`, and its module
//! `data_files` for what that leaves open. It must not know how files come here or are read.

use std::collections::BTreeMap;

use glob::{MatchOptions, Pattern};

use super::card::CardConfig;

/// A config with its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) name: String,
    pub(super) is_default: bool,
    /// Splits in their order, each with the names of its files in theirs.
    pub(super) splits: Vec<(String, Vec<String>)>,
}

/// Kinds of files that can hold rows; those below `READABLE` can be read here.
const KINDS: [&str; 11] =
    ["parquet", "jsonl", "json", "ndjson", "csv", "tsv", "arrow", "txt", "xml", "zip", "tar"];

/// Kinds of files that are read here.
pub(super) const READABLE: [&str; 5] = ["parquet", "jsonl", "json", "ndjson", "csv"];

/// Files that tell about the data and are none.
const NO_DATA: [&str; 6] = [
    "README.md",
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dummy_data.zip",
    "dataset_dict.json",
];

/// Splits with the words that mean them, in the order in which they are looked for.
const WORDS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "dev", "val"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// Where such a word stands in a folder's name, and where in a file's; `~` is what may stand beside
/// it.
const IN_FOLDERS: [&str; 4] = ["**/WORD/**", "**/WORD~*/**", "**/*~WORD/**", "**/*~WORD~*/**"];
const IN_FILES: [&str; 2] = ["**/WORD~*", "**/*~WORD~*"];
const BESIDE: &str = "[-._ 0-9]";

/// The configs of a repository with these files. A split of a card whose patterns match nothing is
/// left out, so that it harms no other.
pub(super) fn configs(names: &[String], card: &[CardConfig]) -> Vec<Config> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    if card.is_empty() {
        let splits = one_kind(by_names(&names, ""));
        let config = Config { name: "default".to_owned(), is_default: true, splits };
        return vec![config].into_iter().filter(|config| !config.splits.is_empty()).collect();
    }
    let is_only = card.len() == 1;
    let config = |config: &CardConfig| {
        let folder = config.folder.as_deref().unwrap_or("");
        let splits = match &config.splits {
            None => by_names(&names, folder),
            Some(splits) => splits
                .iter()
                .map(|(split, patterns)| {
                    (split.clone(), all_matching(&names, folder, patterns.iter().cloned()))
                })
                .collect(),
        };
        let is_default = config.is_default
            || is_only
            || (config.name == "default" && !card.iter().any(|other| other.is_default));
        Config { name: config.name.clone(), is_default, splits: one_kind(splits) }
    };
    card.iter().map(config).collect()
}

/// The configs of the branch with what the Hub converted: `config/split/0000.parquet`. Where it
/// converted only the first gigabytes, the split is called `partial-train` there, and here: nobody
/// shall take it for the whole.
pub(super) fn converted(names: &[String]) -> Vec<Config> {
    let mut found: BTreeMap<&str, Vec<(String, Vec<String>)>> = BTreeMap::new();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    for name in names.into_iter().filter(|name| kind(name) == Some("parquet")) {
        let parts: Vec<&str> = name.split('/').collect();
        let [config, split, _] = parts.as_slice() else { continue };
        let splits = found.entry(config).or_default();
        match splits.iter_mut().find(|(known, _)| known == split) {
            Some((_, files)) => files.push(name.to_owned()),
            None => splits.push(((*split).to_owned(), vec![name.to_owned()])),
        }
    }
    let is_only = found.len() == 1;
    let config = |(name, splits): (&str, _)| Config {
        is_default: is_only || name == "default",
        name: name.to_owned(),
        splits,
    };
    found.into_iter().map(config).collect()
}

/// A file's kind by its name, in small letters, if files of this kind can hold rows.
pub(super) fn kind(name: &str) -> Option<&'static str> {
    let file = file_of(name).to_ascii_lowercase();
    let mut ends = file.split('.').skip(1);
    ends.find_map(|end| KINDS.into_iter().find(|kind| *kind == end))
}

/// Splits by the names of files and folders below `folder`.
fn by_names(names: &[&str], folder: &str) -> Vec<(String, Vec<String>)> {
    let sharded = sharded(&matching(names, folder, "data/*-of-*.*"), folder);
    if !sharded.is_empty() {
        return sharded;
    }
    for places in [&IN_FOLDERS[..], &IN_FILES[..]] {
        let splits = WORDS.map(|(split, words)| {
            let patterns = words.iter().flat_map(|word| {
                places.iter().map(|place| place.replace("WORD", word).replace('~', BESIDE))
            });
            (split.to_owned(), all_matching(names, folder, patterns))
        });
        let found: Vec<_> = splits.into_iter().filter(|(_, files)| !files.is_empty()).collect();
        if !found.is_empty() {
            return found;
        }
    }
    let all = all_matching(names, folder, ["**".to_owned()]);
    if all.is_empty() { Vec::new() } else { vec![("train".to_owned(), all)] }
}

/// Files that match any of the patterns, in the patterns' order, each once.
fn all_matching(
    names: &[&str],
    folder: &str,
    patterns: impl IntoIterator<Item = String>,
) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for pattern in patterns {
        for name in matching(names, folder, &pattern) {
            if !files.iter().any(|known| known == name) {
                files.push(name.to_owned());
            }
        }
    }
    files
}

/// Files that can hold rows and match a pattern that is seen from `folder`; none for a pattern that
/// is none. What is hidden must be named by the pattern as such.
fn matching<'n>(names: &[&'n str], folder: &str, pattern: &str) -> Vec<&'n str> {
    let text = pattern.trim_start_matches("./");
    let text = if folder.is_empty() { text.to_owned() } else { format!("{folder}/{text}") };
    let Ok(pattern) = Pattern::new(&plain_stars(&text)) else { return Vec::new() };
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let n_special = |path: &str| path.split('/').filter(|part| part.starts_with("__")).count();
    let is_meant = |name: &str| {
        let file = file_of(name);
        let is_named = file == file_of(&text);
        kind(name).is_some()
            && (is_named || !NO_DATA.contains(&file))
            && n_special(parent(name)) == n_special(parent(&text))
    };
    let files = names.iter().copied();
    files.filter(|name| pattern.matches_with(name, options) && is_meant(name)).collect()
}

fn file_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Shards by their splits: the known splits first, then by name.
fn sharded(names: &[&str], folder: &str) -> Vec<(String, Vec<String>)> {
    let mut found: BTreeMap<(usize, &str), Vec<String>> = BTreeMap::new();
    for name in names {
        let rest = name.strip_prefix(folder).unwrap_or(name).trim_start_matches('/');
        let Some(split) = shard_of(rest) else { continue };
        let known = WORDS.iter().position(|(known, _)| *known == split);
        found.entry((known.unwrap_or(WORDS.len()), split)).or_default().push((*name).to_owned());
    }
    found.into_iter().map(|((_, split), files)| (split.to_owned(), files)).collect()
}

/// The split of `data/<split>-00000-of-00001*.*`.
fn shard_of(rest: &str) -> Option<&str> {
    let file = rest.strip_prefix("data/").filter(|file| !file.contains('/'))?;
    shard(file).map(|(split, _)| split).filter(|split| is_split(split))
}

/// What a name such as `train-00000-of-00003.parquet` says: what comes before its number, and of
/// how many it is one.
pub(super) fn shard(file: &str) -> Option<(&str, usize)> {
    let is_digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let (at, _) = file.match_indices("-of-").find(|(at, mark)| {
        let end = at + mark.len();
        let before = file.get(at.saturating_sub(6)..*at);
        before.is_some_and(|b| b.starts_with('-') && is_digits(&b[1..]))
            && file.get(end..end + 5).is_some_and(is_digits)
            && file[end + 5..].contains('.')
    })?;
    Some((&file[..at - 6], file[at + 4..at + 9].parse().ok()?))
}

/// Whether a text can name a split: words of letters, digits and `_`, with dots between.
fn is_split(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    text.split('.').all(is_word)
}

/// `**` beside other letters in a part means `*`.
fn plain_stars(pattern: &str) -> String {
    let part = |part: &str| match part {
        "**" => part.to_owned(),
        _ => part.replace("**", "*"),
    };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Leaves the files of the kind that most have: what lies beside them is another matter.
fn one_kind(splits: Vec<(String, Vec<String>)>) -> Vec<(String, Vec<String>)> {
    let family = |name: &str| match kind(name) {
        Some("json" | "jsonl" | "ndjson") => Some("json"),
        Some("csv" | "tsv") => Some("csv"),
        other => other,
    };
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for kind in splits.iter().flat_map(|(_, files)| files).filter_map(|name| family(name)) {
        match counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, n)) => *n += 1,
            None => counts.push((kind, 1)),
        }
    }
    // A draw goes to the kind that is better to read.
    let order = |kind: &str| ["csv", "json", "parquet"].iter().position(|known| *known == kind);
    let best = counts.iter().max_by_key(|(kind, n)| (*n, order(kind))).map(|(kind, _)| *kind);
    splits
        .into_iter()
        .map(|(split, mut files)| {
            files.retain(|name| family(name) == best);
            (split, files)
        })
        .filter(|(_, files)| !files.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn shown(configs: &[Config]) -> String {
        let config = |config: &Config| {
            let splits = config.splits.iter().map(|(s, files)| format!("{s}={}", files.join(",")));
            let star = if config.is_default { "*" } else { "" };
            format!("{}{star}: {}", config.name, splits.collect::<Vec<_>>().join(" "))
        };
        configs.iter().map(config).collect::<Vec<_>>().join("; ")
    }

    fn check(names: &[&str], want: &str) {
        assert_eq!(shown(&configs(&owned(names), &[])), want, "{names:?}");
    }

    #[test]
    fn shards_in_data_name_their_splits() {
        check(
            &[
                "README.md",
                "data/test_prefs-00000-of-00001.parquet",
                "data/train-00001-of-00002-0a1b2c.parquet",
                "data/train-00000-of-00002-9f8e7d.parquet",
            ],
            "default*: train=data/train-00000-of-00002-9f8e7d.parquet,\
             data/train-00001-of-00002-0a1b2c.parquet \
             test_prefs=data/test_prefs-00000-of-00001.parquet",
        );
    }

    #[test]
    fn folders_come_before_files_and_files_before_everything() {
        check(&["a.jsonl", ".git/b.jsonl", "__x/c.jsonl"], "default*: train=a.jsonl");
        check(
            &["my-train_0.csv", "training.csv", "val.csv", "contest.csv"],
            "default*: train=my-train_0.csv,training.csv validation=val.csv",
        );
        check(
            &["data/test/a.json", "data/train-v1/b.json", "data/train-v1/test.json"],
            "default*: train=data/train-v1/b.json,data/train-v1/test.json test=data/test/a.json",
        );
        check(&["README.md", "dataset_infos.json", "script.py"], "");
        check(&["train"], "");
    }

    #[test]
    fn one_kind_is_the_data_and_what_lies_beside_it_is_not() {
        check(&["a.parquet", "b.parquet", "notes.txt"], "default*: train=a.parquet,b.parquet");
        check(&["a.parquet", "a.jsonl"], "default*: train=a.parquet");
        check(&["a.json", "b.jsonl", "c.csv"], "default*: train=a.json,b.jsonl");
    }

    #[test]
    fn a_card_names_configs_with_patterns() {
        let names = owned(&["README.md", "v1/x.jsonl", "v1/y.jsonl", "v2/data/train.csv", "z.txt"]);
        let config = |name: &str, folder: Option<&str>, splits: Option<Vec<(&str, &str)>>| {
            let splits = splits.map(|splits| {
                splits.iter().map(|(s, p)| ((*s).to_owned(), vec![(*p).to_owned()])).collect()
            });
            let (name, folder) = (name.to_owned(), folder.map(str::to_owned));
            CardConfig { name, is_default: false, folder, splits, separator: None }
        };
        let one = config("one", None, Some(vec![("train", "v1/*")]));
        let two = config("two", Some("v2"), None);
        let found = configs(&names, &[one.clone(), two]);
        assert_eq!(shown(&found), "one: train=v1/x.jsonl,v1/y.jsonl; two: train=v2/data/train.csv");
        let found = configs(&names, &[config("default", None, Some(vec![("a", "**/x*")])), one]);
        assert_eq!(shown(&found), "default*: a=v1/x.jsonl; one: train=v1/x.jsonl,v1/y.jsonl");
        let gone = config("x", None, Some(vec![("train", "w/*"), ("test", "z.txt")]));
        assert_eq!(shown(&configs(&names, &[gone])), "x*: test=z.txt");
    }

    #[test]
    fn the_converted_branch_has_a_folder_a_config_and_a_split() {
        let names = owned(&[
            "a/train/0001.parquet",
            "a/train/0000.parquet",
            "a/partial-test/0000.parquet",
            "b/train/0000.parquet",
            ".gitattributes",
        ]);
        assert_eq!(
            shown(&converted(&names)),
            "a: partial-test=a/partial-test/0000.parquet \
             train=a/train/0000.parquet,a/train/0001.parquet; b: train=b/train/0000.parquet"
        );
    }

    /// `layouts.jsonl` is written by Python's `datasets` itself; `layouts.py` beside it says how.
    #[test]
    fn the_splits_are_those_that_datasets_finds() {
        let text = include_str!("../../../tests/hub/layouts.jsonl");
        for line in text.lines() {
            let story: serde_json::Value = serde_json::from_str(line).unwrap();
            let names: Vec<String> = serde_json::from_value(story["names"].clone()).unwrap();
            let card = super::super::card::configs(story["card"].as_str().unwrap()).unwrap();
            let found = configs(&names, &card);
            let Some(want) = story["configs"].as_object() else {
                let has_none = found.iter().any(|config| config.splits.is_empty());
                assert!(found.is_empty() || has_none, "{line}");
                continue;
            };
            let found: serde_json::Map<_, _> = found
                .into_iter()
                .map(|config| (config.name, config.splits.into_iter().collect()))
                .collect();
            let mut want = want.clone();
            for splits in want.values_mut().filter_map(|config| config.as_object_mut()) {
                for files in splits.values_mut().filter_map(|files| files.as_array_mut()) {
                    // A file that two patterns name is there once here, and twice for `datasets`.
                    let all = std::mem::take(files);
                    for file in all {
                        if !files.contains(&file) {
                            files.push(file);
                        }
                    }
                }
                splits.retain(|_, files| files.as_array().is_some_and(|files| !files.is_empty()));
            }
            assert_eq!(found, want, "{line}");
        }
    }
}
