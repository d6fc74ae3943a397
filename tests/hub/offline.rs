//! `--offline` opens no connection: every road leads to one listener, and nobody comes.
//!
//! The Hub and Argilla are said to be there, and so is the proxy for every other host. Without the
//! flag the same commands do come, so that the listener is known to see them.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::runs::Still;

/// Closes every connection and counts them.
struct Listener {
    port: u16,
    n_came: Arc<AtomicUsize>,
}

impl Listener {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback device");
        let port = listener.local_addr().expect("it is bound").port();
        let n_came = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&n_came);
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, n_came }
    }

    fn n_came(&self) -> usize {
        self.n_came.load(Ordering::SeqCst)
    }
}

const FROM_HUB: &str = r#"
name = "hub"
flow = "load >> keep >> push"
[steps.load]
type = "LoadDataFromHub"
repo_id = "org/prompts"
[steps.keep]
type = "KeepColumns"
columns = ["instruction"]
[steps.push]
type = "PushToHub"
repo_id = "me/rows"
"#;

const WITH_MODEL: &str = r#"
name = "model"
flow = "load >> answer"
[models.far]
source = "org/model"
[steps.load]
type = "LoadDataFromDicts"
data = [{ instruction = "Count." }]
[steps.answer]
type = "TextGeneration"
model = "far"
"#;

const TO_BOTH: &str = r#"
name = "both"
flow = "load >> [dpo, argilla] >> push"
[steps.load]
type = "LoadDataFromDicts"
data = [{ instruction = "Count.", generations = ["1 2", "no"], ratings = [5, 1] }]
[steps.dpo]
type = "FormatTextGenerationDPO"
[steps.argilla]
type = "PreferenceToArgilla"
dataset_name = "both"
num_generations = 2
[steps.push]
type = "PushToHub"
repo_id = "me/rows"
"#;

#[test]
fn offline_nobody_comes() {
    let (still, listener) = (Still::new(), Listener::new());
    let there = format!("http://127.0.0.1:{}", listener.port);
    for (name, text) in [("hub", FROM_HUB), ("model", WITH_MODEL), ("both", TO_BOTH)] {
        std::fs::write(still.path(&format!("{name}.toml")), text).expect("the folder is ours");
    }
    let command = |args: &[&str]| {
        let mut command: Command = still.command(args);
        for name in ["HF_ENDPOINT", "ARGILLA_API_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(name, &there);
        }
        command.env("ARGILLA_API_KEY", "owner.key");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let commands: [(&[&str], i32); 7] = [
        (&["run", "hub.toml"], 3),
        (&["plan", "hub.toml"], 3),
        (&["run", "model.toml"], 3),
        (&["plan", "model.toml"], 3),
        (&["run", "both.toml"], 0),
        (&["push", "argilla", "runs/both"], 2),
        (&["push", "hub", "runs/both", "--repo", "me/rows"], 3),
    ];
    for (args, code) in commands {
        let mut args = args.to_vec();
        args.push("--offline");
        let output = command(&args).output().expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert_eq!(listener.n_came(), 0, "{args:?}");
        assert!(stderr.to_lowercase().contains("offline"), "{args:?}: {stderr}");
    }
    let online: Vec<_> = ["hub.toml", "model.toml", "both.toml"]
        .map(|recipe| command(&["run", recipe]).spawn().expect("the binary starts"))
        .into();
    for mut child in online {
        assert_eq!(child.wait().expect("it ends").code(), Some(4));
    }
    assert!(listener.n_came() >= 3, "only {} came", listener.n_came());
}
