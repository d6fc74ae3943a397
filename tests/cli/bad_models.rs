//! Checkpoints that cannot be run: exit code 3, the thing named, before any row is spent.

use std::fs;

use crate::still::Still;

/// A still whose answerer `llama` is a checkpoint of its own, to be spoilt.
fn with_model() -> Still {
    let still = Still::new();
    still.write_model("llama", "model");
    let recipe = still.read("recipe.toml").replacen("tiny:llama", "./model", 1);
    still.write("recipe.toml", recipe);
    still
}

fn shard(still: &Still) -> std::path::PathBuf {
    let files = fs::read_dir(still.path("model")).expect("the model's folder");
    let mut shards: Vec<_> = files
        .map(|entry| entry.expect("a file of it").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "safetensors"))
        .collect();
    shards.sort();
    shards.remove(0)
}

#[test]
fn a_local_folder_runs_and_names_its_rows() {
    let still = with_model();
    still.succeed(&["run", "recipe.toml", "--limit", "1", "-q"]);
    let row = still.read("runs/small/steps/answer_llama.jsonl");
    assert!(row.contains("\"model_name\":\"model\""), "{row}");
}

#[test]
fn what_is_missing_or_broken_is_named() {
    let still = with_model();
    let set = "models.llama.source=./nowhere";
    still.fail(&["run", "recipe.toml", "--set", set], 3, &["nowhere"]);

    let path = shard(&still);
    let whole = fs::read(&path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    still.fail(&["run", "recipe.toml"], 3, &[name]);
    fs::remove_file(&path).unwrap();
    still.fail(&["run", "recipe.toml"], 3, &[name]);
    fs::write(&path, whole).unwrap();

    let config = still.read("model/config.json");
    still.write("model/config.json", config.replace("\"hidden_size\": 64", "\"hidden_size\": 96"));
    still.fail(&["run", "recipe.toml"], 3, &["96"]);
    still.write("model/config.json", config);

    fs::rename(still.path("model/tokenizer.json"), still.path("tokenizer.json")).unwrap();
    still.fail(&["run", "recipe.toml"], 3, &["tokenizer.json"]);
    assert!(!still.path("runs/small/steps/dpo.jsonl").exists());
}

#[test]
fn a_checkpoint_without_a_chat_template_gets_a_plain_one_and_a_warning() {
    let still = with_model();
    let config: serde_json::Value =
        serde_json::from_str(&still.read("model/tokenizer_config.json")).unwrap();
    let mut config = config.as_object().unwrap().clone();
    config.remove("chat_template");
    still.write("model/tokenizer_config.json", serde_json::to_string(&config).unwrap());
    let _ = fs::remove_file(still.path("model/chat_template.jinja"));
    let done = still.succeed(&["run", "recipe.toml", "--limit", "1"]);
    assert!(done.stderr.contains("note: llama:"), "{}", done.stderr);
    assert!(done.stderr.contains("template"), "{}", done.stderr);
}

#[test]
fn sources_of_later_versions_are_refused_by_name() {
    let still = Still::new();
    let plan = |source: &str, words: &[&str]| {
        let set = format!("models.llama.source={source}");
        still.fail(&["plan", "recipe.toml", "--set", &set], 2, words);
    };
    plan("demo:jugde", &["did you mean `judge`?"]);
    plan("org/name-GGUF/model.gguf", &["GGUF"]);
    plan("tiny:lama", &["did you mean `llama`?"]);
}
