//! The pipeline alone: walk-through 1's shape on models that answer at once.
//!
//! `cargo bench --bench pipeline` prints rows a second on one core and the peak memory of a run
//! over 10,000 and over 100,000 rows (`--rows N` runs one of them, as the program calls itself).
//! Every row is read, answered twice with 200 words, grouped, judged, paired and written, and the
//! run ends with its report; what that costs is told apart by writing the report once more.

#[path = "../tests/pipeline/instant.rs"]
mod instant;

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::time::Instant as Clock;

use stillroom::data::folder::RunFolder;
use stillroom::pipeline::{RunOptions, report, run};
use stillroom::recipe::Recipe;

const RECIPE: &str = r#"
name = "bench"
seed = 7
flow = "load >> [answer_a, answer_b] >> group >> judge >> dpo"
[models.a]
source = "tiny:llama"
[models.b]
source = "tiny:mixtral"
[models.judge]
source = "tiny:llama"
[steps.load]
type = "LoadDataFromFileSystem"
path = "prompts.jsonl"
[steps.answer_a]
type = "TextGeneration"
model = "a"
[steps.answer_b]
type = "TextGeneration"
model = "b"
[steps.group]
type = "GroupColumns"
columns = ["generation", "model_name"]
output_columns = ["generations", "model_names"]
[steps.judge]
type = "UltraFeedback"
model = "judge"
[steps.dpo]
type = "FormatTextGenerationDPO"
"#;

/// Words of an answer, as in the measurements of the peer.
const N_WORDS: usize = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let rows = arguments.iter().position(|argument| argument == "--rows");
    if let Some(n_rows) = rows.and_then(|at| arguments.get(at + 1)) {
        measure(n_rows.parse().expect("a number of rows"));
        return ExitCode::SUCCESS;
    }
    // A process for each size: the peak of one must not hide the peak of the other.
    let own = std::env::current_exe().expect("the bench has a path");
    for n_rows in ["10000", "10000", "10000", "100000"] {
        let status = Command::new(&own).args(["--rows", n_rows]).status().expect("it can be run");
        if !status.success() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(n_rows: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut prompts = String::new();
    for row in 0..n_rows {
        writeln!(prompts, r#"{{"instruction":"Explain in plain words what {row} is good for."}}"#)
            .expect("memory");
    }
    std::fs::write(folder.path().join("prompts.jsonl"), prompts).expect("room on the disk");
    let inspect = |_: &stillroom::recipe::spec::Step| None;
    let recipe = Recipe::parse(RECIPE, "bench.toml", folder.path(), &[], &inspect);
    let recipe = recipe.unwrap_or_else(|faults| panic!("{:#?}", faults.faults));
    let models = instant::Instant { n_words: N_WORDS, ..instant::Instant::default() };
    let interrupt = models.interrupt();
    let options = RunOptions {
        out: folder.path().join("run"),
        limit: None,
        dry_run: false,
        layout: Default::default(),
        interrupt: &interrupt,
    };
    let before = peak_mib();
    let started = Clock::now();
    let summary = run(&recipe, &options, &mut models.clone(), &mut ()).expect("it ends well");
    let seconds = started.elapsed().as_secs_f64();
    let peak = peak_mib();
    let cpu = cpu_seconds();
    let started = Clock::now();
    let folder = RunFolder::look(&options.out).expect("a run");
    report::write(&folder).expect("it was written before");
    let report_seconds = started.elapsed().as_secs_f64();
    let report_cpu = cpu_seconds() - cpu;
    let n_asked = models.n_asked("a") + models.n_asked("b") + models.n_asked("judge");
    println!(
        "{n_rows:>7} rows  {:>7.0} rows/s  {seconds:>6.2} s wall  {cpu:>6.2} s CPU, of which \
         the report takes {report_seconds:.2} s ({:.0} %) and {report_cpu:.2} s ({:.0} %)  peak {peak} MiB (before the run {before} MiB)  {} pairs  \
         {n_asked} answers",
        n_rows as f64 / seconds,
        100.0 * report_seconds / seconds,
        100.0 * report_cpu / cpu,
        summary.n_pairs,
    );
}

/// Peak resident memory of this process, in MiB; 0 where the system does not tell.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// CPU time of this process, user and system; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    // utime and stime are the 14th and 15th fields; a tick is a hundredth of a second.
    (ticks(12).unwrap_or(0.0) + ticks(13).unwrap_or(0.0)) / 100.0
}
