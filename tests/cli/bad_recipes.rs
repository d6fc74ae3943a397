//! Recipes that are refused before anything is loaded: exit code 2, the place, the way out.

use crate::still::{RECIPE, Still};

fn refused(from: &str, to: &str, words: &[&str]) {
    assert!(RECIPE.contains(from), "{from} is in the recipe");
    let still = Still::new();
    still.write("recipe.toml", RECIPE.replacen(from, to, 1));
    still.fail(&["run", "recipe.toml", "--color", "never"], 2, words);
    assert!(!still.path("runs").exists(), "nothing was begun");
}

#[test]
fn each_kind_of_fault_is_named() {
    refused("seed = 3", "sed = 3", &["recipe.toml:3", "did you mean `seed`?"]);
    refused("\"GroupColumns\"", "\"GroupColums\"", &["no step type", "`GroupColumns`?"]);
    refused("judge >> dpo", "judge >> dpo >> group", &["circle", "group >> judge >> dpo"]);
    refused("\"generation\", \"model", "\"generatoin\", \"model", &["does not provide"]);
    refused("path = \"prompts", "num_examples = 0\npath = \"prompts", &["no rows"]);
    refused(
        "[models.judge]",
        "[models.idle]\nsource = \"tiny:llama\"\n[models.judge]",
        &["no step uses the model `idle`"],
    );
    refused("[steps.judge]", "[steps.group]", &["`group` is there twice"]);
    refused("seed = 3", "seed = ", &["this is not TOML", "recipe.toml:3"]);
    refused("max_new_tokens = 256", "max_new_tokens = 3", &["at least 4 tokens"]);
}

#[test]
fn all_faults_are_told_at_once_and_those_of_overrides_by_name() {
    let still = Still::new();
    still.write(
        "recipe.toml",
        RECIPE.replace("seed = 3", "seed = -3").replace("load >>", "laod >>"),
    );
    let words = [
        "not the number -3",
        "the flow names `laod`",
        "did you mean `load`?",
        "step `load` is not in the flow",
        "`--set steps.judge.score=best`",
        "has 4 faults; nothing was loaded",
    ];
    still.fail(&["plan", "recipe.toml", "--set", "steps.judge.score=best"], 2, &words);
}

#[test]
fn colour_is_for_those_who_want_it() {
    let still = Still::new();
    let set = ["plan", "recipe.toml", "--set", "seed=x", "--color"];
    let plain = still.run(&[&set[..], &["never"]].concat()).stderr;
    let coloured = still.run(&[&set[..], &["always"]].concat()).stderr;
    assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
}
