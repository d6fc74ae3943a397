//! The store for large files: orders at the Hub, bytes at the storage.

use serde_json::{Value, json};

use super::http::{Reply, Request};
use super::repo::{State, sha256};

/// The Hub says where files shall go.
pub(super) fn batch(state: &State, request: &Request) -> Reply {
    let wanted = request.json();
    let is_upload = wanted["operation"] == "upload" && wanted["hash_algo"] == "sha256";
    if !is_upload || !wanted["ref"]["name"].is_string() {
        return Reply::error(422, "what shall be done?");
    }
    let objects = wanted["objects"].as_array().cloned().unwrap_or_default();
    let objects: Vec<Value> = objects.iter().map(|object| order(state, object)).collect();
    Reply::json(&json!({"transfer": "basic", "objects": objects}))
}

fn order(state: &State, object: &Value) -> Value {
    let (oid, size) = (object["oid"].as_str().unwrap_or_default(), object["size"].as_u64());
    let size = usize::try_from(size.unwrap_or(0)).expect("tests are small");
    if state.objects.contains_key(oid) && state.verified.contains(oid) {
        return json!({"oid": oid, "size": size});
    }
    let port = state.port;
    let storage = format!("http://localhost:{port}/store/{oid}?Signature=topsecret");
    let verify = json!({"href": format!("http://127.0.0.1:{port}/api/verify/{oid}")});
    let upload = match state.part_bytes {
        None => json!({ "href": storage }),
        Some(part_bytes) => {
            let mut header = json!({"chunk_size": part_bytes.to_string()});
            for number in 1..=size.div_ceil(part_bytes) {
                header[format!("{number:05}")] = json!(format!("{storage}&part={number}"));
            }
            json!({"href": format!("http://127.0.0.1:{port}/api/complete/{oid}"), "header": header})
        }
    };
    json!({"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}})
}

/// The storage takes bytes.
pub(super) fn store(state: &mut State, request: &Request, forgets: bool) -> Reply {
    let Some(oid) = request.place().strip_prefix("/store/") else {
        return Reply::error(404, "no such place");
    };
    if request.method != "PUT" || request.query("Signature") != Some("topsecret") {
        return Reply::error(403, "not signed");
    }
    if forgets {
        return Reply::text(200, "").header("ETag", "\"nothing\"");
    }
    if let Some(number) = request.query("part") {
        let number = number.parse().expect("the store's own number");
        state.parts.insert((oid.to_owned(), number), request.body.clone());
        return Reply::text(200, "").header("ETag", &format!("\"{}\"", sha256(&request.body)));
    }
    if sha256(&request.body) != oid {
        return Reply::error(400, "other bytes than announced");
    }
    state.objects.insert(oid.to_owned(), request.body.clone());
    Reply::text(200, "")
}

/// The Hub puts parts together.
pub(super) fn complete(state: &mut State, oid: &str, request: &Request) -> Reply {
    let told = request.json();
    let told = told["parts"].as_array().cloned().unwrap_or_default();
    let mut bytes = Vec::new();
    for (number, part) in (1_usize..).zip(&told) {
        let Some(there) = state.parts.get(&(oid.to_owned(), number)) else {
            return Reply::error(400, "a part is missing");
        };
        let mark = format!("\"{}\"", sha256(there));
        if part["partNumber"] != number || part["etag"] != mark.as_str() {
            return Reply::error(400, "another part");
        }
        bytes.extend_from_slice(there);
    }
    if sha256(&bytes) != oid {
        return Reply::error(400, "other bytes than announced");
    }
    state.objects.insert(oid.to_owned(), bytes);
    Reply::json(&json!({"success": true}))
}

/// The Hub is asked whether a file is there.
pub(super) fn verify(state: &mut State, oid: &str, request: &Request) -> Reply {
    let size = request.json()["size"].as_u64();
    let there = state.objects.get(oid).map(|bytes| bytes.len() as u64);
    if there.is_none() || there != size {
        return Reply::error(404, "it is not there");
    }
    state.verified.insert(oid.to_owned());
    Reply::json(&json!({}))
}
