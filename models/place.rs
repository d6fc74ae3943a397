//! Brings the pieces of a layout into memory, one after the other, in the order of the files.
//!
//! Each part of a piece is pushed into the weight it belongs to a few rows at a time, so that
//! beside the model only one slice of rows is in memory: no tensor exists twice, fused or not.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use stillroom_kernels::linear::{Format, Quant, Weight, WeightBuilder};

use crate::copy::QuantCopy;
use crate::error::{Error, Result};
use crate::layout::{Kind, Piece};
use crate::weights::Checkpoint;

/// How pieces are to be held.
pub(crate) struct Placement<'a> {
    pub(crate) device: &'a Device,
    /// Type of the activations, and of what is not quantised.
    pub(crate) dtype: DType,
    pub(crate) quantize: Option<Quant>,
}

/// Pieces in memory, by name.
#[derive(Default)]
pub(crate) struct Placed {
    matrices: HashMap<String, Arc<Weight>>,
    tensors: HashMap<String, Tensor>,
    /// Whether a quantised piece had to be made because the copy on disk did not hold it.
    pub(crate) has_new: bool,
}

/// How far loading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Parameters placed so far.
    pub n_done: usize,
    /// Parameters of the model.
    pub n_params: usize,
}

/// Fails with the first piece that the checkpoint lacks or has in another shape.
pub(crate) fn check(pieces: &[Piece], checkpoint: &Checkpoint) -> Result<()> {
    for piece in pieces {
        for (i, (name, _)) in piece.parts.iter().enumerate() {
            checkpoint.source(name, &piece.part_shape(i))?;
        }
    }
    Ok(())
}

impl Placement<'_> {
    /// How a piece is held: by its kind, the width of its rows and what was asked for.
    pub(crate) fn format(&self, piece: &Piece) -> Format {
        piece.format(self.quantize, self.dtype, self.device)
    }

    /// Places all pieces; quantised ones come from `copy` where it holds them.
    pub(crate) fn place(
        &self,
        pieces: &[Piece],
        checkpoint: &Checkpoint,
        copy: Option<&QuantCopy>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Placed> {
        let n_params = pieces.iter().map(|piece| piece.n() * piece.k).sum();
        let mut in_order: Vec<&Piece> = pieces.iter().collect();
        in_order.sort_by_key(|piece| checkpoint.place(&piece.parts[0].0));
        let mut placed = Placed::default();
        let mut n_done = 0;
        for piece in in_order {
            match piece.kind {
                Kind::Norm | Kind::Table => {
                    let tensor = self.tensor(piece, checkpoint)?;
                    placed.tensors.insert(piece.name.clone(), tensor);
                }
                Kind::Router | Kind::Linear => {
                    let copied = copy.and_then(|copy| copy.read(piece, self));
                    let weight = match copied {
                        Some(weight) => weight,
                        None => {
                            placed.has_new |= matches!(self.format(piece), Format::Quantised(_));
                            self.matrix(piece, checkpoint)?
                        }
                    };
                    placed.matrices.insert(piece.name.clone(), Arc::new(weight));
                }
            }
            n_done += piece.n() * piece.k;
            progress(Progress { n_done, n_params });
        }
        Ok(placed)
    }

    /// A norm in the type of the activations, or a table as stored (converted off the CPU, where
    /// a lookup does not widen).
    fn tensor(&self, piece: &Piece, checkpoint: &Checkpoint) -> Result<Tensor> {
        let source = checkpoint.source(&piece.parts[0].0, &piece.part_shape(0))?;
        let tensor = source.read(self.device)?;
        if piece.kind == Kind::Table && self.device.is_cpu() {
            return Ok(tensor);
        }
        let what = || format!("{} cannot be placed", piece.name);
        tensor.to_dtype(self.dtype).map_err(Error::tensor(what()))
    }

    fn matrix(&self, piece: &Piece, checkpoint: &Checkpoint) -> Result<Weight> {
        let what = || format!("{} cannot be placed", piece.name);
        let mut builder = WeightBuilder::new((piece.n(), piece.k), self.format(piece), self.device)
            .map_err(Error::tensor(what()))?;
        for (i, (name, _)) in piece.parts.iter().enumerate() {
            let source = checkpoint.source(name, &piece.part_shape(i))?;
            source.for_rows(|rows| builder.push(rows))?;
        }
        builder.finish().map_err(Error::tensor(what()))
    }
}

impl Placed {
    /// The matrix of this name, which the layout has.
    pub(crate) fn matrix(&self, name: &str) -> Arc<Weight> {
        Arc::clone(self.matrices.get(name).unwrap_or_else(|| panic!("no matrix {name} placed")))
    }

    /// The norm or table of this name, which the layout has.
    pub(crate) fn tensor(&self, name: &str) -> Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name} placed")).clone()
    }
}
