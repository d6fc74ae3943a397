//! HTTP as far as it goes here: one request a connection, bodies with a length or in chunks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// A request whose body has not been read.
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) n_bytes: usize,
    is_chunked: bool,
    host: String,
    token: Option<String>,
    stream: BufReader<TcpStream>,
}

/// A whole request.
pub(super) struct Request {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) host: String,
    pub(super) token: Option<String>,
    pub(super) is_chunked: bool,
    pub(super) body: Vec<u8>,
}

/// The first lines of a request; nothing when the client went away.
pub(super) fn head(stream: &TcpStream) -> io::Result<Option<Head>> {
    let mut stream = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    if stream.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut n_bytes, mut is_chunked, mut host, mut token) = (0, false, String::new(), None);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => n_bytes = value.parse().unwrap_or(0),
            "transfer-encoding" => is_chunked = true,
            "host" => host = value.to_owned(),
            "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => (),
        }
    }
    Ok(Some(Head { method, path, n_bytes, is_chunked, host, token, stream }))
}

impl Head {
    /// Reads the body, or so many bytes of it.
    pub(super) fn body(mut self, n_bytes: usize) -> io::Result<Request> {
        let mut body = Vec::new();
        if self.is_chunked {
            loop {
                let mut size = String::new();
                self.stream.read_line(&mut size)?;
                let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                (&mut self.stream).take(size).read_to_end(&mut body)?;
                self.stream.read_line(&mut String::new())?;
                if size == 0 {
                    break;
                }
            }
        } else {
            body = vec![0; n_bytes];
            self.stream.read_exact(&mut body)?;
        }
        let Self { method, path, host, token, is_chunked, .. } = self;
        Ok(Request { method, path, host, token, is_chunked, body })
    }
}

impl Request {
    /// The path without its query.
    pub(super) fn place(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// A value of the query.
    pub(super) fn query(&self, key: &str) -> Option<&str> {
        let query = self.path.split_once('?')?.1;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|p| p.1)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An answer.
pub(super) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn bytes(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self::bytes(status, text.as_bytes().to_vec())
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::text(200, &value.to_string()).header("Content-Type", "application/json")
    }

    pub(super) fn error(status: u16, says: &str) -> Self {
        Self::text(status, &serde_json::json!({ "error": says }).to_string())
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn write(&self, stream: &mut TcpStream, is_head: bool) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} As told\r\nConnection: close\r\n", self.status);
        self.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        head += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        stream.write_all(head.as_bytes())?;
        if is_head { Ok(()) } else { stream.write_all(&self.body) }
    }
}
