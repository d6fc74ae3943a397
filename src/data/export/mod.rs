//! Preference pairs in the files that a trainer reads.
//!
//! Every format starts from the explicit layout of `data::dataset`: TRL's own three and distilabel's
//! are data sets in Parquet with a card, written there; the others are a JSON object a line, and
//! each has a file here with its contract, its row and the lines of configuration that make its
//! trainer read it. A folder is written beside its place and put there whole, and a folder that holds
//! anything but an export is left alone. It must not know runs.

mod axolotl;
mod hub;
mod llama_factory;
mod nemo_rl;
mod openrlhf;
mod pair;
mod plain;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::data::dataset::{self, About, IsTest, Layout, Leaf, RowStream, trl};
use crate::data::disk::{FreshFolder, write_atomic};
use crate::data::row::Columns;
use crate::{Error, Result};
use pair::Pair;

/// The file that makes a folder known as an export. Its name keeps it out of `load_dataset`.
const MARK: &str = ".stillroom-export.json";

/// What a trainer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TRL's DPO, CPO and ORPO trainers.
    Trl,
    /// TRL's reward trainer.
    TrlImplicit,
    /// TRL's KTO and BCO trainers.
    TrlKto,
    /// Axolotl's `chat_template.default`.
    Axolotl,
    /// LLaMA-Factory's sharegpt ranking.
    LlamaFactory,
    /// NeMo-RL's `PreferenceDataset`.
    NemoRl,
    /// OpenRLHF's reward data set with a prompt key.
    OpenRlhf,
    /// The columns of distilabel's `FormatTextGenerationDPO`.
    Distilabel,
    /// Plain texts.
    Jsonl,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Rows of the files; KTO has up to two for a pair.
    pub n_rows: u64,
    /// Those of them that are kept for testing, in files of their own.
    pub n_test: u64,
    /// Pairs that the format cannot hold, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
}

/// Where an export lies, as its trainer is told.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The folder, absolute.
    pub folder: &'a str,
    /// A name for the data, of letters, digits, `_` and `-`.
    pub name: &'a str,
    /// Whether there are rows for testing.
    pub has_test: bool,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 9] = [
        Self::Trl,
        Self::TrlImplicit,
        Self::TrlKto,
        Self::Axolotl,
        Self::LlamaFactory,
        Self::NemoRl,
        Self::OpenRlhf,
        Self::Distilabel,
        Self::Jsonl,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trl => "trl",
            Self::TrlImplicit => "trl-implicit",
            Self::TrlKto => "trl-kto",
            Self::Axolotl => "axolotl",
            Self::LlamaFactory => "llama-factory",
            Self::NemoRl => "nemo-rl",
            Self::OpenRlhf => "openrlhf",
            Self::Distilabel => "distilabel",
            Self::Jsonl => "jsonl",
        }
    }

    /// The lines that make the trainer read the export.
    pub fn snippet(self, place: Place<'_>) -> String {
        match self {
            Self::Trl => hub::dpo(place),
            Self::TrlImplicit => hub::reward(place),
            Self::TrlKto => hub::kto(place),
            Self::Axolotl => axolotl::snippet(place),
            Self::LlamaFactory => llama_factory::snippet(place),
            Self::NemoRl => nemo_rl::snippet(place),
            Self::OpenRlhf => openrlhf::snippet(place),
            Self::Distilabel => hub::rows(place),
            Self::Jsonl => plain::snippet(place),
        }
    }

    fn files(self) -> Files {
        match self {
            Self::Trl => Files::Parquet(Layout::Trl),
            Self::TrlImplicit => Files::Parquet(Layout::TrlImplicit),
            Self::TrlKto => Files::Parquet(Layout::TrlKto),
            Self::Distilabel => Files::Parquet(Layout::Distilabel),
            Self::Axolotl => Files::Lines(axolotl::row),
            Self::LlamaFactory => Files::Lines(llama_factory::row),
            Self::NemoRl => Files::Lines(nemo_rl::row),
            Self::OpenRlhf => Files::Lines(openrlhf::row),
            Self::Jsonl => Files::Lines(plain::row),
        }
    }
}

