//! The words of the command line, and the commands that run nothing.

use crate::still::Still;

#[test]
fn help_names_the_commands_and_shows_examples() {
    let still = Still::new();
    let help = still.succeed(&["--help"]).stdout;
    for word in [
        "run",
        "plan",
        "export",
        "lint",
        "init",
        "models",
        "stats",
        "report",
        "--color",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(help.contains(word), "no {word}: {help}");
    }
    let run = still.succeed(&["run", "--help"]).stdout;
    for word in ["--set", "--limit", "--dry-run", "--out", "--device", "--json", "--offline", "-q"]
    {
        assert!(run.contains(word), "no {word}: {run}");
    }
    assert!(still.succeed(&["--version"]).stdout.starts_with("stillroom "));
}

#[test]
fn wrong_words_are_usage_faults() {
    let still = Still::new();
    still.fail(&[], 2, &["Usage"]);
    still.fail(&["rnu", "recipe.toml"], 2, &["rnu"]);
    still.fail(&["run"], 2, &["<RECIPE>"]);
    still.fail(&["run", "recipe.toml", "--limit", "0"], 2, &["--limit"]);
    still.fail(&["run", "recipe.toml", "--dry-run", "--out", "x"], 2, &["--dry-run"]);
    still.fail(&["run", "absent.toml"], 2, &["absent.toml", "stillroom init"]);
    still.fail(&["plan", "recipe.toml", "--device", "abacus"], 3, &["abacus", "cpu"]);
}

#[test]
fn init_writes_a_recipe_that_runs_and_keeps_what_is_there() {
    let still = Still::new();
    let done = still.succeed(&["init", "mine.toml"]);
    assert!(done.stdout.contains("stillroom run mine.toml"), "{}", done.stdout);
    assert!(still.read("mine.toml").contains("stillroom run mine.toml"));
    still.succeed(&["run", "mine.toml", "--limit", "1", "-q"]);
    assert!(still.path("runs/math-preference/dataset/README.md").exists());
    still.write("mine.toml", "# mine");
    still.fail(&["init", "mine.toml"], 2, &["mine.toml is there already"]);
    assert_eq!(still.read("mine.toml"), "# mine");
    still.fail(&["init", "no/such/folder.toml"], 3, &["no/such/folder.toml"]);
}

#[test]
fn a_plan_tells_rows_models_and_order() {
    let still = Still::new();
    let plan = still.succeed(&["plan", "recipe.toml", "--limit", "3"]).stdout;
    for word in ["3 rows", "TextGeneration by llama", "after answer_llama", "tiny:mixtral", "MiB"] {
        assert!(plan.contains(word), "no {word}: {plan}");
    }
    let plan = still.succeed(&["plan", "recipe.toml", "--json"]).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!((&plan["n_roots"], &plan["schema_version"]), (&5.into(), &1.into()));
    assert!(!still.path("runs").exists());
    still.fail(
        &["plan", "recipe.toml", "--memory", "0.000001"],
        3,
        &["`quantize` alone does not help"],
    );
}

#[test]
fn a_checkpoint_is_looked_at() {
    let still = Still::new();
    still.write_model("mixtral", "folder");
    let card = still.succeed(&["models", "inspect", "folder"]).stdout;
    for word in ["2 of 4", "vocabulary", "chat template yes"] {
        assert!(card.contains(word), "no {word}: {card}");
    }
    let card = still.succeed(&["models", "inspect", "folder", "--json"]).stdout;
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert_eq!(card["n_layers"], 2);
    still.fail(&["models", "inspect", "nowhere"], 3, &["nowhere"]);
}
