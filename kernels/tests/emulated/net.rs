//! The emulation itself: what it must catch, it catches, and its 16-bit floats are those of `half`.

use half::{bf16, f16};
use stillroom_kernels::launch::{Arg, Float, Launch};

use crate::device::{Buffer, Device};
use crate::noise::Noise;

const OP: &str = "tests/emulated/net";

const N_THREADS: u32 = 64;

fn launch(kernel: &str, args: &[Arg]) -> Launch {
    Launch {
        op: OP,
        kernel: kernel.into(),
        grid: [1, 1, 1],
        n_threads: N_THREADS,
        shared_bytes: 4 * N_THREADS,
        args: args.to_vec(),
    }
}

fn pointer(buffer: Buffer) -> Arg {
    Arg::Pointer(buffer.address())
}

/// The report on a kernel that writes a word a thread.
fn report(kernel: &str) -> String {
    let device = Device::of(OP);
    let out = device.blank(4 * N_THREADS as usize);
    device.run(&launch(kernel, &[pointer(out)])).unwrap_err()
}

#[test]
fn threads_that_part_are_reported() {
    let stuck = report("waits_in_one_warp");
    assert!(stuck.contains("stuck") && stuck.contains("32 wait at a barrier"), "{stuck}");
    assert!(report("waits_at_two_places").contains("stuck"));
    assert!(report("leaves_its_warp").contains("stuck"));
    assert!(report("divides_its_warp").contains("different warp functions"));
}

#[test]
fn memory_is_guarded() {
    assert!(report("writes_beyond_shared").contains("out of bounds"));
    assert!(report("stores_askew").contains("misaligned"));
    let device = Device::of(OP);
    // Not a multiple of 16 bytes: the word behind the end lies before the guard.
    let out = device.blank(4 * 5);
    let beside = device.run(&launch("writes_beside", &[pointer(out), Arg::U32(5)]));
    assert!(beside.unwrap_err().contains("writes beside a buffer"));
}

#[test]
fn copies_arrive_when_waited_for() {
    let device = Device::of(OP);
    let sources = device.put_u32(&[7; 4 * N_THREADS as usize]);
    let out = device.blank(4 * N_THREADS as usize);
    let launch = |kernel| Launch {
        shared_bytes: 16 * N_THREADS,
        ..launch(kernel, &[pointer(sources), pointer(out)])
    };
    device.run(&launch("reads_before_the_copy")).unwrap();
    assert_eq!(out.read_u32(), [u32::MAX; N_THREADS as usize]);
    let forgotten = device.run(&launch("forgets_its_copies")).unwrap_err();
    assert!(forgotten.contains("not waited for"), "{forgotten}");
}

#[test]
fn a_plan_with_other_arguments_is_refused() {
    let device = Device::of(OP);
    let error = device.run(&launch("waits_in_one_warp", &[])).unwrap_err();
    assert!(error.contains("number of arguments"), "{error}");
}

/// Every pattern of 16 bits, and numbers around every border of rounding, against `widen`; `put`
/// and `read` of a device round and widen by `half`.
fn check_half(float: Float, widen: impl Fn(u16) -> f32) {
    let mut noise = Noise::new(81);
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let mut between = || f32::from_bits((noise.unit() * f64::from(u32::MAX)) as u32);
    let numbers: Vec<f32> = all
        .iter()
        .map(|&bits| match bits % 4 {
            0 => widen(bits),
            // Half way to the next, where ties are, and beside that.
            1 => (widen(bits) + widen(bits.wrapping_add(1))) / 2.0,
            2 => f32::from_bits(((widen(bits) + widen(bits ^ 1)) / 2.0).to_bits() ^ 1),
            _ => between(),
        })
        .collect();
    let device = Device::of(OP);
    let on = device.put(&numbers, Float::F32);
    let words: Vec<u32> =
        all.chunks(2).map(|pair| u32::from(pair[0]) | u32::from(pair[1]) << 16).collect();
    let bits = device.put_u32(&words);
    let (narrow, wide) = (device.blank(2 * all.len()), device.blank(4 * all.len()));
    let args = [on, narrow, bits, wide].map(pointer);
    let n = Arg::U32(all.len() as u32);
    device.run(&launch(&format!("convert_{float}"), &[&args[..], &[n]].concat())).unwrap();
    let same = |found: &f32, wanted: &f32| found == wanted || found.is_nan() && wanted.is_nan();
    let rounded = device.put(&numbers, float).read(float);
    for (at, (found, wanted)) in narrow.read(float).iter().zip(&rounded).enumerate() {
        assert!(same(found, wanted), "{} as {float}: {found}, not {wanted}", numbers[at]);
    }
    for (at, found) in wide.read(Float::F32).iter().enumerate() {
        assert!(same(found, &widen(all[at])), "{at:#x} of {float}: {found}");
    }
}

#[test]
fn half_floats_are_those_of_half() {
    check_half(Float::F16, |bits| f16::from_bits(bits).to_f32());
    check_half(Float::Bf16, |bits| bf16::from_bits(bits).to_f32());
}
