//! The data set's card: a YAML header for the Hub and a page for people.
//!
//! The header's features, sizes and counts come from what was written, never from what was
//! planned, because the Hub's viewer refuses a card whose features differ from the files. It must
//! not know how rows came about; what the page tells of that, the caller says.

use std::fmt::Write as _;

use super::kind::{Fields, Kind};
use super::{Config, Layout, Split, trl};
use crate::data::dropped::Counts;

/// What a card tells beside the files themselves.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Name of the run.
    pub name: String,
    /// The recipe as TOML.
    pub recipe: String,
    /// The models that took part.
    pub models: Vec<CardModel>,
    /// Rows that left the flow, by step and reason.
    pub dropped: Counts,
    /// SPDX-like id of the licence, as the Hub names them; `other` when absent.
    pub license: Option<String>,
    /// Language codes of the texts.
    pub languages: Vec<String>,
}

/// A model on the card.
#[derive(Debug, Clone, Default)]
pub struct CardModel {
    /// Its name in the recipe.
    pub name: String,
    /// Where it came from.
    pub source: String,
    /// The commit of a Hub repository.
    pub revision: Option<String>,
    /// How its weights were held.
    pub quantize: String,
    /// Digest of its files.
    pub digest: String,
}

/// The text of `README.md`.
pub(super) fn card(about: &About, configs: &[Config], layout: Layout) -> String {
    let mut text = String::new();
    header(&mut text, about, configs);
    page(&mut text, about, configs, layout);
    text
}

fn header(text: &mut String, about: &About, configs: &[Config]) {
    let n_rows: u64 = configs.iter().map(Config::n_rows).sum();
    let pairs = configs.iter().any(is_pairs);
    line(text, "---");
    line(text, &format!("license: {}", quoted(about.license.as_deref().unwrap_or("other"))));
    if !about.languages.is_empty() {
        line(text, "language:");
        about.languages.iter().for_each(|language| line(text, &format!("- {}", quoted(language))));
    }
    line(text, &format!("pretty_name: {}", quoted(&about.name)));
    line(text, "size_categories:");
    line(text, &format!("- {}", size_category(n_rows)));
    line(text, "task_categories:");
    line(text, "- text-generation");
    line(text, "tags:");
    let tags: &[&str] = if pairs { &["preference", "dpo", "rlaif"] } else { &[] };
    tags.iter().chain(&["synthetic", "stillroom"]).for_each(|tag| line(text, &format!("- {tag}")));
    if !configs.is_empty() {
        line(text, "configs:");
        for (i, config) in configs.iter().enumerate() {
            line(text, &format!("- config_name: {}", quoted(&config.name)));
            line(text, "  data_files:");
            for Split { name, .. } in &config.splits {
                let path = format!("{}/{name}-*", config.folder);
                line(text, &format!("  - split: {name}"));
                line(text, &format!("    path: {}", quoted(&path)));
            }
            if i == 0 {
                line(text, "  default: true");
            }
        }
        line(text, "dataset_info:");
        configs.iter().for_each(|config| info(text, config));
    }
    line(text, "---");
}

pub(super) fn info(text: &mut String, config: &Config) {
    line(text, &format!("- config_name: {}", quoted(&config.name)));
    line(text, "  features:");
    features(text, &config.fields, 2);
    line(text, "  splits:");
    for Split { name, n_bytes, n_rows, .. } in &config.splits {
        line(text, &format!("  - name: {name}"));
        line(text, &format!("    num_bytes: {n_bytes}"));
        line(text, &format!("    num_examples: {n_rows}"));
    }
    let sum = |bytes: fn(&Split) -> u64| config.splits.iter().map(bytes).sum::<u64>();
    line(text, &format!("  download_size: {}", sum(|split| split.file_bytes)));
    line(text, &format!("  dataset_size: {}", sum(|split| split.n_bytes)));
}

/// One list entry for each column, in the form that every version of `datasets` reads: `struct`
/// for objects, `list` for lists of objects, `sequence` for lists of anything else.
fn features(text: &mut String, fields: &Fields, indent: usize) {
    let pad = " ".repeat(indent);
    for (name, kind) in &fields.0 {
        line(text, &format!("{pad}- name: {}", quoted(name)));
        feature(text, kind, indent + 2);
    }
}

