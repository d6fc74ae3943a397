//! A Hub of the tests' own on the loopback device: it answers as the Hub does, counts what it
//! serves, and cuts, stalls and lies when told to.
//!
//! Large files are redirected to `/cdn/` under another host name, as the Hub's are.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::HubOptions;
use super::digest::{git_blob, hex};
use crate::web::Patience;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The commit of the branch with converted data sets, whose files are given with [`BRANCH`] before
/// their names.
pub(crate) const CONVERTED: &str = "89abcdef0123456789abcdef0123456789abcdef";
pub(crate) const BRANCH: &str = "@converted/";

/// What is done to one answer that carries a file's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trick {
    /// Closes the connection after so many bytes.
    Cut(usize),
    /// Says nothing more after so many bytes.
    Stall(usize),
    /// Gives the whole file though a part was asked for.
    Whole,
    /// Gives the file from its beginning whatever was asked, and closes after so many bytes.
    WholeCut(usize),
    /// Gives other bytes.
    Lie,
    /// Gives bytes after the file's end.
    TooMuch,
    /// Answers with a status.
    Status(u16),
}

/// One request and what it was given.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) start: Option<usize>,
    pub(crate) has_token: bool,
    pub(crate) n_served: usize,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    tricks: BTreeMap<String, VecDeque<Trick>>,
    asked: Vec<Asked>,
    status: Option<u16>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    closing: Condvar,
}

const UNPOISONED: &str = "no thread panics while it holds the state";

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }
}

pub(crate) struct Loopback {
    port: u16,
    shared: Arc<Shared>,
}

/// Files above this are kept as the Hub keeps large ones.
const N_SMALL: usize = 1000;

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The name of a file's blob: git's for a small one.
pub(crate) fn etag(bytes: &[u8]) -> String {
    if bytes.len() > N_SMALL {
        return sha256(bytes);
    }
    let mut hasher = git_blob(bytes.len() as u64);
    hasher.update(bytes);
    hex(&hasher.finalize())
}

impl Loopback {
    /// Serves `org/name` with these files.
    pub(crate) fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback device");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        shared.lock().files =
            files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.lock().closed {
                    break;
                }
                let shared = Arc::clone(&for_thread);
                // A client that goes away in the middle is what some tests are about.
                std::thread::spawn(move || stream.and_then(|stream| answer(&shared, port, stream)));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How a test speaks with it: as `secret`, three times and without a pause.
    pub(crate) fn options(&self, cache: &Path) -> HubOptions {
        HubOptions {
            endpoint: self.endpoint(),
            token: Some("secret".to_owned()),
            cache: cache.to_owned(),
            offline: false,
            patience: Patience {
                silence: Duration::from_secs(20),
                n_attempts: 3,
                pause: Duration::ZERO,
            },
        }
    }

    /// The next answers with this file's bytes are treated so, one each.
    pub(crate) fn play(&self, file: &str, tricks: &[Trick]) {
        let mut state = self.shared.lock();
        state.tricks.insert(file.to_owned(), tricks.iter().copied().collect());
    }

    /// Every list of files is refused so.
    pub(crate) fn refuse(&self, status: u16) {
        self.shared.lock().status = Some(status);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }

