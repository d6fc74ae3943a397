//! How rows are shared out over threads by ops that are a pass over memory.

/// Rows of `h` elements that one task takes of `t`: enough to be worth a task, and all of them
/// where there are few, so that small batches stay on the thread they are on.
pub(crate) fn rows_per_task(t: usize, h: usize) -> usize {
    const ELEMENTS: usize = 16 * 1024;
    ELEMENTS.div_ceil(h.max(1)).min(t.max(1))
}
