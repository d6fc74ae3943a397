//! The store and its fusion with the rotation: stored values exactly, rotated ones closely, and no
//! other slot touched.

use stillroom_kernels::kv_write::launch::{Pointers, RopePointers, Shape, kv_write, rope_kv_write};
use stillroom_kernels::kv_write::reference::write_rows;
use stillroom_kernels::paged::BLOCK;
use stillroom_kernels::rope::{RopeScaling, RopeTable, reference::rope};

use crate::device::Device;
use crate::noise::Noise;
use crate::{FLOATS, check};

const N_BLOCKS: usize = 4;

/// Numbers as `float` rounds them.
fn rounded(device: &Device, numbers: &[f32], float: stillroom_kernels::launch::Float) -> Vec<f32> {
    device.put(numbers, float).read(float)
}

#[test]
fn fused_matches_the_references() {
    let mut noise = Noise::new(31);
    let shapes =
        [(1, 1, 1, 2), (6, 4, 2, 64), (50, 3, 1, 96), (3, 8, 2, 128), (2, 5, 5, 80), (4, 2, 1, 20)];
    for (t, hq, hkv, d) in shapes {
        for float in FLOATS {
            let device = Device::of("kv_write");
            let shape = Shape { float, t, hq, hkv, d };
            let heads = hq + 2 * hkv;
            let qkv = rounded(&device, &noise.spiky(t * heads * d), float);
            let slots = noise.shuffled(N_BLOCKS * BLOCK)[..t].to_vec();
            let positions: Vec<u32> = (0..t).map(|_| noise.below(5_000) as u32).collect();
            let table = RopeTable::new(d, 10_000.0, RopeScaling::Plain, 5_000).unwrap();
            let cpu = candle_core::Device::Cpu;
            let on_cpu = candle_core::Tensor::from_slice(&positions, t, &cpu).unwrap();
            let rotation = table.rotation(&positions, &on_cpu).unwrap();
            let angles = |tensor: &candle_core::Tensor| {
                let angles: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                device.put(&angles, stillroom_kernels::launch::Float::F32)
            };
            let before = [(); 2].map(|()| noise.spiky(N_BLOCKS * BLOCK * hkv * d));
            let before = before.map(|pool| rounded(&device, &pool, float));
            let [k_pool, v_pool] = [0, 1].map(|i| device.put(&before[i], float));
            let q = device.blank(t * hq * d * float.size());
            let at = RopePointers {
                qkv: device.put(&qkv, float).address(),
                cos: angles(&rotation.cos).address(),
                sin: angles(&rotation.sin).address(),
                slots: device.put_u32(&slots).address(),
                q: q.address(),
                k_pool: k_pool.address(),
                v_pool: v_pool.address(),
            };
            device.run(&rope_kv_write(shape, &at)).unwrap();

            let turned = rope(&qkv, &positions, table.inv_freq());
            let part = |rows: &[f32], from: usize, len: usize| -> Vec<f32> {
                rows.chunks(heads * d).flat_map(|row| row[from * d..][..len * d].to_vec()).collect()
            };
            let [mut k_wanted, mut v_wanted] = before;
            write_rows(&part(&turned, hq, hkv), &slots, hkv * d, &mut k_wanted);
            write_rows(&part(&qkv, hq + hkv, hkv), &slots, hkv * d, &mut v_wanted);
            check("q", float, &q.read(float), &part(&turned, 0, hq)).unwrap();
            check("k", float, &k_pool.read(float), &k_wanted).unwrap();
            assert_eq!(v_pool.read(float), v_wanted);
        }
    }
}

#[test]
fn stores_each_row_in_its_slot() {
    let mut noise = Noise::new(32);
    for (t, hkv, d) in [(1, 1, 2), (7, 2, 64), (100, 3, 80), (2, 16, 256)] {
        for float in FLOATS {
            let device = Device::of("kv_write");
            let slots = noise.shuffled(N_BLOCKS * BLOCK)[..t].to_vec();
            let sources = [(); 2].map(|()| rounded(&device, &noise.spiky(t * hkv * d), float));
            let mut pools = [(); 2].map(|()| noise.spiky(N_BLOCKS * BLOCK * hkv * d));
            pools = pools.map(|pool| rounded(&device, &pool, float));
            let on = [0, 1].map(|i| device.put(&pools[i], float));
            let at = Pointers {
                k: device.put(&sources[0], float).address(),
                v: device.put(&sources[1], float).address(),
                slots: device.put_u32(&slots).address(),
                k_pool: on[0].address(),
                v_pool: on[1].address(),
            };
            device.run(&kv_write(Shape { float, t, hq: 0, hkv, d }, &at)).unwrap();
            for i in 0..2 {
                write_rows(&sources[i], &slots, hkv * d, &mut pools[i]);
                assert_eq!(on[i].read(float), pools[i]);
            }
        }
    }
}

/// Memory that is not aligned for packs takes the kernel of single elements.
#[test]
fn odd_addresses_take_the_single_kernel() {
    let shape = Shape { float: FLOATS[2], t: 1, hq: 1, hkv: 1, d: 64 };
    let at = Pointers { k: 32, v: 64, slots: 4, k_pool: 96, v_pool: 128 };
    assert_eq!(kv_write(shape, &at).kernel, "kv_write_bf16");
    assert_eq!(kv_write(shape, &Pointers { v: 66, ..at }).kernel, "kv_write_bf16_single");
}

/// The net itself: a pool too small by one slot must be noticed, and not end the process.
#[test]
fn a_write_out_of_bounds_is_reported() {
    let device = Device::of("kv_write");
    let float = FLOATS[0];
    let at = Pointers {
        k: device.put(&[1.0; 2048], float).address(),
        v: device.put(&[1.0; 2048], float).address(),
        slots: device.put_u32(&[1]).address(),
        k_pool: device.put(&[0.0; 2 * 2048], float).address(),
        v_pool: device.put(&[0.0; 2048], float).address(),
    };
    let shape = Shape { float, t: 1, hq: 0, hkv: 8, d: 256 };
    let error = device.run(&kv_write(shape, &at)).unwrap_err();
    assert!(error.contains("kv_write_f32") && error.contains("out of bounds"), "{error}");
}
