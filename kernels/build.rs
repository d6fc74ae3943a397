//! Compiles the device kernels: each `<op>/kernel.cu` becomes one fatbin that the binary carries,
//! with machine code for several generations of cards and PTX for those to come.
//!
//! Does nothing without the feature `cuda`. Which nvcc runs and for which cards, the environment
//! says (`NVCC`, `CUDA_HOME`, `STILLROOM_CUDA_ARCHS`); a stub that leaves empty files will do for
//! a type check. What the binary then runs on is told to `arch.rs`, which compares it with the
//! card.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// The ops with a `kernel.cu`.
const OPS: &[&str] =
    &["embed", "kv_write", "moe", "paged_attention", "rms_norm", "sample", "silu_mul"];

/// Compute capabilities that get machine code when nobody says which.
const ARCHS: &str = "80 86 89 90";

/// Compilers at a time at most: each takes a core and some hundred megabytes.
const N_JOBS_MAX: usize = 4;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for name in ["NVCC", "CUDA_HOME", "NVCC_APPEND_FLAGS", "NVCC_CCBIN"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=device");
    let archs = variable("STILLROOM_CUDA_ARCHS").unwrap_or_else(|| ARCHS.to_owned());
    let archs: Vec<&str> = archs.split_whitespace().collect();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a folder"));
    compile(&archs, &out);
    println!("cargo:rustc-env=STILLROOM_OWN_CODE={}", codes(&archs));
    println!("cargo:rustc-env=STILLROOM_CUDA_VERSION={}", cuda_version());
    println!("cargo:rustc-env=STILLROOM_CANDLE_CODE={}", candle_codes());
}

/// An environment variable that the build depends on, if it says anything.
fn variable(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Compiles all kernels, some at a time, and lists the results in `fatbins.rs`.
fn compile(archs: &[&str], out: &Path) {
    let next = Mutex::new(OPS.iter());
    let n_jobs = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    thread::scope(|scope| {
        for _ in 0..N_JOBS_MAX.min(n_jobs) {
            scope.spawn(|| {
                loop {
                    let op = next.lock().expect("no compile job has panicked").next();
                    let Some(op) = op else { break };
                    compile_op(op, archs, &fatbin(out, op));
                }
            });
        }
    });
    let entry = |op: &&str| format!("({op:?}, include_bytes!({:?})),\n", fatbin(out, op));
    let entries: String = OPS.iter().map(entry).collect();
    let list = format!("&[\n{entries}]\n");
    fs::write(out.join("fatbins.rs"), list).expect("the build folder can be written");
}

fn fatbin(out: &Path, op: &str) -> PathBuf {
    out.join(format!("{op}.fatbin"))
}

fn compile_op(op: &str, archs: &[&str], fatbin: &Path) {
    let source = format!("{op}/kernel.cu");
    let files = fs::read_dir(op).unwrap_or_else(|error| panic!("{op}: {error}"));
    for path in files.flatten().map(|file| file.path()) {
        if path.extension().is_some_and(|extension| extension == "cu" || extension == "cuh") {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    let mut command = Command::new(nvcc());
    command.args(["-fatbin", "-O3", "-std=c++17", "-o"]).arg(fatbin);
    for arch in archs {
        command.args(["-gencode", &format!("arch=compute_{arch},code=sm_{arch}")]);
    }
    let last = archs.last().expect("STILLROOM_CUDA_ARCHS names a card");
    command.args(["-gencode", &format!("arch=compute_{last},code=compute_{last}")]);
    let status = command.arg(&source).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(status.success(), "{command:?} failed");
}

/// The compiler, where candle's own build looks for it too.
fn nvcc() -> PathBuf {
    let in_home = || Some(PathBuf::from(env::var_os("CUDA_HOME")?).join("bin/nvcc"));
    let named = env::var_os("NVCC").map(PathBuf::from);
    let found = named.or_else(|| in_home().filter(|path| path.exists()));
    found.unwrap_or_else(|| PathBuf::from("nvcc"))
}

/// The compiler's version as drivers give theirs, `13000` for 13.0; `0` where it does not say.
fn cuda_version() -> u32 {
    let told = Command::new(nvcc()).arg("--version").output();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = told.ok().and_then(|told| {
        let (major, minor) = told.split("release ").nth(1)?.split(',').next()?.split_once('.')?;
        Some(major.parse::<u32>().ok()? * 1000 + minor.parse::<u32>().ok()? * 10)
    });
    version.unwrap_or(0)
}

/// `sm_80 sm_90 compute_90` for `80 90`: machine code for each and PTX of the last.
fn codes(archs: &[&str]) -> String {
    let machine = archs.iter().map(|arch| format!("sm_{arch} "));
    machine.collect::<String>() + &format!("compute_{}", archs.last().unwrap_or(&""))
}

/// What candle's part of the binary runs on: several cards with our stand-in for nvcc, else the
/// one that it was told or has found. Nothing when that cannot be known.
fn candle_codes() -> String {
    if let Some(archs) = variable("STILLROOM_CANDLE_ARCHS") {
        return codes(&archs.split_whitespace().collect::<Vec<_>>());
    }
    let told = variable("CUDA_COMPUTE_CAP").or_else(|| {
        let asked = Command::new("nvidia-smi")
            .args(["--query-gpu=compute_cap", "--format=csv,noheader"])
            .output()
            .ok()?;
        Some(String::from_utf8(asked.stdout).ok()?.lines().next()?.trim().replace('.', ""))
    });
    let digits: String = told.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() { digits } else { format!("sm_{digits}") }
}
