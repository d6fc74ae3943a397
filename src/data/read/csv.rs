//! CSV with a header line (RFC 4180: commas, double quotes). Every value is a text.
//!
//! Values keep their letters: guessing types would turn the prompt `1/2` into a date and `007`
//! into 7. The parser is csv-core's, fed by hand, because the crate above it holds a record of any
//! length in memory, and one forgotten quote makes a record of the rest of the file.

use std::io::{self, BufRead};
use std::path::Path;

use csv_core::ReadRecordResult;
use serde_json::Value;

use super::json::{not_utf8, too_long};
use super::{Fault, N_RECORD_BYTES_MAX, Place, RawRecord, RawRecords};
use crate::data::row::Columns;
use crate::{Error, Result};

/// Most fields of one record.
const N_FIELDS_MAX: usize = 1 << 14;

/// What was read into the parser's buffers.
enum Cut {
    Whole { n_fields: usize },
    TooLong,
    End,
}

struct Parser<R> {
    reader: R,
    core: csv_core::Reader,
    /// The fields of the record, one after the other.
    bytes: Vec<u8>,
    /// Where each field ends in `bytes`.
    ends: Vec<usize>,
}

pub(super) fn records(path: &Path, reader: impl BufRead + Send + 'static) -> Result<RawRecords> {
    let mut parser = Parser::new(reader);
    let header = parser.header(path)?;
    let path = path.to_owned();
    let mut record_no = 0_u64;
    Ok(Box::new(std::iter::from_fn(move || {
        let columns = match parser.cut() {
            Ok(Cut::End) => return None,
            Ok(Cut::TooLong) => {
                let Fault { reason, .. } = too_long();
                Err(Fault::new(reason, "passed over; is a quote not closed?"))
            }
            Ok(Cut::Whole { n_fields }) => parser.columns(&header, n_fields),
            Err(e) => return Some(Err(Error::disk("read", &path, e))),
        };
        record_no += 1;
        Some(Ok(RawRecord { place: Place { unit: "record", number: record_no }, columns }))
    })))
}

impl<R: BufRead> Parser<R> {
    fn new(reader: R) -> Self {
        let core = csv_core::Reader::new();
        Self { reader, core, bytes: vec![0; 1 << 12], ends: vec![0; 64] }
    }

    /// The names of the columns.
    fn header(&mut self, path: &Path) -> Result<Vec<String>> {
        let wrong = |what: &str| {
            Error::environment(
                format!("the header of {} {what}", path.display()),
                "the first line of a .csv file names its columns, each once",
            )
        };
        match self.cut().map_err(|e| Error::disk("read", path, e))? {
            Cut::End => Err(super::empty(path)),
            Cut::TooLong => Err(wrong("is longer than a record may be")),
            Cut::Whole { n_fields } => {
                let names: Vec<String> = self
                    .fields(n_fields)
                    .map(|name| name.map(|name| name.trim().to_owned()))
                    .collect::<Result<_, _>>()
                    .map_err(|_| wrong("is not valid UTF-8"))?;
                for (i, name) in names.iter().enumerate() {
                    if names[..i].contains(name) {
                        return Err(wrong(&format!("names `{name}` twice")));
                    }
                }
                Ok(names)
            }
        }
    }

    /// Reads one record into the buffers.
    fn cut(&mut self) -> io::Result<Cut> {
        let (mut n_bytes, mut n_ends, mut too_long) = (0, 0, false);
        loop {
            let input = self.reader.fill_buf()?;
            let (result, n_in, n_out, n_end) =
                self.core.read_record(input, &mut self.bytes[n_bytes..], &mut self.ends[n_ends..]);
            self.reader.consume(n_in);
            n_bytes += n_out;
            n_ends += n_end;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.bytes.len() < N_RECORD_BYTES_MAX => {
                    self.bytes.resize(self.bytes.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < N_FIELDS_MAX => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                // The rest of the record is parsed, to find its end, and overwritten.
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    (n_bytes, n_ends, too_long) = (0, 0, true);
                }
                ReadRecordResult::Record if too_long => return Ok(Cut::TooLong),
                ReadRecordResult::Record => return Ok(Cut::Whole { n_fields: n_ends }),
                ReadRecordResult::End => return Ok(Cut::End),
            }
        }
    }

    fn fields(&self, n_fields: usize) -> impl Iterator<Item = Result<&str, std::str::Utf8Error>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends[..n_fields])
            .map(|(start, end)| std::str::from_utf8(&self.bytes[start..*end]))
    }

    fn columns(&self, header: &[String], n_fields: usize) -> Result<Columns, Fault> {
        if n_fields != header.len() {
            let detail = format!("{n_fields} fields, but the header names {}", header.len());
            return Err(Fault::new("the record has another number of fields", detail));
        }
        header
            .iter()
            .zip(self.fields(n_fields))
            .map(|(name, field)| {
                let field = field.map_err(not_utf8)?;
                Ok((name.clone(), Value::String(field.to_owned())))
            })
            .collect()
    }
}
