//! The safetensors files of a checkpoint: mapped, their headers checked, their tensors found by
//! name and read a few rows at a time, in whatever format they are stored.
//!
//! Pages are handed back to the system as soon as they were read, so that loading costs the memory
//! of the model and of one slice of rows; a mapped 140 GB would otherwise push everything else out.
//! Knows files and bytes; what the tensors mean is told by the layout, and which are needed.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::Metadata;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::files::{Bytes, Files};
use crate::stored::Stored;

/// The one file of a checkpoint that is not sharded.
const SINGLE: &str = "model.safetensors";

/// Which shard holds which tensor.
const INDEX: &str = "model.safetensors.index.json";

/// Bytes of the length that begins a safetensors file.
const N_LEN: usize = 8;

/// Bytes read before the pages are handed back.
const SLICE: usize = 16 << 20;

/// The mapped shards of one folder.
pub(crate) struct Checkpoint {
    folder: PathBuf,
    shards: Vec<Shard>,
    tensors: HashMap<String, Entry>,
}

/// One mapped file.
pub(crate) struct Shard {
    path: PathBuf,
    map: Bytes,
    /// Bytes before the first tensor.
    n_header: usize,
}

/// Where a tensor lies.
struct Entry {
    shard: usize,
    shape: Vec<usize>,
    /// None when it is in a format that is not read.
    stored: Option<Stored>,
    format_name: String,
    /// Bytes in the file.
    range: Range<usize>,
}

/// A tensor of the wanted shape, ready to be read.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    name: &'a str,
    shard: &'a Shard,
    entry: &'a Entry,
    /// Format of its numbers.
    pub(crate) stored: Stored,
}

impl Checkpoint {
    /// Maps the shards of `folder` and reads their headers.
    ///
    /// # Errors
    /// When there is none, one is missing or truncated, or a header contradicts itself.
    pub(crate) fn open(files: &Files) -> Result<Self> {
        let folder = files.place().to_owned();
        let mut checkpoint = Self { folder, shards: Vec::new(), tensors: HashMap::new() };
        for name in shard_names(files)? {
            checkpoint.add(files, &name)?;
        }
        Ok(checkpoint)
    }

    /// The files, in the order of their names.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The tensor `name`, which must have the shape `wanted`.
    ///
    /// # Errors
    /// When it is absent, has another shape, or is in a format that is not read.
    pub(crate) fn source<'a>(&'a self, name: &'a str, wanted: &[usize]) -> Result<Source<'a>> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(Error::TensorAbsent {
                folder: self.folder.clone(),
                name: name.to_owned(),
                wanted: wanted.to_vec(),
            });
        };
        let shard = &self.shards[entry.shard];
        if entry.shape != wanted {
            return Err(Error::TensorShape {
                path: shard.path.clone(),
                name: name.to_owned(),
                found: entry.shape.clone(),
                wanted: wanted.to_vec(),
            });
        }
        let Some(stored) = entry.stored else {
            return Err(Error::TensorDtype {
                path: shard.path.clone(),
                name: name.to_owned(),
                found: entry.format_name.clone(),
            });
        };
        Ok(Source { name, shard, entry, stored })
    }

    /// Where the tensor begins: sorting by this reads the files in order.
    pub(crate) fn place(&self, name: &str) -> (usize, usize) {
        self.tensors.get(name).map_or((0, 0), |entry| (entry.shard, entry.range.start))
    }

    fn add(&mut self, files: &Files, name: &str) -> Result<()> {
        let (shard, header) = Shard::open(files, name)?;
        let n_header = shard.n_header;
        for (name, info) in header.tensors() {
            let (from, to) = info.data_offsets;
            let entry = Entry {
                shard: self.shards.len(),
                shape: info.shape.clone(),
                stored: Stored::from_safetensors(info.dtype),
                format_name: format!("{:?}", info.dtype),
                range: n_header + from..n_header + to,
            };
            if self.tensors.insert(name.clone(), entry).is_some() {
                return Err(Error::Damaged {
                    path: shard.path,
                    what: format!("holds tensor {name:?}, which another shard holds too"),
                });
            }
        }
        self.shards.push(shard);
        Ok(())
    }
}

