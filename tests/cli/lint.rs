//! `stillroom lint`: every planted fault is found at its line, and a clean file is clean.

use serde_json::{Value, json};

use crate::still::Still;

/// Questions and answers that have nothing in common, as many as there are words to make them of.
fn text(i: usize, what: &str, n_words: usize) -> String {
    let words =
        ["ash", "brook", "candle", "dune", "ember", "fjord", "grove", "harbour", "inlet", "jetty"];
    let mut state = i as u64 + 1;
    let mut word = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{}{}", words[(state >> 60) as usize % words.len()], (state >> 40) % 1000)
    };
    let words: Vec<_> = (0..n_words).map(|_| word()).collect();
    format!("{what} {}", words.join(" "))
}

fn says(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// A clean row: both answers of about the same length.
fn row(i: usize) -> Value {
    json!({
        "prompt": [says("user", &text(3 * i, "Tell me about", 12))],
        "chosen": [says("assistant", &text(3 * i + 1, "Well,", 30 + i % 5))],
        "rejected": [says("assistant", &text(3 * i + 2, "Hm,", 30 + (i + 2) % 5))],
    })
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Rules with their counts and first places, from the report for machines.
fn findings(stdout: &str) -> Vec<(String, u64, String)> {
    let report: Value = serde_json::from_str(stdout).expect("a JSON report");
    assert_eq!(report["schema_version"], 1);
    let findings = report["findings"].as_array().expect("findings");
    findings
        .iter()
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().expect("a text").to_owned();
            assert!(!text("what").is_empty() && !text("advice").is_empty());
            let place = finding["places"][0].as_str().expect("a place").to_owned();
            (text("rule"), finding["count"].as_u64().expect("a count"), place)
        })
        .collect()
}

#[test]
fn a_clean_data_set_has_no_findings() {
    let still = Still::new();
    still.write_model("llama", "model");
    let rows: Vec<Value> = (0..60).map(row).collect();
    still.write("train.jsonl", lines(&rows));
    let done = still.succeed(&["lint", "train.jsonl"]);
    for word in ["60 rows", "explicit prompt", "read by: trl", "nothing found"] {
        assert!(done.stdout.contains(word), "no {word}: {}", done.stdout);
    }
    let args = ["lint", "train.jsonl", "--json", "--max-len", "4096", "--tokenizer", "model"];
    assert_eq!(findings(&still.succeed(&args).stdout), []);
}

