//! `report.html`: well-formed, complete, and deaf to what data would have it do.

use std::path::Path;

use serde_json::json;
use stillroom::data::folder::RunFolder;
use stillroom::pipeline::report;

use crate::folder::{Folder, pair};
use crate::html::Html;
use crate::instant::Instant;
use crate::support::*;

fn page(folder: &Path) -> (String, Html) {
    let text = std::fs::read_to_string(folder.join("report.html")).expect("a report");
    let html = Html::read(&text);
    (text, html)
}

fn write(folder: &Path) -> (String, Html) {
    report::write(&RunFolder::look(folder).expect("a run")).expect("whole files");
    page(folder)
}

/// Nothing on a page may run or reach out.
fn expect_inert(text: &str, html: &Html) {
    for name in ["script", "iframe", "object", "embed", "link", "img", "form", "base"] {
        assert_eq!(html.count(name), 0, "{name}");
    }
    let mut attributes = html.elements.iter().flat_map(|(_, attributes)| attributes);
    assert!(attributes.all(|(name, _)| !name.starts_with("on") && name != "src"));
    assert!(html.values("href").all(|to| to.starts_with('#')));
    assert!(!text.contains("url(") && !text.contains("@import"));
    let is_shown = |c: char| !c.is_control() || c == '\n' || c == '\t';
    assert!(text.chars().all(is_shown), "a control character");
}

#[test]
fn a_run_ends_with_a_report_of_every_part() {
    let (folder, summary) = run_new(MATH);
    let (text, html) = page(folder.path());
    expect_inert(&text, &html);
    // A table's own name is no part of the page.
    let ids: Vec<&str> = html.values("id").filter(|id| !id.starts_with("matrix-")).collect();
    assert_eq!(ids, ["leaf-1", "judge-1", "rows", "models", "samples-1"]);
    let links: Vec<&str> = html.values("href").map(|to| &to[1..]).collect();
    assert_eq!(links, ids, "the parts are linked");
    assert_eq!(html.count("svg"), 9);
    let charts = html.elements.iter().filter(|(name, _)| name == "svg");
    for (_, attributes) in charts {
        let told = attributes.iter().find(|(name, _)| name == "aria-label").unwrap();
        assert!(told.1.chars().any(|c| c.is_ascii_digit()), "{told:?} says no figure");
    }
    assert_eq!(html.count("article") as u64, summary.n_pairs.min(20));
    for words in
        ["Pairs left by a least margin", "prefix hits", "flip with the order", "rated higher"]
    {
        assert!(html.text.contains(words), "{words}");
    }
    assert!(text.contains("prefers-color-scheme: dark") && text.contains("name=\"viewport\""));
}

#[test]
fn a_report_is_the_same_whatever_order_rows_came_in() {
    let without_times = |text: &str| -> String {
        let is_timed = |line: &&str| {
            ["clock", "loaded in", "soft", "class=\"value\""].iter().any(|word| line.contains(word))
        };
        text.lines().filter(|line| !is_timed(line)).filter(|line| !line.contains("tiny:")).collect()
    };
    let (folder, _) = run_new(MATH);
    let calm = without_times(&page(folder.path()).0);
    let jittered = tempfile::tempdir().unwrap();
    run_in(jittered.path(), MATH, &Instant { jitter: 5, ..Instant::default() }).unwrap();
    assert_eq!(without_times(&page(jittered.path()).0), calm);
}

#[test]
fn a_dry_run_and_a_stopped_one_leave_no_report_but_one_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let models = Instant::default();
    models.shared.borrow_mut().n_until_interrupt = Some(10);
    run_in(folder.path(), LINEAR, &models).unwrap_err();
    assert!(!folder.path().join("report.html").exists());
    let (text, html) = write(folder.path());
    expect_inert(&text, &html);
    assert!(html.text.contains("not finished") && html.text.contains("interrupted"));
}

