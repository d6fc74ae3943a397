//! The start of a Parquet file: which of its bytes hold the first rows.
//!
//! A file's last bytes tell where each row group lies. Whoever has the file elsewhere can bring
//! those groups and the last bytes to their places and leave the rest a hole. It must not know where
//! the file is.
//!
//! Source: Apache Parquet's format, "File format": row groups, then the metadata, its length in four
//! bytes, and `PAR1`.

use std::ops::Range;

use parquet::file::metadata::ParquetMetaDataReader;

/// Bytes behind the metadata: its length and the magic word.
const N_END: usize = 8;

/// Longest metadata that is believed.
const METADATA_BYTES_MAX: u64 = 256 << 20;

/// What the first rows of a file take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetStart {
    /// Rows of the whole file.
    pub n_rows: u64,
    /// The places of the row groups that hold the first rows; all of them where the rows are few.
    pub groups: Vec<Range<u64>>,
    /// Whether these are all groups.
    pub is_all: bool,
    /// Where the metadata begins, which goes to the file's end.
    pub metadata: u64,
}

/// Why the last bytes of a file do not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// So many of the last bytes are needed.
    TooShort(u64),
    /// It is no Parquet file, or one that is damaged.
    Damaged(String),
}

impl ParquetStart {
    /// Reads from the last bytes of a file of `n_bytes` what its first `n_rows_wanted` rows take.
    ///
    /// # Errors
    /// When more of the file is needed, or it is damaged.
    pub fn read(end: &[u8], n_bytes: u64, n_rows_wanted: u64) -> Result<Self, StartError> {
        let damaged = |what: &str| StartError::Damaged(what.to_owned());
        let n_end = end.len();
        let Some(last) = n_end.checked_sub(N_END).map(|at| &end[at..]) else {
            return Err(damaged("it is shorter than the shortest Parquet file"));
        };
        if &last[4..] != b"PAR1" {
            return Err(damaged("it does not end with `PAR1`"));
        }
        let n_metadata = u32::from_le_bytes([last[0], last[1], last[2], last[3]]) as usize;
        let n_needed = (n_metadata + N_END) as u64;
        if n_needed > n_bytes || n_needed > METADATA_BYTES_MAX {
            return Err(damaged("its metadata is longer than the file, or than any"));
        }
        let Some(at) = n_end.checked_sub(n_metadata + N_END) else {
            return Err(StartError::TooShort(n_needed));
        };
        let metadata = ParquetMetaDataReader::decode_metadata(&end[at..n_end - N_END])
            .map_err(|e| StartError::Damaged(e.to_string()))?;
        let mut n_rows = 0;
        let mut groups = Vec::new();
        for group in metadata.row_groups() {
            if n_rows < n_rows_wanted {
                // The library takes these numbers, which come from the file, to be sound.
                let is_sound = group.columns().iter().all(|column| {
                    column.compressed_size() >= 0
                        && column.data_page_offset() >= 0
                        && column.dictionary_page_offset().is_none_or(|at| at >= 0)
                });
                if !is_sound {
                    return Err(damaged("a column lies before the file's start"));
                }
                let chunks = group.columns().iter().map(|column| {
                    let (start, length) = column.byte_range();
                    (start, start.saturating_add(length))
                });
                let (start, stop) =
                    chunks.fold((u64::MAX, 0), |(a, b), (start, stop)| (a.min(start), b.max(stop)));
                if start >= stop || stop > n_bytes {
                    return Err(damaged("a row group lies outside of the file"));
                }
                groups.push(start..stop);
            }
            n_rows += u64::try_from(group.num_rows()).unwrap_or(0);
        }
        let is_all = groups.len() == metadata.num_row_groups();
        Ok(Self { n_rows, groups, is_all, metadata: n_bytes - n_needed })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    /// A file of 25 rows in groups of 10.
    fn file() -> Vec<u8> {
        let texts: Vec<String> = (0..25).map(|i| format!("row {i}")).collect();
        let column: ArrayRef = Arc::new(StringArray::from(texts));
        let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10)).build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn the_first_rows_lie_in_the_first_groups() {
        let file = file();
        let n_bytes = file.len() as u64;
        let read = |n| ParquetStart::read(&file, n_bytes, n).unwrap();
        for (n_wanted, n_groups) in [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3), (99, 3)] {
            let start = read(n_wanted);
            assert_eq!((start.n_rows, start.groups.len()), (25, n_groups), "{n_wanted}");
            assert_eq!(start.is_all, n_groups == 3);
            assert!(start.groups.iter().all(|group| group.end <= start.metadata));
        }
    }

    #[test]
    fn the_end_may_come_in_two_pieces_and_nothing_else_is_believed() {
        let file = file();
        let n_bytes = file.len() as u64;
        let read = |end: &[u8]| ParquetStart::read(end, n_bytes, 1);
        let Err(StartError::TooShort(n)) = read(&file[file.len() - 20..]) else { panic!() };
        assert!(read(&file[file.len() - n as usize..]).is_ok());
        assert!(matches!(read(b"short"), Err(StartError::Damaged(_))));
        assert!(matches!(read(&[0; 100]), Err(StartError::Damaged(_))));
        let mut long = file.clone();
        let at = long.len() - 8;
        long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(read(&long), Err(StartError::Damaged(_))));
    }
}
