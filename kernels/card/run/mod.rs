//! A launch: blocks on the machine's cores, each by itself.

mod block;
mod compute;
mod counts;
mod shared;
mod tensor_core;
mod together;
mod transfer;
mod warp;

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::fault::Fault;
use crate::memory;
use crate::ptx::Function;
use counts::Counts;

/// Where shared memory lies among the addresses that all instructions take.
pub(crate) const SHARED_WINDOW: u64 = 1 << 60;
/// Where the memory of a thread lies among them.
pub(crate) const LOCAL_WINDOW: u64 = 1 << 61;

/// Threads of a warp.
pub(crate) const WARP: usize = 32;
/// Most threads of a block.
const N_THREADS_MAX: u64 = 1024;
/// Shared memory of a block that needs no leave, what the kernel declares among it.
const SHARED_BYTES: usize = 48 << 10;

/// How a kernel is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) grid: [u32; 3],
    pub(crate) threads: [u32; 3],
    /// What is added to the kernel's own shared memory.
    pub(crate) shared_bytes: usize,
    /// Most of that, by the leave that the function was given.
    pub(crate) shared_bytes_allowed: usize,
    /// The arguments as the kernel finds them.
    pub(crate) params: Vec<u8>,
}

/// Why a launch was refused or ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Before it began: a size that no card takes.
    Refused(Fault),
    /// By something that a thread did.
    Failed(Fault),
}

/// Runs all threads of a launch to their end.
pub(crate) fn launch(function: &Function, launch: &Launch) -> Result<(), Ended> {
    expect_sizes(function, launch).map_err(|fault| Ended::Refused(fault.at(&function.name)))?;
    if *memory::IS_IDLE {
        return Ok(());
    }
    let [x, y, z] = launch.grid.map(u64::from);
    let n_blocks = x * y * z;
    let next = AtomicU64::new(0);
    let fault = Mutex::new(None);
    let counts = Mutex::new(Counts { n_launches: 1, n_blocks, ..Counts::default() });
    let work = || {
        let mut block = block::Block::new(function, launch);
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= n_blocks {
                *counts.lock().expect("no holder panics") += block.counts;
                return;
            }
            let place = [at % x, at / x % y, at / x / y].map(|at| at as u32);
            if let Err(found) = block.run(place) {
                next.store(n_blocks, Ordering::Relaxed);
                let found = found.at(format!("{} in block {place:?}", function.name));
                fault.lock().expect("no holder panics").get_or_insert(found);
            }
        }
    };
    let n_workers = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    thread::scope(|scope| {
        for _ in 1..n_workers.min(n_blocks) {
            scope.spawn(work);
        }
        work();
    });
    counts::add(&function.name, counts.into_inner().expect("no holder panics"));
    match fault.into_inner().expect("no holder panics") {
        Some(fault) => Err(Ended::Failed(fault)),
        None => Ok(()),
    }
}

fn expect_sizes(function: &Function, launch: &Launch) -> Result<(), Fault> {
    let n_threads: u64 = launch.threads.iter().map(|&count| u64::from(count)).product();
    let n_threads_max = function.n_threads_max.map_or(N_THREADS_MAX, u64::from);
    if n_threads == 0 || n_threads > n_threads_max {
        return Err(Fault::new(format!("{n_threads} threads, at most {n_threads_max}")));
    }
    let [x, y, z] = launch.grid;
    if x == 0 || y == 0 || z == 0 || x > i32::MAX as u32 || y > 65_535 || z > 65_535 {
        return Err(Fault::new(format!("a grid of {:?}", launch.grid)));
    }
    let shared = function.n_shared_bytes + launch.shared_bytes;
    let leave = SHARED_BYTES.max(function.n_shared_bytes + launch.shared_bytes_allowed);
    if shared > leave {
        return Err(Fault::new(format!(
            "{shared} bytes of shared memory, leave was given for {leave}"
        )));
    }
    Ok(())
}
