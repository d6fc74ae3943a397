//! The step that takes the data set to the Hub: where it stands, and what it can be told.

use stillroom::recipe::spec::*;
use stillroom::recipe::{Recipe, step};

use crate::{read, shown};

const TABLES: &str = r#"
[steps.load]
type = "LoadDataFromDicts"
data = [{ instruction = "Add.", generations = ["1", "2"], ratings = [1, 2] }]
[steps.dpo]
type = "FormatTextGenerationDPO"
[steps.keep]
type = "KeepColumns"
columns = ["instruction"]
[steps.push]
type = "PushToHub"
"#;

fn check(flow: &str, more: &str, expected: &[&str]) {
    let text = format!("flow = \"{flow}\"{TABLES}{more}");
    let faults = read(&text, &[]).expect_err("it is wrong");
    assert_eq!(shown(&faults), expected, "{flow}");
}

fn good(flow: &str, more: &str) -> Recipe {
    read(&format!("name = \"t\"\nflow = \"{flow}\"{TABLES}{more}"), &[]).expect("a good recipe")
}

#[test]
fn it_stands_behind_the_leaves_and_is_no_step_for_rows() {
    let recipe = good("load >> [dpo, keep] >> push", "repo_id = \"me/pairs\"");
    let names: Vec<_> = recipe.steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["load", "dpo", "keep"]);
    let push = recipe.push.clone().unwrap();
    assert_eq!((push.name.as_str(), push.parents), ("push", vec![1, 2]));
    assert_eq!(push.spec, PushToHub::new("me/pairs"));

    let again = read(&recipe.to_toml(), &[]).unwrap();
    assert_eq!(again, recipe);
    let all = "repo_id = \"pairs\"\nprivate = true\nrevision = \"v2\"\nmessage = \"New.\"";
    let recipe = good("load >> dpo >> keep >> push", all);
    assert_eq!(read(&recipe.to_toml(), &[]).unwrap(), recipe);
    let want = PushToHub {
        private: true,
        revision: "v2".into(),
        message: Some("New.".into()),
        ..PushToHub::new("pairs")
    };
    assert_eq!(recipe.push.unwrap().spec, want);
}

#[test]
fn rust_ends_a_flow_as_a_file_does() {
    let load = step(
        "load",
        LoadDataFromDicts::new(vec![[("x".to_owned(), 1.into())].into_iter().collect()]),
    );
    let keep = |name: &str| step(name, KeepColumns::new(["x"]));
    let push = step("push", PushToHub::new("me/x"));
    let recipe = Recipe::builder("t").flow(load >> [keep("a"), keep("b")] >> push).build().unwrap();
    assert_eq!((recipe.steps.len(), recipe.push.unwrap().parents), (3, vec![1, 2]));
}

#[test]
fn it_takes_all_leaves_and_only_leaves_and_ends_the_flow() {
    let repo = "repo_id = \"me/x\"";
    check(
        "load >> dpo >> [keep, push]",
        repo,
        &[
            "1:push: `push` comes after `dpo`, which feeds `keep`: its rows are not in the data set \
           | `push` takes what the flow ends in: put `>> push` there",
        ],
    );
    let text = format!("flow = [\"load >> dpo >> push\", \"load >> keep\"]{TABLES}{repo}");
    assert_eq!(
        shown(&read(&text, &[]).unwrap_err()),
        [
            "1:push: the data set that `push` pushes holds `keep` too | say so: `[..., keep] >> push`"
        ]
    );
    check(
        "load >> dpo >> push >> keep",
        repo,
        &["1:keep: `keep` comes after `push`, which gives no rows \
           | PushToHub ends a flow: put `>> push` last"],
    );
    check(
        "load >> [dpo, keep] >> [push, more]",
        &format!("{repo}\n[steps.more]\ntype = \"PushToHub\"\nrepo_id = \"me/y\""),
        &["1:more: `more` pushes what `push` pushes \
           | one PushToHub a recipe; `stillroom push hub RUN --repo NAME` pushes a run again"],
    );
}

#[test]
fn names_are_checked_and_credentials_have_no_place_in_a_recipe() {
    check(
        "load >> dpo >> keep >> push",
        "repo_id = \"me/x/y\"\nrevision = \"a b\"\nmessage = \" \"\ntoken = \"hf_x\"",
        &[
            "12:\"me/x/y\": `me/x/y` is not written as owner/name | write it as the Hub does, `owner/name`",
            "13:\"a b\": `a b` holds something other than letters, digits, `-`, `_`, `.` and `/` \
             | name a branch; `main` is the usual one",
            "14:\" \": `message` is empty | delete it, or say something",
            "15:\"hf_x\": a recipe holds no credentials \
             | delete it: set HF_TOKEN, or keep one by `hf auth login`",
        ],
    );
    check(
        "load >> dpo >> keep >> push",
        "privat = true",
        &[
            "10:push: `steps.push.repo_id` is missing | add `repo_id = ...`: a text",
            "12:privat: `steps.push.privat` is no key of a recipe | did you mean `private`?",
        ],
    );
}
