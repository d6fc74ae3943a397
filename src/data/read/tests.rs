//! The readers, seen through `open`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;
use serde_json::json;

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn source(&self, name: &str, bytes: impl AsRef<[u8]>) -> FileSource {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        FileSource { path, ..FileSource::default() }
    }
}

/// Rows as JSON, bad records as `reason | detail`.
fn read(source: &FileSource) -> Vec<String> {
    let records = open(source).unwrap().map(|record| match record.unwrap() {
        Record::Row(row) => serde_json::to_string(&row.columns).unwrap(),
        Record::Bad(bad) => format!("{} | {}", bad.fault.reason, bad.fault.detail),
    });
    records.collect()
}

fn error(source: &FileSource) -> Error {
    match open(source) {
        Err(e) => e,
        Ok(mut reader) => reader.find_map(Result::err).unwrap(),
    }
}

#[test]
fn json_lines_give_rows_and_name_what_is_bad() {
    let mut bytes = b"\xef\xbb\xbf{\"a\":1}\n\n{\"a\":\n[1]\r\n{\"a\":\"\xff\"}\n".to_vec();
    bytes.extend_from_slice("{\"a\":\"ä\"}".as_bytes());
    let read = read(&Files::new().source("x.jsonl", bytes));
    assert_eq!(read[0], r#"{"a":1}"#);
    assert!(read[1].starts_with("the record is not valid JSON | line 3: EOF"), "{}", read[1]);
    assert!(read[2].starts_with("the record is not a JSON object | line 4: "), "{}", read[2]);
    assert!(read[3].starts_with("the record is not valid UTF-8 | line 5: byte 6"), "{}", read[3]);
    assert_eq!(read[4], r#"{"a":"ä"}"#);
    assert_eq!(read.len(), 5);
}

#[test]
fn a_record_over_the_limit_is_passed_over_in_every_text_format() {
    let files = Files::new();
    let long = "x".repeat(10_000_000);
    let want = |place: &str| format!("the record is longer than 8 MiB | {place}: passed over");
    let lines = format!("{{\"a\":1}}\n{{\"a\":\"{long}\"}}\n{{\"a\":2}}\n");
    let got = read(&files.source("x.jsonl", &lines));
    assert_eq!(got, [r#"{"a":1}"#, &want("line 2"), r#"{"a":2}"#]);
    let array = format!("[{{\"a\":1}}, {{\"a\":\"{long}\"}}, {{\"a\":2}}]");
    let got = read(&files.source("x.json", array));
    assert_eq!(got, [r#"{"a":1}"#, &want("record 2"), r#"{"a":2}"#]);
    let got = read(&files.source("x.csv", format!("a\n1\n{long}\n2\n")));
    assert_eq!(got[0], r#"{"a":"1"}"#);
    assert!(got[1].starts_with(&want("record 2")));
    assert_eq!(got[2], r#"{"a":"2"}"#);
}

#[test]
fn json_arrays_lose_only_the_bad_record() {
    let files = Files::new();
    let text = r#" [ {"a":"],\"{"} , {"a":}, 7, {"b":[1,{"c":2}]}, ] "#;
    let got = read(&files.source("x.json", text));
    assert_eq!(got[0], r#"{"a":"],\"{"}"#);
    assert!(got[1].starts_with("the record is not valid JSON | record 2"), "{}", got[1]);
    assert!(got[2].starts_with("the record is not a JSON object | record 3"), "{}", got[2]);
    assert_eq!(got[3], r#"{"b":[1,{"c":2}]}"#);
    assert_eq!(got.len(), 4);

    let got = read(&files.source("cut.json", r#"[{"a":1},{"a":"#));
    assert_eq!(got[0], r#"{"a":1}"#);
    assert!(got[1].starts_with("the file ends before its array does | record 2"), "{}", got[1]);
    assert_eq!(got.len(), 2);
    assert_eq!(read(&files.source("lines.json", "{\"a\":1}\n{\"a\":2}\n")).len(), 2);
    assert!(error(&files.source("text.json", "hello")).to_string().contains("begin with `[`"));
}

#[test]
fn csv_values_are_texts() {
    let files = Files::new();
    let text = "instruction, n\r\n\"say \"\"hi\"\",\nplease\",007\n\nx\nlast,1/2";
    let got = read(&files.source("x.csv", text));
    assert_eq!(got[0], r#"{"instruction":"say \"hi\",\nplease","n":"007"}"#);
    let detail = "record 2: 1 fields, but the header names 2";
    assert_eq!(got[1], format!("the record has another number of fields | {detail}"));
    assert_eq!(got[2], r#"{"instruction":"last","n":"1/2"}"#);
    let got = read(&files.source("bad.csv", b"a\n\xff\nok\n"));
    assert!(got[0].starts_with("the record is not valid UTF-8 | record 1"), "{}", got[0]);
    assert_eq!(got[1], r#"{"a":"ok"}"#);
    let twice = error(&files.source("twice.csv", "a,b,a\n1,2,3\n"));
    assert!(twice.to_string().contains("names `a` twice"), "{twice}");
}

#[test]
fn parquet_cells_become_what_they_are() {
    let files = Files::new();
    let role: ArrayRef = Arc::new(StringArray::from(vec![Some("user"), None]));
    let message =
        StructArray::from(vec![(Arc::new(Field::new("role", DataType::Utf8, true)), role)]);
    let turns =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("score", Arc::new(arrow::array::Float32Array::from(vec![0.5, f32::NAN])) as ArrayRef),
        ("day", Arc::new(arrow::array::Date32Array::from(vec![0, 1])) as ArrayRef),
        ("message", Arc::new(message) as ArrayRef),
        ("turns", Arc::new(turns) as ArrayRef),
    ])
    .unwrap();
    let mut source = files.source("x.parquet", "");
    let file = File::create(&source.path).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    source.columns = BTreeMap::from([("first".to_owned(), "turns[0]".to_owned())]);
    let got = read(&source);
    let want = json!({"id": 1, "score": 0.5, "day": "1970-01-01", "message": {"role": "user"},
        "turns": [1, null], "first": 1});
    assert_eq!(got[0], want.to_string());
    assert_eq!(got[1], "`turns[0]` is missing | row 2: `turns` is null, in which there is no `0`");

    let broken = error(&files.source("broken.parquet", "PAR1 and no more"));
    assert!(broken.to_string().contains("broken.parquet as Parquet"), "{broken}");
}

#[test]
fn columns_are_added_and_missing_ones_named() {
    let files = Files::new();
    let text = "{\"turns\":[\"one\",\"two\"],\"x\":1}\n{\"x\":2}\n";
    let mut source = files.source("x.jsonl", text);
    source.columns = BTreeMap::from([("instruction".to_owned(), "turns[0]".to_owned())]);
    let got = read(&source);
    assert_eq!(got[0], r#"{"turns":["one","two"],"x":1,"instruction":"one"}"#);
    assert_eq!(got[1], "`turns[0]` is missing | line 2: the row has `x`");
    assert_eq!(columns(&source).unwrap(), ["turns", "x", "instruction"]);
    source.columns = BTreeMap::from([("instruction".to_owned(), "turns[".to_owned())]);
    assert_eq!(error(&source).exit_code(), 2);
}

#[test]
fn num_examples_counts_rows_only() {
    let files = Files::new();
    let mut source = files.source("x.jsonl", "x\n{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    source.num_examples = Some(2);
    assert_eq!(read(&source)[1..], [r#"{"a":1}"#, r#"{"a":2}"#]);
}

#[test]
fn an_earlier_runs_rows_can_be_read_again() {
    let id = "0".repeat(32);
    let text = format!("{{\"a\":1,\"_row\":{{\"id\":\"{id}\"}}}}\n{{\"a\":1,\"_row\":5}}\n");
    let got = read(&Files::new().source("dpo.jsonl", text));
    assert_eq!(got[0], r#"{"a":1}"#);
    assert!(got[1].starts_with("the column `_row` is reserved"), "{}", got[1]);
}

#[test]
fn files_that_are_no_data_are_errors_that_name_them() {
    let files = Files::new();
    for (name, text) in [("a.jsonl", ""), ("b.jsonl", " \n"), ("c.json", "[]"), ("d.csv", "a,b\n")]
    {
        let error = error(&files.source(name, text));
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(&format!("{name} holds no rows")), "{error}");
    }
    let kind = error(&files.source("a.xlsx", "x"));
    assert_eq!(kind.exit_code(), 2);
    assert!(kind.hint().unwrap().contains(".parquet"));
    let path = files.0.path().join("none.jsonl");
    let missing = error(&FileSource { path, ..FileSource::default() });
    assert!(missing.to_string().contains("none.jsonl: there is no such file"), "{missing}");
    let folder = error(&FileSource { path: files.0.path().to_owned(), ..FileSource::default() });
    assert!(folder.to_string().contains("is a folder"), "{folder}");
}

#[test]
fn equal_rows_are_told_apart() {
    let files = Files::new();
    let source = files.source("x.jsonl", "{\"a\":1}\n{\"a\":1}\nx\n");
    let ids: Vec<_> = open(&source)
        .unwrap()
        .map(|record| match record.unwrap() {
            Record::Row(row) => row.id,
            Record::Bad(bad) => bad.id,
        })
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_fail_in_an_unforeseen_way(
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\\n1a"[..])], 1..80),
        name in prop::sample::select(&["x.jsonl", "x.json", "x.csv", "x.parquet"][..]),
    ) {
        if let Ok(reader) = open(&Files::new().source(name, bytes)) {
            prop_assert!(reader.take(200).count() < 200);
        }
    }

    #[test]
    fn every_object_comes_back_from_lines_and_array(
        texts in prop::collection::vec(any::<String>(), 1..6),
    ) {
        let rows: Vec<_> = texts.iter().map(|text| json!({"a": text}).to_string()).collect();
        let files = Files::new();
        prop_assert_eq!(&read(&files.source("x.jsonl", rows.join("\n"))), &rows);
        prop_assert_eq!(&read(&files.source("x.json", format!("[{}]", rows.join(" ,")))), &rows);
    }
}
