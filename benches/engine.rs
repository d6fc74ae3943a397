//! What the engine costs without a model: scheduler, block manager and batch, 256 sequences.
//!
//! A job of requests in the judge's shape (a shared preamble, a prompt of its own, an answer) runs
//! through a pool that is a little too small, so that admission, prefix hits, eviction and growth
//! all take place. Every row is answered at once with a token that depends on the request. The aim
//! is 50 µs a step: a hundredth of a forward.
//!
//! ```text
//! cargo bench --bench engine
//! ```

use std::time::{Duration, Instant};

use stillroom::engine::EngineLimits;
use stillroom::engine::request::{Request, RequestId, Sampling};
use stillroom::engine::scheduler::Scheduler;
use stillroom_kernels::paged::Batch;
use stillroom_kernels::sample::Drawn;

const N_REQUESTS: u64 = 4_000;
const N_SEQUENCES: usize = 256;
const N_PREAMBLE: usize = 600;
const N_PROMPT: u64 = 400;
const N_ANSWER: u64 = 300;
const AIM: Duration = Duration::from_micros(50);

fn main() {
    let limits = EngineLimits {
        n_sequences_max: N_SEQUENCES,
        n_step_tokens_max: 8192,
        n_blocks: 6_000,
        length_percentile: 90,
    };
    let mut scheduler = Scheduler::new(limits, 8192);
    scheduler.pin(&vec![1; N_PREAMBLE]).expect("a preamble that fits");
    for id in 0..N_REQUESTS {
        scheduler.submit(request(id)).expect("a request that fits");
    }
    let mut batch = Batch::default();
    let mut times = Vec::new();
    let mut full = Vec::new();
    while scheduler.n_in_flight() > 0 {
        let start = Instant::now();
        assert!(scheduler.plan());
        scheduler.fill(&mut batch);
        let planned = start.elapsed();
        let rows = batch.sample_rows.iter().map(|&row| batch.tokens[row as usize]);
        let drawn: Vec<Drawn> = rows.map(next).collect();
        let start = Instant::now();
        std::hint::black_box(scheduler.commit(drawn));
        let time = planned + start.elapsed();
        times.push(time);
        if batch.n_sequences() == N_SEQUENCES {
            full.push(time);
        }
    }
    report("all steps", &mut times);
    report("steps of 256", &mut full);
    let stats = scheduler.stats();
    println!(
        "mean batch {:.0}, prefix hits {:.0} %, {} preemptions, {} of {} blocks at the peak",
        stats.mean_batch(),
        100.0 * stats.hit_rate(),
        stats.n_preemptions,
        stats.n_blocks_peak,
        limits.n_blocks,
    );
    let mean = full.iter().sum::<Duration>() / u32::try_from(full.len()).expect("a count").max(1);
    println!("{} the aim of {AIM:?} a step", if mean < AIM { "under" } else { "OVER" });
}

/// A preamble, a prompt and an answer whose lengths vary with the number.
fn request(id: u64) -> Request {
    let n_prompt = N_PROMPT / 2 + id * 7919 % N_PROMPT;
    let own = (0..n_prompt).map(|place| (id * 31 + place) as u32 % 30_000);
    Request {
        id: RequestId(id),
        prompt: std::iter::repeat_n(1, N_PREAMBLE).chain(own).collect(),
        max_new_tokens: usize::try_from(N_ANSWER / 2 + id * 104_729 % N_ANSWER).expect("a length"),
        stop_tokens: [].into(),
        sampling: Sampling::default(),
        noise: id,
        guide: None,
    }
}

/// Any token that is not the one before, so that nothing repeats.
fn next(token: u32) -> Drawn {
    Drawn { token: (token * 7 + 3) % 30_011, logprob: -1.0, reported: Vec::new() }
}

fn report(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let n = times.len().max(1);
    let at = |percent: usize| times[(n * percent / 100).min(n - 1)];
    let mean = times.iter().sum::<Duration>() / u32::try_from(n).expect("a count");
    println!(
        "{name}: {n} steps, mean {mean:.1?}, median {:.1?}, p99 {:.1?}, worst {:.1?}",
        at(50),
        at(99),
        at(100)
    );
}
