//! The run folder as the flow sees it: which rows are finished, which were dropped, and where.
//!
//! A finished row is found by its id: 24 bytes of memory for each row that an earlier run (or an
//! earlier stage) left, and none for those of this one. Step files whose key has changed are set
//! aside under their old key, and come back should the key come back; so are rows whose data is
//! no longer in the recipe.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data::disk;
use crate::data::dropped::{self, Dropped, DroppedLog};
use crate::data::folder::RunFolder;
use crate::data::journal::{self, Entry, Journal};
use crate::data::lines::{self, Lines};
use crate::data::row::RowId;
use crate::{Error, Result};

/// Finished and dropped rows.
pub(crate) struct Store {
    folder: RunFolder,
    steps: Vec<StepFile>,
    dropped: DroppedLog,
    /// Rows dropped before, by step and row.
    gone: HashMap<(usize, RowId), Gone>,
}

/// Why a row was dropped before.
#[derive(Debug)]
pub(crate) struct Gone {
    /// The reason, in words that can be counted.
    pub(crate) reason: String,
    /// The particulars.
    pub(crate) detail: String,
    /// Whether this run met it.
    reached: bool,
}

impl Gone {
    fn says(&self, reason: &str, detail: &str) -> bool {
        self.reason == reason && self.detail == detail
    }
}

struct StepFile {
    name: String,
    key: String,
    journal: Journal,
    /// The rows that were there when the index was made, sorted.
    index: Vec<Known>,
}

/// A finished row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// The first half of its id.
    prefix: u64,
    /// Where its line starts.
    offset: u64,
    /// Whether this run met it.
    reached: bool,
}

impl Store {
    /// Opens the folder for a run whose steps have these keys. Files of other keys are set aside;
    /// `plan` is then written as what was decided.
    ///
    /// # Errors
    /// When the disk refuses or another run holds the folder.
    pub(crate) fn open(folder: RunFolder, keys: &[(String, String)], plan: &Value) -> Result<Self> {
        let before = keys_before(&folder);
        let stale = |name: &str| {
            let now = keys.iter().find(|(step, _)| step == name).map(|(_, key)| key);
            before.get(name).is_some_and(|key| Some(key) != now)
        };
        // In this order a crash in between leaves nothing under a key that is not its own: first
        // out with the stale, then the new keys, then back with what they name.
        dropped::retain(&folder.dropped(), |dropped| {
            before.contains_key(&dropped.step) && !stale(&dropped.step)
        })?;
        for (name, key) in before.iter().filter(|(name, _)| stale(name)) {
            move_file(folder.step(name), set_aside(&folder, name, key))?;
        }
        for (name, _) in keys.iter().filter(|(name, _)| !before.contains_key(name)) {
            move_file(folder.step(name), set_aside(&folder, name, "unknown"))?;
        }
        let text = serde_json::to_vec_pretty(plan).expect("a plan is plain JSON");
        disk::write_atomic(&folder.plan(), &text)?;
        for (name, key) in keys {
            if !folder.step(name).exists() {
                move_file(set_aside(&folder, name, key), folder.step(name))?;
            }
        }
        let dropped = DroppedLog::open(&folder.dropped())?;
        let mut steps = Vec::with_capacity(keys.len());
        for (name, key) in keys {
            let (journal, _) = Journal::open(&folder.step(name))?;
            let (name, key) = (name.clone(), key.clone());
            steps.push(StepFile { name, key, journal, index: Vec::new() });
        }
        let mut store = Self { folder, steps, dropped, gone: HashMap::new() };
        store.reindex()?;
        Ok(store)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Learns which rows are finished; at the start and between stages.
    ///
    /// # Errors
    /// When the disk refuses or a line is damaged.
    pub(crate) fn reindex(&mut self) -> Result<()> {
        self.sync()?;
        for step in &mut self.steps {
            step.index.clear();
            for row in journal::ids(&self.folder.step(&step.name))? {
                let (offset, id) = row?;
                let prefix = prefix(id);
                step.index.push(Known { prefix, offset, reached: false });
            }
            step.index.sort_unstable();
        }
        self.gone.clear();
        let places: HashMap<&str, usize> =
            self.steps.iter().enumerate().map(|(i, step)| (step.name.as_str(), i)).collect();
        for dropped in dropped::read(&self.folder.dropped())? {
            let dropped = dropped?;
            if let Some(step) = places.get(dropped.step.as_str()) {
                let detail = dropped.detail.unwrap_or_default();
                let gone = Gone { reason: dropped.reason, detail, reached: false };
                self.gone.insert((*step, dropped.row), gone);
            }
        }
        Ok(())
    }

    /// Where a finished row of a step stands, if it is there.
    pub(crate) fn finished(&mut self, step: usize, id: RowId) -> Option<u64> {
        let index = &mut self.steps[step].index;
        let at = index.partition_point(|known| known.prefix < prefix(id));
        let known = index.get_mut(at).filter(|known| known.prefix == prefix(id))?;
        known.reached = true;
        Some(known.offset)
    }

    /// The row at a place.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn read(&mut self, step: usize, offset: u64) -> Result<Entry> {
        self.steps[step].journal.read_at(offset)
    }

