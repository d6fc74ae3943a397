//! What people answered, record by record.
//!
//! The server pages by the time of insertion, and records of one batch may share it: two pages can
//! show the same record and miss another. So records are told apart by their ids, and the walk is
//! repeated while some are missing; from its start where somebody pushes or deletes meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::dataset::Dataset;
use crate::Result;

/// Records of one page. The server gives up to a thousand; long ones make a page heavy.
const N_PAGE: u64 = 250;

/// How often all pages are read before it is given up.
const N_WALKS_MAX: u32 = 5;

/// A record with answers.
#[derive(Debug, Clone, Deserialize)]
struct Answered {
    id: String,
    external_id: Option<String>,
    #[serde(default)]
    responses: Option<Vec<Response>>,
}

/// One person's answer to a record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Response {
    /// Who answered.
    pub(crate) user_id: String,
    /// `submitted`, `draft` or `discarded`.
    status: String,
    #[serde(default)]
    values: Option<BTreeMap<String, Answer>>,
    /// When, as the server writes it.
    pub(crate) updated_at: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Answer {
    value: Value,
}

impl Response {
    /// The answer to a question.
    pub(crate) fn value(&self, question: &str) -> Option<&Value> {
        self.values.as_ref()?.get(question).map(|answer| &answer.value)
    }
}

/// What was there beside submitted answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Records of the data set.
    pub(crate) n_records: u64,
    /// Answers that were begun.
    pub(crate) n_drafts: u64,
    /// Answers by which a record was put aside.
    pub(crate) n_discarded: u64,
    /// Answers to records without an external id.
    pub(crate) n_nameless: u64,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Answered>,
    /// Records of the data set; without it nobody knows whether all were shown.
    total: u64,
}

/// Submitted answers by the external ids of their records.
pub(crate) type Answers = HashMap<String, Vec<Response>>;

/// What was read so far.
#[derive(Default)]
struct Reading {
    /// Records that the data set has, by all pages alike.
    total: Option<u64>,
    /// Their ids, as far as they were shown.
    seen: HashSet<String>,
    counted: Counted,
    answers: Answers,
}

/// Reads all records: the answers that were submitted, and what else is there.
///
/// # Errors
/// [`crate::Error::Remote`] when the server refuses, cannot be reached, or does not show all that
/// it tells of.
pub(crate) fn read(client: &Client, dataset: &Dataset) -> Result<(Answers, Counted)> {
    let mut reading = Reading::default();
    for _ in 0..N_WALKS_MAX {
        if !reading.walk(client, dataset)? {
            reading = Reading::default();
        } else if reading.is_whole() {
            let n_records = reading.seen.len() as u64;
            return Ok((reading.answers, Counted { n_records, ..reading.counted }));
        }
    }
    let (name, n_seen) = (&dataset.name, reading.seen.len());
    let what = match reading.total {
        Some(total) => format!("Argilla tells of {total} records in `{name}` and shows {n_seen}"),
        None => format!("the number of records in `{name}` changes while they are read"),
    };
    let hint = "is somebody pushing or deleting? run the command again in a while";
    Err(client.remote(&what, hint))
}

impl Reading {
    fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.seen.len() as u64 >= total)
    }

    /// Reads all pages. False where the number of records changed meanwhile: what was read by then
    /// belongs to no one state of the data set.
    fn walk(&mut self, client: &Client, dataset: &Dataset) -> Result<bool> {
        let mut offset = 0;
        let mut seen_now = HashSet::new();
        loop {
            let path = format!(
                "datasets/{}/records?include=responses&offset={offset}&limit={N_PAGE}",
                dataset.id
            );
            let page: Page = client.get(&path)?;
            if *self.total.get_or_insert(page.total) != page.total {
                return Ok(false);
            }
            let (n_page, n_before) = (page.items.len() as u64, seen_now.len());
            for record in page.items {
                seen_now.insert(record.id.clone());
                if self.seen.insert(record.id.clone()) {
                    self.take(record);
                }
            }
            offset += n_page;
            if offset >= page.total {
                return Ok(true);
            }
            // The next page would bring as little, and the one after it.
            if seen_now.len() == n_before {
                let what = format!(
                    "Argilla tells of {} records in `{}`, shows {n_before} of them, and then none \
                     that is new",
                    page.total, dataset.name
                );
                return Err(client.remote(&what, "run the command again; look at the server's log"));
            }
        }
    }

    fn take(&mut self, record: Answered) {
        let counted = &mut self.counted;
        let mut submitted = Vec::new();
        for response in record.responses.unwrap_or_default() {
            match response.status.as_str() {
                "submitted" => submitted.push(response),
                "discarded" => counted.n_discarded += 1,
                _ => counted.n_drafts += 1,
            }
        }
        match record.external_id {
            _ if submitted.is_empty() => {}
            Some(id) => self.answers.entry(id).or_default().extend(submitted),
            None => counted.n_nameless += submitted.len() as u64,
        }
    }
}
