//! Parquet files, a batch of rows at a time.
//!
//! It must not know what the columns mean. Pages are snappy, zstd or plain, as the Hub's are.

use std::fs::File;
use std::path::Path;

use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::arrow_cells::cell;
use super::{Place, RawRecord, RawRecords};
use crate::data::row::Columns;
use crate::{Error, Result};

/// Rows decoded at a time.
const N_BATCH_ROWS: usize = 256;

/// The first `n_max` rows; what lies behind them is not touched.
pub(super) fn records(path: &Path, file: File, n_max: usize) -> Result<RawRecords> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(path, e))?;
    let builder = builder.with_batch_size(N_BATCH_ROWS).with_limit(n_max);
    let batches = builder.build().map_err(|e| damaged(path, e))?;
    let path = path.to_owned();
    let mut row_no = 0_u64;
    Ok(Box::new(batches.flat_map(move |batch| {
        let records: Vec<_> = match batch {
            Err(e) => vec![Err(damaged(&path, e))],
            Ok(batch) => (0..batch.num_rows())
                .map(|row_idx| {
                    row_no += 1;
                    let columns = Ok(row(&batch, row_idx));
                    Ok(RawRecord { place: Place { unit: "row", number: row_no }, columns })
                })
                .collect(),
        };
        records
    })))
}

fn row(batch: &RecordBatch, row_idx: usize) -> Columns {
    let schema = batch.schema_ref();
    let names = schema.fields().iter().map(|field| field.name().clone());
    names.zip(batch.columns().iter().map(|array| cell(array, row_idx))).collect()
}

fn damaged(path: &Path, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::environment_from(
        format!("cannot read {} as Parquet", path.display()),
        "check that the file is whole and its pages are snappy, zstd or not compressed",
        e,
    )
}
