//! An Argilla of the tests' own on the loopback device: the calls that are used, answered as
//! argilla-server 2.8.0 answers them, and cut, stalled and refused when told to.
//!
//! What it follows, by the server's own files: `api/handlers/v1/` (paths and statuses),
//! `api/schemas/v1/` (limits of names, batches, agents and scores), `validators/records.py` and
//! `validators/response_values.py` (fields, metadata, ratings), `bulk/records_bulk.py` (an upsert by
//! external id; one bad record refuses the batch, by its position), `api/policies/v1/` (who may),
//! `errors/` (the shapes of refusals). tests/argilla/real.rs holds the same stories against the
//! server itself.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::{Value, json};

/// What is done to one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trick {
    /// Closes the connection before anything is done.
    CutBefore,
    /// Does what was asked and closes the connection without an answer.
    CutAfter,
    /// Says nothing until the end.
    Stall,
    /// Answers with a status.
    Status(u16),
    /// Does what was asked and tells it otherwise.
    Twist(fn(&mut Value)),
}

/// A data set.
#[derive(Default)]
pub(crate) struct Set {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) workspace: String,
    pub(crate) is_ready: bool,
    pub(crate) fields: Vec<Value>,
    pub(crate) questions: Vec<Value>,
    pub(crate) metadata: Vec<Value>,
    /// Records in the order of their insertion.
    pub(crate) records: Vec<Value>,
    /// Place of each external id.
    places: BTreeMap<String, usize>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) version: String,
    /// User and role of each key.
    keys: BTreeMap<String, (String, String)>,
    pub(crate) workspaces: Vec<String>,
    pub(crate) sets: Vec<Set>,
    /// Tricks, each for the next call whose line contains its text.
    tricks: VecDeque<(String, Trick)>,
    /// Whether the texts of records are forgotten, so that a bench measures the other side.
    pub(crate) forgets: bool,
    pub(crate) asked: Vec<String>,
    /// The call, counted from 0, that is cut once.
    cut: Option<(usize, Trick)>,
    closed: bool,
}

impl State {
    /// Cuts the call of this number, before or after what it asks for is done.
    pub(crate) fn cut_at(&mut self, call: usize, is_done: bool) {
        self.cut = Some((call, if is_done { Trick::CutAfter } else { Trick::CutBefore }));
    }

    /// What is done to the call that was asked last.
    fn trick(&mut self, line: &str) -> Option<Trick> {
        if let Some((_, trick)) = self.cut.take_if(|(call, _)| *call + 1 == self.asked.len()) {
            return Some(trick);
        }
        let place = self.tricks.iter().position(|(part, _)| line.contains(part.as_str()))?;
        self.tricks.remove(place).map(|(_, trick)| trick)
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    closing: Condvar,
}

pub(crate) struct StandIn {
    port: u16,
    shared: Arc<Shared>,
}

const UNPOISONED: &str = "no thread panics while it holds the state";

/// A status and a body.
type Answer = (u16, Value);

impl StandIn {
    /// One workspace, `review`, and the keys `owner.key` and `annotator.key`.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback device");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let key = |role: &str| (format!("{role}.key"), (role.to_owned(), role.to_owned()));
        {
            let mut state = shared.state.lock().expect(UNPOISONED);
            state.version = "2.8.0".to_owned();
            state.keys = ["owner", "annotator"].map(key).into();
            state.workspaces = vec!["review".to_owned()];
        }
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.state.lock().expect(UNPOISONED).closed {
                    break;
                }
                let shared = Arc::clone(&for_thread);
                // A client that goes away in the middle is what some tests are about.
                std::thread::spawn(move || stream.and_then(|stream| serve(&shared, stream)));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect(UNPOISONED)
    }

    /// The next call whose line contains `part` is treated so.
    pub(crate) fn play(&self, part: &str, trick: Trick) {
        self.state().tricks.push_back((part.to_owned(), trick));
    }

