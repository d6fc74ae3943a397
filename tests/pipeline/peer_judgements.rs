//! distilabel 1.5.3's table of judge answers to two texts: what it made of each, with what comes of
//! the same judge here.
//!
//! All is shown on a real engine. A judge with random weights is drawn so strongly towards the tokens
//! of the answer that the peer could not read that it writes nothing else where it is free; the form
//! around that is held line by line.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use stillroom::llm::{ModelFolder, tiny};
use stillroom::pipeline::{LocalModels, RunOptions, Summary, run};

use crate::nasty;
use crate::support::*;

/// Runs a recipe on the models of this machine.
fn run_local(text: &str, cache: &Path, out: &Path) -> Summary {
    let interrupt = AtomicBool::new(false);
    let options = RunOptions {
        out: out.to_owned(),
        limit: None,
        dry_run: false,
        layout: Default::default(),
        interrupt: &interrupt,
    };
    let mut models = LocalModels::new("cpu", cache).expect("a CPU").memory(256 << 20);
    run(&recipe(text), &options, &mut models, &mut ()).expect("the run ends well")
}

/// What a judge is drawn to, and how it is asked.
struct Judge<'a> {
    /// The text whose tokens it prefers to all others; with none, the end of its answer.
    wish: &'a str,
    aspect: &'a str,
    n_reason_tokens: usize,
    n_tokens_max: usize,
}

impl Default for Judge<'_> {
    fn default() -> Self {
        Self { wish: "", aspect: "overall-rating", n_reason_tokens: 16, n_tokens_max: 1024 }
    }
}

/// The rows of a judge and the pairs made of them.
struct Judged {
    rows: Vec<Value>,
    pairs: Vec<Value>,
}

impl Judge<'_> {
    fn run(&self) -> Judged {
        let cache = tempfile::tempdir().expect("a folder");
        let folder = tiny("judge", &cache.path().join("tiny")).expect("a tiny judge");
        let folder = ModelFolder::read(&folder).expect("a model's folder");
        let voice = folder.voice();
        let mut tokens = match self.wish {
            "" => voice.stop_tokens.to_vec(),
            wish => voice.tokenizer.encode(wish).expect("tokens"),
        };
        tokens.sort_unstable();
        tokens.dedup();
        let bias: Vec<String> = tokens.iter().map(|token| format!("{token} = 40.0")).collect();
        let Self { wish, aspect, n_reason_tokens, n_tokens_max } = self;
        let text = format!(
            r#"
name = "wish"
flow = "load >> judge >> dpo"
[models.judge]
source = "tiny:judge"
[steps.load]
type = "LoadDataFromDicts"
data = [
  {{ instruction = "1 + 1?", generations = ["2", "two or three"] }},
  {{ instruction = "A prime?", generations = ["7 is one.", "I cannot say."] }},
]
[steps.judge]
type = "UltraFeedback"
model = "judge"
aspect = "{aspect}"
max_rationale_tokens = {n_reason_tokens}
[steps.judge.generation]
temperature = 1.0
max_new_tokens = {n_tokens_max}
logit_bias = {{ {} }}
[steps.dpo]
type = "FormatTextGenerationDPO"
"#,
            bias.join(", ")
        );
        let out = tempfile::tempdir().expect("a folder");
        let out = out.path().join("run");
        let summary = run_local(&text, cache.path(), &out);
        assert_eq!(summary.n_dropped(), 0, "{wish:?}: {:?}", summary.dropped);
        Judged { rows: step(&out, "judge"), pairs: step(&out, "dpo") }
    }
}

/// `[texts, labels]` what stands behind each label of a judge's whole answer; a line too many, too
/// few or elsewhere is a failure.
fn filled<'a>(row: &'a Value, labels: &[&str]) -> Vec<Vec<&'a str>> {
    let raw = row["distilabel_metadata"]["raw_output_judge"].as_str().expect("a text");
    let lines: Vec<&str> = raw.lines().collect();
    let n_lines = labels.len() + 1;
    assert_eq!(lines.len(), 2 * n_lines + 1, "{raw:?}");
    assert_eq!((lines[0], lines[n_lines], lines[n_lines + 1]), ("Answer 1", "", "Answer 2"));
    let of_text = |lines: &[&'a str]| {
        let value = |(line, label): (&&'a str, &&str)| {
            line.strip_prefix(label).unwrap_or_else(|| panic!("no {label:?} in {line:?}"))
        };
        lines.iter().zip(labels).map(value).collect()
    };
    vec![of_text(&lines[1..n_lines]), of_text(&lines[n_lines + 2..])]
}

