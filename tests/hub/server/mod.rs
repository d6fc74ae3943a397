//! A Hub in memory: repositories, commits, large files. It checks hashes, sizes, parents and where
//! the token goes, and cuts, stalls, refuses and lies when told to.
//!
//! As at the real one, large files go to another host: `localhost` is the storage, `127.0.0.1` the
//! Hub. What a client must never do is kept as a breach, and fails the test when the server goes.

mod api;
mod http;
mod lfs;
mod repo;

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use http::{Reply, Request};
pub(crate) use repo::{Commit, State};

/// The one token that may write, in the name of `me`, a member of `org`.
pub(crate) const TOKEN: &str = "hf_secretsecretsecret";

/// What is done to one request.
#[derive(Debug, Clone)]
pub(crate) enum Trick {
    /// Closes the connection before anything is done.
    CutBefore,
    /// Does what is asked, and closes the connection instead of saying so.
    CutAfter,
    /// Closes the connection after so many bytes of the body.
    CutBody(usize),
    /// Says nothing, for ever.
    Stall,
    /// Answers with a status, and asks to be left alone for no time.
    Status(u16),
    /// Answers with this text.
    Say(String),
    /// Says that the list goes on there.
    Link(String),
    /// Takes bytes and forgets them.
    Forget,
    /// Lets somebody else commit first.
    Overtake,
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    /// Bytes of its body.
    pub(crate) n_bytes: usize,
}

#[derive(Default)]
struct Inner {
    state: State,
    /// What is done to the first request whose line holds the text.
    tricks: Vec<(String, Trick)>,
    /// What is done to the request of this number.
    at: Option<(usize, Trick)>,
    asked: Vec<Asked>,
    breaches: Vec<String>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    closing: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no thread panics while it holds the state")
    }
}

pub(crate) struct Server {
    port: u16,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback device");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        shared.lock().state.port = port;
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.lock().closed {
                    break;
                }
                let shared = Arc::clone(&for_thread);
                // A client that goes away in the middle is what some tests are about.
                std::thread::spawn(move || stream.and_then(|stream| serve(&shared, stream)));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What is done to the next request whose line holds `needle`; several are taken in order.
    pub(crate) fn play(&self, needle: &str, trick: Trick) {
        self.shared.lock().tricks.push((needle.to_owned(), trick));
    }

    /// What is done to the request of this number, from 0.
    pub(crate) fn play_at(&self, number: usize, trick: Trick) {
        let mut inner = self.shared.lock();
        let number = inner.asked.len() + number;
        inner.at = Some((number, trick));
    }

    /// Forgets the tricks that were not played.
    pub(crate) fn behave(&self) {
        let mut inner = self.shared.lock();
        inner.tricks.clear();
        inner.at = None;
    }

    /// Looks at what the Hub holds, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.shared.lock().state)
    }

    /// The requests since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.lock().asked)
    }

    /// Commits of a repository's branch, the first one being the Hub's own.
    pub(crate) fn commits(&self, repo: &str) -> Vec<Commit> {
        self.with(|state| state.repos.get(repo).map_or(Vec::new(), |repo| repo.main().clone()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let breaches = {
            let mut inner = self.shared.lock();
            inner.closed = true;
            std::mem::take(&mut inner.breaches)
        };
        self.shared.closing.notify_all();
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if !std::thread::panicking() {
            assert!(breaches.is_empty(), "a client must not: {breaches:?}");
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let Some(head) = http::head(&stream)? else { return Ok(()) };
    let line = format!("{} {}", head.method, head.path);
    let trick = {
        let mut inner = shared.lock();
        let number = inner.asked.len();
        inner.asked.push(Asked { line: line.clone(), n_bytes: head.n_bytes });
        let at = inner.at.take_if(|(at, _)| *at == number).map(|(_, trick)| trick);
        let found = inner.tricks.iter().position(|(needle, _)| line.contains(needle.as_str()));
        at.or_else(|| found.map(|found| inner.tricks.remove(found).1))
    };
    let n_read =
        if let Some(Trick::CutBody(n)) = trick { n.min(head.n_bytes) } else { head.n_bytes };
    let request = head.body(n_read)?;
    let reply = match &trick {
        Some(Trick::CutBefore | Trick::CutBody(_)) => return Ok(()),
        Some(Trick::Stall) => {
            let inner = shared.lock();
            drop(shared.closing.wait_while(inner, |inner| !inner.closed));
            return Ok(());
        }
        Some(Trick::Status(status)) => Reply::error(*status, "as told").header("Retry-After", "0"),
        Some(Trick::Say(text)) => Reply::text(200, text),
        Some(Trick::Link(link)) => answer(shared, &request, false).header("Link", link),
        Some(Trick::Forget) => answer(shared, &request, true),
        Some(Trick::Overtake) => {
            shared.lock().state.overtake();
            answer(shared, &request, false)
        }
        Some(Trick::CutAfter) | None => answer(shared, &request, false),
    };
    if matches!(trick, Some(Trick::CutAfter)) {
        return Ok(());
    }
    reply.write(&mut stream, request.method == "HEAD")
}

fn answer(shared: &Shared, request: &Request, forgets: bool) -> Reply {
    let mut inner = shared.lock();
    let inner = &mut *inner;
    let is_storage = request.host.starts_with("localhost");
    if is_storage && request.token.is_some() {
        inner.breaches.push(format!("the token came to the storage: {}", request.path));
    }
    if request.is_chunked && request.method == "PUT" {
        inner.breaches.push(format!("a body without a length: {}", request.path));
    }
    if is_storage {
        return lfs::store(&mut inner.state, request, forgets);
    }
    api::answer(&mut inner.state, request)
}
