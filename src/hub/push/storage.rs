//! Bytes to an address that the Hub names, which is another server's: without the token, as a
//! stream from the disk, and with no word of the address in any message, since it is a credential.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use serde_json::Value;
use ureq::http::header;
use ureq::{Agent, SendBody};

use super::client::Client;
use super::hashed::Hashed;
use crate::Error;
use crate::hub::Progress;
use crate::web::{Failure, agent, failed_call, is_passing};

/// What a file is sent through.
pub(super) struct Storage<'c, 'o> {
    client: &'c Client<'o>,
    agent: Agent,
}

/// What became of bytes that were sent.
#[derive(Debug)]
pub(super) enum Put {
    /// They are there, under this mark if one was given.
    Kept(Option<String>),
    /// The address is good no longer: a new one must be asked for.
    Stale(String),
}

/// A part of a file.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) hashed: &'a Hashed<'a>,
    pub(super) start: u64,
    pub(super) n_bytes: u64,
}

impl<'c, 'o> Storage<'c, 'o> {
    /// The storage at `url`.
    ///
    /// # Errors
    /// When that is no address, or one that would undo the Hub's encryption.
    pub(super) fn new(client: &'c Client<'o>, url: &str) -> Result<Self, Failure> {
        check(client, url)?;
        Ok(Self { client, agent: agent(url, &client.options.patience) })
    }

    /// Puts a part of a file to `url`.
    pub(super) fn put(
        &self,
        url: &str,
        part: Part<'_>,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Put, Failure> {
        check(self.client, url)?;
        let path = &part.hashed.file.path;
        let failed = |e| Failure::Final(Error::disk("read", path, e));
        let mut source = File::open(path).map_err(failed)?;
        source.seek(SeekFrom::Start(part.start)).map_err(failed)?;
        let mut counted = Counted { source, part, n_done: 0, tell };
        let request = self.agent.put(url).config().max_redirects(0);
        let request = request.max_redirects_will_error(false).build();
        let request = request.header(header::CONTENT_LENGTH, part.n_bytes.to_string());
        let sent = request.send(SendBody::from_reader(&mut counted)).map_err(failed_call)?;
        let name = &part.hashed.file.name;
        if sent.status().is_success() {
            let mark = sent.headers().get(header::ETAG).and_then(|v| v.to_str().ok());
            return Ok(Put::Kept(mark.map(str::to_owned)));
        }
        if let Some(passing) = is_passing(&sent, name) {
            return Err(passing);
        }
        Ok(Put::Stale(format!("the storage answers status {} for {name}", sent.status().as_u16())))
    }

    /// Posts JSON to `url`, which ends or checks an upload. The token goes along to the Hub only.
    pub(super) fn post(&self, url: &str, body: &Value, what: &str) -> Result<Put, Failure> {
        check(self.client, url)?;
        let text = body.to_string();
        let kind = "application/vnd.git-lfs+json";
        let answer = if self.client.is_hub(url) {
            self.client.post(url, kind, text.as_bytes())?
        } else {
            let request = self.client.post_to(&self.agent, url, kind);
            request.header(header::ACCEPT, kind).send(text.as_bytes()).map_err(failed_call)?
        };
        if answer.status().is_success() {
            return Ok(Put::Kept(None));
        }
        match is_passing(&answer, what) {
            Some(passing) => Err(passing),
            None => Ok(Put::Stale(format!("status {} for {what}", answer.status().as_u16()))),
        }
    }
}

fn check(client: &Client<'_>, url: &str) -> Result<(), Failure> {
    let is_plain = url.bytes().all(|b| b.is_ascii_graphic());
    let may_be_open = client.options.endpoint.starts_with("http://");
    let is_good = url.starts_with("https://") || (may_be_open && url.starts_with("http://"));
    if is_plain && is_good {
        return Ok(());
    }
    Err(client.strange("a storage whose address is none, or is not encrypted as the Hub's is"))
}

/// A part of a file that tells how much of it has been read.
struct Counted<'a, 't> {
    source: File,
    part: Part<'a>,
    n_done: u64,
    tell: &'t mut dyn FnMut(Progress<'_>),
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_left = self.part.n_bytes - self.n_done;
        let n_max = usize::try_from(n_left).unwrap_or(usize::MAX).min(into.len());
        let n = self.source.read(&mut into[..n_max])?;
        if n == 0 && n_left > 0 && !into.is_empty() {
            // It has become shorter: the length that was promised cannot be kept.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.n_done += n as u64;
        let Hashed { file, n_bytes, .. } = self.part.hashed;
        let n_done = self.part.start + self.n_done;
        (self.tell)(Progress { file: &file.name, n_done, n_total: *n_bytes });
        Ok(n)
    }
}