    /// Bytes of this file that were served in all.
    pub(crate) fn n_served(&self, file: &str) -> usize {
        let asked = self.asked();
        asked.iter().filter(|asked| asked.line.ends_with(file)).map(|asked| asked.n_served).sum()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.closing.notify_all();
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn answer(shared: &Shared, port: u16, mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut start = None;
    let mut last = None;
    let mut has_token = false;
    for header in lines {
        let header = header?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(range) = header.strip_prefix("range: bytes=") {
            let (from, to) = range.split_once('-').unwrap_or((range, ""));
            start = from.parse().ok();
            last = to.parse::<usize>().ok();
        }
        has_token |= header == "authorization: bearer secret";
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let line = format!("{method} {path}");
    let mut state = shared.lock();
    state.asked.push(Asked { line, start, has_token, n_served: 0 });
    let asked_idx = state.asked.len() - 1;

    let lists = ["/api/models/org/name/revision/", "/api/datasets/org/name/revision/"];
    if let Some(revision) = lists.iter().find_map(|list| path.strip_prefix(list)) {
        return list(&state, &mut stream, revision);
    }
    if path.contains("/old/name/") {
        let moved = path.replace("/old/name/", "/org/name/");
        return head(&mut stream, 307, &[("Location", &moved), ("Content-Length", "0")]);
    }
    let below = path.strip_prefix("/datasets").unwrap_or(path);
    let at_hub = below.strip_prefix(&format!("/org/name/resolve/{COMMIT}/")).map(str::to_owned);
    let at_branch = below.strip_prefix(&format!("/org/name/resolve/{CONVERTED}/"));
    let at_hub = at_hub.or_else(|| at_branch.map(|name| format!("{BRANCH}{name}")));
    let at_cdn = path.strip_prefix("/cdn/").map(str::to_owned);
    let is_at_hub = at_hub.is_some();
    let name = at_hub.or(at_cdn).unwrap_or_default().replace("%20", " ");
    let Some(bytes) = state.files.get(&name).cloned() else {
        return head(&mut stream, 404, &[("Content-Length", "0")]);
    };
    if is_at_hub && bytes.len() > N_SMALL {
        let (etag, size) = (format!("\"{}\"", etag(&bytes)), bytes.len().to_string());
        let there = format!("http://localhost:{port}/cdn/{name}");
        let headers = [
            ("Location", there.as_str()),
            ("X-Linked-Etag", &etag),
            ("X-Linked-Size", &size),
            ("ETag", "\"another\""),
            ("X-Repo-Commit", COMMIT),
            ("Content-Length", "0"),
        ];
        return head(&mut stream, 302, &headers);
    }
    if method == "HEAD" {
        let (etag, size) = (format!("W/\"{}\"", etag(&bytes)), bytes.len().to_string());
        let headers =
            [("ETag", etag.as_str()), ("X-Repo-Commit", COMMIT), ("Content-Length", &size)];
        return head(&mut stream, 200, &headers);
    }
    let trick = state.tricks.get_mut(&name).and_then(VecDeque::pop_front);
    drop(state);
    serve(shared, asked_idx, &mut stream, bytes, trick, (start, last))
}

/// The commit and the names of a revision's files.
fn list(state: &State, stream: &mut TcpStream, revision: &str) -> std::io::Result<()> {
    let is_branch = revision == "refs%2Fconvert%2Fparquet" || revision == CONVERTED;
    let names = state.files.keys().filter(|name| name.starts_with(BRANCH) == is_branch);
    let names: Vec<_> = names
        .map(|name| serde_json::json!({"rfilename": name.trim_start_matches(BRANCH)}))
        .collect();
    let commit = if is_branch { CONVERTED } else { COMMIT };
    let body = serde_json::json!({"sha": commit, "siblings": names}).to_string();
    let status = state.status.unwrap_or(if revision == "gone" { 404 } else { 200 });
    head(stream, status, &[("Content-Length", &body.len().to_string())])
        .and_then(|()| stream.write_all(body.as_bytes()))
}

fn serve(
    shared: &Shared,
    asked_idx: usize,
    stream: &mut TcpStream,
    mut bytes: Vec<u8>,
    trick: Option<Trick>,
    (mut start, last): (Option<usize>, Option<usize>),
) -> std::io::Result<()> {
    let mut n_given = usize::MAX;
    let n_total = bytes.len();
    match trick {
        Some(Trick::Status(status)) => return head(stream, status, &[("Content-Length", "0")]),
        Some(Trick::Whole) => start = None,
        Some(Trick::WholeCut(n)) => (start, n_given) = (None, n),
        Some(Trick::Lie) => bytes.iter_mut().for_each(|byte| *byte ^= 1),
        Some(Trick::TooMuch) => bytes.extend_from_slice(&[7; 100]),
        Some(Trick::Cut(n) | Trick::Stall(n)) => n_given = n,
        None => {}
    }
    let end = last.filter(|_| start.is_some()).map_or(bytes.len(), |last| last + 1);
    let part = &bytes[start.unwrap_or(0).min(bytes.len())..end.min(bytes.len())];
    let length = part.len().to_string();
    match start {
        Some(start) if start >= n_total => return head(stream, 416, &[("Content-Length", "0")]),
        Some(start) => {
            let range = format!("bytes {start}-{}/{n_total}", start + part.len() - 1);
            head(stream, 206, &[("Content-Length", &length), ("Content-Range", &range)])?;
        }
        None => head(stream, 200, &[("Content-Length", &length)])?,
    }
    let part = &part[..n_given.min(part.len())];
    // Counted before they leave, so that a client that has them finds them counted.
    shared.lock().asked[asked_idx].n_served = part.len();
    stream.write_all(part)?;
    if matches!(trick, Some(Trick::Stall(_))) {
        let state = shared.lock();
        let held = shared.closing.wait_while(state, |state| !state.closed);
        drop(held.expect(UNPOISONED));
    }
    Ok(())
}

fn head(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)]) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} As told\r\nConnection: close\r\n");
    headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
    stream.write_all(format!("{text}\r\n").as_bytes())
}
