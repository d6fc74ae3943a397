//! `stillroom bench`: how fast a model runs here, and how far that is from what the machine can do.
//!
//! Engine-level: random token ids in, token ids out, ends of text ignored, so that a checkpoint
//! with random weights is as good as a real one and no tokenizer is needed. Every rate stands
//! beside its share of the floor, the only figure that travels between machines.

mod floor;
mod gap;
mod job;
mod machine;
mod measure;

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use stillroom_kernels::linear::Format;
use stillroom_kernels::paged::BLOCK;
use stillroom_kernels::switch;
use stillroom_models::{self as models, Decoder, Files, LoadOptions, Model, ModelConfig, Quant};

use crate::engine::{Engine, EngineLimits};
use crate::llm;
use crate::{Error, Result};

use floor::Work;
use job::Job;
use machine::Roof;
use measure::{Cell, Rates};

/// Raised whenever a key of the JSON report changes its meaning.
const SCHEMA_VERSION: u32 = 3;

/// `stillroom bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// A folder with a checkpoint, `demo:NAME`, or `tiny:SHAPE` for seeded random weights.
    #[arg(default_value = "tiny:llama-160m")]
    model: String,

    /// How products are quantised at load.
    #[arg(long, value_enum, default_value_t = Quantize::None)]
    quantize: Quantize,

    /// `auto`, `cpu`, `cuda:N` or `metal`.
    #[arg(long, default_value = "auto")]
    device: String,

    /// Prompt lengths in tokens.
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "128")]
    #[arg(value_parser = count())]
    prompt: Vec<u64>,

    /// Tokens generated after each prompt.
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "64")]
    #[arg(value_parser = count())]
    output: Vec<u64>,

    /// Sequences at a time.
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,8,32")]
    #[arg(value_parser = count())]
    batch: Vec<u64>,

    /// Runs of each combination; the median one is shown.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,

    /// A queue of requests to run after the grid, the largest batch of it at a time; the first
    /// SHARED tokens of all prompts are alike, and after a `~` answers are of log-normal length
    /// around OUTPUT. May be given several times.
    #[arg(long, value_name = "[SHARED:]PROMPT+[~]OUTPUT*REQUESTS")]
    job: Vec<Job>,

    /// Ops that go by candle's operations although CUDA has a kernel of ours: what a kernel gains.
    #[arg(long, value_name = "OP,..", value_delimiter = ',')]
    #[arg(value_parser = switch::NAMES)]
    without: Vec<String>,

    /// Let a row's bits depend on the rows beside it where that is faster.
    #[arg(long)]
    not_reproducible: bool,

    /// A JSON object a line: what is measured, then each figure as it comes.
    #[arg(long)]
    json: bool,
}

/// Lengths and batches that can be asked for.
fn count() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=1 << 20)
}

/// The formats of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Quantize {
    /// As stored; f32 on a CPU.
    #[value(name = "none")]
    None,
    /// 8 bits.
    #[value(name = "q8_0")]
    Q8_0,
    /// 4 bits.
    #[value(name = "q4_k")]
    Q4K,
}

impl Quantize {
    fn quant(self) -> Option<Quant> {
        match self {
            Self::None => None,
            Self::Q8_0 => Some(Quant::Q8_0),
            Self::Q4K => Some(Quant::Q4K),
        }
    }
}

/// A model under test and what is known of it.
struct Subject {
    engine: Engine<Decoder>,
    work: Work,
    roof: Roof,
    load_s: f64,
    notes: Vec<String>,
}

/// Loads the model, measures the machine, then every combination of the grid. Tiny checkpoints
/// are kept below `cache`; `print` gets the lines of the report as they come.
///
/// # Errors
/// When there is no such model or device, or the grid does not fit the model.
pub fn bench(args: &BenchArgs, cache: &Path, print: &mut dyn FnMut(&str)) -> Result<()> {
    let files = files(&args.model, cache)?;
    args.without.iter().for_each(|op| switch::turn_off(op));
    gap::watch();
    let mut subject = load(args, &files)?;
    let mut tell = |kind: &str, mut figures: Value, shown: &dyn Fn(&Value) -> String| {
        let text = shown(&figures);
        figures["kind"] = json!(kind);
        print(&if args.json { figures.to_string() } else { text });
    };
    tell("header", header(args, &subject), &shown_header);
    measure::warm_up(&mut subject.engine)?;
    for (n, cell) in grid(args).into_iter().enumerate() {
        measure::warm_up_shapes(&mut subject.engine, cell, n as u64)?;
        let rates = measure::median(&mut subject.engine, cell, args.repeat, n as u64)?;
        tell("cell", row(cell, &rates, &subject), &shown_row);
    }
    for (n, job) in args.job.iter().enumerate() {
        let Subject { engine, work, roof, .. } = &mut subject;
        let figures = job.run(engine, (work, roof), u64::MAX - n as u64)?;
        tell("job", figures, &job::shown);
    }
    if let Some(memory) = machine::memory() {
        tell("memory", json!(memory), &shown_memory);
    }
    Ok(())
}

