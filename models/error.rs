//! What can be wrong with a checkpoint, a device or the machine under them.
//!
//! Every variant names the file or the tensor, what was found and what was wanted, so that the
//! message alone tells where to look. Faults of our own are assertions, not variants.

use std::path::{Path, PathBuf};

/// The result of this crate's loading side. Forwards return candle's own result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A checkpoint, device or cache that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that is not there.
    #[error("{}: {what}", path.display())]
    Absent {
        /// What was looked for.
        path: PathBuf,
        /// Why it is needed, or what is there instead.
        what: String,
    },

    /// The operating system refused to read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// The operating system refused to write.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file that is no JSON, or not the JSON that its name promises.
    #[error("{} is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The place of the fault.
        source: serde_json::Error,
    },

    /// A configuration that makes no model, or one that is not supported.
    #[error("{}: {what}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key, its value and what was wanted.
        what: String,
    },

    /// A safetensors file or index that contradicts itself or its length.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found and what was wanted.
        what: String,
    },

    /// A tensor that the architecture needs and no shard holds.
    #[error("{}: no tensor {name:?}, wanted with shape {wanted:?}", folder.display())]
    TensorAbsent {
        /// The checkpoint.
        folder: PathBuf,
        /// The tensor's name.
        name: String,
        /// Its shape by the configuration.
        wanted: Vec<usize>,
    },

    /// A tensor whose shape does not follow from the configuration.
    #[error(
        "{}: tensor {name:?} has shape {found:?}, config.json wants {wanted:?}",
        path.display()
    )]
    TensorShape {
        /// The shard.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Its shape in the shard.
        found: Vec<usize>,
        /// Its shape by the configuration.
        wanted: Vec<usize>,
    },

    /// A tensor in a format that is not read.
    #[error("{}: tensor {name:?} is stored as {found}; F32, F16 and BF16 are read", path.display())]
    TensorDtype {
        /// The shard.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Its format in the shard.
        found: String,
    },

    /// A device that is not there or not built in.
    #[error("device {asked:?}: {what}")]
    Device {
        /// The name as it was given.
        asked: String,
        /// What is missing and how to get it.
        what: String,
    },

    /// A choice of options that contradict each other.
    #[error("{0}")]
    Options(String),

    /// A tensor operation failed while a weight was placed.
    #[error("{what}")]
    Tensor {
        /// What was being done.
        what: String,
        /// What candle said.
        source: candle_core::Error,
    },
}

impl Error {
    /// For `map_err` on what reads `path`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    /// For `map_err` on what writes `path`.
    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// For `map_err` on tensor operations during loading.
    pub(crate) fn tensor(what: impl Into<String>) -> impl FnOnce(candle_core::Error) -> Self {
        let what = what.into();
        move |source| Self::Tensor { what, source }
    }
}
