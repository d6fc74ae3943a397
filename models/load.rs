//! From a folder to a decoder in memory, and what that will cost before it is done.

use candle_core::{DType, Device};
use stillroom_kernels::linear::{Format, Quant, RowOrder};

use crate::config::ModelConfig;
use crate::copy::{self, CopyCache, QuantCopy};
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::layout::{Kind, Piece, pieces};
use crate::place::{Placement, Progress, check};
use crate::weights::Checkpoint;

/// How a checkpoint is to be held.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Where the weights lie and the model runs.
    pub device: Device,
    /// How products are quantised; as stored (f32 on CPU) when absent.
    pub quantize: Option<Quant>,
    /// What is computed in, and weights that are not quantised held as; when absent what the
    /// embedding is stored in. A CPU knows f32 alone.
    pub dtype: Option<DType>,
    /// Whether a row's logits must not depend on the rows beside it.
    pub deterministic: bool,
    /// Where a quantised copy is kept; nowhere when absent.
    pub copies: Option<CopyCache>,
}

impl LoadOptions {
    /// Weights as stored, rows independent of one another, no copy kept.
    pub fn new(device: Device) -> Self {
        Self { device, quantize: None, dtype: None, deterministic: true, copies: None }
    }
}

/// A model in memory and what the user should know about it.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Decoder,
    /// Fallbacks and other departures from what was asked, a sentence each.
    pub notes: Vec<String>,
}

/// What loading will take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of the weights once they are used.
    pub weight_bytes: usize,
    /// Type of the keys and values.
    pub kv_dtype: DType,
    /// As [`Loaded::notes`].
    pub notes: Vec<String>,
}

/// Loads a checkpoint.
///
/// # Errors
/// When the configuration is not supported, or a tensor or shard is missing, misshapen or damaged.
pub fn load(
    files: impl Into<Files>,
    options: &LoadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded> {
    let files = files.into();
    let config = ModelConfig::read(&files)?;
    let checkpoint = Checkpoint::open(&files)?;
    let pieces = pieces(&config);
    check(&pieces, &checkpoint)?;
    let placement = placement(&config, &checkpoint, options)?;
    let mut notes = fallbacks(&pieces, &placement);

    let copy_path = match (&options.copies, options.quantize) {
        (Some(copies), Some(quant)) => Some(copies.path(quant)),
        (Some(_), None) | (None, _) => None,
    };
    let copy = copy_path.as_deref().and_then(QuantCopy::open);
    let placed = placement.place(&pieces, &checkpoint, copy.as_ref(), progress)?;
    if let Some(path) = &copy_path
        && placed.has_new
        && let Err(error) = copy::write(path, &pieces, &placed)
    {
        notes.push(format!("the quantised copy is not kept: {error}"));
    }

    let order = if options.deterministic { RowOrder::Fixed } else { RowOrder::Fastest };
    let model = Decoder::assemble(config, &placed, placement.device, placement.dtype, order)
        .map_err(Error::tensor(format!("{}: cannot build the model", files.place().display())))?;
    Ok(Loaded { model, notes })
}

/// What [`load`] will take, from the configuration and the headers alone. It fails where `load`
/// would for a missing or misshapen tensor.
///
/// # Errors
/// As [`load`].
pub fn estimate(files: impl Into<Files>, options: &LoadOptions) -> Result<Estimate> {
    let files = files.into();
    let config = ModelConfig::read(&files)?;
    let checkpoint = Checkpoint::open(&files)?;
    let pieces = pieces(&config);
    check(&pieces, &checkpoint)?;
    let placement = placement(&config, &checkpoint, options)?;
    let bytes = |piece: &Piece| {
        let format = match piece.kind {
            Kind::Table if placement.device.is_cpu() => {
                let source = checkpoint.source(&piece.parts[0].0, &piece.part_shape(0))?;
                Format::Dense(source.stored.dtype())
            }
            Kind::Table | Kind::Norm | Kind::Router | Kind::Linear => placement.format(piece),
        };
        Ok(in_use(format, placement.device) * format.bytes(piece.n(), piece.k))
    };
    let weight_bytes = pieces.iter().map(bytes).sum::<Result<usize>>()?;
    let notes = fallbacks(&pieces, &placement);
    Ok(Estimate { weight_bytes, kv_dtype: placement.dtype, notes })
}

/// Copies of a weight that are in memory once it was used: candle rearranges quantised blocks for
/// the vector units of x86 at the first product, and keeps both.
fn in_use(format: Format, device: &Device) -> usize {
    match format {
        Format::Quantised(_) if device.is_cpu() && cfg!(target_arch = "x86_64") => 2,
        Format::Quantised(_) | Format::Panels | Format::Dense(_) => 1,
    }
}

/// On CPU everything is computed in f32; elsewhere in the type that is asked for, or that the
/// embedding is stored in.
fn placement<'a>(
    config: &ModelConfig,
    checkpoint: &Checkpoint,
    options: &'a LoadOptions,
) -> Result<Placement<'a>> {
    let shape = [config.vocab_size, config.hidden_size];
    let stored = checkpoint.source("model.embed_tokens.weight", &shape)?.stored;
    let asked = options.dtype.unwrap_or(stored.dtype());
    let dtype = if options.device.is_cpu() { DType::F32 } else { asked };
    Ok(Placement { device: &options.device, dtype, quantize: options.quantize })
}

/// A note for each format that weights fell back to.
fn fallbacks(pieces: &[Piece], placement: &Placement<'_>) -> Vec<String> {
    let Some(wanted) = placement.quantize else { return Vec::new() };
    let linear: Vec<&Piece> = pieces.iter().filter(|piece| piece.kind == Kind::Linear).collect();
    let mut found: Vec<(Format, usize, usize)> = Vec::new();
    for piece in &linear {
        let format = placement.format(piece);
        if format == Format::Quantised(wanted) {
            continue;
        }
        match found.iter_mut().find(|(f, k, _)| (*f, *k) == (format, piece.k)) {
            Some((_, _, n)) => *n += 1,
            None => found.push((format, piece.k, 1)),
        }
    }
    let note = |(format, k, n): (Format, usize, usize)| {
        format!(
            "{n} of {} weights are held as {format} instead of {}: their rows of {k} are no \
             multiple of {}",
            linear.len(),
            wanted.name(),
            wanted.block()
        )
    };
    found.into_iter().map(note).collect()
}
