//! The store, exactly: numbers are moved, so nothing may be off by a bit, and no other slot may
//! change. The fused form must equal rotation and store, one after the other.

use candle_core::DType;
use stillroom_kernels::kv_write;
use stillroom_kernels::paged::{BLOCK, Batch, KvLayer};
use stillroom_kernels::rope::{self, RopeScaling, RopeTable};

use crate::bench::{Noise, Path, devices};
use crate::close::{Close, floats};

const N_BLOCKS: usize = 5;

/// `t` sequences of one row each, in slots of a random order.
fn scattered(noise: &mut Noise, t: usize) -> Batch {
    let slots = noise.shuffled(N_BLOCKS * BLOCK)[..t].to_vec();
    let positions: Vec<u32> = (0..t).map(|_| noise.below(32) as u32).collect();
    Batch {
        tokens: vec![0; t],
        contexts: positions.iter().map(|position| position + 1).collect(),
        positions,
        starts: (0..=t as u32).collect(),
        tables: slots.iter().map(|slot| slot / BLOCK as u32).collect(),
        table_width: 1,
        slots,
        sample_rows: Vec::new(),
    }
}

fn pool(path: &Path, noise: &mut Noise, hkv: usize, d: usize, dtype: DType) -> KvLayer {
    let dims = [N_BLOCKS, BLOCK, hkv, d];
    let mut one = || path.put(&noise.spiky(dims.iter().product()), &dims, dtype).0;
    KvLayer { k: one(), v: one() }
}

devices!(stores_each_row_in_its_slot, |path: &Path| {
    let mut noise = Noise::new(2);
    for (t, hkv, d) in [(1, 1, 2), (7, 2, 64), (100, 3, 80)] {
        for (&source, &kept) in path.dtypes().iter().zip(path.dtypes().iter().rev()) {
            let batch = scattered(&mut noise, t);
            let mut layer = pool(path, &mut noise, hkv, d, kept);
            let [k, v] = [(); 2].map(|()| noise.spiky(t * hkv * d));
            let mut wanted = [floats(&layer.k), floats(&layer.v)];
            let put = |data: &[f32], pool: &mut Vec<f32>| {
                let (tensor, rounded) = path.put(data, &[t, hkv, d], source);
                let rounded = path.put(&rounded, &[t, hkv, d], kept).1;
                kv_write::reference::write_rows(&rounded, &batch.slots, hkv * d, pool);
                tensor
            };
            let [k, v] = [put(&k, &mut wanted[0]), put(&v, &mut wanted[1])];
            let on = batch.upload(&path.device).unwrap();
            match path.portable {
                true => kv_write::portable::kv_write(&k, &v, &on, &mut layer).unwrap(),
                false => kv_write::kv_write(&k, &v, &on, &mut layer).unwrap(),
            }
            assert_eq!([floats(&layer.k), floats(&layer.v)], wanted, "{source:?} as {kept:?}");
        }
    }
});

devices!(fused_equals_its_parts, |path: &Path| {
    let mut noise = Noise::new(3);
    for (t, hq, hkv, d) in [(1, 1, 1, 2), (6, 4, 2, 64), (70, 3, 1, 96)] {
        for &dtype in path.dtypes() {
            let batch = scattered(&mut noise, t);
            let on = batch.upload(&path.device).unwrap();
            let table = RopeTable::new(d, 10_000.0, RopeScaling::Plain, 32).unwrap();
            let rotation = table.rotation(&batch.positions, &on.positions).unwrap();
            let heads = hq + 2 * hkv;
            let (qkv, rounded) = path.put(&noise.spiky(t * heads * d), &[t, heads * d], dtype);
            let mut fused = pool(path, &mut noise, hkv, d, dtype);
            let mut parts = KvLayer { k: fused.k.copy().unwrap(), v: fused.v.copy().unwrap() };
            let q = match path.portable {
                true => kv_write::portable::rope_kv_write(&qkv, &rotation, &on, &mut fused),
                false => kv_write::rope_kv_write(&qkv, &rotation, &on, &mut fused),
            };

            let qkv = qkv.reshape((t, heads, d)).unwrap();
            let part = |start, len| qkv.narrow(1, start, len).unwrap().contiguous().unwrap();
            let k = rope::rope(&part(hq, hkv), &rotation).unwrap();
            kv_write::kv_write(&k, &part(hq + hkv, hkv), &on, &mut parts).unwrap();
            let close = Close::of(dtype);
            let dims = [N_BLOCKS, BLOCK, hkv, d];
            close.assert("keys", &fused.k, &dims, &floats(&parts.k));
            assert_eq!(floats(&fused.v), floats(&parts.v));
            let wanted = rope::reference::rope(&rounded, &batch.positions, table.inv_freq());
            let wanted: Vec<f32> =
                wanted.chunks(heads * d).flat_map(|row| row[..hq * d].to_vec()).collect();
            close.assert("queries", &q.unwrap(), &[t, hq, d], &wanted);
        }
    }
});

#[test]
fn what_does_not_fit_is_named() {
    let mut noise = Noise::new(4);
    let path = Path::portable();
    let batch = scattered(&mut noise, 3);
    let mut layer = pool(&path, &mut noise, 2, 8, DType::F32);
    let (k, _) = path.put(&noise.spiky(3 * 2 * 4), &[3, 2, 4], DType::F32);
    let on = batch.upload(&path.device).unwrap();
    let error = kv_write::kv_write(&k, &k, &on, &mut layer).unwrap_err().to_string();
    assert!(error.contains("k is [3, 2, 4], wanted [t, hkv, d] with d = 8"), "{error}");

    let mut beyond = scattered(&mut noise, 3);
    beyond.slots[1] = (N_BLOCKS * BLOCK) as u32;
    let on = beyond.upload(&path.device).unwrap();
    let (k, _) = path.put(&noise.spiky(3 * 2 * 8), &[3, 2, 8], DType::F32);
    let error = kv_write::kv_write(&k, &k, &on, &mut layer).unwrap_err().to_string();
    assert!(error.contains("row 1 has slot 160, the pool has 160"), "{error}");
}
