//! Data sets from a Hub on the loopback device.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::hub::loopback::{BRANCH, COMMIT, CONVERTED, Loopback, Trick};

/// Rows of a group of the Parquet files here.
const N_GROUP_ROWS: usize = 100;

/// A Parquet file of `n` rows `first..`, of about 1,000 bytes each that do not compress.
fn parquet(first: usize, n: usize) -> Vec<u8> {
    let text = |row: usize| {
        let hash = |i: usize| blake3::hash(format!("{row} {i}").as_bytes()).to_hex().to_string();
        format!("{row} {}", (0..15).map(hash).collect::<String>())
    };
    let column: ArrayRef = Arc::new(StringArray::from_iter_values((first..first + n).map(text)));
    let batch = RecordBatch::try_from_iter([("prompt", column)]).unwrap();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(N_GROUP_ROWS)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn lines(first: usize, n: usize) -> Vec<u8> {
    let line = |row| format!("{{\"prompt\": \"{row} {}\"}}\n", "x".repeat(1000));
    (first..first + n).map(line).collect::<String>().into_bytes()
}

struct Story {
    hub: Loopback,
    options: HubOptions,
    cache: tempfile::TempDir,
    spec: LoadDataFromHub,
}

impl Story {
    fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let hub = Loopback::new(files);
        let cache = tempfile::tempdir().unwrap();
        let options = hub.options(&cache.path().join("hub"));
        Self { hub, options, cache, spec: LoadDataFromHub::new("org/name") }
    }

    fn bring(&self, n: Option<usize>) -> Result<Brought> {
        bring(&self.spec, n, &self.options, &self.cache.path().join("own"), &mut |_| ())
    }

    /// The numbers of the rows, as a run reads them.
    fn rows(&self, n: Option<usize>) -> Vec<usize> {
        let source = self.bring(n).unwrap().source(&BTreeMap::new(), n);
        let rows = read::open_set(&source).unwrap().map(|record| match record.unwrap() {
            read::Record::Row(row) => {
                let text = row.columns["prompt"].as_str().unwrap();
                text.split(' ').next().unwrap().parse().unwrap()
            }
            read::Record::Bad(bad) => panic!("{bad:?}"),
        });
        rows.collect()
    }

    fn error(&self) -> (String, String) {
        let error = self.bring(None).unwrap_err();
        (error.to_string(), error.hint().unwrap_or_default().to_owned())
    }

    fn n_asked(&self) -> usize {
        self.hub.asked().len()
    }
}

fn shards() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("README.md", b"---\nlicense: mit\n---\n".to_vec()),
        ("data/train-00000-of-00002.parquet", parquet(0, 350)),
        ("data/train-00001-of-00002.parquet", parquet(350, 250)),
        ("data/test-00000-of-00001.parquet", parquet(1000, 10)),
    ]
}

#[test]
fn all_shards_of_a_split_come_in_their_order() {
    let mut story = Story::new(&shards());
    assert_eq!(story.rows(None), (0..600).collect::<Vec<_>>());
    let brought = story.bring(None).unwrap();
    assert_eq!(brought.commit, COMMIT);
    assert_eq!(brought.config, "default");
    let cached = story.cache.path().join("hub/datasets--org--name/snapshots").join(COMMIT);
    assert!(brought.paths.iter().all(|path| path.starts_with(&cached)));
    story.spec.split = "test".to_owned();
    assert_eq!(story.rows(None), (1000..1010).collect::<Vec<_>>());
}

#[test]
fn the_first_rows_take_their_row_groups_only() {
    let files = shards();
    for (n, n_groups) in [(1, 1), (100, 1), (101, 2)] {
        let story = Story::new(&files);
        assert_eq!(story.rows(Some(n)), (0..n).collect::<Vec<_>>());
        let (first, second) = (files[1].0, files[2].0);
        let n_served = story.hub.n_served(first);
        let most = files[1].1.len() * n_groups / 3 + END_BYTES as usize;
        assert!(n_served < most, "{n_served} of {} bytes for {n} rows", files[1].1.len());
        assert_eq!(story.hub.n_served(second), 0);
        // What is here is not asked for again, and the standard cache has no half file.
        assert_eq!(story.rows(Some(n)).len(), n);
        assert_eq!(story.hub.n_served(first), n_served);
        let name = format!("hub/datasets--org--name/snapshots/{COMMIT}/{first}");
        assert!(!story.cache.path().join(name).exists());
    }
}

#[test]
fn the_first_rows_may_go_on_in_the_next_shard() {
    let files = shards();
    let story = Story::new(&files);
    assert_eq!(story.rows(Some(360)), (0..360).collect::<Vec<_>>());
    assert_eq!(story.hub.n_served(files[1].0), files[1].1.len() + END_BYTES as usize);
    assert!(story.hub.n_served(files[2].0) < files[2].1.len() / 2 + END_BYTES as usize);
}

