//! The data set folder, written and read back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::data::read::{FileSource, Record, open};

fn pair(i: usize) -> Columns {
    let says = |role: &str, content: String| json!({"role": role, "content": content});
    let user = says("user", format!("What is {i} + {i}?"));
    let row = json!({
        "instruction": format!("What is {i} + {i}?"),
        "generations": [format!("{}", 2 * i), "no idea"],
        "ratings": [5, 1],
        "prompt": format!("What is {i} + {i}?"),
        "prompt_id": format!("{i:064x}"),
        "chosen": [user, says("assistant", format!("{}", 2 * i))],
        "chosen_rating": 5,
        "rejected": [user, says("assistant", "no idea".to_owned())],
        "rejected_rating": if i.is_multiple_of(2) { json!(1) } else { json!(1.5) },
        "distilabel_metadata": {"raw_output_judge": "5", "statistics_judge": {"input_tokens": i}},
    });
    row.as_object().unwrap().clone()
}

fn about() -> About {
    let key = |step: &str, reason: &str| (step.to_owned(), reason.to_owned());
    About {
        name: "math: a \"preference\" set".to_owned(),
        recipe: "name = \"math\"\n".to_owned(),
        models: vec![CardModel {
            name: "judge".to_owned(),
            source: "org/judge".to_owned(),
            revision: Some("0123abcd".to_owned()),
            quantize: "q8_0".to_owned(),
            digest: "ab12".to_owned(),
        }],
        dropped: [(key("dpo", "equal ratings"), 3)].into(),
        ..About::default()
    }
}

fn write_pairs(
    n_rows: usize,
    layout: Layout,
    shard_bytes: u64,
) -> (tempfile::TempDir, Vec<Config>) {
    let parent = tempfile::tempdir().unwrap();
    let rows = || -> Result<RowStream<'_>> { Ok(Box::new((0..n_rows).map(|i| Ok(pair(i))))) };
    let leaves = [Leaf { name: "dpo".to_owned(), rows: &rows }];
    let folder = parent.path().join("dataset");
    let configs = write_in(&folder, &leaves, layout, shard_bytes).unwrap();
    (parent, configs)
}

fn write_in(
    folder: &Path,
    leaves: &[Leaf<'_>],
    layout: Layout,
    shard_bytes_max: u64,
) -> Result<Vec<Config>> {
    write_as(folder, leaves, &Form { layout, is_test: None, shard_bytes_max }, &about())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: PathBuf) -> Vec<Columns> {
    let source = FileSource { path, num_examples: None, columns: BTreeMap::new() };
    let rows = open(&source).unwrap().map(|record| match record.unwrap() {
        Record::Row(row) => row.columns,
        Record::Bad(bad) => panic!("{bad:?}"),
    });
    rows.collect()
}

#[test]
fn pairs_come_back_in_trls_layout() {
    let (parent, configs) = write_pairs(3, Layout::Trl, SHARD_BYTES_MAX);
    let folder = parent.path().join("dataset");
    assert_eq!(
        files(parent.path()),
        std::slice::from_ref(&folder),
        "nothing is left beside the folder"
    );
    let data = files(&folder.join("data"));
    assert_eq!(data, [folder.join("data/train-00000-of-00001.parquet")]);
    let rows = read(data[0].clone());
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1]["prompt"], json!([{"role": "user", "content": "What is 1 + 1?"}]));
    assert_eq!(rows[1]["chosen"], json!([{"role": "assistant", "content": "2"}]));
    assert_eq!(rows[1]["rejected"], json!([{"role": "assistant", "content": "no idea"}]));
    assert_eq!(rows[0]["rejected_rating"], json!(1.0), "int meets float");
    assert_eq!(rows[0]["margin"], json!(4.0));
    let metadata = rows[2]["distilabel_metadata"].as_str().unwrap();
    assert_eq!(metadata, r#"{"raw_output_judge":"5","statistics_judge":{"input_tokens":2}}"#);
    assert_eq!((configs[0].n_rows(), configs[0].splits[0].n_shards), (3, 1));
    assert_eq!(configs[0].splits[0].file_bytes, fs::metadata(&data[0]).unwrap().len());
}

#[test]
fn distilabels_layout_keeps_the_columns() {
    let (parent, _) = write_pairs(2, Layout::Distilabel, SHARD_BYTES_MAX);
    let rows = read(parent.path().join("dataset/data/train-00000-of-00001.parquet"));
    let mut want = pair(1);
    want["rejected_rating"] = json!(1.5);
    assert_eq!(rows[1], want);
}