    /// Somebody answers a record: question to value.
    pub(crate) fn answer(&self, record: usize, user: &str, status: &str, values: Value) {
        let values = values.as_object().expect("a table of values").clone();
        let values: serde_json::Map<String, Value> =
            values.into_iter().map(|(name, value)| (name, json!({"value": value}))).collect();
        let response = json!({
            "id": format!("{user}-{record}"), "user_id": user, "status": status,
            "values": values, "updated_at": "2026-11-25T12:00:00",
        });
        let mut state = self.state();
        let responses = &mut state.sets[0].records[record]["responses"];
        responses.as_array_mut().expect("a list").push(response);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.state().closed = true;
        self.shared.closing.notify_all();
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    while reader.read_line(&mut first)? > 0 {
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "x-argilla-api-key" => key = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let line = first.trim().trim_end_matches(" HTTP/1.1").to_owned();
        let mut state = shared.state.lock().expect(UNPOISONED);
        state.asked.push(line.clone());
        let trick = state.trick(&line);
        let (status, answer) = match trick {
            Some(Trick::CutBefore) => return Ok(()),
            Some(Trick::Status(status)) => (status, json!({"detail": format!("no {key} today")})),
            Some(Trick::Stall) => {
                let held = shared.closing.wait_while(state, |state| !state.closed);
                drop(held.expect(UNPOISONED));
                return Ok(());
            }
            Some(Trick::CutAfter | Trick::Twist(_)) | None => {
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let mut answer = answer(&mut state, &line, &key, body);
                if let Some(Trick::Twist(twist)) = trick {
                    twist(&mut answer.1);
                }
                answer
            }
        };
        drop(state);
        if matches!(trick, Some(Trick::CutAfter)) {
            return Ok(());
        }
        let text = answer.to_string();
        let length = text.len();
        // In one piece: a second small one would wait for the first to be acknowledged.
        let whole = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{text}");
        stream.write_all(whole.as_bytes())?;
        first.clear();
    }
    Ok(())
}

fn refused(code: &str, says: &str) -> Value {
    json!({"detail": {"code": format!("argilla.api.errors::{code}"), "params": {"detail": says}}})
}

fn answer(state: &mut State, line: &str, key: &str, body: Value) -> Answer {
    let (verb, path) = line.split_once(' ').unwrap_or_default();
    let path = path.trim_start_matches("/api/v1/");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.split('/').collect();
    if parts == ["version"] {
        return (200, json!({"version": state.version}));
    }
    let Some((user, role)) = state.keys.get(key).cloned() else {
        return (401, refused("UnauthorizedError", "Could not validate credentials"));
    };
    let may_write = role != "annotator";
    match (verb, parts.as_slice()) {
        ("GET", ["me"]) => (200, json!({"username": user, "role": role, "api_key": key})),
        ("GET", ["me", "workspaces"]) => {
            let item = |name: &String| json!({"id": format!("id-{name}"), "name": name});
            (200, json!({"items": state.workspaces.iter().map(item).collect::<Vec<_>>()}))
        }
        ("GET", ["me", "datasets"]) => {
            (200, json!({"items": state.sets.iter().map(shown).collect::<Vec<_>>()}))
        }
        _ if !may_write => (403, refused("ForbiddenOperationError", "Operation not allowed")),
        ("POST", ["datasets"]) => create(state, &body),
        (_, ["datasets", id, rest @ ..] | ["me", "datasets", id, rest @ ..]) => {
            let forgets = state.forgets;
            match state.sets.iter_mut().find(|set| set.id == *id) {
                Some(set) => on_set(set, (verb, rest), query, body, forgets),
                None => (404, json!({"detail": format!("Dataset with id `{id}` not found")})),
            }
        }
        _ => (404, json!({"detail": "Not Found"})),
    }
}

fn shown(set: &Set) -> Value {
    let status = if set.is_ready { "ready" } else { "draft" };
    json!({"id": set.id, "name": set.name, "workspace_id": set.workspace, "status": status})
}

fn create(state: &mut State, body: &Value) -> Answer {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (name, workspace) = (text("name"), text("workspace_id"));
    if state.sets.iter().any(|set| set.name == name && set.workspace == workspace) {
        let says = format!("Dataset with name `{name}` already exists for workspace");
        return (409, json!({"detail": says}));
    }
    let id = format!("set-{}", state.sets.len());
    state.sets.push(Set { id, name, workspace, ..Set::default() });
    (201, shown(&state.sets[state.sets.len() - 1]))
}

fn on_set(
    set: &mut Set,
    (verb, rest): (&str, &[&str]),
    query: &str,
    body: Value,
    forgets: bool,
) -> Answer {
    let is_ready = set.is_ready;
    let frozen = (422, json!({"detail": "cannot be created for a published dataset"}));
    match (verb, rest) {
        ("PUT", ["publish"]) => {
            if is_ready || set.fields.is_empty() || set.questions.is_empty() {
                return (422, json!({"detail": "Dataset cannot be published"}));
            }
            set.is_ready = true;
            (200, shown(set))
        }
        ("GET", ["fields"]) => (200, json!({"items": set.fields})),
        ("GET", ["questions"]) => (200, json!({"items": set.questions})),
        ("GET", ["metadata-properties"]) => (200, json!({"items": set.metadata})),
        ("POST", ["fields"]) if !is_ready => add(&mut set.fields, body),
        ("POST", ["questions"]) if !is_ready => add(&mut set.questions, body),
        ("POST", ["fields" | "questions"]) => frozen,
        ("POST", ["metadata-properties"]) => add(&mut set.metadata, body),
        ("GET", ["records"]) => page(set, query),
        ("PUT", ["records", "bulk"]) => upsert(set, body, forgets),
        _ => (404, json!({"detail": "Not Found"})),
    }
}

fn add(parts: &mut Vec<Value>, mut body: Value) -> Answer {
    if parts.iter().any(|part| part["name"] == body["name"]) {
        return (409, json!({"detail": format!("{} already exists", body["name"])}));
    }
    body["id"] = json!(format!("part-{}", body["name"].as_str().unwrap_or_default()));
    parts.push(body.clone());
    (201, body)
}

fn page(set: &Set, query: &str) -> Answer {
    let number = |name: &str| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|text| text.parse::<usize>().ok())
    };
    let (offset, limit) = (number("offset").unwrap_or(0), number("limit").unwrap_or(50));
    if !(1..=1000).contains(&limit) {
        return (422, json!({"detail": "limit"}));
    }
    let items: Vec<_> = set.records.iter().skip(offset).take(limit).collect();
    (200, json!({"items": items, "total": set.records.len()}))
}

