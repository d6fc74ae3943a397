//! Attention: decodes, prefills and both in one batch, in all kernels, with memory that no row sees
//! full of NaN.

use stillroom_kernels::launch::Float;
use stillroom_kernels::paged::{BLOCK, Batch};
use stillroom_kernels::paged_attention::Attend;
use stillroom_kernels::paged_attention::launch::{Plan, Pointers, Shape, Split};
use stillroom_kernels::paged_attention::reference::{Heads, paged_attention};

use crate::device::{Device, expect_all_missed};
use crate::noise::Noise;
use crate::ragged::ragged;
use crate::{FLOATS, check};

const NO_SPLIT: Split = Split::Every { n_keys: 1 << 20 };

/// Sequences as (tokens in KV before, rows).
type Sequences<'a> = &'a [(usize, usize)];

/// Random numbers for the slots of the batch's contexts that some row sees, NaN for all others.
fn pool(
    noise: &mut Noise,
    batch: &Batch,
    n_blocks: usize,
    width: usize,
    attend: Attend,
) -> Vec<f32> {
    let mut pool = vec![f32::NAN; n_blocks * BLOCK * width];
    for j in 0..batch.n_sequences() {
        let first_row = batch.positions[batch.rows(j).start] as usize;
        for key in attend.first_seen(first_row)..batch.contexts[j] as usize {
            let slot = batch.table(j)[key / BLOCK] as usize * BLOCK + key % BLOCK;
            pool[slot * width..][..width].copy_from_slice(&noise.spiky(width));
        }
    }
    pool
}

fn run(
    device: &Device,
    sequences: Sequences<'_>,
    shape: Shape,
    window: Option<usize>,
    split: Split,
) -> Result<(), String> {
    let Shape { float, hq, hkv, d } = shape;
    let mut noise = Noise::new(51);
    let n_blocks = 2 + sequences.iter().map(|(a, b)| (a + b).div_ceil(BLOCK)).sum::<usize>();
    let batch = ragged(&mut noise, sequences, n_blocks);
    let attend = Attend { window, scale: 1.0 / (d as f32).sqrt() };
    let q = device.put(&noise.spiky(batch.n_tokens() * hq * d), float);
    let [k, v] =
        [(); 2].map(|()| device.put(&pool(&mut noise, &batch, n_blocks, hkv * d, attend), float));
    let plan = Plan::new(&batch, shape, window, split);
    let out = device.blank(batch.n_tokens() * hq * d * float.size());
    let at = Pointers {
        q: q.address(),
        k: k.address(),
        v: v.address(),
        tables: device.put_u32(&batch.tables).address(),
        work: device.put_u32(plan.work()).address(),
        workspace: device.blank(plan.n_workspace() * size_of::<f32>()).address(),
        out: out.address(),
    };
    for launch in plan.launches(attend.scale, &at) {
        device.run(&launch)?;
    }
    let heads = Heads { hq, hkv, d };
    let kv = (&k.read(float)[..], &v.read(float)[..]);
    let wanted = paged_attention(&q.read(float), kv, &batch, heads, attend);
    let what = format!("{sequences:?} {shape:?} {window:?} {split:?}");
    check(&what, float, &out.read(float), &wanted)
}

/// The batches of all cases: decodes, prefills, both.
const BATCHES: [Sequences<'_>; 5] = [
    &[(0, 1)],
    &[(31, 1), (32, 1), (200, 1), (63, 1)],
    &[(0, 70)],
    &[(40, 33), (5, 1), (0, 3), (130, 1), (64, 64)],
    &[(300, 2), (0, 129), (95, 1)],
];

const WINDOWS: [Option<usize>; 4] = [None, Some(1), Some(24), Some(64)];

#[test]
fn odd_heads_match_the_reference() {
    for (at, (hq, hkv, d)) in [(1, 1, 2), (6, 2, 22), (12, 4, 20)].into_iter().enumerate() {
        for (window, sequences) in WINDOWS.into_iter().zip(&BATCHES[at % 2..]) {
            for float in FLOATS {
                let shape = Shape { float, hq, hkv, d };
                run(&Device::of("paged_attention"), sequences, shape, window, NO_SPLIT).unwrap();
            }
        }
    }
    let shape = Shape { float: Float::Bf16, hq: 2, hkv: 1, d: 256 };
    let sequences = &[(40, 2), (3, 1)];
    run(&Device::of("paged_attention"), sequences, shape, None, NO_SPLIT).unwrap();
}

