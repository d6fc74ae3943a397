//! Each format's contract, by small files written out in full.

use std::fs;

use super::*;
use crate::data::read::open_records;

/// A plain pair, one with a system prompt, one whose rejected side has turns of its own, one whose
/// prompt has several turns, and a row that is no pair.
fn rows() -> Vec<Columns> {
    let rows = json!([
        {
            "instruction": "2+2?", "generations": ["4", "5"], "ratings": [5, 2],
            "prompt": "2+2?", "prompt_id": "aa",
            "chosen": [user("2+2?"), says("4")], "chosen_model": "llama", "chosen_rating": 5,
            "rejected": [user("2+2?"), says("5")], "rejected_model": "mixtral",
            "rejected_rating": 2, "margin": 3.0,
            "distilabel_metadata": {"raw_output_judge": ["x"]},
        },
        {
            "prompt": "Say \"hi\".\n", "prompt_id": "bb",
            "chosen": [system("Be kind."), user("Say \"hi\".\n"), says("Hi ☺")],
            "chosen_model": "llama", "chosen_rating": 4,
            "rejected": [system("Be kind."), user("Say \"hi\".\n"), says("No")],
            "rejected_model": "mixtral", "rejected_rating": 3.5, "margin": 0.5,
        },
        {
            "prompt": "Go on.", "prompt_id": "cc",
            "chosen": [user("Go on."), says("Done.")],
            "rejected": [user("Go on."), says("What?"), user("Go!"), says("Oh.")],
            "margin": 1.0,
        },
        {
            "prompt": "And 3+3?", "prompt_id": "dd",
            "chosen": [user("2+2?"), says("4"), user("And 3+3?"), says("6")],
            "rejected": [user("2+2?"), says("4"), user("And 3+3?"), says("7")],
            "margin": 2.0,
        },
        {"instruction": "x", "chosen": null},
    ]);
    let Value::Array(rows) = rows else { panic!("a list") };
    rows.into_iter().map(|row| row.as_object().expect("an object").clone()).collect()
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn says(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

fn system(text: &str) -> Value {
    json!({"role": "system", "content": text})
}

fn export(folder: &Path, format: Format, rows: &[Columns]) -> Result<Written> {
    let rows = || -> Result<RowStream<'_>> { Ok(Box::new(rows.iter().cloned().map(Ok))) };
    let about = About { name: "sums".to_owned(), ..About::default() };
    let leaf = Leaf { name: "dpo".to_owned(), rows: &rows };
    write(folder, format, &leaf, "sums", &about, None)
}

/// What a format of lines makes of all rows, and what it leaves out.
fn check(format: Format, want: &[&str], left_out: &[(&'static str, u64)]) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join(format.name());
    let written = export(&folder, format, &rows()).unwrap();
    let text = fs::read_to_string(folder.join("train.jsonl")).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), want, "{format:?}");
    assert_eq!(written.n_rows as usize, want.len());
    assert_eq!(written.left_out, left_out.iter().copied().collect(), "{format:?}");
    assert_eq!(parent.path().read_dir().unwrap().count(), 1, "nothing is left beside the folder");
}

/// What a format in Parquet makes of rows.
fn read(format: Format, rows: &[Columns]) -> (Vec<Value>, Written) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("out");
    let written = export(&folder, format, rows).unwrap();
    assert!(folder.join("README.md").exists());
    let file = folder.join("data/train-00000-of-00001.parquet");
    let rows = open_records(&file).unwrap().map(|row| Value::Object(row.unwrap().columns.unwrap()));
    (rows.collect(), written)
}

#[test]
fn axolotl_has_messages_and_one_message_a_side() {
    check(
        Format::Axolotl,
        &[
            r#"{"messages":[{"role":"user","content":"2+2?"}],"chosen":{"role":"assistant","content":"4"},"rejected":{"role":"assistant","content":"5"}}"#,
            r#"{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Say \"hi\".\n"}],"chosen":{"role":"assistant","content":"Hi ☺"},"rejected":{"role":"assistant","content":"No"}}"#,
            r#"{"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"},{"role":"user","content":"And 3+3?"}],"chosen":{"role":"assistant","content":"6"},"rejected":{"role":"assistant","content":"7"}}"#,
        ],
        &[(pair::SEVERAL_TURNS, 1), (pair::NO_PAIR, 1)],
    );
}

#[test]
fn llama_factory_has_an_odd_number_of_turns_and_one_object_a_side() {
    check(
        Format::LlamaFactory,
        &[
            r#"{"system":"","conversations":[{"from":"human","value":"2+2?"}],"chosen":{"from":"gpt","value":"4"},"rejected":{"from":"gpt","value":"5"}}"#,
            r#"{"system":"Be kind.","conversations":[{"from":"human","value":"Say \"hi\".\n"}],"chosen":{"from":"gpt","value":"Hi ☺"},"rejected":{"from":"gpt","value":"No"}}"#,
            r#"{"system":"","conversations":[{"from":"human","value":"2+2?"},{"from":"gpt","value":"4"},{"from":"human","value":"And 3+3?"}],"chosen":{"from":"gpt","value":"6"},"rejected":{"from":"gpt","value":"7"}}"#,
        ],
        &[(pair::SEVERAL_TURNS, 1), (pair::NO_PAIR, 1)],
    );
    let info: Value = serde_json::from_str(&llama_factory::dataset_info("sums", false)).unwrap();
    let columns = json!({
        "messages": "conversations", "system": "system", "chosen": "chosen", "rejected": "rejected",
    });
    let want = json!({"sums": {
        "file_name": "train.jsonl", "ranking": true, "formatting": "sharegpt", "columns": columns,
    }});
    assert_eq!(info, want);
}

#[test]
fn nemo_rl_ranks_the_chosen_one_0() {
    check(
        Format::NemoRl,
        &[
            r#"{"context":[{"role":"user","content":"2+2?"}],"completions":[{"rank":0,"completion":[{"role":"assistant","content":"4"}]},{"rank":1,"completion":[{"role":"assistant","content":"5"}]}]}"#,
            r#"{"context":[{"role":"system","content":"Be kind."},{"role":"user","content":"Say \"hi\".\n"}],"completions":[{"rank":0,"completion":[{"role":"assistant","content":"Hi ☺"}]},{"rank":1,"completion":[{"role":"assistant","content":"No"}]}]}"#,
            r#"{"context":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"},{"role":"user","content":"And 3+3?"}],"completions":[{"rank":0,"completion":[{"role":"assistant","content":"6"}]},{"rank":1,"completion":[{"role":"assistant","content":"7"}]}]}"#,
        ],
        &[(pair::SEVERAL_TURNS, 1), (pair::NO_PAIR, 1)],
    );
}

#[test]
fn openrlhf_has_lists_under_three_keys_and_the_margin() {
    check(
        Format::OpenRlhf,
        &[
            r#"{"prompt":[{"role":"user","content":"2+2?"}],"chosen":[{"role":"assistant","content":"4"}],"rejected":[{"role":"assistant","content":"5"}],"margin":3.0}"#,
            r#"{"prompt":[{"role":"system","content":"Be kind."},{"role":"user","content":"Say \"hi\".\n"}],"chosen":[{"role":"assistant","content":"Hi ☺"}],"rejected":[{"role":"assistant","content":"No"}],"margin":0.5}"#,
            r#"{"prompt":[{"role":"user","content":"Go on."}],"chosen":[{"role":"assistant","content":"Done."}],"rejected":[{"role":"assistant","content":"What?"},{"role":"user","content":"Go!"},{"role":"assistant","content":"Oh."}],"margin":1.0}"#,
            r#"{"prompt":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"},{"role":"user","content":"And 3+3?"}],"chosen":[{"role":"assistant","content":"6"}],"rejected":[{"role":"assistant","content":"7"}],"margin":2.0}"#,
        ],
        &[(pair::NO_PAIR, 1)],
    );
}

#[test]
fn plain_lines_are_texts() {
    check(
        Format::Jsonl,
        &[
            r#"{"prompt":"2+2?","chosen":"4","rejected":"5","chosen_model":"llama","rejected_model":"mixtral","chosen_rating":5,"rejected_rating":2,"margin":3.0,"prompt_id":"aa"}"#,
            r#"{"system":"Be kind.","prompt":"Say \"hi\".\n","chosen":"Hi ☺","rejected":"No","chosen_model":"llama","rejected_model":"mixtral","chosen_rating":4,"rejected_rating":3.5,"margin":0.5,"prompt_id":"bb"}"#,
        ],
        &[(plain::SEVERAL_TURNS, 1), (pair::SEVERAL_TURNS, 1), (pair::NO_PAIR, 1)],
    );
}

#[test]
fn trls_formats_are_parquet_in_its_three_layouts() {
    let prompt = json!([user("2+2?")]);
    let (rows, written) = read(Format::Trl, &rows());
    assert_eq!((written.n_rows, &written.left_out), (4, &[(pair::NO_PAIR, 1)].into()));
    assert_eq!((&rows[0]["prompt"], &rows[0]["chosen"]), (&prompt, &json!([says("4")])));
    assert_eq!((&rows[0]["margin"], &rows[1]["margin"]), (&json!(3.0), &json!(0.5)));
    let names: Vec<_> = rows[0].as_object().unwrap().keys().take(3).collect();
    assert_eq!(names, ["prompt", "chosen", "rejected"]);

    let (rows, _) = read(Format::TrlImplicit, &self::rows()[..2]);
    assert_eq!(rows[0]["chosen"], json!([user("2+2?"), says("4")]));
    assert_eq!(rows[1]["rejected"], json!([system("Be kind."), user("Say \"hi\".\n"), says("No")]));
    assert!(rows[0].get("prompt").is_none(), "TRL would take the sides for answers alone");
    assert_eq!(rows[0]["margin"], 3.0);

    let (rows, written) = read(Format::TrlKto, &self::rows()[..1]);
    let answer = |text, label, model, rating| {
        json!({
            "prompt": prompt, "completion": [says(text)], "label": label, "model": model,
            "rating": rating, "prompt_id": "aa",
        })
    };
    assert_eq!(rows, [answer("4", true, "llama", 5), answer("5", false, "mixtral", 2)]);
    assert_eq!(written.n_rows, 2);
}

#[test]
fn distilabels_format_has_its_columns() {
    let (rows, _) = read(Format::Distilabel, &rows()[..1]);
    assert_eq!(rows[0]["prompt"], "2+2?");
    assert_eq!(rows[0]["chosen"], json!([user("2+2?"), says("4")]));
    assert_eq!(rows[0]["generations"], json!(["4", "5"]));
}

#[test]
fn an_older_export_is_replaced_and_a_folder_of_somebody_else_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("out");
    export(&folder, Format::NemoRl, &rows()).unwrap();
    export(&folder, Format::Trl, &rows()).unwrap();
    assert!(!folder.join("train.jsonl").exists() && folder.join("data").exists());

    let theirs = parent.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    export(&theirs, Format::Jsonl, &rows()).unwrap();
    fs::remove_file(theirs.join(MARK)).unwrap();
    let error = export(&theirs, Format::Trl, &rows()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("is no export of stillroom"), "{error}");
    assert!(theirs.join("train.jsonl").exists() && !theirs.join("data").exists());
}