#[test]
fn json_lines_come_whole_or_as_their_first_lines() {
    let files = [("a.jsonl", lines(0, 3000)), ("b.jsonl", lines(3000, 10))];
    let story = Story::new(&files);
    assert_eq!(story.rows(Some(5)), [0, 1, 2, 3, 4]);
    assert_eq!(story.hub.n_served("a.jsonl"), files[0].1.len());
    let mut story = Story::new(&files);
    story.spec.streaming = true;
    assert_eq!(story.rows(Some(5)), [0, 1, 2, 3, 4]);
    assert!(story.hub.n_served("a.jsonl") < files[0].1.len() / 2);
    assert_eq!(story.rows(Some(3002)), (0..3002).collect::<Vec<_>>());
    assert_eq!(story.rows(None), (0..3010).collect::<Vec<_>>());
}

#[test]
fn json_and_csv_are_read_too() {
    let csv = "prompt,n\n0 a,1\n\"1 b, c\",2\n".as_bytes().to_vec();
    assert_eq!(Story::new(&[("train.csv", csv)]).rows(None), [0, 1]);
    let json = "[{\"prompt\": \"0 a\"}, {\"prompt\": \"1 b\"}]".as_bytes().to_vec();
    let story = Story::new(&[("data/train/a.json", json)]);
    assert_eq!(story.rows(None), [0, 1]);
    assert_eq!(story.rows(Some(1)), [0]);
}

#[test]
fn a_server_without_ranges_gives_the_whole() {
    let files = shards();
    let story = Story::new(&files);
    story.hub.play(files[1].0, &[Trick::Whole]);
    assert_eq!(story.rows(Some(3)), [0, 1, 2]);
    assert!(story.hub.n_served(files[1].0) >= files[1].1.len());
}

#[test]
fn a_part_survives_cuts_and_busy_servers_and_is_whole_or_not_there() {
    let files = shards();
    let story = Story::new(&files);
    let tricks = [Trick::Cut(1000), Trick::Status(503), Trick::Cut(0), Trick::Status(429)];
    story.hub.play(files[1].0, &tricks[..2]);
    assert_eq!(story.rows(Some(3)), [0, 1, 2]);
    let story = Story::new(&files);
    story.hub.play(files[1].0, &[Trick::Status(500); 9]);
    let error = story.bring(Some(3)).unwrap_err();
    assert!(error.to_string().contains("status 500"), "{error}");
    story.hub.play(files[1].0, &[]);
    assert_eq!(story.rows(Some(3)), [0, 1, 2]);
}

#[test]
fn a_wrong_config_or_split_is_told_with_those_that_are() {
    let card = "---\nconfigs:\n- config_name: easy\n  data_files: e.jsonl\n- config_name: hard\n  \
                data_files:\n  - split: train\n    path: h1.jsonl\n  - split: dev\n    \
                path: h2.jsonl\n---\n";
    let files = [
        ("README.md", card.as_bytes().to_vec()),
        ("e.jsonl", lines(0, 2)),
        ("h1.jsonl", lines(2, 2)),
        ("h2.jsonl", lines(4, 2)),
    ];
    let mut story = Story::new(&files);
    let (what, hint) = story.error();
    assert!(what.contains("several configs and no default"), "{what}");
    assert!(hint.ends_with("easy, hard"), "{hint}");
    story.spec.config = Some("hrad".to_owned());
    let (what, hint) = story.error();
    assert!(what.contains("no config `hrad`") && hint.ends_with("easy, hard"), "{what} {hint}");
    story.spec.config = Some("hard".to_owned());
    story.spec.split = "test".to_owned();
    let (what, hint) = story.error();
    assert!(what.contains("no split `test`") && hint.ends_with("train, dev"), "{what} {hint}");
    story.spec.split = "dev".to_owned();
    assert_eq!(story.rows(None), [4, 5]);
}

#[test]
fn what_is_only_a_script_is_read_from_the_converted_branch() {
    let name = format!("{BRANCH}default/train/0000.parquet");
    let files = [("name.py", b"pass".to_vec()), (name.as_str(), parquet(7, 3))];
    let story = Story::new(&files);
    assert_eq!(story.rows(None), [7, 8, 9]);
    assert_eq!(story.bring(None).unwrap().commit, CONVERTED);
    // A script without the branch has nothing.
    let (what, _) = Story::new(&[("name.py", b"pass".to_vec())]).error();
    assert!(what.contains("no file that holds rows"), "{what}");
    let (what, _) = Story::new(&[("other.py", b"pass".to_vec())]).error();
    assert!(what.contains("no file that holds rows"), "{what}");
}

