//! Recipes through their door: what is read, what is refused, and where the finger points.
//!
//! Each fault is shown as `line:text: message | hint`, where `text` is what stands at its place.

mod options;
mod push;

use std::path::Path;

use stillroom::recipe::spec::*;
use stillroom::recipe::{Faults, Recipe, step};

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
    let inspect = |loader: &Step| {
        let is_file = matches!(loader, Step::LoadDataFromFileSystem(loader)
            if loader.path.ends_with("known.jsonl"));
        let is_known = is_file
            || matches!(loader, Step::LoadDataFromHub(loader) if loader.repo_id == "org/known");
        is_known.then(|| vec!["turns".to_owned(), "category".to_owned()])
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
pub(crate) fn check(from: &str, to: &str, expected: &[&str]) {
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
        &[
            "5:judge: `judge` (UltraFeedback) comes after several steps: `answer_a`, `answer_b` \
             | join them first: `[answer_a, answer_b] >> group >> judge`",
            "5:group: `group` (GroupColumns) joins branches but comes after `judge` alone \
             | give it two or more: `[judge, ...] >> group`",
            "32:\"UltraFeedback\": `judge` needs the column `generations`, which nothing before \
             it provides | did you mean `generation`?",
        ],
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

#[test]
fn a_missing_column_of_a_known_file_is_missed_too() {
    let load = "[steps.load]\ntype = \"LoadDataFromFileSystem\"\npath = \"known.jsonl\"\n";
    let dicts = "[steps.load]\ntype = \"LoadDataFromDicts\"\n\
                 data = [{ instruction = \"Add 1 and 2.\" }, { instruction = \"Name a prime.\" }]\n";
    assert!(GOOD.contains(dicts));
    let from_file = GOOD.replace(dicts, load);
    let mapped = |path: &str| {
        from_file.replace(load, &format!("{load}columns = {{ instruction = \"{path}\" }}\n"))
    };
    assert!(shown(&read(&from_file, &[]).unwrap_err())[0].contains("`instruction`"));
    check_text(&mapped("turns[0]"), &[], &[]);
    check_text(
        &mapped("trns[0]"),
        &[],
        &["17:{ instruction = \"trns[0]\" }: some/folder/known.jsonl has no column `trns` \
           | did you mean `turns`?"],
    );
    check_text(
        &mapped("turns[x]"),
        &[],
        &[
            "17:{ instruction = \"turns[x]\" }: `turns[x]` is no path into a column: `[x]` holds no \
           number counted from 0 | write a column, or a path such as `turns[0]` or `meta.title`",
        ],
    );
    check_text(&from_file.replace("known", "unknown"), &[], &[]);
    let hub = "[steps.load]\ntype = \"LoadDataFromHub\"\nrepo_id = \"org/known\"\n";
    let from_hub = GOOD.replace(dicts, hub);
    assert!(shown(&read(&from_hub, &[]).unwrap_err())[0].contains("`instruction`"));
    let mapped = from_hub.replace(hub, &format!("{hub}columns = {{ instruction = \"turns\" }}\n"));
    check_text(&mapped, &[], &[]);
    check_text(&from_hub.replace("org/known", "org/unknown"), &[], &[]);
}

#[test]
fn a_data_set_of_the_hub_is_named_as_the_hub_does() {
    let dicts = "[steps.load]\ntype = \"LoadDataFromDicts\"\n\
                 data = [{ instruction = \"Add 1 and 2.\" }, { instruction = \"Name a prime.\" }]\n";
    let hub = "[steps.load]\ntype = \"LoadDataFromHub\"\nrepo_id = \"./data.jsonl\"\n\
               split = \"\"\nnum_examples = 0\n";
    check_text(
        &GOOD.replace(dicts, hub),
        &[],
        &[
            "16:\"./data.jsonl\": `./data.jsonl` is no data set of the Hub | write it as the Hub \
             does, `org/name`; for a file on this disk use LoadDataFromFileSystem",
            "17:\"\": `split` is empty",
            "18:0: `num_examples` is 0: no rows | leave it out to read every row",
        ],
    );
}

#[test]
fn models_are_used_and_come_from_somewhere() {
    let source = |source: &str| GOOD.replacen("tiny:llama", source, 1);
    check_text(&source("org/name"), &[], &[]);
    check_text(&source("./folder"), &[], &[]);
    let fault = |text: &str| shown(&read(&source(text), &[]).unwrap_err()).join("\n");
    assert!(fault("tiny:lama").contains("did you mean `llama`?"), "{}", fault("tiny:lama"));
    check_text(&source("demo:mixtral"), &[], &[]);
    assert!(fault("demo:lama").contains("did you mean `llama`?"), "{}", fault("demo:lama"));
    assert!(fault("org/name-GGUF/model.Q8_0.gguf").contains("GGUF files are not read yet"));
    assert!(fault("gpt").contains("no folder and no Hub repository"));
    check(
        "[models.judge]",
        "[models.idle]\nsource = \"tiny:llama\"\n[models.judge]",
        &["11:idle: no step uses the model `idle` \
         | delete `[models.idle]`, or name it in a step: `model = \"idle\"`"],
    );
    check(
        "\"tiny:llama\"",
        "\"tiny:llama\"\nrevision = \"v2\"",
        &["11:\"v2\": only a Hub repository has revisions, not `tiny:llama` | delete `revision`"],
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    let generation = |text: &str| {
        let good = "{ max_new_tokens = 16, temperature = 0.7 }";
        let faults = read(&GOOD.replace(good, text), &[]).unwrap_err();
        shown(&faults).join("\n")
    };
    assert_eq!(generation("{ temperature = -1 }"), "21:-1: `temperature` is -1.0 | 0 or more");
    assert_eq!(generation("{ top_p = 0.0 }"), "21:0.0: `top_p` is 0.0 | above 0, up to 1");
    assert_eq!(generation("{ top_p = nan }"), "21:nan: `top_p` is NaN | above 0, up to 1");
    assert!(generation("{ max_new_tokens = 0 }").contains("or there is no answer"));
    assert!(generation("{ stop = [\"\"] }").contains("a stop text is empty"));
    assert!(generation("{ logit_bias = { a = 1.0 } }").contains("token ids and numbers"));
    assert!(
        generation("{ grammar = { regexp = \"a\" } }").contains("is one of `{ regex = TEXT }`")
    );
    check(
        "model = \"llama\"\ngeneration",
        "model = \"llama\"\nnum_generations = 0\ngeneration",
        &["21:0: `num_generations` is 0 | from 1 to 4096"],
    );
    check(
        "{ temperature = 0.5 }",
        "{ max_new_tokens = 3 }",
        &["35:3: a judgement of 2 answers has at least 4 tokens, `max_new_tokens` is 3 \
         | raise `generation.max_new_tokens`, or set `rationale = \"none\"`"],
    );
    check(
        "[{ instruction = \"Add 1 and 2.\" }, { instruction = \"Name a prime.\" }]",
        "[]",
        &["16:[]: `data` has no rows | give it rows: `data = [{ instruction = \"...\" }]`"],
    );
    let template = "model = \"llama\"\ntemplate = \"{{ question }}\"\ngeneration";
    check(
        "model = \"llama\"\ngeneration",
        template,
        &["21:\"{{ question }}\": the template uses `question`, which is not in `columns` \
         | add \"question\" to `columns`"],
    );
}

#[test]
fn a_grammar_is_compiled_before_any_model_is_there() {
    let with = |grammar: &str| {
        let overrides = [format!("steps.answer_a.generation.grammar={grammar}")];
        read(GOOD, &overrides.each_ref().map(String::as_str))
    };
    assert!(with(r#"{ regex = "[0-9]+" }"#).is_ok());
    for bad in [r#"{ regex = "(" }"#, r#"{ lark = "start: gone" }"#, r#"{ json = { type = 1 } }"#] {
        let faults = with(bad).unwrap_err();
        assert!(shown(&faults)[0].contains("the grammar cannot be used"), "{faults:?}");
    }
}

#[test]
fn many_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("seed = 7", "seed = -1\nsedd = 3")
        .replace("\"tiny:judge\"", "7")
        .replace("temperature = 0.7", "temperature = -2.0");
    check_text(
        &text,
        &[],
        &[
            "3:-1: `seed` is a whole number from 0, not the number -1",
            "4:sedd: `sedd` is no key of a recipe | did you mean `seed`?",
            "13:7: `models.judge.source` is a text, not the number 7 | put it in quotes",
            "22:-2.0: `temperature` is -2.0 | 0 or more",
        ],
    );
}

#[test]
fn overrides_reach_any_key_and_are_named_in_faults() {
    let set = [
        "steps.answer_a.generation.temperature=0.9",
        "steps.answer_a.system_prompt=Be brief. = please",
        "steps.load.data.1.instruction=Name two primes.",
        "seed=11",
    ];
    let recipe = read(GOOD, &set).unwrap();
    let Step::TextGeneration(answer) = &recipe.steps[1].1 else { panic!("an answerer") };
    assert_eq!(answer.generation.temperature, 0.9);
    assert_eq!(answer.generation.max_new_tokens, 16);
    assert_eq!(answer.system_prompt.as_deref(), Some("Be brief. = please"));
    let Step::LoadDataFromDicts(load) = &recipe.steps[0].1 else { panic!("the loader") };
    assert_eq!(load.data[1]["instruction"], "Name two primes.");
    assert_eq!(recipe.seed, 11);
    check_text(
        GOOD,
        &["seed", "seed.x=1", "steps.judge.orders=3", "steps.judge.rationel=none"],
        &[
            "-: `--set seed`: this is not KEY=VALUE \
             | write it as `--set steps.answer.generation.temperature=0.9`",
            "-: `--set seed.x=1`: `seed` is the number 7 and holds no `x`",
            "-: `--set steps.judge.orders=3`: `steps.judge.orders` is 1, 2 or \"all\", \
             not the number 3",
            "-: `--set steps.judge.rationel=none`: `steps.judge.rationel` is no key of a recipe \
             | did you mean `rationale`?",
        ],
    );
}

#[test]
fn paths_are_seen_from_the_recipe_and_overrides_from_the_working_folder() {
    let text = GOOD.replace("\"tiny:llama\"", "\"./models/llama\"");
    let recipe = read(&text, &[]).unwrap();
    assert_eq!(recipe.models[0].1.source, "./some/folder/./models/llama");
    let recipe = read(&text, &["models.llama.source=./models/llama"]).unwrap();
    assert_eq!(recipe.models[0].1.source, "./models/llama");
}

#[test]
fn rust_and_toml_give_the_same_recipe() {
    let rows = ["Add 1 and 2.", "Name a prime."];
    let row = |text: &str| [("instruction".to_owned(), text.into())].into_iter().collect();
    let load = step("load", LoadDataFromDicts::new(rows.map(row).to_vec()));
    let short = Generation { max_new_tokens: 16, temperature: 0.7, ..Generation::default() };
    let answer = TextGeneration { generation: short, ..TextGeneration::new("llama") };
    let a = step("answer_a", answer);
    let b = step("answer_b", TextGeneration::new("llama"));
    let names = ["generations", "model_names"].map(str::to_owned).to_vec();
    let columns = GroupColumns::new(["generation", "model_name"]);
    let group = step("group", GroupColumns { output_columns: Some(names), ..columns });
    let mut judge = UltraFeedback::new("judge");
    judge.generation.temperature = 0.5;
    let judge = step("judge", judge);
    let dpo = step("dpo", FormatTextGenerationDpo::default());
    let built = Recipe::builder("pairs")
        .seed(7)
        .model("llama", ModelSpec::new("tiny:llama"))
        .model("judge", ModelSpec::new("tiny:judge"))
        .flow(load >> [a, b] >> group >> judge >> dpo)
        .build()
        .unwrap();
    let read_back = read(GOOD, &[]).unwrap();
    assert_eq!(built, read_back);
    let written = built.to_toml();
    assert!(written.contains("temperature = 0.7\n"), "{written}");
    assert_eq!(read(&written, &[]).unwrap(), built);
}

#[test]
fn faults_in_rust_are_those_of_a_file_without_a_place() {
    let keep = step("keep", KeepColumns::new(["a", "a"]));
    let faults = Recipe::builder("x").flow(keep).build().unwrap_err();
    assert_eq!(
        shown(&faults),
        [
            "-: `columns` has `a` twice",
            "-: `keep` (KeepColumns) has no step before it \
             | a flow starts with LoadDataFromDicts, LoadDataFromFileSystem or LoadDataFromHub",
        ]
    );
}

#[test]
fn the_examples_are_good_recipes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for (name, n_steps) in [("math-preference", 8), ("preference", 6)] {
        let recipe = Recipe::load(&folder.join(format!("{name}.toml")), &[]).unwrap();
        assert_eq!((recipe.name.as_str(), recipe.steps.len()), (name, n_steps));
    }
}
