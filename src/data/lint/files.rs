//! The data files of a folder, and the split that each belongs to.
//!
//! Splits are told from names, as `datasets` does: `train-00000-of-00001.parquet`,
//! `test_prefs/part.jsonl`. What is not named is training data.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Folders below the one that is named.
const DEPTH_MAX: usize = 4;

/// Files with a data file's extension that hold no rows.
const NO_DATA: [&str; 6] = [
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "plan.json",
    "config.json",
];

/// Words that name a split, and the split.
const SPLITS: [(&str, &str); 9] = [
    ("train", "train"),
    ("training", "train"),
    ("test", "test"),
    ("testing", "test"),
    ("validation", "validation"),
    ("valid", "validation"),
    ("val", "validation"),
    ("dev", "validation"),
    ("eval", "validation"),
];

/// A file with rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DataFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How it is named to the user.
    pub(super) shown: String,
    /// The split that it belongs to.
    pub(super) split: &'static str,
}

/// The file, or the data files of the folder in the order of their names. Of a run it is the data
/// set.
///
/// # Errors
/// [`Error::Usage`] when there is none, [`Error::Environment`] when the disk refuses.
pub(super) fn find(path: &Path) -> Result<Vec<DataFile>> {
    if !path.is_dir() {
        let shown = path.display().to_string();
        return Ok(vec![DataFile { split: split(path), path: path.to_owned(), shown }]);
    }
    let is_run = path.join("plan.json").is_file();
    let root = if is_run { path.join("dataset") } else { path.to_owned() };
    let mut files = Vec::new();
    if root.is_dir() {
        collect(&root, DEPTH_MAX, &mut files)?;
    }
    if files.is_empty() {
        let what = if is_run { "is a run without a data set" } else { "holds no data file" };
        return Err(Error::Usage {
            what: format!("{} {what}", path.display()),
            hint: "name a .jsonl, .json, .csv or .parquet file, or a folder with such files".into(),
        });
    }
    files.sort();
    let named = files.into_iter().map(|file| {
        let split = split(file.strip_prefix(&root).unwrap_or(&file));
        DataFile { split, shown: file.display().to_string(), path: file }
    });
    Ok(named.collect())
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let fail = |e| Error::disk("read", folder, e);
    for entry in folder.read_dir().map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, files)?;
            }
        } else if ["jsonl", "ndjson", "json", "csv", "parquet"].contains(&extension)
            && !NO_DATA.contains(&&*name)
        {
            files.push(path.clone());
        }
    }
    Ok(())
}

/// The split that a path names: the word nearest to its end, the file's own name first.
fn split(path: &Path) -> &'static str {
    for part in path.with_extension("").iter().rev() {
        let part = part.to_string_lossy().to_ascii_lowercase();
        for word in part.split(|c: char| !c.is_ascii_alphanumeric()) {
            if let Some((_, split)) = SPLITS.iter().find(|(name, _)| *name == word) {
                return split;
            }
        }
    }
    "train"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_told_from_names() {
        let check = |path: &str, want: &str| assert_eq!(split(Path::new(path)), want, "{path}");
        check("data/train-00000-of-00001.parquet", "train");
        check("data/test_prefs-00000-of-00001.parquet", "test");
        check("validation/part.jsonl", "validation");
        check("train/test.jsonl", "test");
        check("pairs.jsonl", "train");
        check("latest.jsonl", "train");
    }

    #[test]
    fn a_folders_data_files_are_found_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["b/test.jsonl", "a.parquet", "README.md", "dataset_info.json", ".hidden.json"];
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let found = find(folder.path()).unwrap();
        let found: Vec<_> = found.iter().map(|file| (&file.path, file.split)).collect();
        let (a, b) = (folder.path().join("a.parquet"), folder.path().join("b/test.jsonl"));
        assert_eq!(found, [(&a, "train"), (&b, "test")]);
        std::fs::write(folder.path().join("plan.json"), "{}").unwrap();
        let error = find(folder.path()).unwrap_err();
        assert!(error.to_string().contains("a run without a data set"), "{error}");
    }
}
