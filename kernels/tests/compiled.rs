//! What nvcc says of the kernels: that they compile for every generation of cards they are shipped
//! for, and that none keeps registers in memory.
//!
//! Runs where there is an nvcc (`NVCC`, `CUDA_HOME` or the path) and says so where there is none; no
//! card is needed. What the compiler said is kept under a hash of the sources.

#![allow(
    clippy::unwrap_used,
    reason = "clippy lets #[test] functions unwrap, but not the helpers that they share"
)]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHS: [u32; 4] = [80, 86, 89, 90];

/// The folders with a `kernel.cu`.
fn ops() -> Vec<String> {
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    let folders = folders.filter(|folder| folder.join("kernel.cu").is_file());
    let mut ops: Vec<String> =
        folders.map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    ops.sort();
    ops
}

/// A kernel that the build forgets would be missed on the first card only.
#[test]
fn every_kernel_is_built_and_can_be_turned_off() {
    let build = include_str!("../build.rs");
    for op in ops() {
        assert!(build.contains(&format!("{op:?}")), "{op} is not in build.rs");
        assert!(stillroom_kernels::switch::NAMES.contains(&&*op), "{op} has no switch");
    }
}

fn nvcc() -> Option<PathBuf> {
    let in_home = || Some(PathBuf::from(std::env::var_os("CUDA_HOME")?).join("bin/nvcc"));
    let named = std::env::var_os("NVCC").map(PathBuf::from).or_else(in_home);
    let nvcc = named.unwrap_or_else(|| "nvcc".into());
    // A stand-in that only leaves empty files behind has nothing to say about registers.
    let version = Command::new(&nvcc).arg("--version").output().ok()?;
    String::from_utf8_lossy(&version.stdout).contains("Cuda compilation tools").then_some(nvcc)
}

/// What the assembler reports of an op's kernels, for all cards.
fn report(nvcc: &Path, op: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in [root.join(op), root.join("device")] {
        sources.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    sources.retain(|path| path.extension().is_some_and(|end| end == "cu" || end == "cuh"));
    sources.sort();
    let mut hasher = DefaultHasher::new();
    (nvcc, ARCHS).hash(&mut hasher);
    sources.iter().for_each(|source| fs::read(source).unwrap().hash(&mut hasher));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kept = folder.join(format!("{op}-{:016x}.ptxas", hasher.finish()));
    if let Ok(report) = fs::read_to_string(&kept) {
        return report;
    }
    let mut command = Command::new(nvcc);
    command.args(["-fatbin", "-O3", "-std=c++17", "-Xptxas", "-v"]);
    for arch in ARCHS {
        command.args(["-gencode", &format!("arch=compute_{arch},code=sm_{arch}")]);
    }
    let target = folder.join(format!("{op}-{}.fatbin", std::process::id()));
    let output = command.arg("-o").arg(&target).arg(root.join(op).join("kernel.cu")).output();
    let output = output.unwrap();
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{op}: {report}");
    fs::remove_file(target).unwrap();
    fs::write(kept, &report).unwrap();
    report
}

#[test]
fn kernels_compile_for_all_cards_and_none_spills() {
    let Some(nvcc) = nvcc() else {
        eprintln!("no nvcc here: what it makes of the kernels is not looked at");
        return;
    };
    for op in ops() {
        let report = report(&nvcc, &op);
        assert!(!report.contains("warning"), "{op}: {report}");
        let mut kernel = "";
        let mut n_kernels = 0;
        for line in report.lines() {
            if let Some((_, name)) = line.split_once("Compiling entry function") {
                kernel = name.trim();
            }
            if line.contains("bytes spill stores") {
                n_kernels += 1;
                assert!(
                    line.contains(" 0 bytes spill stores, 0 bytes spill loads"),
                    "{kernel}: {}",
                    line.trim()
                );
            }
        }
        assert!(n_kernels > 0 && n_kernels % ARCHS.len() == 0, "{op}: {n_kernels} kernels");
    }
}