fn feature(text: &mut String, kind: &Kind, indent: usize) {
    let pad = " ".repeat(indent);
    match kind {
        Kind::List(inner) => match inner.as_ref() {
            Kind::Struct(fields) => {
                line(text, &format!("{pad}list:"));
                features(text, fields, indent);
            }
            Kind::List(_) => {
                line(text, &format!("{pad}sequence:"));
                feature(text, inner, indent + 2);
            }
            Kind::Null | Kind::Bool | Kind::Int | Kind::Float | Kind::Text | Kind::Mixed => {
                line(text, &format!("{pad}sequence: {}", dtype(inner)));
            }
        },
        Kind::Struct(fields) => {
            line(text, &format!("{pad}struct:"));
            features(text, fields, indent);
        }
        Kind::Null | Kind::Bool | Kind::Int | Kind::Float | Kind::Text | Kind::Mixed => {
            line(text, &format!("{pad}dtype: {}", dtype(kind)));
        }
    }
}

fn dtype(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Int => "int64",
        Kind::Float => "float64",
        Kind::Text | Kind::Mixed => "string",
        Kind::Null | Kind::List(_) | Kind::Struct(_) => unreachable!("not a settled scalar"),
    }
}

fn page(text: &mut String, about: &About, configs: &[Config], layout: Layout) {
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "\n# {}\n", about.name.replace('\n', " "));
    let _ = writeln!(
        text,
        "Made with stillroom {version}: local models answered, a local model judged.\n"
    );
    rows(text, configs, layout);
    models(text, &about.models);
    dropped(text, &about.dropped);
    line(text, "## Recipe\n");
    let fence = fence(&about.recipe);
    let _ = writeln!(text, "{fence}toml\n{}\n{fence}\n", about.recipe.trim_end());
    line(text, "## Licence\n");
    line(
        text,
        "The prompts and the models bring terms of their own, and some models' terms reach what \
         they write. Check both before you publish, and set `license` accordingly.",
    );
}

fn rows(text: &mut String, configs: &[Config], layout: Layout) {
    if configs.is_empty() {
        line(text, "No row reached the end of the flow.\n");
        return;
    }
    let splits = || configs.iter().flat_map(|c| c.splits.iter().map(move |split| (c, split)));
    line(text, "| config | split | rows | files | bytes |\n|---|---|---:|---:|---:|");
    for (Config { name, .. }, split) in splits() {
        let Split { name: split, n_rows, n_shards, file_bytes, .. } = split;
        let _ = writeln!(text, "| {name} | {split} | {n_rows} | {n_shards} | {file_bytes} |");
    }
    line(text, "\n```python\nfrom datasets import load_dataset\n");
    line(text, "# A local folder, or the repository's name once it is pushed.");
    for (Config { name, .. }, Split { name: split, .. }) in splits() {
        let config = if configs.len() == 1 { String::new() } else { format!(", {name:?}") };
        let _ = writeln!(
            text,
            "{split} = load_dataset(\"path/to/this/folder\"{config}, split=\"{split}\")"
        );
    }
    line(text, "```\n");
    if let Some(words) = layout.words().filter(|_| configs.iter().any(is_pairs)) {
        let _ = writeln!(text, "{words}\n");
    }
}

fn models(text: &mut String, models: &[CardModel]) {
    if models.is_empty() {
        return;
    }
    line(
        text,
        "## Models\n\n| name | source | revision | weights | digest |\n|---|---|---|---|---|",
    );
    for CardModel { name, source, revision, quantize, digest } in models {
        let revision = revision.as_deref().unwrap_or("");
        let cells = [name, source, revision, quantize, digest].map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    line(text, "");
}

fn dropped(text: &mut String, counts: &Counts) {
    line(text, "## Rows left out\n");
    if counts.is_empty() {
        line(text, "None.\n");
        return;
    }
    line(text, "| step | reason | rows |\n|---|---|---:|");
    for ((step, reason), n_rows) in counts {
        let reason = reason.replace('|', "\\|").replace('\n', " ");
        let _ = writeln!(text, "| {step} | {reason} | {n_rows} |");
    }
    line(text, "");
}

fn is_pairs(config: &Config) -> bool {
    let names: Vec<_> = config.fields.0.iter().map(|(name, _)| name.as_str()).collect();
    trl::is_preference(&names)
}

/// The Hub's bucket for a number of rows.
fn size_category(n_rows: u64) -> &'static str {
    match n_rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        _ => "10M<n<100M",
    }
}

/// A YAML scalar: plain where nothing can be misread, else in double quotes, whose escapes are
/// JSON's.
fn quoted(text: &str) -> String {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(is_word)
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// Words that YAML 1.1 takes for something else.
const RESERVED: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// A fence longer than any in `text`.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
