//! A data set's card against its files, before anybody else sees them.
//!
//! What the card must say of features, rows and bytes of files is made anew from the files, by the
//! same hand that writes cards, and compared line by line. The bytes that rows take in memory stand
//! in no file, so of these only the sum is checked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::header::{block, configs, lines, plain, value};
use super::kind::{Fields, Kind};
use super::{Config, Split, card};
use crate::{Error, Result};

/// The splits that a run writes.
const SPLITS: [&str; 2] = ["train", "test"];

/// A data set whose card and files agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The card's text.
    pub card: String,
    /// Its files, the card first, each by its name below the folder.
    pub files: Vec<String>,
    /// Rows of all configs and splits.
    pub n_rows: u64,
}

/// Checks the data set in `folder`.
///
/// # Errors
/// [`Error::Usage`] when there is none, [`Error::Environment`] when the card and the files do not
/// say the same, or a file cannot be read.
pub fn check(folder: &Path) -> Result<Checked> {
    let path = folder.join("README.md");
    if !path.is_file() {
        return Err(Error::Usage {
            what: format!("there is no data set in {}", folder.display()),
            hint: "no row reached the end of the flow, or the run has not ended".to_owned(),
        });
    }
    let card = fs::read_to_string(&path).map_err(|e| Error::disk("read", &path, e))?;
    let header = lines(&card);
    let named = configs(&block(&header, "configs"));
    let told = configs(&block(&header, "dataset_info"));
    let mut there = shards(folder)?;
    let mut files = vec!["README.md".to_owned()];
    let mut n_rows = 0;
    for (name, lines) in &named {
        let place = Config { name: name.clone(), ..config(folder, lines, &mut there, &mut files)? };
        let Some((_, told)) = told.iter().find(|(told, _)| told == name) else {
            return Err(differ(name, "its `dataset_info` says nothing of it", "there are files"));
        };
        compare(&place, told)?;
        n_rows += place.n_rows();
    }
    if let Some(stray) = there.pop_first() {
        let what = format!("the card of {} does not name {}", folder.display(), stray.0);
        return Err(Error::environment(what, AGAIN));
    }
    if n_rows == 0 {
        let what = format!("the data set in {} has no row", folder.display());
        return Err(Error::environment(what, AGAIN));
    }
    Ok(Checked { card, files, n_rows })
}

/// The way out of a card and files that differ.
const AGAIN: &str =
    "run the recipe again, which writes the data set anew from the rows that are there";

fn differ(config: &str, card: &str, files: &str) -> Error {
    let what = format!("of the config `{config}` the card says: {card}; the files say: {files}");
    Error::environment(what, AGAIN)
}