/// Names of the files that hold the weights, sorted, which is the order of loading.
///
/// # Errors
/// When there are none, or one is missing.
pub(crate) fn shard_names(files: &Files) -> Result<Vec<String>> {
    if files.has(SINGLE) {
        return Ok(vec![SINGLE.to_owned()]);
    }
    let index = files.path(INDEX);
    let Some(bytes) = files.read(INDEX).map_err(Error::read(&index))? else {
        return Err(Error::Absent {
            path: files.place().to_owned(),
            what: format!("holds neither {SINGLE} nor {INDEX}; only safetensors are read"),
        });
    };
    let damaged = |what: String| Error::Damaged { path: index.clone(), what };
    let json: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|source| Error::Json { path: index.clone(), source })?;
    let Some(places) = json.get("weight_map").and_then(Value::as_object) else {
        return Err(damaged("has no weight_map".to_owned()));
    };
    let mut names: Vec<String> = Vec::new();
    for (tensor, place) in places {
        // A shard lies beside its index; a path could point anywhere.
        match place.as_str() {
            Some(name) if !name.is_empty() && !name.contains(['/', '\\']) => {
                names.push(name.to_owned());
            }
            _ => {
                return Err(damaged(format!("places tensor {tensor:?} in {place}, wanted a file")));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    let missing: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| !files.has(name)).collect();
    if names.is_empty() {
        return Err(damaged("places no tensor".to_owned()));
    }
    if !missing.is_empty() {
        let what = format!("{} of {} shards missing: {}", missing.len(), names.len(), {
            missing.join(", ")
        });
        return Err(Error::Absent { path: files.place().to_owned(), what });
    }
    Ok(names)
}

impl Shard {
    /// Maps a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, is truncated, or its header contradicts itself.
    pub(crate) fn open(files: &Files, name: &str) -> Result<(Self, Metadata)> {
        let path = files.path(name);
        let map = files.map(name).map_err(Error::read(&path))?;
        let n_bytes = map.len();
        if n_bytes < N_LEN {
            let what = format!("has {n_bytes} bytes, too few for safetensors");
            return Err(Error::Damaged { path, what });
        }
        let shard = Self { path, map, n_header: 0 };
        match SafeTensors::read_metadata(&shard.map) {
            Ok((n_json, header)) => Ok((Self { n_header: N_LEN + n_json, ..shard }, header)),
            Err(error) => Err(shard.damaged(&error)),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub(crate) fn n_bytes(&self) -> usize {
        self.map.len()
    }

    /// Bytes before the first tensor: names, shapes and offsets of all of them.
    pub(crate) fn n_header(&self) -> usize {
        self.n_header
    }

    /// Bytes of the file, to be given back by [`Shard::release`].
    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.map[range]
    }

    /// Tells what is wrong with a file whose header could not be used.
    fn damaged(&self, error: &safetensors::SafeTensorError) -> Error {
        let found = self.map.len();
        let what = match declared_len(&self.map) {
            Some(wanted) if wanted > found => {
                format!("truncated: it has {found} bytes, its header wants {wanted}")
            }
            _ => format!("no usable safetensors header: {error}"),
        };
        Error::Damaged { path: self.path.clone(), what }
    }

    /// Hands the pages of a range back to the system.
    pub(crate) fn release(&self, range: Range<usize>) {
        self.map.release(range);
    }
}

/// How many bytes the file should have by its own header, if that can be read at all.
fn declared_len(bytes: &[u8]) -> Option<usize> {
    let n_json = u64::from_le_bytes(bytes.get(..N_LEN)?.try_into().ok()?);
    let n_header = usize::try_from(n_json).ok()?.checked_add(N_LEN)?;
    let Some(json) = bytes.get(N_LEN..n_header) else { return Some(n_header) };
    let header: Map<String, Value> = serde_json::from_slice(json).ok()?;
    let ends = header.values().filter_map(|info| info["data_offsets"][1].as_u64());
    usize::try_from(ends.max()?).ok()?.checked_add(n_header)
}

impl Source<'_> {
    /// The whole tensor on `device`, in the format it is stored in.
    pub(crate) fn read(&self, device: &Device) -> Result<Tensor> {
        let bytes = &self.shard.map[self.entry.range.clone()];
        let tensor = self.tensor(bytes, &self.entry.shape, device);
        self.shard.release(self.entry.range.clone());
        tensor
    }

    /// Calls `take` with the rows of a matrix in order, some `[rows, k]` at a time, on the CPU and
    /// as stored.
    pub(crate) fn for_rows(
        &self,
        mut take: impl FnMut(&Tensor) -> candle_core::Result<()>,
    ) -> Result<()> {
        let [n, k] = self.entry.shape[..] else {
            unreachable!("only matrices are read by rows, {:?} is none", self.name)
        };
        let n_row_bytes = k * self.stored.n_bytes();
        let n_rows = (SLICE / n_row_bytes).clamp(1, n);
        for from in (0..n).step_by(n_rows) {
            let rows = n_rows.min(n - from);
            let start = self.entry.range.start + from * n_row_bytes;
            let range = start..start + rows * n_row_bytes;
            let tensor = self.tensor(&self.shard.map[range.clone()], &[rows, k], &Device::Cpu)?;
            self.shard.release(range);
            take(&tensor).map_err(Error::tensor(format!(
                "{}: tensor {:?} cannot be placed",
                self.shard.path.display(),
                self.name
            )))?;
        }
        Ok(())
    }

    fn tensor(&self, bytes: &[u8], shape: &[usize], device: &Device) -> Result<Tensor> {
        Tensor::from_raw_buffer(bytes, self.stored.dtype(), shape, device).map_err(Error::tensor(
            format!("{}: tensor {:?} cannot be read", self.shard.path.display(), self.name),
        ))
    }
}
