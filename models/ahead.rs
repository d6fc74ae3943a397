//! Reads a checkpoint's files before they are wanted, so that they come from the page cache.
//!
//! While one model works, the disk has nothing to do; the next model's files are read through and
//! thrown away, on a thread. Nothing waits for it and nothing depends on it: an error here is an
//! error when the model is loaded, or none at all. Must not know when that will be.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::files::Files;
use crate::load::LoadOptions;
use crate::weights::shard_names;

/// Bytes of one read.
const N_PIECE: usize = 8 << 20;

/// Files on their way into the page cache; dropped, it stops with the piece at hand.
#[derive(Debug)]
pub struct ReadAhead {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl ReadAhead {
    /// Starts to read what [`load`](crate::load()) will: the quantised copy where there is one, else
    /// the shards, `n_bytes_max` at most. None when nothing can be found.
    pub fn start(files: impl Into<Files>, options: &LoadOptions, n_bytes_max: u64) -> Option<Self> {
        let copy = options.copies.as_ref().zip(options.quantize);
        let copy = copy.map(|(copies, quant)| copies.path(quant)).filter(|path| path.is_file());
        let paths = match (copy, files.into()) {
            (Some(copy), _) => vec![copy],
            (None, Files::Folder(folder)) => shard_paths(&folder)?,
            // The program's own pages are wherever the system keeps it.
            (None, Files::Inside(_)) => return None,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let read = move || read_through(&paths, n_bytes_max, &stopped);
        let thread = std::thread::Builder::new().name("read ahead".to_owned()).spawn(read).ok()?;
        Some(Self { stop, thread: Some(thread) })
    }

    /// Waits until it is through; the bytes that were read.
    pub fn wait(mut self) -> u64 {
        self.thread.take().map_or(0, |thread| thread.join().unwrap_or(0))
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn shard_paths(folder: &Path) -> Option<Vec<PathBuf>> {
    let names = shard_names(&folder.into()).ok()?;
    Some(names.iter().map(|name| folder.join(name)).collect())
}

fn read_through(files: &[PathBuf], n_bytes_max: u64, stop: &AtomicBool) -> u64 {
    let mut piece = vec![0; N_PIECE];
    let mut n_read = 0;
    for path in files {
        let Ok(mut file) = File::open(path) else { continue };
        while n_read < n_bytes_max && !stop.load(Ordering::Relaxed) {
            match file.read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(n) => n_read += n as u64,
            }
        }
    }
    n_read
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::tiny::{self, Shape};

    #[test]
    fn all_shards_are_read_and_no_more_than_allowed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        tiny::write(&Shape::named("llama").unwrap(), 7, &folder).unwrap();
        let options = LoadOptions::new(Device::Cpu);
        let n_bytes: u64 =
            shard_paths(&folder).unwrap().iter().map(|path| path.metadata().unwrap().len()).sum();
        let read = |most| ReadAhead::start(&folder, &options, most).map(ReadAhead::wait);
        assert_eq!(read(u64::MAX), Some(n_bytes));
        assert!(read(1).is_some_and(|n| n < n_bytes), "one piece of one shard");
        assert!(ReadAhead::start(root.path(), &options, 1).is_none(), "no checkpoint");
    }
}
