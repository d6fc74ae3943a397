//! What a kernel does to the machine, counted: what a card's speed hangs on and a clock here cannot
//! show. `CARD_COUNTS` names a file that gets a table, a line a kernel, after each launch.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::fs;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

/// Bytes of a sector, the unit that memory is read in.
const SECTOR: u64 = 32;
/// Banks of shared memory, each a word of four bytes wide.
const N_BANKS: u64 = 32;
/// Bytes that shared memory moves at once.
const WAVE_BYTES: usize = 128;

/// Counts of one kernel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) n_launches: u64,
    pub(super) n_blocks: u64,
    /// Instructions of warps.
    pub(super) n_instructions: u64,
    /// Products of the tensor cores among them.
    pub(super) n_products: u64,
    /// Sectors of the card's memory that were moved, and the fewest for as many bytes.
    pub(super) n_sectors: u64,
    pub(super) n_sectors_min: u64,
    /// Turns that shared memory took, and the fewest without two words of one bank.
    pub(super) n_waves: u64,
    pub(super) n_waves_min: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.n_launches += other.n_launches;
        self.n_blocks += other.n_blocks;
        self.n_instructions += other.n_instructions;
        self.n_products += other.n_products;
        self.n_sectors += other.n_sectors;
        self.n_sectors_min += other.n_sectors_min;
        self.n_waves += other.n_waves;
        self.n_waves_min += other.n_waves_min;
    }
}

static FILE: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| env::var_os("CARD_COUNTS").map(PathBuf::from));

static KERNELS: Mutex<BTreeMap<String, Counts>> = Mutex::new(BTreeMap::new());

/// Whether anybody wants to know.
pub(super) fn are_wanted() -> bool {
    FILE.is_some()
}

/// Adds a launch to its kernel's counts and writes the table.
pub(super) fn add(kernel: &str, counts: Counts) {
    let Some(file) = &*FILE else { return };
    let mut kernels = KERNELS.lock().expect("no holder panics");
    *kernels.entry(kernel.to_owned()).or_default() += counts;
    let mut table = format!(
        "{:<28}{:>9}{:>9}{:>14}{:>12}{:>12}{:>8}{:>12}{:>8}\n",
        "kernel",
        "launches",
        "blocks",
        "instructions",
        "products",
        "sectors",
        "of min",
        "waves",
        "of min"
    );
    for (name, c) in &*kernels {
        let times = |n: u64, min: u64| n as f64 / min.max(1) as f64;
        writeln!(
            table,
            "{name:<28}{:>9}{:>9}{:>14}{:>12}{:>12}{:>8.2}{:>12}{:>8.2}",
            c.n_launches,
            c.n_blocks,
            c.n_instructions,
            c.n_products,
            c.n_sectors,
            times(c.n_sectors, c.n_sectors_min),
            c.n_waves,
            times(c.n_waves, c.n_waves_min),
        )
        .expect("a text takes more");
    }
    if let Err(error) = fs::write(file, table) {
        eprintln!("card: {}: {error}", file.display());
    }
}

impl Counts {
    /// A warp moves `n_bytes` at each of these addresses of the card's memory.
    pub(super) fn global(&mut self, addresses: &[u64], n_bytes: usize) {
        let sectors: BTreeSet<u64> = addresses
            .iter()
            .flat_map(|at| at / SECTOR..=(at + n_bytes as u64 - 1) / SECTOR)
            .collect();
        let apart: BTreeSet<u64> = addresses.iter().copied().collect();
        self.n_sectors += sectors.len() as u64;
        self.n_sectors_min += (apart.len() as u64 * n_bytes as u64).div_ceil(SECTOR);
    }

    /// A warp moves `n_bytes` at each of these addresses of shared memory: as many lanes at once as
    /// have 128 bytes together.
    pub(super) fn shared(&mut self, addresses: &[u64], n_bytes: usize) {
        let n_lanes = (WAVE_BYTES / n_bytes.max(4)).min(32);
        for together in addresses.chunks(n_lanes) {
            let words: BTreeSet<u64> =
                together.iter().flat_map(|at| at / 4..=(at + n_bytes as u64 - 1) / 4).collect();
            let mut banks = [0u64; N_BANKS as usize];
            for word in words {
                banks[(word % N_BANKS) as usize] += 1;
            }
            self.n_waves += banks.into_iter().max().unwrap_or(0);
            self.n_waves_min += 1;
        }
    }
}
