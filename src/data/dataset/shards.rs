//! Parquet files of a split: written as a stream, cut at a size, named once their number is known.
//!
//! The settings are those of the Hub's own writer: zstd pages, a page index, pages cut where the
//! content says so (an upload of changed data then sends the changed pages only). It must not know
//! what the columns mean.

use std::error::Error as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{CdcOptions, EnabledStatistics, WriterProperties};

use crate::{Error, Result};

/// Bytes of rows, before encoding, that make a row group: what the writer may hold in memory.
const ROW_GROUP_BYTES: u64 = 32 << 20;

/// Writes the shards of one split.
pub(super) struct Shards<'a> {
    folder: &'a Path,
    split: &'a str,
    schema: SchemaRef,
    shard_bytes_max: u64,
    open: Option<ArrowWriter<File>>,
    n_shards: usize,
    /// Bytes of rows in the open shard, and in its open row group.
    shard_bytes: u64,
    group_bytes: u64,
}

impl<'a> Shards<'a> {
    /// Shards of about `shard_bytes_max` bytes of rows, before encoding, in `folder`, which exists.
    pub(super) fn new(
        folder: &'a Path,
        split: &'a str,
        schema: SchemaRef,
        shard_bytes_max: u64,
    ) -> Self {
        Self {
            folder,
            split,
            schema,
            shard_bytes_max,
            open: None,
            n_shards: 0,
            shard_bytes: 0,
            group_bytes: 0,
        }
    }

    /// Appends rows that take `n_bytes` in memory.
    pub(super) fn write(&mut self, batch: &RecordBatch, n_bytes: u64) -> Result<()> {
        let path = self.unnamed(self.n_shards);
        let writer = match &mut self.open {
            Some(writer) => writer,
            None => {
                let file = File::create(&path).map_err(|e| Error::disk("write", &path, e))?;
                let writer = ArrowWriter::try_new(file, self.schema.clone(), Some(properties()));
                self.open.insert(writer.map_err(|e| refused(&path, e))?)
            }
        };
        writer.write(batch).map_err(|e| refused(&path, e))?;
        self.shard_bytes += n_bytes;
        self.group_bytes += n_bytes;
        if self.group_bytes >= ROW_GROUP_BYTES {
            writer.flush().map_err(|e| refused(&path, e))?;
            self.group_bytes = 0;
        }
        if self.shard_bytes >= self.shard_bytes_max {
            self.close()?;
        }
        Ok(())
    }

    /// Names the files and returns them.
    pub(super) fn finish(mut self) -> Result<Vec<PathBuf>> {
        self.close()?;
        let named = (0..self.n_shards).map(|i| {
            let path =
                self.folder.join(format!("{}-{i:05}-of-{:05}.parquet", self.split, self.n_shards));
            fs::rename(self.unnamed(i), &path).map_err(|e| Error::disk("write", &path, e))?;
            Ok(path)
        });
        named.collect()
    }

    fn unnamed(&self, shard_idx: usize) -> PathBuf {
        self.folder.join(format!(".{}-{shard_idx:05}.parquet", self.split))
    }

    fn close(&mut self) -> Result<()> {
        let Some(mut writer) = self.open.take() else { return Ok(()) };
        let path = self.unnamed(self.n_shards);
        writer.finish().map_err(|e| refused(&path, e))?;
        writer.inner().sync_all().map_err(|e| Error::disk("write", &path, e))?;
        self.n_shards += 1;
        (self.shard_bytes, self.group_bytes) = (0, 0);
        Ok(())
    }
}

fn properties() -> WriterProperties {
    let chunks = CdcOptions::default();
    // The Hub's reader looks for this key to know that the file was cut by content.
    let chunks_as_json = serde_json::json!({
        "min_chunk_size": chunks.min_chunk_size,
        "max_chunk_size": chunks.max_chunk_size,
        "norm_level": chunks.norm_level,
    });
    let key = KeyValue::new("content_defined_chunking".to_owned(), chunks_as_json.to_string());
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_offset_index_disabled(false)
        // Names list values as the format's specification does.
        .set_coerce_types(true)
        .set_content_defined_chunking(Some(chunks))
        .set_key_value_metadata(Some(vec![key]))
        .build()
}

/// The disk's refusal, looked up in the Parquet writer's wrapping so that a full disk is named.
fn refused(path: &Path, e: ParquetError) -> Error {
    let inner = e.source().and_then(|inner| inner.downcast_ref::<io::Error>());
    let kind = inner.map_or(io::ErrorKind::Other, io::Error::kind);
    Error::disk("write", path, io::Error::new(kind, e))
}