#[test]
fn text_of_the_data_stays_text() {
    let evil = "<script>alert(1)</script> \"quoted\" 'single' & &amp; </p><b onclick=x> \u{0}\u{1b}[2J\u{202e}desrever\u{200f}";
    let folder = Folder::new();
    let mut row = pair(evil, (evil, 4.0), ("plain", 2.0));
    row["chosen_model"] = json!("</text><script>m</script>");
    row["rationales"] = json!([evil, "]]></svg>"]);
    folder.rows("dpo", vec![row.clone()]);
    let judged = json!({"generations": [evil, "x"], "ratings": [3, 4],
        "model_names": ["</text><script>m</script>", "\" onload=\"x"]});
    folder.rows("judge", vec![judged]);
    let dropped = json!({"row": "0".repeat(32), "step": "dpo", "reason": "<i>reason</i>\u{7}"});
    folder.write("dropped.jsonl", &format!("{dropped}\n"));
    let plan = std::fs::read_to_string(folder.path().join("plan.json")).unwrap();
    folder.write("plan.json", &plan.replace("by hand", "</title><script>n</script>"));
    let (text, html) = write(folder.path());
    expect_inert(&text, &html);
    for words in [
        "<script>alert(1)</script> \"quoted\" 'single' & &amp; </p><b onclick=x> \u{2400}\u{241b}[2J[U+202E]desrever\u{200f}",
        "</text><script>m</script>",
        "]]></svg>",
        "<i>reason</i>\u{2407}",
        "</title><script>n</script>",
    ] {
        assert!(html.text.contains(words), "{words:?}");
    }
}

#[test]
fn long_answers_are_cut_with_a_note_and_the_page_stays_small() {
    let folder = Folder::new();
    let long = "word ".repeat(20_000);
    let rows = (0..40).map(|i| pair(&format!("prompt {i}"), (&long, f64::from(i)), ("no", 0.0)));
    folder.rows("dpo", rows.collect());
    folder.rows("judge", Vec::new());
    let (text, html) = write(folder.path());
    assert_eq!(html.count("article"), 20);
    assert!(
        html.text.contains("[cut: 98600 more characters]")
            && html.text.contains("100,000 characters")
    );
    assert!(text.len() < 300_000, "{} bytes", text.len());
    // From the largest margin to the smallest.
    assert!(html.text.contains("prompt 39") && html.text.contains("prompt 0"));
}

#[test]
fn empty_runs_have_a_page() {
    let folder = Folder::new();
    let (text, html) = write(folder.path());
    expect_inert(&text, &html);
    assert!(html.text.contains("no pair of chosen and rejected"));
    let unrated =
        json!({"generations": ["x", "y"], "ratings": [null, null], "model_names": ["a", "b"]});
    folder.rows("judge", vec![unrated]);
    folder.rows("dpo", vec![pair("p", ("same length", 3.0), ("same lengtH", 3.0))]);
    let (text, html) = write(folder.path());
    expect_inert(&text, &html);
    assert!(html.text.contains("Answers rated N/A") && html.text.contains("1 sample pair"));
}

#[test]
fn aspects_have_a_chart_and_a_table() {
    let folder = Folder::new();
    let aspects = json!({
        "honesty": {"ratings": [null, 2.5], "ratings_entropy": [0.25, 0.75],
            "ratings_probabilities": [[0, 0, 0, 0, 0.4, 0.6], [0, 0.5, 0.5, 0, 0, 0]]},
        "<i>odd</i>": {"ratings": ["x"]},
    });
    folder.rows("judge", vec![json!({"ratings": [4, 2.5], "aspects": aspects})]);
    folder.rows("dpo", Vec::new());
    let (text, html) = write(folder.path());
    expect_inert(&text, &html);
    assert!(text.contains("aria-label=\"Ratings by aspect\""));
    for words in ["<i>odd</i>", "0.50 of 1.79", "50\u{a0}%"] {
        assert!(html.text.contains(words), "{words:?}: {}", html.text);
    }
    folder.rows("judge", vec![json!({"ratings": [4, 2.5]})]);
    assert!(!write(folder.path()).0.contains("Ratings by aspect"), "one aspect is the judge's own");
}
