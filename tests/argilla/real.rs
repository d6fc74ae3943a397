//! The same stories against a real server, where `STILLROOM_ARGILLA_URL` names one.
//!
//! tests/argilla/server.sh starts argilla-server 2.8.0 with its own database and says in its head
//! what is stood in. Its users are `owner`, `admin`, `annotator` and `other` with keys `NAME.key`.
//! Without the variable these tests have nothing to speak to and say so.

use serde_json::{Value, json};

use crate::run_folder::{KEY, RunFolder};

const PUSH: [&str; 2] = ["push", "argilla"];
const PULL: [&str; 2] = ["pull", "argilla"];

fn server() -> Option<String> {
    let url = std::env::var("STILLROOM_ARGILLA_URL").ok();
    if url.is_none() {
        eprintln!("STILLROOM_ARGILLA_URL names no server: nothing is tested here");
    }
    url
}

/// A call as anybody makes it: status and body.
fn call(url: &str, key: &str, verb: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = config.build().new_agent();
    let url = format!("{url}/api/v1/{path}");
    let text = body.map(Value::to_string).unwrap_or_default();
    let done = match verb {
        "POST" => agent
            .post(&url)
            .header("X-Argilla-Api-Key", key)
            .content_type("application/json")
            .send(text),
        "PUT" => agent
            .put(&url)
            .header("X-Argilla-Api-Key", key)
            .content_type("application/json")
            .send(text),
        _ => agent.get(&url).header("X-Argilla-Api-Key", key).call(),
    };
    let mut done = done.expect("the server answers");
    let text = done.body_mut().read_to_string().expect("a text");
    (done.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
}

fn dataset(url: &str, name: &str) -> String {
    let sets = call(url, KEY, "GET", "me/datasets", None).1;
    let sets = sets["items"].as_array().expect("data sets").iter();
    let set = sets.clone().find(|set| set["name"] == name).expect("it was made");
    set["id"].as_str().expect("an id").to_owned()
}

fn records(url: &str, id: &str) -> Vec<Value> {
    let path = format!("datasets/{id}/records?include=responses&include=suggestions&limit=1000");
    let page = call(url, KEY, "GET", &path, None).1;
    let mut records = page["items"].as_array().expect("records").clone();
    // Those of one batch may share their time, by which the server sorts.
    records.sort_by_key(|record| record["fields"]["instruction"].to_string());
    records
}

#[test]
fn real_rows_go_there_once_and_answers_come_back() {
    let Some(url) = server() else { return };
    let name = format!("story-{}", std::process::id());
    let run = RunFolder::with_rows(3);
    let at = ["--dataset", &name];
    let pushed = run.command(&url, &PUSH, &at);
    assert!(
        pushed.stdout.contains("3 new records, 0 updated"),
        "{}{}",
        pushed.stdout,
        pushed.stderr
    );
    let again = run.command(&url, &PUSH, &at);
    assert!(again.stdout.contains("0 new records, 3 updated"), "{}{}", again.stdout, again.stderr);
    let id = dataset(&url, &name);
    let before = records(&url, &id);
    assert_eq!(before.len(), 3);
    let suggested = before[0]["suggestions"].as_array().expect("suggestions");
    assert_eq!(suggested.len(), 4);
    assert!(suggested.iter().all(|one| one["agent"] == "org/judge" && one["type"] == "model"));
    assert!(suggested.iter().any(|one| one["value"] == 2 && one["score"] == 0.8), "{suggested:?}");
    assert_eq!(before[0]["metadata"]["margin"], 1.4);

    let answer = |record: &Value, key: &str, values: Value| {
        let values: serde_json::Map<String, Value> = values
            .as_object()
            .expect("values")
            .iter()
            .map(|(name, value)| (name.clone(), json!({"value": value})))
            .collect();
        let path = format!("records/{}/responses", record["id"].as_str().expect("an id"));
        let body = json!({"status": "submitted", "values": values});
        let (status, said) = call(&url, key, "POST", &path, Some(&body));
        assert_eq!(status, 201, "{said}");
    };
    let both = |first: i64| {
        json!({"generations-0-rating": first, "generations-1-rating": 1,
               "generations-1-rationale": "Wrong sum."})
    };
    answer(&before[0], "annotator.key", both(5));
    answer(&before[0], "other.key", both(4));
    answer(&before[1], "annotator.key", json!({"generations-0-rating": 5}));
    // A push in between keeps what people said.
    assert_eq!(run.command(&url, &PUSH, &at).code, 0);
    let pulled = run.command(&url, &PULL, &["--dataset", &name, "--json"]);
    let told: Value = serde_json::from_str(&pulled.stdout).expect("JSON");
    let figures = ["n_records", "n_rows", "n_answers", "n_annotators", "n_partly", "n_overruled"];
    assert_eq!(figures.map(|name| told[name].as_u64()), [3, 2, 3, 2, 1, 1].map(Some), "{told}");
    let human = run.rows("human.jsonl");
    assert_eq!(human[0]["human_ratings"], json!([4.5, 1]));

    run.succeed(&[
        "run",
        "recipe.toml",
        "--quiet",
        "--set",
        "steps.dpo.ratings_from=human-then-judge",
        "--set",
        "steps.dpo.human_ratings=runs/small/human.jsonl",
    ]);
    let pairs = run.rows("steps/dpo.jsonl");
    assert_eq!(pairs[0]["chosen"][1]["content"], "It is 1.");
    assert_eq!((&pairs[0]["n_annotators"], &pairs[0]["margin"]), (&json!(2), &json!(3.5)));
    assert_eq!(pairs[2]["n_annotators"], 0);
}

#[test]
fn real_refusals_are_told() {
    let Some(url) = server() else { return };
    let run = RunFolder::with_rows(1);
    let name = format!("refusals-{}", std::process::id());
    let wrong = run.command(&url, &PUSH, &["--dataset", &name, "--workspace", "none"]);
    assert!(wrong.code == 4 && wrong.stderr.contains("`review`"), "{}", wrong.stderr);
    assert_eq!(run.command(&url, &PUSH, &["--dataset", &name]).code, 0);
    let three = ["--dataset", &name, "--num-generations", "3"];
    let misfit = run.command(&url, &PUSH, &three);
    assert!(misfit.code == 4 && misfit.stderr.contains("`generations-2`"), "{}", misfit.stderr);
    let gone = run.command(&url, &PULL, &["--dataset", "never-made"]);
    assert!(gone.code == 4 && gone.stderr.contains("no data set `never-made`"), "{}", gone.stderr);
}

/// What is refused before it is sent is what the server refuses, and a good record is taken.
#[test]
fn real_rules_are_those_that_are_checked_here() {
    let Some(url) = server() else { return };
    let name = format!("rules-{}", std::process::id());
    let run = RunFolder::with_rows(1);
    let pushed = run.command(&url, &PUSH, &["--dataset", &name]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let id = dataset(&url, &name);
    let questions = call(&url, KEY, "GET", &format!("datasets/{id}/questions"), None).1;
    let question = |name: &str| {
        let all = questions["items"].as_array().expect("questions");
        all.iter().find(|one| one["name"] == name).expect("it was made")["id"].clone()
    };
    let (rating, rationale) =
        (question("generations-0-rating"), question("generations-0-rationale"));
    let good = json!({
        "external_id": "good",
        "fields": {"id": "1", "instruction": "i", "generations-0": "a"},
        "metadata": {"margin": 1.0, "flip": "no", "models": ["a", "b"], "rating-0": 4.5},
        "suggestions": [
            {"question_id": rating, "value": 4, "score": 0.5, "agent": "org/a b:c.d_e-f", "type": "model"},
            {"question_id": rationale, "value": "why", "score": null, "agent": null, "type": "model"},
        ],
    });
    let send = |items: Value| {
        let path = format!("datasets/{id}/records/bulk");
        call(&url, KEY, "PUT", &path, Some(&json!({"items": items})))
    };
    let (status, said) = send(json!([good]));
    assert_eq!(status, 200, "{said}");
    let changes: [(&str, Value); 15] = [
        ("/fields/other", json!("x")),
        ("/fields/instruction", json!(null)),
        ("/fields/generations-0", json!(["x"])),
        ("/metadata/margin", json!(2)),
        ("/metadata/margin", json!("wide")),
        ("/suggestions/0/value", json!(0)),
        ("/suggestions/0/value", json!(6)),
        ("/suggestions/0/value", json!(4.5)),
        ("/suggestions/0/value", json!("4")),
        ("/suggestions/1/value", json!(4)),
        ("/suggestions/0/score", json!(1.01)),
        ("/suggestions/0/agent", json!("a+b")),
        ("/suggestions/0/agent", json!(" . ")),
        ("/suggestions/0/agent", json!("a".repeat(201))),
        ("/suggestions/1/question_id", rating.clone()),
    ];
    for (place, value) in changes {
        let mut bad = good.clone();
        let (parent, key) = place.rsplit_once('/').expect("a path");
        bad.pointer_mut(parent).expect("a place of the record")[key] = value.clone();
        let (status, said) = send(json!([bad]));
        assert_eq!(status, 422, "{place} = {value}: {said}");
    }
    assert_eq!(send(json!([good, good])).0, 422, "one id twice");
    assert_eq!(send(json!([])).0, 422, "no records");
    let many: Vec<Value> = (0..501)
        .map(|i| {
            let mut one = good.clone();
            one["external_id"] = json!(format!("many-{i}"));
            one
        })
        .collect();
    assert_eq!(send(json!(many)).0, 422, "501 records");
    assert_eq!(send(json!(many[..500])).0, 200, "500 records");
}
