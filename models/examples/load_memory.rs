//! Measures what loading costs: peak anonymous memory (RssAnon) against the bytes of the model.
//!
//!     cargo run --release -p stillroom-models --example load_memory -- llama-160m none q8_0 q4_k
//!
//! The checkpoint is written to a temporary folder first. Linux only: it reads `/proc/self/status`
//! every half millisecond while the loader runs.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use candle_core::Device;
use stillroom_models::tiny::{self, Shape};
use stillroom_models::{LoadOptions, Quant, load};

/// Marks the child process that measures one format.
const MEASURE: &str = "--measure";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder, format] = &args[..]
        && flag == MEASURE
    {
        return measure(Path::new(folder), format);
    }
    let name = args.first().map_or("llama-160m", String::as_str);
    let shape = Shape::named(name).ok_or_else(|| format!("no shape {name:?}"))?;
    let root = tempfile::tempdir()?;
    let folder = tiny::cached(&shape, 7, root.path())?;
    println!("{name}: {} parameters", shape.config.n_params());
    let formats = if args.len() > 1 { &args[1..] } else { &["none".to_owned()][..] };
    for format in formats {
        // A fresh process for each: what an allocator keeps from the last would hide the next.
        let mut child = Command::new(std::env::current_exe()?);
        child.arg(MEASURE).arg(&folder).arg(format);
        if !child.status()?.success() {
            return Err(format!("{format}: failed").into());
        }
    }
    Ok(())
}

fn measure(folder: &Path, format: &str) -> Result<()> {
    let quantize = match format {
        "none" => None,
        "q8_0" => Some(Quant::Q8_0),
        "q4_k" => Some(Quant::Q4K),
        other => return Err(format!("{other:?} is none of none, q8_0 and q4_k").into()),
    };
    let options = LoadOptions { quantize, ..LoadOptions::new(Device::Cpu) };
    let before = rss_anon()?;
    let started = Instant::now();
    let (loaded, peak) = with_peak(|| load(folder, &options, &mut |_| ()))?;
    let seconds = started.elapsed().as_secs_f64();
    let loaded = loaded?;
    let (peak, resident) = (peak - before, rss_anon()? - before);
    println!(
        "{format:>5}: model {:.1} MB, peak {:.1} MB ({:+.1} %), {seconds:.2} s",
        resident as f64 / 1e6,
        peak as f64 / 1e6,
        100.0 * (peak as f64 / resident as f64 - 1.0),
    );
    drop(loaded);
    Ok(())
}

/// Runs `work` while another thread watches the memory; returns the highest value seen.
fn with_peak<T>(work: impl FnOnce() -> T) -> Result<(T, usize)> {
    let (is_done, peak) = (AtomicBool::new(false), AtomicUsize::new(rss_anon()?));
    let out = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                peak.fetch_max(rss_anon().unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let out = work();
        is_done.store(true, Ordering::Relaxed);
        out
    });
    Ok((out, peak.into_inner().max(rss_anon()?)))
}

/// Anonymous resident memory of this process in bytes.
fn rss_anon() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: usize = line.ok_or("no RssAnon")?.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