#[test]
fn shards_are_cut_at_their_size_and_hold_every_row_once() {
    let (parent, configs) = write_pairs(5000, Layout::Trl, 1_000_000);
    let data = files(&parent.path().join("dataset/data"));
    assert!(data.len() > 1 && data.len() == configs[0].splits[0].n_shards, "{}", data.len());
    let last = format!("train-{:05}-of-{:05}.parquet", data.len() - 1, data.len());
    assert!(data.last().unwrap().ends_with(last));
    let rows: Vec<_> = data.into_iter().flat_map(read).collect();
    let ids: Vec<_> = rows.iter().map(|row| row["prompt_id"].as_str().unwrap()).collect();
    let want: Vec<_> = (0..5000).map(|i| format!("{i:064x}")).collect();
    assert_eq!(ids, want);
}

#[test]
fn files_have_a_page_index_zstd_pages_and_content_defined_chunks() {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    let (parent, _) = write_pairs(10, Layout::Trl, SHARD_BYTES_MAX);
    let file = parent.path().join("dataset/data/train-00000-of-00001.parquet");
    let reader = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    let meta = reader.metadata();
    let column = meta.row_group(0).column(0);
    assert!(column.column_index_offset().is_some() && column.offset_index_offset().is_some());
    assert!(format!("{:?}", column.compression()).starts_with("ZSTD"));
    let keys = meta.file_metadata().key_value_metadata().unwrap();
    assert!(keys.iter().any(|pair| pair.key == "content_defined_chunking"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join(".train-00000.parquet")).unwrap();
    let mut fields = Fields::default();
    fields.widen(&pair(0));
    let fields = fields.settled();
    let schema = table::schema(&fields);
    let mut shards = Shards::new(folder.path(), "train", schema.clone(), SHARD_BYTES_MAX);
    let batch = table::batch(&schema, &fields, &[pair(0)]);
    let error = shards.write(&batch, 1).and_then(|()| shards.finish()).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
}

#[test]
fn each_leaf_has_a_config_and_empty_ones_have_none() {
    let parent = tempfile::tempdir().unwrap();
    let pairs = || -> Result<RowStream<'_>> { Ok(Box::new((0..2).map(|i| Ok(pair(i))))) };
    let none = || -> Result<RowStream<'_>> { Ok(Box::new(std::iter::empty())) };
    let odd = || -> Result<RowStream<'_>> {
        let rows = [json!({"a": 1, "b": {}}), json!({"a": "x", "c": [[1], null, [0.5]]})];
        Ok(Box::new(rows.into_iter().map(|row| Ok(row.as_object().unwrap().clone()))))
    };
    let leaf = |name: &str, rows| Leaf { name: name.to_owned(), rows };
    let leaves = [leaf("dpo", &pairs), leaf("none", &none), leaf("odd", &odd)];
    let folder = parent.path().join("dataset");
    let configs = write(&folder, &leaves, Layout::Trl, &about(), None).unwrap();
    let names: Vec<_> = configs.iter().map(|config| config.name.as_str()).collect();
    assert_eq!(names, ["dpo", "odd"]);
    assert_eq!(files(&folder), ["README.md", "dpo", "odd"].map(|name| folder.join(name)));
    let rows = read(folder.join("odd/train-00000-of-00001.parquet"));
    let want = [
        json!({"a": "1", "b": "{}", "c": null}),
        json!({"a": "x", "b": null, "c": [[1.0], null, [0.5]]}),
    ];
    assert_eq!(rows.into_iter().map(Value::Object).collect::<Vec<_>>(), want);
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(card.contains("- config_name: odd\n  data_files:"), "{card}");
    assert_eq!(card.matches("default: true").count(), 1);
}

#[test]
fn a_kind_that_turns_up_late_reaches_all_rows() {
    let parent = tempfile::tempdir().unwrap();
    let late = 2 * N_BATCH_ROWS + 7;
    let row = |i: usize| match i {
        i if i < late => json!({"a": i}),
        i => json!({"a": i as f64 + 0.5, "b": "late"}),
    };
    let rows = || -> Result<RowStream<'_>> {
        Ok(Box::new((0..late + 2).map(|i| Ok(row(i).as_object().unwrap().clone()))))
    };
    let leaves = [Leaf { name: "dpo".to_owned(), rows: &rows }];
    let folder = parent.path().join("dataset");
    let configs = write_in(&folder, &leaves, Layout::Distilabel, 9000).unwrap();
    assert_eq!(configs[0].n_rows() as usize, late + 2);
    let files = files(&folder.join("data"));
    assert_eq!(files.len(), configs[0].splits[0].n_shards, "nothing is left of the first try");
    let read: Vec<_> = files.into_iter().flat_map(read).map(Value::Object).collect();
    let want = |i: usize| match i {
        i if i < late => json!({"a": i as f64, "b": null}),
        i => row(i),
    };
    assert_eq!(read, (0..late + 2).map(want).collect::<Vec<_>>());
}