/// Where the checkpoint lies; a tiny one is written at first use.
fn files(model: &str, cache: &Path) -> Result<Files> {
    match model.split_once(':') {
        Some(("tiny", shape)) => Ok(llm::tiny(shape, cache)?.into()),
        Some(("demo", member)) => llm::demo(member),
        Some(_) | None => Ok(Path::new(model).into()),
    }
}

fn load(args: &BenchArgs, files: &Files) -> Result<Subject> {
    let device = models::device::device(&args.device).map_err(fault)?;
    let options = LoadOptions {
        quantize: args.quantize.quant(),
        deterministic: !args.not_reproducible,
        ..LoadOptions::new(device.clone())
    };
    let start = Instant::now();
    let config = ModelConfig::read(files).map_err(fault)?;
    let free_bytes = models::device::free_bytes(&device);
    if let Some(free_bytes) = free_bytes {
        llm::expect_room(files, &options, n_tokens_max(args), free_bytes)?;
    }
    let loaded = models::load(files, &options, &mut |_| ())
        .map_err(|error| llm::load_fault(files, &options, free_bytes, error))?;
    let load_s = start.elapsed().as_secs_f64();
    let roof = Roof::measure(&device)?;
    let roof = match options.quantize {
        Some(_) if device.is_cpu() => roof.in_bytes(),
        Some(_) | None => roof,
    };
    let shape = loaded.model.kv_shape();
    let wanted = limits(args, &loaded.model, device.is_cpu())?;
    // Enough for one sequence of the longest: what then does not fit waits its turn.
    let n_blocks_min = wanted.n_blocks.div_ceil(wanted.n_sequences_max);
    let limits = llm::affordable(&loaded.model, &device, wanted, n_blocks_min)?;
    let mut notes = loaded.notes;
    if limits != wanted {
        notes.push(format!(
            "the device has room for {} of {} tokens of keys and values, beside steps of {} rows",
            limits.n_blocks * BLOCK,
            wanted.n_blocks * BLOCK,
            limits.n_step_tokens_max,
        ));
    }
    let format = |k: usize| Format::choose(options.quantize, k, shape.dtype, &device);
    let work = Work::of(&config, &shape, format);
    let engine = Engine::new(loaded.model, limits)?;
    Ok(Subject { engine, work, roof, load_s, notes })
}

/// The engine's own limits, with room for the largest batch of the grid.
fn limits(args: &BenchArgs, model: &Decoder, is_cpu: bool) -> Result<EngineLimits> {
    let n_tokens = n_tokens_max(args);
    let max_context = model.max_context();
    if n_tokens > max_context as u64 {
        return Err(Error::Usage {
            what: format!(
                "{n_tokens} tokens are asked for; the model's context holds {max_context}"
            ),
            hint: "choose smaller --prompt and --output".to_owned(),
        });
    }
    let n_tokens = usize::try_from(n_tokens).expect("no longer than the context");
    let n_sequences_max = usize::try_from(largest(&args.batch)).expect("a million at most");
    let shape = model.kv_shape();
    let kv_bytes = shape.block_bytes();
    let usual = match is_cpu {
        true => EngineLimits::for_cpu(&shape, max_context, kv_bytes)?,
        false => EngineLimits::for_gpu(&shape, max_context, kv_bytes)?,
    };
    let n_blocks = n_sequences_max * EngineLimits::blocks_for(n_tokens);
    Ok(EngineLimits {
        n_sequences_max,
        n_step_tokens_max: usual.n_step_tokens_max.max(n_sequences_max),
        // Admission keeps a few free.
        n_blocks: n_blocks + n_blocks / 16 + 1,
        ..usual
    })
}

/// Tokens of the longest sequence, prompt and answer.
fn n_tokens_max(args: &BenchArgs) -> u64 {
    let of_grid = largest(&args.prompt).saturating_add(largest(&args.output));
    let of_jobs = args.job.iter().map(|job| job.n_tokens_max() as u64);
    of_jobs.max().unwrap_or(0).max(of_grid)
}

