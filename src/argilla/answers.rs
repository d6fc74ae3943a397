//! What people answered, record by record.
//!
//! The server pages by the time of insertion, and records of one batch may share it: two pages can
//! show the same record and miss another. So records are told apart by their ids, and the walk is
//! repeated while some are missing.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, remote};
use super::dataset::Dataset;
use crate::Result;

/// Records of one page. The server gives up to a thousand; long ones make a page heavy.
const N_PAGE: u64 = 250;

/// How often all pages are read before it is given up.
const N_WALKS_MAX: u32 = 3;

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
    total: Option<u64>,
}

/// Reads all records, and gives `each` one's external id with the answers that were submitted to
/// it, where there are any.
///
/// # Errors
/// [`crate::Error::Remote`] when the server refuses or cannot be reached.
pub(crate) fn read(
    client: &Client,
    dataset: &Dataset,
    each: &mut dyn FnMut(String, Vec<Response>),
) -> Result<Counted> {
    let mut counted = Counted::default();
    let mut seen = HashSet::new();
    let mut total = 0;
    for _ in 0..N_WALKS_MAX {
        let mut offset = 0;
        loop {
            let path = format!(
                "datasets/{}/records?include=responses&offset={offset}&limit={N_PAGE}",
                dataset.id
            );
            let page: Page = client.get(&path)?;
            let n_page = page.items.len() as u64;
            total = page.total.unwrap_or(offset + n_page);
            for record in page.items {
                if seen.insert(record.id.clone()) {
                    take(record, &mut counted, each);
                }
            }
            offset += n_page;
            if n_page == 0 || offset >= total {
                break;
            }
        }
        counted.n_records = seen.len() as u64;
        if counted.n_records >= total {
            return Ok(counted);
        }
    }
    let what = format!(
        "Argilla tells of {total} records in `{}` and shows {}",
        dataset.name, counted.n_records
    );
    Err(remote(what, "is somebody pushing or deleting? run the command again in a while"))
}

fn take(record: Answered, counted: &mut Counted, each: &mut dyn FnMut(String, Vec<Response>)) {
    let mut submitted = Vec::new();
    for response in record.responses.unwrap_or_default() {
        match response.status.as_str() {
            "submitted" => submitted.push(response),
            "discarded" => counted.n_discarded += 1,
            _ => counted.n_drafts += 1,
        }
    }
    if submitted.is_empty() {
        return;
    }
    match record.external_id {
        Some(id) => each(id, submitted),
        None => counted.n_nameless += submitted.len() as u64,
    }
}
