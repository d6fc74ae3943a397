//! JSON Lines and JSON arrays, cut into records by hand so that one bad record costs only itself.
//!
//! It must not hold more than one record, nor more of it than the limit.

use std::io::{self, BufRead};
use std::path::Path;

use super::{Fault, N_RECORD_BYTES_MAX, Place, RawRecord, RawRecords};
use crate::data::row::Columns;
use crate::{Error, Result};

/// Whether a record was cut out.
#[derive(Debug, PartialEq, Eq)]
enum Cut {
    /// It is in the buffer.
    Whole,
    /// It was passed over.
    TooLong,
    /// There are no more.
    End,
}

/// One record a line; lines of nothing but white space are no records.
pub(super) fn lines(path: &Path, mut reader: impl BufRead + Send + 'static) -> RawRecords {
    let path = path.to_owned();
    let mut buffer = Vec::new();
    let mut line_no = 0_u64;
    Box::new(std::iter::from_fn(move || {
        loop {
            line_no += 1;
            let cut = match cut_line(&mut reader, &mut buffer, N_RECORD_BYTES_MAX) {
                Ok(Cut::End) => return None,
                Ok(Cut::Whole) if buffer.trim_ascii().is_empty() => continue,
                Ok(cut) => cut,
                Err(e) => return Some(Err(Error::disk("read", &path, e))),
            };
            return Some(Ok(raw(Place { unit: "line", number: line_no }, cut, &buffer)));
        }
    }))
}

/// One record for each value of the array that the file is. A file that begins with `{` is read
/// as JSON Lines, which many give this extension.
pub(super) fn array(path: &Path, reader: impl BufRead + Send + 'static) -> Result<RawRecords> {
    let mut items = Items { reader, n_cut: 0, ended: false };
    match items.peek_solid().map_err(|e| Error::disk("read", path, e))? {
        Some(b'[') => items.reader.consume(1),
        Some(b'{') => return Ok(lines(path, items.reader)),
        _ => {
            return Err(crate::Error::environment(
                format!("{} does not begin with `[`", path.display()),
                "a .json file is an array of objects; for one object a line use .jsonl",
            ));
        }
    }
    let path = path.to_owned();
    let mut buffer = Vec::new();
    Ok(Box::new(std::iter::from_fn(move || {
        let place = |number| Place { unit: "record", number };
        match items.cut(&mut buffer, N_RECORD_BYTES_MAX) {
            Ok(Cut::End) => None,
            Ok(cut) => Some(Ok(raw(place(items.n_cut), cut, &buffer))),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                items.ended = true;
                let columns = Err(Fault::new("the file ends before its array does", e.to_string()));
                Some(Ok(RawRecord { place: place(items.n_cut), columns }))
            }
            Err(e) => Some(Err(Error::disk("read", &path, e))),
        }
    })))
}

fn raw(place: Place, cut: Cut, bytes: &[u8]) -> RawRecord {
    let columns = if cut == Cut::Whole { object(bytes) } else { Err(too_long()) };
    RawRecord { place, columns }
}

/// The fault of a record over the limit.
pub(super) fn too_long() -> Fault {
    let limit = N_RECORD_BYTES_MAX >> 20;
    Fault::new(format!("the record is longer than {limit} MiB"), "passed over")
}

/// The fault of bytes that are no text.
pub(super) fn not_utf8(e: std::str::Utf8Error) -> Fault {
    let detail = format!("byte {} of the record belongs to no character", e.valid_up_to());
    Fault::new("the record is not valid UTF-8", detail)
}

fn object(bytes: &[u8]) -> Result<Columns, Fault> {
    let text = std::str::from_utf8(bytes).map_err(not_utf8)?;
    serde_json::from_str(text).map_err(|e| {
        let reason = match e.classify() {
            serde_json::error::Category::Data => "the record is not a JSON object",
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => "the record is not valid JSON",
        };
        Fault::new(reason, e.to_string())
    })
}

/// Reads a line without its end into `buffer`, of at most `limit` bytes.
fn cut_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>, limit: usize) -> io::Result<Cut> {
    buffer.clear();
    let mut n_read = 0;
    loop {
        let piece = match reader.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            piece => piece?,
        };
        let end = piece.iter().position(|b| *b == b'\n');
        let taken = end.unwrap_or(piece.len());
        n_read += taken;
        if n_read <= limit {
            buffer.extend_from_slice(&piece[..taken]);
        } else {
            buffer.clear();
        }
        let at_end = piece.is_empty();
        reader.consume(taken + usize::from(end.is_some()));
        if end.is_some() || at_end {
            return Ok(match n_read {
                0 if at_end => Cut::End,
                n if n > limit => Cut::TooLong,
                _ => Cut::Whole,
            });
        }
    }
}

/// The values of a JSON array, cut apart at the commas that stand in no value.
struct Items<R> {
    reader: R,
    n_cut: u64,
    /// The file ended where it should not have.
    ended: bool,
}

/// Where in a value the cutter is.
#[derive(Default)]
struct Inside {
    depth: usize,
    text: bool,
    escaped: bool,
}

impl Inside {
    /// Takes a byte; whether it ends the value that came before it.
    fn is_end(&mut self, byte: u8) -> bool {
        if self.text {
            let closes = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.text = !closes;
            return false;
        }
        match byte {
            b'"' => self.text = true,
            b'{' | b'[' => self.depth += 1,
            b',' | b']' if self.depth == 0 => return true,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

impl<R: BufRead> Items<R> {
    /// The next byte that is no white space, left in the reader.
    fn peek_solid(&mut self) -> io::Result<Option<u8>> {
        loop {
            let piece = self.reader.fill_buf()?;
            if piece.is_empty() {
                return Ok(None);
            }
            match piece.iter().position(|b| !b.is_ascii_whitespace()) {
                Some(at) => {
                    let byte = piece[at];
                    self.reader.consume(at);
                    return Ok(Some(byte));
                }
                None => {
                    let n = piece.len();
                    self.reader.consume(n);
                }
            }
        }
    }

    fn cut(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<Cut> {
        buffer.clear();
        if self.ended {
            return Ok(Cut::End);
        }
        if self.n_cut > 0 && self.peek_solid()? == Some(b',') {
            self.reader.consume(1);
        }
        match self.peek_solid()? {
            Some(b']') => return Ok(Cut::End),
            Some(_) => self.n_cut += 1,
            None => {
                self.n_cut += 1;
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "there is no `]`"));
            }
        }
        let mut inside = Inside::default();
        let mut n_read = 0;
        loop {
            let piece = self.reader.fill_buf()?;
            if piece.is_empty() {
                let what = "the last record is not closed";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            let end = piece.iter().position(|byte| inside.is_end(*byte));
            let taken = end.unwrap_or(piece.len());
            n_read += taken;
            if n_read <= limit {
                buffer.extend_from_slice(&piece[..taken]);
            } else {
                buffer.clear();
            }
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(if n_read > limit { Cut::TooLong } else { Cut::Whole });
            }
        }
    }
}