fn largest(numbers: &[u64]) -> u64 {
    numbers.iter().copied().max().unwrap_or(1)
}

fn grid(args: &BenchArgs) -> Vec<Cell> {
    let narrow = |n: u64| usize::try_from(n).expect("a million at most");
    let mut cells = Vec::new();
    for &n_prompt in &args.prompt {
        for &n_output in &args.output {
            for &batch in &args.batch {
                let [n_prompt, n_output, batch] = [n_prompt, n_output, batch].map(narrow);
                cells.push(Cell { n_prompt, n_output, batch });
            }
        }
    }
    cells
}

fn header(args: &BenchArgs, subject: &Subject) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "stillroom": env!("CARGO_PKG_VERSION"),
        "model": args.model,
        "quantize": args.quantize.quant().map_or("none", Quant::name),
        "reproducible": !args.not_reproducible,
        "device": args.device,
        "without": args.without,
        "n_threads": rayon::current_num_threads(),
        "load_s": subject.load_s,
        "notes": subject.notes,
        "weight_bytes_per_token": subject.work.weight_bytes(1),
        "flops_per_token": subject.work.flops_per_token(),
        "roof": subject.roof,
    })
}

fn row(cell: Cell, rates: &Rates, subject: &Subject) -> Value {
    let (work, roof) = (&subject.work, &subject.roof);
    let n_step_tokens = subject.engine.limits().n_step_tokens_max;
    let prefill_floor_s = work.prefill_s(roof, cell, n_step_tokens);
    let decode_floor_s = work.decode_s(roof, cell);
    let share = |floor_s: f64, measured_s: f64| floor_s / measured_s;
    json!({
        "prompt": cell.n_prompt,
        "output": cell.n_output,
        "batch": cell.batch,
        "prefill_s": rates.prefill_s,
        "prefill_tokens_per_s": rates.prefill_tokens_per_s(),
        "prefill_share_of_floor": share(prefill_floor_s, rates.prefill_s),
        "decode_step_ms": rates.step_s.map(|s| 1e3 * s),
        "decode_tokens_per_s": rates.step_s.map(|s| cell.batch as f64 / s),
        "decode_share_of_floor": rates.step_s.map(|s| share(decode_floor_s, s)),
        "decode_spread": rates.spread,
        "decode_idle_share": rates.gap.map(|gap| gap.idle),
        "decode_wait_share": rates.gap.map(|gap| gap.waiting),
    })
}