/// That both texts of both rows are rated in the form's words, that the reasons are made of what
/// the judge was drawn to, `shows` among it, and that two different texts make each pair.
fn expect_rated(wish: &str, shows: &str) {
    let judged = Judge { wish, ..Judge::default() }.run();
    assert_eq!(judged.rows.len(), 2);
    let mut reasons = String::new();
    for row in &judged.rows {
        for column in ["ratings", "rationales"] {
            assert_eq!(row[column].as_array().map(Vec::len), Some(2), "{wish:?}: {column}");
        }
        for (i, lines) in filled(row, &["Rating: ", "Reason for the rating:"]).iter().enumerate() {
            assert!(["1", "2", "3", "4", "5"].contains(&lines[0]), "{wish:?}: {lines:?}");
            assert_eq!(row["ratings_sampled"][i].as_u64(), lines[0].parse().ok());
            let rating = row["ratings"][i].as_f64().expect("a number");
            assert!((1.0..=5.0).contains(&rating), "{wish:?}: {rating}");
            assert_eq!(row["rationales"][i], lines[1].trim());
            let is_wished = |c: char| wish.is_empty() || wish.contains(c) || c == ' ';
            assert!(lines[1].chars().all(is_wished), "{wish:?} alone is in {:?}", lines[1]);
            reasons.push_str(lines[1]);
        }
    }
    assert!(reasons.contains(shows), "{shows:?} of {wish:?} shows in {reasons:?}");
    assert_eq!(judged.pairs.len(), 2, "{wish:?}");
    for pair in &judged.pairs {
        assert_ne!(pair["chosen"], pair["rejected"], "{wish:?}");
        let [chosen, rejected] =
            ["chosen_rating", "rejected_rating"].map(|side| pair[side].as_f64());
        assert!(chosen > rejected && rejected.is_some(), "{wish:?}: {chosen:?} {rejected:?}");
    }
}

/// The one answer that the peer reads rightly.
#[test]
fn a_clean_answer_is_read() {
    expect_rated("Good and clear.", ".");
}

/// [None, 4, 3], then a TypeError that voids the batch.
#[test]
fn a_polite_first_line_shifts_no_rating() {
    expect_rated("Sure! Here are the ratings:", "!");
}

/// [None], and a pair of the first answer with itself.
#[test]
fn a_refusal_makes_no_pair_of_one_text() {
    expect_rated("I'm sorry, I cannot rate these.", "not");
}

/// [4], and a pair of the first answer with itself: the judge stopped after the first text.
#[test]
fn an_answer_that_wants_to_end_early_is_not_cut_off() {
    expect_rated("", "");
}

/// The same at the peer's default limit of 128 tokens, by a judge that never comes to an end.
#[test]
fn a_small_limit_shortens_reasons_and_not_ratings() {
    let judge = Judge { wish: "and so on ", n_reason_tokens: 100, ..Judge::default() };
    let n_tokens = |row: &Value| {
        let statistics = &row["distilabel_metadata"]["statistics_judge"];
        statistics["output_tokens"].as_u64().expect("a count")
    };
    let roomy = judge.run();
    assert!(roomy.rows.iter().all(|row| n_tokens(row) > 128), "it would write more");
    let tight = Judge { n_tokens_max: 128, ..judge }.run();
    for row in &tight.rows {
        assert!((100..=128).contains(&n_tokens(row)), "{}", n_tokens(row));
        for lines in filled(row, &["Rating: ", "Reason for the rating:"]) {
            assert!(lines[1].len() > 10 && "12345".contains(lines[0]), "{lines:?}");
        }
    }
    assert_eq!(tight.pairs.len(), 2);
}

/// A judge that says one thing over and over is held by the bound of its reasons alone: what ends
/// other answers that go round in circles would take the ratings with it.
#[test]
fn a_judge_that_goes_round_in_circles_still_rates() {
    let judge = Judge { wish: "x", n_reason_tokens: 200, ..Judge::default() };
    for row in judge.run().rows {
        for lines in filled(&row, &["Rating: ", "Reason for the rating:"]) {
            assert!(lines[1].contains(&"x".repeat(100)), "it does not loop: {lines:?}");
            assert!("12345".contains(lines[0]), "{lines:?}");
        }
    }
}

/// [4], the second text swallowed by the first one's reason.
#[test]
fn both_texts_in_one_block_cannot_be() {
    expect_rated("Answer 2 Rating: 3", ":");
}

/// [4, None, 2].
#[test]
fn a_reason_of_two_paragraphs_ends_with_its_first() {
    expect_rated("One.\n\nTwo.", "");
}

