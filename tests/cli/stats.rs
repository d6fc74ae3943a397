//! Figures and reports: what a run leaves behind, and what is said of folders that hold none.

use serde_json::Value;

use crate::still::Still;

#[test]
fn a_run_leaves_a_report_and_its_figures_can_be_asked_for() {
    let still = Still::new();
    let done = still.succeed(&["run", "recipe.toml", "--set", "steps.judge.orders=2"]);
    assert!(done.stdout.contains("report: runs/small/report.html"), "{}", done.stdout);
    assert!(still.read("runs/small/report.html").starts_with("<!DOCTYPE html>"));

    let lines = still.succeed(&["stats", "runs/small"]).stdout;
    for words in ["small: finished", "UltraFeedback", "flips", "tokens/s", "prefix hits", "beats"] {
        assert!(lines.contains(words), "no {words}: {lines}");
    }
    let figures = still.succeed(&["stats", "runs/small", "--json"]).stdout;
    let figures: Value = serde_json::from_str(&figures).unwrap();
    assert_eq!((&figures["schema_version"], &figures["n_roots"]), (&1.into(), &5.into()));
    let judged = still.lines("runs/small/steps/judge.jsonl").len();
    assert_eq!(figures["judges"][0]["orders"]["n_rows"], judged);
    for model in figures["models"].as_array().unwrap() {
        let work = &model["work"];
        assert!(work["busy_seconds"].as_f64().unwrap() > 0.0, "{model}");
        assert!(work["mean_batch"].as_f64().unwrap() >= 1.0, "{model}");
        assert_eq!(work["n_answers"], model["rows"]["n_answers"]);
    }
    let judge = &figures["models"][2];
    assert!(judge["work"]["hit_rate"].as_f64().unwrap() > 0.2, "the preamble is shared: {judge}");
}

#[test]
fn several_aspects_have_lines_of_their_own() {
    let still = Still::new();
    let aspects = "steps.judge.aspect=[\"helpfulness\", \"honesty\"]";
    still.succeed(&["run", "recipe.toml", "-q", "--set", aspects]);
    let lines = still.succeed(&["stats", "runs/small"]).stdout;
    for words in ["on helpfulness: rated median", "on honesty: rated", "of at most 1.79 nats"] {
        assert!(lines.contains(words), "no {words}: {lines}");
    }
    let figures = still.succeed(&["stats", "runs/small", "--json"]).stdout;
    let figures: Value = serde_json::from_str(&figures).unwrap();
    let aspects = figures["judges"][0]["aspects"].as_array().unwrap();
    let names: Vec<&Value> = aspects.iter().map(|of| &of["aspect"]).collect();
    assert_eq!(names, ["helpfulness", "honesty"]);
    assert!(aspects.iter().all(|of| of["confidence"]["entropy"]["mean"].is_number()));
}

#[test]
fn no_wall_clock_value_is_in_the_rows() {
    let still = Still::new();
    still.succeed(&["run", "recipe.toml", "-q", "--out", "one"]);
    still.succeed(&["run", "recipe.toml", "-q", "--out", "other"]);
    for step in ["answer_llama", "judge", "dpo"] {
        let name = format!("steps/{step}.jsonl");
        assert_eq!(still.lines(&format!("one/{name}")), still.lines(&format!("other/{name}")));
    }
    assert!(still.read("one/events.jsonl").contains("\"event\":\"used\""));
}

#[test]
fn a_report_can_be_written_again_and_is_not_written_by_a_dry_run() {
    let still = Still::new();
    still.succeed(&["run", "recipe.toml", "-q", "--limit", "2"]);
    std::fs::remove_file(still.path("runs/small/report.html")).unwrap();
    let done = still.succeed(&["report", "runs/small"]);
    assert!(done.stdout.contains("runs/small/report.html"), "{}", done.stdout);
    assert!(still.read("runs/small/report.html").contains("first 2 rows"));
}

#[test]
fn a_folder_without_a_run_is_refused() {
    let still = Still::new();
    std::fs::create_dir(still.path("empty")).unwrap();
    for command in ["stats", "report"] {
        still.fail(&[command, "absent"], 2, &["there is no folder absent", "runs/NAME"]);
        still.fail(&[command, "empty"], 2, &["empty holds no run"]);
    }
    still.write("empty/plan.json", "{");
    still.fail(&["stats", "empty"], 3, &["empty/plan.json is no plan of a run"]);
}