#[test]
fn wide_heads_match_the_reference() {
    let heads = [(4, 4, 64), (8, 2, 128), (6, 2, 80), (5, 1, 96), (7, 1, 64)];
    for (at, (hq, hkv, d)) in heads.into_iter().enumerate() {
        for (window, sequences) in WINDOWS.into_iter().zip(&BATCHES[at % 2..]) {
            let float = FLOATS[1 + at % 2];
            let shape = Shape { float, hq, hkv, d };
            run(&Device::of("paged_attention"), sequences, shape, window, NO_SPLIT).unwrap();
        }
    }
}

/// More heads a group than the row kernel takes: decodes go into tiles too.
#[test]
fn many_heads_of_one_group() {
    for hq in [17, 64] {
        let shape = Shape { float: Float::F16, hq, hkv: 1, d: 64 };
        let sequences = &[(70, 1), (0, 3), (33, 1)];
        run(&Device::of("paged_attention"), sequences, shape, Some(40), NO_SPLIT).unwrap();
    }
}

#[test]
fn shared_out_keys_are_joined() {
    for (hq, hkv, d, float) in
        [(4, 2, 128, Float::Bf16), (3, 1, 64, Float::F16), (2, 2, 6, Float::F32)]
    {
        let shape = Shape { float, hq, hkv, d };
        for split in [Split::Every { n_keys: 64 }, Split::Fill { n_sms: 8 }] {
            for window in [None, Some(100)] {
                let sequences = &[(300, 1), (10, 1), (0, 40), (190, 1), (63, 1)];
                run(&Device::of("paged_attention"), sequences, shape, window, split).unwrap();
            }
        }
    }
}

#[test]
fn every_barrier_and_wait_is_needed() {
    let shape = |float, d| Shape { float, hq: 4, hkv: 2, d };
    let split = Split::Every { n_keys: 96 };
    expect_all_missed("paged_attention", |device| {
        run(device, &[(250, 1), (100, 40)], shape(Float::Bf16, 64), None, split)?;
        run(device, &[(120, 1), (40, 2)], shape(Float::F32, 34), None, split)
    });
}

/// A row's bits depend on its own keys: not on its neighbours, nor on how the rest is planned.
#[test]
fn a_fixed_split_makes_the_same_launch_for_a_row() {
    let mut noise = Noise::new(52);
    let shape = Shape { float: Float::Bf16, hq: 4, hkv: 2, d: 64 };
    let split = Split::Every { n_keys: 128 };
    let alone = ragged(&mut noise, &[(300, 1)], 20);
    let crowd = ragged(&mut noise, &[(300, 1), (40, 1), (500, 1)], 40);
    let keys = |batch: &Batch| {
        let plan = Plan::new(batch, shape, None, split);
        plan.work().chunks(5).take(3).map(|row| (row[2], row[3])).collect::<Vec<_>>()
    };
    assert_eq!(keys(&alone), [(0, 128), (128, 256), (256, 301)]);
    assert_eq!(keys(&crowd), keys(&alone));
}

/// Few long rows are shared out until the device is busy, many are not.
#[test]
fn a_split_fills_the_device() {
    let shape = Shape { float: Float::Bf16, hq: 32, hkv: 8, d: 128 };
    let blocks = |n_sequences: usize, context: usize| {
        let sequences = vec![(context - 1, 1); n_sequences];
        let n_blocks = n_sequences * context.div_ceil(BLOCK);
        let batch = ragged(&mut Noise::new(53), &sequences, n_blocks);
        let plan = Plan::new(&batch, shape, None, Split::Fill { n_sms: 132 });
        let at = Pointers { q: 0, k: 0, v: 0, tables: 0, work: 0, workspace: 0, out: 0 };
        let launches = plan.launches(1.0, &at);
        (launches[0].grid[0] * launches[0].grid[1], launches.len())
    };
    let (n_blocks, n_launches) = blocks(1, 8192);
    assert!((400..=600).contains(&n_blocks), "{n_blocks}");
    assert_eq!(n_launches, 2, "parts are joined");
    assert_eq!(blocks(256, 1024), (256 * 8, 1));
}
