//! Which ops use the CUDA kernels of this crate: all that have one, unless turned off.
//!
//! For benches alone, which measure what each kernel gains over candle's operations. The switches
//! are the process's, since a bench is one; nothing that is kept depends on them.

use std::sync::atomic::{AtomicBool, Ordering};

/// Ops with a CUDA kernel, by the names of their folders.
pub const NAMES: [&str; 7] =
    ["embed", "kv_write", "moe", "paged_attention", "rms_norm", "sample", "silu_mul"];

static OFF: [AtomicBool; NAMES.len()] = [const { AtomicBool::new(false) }; NAMES.len()];

/// Sends an op by the portable road from now on.
///
/// # Panics
/// When no op of [`NAMES`] is meant.
pub fn turn_off(op: &str) {
    OFF[index(op)].store(true, Ordering::Relaxed);
}

/// Whether `op` may use its kernel.
pub(crate) fn is_on(op: &str) -> bool {
    !OFF[index(op)].load(Ordering::Relaxed)
}

fn index(op: &str) -> usize {
    NAMES.iter().position(|name| *name == op).expect("an op with a kernel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_is_turned_off_alone() {
        // `sample` has no other test in this process.
        turn_off("sample");
        assert!(!is_on("sample"));
        assert!(NAMES.iter().filter(|name| **name != "sample").all(|op| is_on(op)));
    }
}
