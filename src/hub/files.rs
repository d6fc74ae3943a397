//! Which files of a repository a checkpoint needs.
//!
//! It must not know how they come here.

use std::collections::BTreeSet;

use serde_json::Value;

use super::repo_id::is_safe;

/// The weights in one file.
pub(super) const ONE_FILE: &str = "model.safetensors";
/// The list of the files that the weights are cut into.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Without these nothing can run.
pub(super) const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
/// Taken where the repository has them.
const OPTIONAL: [&str; 6] = [
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// How a repository keeps its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weights {
    /// In [`ONE_FILE`].
    One,
    /// In the files that [`INDEX`] names.
    Sharded,
}

/// How the repository keeps its weights.
///
/// # Errors
/// What it has instead.
pub(super) fn weights(names: &[String]) -> Result<Weights, String> {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let ends = |end: &str| names.iter().any(|name| name.ends_with(end));
    if has(ONE_FILE) {
        Ok(Weights::One)
    } else if has(INDEX) {
        Ok(Weights::Sharded)
    } else if ends(".gguf") {
        Err("it has its weights as .gguf files only".to_owned())
    } else if ends(".bin") || ends(".pt") || ends(".pth") {
        Err("it has its weights as pickled .bin files only".to_owned())
    } else {
        Err(format!("it has neither {ONE_FILE} nor {INDEX}"))
    }
}

/// The files beside the weights, of those that the repository has.
pub(super) fn small(names: &[String]) -> impl Iterator<Item = &'static str> {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    REQUIRED.into_iter().chain(OPTIONAL).filter(move |wanted| has(wanted))
}

/// The files that an index names, each once.
///
/// # Errors
/// Why it is no index.
pub(super) fn shards(index: &[u8]) -> Result<Vec<String>, String> {
    let index: Value = serde_json::from_slice(index).map_err(|e| e.to_string())?;
    let map = index.get("weight_map").and_then(Value::as_object).ok_or("it has no `weight_map`")?;
    let names: BTreeSet<&str> =
        map.values().map(Value::as_str).collect::<Option<_>>().ok_or("a file's name is no text")?;
    match names.iter().find(|name| !is_safe(name)) {
        Some(name) => Err(format!("`{name}` is no name of a file in a repository")),
        None => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], want: Result<Weights, &str>) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        match (weights(&names), want) {
            (Ok(found), Ok(want)) => assert_eq!(found, want),
            (Err(found), Err(want)) => assert!(found.contains(want), "{found}"),
            (found, want) => panic!("{found:?}, not {want:?}"),
        }
    }

    #[test]
    fn weights_are_found_or_missed_by_name() {
        check(&["config.json", ONE_FILE, INDEX], Ok(Weights::One));
        check(&[INDEX, "model-00001-of-00002.safetensors"], Ok(Weights::Sharded));
        check(&["config.json", "pytorch_model.bin"], Err("pickled .bin"));
        check(&["README.md", "model.Q4_K_M.gguf"], Err(".gguf files only"));
        check(&["README.md"], Err("neither model.safetensors nor"));
    }

    #[test]
    fn an_index_names_its_shards_and_cannot_lead_outside() {
        let index = br#"{"weight_map": {"a": "x-2", "b": "x-1", "c": "x-2"}}"#;
        assert_eq!(shards(index).unwrap(), ["x-1", "x-2"]);
        for bad in ["../x", "/etc/passwd", "a//b", "C:\\x", ""] {
            let index = serde_json::json!({"weight_map": {"a": bad}}).to_string();
            assert!(shards(index.as_bytes()).is_err(), "{bad}");
        }
        assert!(shards(b"{}").is_err() && shards(b"[").is_err());
    }
}