#[test]
fn every_planted_fault_is_found_at_its_line() {
    let still = Still::new();
    still.write_model("llama", "model");
    let mut rows: Vec<Value> = (0..40).map(row).collect();
    let mut plant = |line: usize, column: &str, turns: Value| rows[line - 1][column] = turns;
    plant(3, "rejected", json!([says("assistant", &format!(" {} ", text(7, "Well,", 32)))]));
    let nearly = text(10, "Well,", 33).replacen("Well,", "Well!", 1);
    plant(4, "rejected", json!([says("assistant", &nearly)]));
    plant(6, "chosen", json!([says("assistant", " \n")]));
    plant(8, "prompt", json!([says("assistant", "No."), says("user", "Why not, if I may ask?")]));
    plant(9, "chosen", json!([says("bot", "I am somebody unknown here.")]));
    plant(11, "prompt", json!([says("user", "How deep is the sea there?")]));
    plant(11, "rejected", json!([says("assistant", "How deep is the sea there? Very deep.")]));
    plant(13, "chosen", json!([says("assistant", "It is so.<|eot_id|>")]));
    plant(15, "rejected", json!([{"role": "assistant", "content": "Yes, it is.", "name": null}]));
    plant(16, "chosen", json!("a text beside lists"));
    let long = text(999, "See", 400);
    plant(18, "chosen", json!([says("assistant", &format!("{long} at dawn"))]));
    plant(
        18,
        "rejected",
        json!([says(
            "assistant",
            &format!("{long} or never, and none of that at all matters to {}", text(998, "me", 30))
        )]),
    );
    rows[19] = rows[0].clone();
    let (chosen, rejected) = (rows[1]["chosen"].clone(), rows[1]["rejected"].clone());
    rows[21] = json!({"prompt": rows[1]["prompt"], "chosen": rejected, "rejected": chosen});
    rows[23] = rows[4].clone();
    let question = rows[4]["prompt"][0]["content"].as_str().unwrap().replacen("Tell", "tell", 1);
    rows[23]["prompt"] = json!([says("user", &format!("{question}!"))]);
    let mut text = lines(&rows);
    text += "not json\n";
    std::fs::create_dir(still.path("data")).unwrap();
    still.write("data/train.jsonl", text);
    still.write(
        "data/test.jsonl",
        lines(&[json!({
            "prompt": rows[25]["prompt"], "chosen": [says("assistant", "A sea.")],
            "rejected": [says("assistant", "A lake.")],
        })]),
    );
    let done = still.run(&["lint", "data", "--json", "--max-len", "256", "--tokenizer", "model"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    let at = |rule: &str, n: u64, file: &str, line: usize| {
        (rule.to_owned(), n, format!("data/{file}.jsonl:{line}"))
    };
    let want = [
        at("unreadable", 1, "train", 41),
        at("schema", 1, "train", 16),
        at("null", 1, "train", 15),
        at("roles", 2, "train", 8),
        at("empty", 1, "train", 6),
        at("identical", 1, "train", 3),
        at("near-identical", 1, "train", 4),
        at("truncated", 1, "train", 18),
        at("leaked-prompt", 1, "train", 11),
        at("markup", 1, "train", 13),
        at("duplicate", 1, "train", 20),
        at("near-duplicate", 1, "train", 24),
        at("contradiction", 1, "train", 22),
        at("split-leak", 1, "train", 26),
    ];
    assert_eq!(findings(&done.stdout), want);
    let done = still.run(&["lint", "data"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("13 findings in data"), "{}", done.stderr);
    assert!(done.stdout.contains("markup (1): control tokens"), "{}", done.stdout);
    assert!(done.stdout.contains("  at data/train.jsonl:13\n"), "{}", done.stdout);
}

#[test]
fn a_skew_of_lengths_is_told_with_its_figures() {
    let still = Still::new();
    let rows: Vec<Value> = (0..40)
        .map(|i| {
            json!({
                "prompt": text(3 * i, "Tell me about", 9),
                "chosen": text(3 * i + 1, "Well,", 40),
                "rejected": text(3 * i + 2, "Hm,", 20),
            })
        })
        .collect();
    still.write("pairs.jsonl", lines(&rows));
    let done = still.run(&["lint", "pairs.jsonl", "--json"]);
    assert_eq!(findings(&done.stdout), [("length-skew".into(), 1, "pairs.jsonl".into())]);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["lengths"]["longer_chosen"], 1.0);
    assert!(report["lengths"]["correlation"].as_f64().unwrap() > 0.9);
}

#[test]
fn a_layout_is_held_against_the_trainer() {
    let still = Still::new();
    let conversation =
        |answer: &str| json!([says("user", "How are you?"), says("assistant", answer)]);
    let row = json!({
        "prompt": "How are you?", "chosen": conversation("Well."), "rejected": conversation("Ill."),
    });
    still.write("pairs.jsonl", lines(&[row]));
    still.succeed(&["lint", "pairs.jsonl"]);
    still.succeed(&["lint", "pairs.jsonl", "--format", "openrlhf"]);
    let done = still.run(&["lint", "pairs.jsonl", "--format", "trl"]);
    assert_eq!(done.code, 1);
    for word in ["distilabel", "not for trl: prompt and sides are of two kinds", "schema (1)"] {
        assert!(done.stdout.contains(word), "no {word}: {}", done.stdout);
    }
}

#[test]
fn what_cannot_be_looked_at_is_a_fault_of_usage() {
    let still = Still::new();
    still.fail(&["lint", "prompts.jsonl"], 2, &["no preferences", "its columns: instruction"]);
    still.fail(&["lint", "absent.jsonl"], 3, &["absent.jsonl"]);
    still.fail(&["lint", "prompts.jsonl", "--max-len", "9"], 2, &["--tokenizer"]);
    still.fail(&["lint", "prompts.jsonl", "--max-len", "9", "--tokenizer", "x"], 3, &["tokenizer"]);
    still.fail(&["lint", "."], 2, &["no preferences"]);
}