#[test]
fn what_no_trainer_could_read_is_refused_and_leaves_the_folder_as_it_was() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("out");
    export(&folder, Format::Axolotl, &rows()).unwrap();
    for (format, row) in [(Format::Axolotl, 2), (Format::Trl, 4), (Format::Jsonl, 3)] {
        let error = export(&folder, format, &rows()[row..=row]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("holds no pair that"), "{error}");
        assert!(error.to_string().contains("1 because"), "{error}");
    }
    assert!(folder.join("train.jsonl").exists());
    assert_eq!(parent.path().read_dir().unwrap().count(), 1);
}

#[test]
fn snippets_name_the_folder_in_quotes_that_hold() {
    let place = Place { folder: "/my \"runs\"/it's", name: "sums", has_test: false };
    for format in Format::ALL {
        let snippet = format.snippet(place);
        let names = [r#""/my \"runs\"/it's"#, r#"'/my "runs"/it'\''s"#];
        assert!(names.iter().any(|name| snippet.contains(name)), "{snippet}");
    }
    assert!(Format::LlamaFactory.snippet(place).contains("dataset: \"sums\""));
    assert!(Format::Axolotl.snippet(place).contains("type: chat_template.default"));
    assert!(Format::NemoRl.snippet(place).contains("dataset_name: PreferenceDataset"));
    assert!(Format::OpenRlhf.snippet(place).contains("--data.apply_chat_template"));
    assert!(Format::TrlKto.snippet(place).contains("from trl import KTOConfig, KTOTrainer"));
}

#[test]
fn a_test_split_has_files_of_its_own_and_the_trainer_is_told() {
    let rows = || -> Result<RowStream<'_>> { Ok(Box::new(self::rows().into_iter().map(Ok))) };
    let leaf = Leaf { name: "dpo".to_owned(), rows: &rows };
    let is_test = |row: &Columns| row["prompt_id"] == "bb";
    for format in Format::ALL {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("out");
        let about = About::default();
        let is_pair = |row: &Columns| row.contains_key("prompt_id") && is_test(row);
        let written = write(&folder, format, &leaf, "sums", &about, Some(&is_pair)).unwrap();
        let n_test = if format == Format::TrlKto { 2 } else { 1 };
        assert_eq!(written.n_test, n_test, "{format:?}");
        let [lines, parquet] = ["test.jsonl", "data/test-00000-of-00001.parquet"]
            .map(|name| folder.join(name))
            .map(|file| file.exists().then(|| open_records(&file).unwrap().count() as u64));
        assert_eq!(lines.or(parquet), Some(n_test), "{format:?}");
        let place = Place { folder: "/out", name: "sums", has_test: true };
        let (with, without) =
            (format.snippet(place), format.snippet(Place { has_test: false, ..place }));
        assert!(with.contains("test") && !without.contains("test"), "{with}\n{without}");
    }
    assert!(llama_factory::dataset_info("sums", true).contains("\"sums_test\""));
}
