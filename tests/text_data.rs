//! Text against the references of other programs: chat templates rendered by Python's jinja2 as
//! transformers sets it up, and ids of the real Llama 3 and Mistral vocabularies.
//!
//! Those files may not ship with the repository, so the folder that holds them is named by
//! `STILLROOM_TEST_DATA`; without it there is nothing to compare with and the tests pass. The
//! repository's own tests beside the code use templates and vocabularies of ours.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::NaiveDate;
use serde_json::Value;
use stillroom::text::chat::render::{Renderer, SpecialTexts};
use stillroom::text::chat::{Chat, Message};
use stillroom::text::tokenizer::Tokenizer;

fn data() -> Option<PathBuf> {
    std::env::var_os("STILLROOM_TEST_DATA").map(PathBuf::from)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the data folder holds this file")
}

fn lines(path: &Path) -> Vec<Value> {
    read(path).lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

/// A vocabulary that is stored compressed.
fn tokenizer(path: &Path) -> Tokenizer {
    let mut child = Command::new("gzip")
        .args(["-dc".as_ref(), path.as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is installed");
    let mut json = Vec::new();
    child.stdout.take().expect("piped").read_to_end(&mut json).expect("gzip writes");
    assert!(child.wait().expect("gzip ends").success(), "{} unpacks", path.display());
    Tokenizer::from_json(&json).expect("a known kind of tokenizer")
}

fn case(line: &Value) -> (SpecialTexts, NaiveDate, Vec<Message>, bool) {
    let text = |key: &str| line[key].as_str().expect("a text").to_owned();
    let special = SpecialTexts { bos: text("bos_token"), eos: text("eos_token") };
    let day = text("strftime_now").parse().expect("a date");
    let messages = serde_json::from_value(line["messages"].clone()).expect("messages");
    (special, day, messages, line["add_generation_prompt"].as_bool().expect("a flag"))
}

#[test]
fn templates_render_as_transformers_renders_them() {
    let Some(data) = data() else { return };
    let folder = data.join("templates");
    let cases = lines(&folder.join("expected.jsonl"));
    assert!(!cases.is_empty());
    for line in cases {
        let source = read(&folder.join(line["template"].as_str().expect("a name")));
        let (special, day, messages, opens) = case(&line);
        let now = day.and_hms_opt(0, 0, 0).expect("midnight");
        let renderer = Renderer::new(&source, special, now).expect("well formed");
        let rendered = renderer.render(&messages, opens);
        match line["error"].as_str() {
            Some(_) => assert!(rendered.is_err(), "{line}\ngives {rendered:?}"),
            None => assert_eq!(rendered.as_deref(), Ok(line["expected"].as_str().expect("text"))),
        }
    }
}

/// Above the raw renderer no conversation that alternates is refused, and nothing gets lost.
#[test]
fn every_template_takes_a_system_text() {
    let Some(data) = data() else { return };
    let folder = data.join("templates");
    for line in lines(&folder.join("expected.jsonl")) {
        let source = read(&folder.join(line["template"].as_str().expect("a name")));
        let (special, day, messages, opens) = case(&line);
        if line["case"] == "bad-order" || !opens {
            continue;
        }
        let now = day.and_hms_opt(0, 0, 0).expect("midnight");
        let chat = Chat::new(&source, special, now).expect("well formed");
        let prompt = chat.render(&messages).expect("no conversation is refused");
        for message in &messages {
            assert!(prompt.contains(message.content.trim()), "{prompt:?} lacks {message:?}");
        }
    }
}

#[test]
fn real_vocabularies_give_the_reference_ids() {
    let Some(data) = data() else { return };
    let folder = data.join("tokenizers");
    let cases = lines(&folder.join("expected_ids.jsonl"));
    assert!(!cases.is_empty());
    for column in ["llama3", "mistral_v1"] {
        let tokenizer = tokenizer(&folder.join(format!("{column}.tokenizer.json.gz")));
        for line in &cases {
            // Where Python's own two implementations differ there is no single answer.
            if column == "mistral_v1" && line["mistral_v1_hf_differs"] == true {
                continue;
            }
            let text = line["text"].as_str().expect("a text");
            let wanted: Vec<u32> = serde_json::from_value(line[column].clone()).expect("ids");
            let ids = tokenizer.encode_with_special(text).expect("the text can be spelled");
            assert_eq!(ids, wanted, "{column}: {text:?}");
            // Control tokens named in a text are ids like others, but no text.
            let holds_control = tokenizer.control_names().iter().any(|name| text.contains(name));
            if !holds_control {
                assert_eq!(tokenizer.decode(&ids), text, "{column}");
                let after = tokenizer.encode_after(text).expect("the text can be spelled");
                let bytes: Vec<u8> =
                    after.iter().flat_map(|&id| tokenizer.bytes(id)).copied().collect();
                assert_eq!(bytes, text.as_bytes(), "{column}: {after:?}");
            }
        }
    }
}