/// How a format is stored.
enum Files {
    /// A data set with a card.
    Parquet(Layout),
    /// An object a line: what becomes of a pair, or why nothing does.
    Lines(fn(Pair) -> Result<Value, &'static str>),
}

/// Writes the pairs of `leaf` to `folder`, in place of an older export; those for which `is_test`
/// holds go to a test split.
///
/// # Errors
/// [`Error::Usage`] when the folder holds anything else or no pair can be written,
/// [`Error::Environment`] when the disk refuses; the folder is then as it was.
pub fn write(
    folder: &Path,
    format: Format,
    leaf: &Leaf<'_>,
    name: &str,
    about: &About,
    is_test: Option<IsTest<'_>>,
) -> Result<Written> {
    expect_ours(folder)?;
    let fresh = FreshFolder::begin(folder)?;
    let left_out = RefCell::new(BTreeMap::new());
    let [n_train, n_test] = match format.files() {
        Files::Parquet(layout) => {
            let rows = || pairs_only((leaf.rows)()?, &left_out);
            let leaf = Leaf { name: leaf.name.clone(), rows: &rows };
            let configs = dataset::fill(fresh.path(), &[leaf], layout, about, is_test)?;
            let splits = || configs.iter().flat_map(|config| &config.splits);
            ["train", "test"].map(|name| {
                splits().filter(|split| split.name == name).map(|split| split.n_rows).sum()
            })
        }
        Files::Lines(row) => {
            let mut lines = TwoFiles::create(fresh.path())?;
            lines.fill((leaf.rows)()?, row, is_test, &left_out)?;
            lines.finish()?
        }
    };
    let n_rows = n_train + n_test;
    let left_out = left_out.into_inner();
    if n_rows == 0 {
        fresh.discard()?;
        return Err(nothing(format, leaf, &left_out));
    }
    if format == Format::LlamaFactory {
        let info = llama_factory::dataset_info(name, n_test > 0);
        write_atomic(&fresh.path().join("dataset_info.json"), info.as_bytes())?;
    }
    let mark = json!({"made_by": "stillroom", "format": format.name(), "leaf": leaf.name});
    write_atomic(&fresh.path().join(MARK), mark.to_string().as_bytes())?;
    fresh.put()?;
    Ok(Written { n_rows, n_test, left_out })
}

/// The rows that are pairs; how many are none is counted anew each time.
fn pairs_only<'a>(
    rows: RowStream<'a>,
    left_out: &'a RefCell<BTreeMap<&'static str, u64>>,
) -> Result<RowStream<'a>> {
    left_out.borrow_mut().clear();
    Ok(Box::new(rows.filter(move |row| {
        let is_pair = row.as_ref().map_or(true, |row| trl::is_explicit(&trl::layout(row.clone())));
        if !is_pair {
            *left_out.borrow_mut().entry(pair::NO_PAIR).or_insert(0) += 1;
        }
        is_pair
    })))
}

/// `train.jsonl` and, where there are rows for it, `test.jsonl`.
struct TwoFiles {
    /// `[train, test]` where they are, the files, and their lines.
    files: [(PathBuf, BufWriter<File>, u64); 2],
}

impl TwoFiles {
    fn create(folder: &Path) -> Result<Self> {
        let create = |name| -> Result<_> {
            let path = folder.join(name);
            let file = File::create(&path).map_err(|e| Error::disk("write", &path, e))?;
            Ok((path, BufWriter::new(file), 0))
        };
        Ok(Self { files: [create("train.jsonl")?, create("test.jsonl")?] })
    }

    /// Writes a line for each pair.
    fn fill(
        &mut self,
        rows: RowStream<'_>,
        line_of: fn(Pair) -> Result<Value, &'static str>,
        is_test: Option<IsTest<'_>>,
        left_out: &RefCell<BTreeMap<&'static str, u64>>,
    ) -> Result<()> {
        for row in rows {
            let row = row?;
            let is_test = is_test.is_some_and(|is_test| is_test(&row));
            match Pair::of(row).and_then(line_of) {
                Ok(line) => {
                    let (path, file, n_lines) = &mut self.files[usize::from(is_test)];
                    writeln!(file, "{line}").map_err(|e| Error::disk("write", path, e))?;
                    *n_lines += 1;
                }
                Err(reason) => *left_out.borrow_mut().entry(reason).or_insert(0) += 1,
            }
        }
        Ok(())
    }

    /// Puts both on the disk and returns their numbers of lines; a test file without lines goes.
    fn finish(self) -> Result<[u64; 2]> {
        let [train, test] = self.files;
        let mut n_lines = [0; 2];
        for (n_lines, (path, file, n)) in n_lines.iter_mut().zip([train, test]) {
            let fail = |e| Error::disk("write", &path, e);
            let file = file.into_inner().map_err(|e| fail(e.into_error()))?;
            file.sync_all().map_err(fail)?;
            if n == 0 && path.ends_with("test.jsonl") {
                fs::remove_file(&path).map_err(fail)?;
            }
            *n_lines = n;
        }
        Ok(n_lines)
    }
}

fn nothing(format: Format, leaf: &Leaf<'_>, left_out: &BTreeMap<&'static str, u64>) -> Error {
    let reasons: Vec<_> =
        left_out.iter().map(|(reason, n)| format!("{n} because {reason}")).collect();
    let reasons = if reasons.is_empty() { "it has no row".to_owned() } else { reasons.join(", ") };
    Error::Usage {
        what: format!("`{}` holds no pair that {} could read: {reasons}", leaf.name, format.name()),
        hint: "let the flow end in FormatTextGenerationDPO; why rows left it is in dropped.jsonl"
            .to_owned(),
    }
}

/// An export replaces the folder: in somebody else's that would be theft.
fn expect_ours(folder: &Path) -> Result<()> {
    let is_ours = folder.join(MARK).exists();
    let is_free = match folder.read_dir() {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    };
    if is_ours || is_free {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("{} is there and is no export of stillroom", folder.display()),
        hint: "choose a new or an empty folder with --out".to_owned(),
    })
}

/// `text` as JSON, which Python and YAML read as the same text.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The text of a turn.
fn content(turn: &Value) -> &str {
    turn["content"].as_str().unwrap_or_default()
}

/// Columns of a pair that say where it comes from, in their order.
fn provenance(rest: &mut Columns) -> impl Iterator<Item = (String, Value)> {
    let names = [
        "chosen_model",
        "rejected_model",
        "chosen_rating",
        "rejected_rating",
        "margin",
        "prompt_id",
    ];
    names.map(|name| rest.shift_remove_entry(name)).into_iter().flatten()
}
