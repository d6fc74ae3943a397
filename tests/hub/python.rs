//! What Python's `datasets` makes of a push. Only where `STILLROOM_PYTHON` names an interpreter that
//! has it: `tests/hub/load.py` then loads the folder, and the same from the Hub of these tests.

use std::process::Command;

use crate::runs::Still;
use crate::server::TOKEN;

#[test]
fn datasets_loads_what_was_pushed() {
    let Some(python) = std::env::var_os("STILLROOM_PYTHON") else { return };
    let still = Still::new();
    still.rate(500);
    assert_eq!(still.run(&["run", "recipe.toml", "-q"]).code, 0);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/load.py");
    let run = still.path("runs/rated");
    let output = Command::new(python)
        .args([script.as_ref(), run.as_os_str(), "me/rated".as_ref()])
        .env("HF_ENDPOINT", still.server.endpoint())
        .env("HF_TOKEN", TOKEN)
        .env("HF_HOME", still.path("hf"))
        .env_remove("HF_HUB_OFFLINE")
        .output()
        .expect("the interpreter starts");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success(), "{out}\n{err}");
}
