//! The scheduler by itself: whatever is submitted, cancelled and pinned, no limit is passed,
//! nothing is lost and everything ends. A failing case shrinks.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use stillroom::engine::EngineLimits;
use stillroom::engine::request::{FinishReason, Request, RequestId, Sampling};
use stillroom::engine::scheduler::Scheduler;
use stillroom_kernels::paged::{BLOCK, Batch};
use stillroom_kernels::sample::Drawn;

const MAX_CONTEXT: usize = 200;

#[derive(Debug, Clone)]
enum Op {
    /// A prompt of one of a few kinds, so that prefixes meet.
    Submit {
        kind: u32,
        n_prompt: usize,
        n_new: usize,
    },
    Cancel(usize),
    Pin {
        kind: u32,
        n_tokens: usize,
    },
    Steps(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let submit = (0..3u32, 1..150usize, 1..120usize);
    prop_oneof![
        6 => submit.prop_map(|(kind, n_prompt, n_new)| Op::Submit { kind, n_prompt, n_new }),
        1 => (0..20usize).prop_map(Op::Cancel),
        1 => (0..3u32, 32..100usize).prop_map(|(kind, n_tokens)| Op::Pin { kind, n_tokens }),
        6 => (1..40usize).prop_map(Op::Steps),
    ]
}

fn limits() -> impl Strategy<Value = EngineLimits> {
    (1..9usize, 0..80usize, 2..20usize, prop_oneof![Just(0), Just(90)]).prop_map(
        |(n_sequences_max, n_more, n_blocks, length_percentile)| EngineLimits {
            n_sequences_max,
            n_step_tokens_max: n_sequences_max + n_more,
            n_blocks,
            length_percentile,
        },
    )
}

/// A scheduler under test and how long each answer must become.
struct Bench {
    scheduler: Scheduler,
    batch: Batch,
    wanted: BTreeMap<RequestId, usize>,
}

impl Bench {
    fn step(&mut self) {
        let limits = *self.scheduler.limits();
        let planned = self.scheduler.plan();
        self.scheduler.fill(&mut self.batch);
        assert_eq!(planned, self.batch.n_tokens() > 0);
        assert!(self.batch.n_tokens() <= limits.n_step_tokens_max);
        assert!(self.batch.n_sequences() <= limits.n_sequences_max);
        let slots: HashSet<u32> = self.batch.slots.iter().copied().collect();
        assert_eq!(slots.len(), self.batch.n_tokens(), "two rows write to one slot");
        assert!(slots.iter().all(|&slot| (slot as usize) < limits.n_blocks * BLOCK));
        let drawn = |_| Drawn { token: 7, logprob: -1.0, reported: Vec::new() };
        let drawn: Vec<Drawn> = self.batch.sample_rows.iter().map(drawn).collect();
        for done in self.scheduler.commit(drawn) {
            let n_wanted = self.wanted.remove(&done.id).expect("in flight");
            assert_eq!((done.tokens.len(), done.finish), (n_wanted, FinishReason::Length));
        }
        self.scheduler.check_integrity();
        assert_eq!(self.scheduler.n_in_flight(), self.wanted.len());
    }

    fn submit(&mut self, id: u64, (kind, n_prompt, n_new): (u32, usize, usize)) {
        let request = Request {
            id: RequestId(id),
            prompt: vec![kind; n_prompt].into(),
            max_new_tokens: n_new,
            stop_tokens: [].into(),
            sampling: Sampling { stop_repetition: false, ..Sampling::default() },
            noise: id,
            guide: None,
        };
        if self.scheduler.submit(request).is_ok() {
            self.wanted.insert(RequestId(id), n_new.min(MAX_CONTEXT - n_prompt));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn everything_ends_within_its_limits(
        limits in limits(),
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let scheduler = Scheduler::new(limits, MAX_CONTEXT);
        let mut bench = Bench { scheduler, batch: Batch::default(), wanted: BTreeMap::new() };
        for (i, op) in ops.into_iter().enumerate() {
            match op {
                Op::Submit { kind, n_prompt, n_new } => {
                    // Every other request is older than all before it.
                    let id = if i % 2 == 0 { 1000 + i } else { 1000 - i };
                    bench.submit(id as u64, (kind, n_prompt, n_new));
                }
                Op::Cancel(nth) => {
                    if let Some(&id) = bench.wanted.keys().nth(nth) {
                        prop_assert!(bench.scheduler.cancel(id));
                        bench.wanted.remove(&id);
                    }
                }
                Op::Pin { kind, n_tokens } => {
                    let _ = bench.scheduler.pin(&vec![kind; n_tokens]);
                }
                Op::Steps(n) => (0..n).for_each(|_| bench.step()),
            }
        }
        // Each in turn, recomputed once for each of the others, is far below this.
        for _ in 0..100_000 {
            if bench.wanted.is_empty() {
                break;
            }
            bench.step();
        }
        prop_assert_eq!(bench.scheduler.n_in_flight(), 0);
    }
}