#[test]
fn the_card_tells_what_was_written() {
    let (parent, configs) = write_pairs(2, Layout::Trl, SHARD_BYTES_MAX);
    let card = fs::read_to_string(parent.path().join("dataset/README.md")).unwrap();
    let Split { n_bytes, file_bytes, .. } = configs[0].splits[0];
    for part in [
        "pretty_name: \"math: a \\\"preference\\\" set\"\n",
        "size_categories:\n- n<1K\n",
        "    path: \"data/train-*\"\n  default: true\n",
        "  - name: prompt\n    list:\n    - name: role\n      dtype: string\n",
        "  - name: ratings\n    sequence: int64\n",
        "  - name: rejected_rating\n    dtype: float64\n",
        &format!("    num_bytes: {n_bytes}\n    num_examples: 2\n  download_size: {file_bytes}\n"),
        "| judge | org/judge | 0123abcd | q8_0 | ab12 |",
        "| dpo | equal ratings | 3 |",
        "```toml\nname = \"math\"\n```",
    ] {
        assert!(card.contains(part), "no {part:?} in\n{card}");
    }
}

#[test]
fn a_new_data_set_replaces_the_old_one() {
    let (parent, _) = write_pairs(2, Layout::Trl, SHARD_BYTES_MAX);
    let folder = parent.path().join("dataset");
    fs::write(folder.join("stale"), "").unwrap();
    let one = || -> Result<RowStream<'_>> { Ok(Box::new(std::iter::once(Ok(pair(7))))) };
    let leaves = [Leaf { name: "dpo".to_owned(), rows: &one }];
    assert_eq!(write(&folder, &leaves, Layout::Trl, &about(), None).unwrap()[0].n_rows(), 1);
    assert_eq!(files(&folder), [folder.join("README.md"), folder.join("data")]);
    assert_eq!(files(&folder.join("data")).len(), 1);
    assert_eq!(files(parent.path()), [folder]);
}

#[test]
fn without_rows_there_is_no_data_set_and_no_older_one() {
    let (parent, configs) = write_pairs(3, Layout::Trl, SHARD_BYTES_MAX);
    assert_eq!(configs.len(), 1);
    let none = || -> Result<RowStream<'_>> { Ok(Box::new(std::iter::empty())) };
    let leaves = [Leaf { name: "dpo".to_owned(), rows: &none }];
    let folder = parent.path().join("dataset");
    assert_eq!(write(&folder, &leaves, Layout::Trl, &about(), None).unwrap(), []);
    assert_eq!(files(parent.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_test_split_has_files_of_its_own_and_the_same_columns() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("dataset");
    let rows = || -> Result<RowStream<'_>> { Ok(Box::new((0..2500).map(|i| Ok(pair(i))))) };
    let leaves = [Leaf { name: "dpo".to_owned(), rows: &rows }];
    // By a column that TRL's layout changes: the row is looked at as the flow left it.
    let is_test = |row: &Columns| row["prompt"].as_str().is_some_and(|text| text.contains('7'));
    let configs = write(&folder, &leaves, Layout::Trl, &about(), Some(&is_test)).unwrap();
    let n_test = (0..2500).filter(|i: &usize| i.to_string().contains('7')).count();
    let splits = &configs[0].splits;
    assert_eq!((splits[0].name, splits[0].n_rows as usize), ("train", 2500 - n_test));
    assert_eq!((splits[1].name, splits[1].n_rows as usize), ("test", n_test));
    let names = ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"];
    assert_eq!(files(&folder.join("data")), names.map(|name| folder.join("data").join(name)));
    let [test, train] = names.map(|name| read(folder.join("data").join(name)));
    assert_eq!((test.len(), train.len()), (n_test, 2500 - n_test));
    let side = |row: &Columns| row["prompt"][0]["content"].as_str().unwrap().contains('7');
    assert!(test.iter().all(side) && !train.iter().any(side));
    assert!(test[0].keys().eq(train[0].keys()));
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    let both = "  - split: train\n    path: \"data/train-*\"\n  - split: test\n    path: \"data/test-*\"\n";
    assert!(card.contains(both), "{card}");
    for Split { name, n_bytes, n_rows, .. } in splits {
        let info =
            format!("  - name: {name}\n    num_bytes: {n_bytes}\n    num_examples: {n_rows}\n");
        assert!(card.contains(&info), "{info} in {card}");
    }
    assert!(card.contains(&format!("  dataset_size: {}\n", splits[0].n_bytes + splits[1].n_bytes)));
}

#[test]
fn a_split_without_rows_is_not_declared() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("dataset");
    let rows = || -> Result<RowStream<'_>> { Ok(Box::new(std::iter::once(Ok(pair(1))))) };
    let leaves = [Leaf { name: "dpo".to_owned(), rows: &rows }];
    let configs = write(&folder, &leaves, Layout::Trl, &about(), Some(&|_| true)).unwrap();
    assert_eq!(configs[0].splits.len(), 1);
    assert_eq!(files(&folder.join("data")), [folder.join("data/test-00000-of-00001.parquet")]);
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(!card.contains("train-*"), "{card}");
}
