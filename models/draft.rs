//! Names for files in the making: beside their place, so that a rename puts them there at once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A name beside `path` that no other process or thread drafts under.
pub(crate) fn draft_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    let draft = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".draft-{}-{draft}", std::process::id()));
    path.with_file_name(name)
}
