//! Records in batches, each updated where it is there and made where it is not.
//!
//! The server refuses a batch for one bad record, so a refused batch is halved until that record is
//! alone. One batch is in memory at a time. A batch whose answer is lost is sent again: records are
//! known by their external ids, so that none is doubled.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::N_BATCH_MAX;
use super::client::{Client, Refusal, Verb};
use super::dataset::Dataset;
use super::record::Record;
use crate::Result;

/// Most bytes of one call, records longer than that apart.
const N_BATCH_BYTES_MAX: usize = 8 << 20;

/// Records that are refused before any is taken, after which it is no matter of records.
const N_REFUSED_FIRST_MAX: u64 = 20;

/// Refused records that are remembered by name.
const N_NAMED_MAX: usize = 100;

/// What became of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Records that the server took, new or not: of which they are it tells nothing.
    pub(crate) n_taken: u64,
    /// Records that were not sent because one of the same id is in the same batch.
    pub(crate) n_same: u64,
    /// Records that the server refuses.
    pub(crate) n_refused: u64,
    /// The first of those: what the caller calls it, and what the server says.
    pub(crate) refused: Vec<(String, String)>,
}

struct Waiting {
    /// What the caller calls it.
    name: String,
    body: Vec<u8>,
}

/// A push that is going on.
pub(crate) struct Upserts<'a> {
    client: &'a Client,
    dataset: &'a Dataset,
    batch: Vec<Waiting>,
    n_bytes: usize,
    ids: HashSet<String>,
    sent: Sent,
}

#[derive(Deserialize)]
struct Upserted {
    items: Vec<IgnoredAny>,
}

impl<'a> Upserts<'a> {
    /// Begins.
    pub(crate) fn new(client: &'a Client, dataset: &'a Dataset) -> Self {
        let (batch, ids) = (Vec::new(), HashSet::new());
        Self { client, dataset, batch, n_bytes: 0, ids, sent: Sent::default() }
    }

    /// Adds a record that was checked and that the caller calls `name`, and sends when there are
    /// enough of them. Gives back what is done so far.
    ///
    /// # Errors
    /// [`crate::Error::Remote`] when the server cannot be reached, or refuses for a reason that is
    /// not the record's.
    pub(crate) fn add(&mut self, mut record: Record, name: String) -> Result<&Sent> {
        if self.ids.contains(&record.external_id) {
            self.sent.n_same += 1;
            return Ok(&self.sent);
        }
        record.metadata.retain(|(name, _)| self.dataset.takes_metadata(name));
        let body = record.body(&|name| self.dataset.question_id(name));
        let body = serde_json::to_vec(&body).expect("a record is plain JSON");
        if self.batch.len() == N_BATCH_MAX || self.n_bytes + body.len() > N_BATCH_BYTES_MAX {
            self.flush()?;
        }
        self.n_bytes += body.len();
        self.ids.insert(record.external_id);
        self.batch.push(Waiting { name, body });
        Ok(&self.sent)
    }

    /// Sends what is left.
    ///
    /// # Errors
    /// As [`Upserts::add`].
    pub(crate) fn finish(mut self) -> Result<Sent> {
        self.flush()?;
        Ok(self.sent)
    }

    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.ids.clear();
        self.n_bytes = 0;
        self.send(&batch)
    }

    fn send(&mut self, batch: &[Waiting]) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let path = format!("datasets/{}/records/bulk", self.dataset.id);
        let mut body = b"{\"items\":[".to_vec();
        for (i, record) in batch.iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&record.body);
        }
        body.extend_from_slice(b"]}");
        match self.client.call(Verb::Put, &path, Some(&body))? {
            Ok(text) => self.count(&path, batch.len(), &text),
            // 413: a proxy before the server takes no body of this size.
            Err(refusal) if [413, 422].contains(&refusal.status) => {
                drop(body);
                match batch {
                    [one] => self.refuse(one, refusal),
                    _ => {
                        let (left, right) = batch.split_at(batch.len() / 2);
                        self.send(left)?;
                        self.send(right)
                    }
                }
            }
            Err(refusal) => Err(self.client.refused(&path, &refusal)),
        }
    }

    fn count(&mut self, path: &str, n_sent: usize, text: &str) -> Result<()> {
        let done: Upserted = self.client.parse(path, text)?;
        if done.items.len() != n_sent {
            let n_kept = done.items.len();
            let what = format!("Argilla was sent {n_sent} records and tells of {n_kept}");
            return Err(self.client.remote(&what, "run the command again: it doubles nothing"));
        }
        self.sent.n_taken += n_sent as u64;
        Ok(())
    }

    fn refuse(&mut self, record: &Waiting, refusal: Refusal) -> Result<()> {
        self.sent.n_refused += 1;
        if self.sent.refused.len() < N_NAMED_MAX {
            self.sent.refused.push((record.name.clone(), refusal.says.clone()));
        }
        if self.sent.n_taken == 0 && self.sent.n_refused >= N_REFUSED_FIRST_MAX {
            let n = self.sent.n_refused;
            let what = format!("Argilla refuses each of the first {n} records: {}", refusal.says);
            let hint = "choose another --dataset, or look at its settings there";
            return Err(self.client.remote(&what, hint));
        }
        Ok(())
    }
}
