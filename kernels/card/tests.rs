//! The card must see what a GPU hides: these kernels differ by one instruction from right ones.

use crate::fault::Fault;
use crate::memory;
use crate::ptx::Module;
use crate::run::{self, Ended, Launch};

const HEAD: &str = ".version 9.0\n.target sm_80\n.address_size 64\n";
const REGISTERS: &str = ".reg .pred %p<9>; .reg .b32 %r<30>; .reg .b64 %rd<9>;\n";

/// Runs `body` as a kernel of one block with a pointer to `out`; what it leaves there.
fn run(body: &str, n_threads: u32, n_out: usize) -> Result<Vec<u32>, Fault> {
    let source = format!(
        "{HEAD}.visible .entry k(.param .u64 out)\n{{\n{REGISTERS}.shared .align 16 .b8 s[4096];\n\
         mov.u32 %r0, %tid.x;\nshl.b32 %r1, %r0, 2;\nmov.u32 %r2, s;\nadd.u32 %r3, %r2, %r1;\n\
         ld.param.u64 %rd0, [out];\nmul.wide.u32 %rd1, %r0, 4;\nadd.u64 %rd2, %rd0, %rd1;\n\
         {body}\nret;\n}}\n"
    );
    let function = Module::read(&source)?.function("k")?;
    let out = memory::allocate(4 * n_out).expect("memory");
    let launch = Launch {
        grid: [1, 1, 1],
        threads: [n_threads, 1, 1],
        shared_bytes: 0,
        shared_bytes_allowed: 0,
        params: (out as u64).to_le_bytes().to_vec(),
    };
    let ended = run::launch(&function, &launch);
    // SAFETY: it was allocated above, filled, and is freed below.
    let found = unsafe { std::slice::from_raw_parts(out as *const u32, n_out) }.to_vec();
    assert!(memory::free(out));
    match ended {
        Ok(()) => Ok(found),
        Err(Ended::Refused(fault) | Ended::Failed(fault)) => Err(fault),
    }
}

/// Each thread writes a word of shared memory and reads another's, with `between` between them.
fn exchange(between: &str, n_threads: u32) -> Result<Vec<u32>, Fault> {
    let last = n_threads - 1;
    let body = format!(
        "st.shared.u32 [%r3], %r0;\n{between}\nsub.u32 %r4, {last}, %r0;\nshl.b32 %r4, %r4, 2;\n\
         add.u32 %r4, %r2, %r4;\nld.shared.u32 %r5, [%r4];\nst.global.u32 [%rd2], %r5;"
    );
    run(&body, n_threads, n_threads as usize)
}

fn told<T: std::fmt::Debug>(ended: Result<T, Fault>, what: &str) {
    let fault = ended.unwrap_err().to_string();
    assert!(fault.contains(what), "{fault}");
}

#[test]
fn a_missing_barrier_is_told() {
    let right = exchange("bar.sync 0;", 128).unwrap();
    assert_eq!(right, (0..128).rev().collect::<Vec<_>>());
    told(exchange("", 128), "without a barrier");
    told(exchange("bar.warp.sync -1;", 128), "without a barrier");
}

#[test]
fn a_missing_barrier_of_a_warp_is_told() {
    assert_eq!(exchange("bar.warp.sync -1;", 32).unwrap()[0], 31);
    told(exchange("", 32), "without a barrier");
}

#[test]
fn threads_that_part_meet_again() {
    let part = |meet: &str| {
        let body = format!(
            "and.b32 %r4, %r0, 1;\nsetp.eq.u32 %p1, %r4, 1;\nmov.u32 %r5, 10;\n\
             @%p1 bra ODD;\nadd.u32 %r5, %r5, 1;\n{meet}\nbra.uni END;\n\
             ODD:\nadd.u32 %r5, %r5, 2;\nEND:\n\
             shfl.sync.bfly.b32 %r6, %r5, 1, 31, -1;\nst.global.u32 [%rd2], %r6;"
        );
        run(&body, 32, 32)
    };
    let found = part("").unwrap();
    assert_eq!(found, [12, 11].repeat(16));
    told(part("shfl.sync.bfly.b32 %r5, %r5, 2, 31, -1;"), "not all are there");
}

#[test]
fn memory_that_nobody_allocated_is_told() {
    assert_eq!(run("st.global.u32 [%rd2], %r0;", 64, 64).unwrap()[63], 63);
    told(run("st.global.u32 [%rd2], %r0;", 64, 63), "which is not allocated");
    told(run("st.global.u32 [%rd2+2], %r0;", 1, 2), "odd address");
    told(run("ld.shared.u32 %r4, [%r2+4096];", 1, 1), "4096 bytes of shared memory");
}

#[test]
fn a_copy_belongs_to_nobody_until_it_was_waited_for() {
    let copy = |wait: &str| {
        let body = format!(
            "mov.u32 %r4, 7;\nst.global.u32 [%rd0], %r4;\n\
             cp.async.ca.shared.global [%r2], [%rd0], 4;\ncp.async.commit_group;\n{wait}\n\
             ld.shared.u32 %r5, [%r2];\nadd.u32 %r5, %r5, 1;\nst.global.u32 [%rd0], %r5;"
        );
        run(&body, 1, 1)
    };
    assert_eq!(copy("cp.async.wait_group 0;").unwrap(), [8]);
    told(copy("cp.async.wait_group 1;"), "a copy is on its way");
}

#[test]
fn what_the_card_does_not_know_fails_only_when_it_runs() {
    let unknown = "wgmma.fence.sync.aligned;";
    told(run(unknown, 32, 1), "does not know");
    let skipped = format!("setp.eq.u32 %p1, %r0, 99;\n@%p1 {unknown}\nst.global.u32 [%rd0], 5;");
    assert_eq!(run(&skipped, 32, 1).unwrap(), [5]);
}

#[test]
fn numbers_are_rounded_as_they_are_told() {
    // A tie between two numbers of 16 bits; 2.5 as an integer, each way.
    let body = "mov.b32 %r4, 0f3FC08000;\ncvt.rn.bf16.f32 %r5, %r4;\nst.global.u32 [%rd0], %r5;\n\
                mov.b32 %r4, 0f40200000;\ncvt.rni.s32.f32 %r5, %r4;\nst.global.u32 [%rd0+4], %r5;\n\
                cvt.rpi.s32.f32 %r5, %r4;\nst.global.u32 [%rd0+8], %r5;\n\
                fma.rm.f32 %r5, %r4, 0f3F800000, 0fB2800000;\nst.global.u32 [%rd0+12], %r5;\n\
                prmt.b32 %r5, 0x33221100, 0x77665544, 0x7610;\nst.global.u32 [%rd0+16], %r5;";
    let wanted = [0x3FC0, 2, 3, 0x401F_FFFF, 0x7766_1100];
    assert_eq!(run(body, 1, 5).unwrap(), wanted);
}
