//! Layouts: that each is told, read, and matched with the trainers that read it.

use serde_json::{Value, json};

use super::sample::{Answers, Sample, Turn};
use super::*;
use crate::data::row::Columns;

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn says(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

/// One row of each layout, all of the same pair.
fn layouts() -> Vec<(Schema, Value)> {
    let (p, a, b) = (user("2+2?"), says("4"), says("5"));
    let gpt = |text: &str| json!({"from": "gpt", "value": text});
    vec![
        (Schema::Explicit, json!({"prompt": [p], "chosen": [a], "rejected": [b]})),
        (Schema::Implicit, json!({"chosen": [p, a], "rejected": [p, b]})),
        (Schema::Text, json!({"prompt": "2+2?", "chosen": "4", "rejected": "5"})),
        (Schema::TextImplicit, json!({"chosen": "2+2? 4", "rejected": "2+2? 5"})),
        (Schema::Distilabel, json!({"prompt": "2+2?", "chosen": [p, a], "rejected": [p, b]})),
        (Schema::Mixed, json!({"prompt": [p], "chosen": "4", "rejected": "5"})),
        (Schema::Unpaired, json!({"prompt": [p], "completion": [a], "label": true})),
        (Schema::TextUnpaired, json!({"prompt": "2+2?", "completion": "4", "label": true})),
        (Schema::Axolotl, json!({"messages": [p], "chosen": a, "rejected": b})),
        (
            Schema::ShareGpt,
            json!({
                "conversations": [{"from": "human", "value": "2+2?"}],
                "chosen": gpt("4"), "rejected": gpt("5"), "system": "",
            }),
        ),
        (Schema::Alpaca, json!({"instruction": "2+2?", "chosen": "4", "rejected": "5"})),
        (
            Schema::Ranked,
            json!({"context": [p], "completions": [
                {"rank": 1, "completion": [b]}, {"rank": 0, "completion": [a]},
            ]}),
        ),
    ]
}

fn row(row: &Value) -> &Columns {
    row.as_object().expect("a row is an object")
}

#[test]
fn every_layout_is_told_and_read_as_the_same_pair() {
    let turn = |role, text| vec![Turn::plain(role, Some(text))];
    let (prompt, four, five) =
        (turn("user", "2+2?"), turn("assistant", "4"), turn("assistant", "5"));
    for (schema, value) in layouts() {
        assert_eq!(Schema::of(row(&value)), Some(schema), "{value}");
        let single = matches!(schema, Schema::Unpaired | Schema::TextUnpaired);
        let prompt =
            if schema == Schema::TextImplicit { turn("user", "2+2? ") } else { prompt.clone() };
        let answers = if single {
            Answers::Single(four.clone(), true)
        } else {
            Answers::Pair([four.clone(), five.clone()])
        };
        assert_eq!(schema.read(row(&value)), Some(Sample { prompt, answers }), "{value}");
    }
}

#[test]
fn a_null_stands_for_any_kind_and_another_kind_is_another_layout() {
    let null = json!({"prompt": [user("x")], "chosen": null, "rejected": [says("y")]});
    assert_eq!(Schema::of(row(&null)), None);
    let sample = Schema::Explicit.read(row(&null)).unwrap();
    assert!(sample.turns().any(|turn| turn.has_null && turn.content.is_empty()));
    for (schema, value) in layouts() {
        let is_explicit = schema == Schema::Explicit;
        assert_eq!(Schema::Explicit.read(row(&value)).is_some(), is_explicit, "{value}");
    }
    for stranger in [json!({"text": "x"}), json!({"chosen": 1, "rejected": 2}), json!({})] {
        assert_eq!(Schema::of(row(&stranger)), None, "{stranger}");
    }
}

#[test]
fn what_an_export_writes_its_trainer_reads_as_it_is() {
    use Format::*;
    let own = [
        (Trl, Schema::Explicit),
        (TrlImplicit, Schema::Implicit),
        (TrlKto, Schema::Unpaired),
        (Axolotl, Schema::Axolotl),
        (LlamaFactory, Schema::ShareGpt),
        (NemoRl, Schema::Ranked),
        (Distilabel, Schema::Distilabel),
        (Jsonl, Schema::Text),
    ];
    for (format, schema) in own {
        assert_eq!(schema.fit(format), Fit::Yes, "{format:?}");
    }
    assert!(!Schema::Explicit.fit(OpenRlhf).is_no());
    // What its users meet: a text beside lists stops TRL, a list is not a side for LLaMA-Factory.
    assert!(Schema::Distilabel.fit(Trl).is_no() && Schema::Explicit.fit(LlamaFactory).is_no());
}

#[test]
fn rows_are_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let pair =
        |i: usize| json!({"prompt": format!("What is {i}?"), "chosen": "a", "rejected": "b"});
    let same = json!({"prompt": "What is it?", "chosen": "a", "rejected": "a"});
    let lines = format!("{}\n\n{same}\nno json\n{}\n{same}\n", pair(0), pair(1));
    let path = folder.path().join("pairs.jsonl");
    std::fs::write(&path, lines).unwrap();
    std::fs::write(folder.path().join("other.jsonl"), "{\"text\":\"x\"}\n").unwrap();
    let tools = Tools {
        normalise: &|text| text.into(),
        likeness: &|_, _| 0.0,
        cut: None,
        control_tokens: &[],
    };
    let mut texts = Vec::new();
    let report = lint(folder.path(), None, tools, &mut |batch| {
        texts.extend(batch);
        Ok(vec![Some(0), None, None, Some(0), None])
    });
    let report = report.unwrap();
    let found: Vec<_> = report.findings.iter().map(|f| (f.rule, f.places.clone())).collect();
    let at = |lines: &[usize]| -> Vec<String> {
        lines.iter().map(|line| format!("{}:{line}", path.display())).collect()
    };
    let want = [
        ("unreadable", at(&[4])),
        ("identical", at(&[3, 6])),
        ("duplicate", at(&[6])),
        ("near-duplicate", at(&[5])),
    ];
    assert_eq!(found, want);
    assert_eq!(texts, ["What is 0?\na\nb", "What is it?\na\na", "", "What is 1?\na\nb", ""]);
    assert_eq!((report.n_rows(), report.strangers.len()), (5, 1));

    std::fs::remove_file(&path).unwrap();
    let error = lint(folder.path(), None, tools, &mut |_| Ok(Vec::new())).unwrap_err();
    assert!(error.to_string().contains("its columns: text"), "{error}");
    assert_eq!(error.exit_code(), 2);
}