fn shown_header(header: &Value) -> String {
    let number = |value: &Value, unit: f64| value.as_f64().unwrap_or_default() / unit;
    let notes = header["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let notes: String = notes.map(|note| format!("note     {note}\n")).collect();
    format!(
        "model    {}, quantize {}, {:.1} MB of weights and {:.2} GFLOP a token\n\
         machine  {}, {} threads, {:.1} GB/s, {:.0} GFLOP/s (measured now)\n{notes}\
         {:>8}{:>8}{:>7} |{:>14}{:>7} |{:>13}{:>10}{:>7}",
        header["model"].as_str().unwrap_or_default(),
        header["quantize"].as_str().unwrap_or_default(),
        number(&header["weight_bytes_per_token"], 1e6),
        number(&header["flops_per_token"], 1e9),
        header["device"].as_str().unwrap_or_default(),
        header["n_threads"],
        number(&header["roof"]["bytes_per_s"], 1e9),
        number(&header["roof"]["flops_per_s"], 1e9),
        "prompt",
        "output",
        "batch",
        "prefill tok/s",
        "floor",
        "decode tok/s",
        "ms/step",
        "floor",
    )
}

fn shown_row(row: &Value) -> String {
    let number = |name: &str, n_digits: usize| match row[name].as_f64() {
        Some(number) => format!("{number:.n_digits$}"),
        None => "-".to_owned(),
    };
    let gap = gap::shown_gap(&row["decode_idle_share"], &row["decode_wait_share"]);
    let percent = |name: &str| match row[name].as_f64() {
        Some(share) => format!("{:.0}%", 100.0 * share),
        None => "-".to_owned(),
    };
    format!(
        "{:>8}{:>8}{:>7} |{:>14}{:>7} |{:>13}{:>10}{:>7}{gap}",
        number("prompt", 0),
        number("output", 0),
        number("batch", 0),
        number("prefill_tokens_per_s", 0),
        percent("prefill_share_of_floor"),
        number("decode_tokens_per_s", 1),
        number("decode_step_ms", 2),
        percent("decode_share_of_floor"),
    )
}

fn shown_memory(memory: &Value) -> String {
    let [now, peak] = ["rss_bytes", "peak_rss_bytes"]
        .map(|name| memory[name].as_u64().unwrap_or_default() / 1_000_000);
    format!("memory   {now} MB resident, {peak} MB at the peak")
}

fn fault(error: models::Error) -> Error {
    let hint = match matches!(error, models::Error::Device { .. }) {
        true => "`--device cpu` works everywhere",
        false => {
            "a model's folder holds config.json and its .safetensors files; `tiny:llama-160m` \
             needs none"
        }
    };
    Error::environment_from(error.to_string(), hint, error)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchArgs,
    }

    /// What a command line prints, or its error.
    fn run(words: &str) -> Result<String> {
        let cache = tempfile::tempdir().unwrap();
        let line = Line::try_parse_from(format!("bench {words}").split_whitespace()).unwrap();
        let mut out = String::new();
        bench(&line.args, cache.path(), &mut |text| out += &format!("{text}\n"))?;
        Ok(out)
    }

    /// The lines of a report that are of this kind.
    fn figures(report: &str, kind: &str) -> Vec<Value> {
        let lines = report.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["kind"] == kind).collect()
    }

    #[test]
    fn a_report_has_every_cell_of_the_grid() {
        let grid = "--device cpu --repeat 1 --prompt 40,3 --output 5 --batch 1,4";
        let report = run(&format!("tiny:llama {grid} --json")).unwrap();
        let cells = figures(&report, "cell");
        assert_eq!(cells.len(), 4);
        for cell in &cells {
            for rate in ["prefill_tokens_per_s", "decode_tokens_per_s", "decode_share_of_floor"] {
                assert!(cell[rate].as_f64().is_some_and(|rate| rate > 0.0), "{rate}: {cell}");
            }
            // A CPU does not work beside the host.
            assert!(cell["decode_idle_share"].is_null(), "{cell}");
        }
        let text = run(&format!("tiny:mixtral {grid} --quantize q8_0")).unwrap();
        assert!(text.lines().count() >= 2 + 1 + 4, "{text}");
        assert!(text.contains("decode tok/s"), "{text}");
    }

    #[test]
    fn a_warm_up_helps_no_cell() {
        let cache = tempfile::tempdir().unwrap();
        let words = "bench tiny:llama --device cpu --prompt 70 --output 3 --batch 2";
        let args = Line::try_parse_from(words.split(' ')).unwrap().args;
        let mut subject = load(&args, &files(&args.model, cache.path()).unwrap()).unwrap();
        let (engine, cell) = (&mut subject.engine, grid(&args)[0]);
        measure::run_shapes(engine, cell, 0).unwrap();
        assert_eq!(engine.stats().n_generated_tokens, 2 * 2);
        measure::median(engine, cell, 3, 0).unwrap();
        assert_eq!(engine.stats().n_generated_tokens, 2 * 2 + 3 * 2 * 3);
        assert_eq!(engine.stats().n_cached_tokens, 0);
    }

    #[test]
    fn a_queue_is_run_whole() {
        let words = "--device cpu --repeat 1 --prompt 3 --output 2 --batch 2 --job 64:70+3*5";
        let report = run(&format!("tiny:llama {words} --json")).unwrap();
        let job = &figures(&report, "job")[0];
        assert_eq!((&job["requests"], &job["batch"]), (&json!(5), &json!(2)));
        // Two blocks of the first request serve the four others.
        let hit_rate = job["hit_rate"].as_f64().unwrap();
        assert!((hit_rate - 4.0 * 64.0 / (5.0 * 70.0)).abs() < 1e-9, "{job}");
        assert!(job["output_tokens_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{job}");
        let text = run(&format!("tiny:llama {words}")).unwrap();
        assert!(text.contains("5 requests of 70+3 (64 shared)"), "{text}");
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        let error = run("tiny:lama").unwrap_err();
        assert!(error.hint().unwrap().contains("llama-160m"), "{error}");
        let error = run("tiny:llama --device cpu --prompt 9000").unwrap_err();
        assert!(error.to_string().contains("9064 tokens"), "{error}");
        let error = run("no-such-folder --device cpu").unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(Line::try_parse_from(["bench", "--batch", "0"]).is_err());
    }
}