fn upsert(set: &mut Set, mut body: Value, forgets: bool) -> Answer {
    let Some(items) = body["items"].as_array_mut() else {
        return (422, json!({"detail": "no items"}));
    };
    let mut ids: Vec<&str> = items.iter().filter_map(|item| item["external_id"].as_str()).collect();
    ids.sort_unstable();
    let n = ids.len();
    ids.dedup();
    if items.is_empty() || items.len() > 500 || ids.len() < n || n < items.len() {
        let error = json!({"loc": ["body", "items"], "msg": "External IDs must be unique"});
        let params = json!({"errors": [error]});
        let code = "argilla.api.errors::ValidationError";
        return (422, json!({"detail": {"code": code, "params": params}}));
    }
    for (position, item) in items.iter().enumerate() {
        if let Err(why) = check(set, item) {
            let says = format!("Record at position {position} is not valid because {why}");
            return (422, json!({"detail": says}));
        }
    }
    let mut given = Vec::new();
    for item in items.iter_mut().map(Value::take) {
        let id = item["external_id"].as_str().unwrap_or_default().to_owned();
        let (n_records, mut record) = (set.records.len(), item);
        let place = *set.places.entry(id).or_insert(n_records);
        record["id"] = json!(format!("record-{place}"));
        given.push(record.clone());
        if forgets {
            record = json!({"id": record["id"], "external_id": record["external_id"]});
        }
        if place < n_records {
            record["responses"] = set.records[place]["responses"].take();
            set.records[place] = record;
        } else {
            record["responses"] = json!([]);
            set.records.push(record);
        }
    }
    // Which of them were there, the server finds out and does not tell.
    (200, json!({"items": given}))
}

fn check(set: &Set, record: &Value) -> Result<(), String> {
    if !set.is_ready {
        return Err("dataset is not published".to_owned());
    }
    let fields = record["fields"].as_object().ok_or("fields cannot be empty")?;
    for field in &set.fields {
        let name = field["name"].as_str().unwrap_or_default();
        if field["required"] == true && fields.get(name).is_none_or(Value::is_null) {
            return Err(format!("missing required value for field: '{name}'"));
        }
    }
    for (name, text) in fields {
        if !set.fields.iter().any(|field| field["name"] == **name) {
            return Err(format!("found fields values for non configured fields: ['{name}']"));
        }
        // What no client can know before: the server has its own bad days.
        if text.as_str().ok_or("value must be a string")?.contains("REFUSE") {
            return Err("it says so".to_owned());
        }
    }
    for (name, value) in record["metadata"].as_object().into_iter().flatten() {
        let property = set.metadata.iter().find(|property| property["name"] == **name);
        if property.is_some_and(|property| property["settings"]["type"] == "float")
            && !value.is_f64()
        {
            return Err(format!("metadata is not valid: '{name}': '{value}' is not a float."));
        }
    }
    record["suggestions"].as_array().into_iter().flatten().try_for_each(|one| suggested(set, one))
}

fn suggested(set: &Set, one: &Value) -> Result<(), String> {
    let question = set.questions.iter().find(|question| question["id"] == one["question_id"]);
    let settings = &question.ok_or("question_id does not exist")?["settings"];
    let value = &one["value"];
    let is_option = |option: &Value| option["value"] == *value && value.is_i64();
    let fits = match settings["type"].as_str() {
        Some("rating") => {
            settings["options"].as_array().is_some_and(|all| all.iter().any(is_option))
        }
        _ => value.is_string(),
    };
    let score = one["score"].as_f64().unwrap_or(0.0);
    let agent = one["agent"].as_str().unwrap_or("a");
    let is_agent = agent.chars().all(|c| c.is_ascii_alphanumeric() || "-_:./ ".contains(c));
    if !fits || !(0.0..=1.0).contains(&score) || !is_agent || !(1..=200).contains(&agent.len()) {
        return Err(format!("suggestion is not valid: {one}"));
    }
    Ok(())
}