    /// Writes a finished row down.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn append(&mut self, step: usize, entry: &Entry) -> Result<u64> {
        self.steps[step].journal.append(entry)
    }

    /// Why a row was dropped before, if it was.
    pub(crate) fn gone(&mut self, step: usize, id: RowId) -> Option<&Gone> {
        let gone = self.gone.get_mut(&(step, id))?;
        gone.reached = true;
        Some(gone)
    }

    /// Whether a row was dropped before for just this. What a row duplicates may change with the
    /// data before it; the old line is then unmet.
    pub(crate) fn gone_so(&mut self, step: usize, id: RowId, reason: &str, detail: &str) -> bool {
        let gone = self.gone.get_mut(&(step, id));
        let Some(gone) = gone.filter(|gone| gone.says(reason, detail)) else { return false };
        gone.reached = true;
        true
    }

    /// Writes a dropped row down.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn drop_row(&mut self, dropped: &Dropped) -> Result<()> {
        self.dropped.append(dropped)
    }

    /// Sets aside the rows that a whole run did not meet: their data is no longer in the recipe.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn set_aside_unmet(&mut self) -> Result<()> {
        self.sync()?;
        for step in &mut self.steps {
            let mut unmet: Vec<u64> =
                step.index.iter().filter(|known| !known.reached).map(|k| k.offset).collect();
            if unmet.is_empty() {
                continue;
            }
            unmet.sort_unstable();
            let path = self.folder.step(&step.name);
            split(&path, &unmet, &set_aside(&self.folder, &step.name, &step.key))?;
            step.journal = Journal::open(&path)?.0;
            step.index.clear();
        }
        if self.gone.values().all(|gone| gone.reached) {
            return Ok(());
        }
        let place = |name: &str| self.steps.iter().position(|step| step.name == name);
        dropped::retain(&self.folder.dropped(), |dropped| {
            let known = place(&dropped.step).and_then(|step| self.gone.get(&(step, dropped.row)));
            // Lines that this run wrote are good, whatever an old line of the row said.
            let detail = dropped.detail.as_deref().unwrap_or_default();
            known.is_none_or(|gone| gone.reached == gone.says(&dropped.reason, detail))
        })?;
        self.dropped = DroppedLog::open(&self.folder.dropped())?;
        Ok(())
    }

    /// Puts everything on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.steps.iter_mut().try_for_each(|step| step.journal.sync())?;
        self.dropped.sync()
    }
}

/// 64 bits of an id: with a million rows, two share them once in forty million runs, and then the
/// reader sees that the row is another.
fn prefix(id: RowId) -> u64 {
    let mut half = [0; 8];
    half.copy_from_slice(&id.0[..8]);
    u64::from_be_bytes(half)
}

/// The keys under which the files in the folder were written.
fn keys_before(folder: &RunFolder) -> BTreeMap<String, String> {
    let Ok(text) = std::fs::read(folder.plan()) else { return BTreeMap::new() };
    let Ok(plan) = serde_json::from_slice::<Value>(&text) else { return BTreeMap::new() };
    let steps = plan["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    steps.iter().filter_map(|step| Some((text(&step["name"])?, text(&step["key"])?))).collect()
}

fn set_aside(folder: &RunFolder, name: &str, key: &str) -> PathBuf {
    folder.root().join("stale").join(format!("{name}.{key}.jsonl"))
}

/// Moves the lines at these offsets (sorted) from one file to the end of another.
fn split(path: &Path, offsets: &[u64], aside: &Path) -> Result<()> {
    disk::create_folder(aside.parent().expect("files lie in folders"))?;
    let fresh = path.with_extension("new");
    // Left by a run that was killed here.
    let _ = std::fs::remove_file(&fresh);
    let (mut kept, mut moved) = (Lines::open(&fresh)?.0, Lines::open(aside)?.0);
    for line in lines::read(path)? {
        let (offset, mut line) = line?;
        line.push(b'\n');
        let to = if offsets.binary_search(&offset).is_ok() { &mut moved } else { &mut kept };
        to.append(&line)?;
    }
    moved.sync()?;
    kept.sync()?;
    std::fs::rename(&fresh, path).map_err(|error| Error::disk("replace", path, error))
}

fn move_file(from: PathBuf, to: PathBuf) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    disk::create_folder(to.parent().expect("files lie in folders"))?;
    std::fs::rename(&from, &to).map_err(|error| Error::disk("set aside", &from, error))
}
