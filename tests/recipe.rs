//! Recipes through their door: what is read, what is refused, and where the finger points.
//!
//! Each fault is shown as `line:text: message | hint`, where `text` is what stands at its place.

use std::path::Path;

use stillroom::recipe::spec::*;
use stillroom::recipe::{Faults, Recipe};

const GOOD: &str = r#"
name = "pairs"
seed = 7
flow = """
load >> [answer_a, answer_b]
     >> group >> judge >> dpo
"""

[models.llama]
source = "tiny:llama"
[models.judge]
source = "tiny:judge"

[steps.load]
type = "LoadDataFromDicts"
data = [{ instruction = "Add 1 and 2." }, { instruction = "Name a prime." }]

[steps.answer_a]
type = "TextGeneration"
model = "llama"
generation = { max_new_tokens = 16, temperature = 0.7 }

[steps.answer_b]
type = "TextGeneration"
model = "llama"

[steps.group]
type = "CombineColumns"
columns = ["generation", "model_name"]
output_columns = ["generations", "model_names"]

[steps.judge]
type = "UltraFeedback"
model = "judge"
generation = { temperature = 0.5 }

[steps.dpo]
type = "FormatTextGenerationDPO"
"#;

fn read(text: &str, overrides: &[&str]) -> Result<Recipe, Faults> {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let inspect = |path: &Path| {
        path.ends_with("known.jsonl").then(|| vec!["turns".to_owned(), "category".to_owned()])
    };
    Recipe::parse(text, "bad.toml", Path::new("some/folder"), &overrides, &inspect)
}

fn shown(faults: &Faults) -> Vec<String> {
    let show = |fault: &stillroom::recipe::Fault| {
        let at = fault.place.clone().map_or("-".to_owned(), |at| {
            let line = faults.source[..at.start].matches('\n').count() + 1;
            format!("{line}:{}", &faults.source[at])
        });
        let hint = fault.hint.as_deref().map_or(String::new(), |hint| format!(" | {hint}"));
        format!("{at}: {}{hint}", fault.message)
    };
    faults.faults.iter().map(show).collect()
}

/// Checks the faults of the good recipe after replacing one piece of it by another.
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "{from} is in the good recipe");
    check_text(&GOOD.replacen(from, to, 1), &[], expected);
}

fn check_text(text: &str, overrides: &[&str], expected: &[&str]) {
    match read(text, overrides) {
        Ok(_) => assert!(expected.is_empty(), "read without a fault, expected {expected:#?}"),
        Err(faults) => assert_eq!(shown(&faults), expected),
    }
}

#[test]
fn a_good_recipe_is_read_with_its_defaults() {
    let recipe = read(GOOD, &[]).unwrap();
    let names: Vec<&str> = recipe.steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["load", "answer_a", "answer_b", "group", "judge", "dpo"]);
    assert_eq!(recipe.parents, [vec![], vec![0], vec![0], vec![1, 2], vec![3], vec![4]]);
    let Step::UltraFeedback(judge) = &recipe.steps[4].1 else { panic!("the judge") };
    assert_eq!(judge.generation.temperature, 0.5);
    assert_eq!(judge.generation.max_new_tokens, 1024);
    assert!(recipe.deterministic);
}

#[test]
fn unknown_names_bring_the_nearest_one() {
    check("seed = 7", "sede = 7", &["3:sede: `sede` is no key of a recipe | did you mean `seed`?"]);
    check(
        "temperature = 0.7",
        "temprature = 0.7",
        &["21:temprature: `steps.answer_a.generation.temprature` is no key of a recipe \
           | did you mean `temperature`?"],
    );
    check(
        "\"UltraFeedback\"",
        "\"UltraFedback\"",
        &["33:\"UltraFedback\": `UltraFedback` is no step type | did you mean `UltraFeedback`?"],
    );
    check(
        "model = \"judge\"",
        "model = \"jugde\"",
        &[
            "11:judge: no step uses the model `judge` \
             | delete `[models.judge]`, or name it in a step: `model = \"judge\"`",
            "34:\"jugde\": `jugde` is no model of this recipe | did you mean `judge`?",
        ],
    );
    check(
        ">> dpo",
        ">> dop",
        &[
            "6:dop: the flow names `dop`, which is no step | did you mean `dpo`?",
            "37:dpo: step `dpo` is not in the flow | add it to `flow`, or delete `[steps.dpo]`",
        ],
    );
}

#[test]
fn values_of_the_wrong_type_are_named() {
    check(
        "max_new_tokens = 16",
        "max_new_tokens = \"many\"",
        &["21:\"many\": `steps.answer_a.generation.max_new_tokens` is a whole number from 0, \
           not the text \"many\""],
    );
    check(
        "name = \"pairs\"",
        "name = 3",
        &["2:3: `name` is a text, not the number 3 | put it in quotes"],
    );
    check(
        "name = \"pairs\"",
        "name = \"a/b\"",
        &["2:\"a/b\": `a/b` cannot name a run's folder \
         | letters, digits, `-`, `_` and `.`, which does not come first"],
    );
    check(
        "[\"generation\", \"model_name\"]",
        "[\"generation\", 4]",
        &["29:4: `steps.group.columns` is a list, each item a text, not the number 4 \
         | put it in quotes"],
    );
}

#[test]
fn bad_toml_and_names_given_twice_show_their_place() {
    let faults = read(&GOOD.replace("seed = 7", "seed = "), &[]).unwrap_err();
    assert!(shown(&faults)[0].contains("this is not TOML"), "{:?}", shown(&faults));
    check(
        "[steps.answer_b]",
        "[steps.answer_a]",
        &[
            "5:answer_b: the flow names `answer_b`, which is no step | did you mean `answer_a`?",
            "23:answer_a: `answer_a` is there twice \
         | each step, model and key is written once; rename one or delete it",
        ],
    );
}

#[test]
fn a_flow_that_is_no_order_is_refused() {
    check(
        ">> judge >> dpo",
        ">> judge >> dpo >> group",
        &["6:group: the flow runs in a circle: group >> judge >> dpo >> group \
         | every step comes after the steps that feed it; take one `>>` out"],
    );
    check(
        ">> group >> judge",
        ">> group judge",
        &["6:j: the flow has `j` where `>>` should be \
         | a flow reads `load >> [answer_a, answer_b] >> group >> judge`"],
    );
    check(
        "[answer_a, answer_b]\n     >> group >> judge",
        "[answer_a, answer_b] >> judge >> group",
        &["5:judge: `judge` (UltraFeedback) comes after several steps: `answer_a`, `answer_b` \
         | join them first: `[answer_a, answer_b] >> group >> judge`"],
    );
    check(
        "load >> [answer_a, answer_b]",
        "load >> answer_a >> answer_b",
        &["6:group: `group` (GroupColumns) joins branches but comes after `answer_b` alone \
         | give it two or more: `[answer_b, ...] >> group`"],
    );
}

#[test]
fn a_column_that_nothing_provides_is_missed_before_the_run() {
    check(
        "[{ instruction = \"Add 1 and 2.\" }, { instruction =",
        "[{ question =",
        &[
            "18:answer_a: `answer_a` needs the column `instruction`, which nothing before \
         it provides | the columns after `load` are `question`",
            "23:answer_b: `answer_b` needs the column `instruction`, which nothing before \
         it provides | the columns after `load` are `question`",
        ],
    );
    check(
        "\"generations\", \"model_names\"",
        "\"generatoins\", \"model_names\"",
        &["33:\"UltraFeedback\": `judge` needs the column `generations`, which nothing before it \
         provides | did you mean `generatoins`?"],
    );
}
