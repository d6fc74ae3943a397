//! The card's memory: allocations of the host's, and a list of which bytes belong to one.
//!
//! Fresh memory is full of ones: NaN as a number, far outside as an index. What was freed belongs to
//! nobody. `CARD_MEMORY` says how many bytes the card has. With `CARD_IDLE` the card computes nothing
//! and all that is fetched from it is zero: what a program then takes is the time of its host side.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::{BTreeMap, HashMap};
use std::env;
use std::sync::{LazyLock, RwLock};

use crate::fault::Fault;

/// As even as a pool of CUDA makes its allocations.
const ALIGNMENT: usize = 512;

/// Bytes of the card when nobody says how many.
const BYTES: u64 = 4 << 30;

/// What the pool of a card reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Use {
    /// Bytes that are allocated.
    pub(crate) now: u64,
    /// Most of them since the last reset.
    pub(crate) peak: u64,
    /// Bytes that the pool keeps from the card's free memory.
    pub(crate) reserved: u64,
    /// Bytes that it may keep when the host waits.
    pub(crate) threshold: u64,
}

#[derive(Default)]
struct Memory {
    /// Length of each allocation by its address.
    allocations: BTreeMap<usize, usize>,
    /// What an idle card was given back, by its length: getting memory from the host's system would
    /// take more time than all else.
    spare: HashMap<usize, Vec<usize>>,
    pool: Use,
}

static MEMORY: LazyLock<RwLock<Memory>> = LazyLock::new(RwLock::default);

static TOTAL: LazyLock<u64> = LazyLock::new(|| {
    env::var("CARD_MEMORY").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(BYTES)
});

/// Whether the card leaves all work undone.
pub(crate) static IS_IDLE: LazyLock<bool> = LazyLock::new(|| env::var_os("CARD_IDLE").is_some());

fn layout(n_bytes: usize) -> Layout {
    Layout::from_size_align(n_bytes.max(1), ALIGNMENT).expect("a length of memory")
}

/// Memory of `n_bytes`, or nothing where the card has not as many left.
pub(crate) fn allocate(n_bytes: usize) -> Option<usize> {
    let mut memory = MEMORY.write().expect("no holder panics");
    let now = memory.pool.now + n_bytes as u64;
    if now > *TOTAL {
        return None;
    }
    let spare = memory.spare.get_mut(&n_bytes).and_then(Vec::pop);
    let start = match spare {
        Some(start) => start,
        None => fresh(n_bytes)?,
    };
    memory.allocations.insert(start, n_bytes);
    memory.pool.now = now;
    memory.pool.peak = memory.pool.peak.max(now);
    memory.pool.reserved = memory.pool.reserved.max(now);
    Some(start)
}

fn fresh(n_bytes: usize) -> Option<usize> {
    // SAFETY: the layout has a length.
    let start = unsafe { alloc_zeroed(layout(n_bytes)) };
    if start.is_null() {
        return None;
    }
    if !*IS_IDLE {
        // SAFETY: as many bytes were just allocated.
        unsafe { start.write_bytes(0xFF, n_bytes) };
    }
    Some(start as usize)
}

/// Gives an allocation back; false when there is none of this address.
pub(crate) fn free(start: usize) -> bool {
    let mut memory = MEMORY.write().expect("no holder panics");
    let Some(n_bytes) = memory.allocations.remove(&start) else { return false };
    memory.pool.now -= n_bytes as u64;
    if *IS_IDLE {
        memory.spare.entry(n_bytes).or_default().push(start);
        return true;
    }
    // SAFETY: it was allocated with this layout, and the list held it once.
    unsafe { dealloc(start as *mut u8, layout(n_bytes)) };
    true
}

/// The allocation that an address lies in: its first byte and the one behind its last.
pub(crate) fn around(address: usize) -> Option<(usize, usize)> {
    let memory = MEMORY.read().expect("no holder panics");
    let (&start, &n_bytes) = memory.allocations.range(..=address).next_back()?;
    (address < start + n_bytes.max(1)).then_some((start, start + n_bytes))
}

/// Fails where the bytes do not all belong to one allocation.
pub(crate) fn expect(address: usize, n_bytes: usize) -> Result<(), Fault> {
    match around(address) {
        Some((_, end)) if n_bytes <= end - address => Ok(()),
        _ if n_bytes == 0 => Ok(()),
        Some((start, end)) => Err(Fault::new(format!(
            "{n_bytes} bytes at byte {} of an allocation of {}",
            address - start,
            end - start
        ))),
        None => Err(Fault::new(format!("{n_bytes} bytes at {address:#x}, which is not allocated"))),
    }
}

/// Bytes that the card has free, and has in all.
pub(crate) fn free_and_total() -> (u64, u64) {
    (*TOTAL - pool().reserved, *TOTAL)
}

/// What the pool holds.
pub(crate) fn pool() -> Use {
    MEMORY.read().expect("no holder panics").pool
}

/// Changes what the pool reports or keeps.
pub(crate) fn set_pool(change: impl FnOnce(&mut Use)) {
    change(&mut MEMORY.write().expect("no holder panics").pool);
}

/// What waiting for a stream does: the pool gives back what is above its threshold.
pub(crate) fn waited() {
    set_pool(|pool| pool.reserved = pool.reserved.min(pool.now.max(pool.threshold)));
}

/// The part of an address space that a thread has touched last, so that the list is rarely asked.
#[derive(Debug, Default)]
pub(crate) struct Window {
    start: usize,
    end: usize,
}

impl Window {
    /// Reads bytes of one allocation.
    pub(crate) fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        self.expect(address as usize, bytes.len())?;
        // SAFETY: the bytes belong to an allocation; what a kernel of the card reads while another
        // thread writes is as undefined there as here.
        unsafe { (address as *const u8).copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Writes bytes of one allocation.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.expect(address as usize, bytes.len())?;
        // SAFETY: as in `read`.
        unsafe { (address as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Fails where the bytes do not all belong to one allocation.
    fn expect(&mut self, address: usize, n_bytes: usize) -> Result<(), Fault> {
        if self.start <= address && address < self.end && n_bytes <= self.end - address {
            return Ok(());
        }
        expect(address, n_bytes)?;
        (self.start, self.end) = around(address).expect("it was just found");
        Ok(())
    }
}
