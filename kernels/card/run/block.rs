//! A block: its warps in turn, each until it waits, and the barriers that all must reach.

use super::counts::Counts;
use super::shared::Shared;
use super::warp::{Surroundings, Warp};
use super::{Launch, WARP};
use crate::fault::Fault;
use crate::memory::Window;
use crate::ptx::Function;

/// A worker's block, used for one after the other.
pub(super) struct Block<'a> {
    function: &'a Function,
    launch: &'a Launch,
    warps: Vec<Warp>,
    shared: Shared,
    window: Window,
    /// Of all blocks so far.
    pub(super) counts: Counts,
}

impl<'a> Block<'a> {
    pub(super) fn new(function: &'a Function, launch: &'a Launch) -> Self {
        let n_threads = launch.threads.iter().product::<u32>() as usize;
        Self {
            function,
            launch,
            warps: (0..n_threads.div_ceil(WARP)).map(|at| Warp::new(function, at)).collect(),
            shared: Shared::new(function.n_shared_bytes + launch.shared_bytes),
            window: Window::default(),
            counts: Counts::default(),
        }
    }

    /// Runs the block at `place` of the grid.
    pub(super) fn run(&mut self, place: [u32; 3]) -> Result<(), Fault> {
        self.shared.reset();
        for warp in &mut self.warps {
            warp.begin(self.launch, place);
        }
        for block_time in 0.. {
            // Forth and back, so that no warp is always the first.
            let n_warps = self.warps.len();
            for turn in 0..n_warps {
                let at = if block_time % 2 == 0 { turn } else { n_warps - 1 - turn };
                self.warps[at].run(&mut Surroundings {
                    function: self.function,
                    params: &self.launch.params,
                    shared: &mut self.shared,
                    window: &mut self.window,
                    counts: &mut self.counts,
                    block_time,
                })?;
            }
            if self.warps.iter().all(Warp::has_ended) {
                self.counts.n_instructions += self.warps.iter().map(Warp::n_steps).sum::<u64>();
                break;
            }
            for warp in &mut self.warps {
                warp.release()?;
            }
        }
        Ok(())
    }
}