#[test]
fn what_the_hub_made_of_a_script_is_neither_older_nor_less_than_it_says() {
    let partial = format!("{BRANCH}default/partial-train/0000.parquet");
    let files = [("name.py", b"pass".to_vec()), (partial.as_str(), parquet(7, 3))];
    let mut story = Story::new(&files);
    let (what, hint) = story.error();
    assert!(what.contains("no split `train`") && hint.ends_with("partial-train"), "{what} {hint}");
    story.spec.split = "partial-train".to_owned();
    assert_eq!(story.rows(None), [7, 8, 9]);
    story.spec.revision = "v1".to_owned();
    let (what, hint) = story.error();
    assert!(what.contains("is a script at `v1`"), "{what}");
    assert!(hint.contains("refs/convert/parquet"), "{hint}");
    story.spec.revision = "refs/convert/parquet".to_owned();
    assert_eq!(story.rows(None), [7, 8, 9]);
}

#[test]
fn a_pinned_commit_is_not_what_the_cache_happens_to_have_of_it() {
    let mut story = Story::new(&[("a.jsonl", lines(0, 2)), ("b.jsonl", lines(2, 2))]);
    story.spec.revision = COMMIT.to_owned();
    assert_eq!(story.rows(None), [0, 1, 2, 3]);
    fs::remove_dir_all(story.cache.path().join("own")).unwrap();
    let snapshot = story.cache.path().join("hub/datasets--org--name/snapshots").join(COMMIT);
    fs::remove_file(snapshot.join("b.jsonl")).unwrap();
    story.options.offline = true;
    let error = story.bring(None).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    story.options.offline = false;
    assert_eq!(story.rows(None), [0, 1, 2, 3]);
}

#[test]
fn an_empty_file_is_told() {
    let story = Story::new(&[("data/train-00000-of-00001.parquet", Vec::new())]);
    for n in [None, Some(3)] {
        let brought = story.bring(n);
        let read = brought.and_then(|it| read::set_columns(&it.source(&BTreeMap::new(), n)));
        assert_eq!(read.unwrap_err().exit_code(), 3);
    }
}

#[test]
fn what_was_brought_is_there_offline() {
    let mut story = Story::new(&shards());
    story.rows(Some(3));
    story.options.offline = true;
    let n = story.n_asked();
    assert_eq!(story.rows(Some(3)), [0, 1, 2]);
    let error = story.bring(None).unwrap_err();
    assert!(error.to_string().contains("train-00000-of-00002.parquet"), "{error}");
    assert_eq!(error.exit_code(), 3);
    assert_eq!(story.n_asked(), n);
    story.options.offline = false;
    story.rows(None);
    story.options.offline = true;
    let n = story.n_asked();
    assert_eq!(story.rows(None).len(), 600);
    assert_eq!(story.n_asked(), n);
}

#[test]
fn the_cache_of_pythons_client_serves_offline() {
    let mut story = Story::new(&shards());
    story.rows(None);
    fs::remove_dir_all(story.cache.path().join("own")).unwrap();
    story.options.offline = true;
    assert_eq!(story.rows(None).len(), 600);
    // A snapshot that lacks a shard is not taken for the whole.
    let repo = story.cache.path().join("hub/datasets--org--name/snapshots").join(COMMIT);
    fs::remove_file(repo.join("data/train-00001-of-00002.parquet")).unwrap();
    assert!(story.bring(None).is_err());
}

#[test]
fn refusals_are_told_with_the_way_out() {
    for (status, want) in [(401, "token"), (403, "gated"), (404, "check the name")] {
        let story = Story::new(&shards());
        story.hub.refuse(status);
        let error = story.bring(None).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        let text = format!("{error} {}", error.hint().unwrap());
        assert!(text.contains(want) && !text.contains("secret"), "{text}");
    }
}

fn check(text: &str, n: u64, want: &str) {
    // In pieces of every size, as the network gives them.
    for n_piece in 1..=text.len() {
        let mut lines = Lines { n_left: n, is_blank: true };
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(n_piece) {
            if lines.n_left > 0 {
                found.extend_from_slice(&piece[..lines.take(piece)]);
            }
        }
        assert_eq!(String::from_utf8(found).unwrap(), want, "pieces of {n_piece}");
    }
}

#[test]
fn lines_are_counted_as_the_reader_counts_them() {
    check("a\nb\nc\n", 2, "a\nb\n");
    check("a\n\n \r\nb\nc", 2, "a\n\n \r\nb\n");
    check("a\nb", 2, "a\nb");
    check("a\nb", 9, "a\nb");
}