/// [4, None, 9, None], the nine out of the remark.
#[test]
fn no_remark_closes_the_answer() {
    expect_rated("I hope this helps, 9 of 10!", "9");
}

/// [None, None].
#[test]
fn markdown_labels_do_not_hide_a_rating() {
    expect_rated("**Rating:** 4", "*");
}

/// Four Nones.
#[test]
fn no_blank_line_parts_a_rating_from_its_reason() {
    expect_rated("\n\nRationale: ", "");
}

/// None in the place of a list.
#[test]
fn a_rating_in_words_cannot_be() {
    expect_rated("Rating: Good", "G");
}

/// 4, 4, 5, 1 and 10, all accepted.
#[test]
fn a_rating_out_of_range_or_of_another_form_cannot_be() {
    for (wish, shows) in [("4.5", "."), ("4/5", "/"), ("[5]", "["), ("-1", "-"), ("10", "0")] {
        expect_rated(wish, shows);
    }
}

/// [None, None].
#[test]
fn an_answer_of_nothing_still_has_ratings() {
    for aspect in ["overall-rating", "instruction-following"] {
        for row in (Judge { aspect, n_reason_tokens: 8, ..Judge::default() }).run().rows {
            let lines = filled(&row, &["Rating: ", "Reason for the rating:"]);
            assert!(lines.iter().all(|of| "12345".contains(of[0])), "{lines:?}");
            assert!(row["ratings"].as_array().unwrap().iter().all(Value::is_number));
        }
    }
}

// What structured output lets through.

/// `{"ratings": [4]}` passes for two texts, and what cannot be decoded gives Nones.
#[test]
fn a_list_of_another_length_cannot_be() {
    expect_rated("{\"ratings\": [4]}", "{");
    expect_rated("{\"ratings\": [4, 3, 5, ", "{");
}

/// Three types for two texts; `rationales_for_rating` where the columns say
/// `rationales-for-ratings`; keys that are missing.
#[test]
fn every_list_of_an_aspect_is_there_under_its_own_name_and_as_long_as_the_answers() {
    let wish = "{\"types\": [1, 2, 3], \"rationales_for_rating\": []}";
    for aspect in ["helpfulness", "truthfulness"] {
        let judged = Judge { wish, aspect, ..Judge::default() }.run();
        for row in &judged.rows {
            for column in ["types", "rationales", "ratings", "rationales-for-ratings"] {
                assert_eq!(row[column].as_array().map(Vec::len), Some(2), "{aspect}: {column}");
            }
            assert!(row.get("rationales_for_rating").is_none());
        }
        assert_eq!(judged.pairs.len(), 2);
    }
}

/// Of the types "1, 3" only the first is kept, and nothing says so.
#[test]
fn a_type_is_one_of_four_words_and_kept_whole() {
    let labels = ["Rating: ", "Reason for the rating:", "Kind: ", "Reason for the kind:"];
    for aspect in ["helpfulness", "truthfulness"] {
        let judged = Judge { wish: "1, 3", aspect, ..Judge::default() }.run();
        let mut written = String::new();
        for row in &judged.rows {
            for (i, lines) in filled(row, &labels).iter().enumerate() {
                let want = match lines[2] {
                    "None" => Value::Null,
                    kind => json!(kind.parse::<u64>().expect("a digit")),
                };
                assert!(want.is_null() || ["1", "2", "3"].contains(&lines[2]), "{lines:?}");
                assert_eq!(row["types"][i], want);
                assert_eq!(row["rationales"][i], lines[3].trim(), "the reason of the kind");
                assert_eq!(row["rationales-for-ratings"][i], lines[1].trim());
                written.push_str(lines[1]);
            }
        }
        assert!(written.contains(','), "the judge writes lists where it may: {written:?}");
    }
}

/// Two hundred calls here; `cargo bench --bench judge` makes ten thousand of them.
#[test]
fn every_judgement_is_readable_whatever_stands_in_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (n_rows, n_long) = (40, 3000);
    let lines: Vec<String> =
        (0..n_rows).map(|i| nasty::row(i, if i == 17 { n_long } else { 0 }).to_string()).collect();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let judge = nasty::judge(folder.path());
    let out = folder.path().join("run");
    let summary = run_local(&nasty::recipe_text(&judge, &path), folder.path(), &out);
    assert_eq!(summary.n_dropped(), 0, "{:?}", summary.dropped);
    assert_eq!(summary.tokens["judge"].n_answers, 5 * n_rows as u64);
    let rows = step(&out, "judge");
    assert_eq!(rows.len(), n_rows);
    for row in &rows {
        assert!(nasty::is_readable(row), "{row:#}");
    }
}
