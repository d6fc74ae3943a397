//! A digest that is made beside the transfer: while one thread reads and writes, another hashes.
//!
//! One after the other they take a third longer on a fast network. A few buffers go round, so
//! memory does not grow with the file. It must not know where bytes come from.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};

/// Buffers that go round.
const N_BUFFERS: usize = 8;

/// A SHA-256 that is being made on a thread of its own.
pub(super) struct Hashing {
    full: SyncSender<(Vec<u8>, usize)>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl Hashing {
    /// Goes on with `hasher`, in pieces of at most `n_bytes`.
    pub(super) fn begin(mut hasher: Sha256, n_bytes: usize) -> Self {
        let (full, to_hash) = sync_channel::<(Vec<u8>, usize)>(N_BUFFERS);
        let (hashed, empty) = sync_channel(N_BUFFERS);
        for _ in 0..N_BUFFERS {
            hashed.send(vec![0; n_bytes]).expect("there is room for every buffer");
        }
        let thread = std::thread::spawn(move || {
            for (piece, n) in to_hash {
                hasher.update(&piece[..n]);
                // At the end nobody fills it again.
                let _ = hashed.send(piece);
            }
            hasher
        });
        Self { full, empty, thread }
    }

    /// A buffer to fill.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.empty.recv().expect("the thread lives as long as this")
    }

    /// Hashes the first `n` bytes of a buffer.
    pub(super) fn take(&self, piece: Vec<u8>, n: usize) {
        self.full.send((piece, n)).expect("the thread lives as long as this");
    }

    /// Waits for what was taken; the digest so far.
    pub(super) fn end(self) -> Sha256 {
        drop(self.full);
        self.thread.join().expect("hashing does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_all_pieces_in_their_order() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let (head, tail) = bytes.split_at(1234);
        let mut hasher = Sha256::new();
        hasher.update(head);
        let hashing = Hashing::begin(hasher, 1000);
        for piece in tail.chunks(777) {
            let mut buffer = hashing.buffer();
            buffer[..piece.len()].copy_from_slice(piece);
            hashing.take(buffer, piece.len());
        }
        assert_eq!(hashing.end().finalize(), Sha256::digest(&bytes));
    }
}
