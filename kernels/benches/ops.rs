//! Times the dense ops over named shapes and sets them against the machine's own limits.
//!
//! Before a path is timed it is checked against the plain reference. The floors (reading memory,
//! multiply-adds) are measured in the same run, and so is candle's own product: on a busy machine
//! only ratios within one run mean anything. Each time is the best of several rounds in which all
//! paths take turns, over as many copies of a weight as it takes to leave the cache, as the layers
//! of a model do. Must not be read as tokens per second: that is asked of whole models.

#[path = "ops/floor.rs"]
mod floor;
#[path = "ops/paths.rs"]
mod paths;

use candle_core::Result;
use floor::Floor;
use paths::Path;
use std::time::Instant;

const ROUNDS: usize = 5;

/// `(name, k, n)`: inputs and outputs.
const SHAPES: [(&str, usize, usize); 3] =
    [("160m up", 768, 3072), ("160m down", 3072, 768), ("1b gate", 2048, 8192)];

const ROWS: [usize; 4] = [1, 8, 32, 128];

fn main() -> Result<()> {
    let floor = Floor::measure();
    println!("{floor}\n");
    println!(
        "{:<10} {:>4}  {:<12} {:>9} {:>8} {:>7} {:>6} {:>9}",
        "shape", "rows", "path", "us", "GFLOP/s", "GB/s", "floor", "vs candle"
    );
    for (name, k, n) in SHAPES {
        for t in ROWS {
            report(name, t, &paths::linear(t, k, n)?, &floor)?;
        }
    }
    for t in ROWS {
        report("160m", t, &paths::small(t, 768, 3072)?, &floor)?;
    }
    report("160m x 8", 32, &paths::moe(32, 768, 3072)?, &floor)
}

/// Times `paths` in turns and prints a line for each; the last one is the yardstick.
fn report(shape: &str, t: usize, paths: &[Path], floor: &Floor) -> Result<()> {
    let mut best = vec![f64::INFINITY; paths.len()];
    for round in 0..ROUNDS {
        for (best, path) in best.iter_mut().zip(paths) {
            let start = Instant::now();
            // Inside the pool, as a model runs: calling in from outside costs a wake-up each time.
            rayon::scope(|_| path.run_all())?;
            let seconds = start.elapsed().as_secs_f64() / path.n_copies() as f64;
            if round > 0 {
                *best = best.min(seconds);
            }
        }
    }
    let yardstick = paths.iter().zip(&best).find(|(path, _)| path.is_yardstick());
    for (path, &seconds) in paths.iter().zip(&best) {
        let share = floor.seconds(path.bytes, path.flops) / seconds;
        let ratio =
            yardstick.map_or(String::new(), |(_, candle)| format!("{:.2}", candle / seconds));
        println!(
            "{shape:<10} {t:>4}  {:<12} {:>9.1} {:>8.1} {:>7.1} {:>5.0}% {ratio:>9}",
            path.name,
            seconds * 1e6,
            path.flops / seconds / 1e9,
            path.bytes / seconds / 1e9,
            share * 100.0,
        );
    }
    Ok(())
}
