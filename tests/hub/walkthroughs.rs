//! Both walk-throughs as they are published, from the Hub to people and back to the Hub, on servers
//! of the loopback device and with tiny models in the place of the large ones.

use serde_json::json;

use crate::argilla::StandIn;
use crate::runs::{Done, Still};

/// What keeps tiny models from talking for long.
const SHORT: [&str; 3] = [
    "steps.judge.max_rationale_tokens=4",
    "steps.judge.generation.max_new_tokens=256",
    "steps.argilla.dataset_workspace=review",
];

struct Walk {
    still: Still,
    argilla: StandIn,
    recipe: &'static str,
    sets: Vec<String>,
}

impl Walk {
    fn new(recipe: &'static str, repo: &str, models: &[(&str, &str)], answers: &[&str]) -> Self {
        let mut sets: Vec<String> = SHORT.iter().map(|set| (*set).to_owned()).collect();
        sets.push(format!("steps.push.repo_id={repo}"));
        for (model, shape) in models {
            sets.push(format!("models.{model}.source=tiny:{shape}"));
            sets.push(format!("models.{model}.quantize=none"));
        }
        for step in answers {
            sets.push(format!("steps.{step}.generation.max_new_tokens=12"));
        }
        Self { still: Still::new(), argilla: StandIn::new(), recipe, sets }
    }

    fn run(&self, more: &[&str]) -> Done {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let recipe = root.join("examples/published").join(self.recipe);
        let mut command = self.still.command(&["run"]);
        command.arg(recipe).args(["--device", "cpu"]).args(more);
        for set in &self.sets {
            command.args(["--set", set]);
        }
        command.env("ARGILLA_API_URL", self.argilla.url()).env("ARGILLA_API_KEY", "owner.key");
        Done::of(command)
    }
}

#[test]
fn prompts_of_the_hub_become_pairs_before_people_and_at_the_hub() {
    let models = [("llama", "llama"), ("mixtral", "mixtral"), ("judge", "judge")];
    let answers = ["answer_llama", "answer_mixtral"];
    let mut walk = Walk::new("preference.toml", "me/preference", &models, &answers);
    let prompts = |from: usize| {
        let line = |n: usize| format!("{}\n", json!({"instruction": format!("Count to {n}.")}));
        (from..from + 4).map(line).collect::<String>()
    };
    let card = "---\nlicense: mit\n---\n# Prompts\n";
    let files = [
        ("README.md", card),
        ("data/train-00000-of-00002.jsonl", &*prompts(0)),
        ("data/train-00001-of-00002.jsonl", &*prompts(4)),
    ];
    walk.still.server.with(|state| state.put("argilla/10Kprompts-mini", &files));
    walk.sets.push("steps.load.num_examples=5".to_owned());
    let done = walk.run(&[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let commits = walk.still.server.commits("me/preference");
    let files: Vec<&str> =
        commits.last().expect("a commit").files.keys().map(String::as_str).collect();
    for config in ["argilla", "dpo"] {
        let name = format!("{config}/train-00000-of-00001.parquet");
        assert!(files.contains(&name.as_str()), "{name}: {files:?}");
    }
    {
        let state = walk.argilla.state();
        let [set] = state.sets.as_slice() else { panic!("one data set") };
        assert_eq!((set.name.as_str(), set.records.len()), ("preference-dataset", 5));
    }
    // Again: nothing is asked, no record is doubled, no commit is made.
    let n_commits = commits.len();
    let again = walk.run(&[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stdout.contains("nothing new"), "{}", again.stdout);
    assert_eq!(walk.still.server.commits("me/preference").len(), n_commits);
    assert_eq!(walk.argilla.state().sets[0].records.len(), 5);
}

#[test]
fn topics_become_pairs_before_people_and_at_the_hub() {
    let models = [("mistral", "llama"), ("mixtral", "mixtral")];
    let answers = ["instruct", "answer_mistral", "answer_mixtral"];
    let walk = Walk::new("math-preference.toml", "me/math", &models, &answers);
    let done = walk.run(&["--dry-run"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(walk.argilla.state().sets.len(), 0);
    let done = walk.run(&[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(walk.still.server.commits("me/math").len() > 1);
    assert!(!walk.argilla.state().sets[0].records.is_empty());
}

#[test]
fn what_the_data_set_lacks_is_told_before_anything_is_loaded() {
    let models = [("llama", "llama"), ("mixtral", "mixtral"), ("judge", "judge")];
    let mut walk = Walk::new("preference.toml", "me/preference", &models, &[]);
    let files = [("train.jsonl", "{\"prompt\": \"Count.\"}\n"), ("test.jsonl", "{\"x\": 1}\n")];
    walk.still.server.with(|state| state.put("argilla/10Kprompts-mini", &files));
    let done = walk.run(&[]);
    assert_eq!(done.code, 2, "{}", done.stderr);
    let wanted = ["`answer_llama` needs the column `instruction`", "after `load` are `prompt`"];
    for words in wanted {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    walk.sets.push("steps.load.columns={ instruction = \"prompt\" }".to_owned());
    let wrong = |walk: &mut Walk, set: &str, code: i32, words: &[&str]| {
        walk.sets.push(set.to_owned());
        let done = walk.run(&[]);
        walk.sets.pop();
        assert_eq!(done.code, code, "{}", done.stderr);
        for words in words {
            assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
        }
    };
    wrong(&mut walk, "steps.load.split=trian", 2, &["no split `trian`", "train, test"]);
    wrong(&mut walk, "steps.load.config=hard", 2, &["no config `hard`", "default"]);
    wrong(&mut walk, "steps.load.repo_id=argilla/gone", 4, &["argilla/gone", "check the name"]);
    wrong(&mut walk, "steps.argilla.dataset_workspace=nobody", 4, &["nobody", "review"]);
    assert!(!walk.still.path("runs").exists(), "a run was begun");
}
