//! The quantised copy of a model on disk, so that a large checkpoint is quantised once.
//!
//! A safetensors file of raw blocks, named by model key and format, with a digest of each piece in
//! its header. It is written whole under another name and renamed, and every piece is checked when
//! it is read; one that does not agree is quantised afresh. A copy can always be deleted.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, TensorInfo, View};
use stillroom_kernels::linear::{Format, Quant, Quantised, Weight};

use crate::draft::draft_beside;
use crate::error::{Error, Result};
use crate::key::ModelKey;
use crate::layout::{Kind, Piece};
use crate::place::{Placed, Placement};
use crate::weights::Shard;

/// Where quantised copies are kept and whose they are.
#[derive(Debug, Clone)]
pub struct CopyCache {
    /// A folder that this program may fill.
    pub folder: PathBuf,
    /// The checkpoint's key.
    pub key: ModelKey,
}

impl CopyCache {
    /// The file of this checkpoint quantised as `quant`.
    pub fn path(&self, quant: Quant) -> PathBuf {
        self.folder.join(format!("{}-{}.safetensors", self.key, quant.name()))
    }
}

/// An opened copy.
pub(crate) struct QuantCopy {
    shard: Shard,
    ranges: HashMap<String, Range<usize>>,
    digests: HashMap<String, String>,
}

impl QuantCopy {
    /// The copy at `path`, if there is one with a usable header.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (shard, header) = Shard::open(&path.parent()?.into(), name).ok()?;
        let n_header = shard.n_header();
        let place = |(name, info): (String, &TensorInfo)| {
            let (from, to) = info.data_offsets;
            (name, n_header + from..n_header + to)
        };
        let ranges = header.tensors().into_iter().map(place).collect();
        let digests = header.metadata().clone().unwrap_or_default();
        Some(Self { shard, ranges, digests })
    }

    /// A piece as `placement` wants it, if the copy holds it unharmed.
    pub(crate) fn read(&self, piece: &Piece, placement: &Placement<'_>) -> Option<Weight> {
        let Format::Quantised(quant) = placement.format(piece) else { return None };
        let dims = (piece.n(), piece.k);
        let range = self.ranges.get(&piece.name)?.clone();
        let bytes = self.shard.slice(range.clone());
        let is_sound = self.digests.get(&piece.name) == Some(&digest_of(quant, dims, bytes));
        let weight = is_sound.then(|| Quantised::from_data(quant, dims, bytes, placement.device));
        self.shard.release(range);
        weight?.ok().map(Weight::Quantised)
    }
}

/// Writes the quantised pieces of a placed model to `path`.
pub(crate) fn write(path: &Path, pieces: &[Piece], placed: &Placed) -> Result<()> {
    let linear = pieces.iter().filter(|piece| piece.kind == Kind::Linear);
    let mut blocks = Vec::new();
    let mut digests = HashMap::new();
    for piece in linear {
        let weight = placed.matrix(&piece.name);
        let Weight::Quantised(quantised) = &*weight else { continue };
        let data = quantised.data().map_err(Error::tensor("quantised blocks cannot be read"))?;
        let digest = digest_of(quantised.quant(), (piece.n(), piece.k), &data);
        digests.insert(piece.name.clone(), digest);
        let shape = [data.len()];
        drop(data);
        blocks.push((piece.name.clone(), Raw { weight, shape }));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::write(folder))?;
    let draft = draft_beside(path);
    let written = safetensors::serialize_to_file(blocks, Some(digests), &draft)
        .map_err(io_error)
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The first error is the one to report; what is left of the draft is only litter.
        let _ = fs::remove_file(&draft);
    }
    written.map_err(Error::write(path))
}

fn io_error(error: SafeTensorError) -> std::io::Error {
    if let SafeTensorError::IoError(error) = error { error } else { std::io::Error::other(error) }
}

/// Digest of a piece: its blocks, and what they are blocks of.
fn digest_of(quant: Quant, (n, k): (usize, usize), bytes: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{} {n} {k}", quant.name()).as_bytes()).update(bytes);
    hasher.finalize().to_hex().to_string()
}

/// Raw blocks of a weight, as safetensors writes them.
struct Raw {
    weight: Arc<Weight>,
    shape: [usize; 1],
}

impl View for Raw {
    fn dtype(&self) -> Dtype {
        Dtype::U8
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match &*self.weight {
            Weight::Quantised(quantised) => {
                quantised.data().expect("the same blocks were read for their digest")
            }
            Weight::Panels(_) | Weight::Dense(_) => unreachable!("only blocks are copied"),
        }
    }

    fn data_len(&self) -> usize {
        self.shape[0]
    }
}
