//! The engine: token ids in; token ids, log-probabilities and a reason out.
//!
//! [`Engine::step`] is plan, batch, forward, sample, commit; nothing else drives a model. The
//! engine must not know text, prompts or paths, and has no threads, no locks and no clock of its
//! own: what it does follows from what was submitted and in which order.

mod batch;
mod blocks;
mod budget;
mod choice;
mod error;
pub mod guide;
mod lengths;
mod prefix;
mod repetition;
pub mod request;
mod sampling;
pub mod scheduler;
mod sequence;
mod stats;
mod tally;

use stillroom_kernels::paged::{Batch, KvPool};
use stillroom_kernels::sample::Drawn;
use stillroom_models::Model;

pub use budget::EngineLimits;
pub use error::{EngineError, Refusal};
pub use stats::Stats;

use request::{Completion, Request, RequestId, TokenId};
use scheduler::Scheduler;

/// One model, its KV memory and the requests that share them. Owned by one thread.
pub struct Engine<M> {
    model: M,
    kv: KvPool,
    scheduler: Scheduler,
    batch: Batch,
}

impl<M: Model> Engine<M> {
    /// An idle engine; allocates the KV memory.
    ///
    /// # Errors
    /// When the device has not enough memory.
    ///
    /// # Panics
    /// When the limits contradict each other.
    pub fn new(model: M, limits: EngineLimits) -> Result<Self, EngineError> {
        limits.expect_sound();
        let kv = model.new_kv(limits.n_blocks)?;
        let scheduler = Scheduler::new(limits, model.max_context());
        Ok(Self { model, kv, scheduler, batch: Batch::default() })
    }

    /// Queues a request; [`Engine::step`] returns its completion some time later.
    ///
    /// # Errors
    /// When it can never be answered.
    ///
    /// # Panics
    /// When a request of this number is in flight.
    pub fn submit(&mut self, request: Request) -> Result<(), Refusal> {
        let vocab_size = self.model.vocab_size();
        sampling::expect_known(request.prompt.iter().copied(), vocab_size)?;
        sampling::expect_valid(&request.sampling, vocab_size)?;
        self.scheduler.submit(request)
    }

    /// Keeps the full blocks of `prefix` in memory for good, from the first request on that
    /// computes them; requests with the same prefix wait for that one.
    ///
    /// # Errors
    /// When the pins would leave too little memory for requests.
    pub fn pin(&mut self, prefix: &[TokenId]) -> Result<(), Refusal> {
        self.scheduler.pin(prefix)
    }

    /// Drops a request, whatever it has; false when it is not in flight.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        self.scheduler.cancel(id)
    }

    /// Runs one forward and returns the sequences that it finished; none when idle. A step that
    /// the device has no memory for is planned again with fewer rows, from then on.
    ///
    /// # Errors
    /// When the device fails or the logits are not numbers. The engine is then of no further use.
    pub fn step(&mut self) -> Result<Vec<Completion>, EngineError> {
        let drawn = loop {
            if !self.scheduler.plan() {
                return Ok(self.scheduler.commit([]));
            }
            self.scheduler.fill(&mut self.batch);
            match self.forward() {
                Err(error) if error.is_out_of_memory() && self.scheduler.narrow() => {
                    self.kv.release_reserve()?;
                }
                drawn => break drawn?,
            }
        };
        let finished = self.scheduler.commit(drawn);
        if cfg!(debug_assertions) {
            self.scheduler.check_integrity();
        }
        Ok(finished)
    }

    /// Runs the planned step and draws its tokens.
    fn forward(&mut self) -> Result<Vec<Drawn>, EngineError> {
        let logits = self.model.forward(&self.batch, &mut self.kv)?;
        sampling::draw(&logits, self.scheduler.scheduled())
    }

    /// Requests submitted and not yet returned.
    pub fn n_in_flight(&self) -> usize {
        self.scheduler.n_in_flight()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        self.scheduler.stats()
    }

    /// The limits that the engine was made with.
    pub fn limits(&self) -> &EngineLimits {
        self.scheduler.limits()
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Checks the bookkeeping; a debug build does so after each step.
    ///
    /// # Panics
    /// When it is wrong.
    pub fn check_integrity(&self) {
        self.scheduler.check_integrity();
    }
}