/// The parquet files below `folder`, by name.
fn shards(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut shards = BTreeMap::new();
    for place in entries(folder)?.into_iter().filter(|place| place.is_dir()) {
        for path in entries(&place)? {
            let name = path.strip_prefix(folder).expect("it is below the folder");
            let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
            if path.extension().is_some_and(|kind| kind == "parquet") {
                shards.insert(parts.join("/"), path);
            }
        }
    }
    Ok(shards)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::disk("read", folder, e);
    let entries = fs::read_dir(folder).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// What the files of a config say; they leave `there` and are added to `files`.
fn config(
    folder: &Path,
    lines: &[&str],
    there: &mut BTreeMap<String, PathBuf>,
    files: &mut Vec<String>,
) -> Result<Config> {
    let mut config = Config {
        name: String::new(),
        folder: String::new(),
        splits: Vec::new(),
        fields: Fields::default(),
    };
    for path in lines.iter().filter_map(|line| value(line, "path")) {
        let named = |(below, name): (&str, &'static str)| (below.to_owned(), name);
        let split = SPLITS
            .iter()
            .find_map(|split| Some(named((path.strip_suffix(&format!("/{split}-*"))?, *split))));
        let Some((below, name)) = split else {
            let what = format!("the card of {} names `{path}`", folder.display());
            let hint = "files are named as runs do it, such as data/train-*; run the recipe again";
            return Err(Error::environment(what, hint));
        };
        let prefix = format!("{below}/{name}-");
        let own: Vec<String> =
            there.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
        let mut split = Split { name, n_rows: 0, n_shards: own.len(), n_bytes: 0, file_bytes: 0 };
        for file in own {
            let path = there.remove(&file).expect("it was just found there");
            let (fields, n_rows, n_bytes) = look(&path)?;
            let is_first = files.last().is_none_or(|last| !last.starts_with(&format!("{below}/")));
            if !is_first && fields != config.fields {
                let what = format!("{file} has other columns than the files before it");
                return Err(Error::environment(what, AGAIN));
            }
            config.fields = fields;
            split.n_rows += n_rows;
            split.file_bytes += n_bytes;
            files.push(file);
        }
        config.folder = below;
        config.splits.push(split);
    }
    Ok(config)
}

/// Columns, rows and bytes of a parquet file, from its end.
fn look(path: &Path) -> Result<(Fields, u64, u64)> {
    let file = File::open(path).map_err(|e| Error::disk("read", path, e))?;
    let n_bytes = file.metadata().map_err(|e| Error::disk("read", path, e))?.len();
    let damaged = |why: String| {
        Error::environment(format!("{} is no data of ours: {why}", path.display()), AGAIN)
    };
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(e.to_string()))?;
    let fields = fields(reader.schema().fields())
        .map_err(|kind| damaged(format!("it has a column of {kind}")))?;
    let n_rows = reader.metadata().file_metadata().num_rows();
    let n_rows = u64::try_from(n_rows).map_err(|_| damaged(format!("it has {n_rows} rows")))?;
    Ok((fields, n_rows, n_bytes))
}

fn fields(fields: &arrow::datatypes::Fields) -> Result<Fields, String> {
    let kinds = fields.iter().map(|field| Ok((field.name().clone(), kind(field.data_type())?)));
    kinds.collect::<Result<_, String>>().map(Fields)
}

fn kind(column: &DataType) -> Result<Kind, String> {
    if let DataType::List(field) = column {
        return Ok(Kind::List(Box::new(kind(field.data_type())?)));
    }
    if let DataType::Struct(inner) = column {
        return fields(inner).map(Kind::Struct);
    }
    let scalars = [Kind::Bool, Kind::Int, Kind::Float, Kind::Text];
    let kind = scalars.into_iter().find(|kind| kind.to_arrow() == *column);
    kind.ok_or_else(|| column.to_string())
}

/// The card's lines against those that the files would have made.
fn compare(config: &Config, told: &[&str]) -> Result<()> {
    let number = |line: &&str, key: &str| value(line, key).and_then(|n| n.parse::<u64>().ok());
    let mut memory = told.iter().filter_map(|line| number(line, "num_bytes"));
    let mut config = config.clone();
    for split in &mut config.splits {
        split.n_bytes = memory.next().unwrap_or(0);
    }
    let mut text = String::new();
    card::info(&mut text, &config);
    let wanted: Vec<String> = text.lines().skip(1).map(plain).collect();
    let told: Vec<String> = told.iter().map(|line| plain(line)).collect();
    let n_max = wanted.len().max(told.len());
    let Some(at) = (0..n_max).find(|at| wanted.get(*at) != told.get(*at)) else { return Ok(()) };
    let nothing = "no more".to_owned();
    let show = |lines: &[String]| {
        let line = lines.get(at).unwrap_or(&nothing).trim().trim_start_matches("- ").to_owned();
        let above = lines[..at.min(lines.len())].iter().rev();
        let name =
            above.map(|line| line.trim_start()).find_map(|line| line.strip_prefix("- name: "));
        match name.filter(|_| !line.starts_with("name: ")) {
            Some(name) => format!("`{line}` of `{name}`"),
            None => format!("`{line}`"),
        }
    };
    Err(differ(&config.name, &show(&told), &show(&wanted)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::data::dataset::{self, About, Layout, Leaf, RowStream};
    use crate::data::row::Columns;

    fn write(folder: &Path, leaves: &[(&str, Vec<Value>)]) {
        let rows = |values: &Vec<Value>| -> Vec<Columns> {
            values.iter().map(|value| value.as_object().unwrap().clone()).collect()
        };
        let rows: Vec<_> = leaves.iter().map(|(_, values)| rows(values)).collect();
        let streams: Vec<_> = rows
            .iter()
            .map(|rows| {
                move || -> Result<RowStream<'_>> { Ok(Box::new(rows.iter().cloned().map(Ok))) }
            })
            .collect();
        let leaves: Vec<_> = leaves
            .iter()
            .zip(&streams)
            .map(|((name, _), rows)| Leaf { name: (*name).to_owned(), rows })
            .collect();
        let is_test = |row: &Columns| row["n"] == 1;
        dataset::write(folder, &leaves, Layout::Distilabel, &About::default(), Some(&is_test))
            .unwrap();
    }

    fn rows() -> Vec<Value> {
        let row = |n: u64| json!({"n": n, "a b": [{"role": "x", "t": [1.5]}], "deep": {"y": true}});
        (0..20).map(row).collect()
    }

    fn edited(folder: &Path, from: &str, to: &str) -> String {
        let path = folder.join("README.md");
        let card = fs::read_to_string(&path).unwrap();
        assert!(card.contains(from), "{card}");
        fs::write(&path, card.replacen(from, to, 1)).unwrap();
        let error = check(folder).unwrap_err();
        fs::write(&path, card).unwrap();
        error.to_string()
    }

    #[test]
    fn what_was_written_agrees_and_is_listed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("dataset");
        write(&folder, &[("dpo", rows())]);
        let checked = check(&folder).unwrap();
        assert_eq!(checked.n_rows, 20);
        assert_eq!(
            checked.files,
            ["README.md", "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"]
        );
        write(&folder, &[("dpo", rows()), ("keep", vec![json!({"n": 5})])]);
        let checked = check(&folder).unwrap();
        assert_eq!((checked.n_rows, checked.files.len()), (21, 4));
        // What somebody may well change on the card is theirs.
        let path = folder.join("README.md");
        let card = fs::read_to_string(&path).unwrap().replace("license: other", "license: mit");
        fs::write(&path, card.replace("\"dpo/train-*\"", "dpo/train-*") + "\nMore.\n").unwrap();
        assert_eq!(check(&folder).unwrap().n_rows, 21);
    }

    #[test]
    fn a_difference_names_both() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("dataset");
        write(&folder, &[("dpo", rows())]);
        let told = edited(&folder, "dtype: int64", "dtype: string");
        let want = "of the config `default` the card says: `dtype: string` of `n`; the files say: \
                    `dtype: int64` of `n`";
        assert_eq!(told, want);
        let told = edited(&folder, "num_examples: 19", "num_examples: 18");
        assert!(
            told.contains("`num_examples: 18` of `train`; the files say: `num_examples: 19`"),
            "{told}"
        );
        let told = edited(&folder, "download_size: ", "download_size: 9");
        assert!(told.contains("download_size"), "{told}");
        let told = edited(&folder, "  - name: deep\n", "  - name: flat\n");
        assert!(told.contains("`name: flat`; the files say: `name: deep`"), "{told}");
        let told = edited(&folder, "data/test-*", "data/train-*");
        assert!(told.contains("the files say"), "{told}");
        let told = edited(&folder, "path: \"data/train-*\"", "path: \"*\"");
        assert!(told.contains("names `*`"), "{told}");
    }

    #[test]
    fn files_that_nobody_names_or_reads_are_told() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("dataset");
        let error = check(&folder).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        write(&folder, &[("dpo", rows())]);
        let shard = folder.join("data/train-00000-of-00001.parquet");
        fs::copy(&shard, folder.join("data/other.parquet")).unwrap();
        let told = check(&folder).unwrap_err().to_string();
        assert!(told.ends_with("does not name data/other.parquet"), "{told}");
        fs::remove_file(folder.join("data/other.parquet")).unwrap();
        fs::write(&shard, "PAR1").unwrap();
        let told = check(&folder).unwrap_err().to_string();
        assert!(told.contains("train-00000-of-00001.parquet is no data of ours"), "{told}");
    }
}
