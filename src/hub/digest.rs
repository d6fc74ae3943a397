//! What a content is called on the Hub: git's SHA-1 of a small file, the SHA-256 of a large one.

use sha1::Sha1;
use sha2::Digest as _;

/// A hasher that has taken what git puts before the bytes of a file.
pub(super) fn git_blob(n_bytes: u64) -> Sha1 {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {n_bytes}\0"));
    hasher
}

/// A digest as it is written.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
