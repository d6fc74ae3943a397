//! The ops between the attentions: norms, gates and the embedding.

use stillroom_kernels::embed::launch as embed;
use stillroom_kernels::launch::Float;
use stillroom_kernels::rms_norm::launch::{self as norm, AddPointers, Pointers};
use stillroom_kernels::rms_norm::reference::rms_norm;
use stillroom_kernels::silu_mul::{launch as gate, reference::silu_mul};

use crate::device::{Device, expect_all_missed};
use crate::noise::Noise;
use crate::{FLOATS, check};

const EPS: f32 = 1e-5;

/// Both norms of spiky rows against the reference.
fn norms(device: &Device, [t, h]: [usize; 2], float: Float) -> Result<(), String> {
    let mut noise = Noise::new(41);
    let [x, residual] = [(); 2].map(|()| device.put(&noise.spiky(t * h), float));
    let w = device.put(&noise.spiky(h), float);
    let [y, sum] = [(); 2].map(|()| device.blank(t * h * float.size()));
    let shape = norm::Shape { float, t, h };
    let at = Pointers { x: x.address(), w: w.address(), y: y.address() };
    device.run(&norm::rms_norm(shape, EPS, &at))?;
    let wanted = rms_norm(&x.read(float), &w.read(float), EPS);
    check("rms_norm", float, &y.read(float), &wanted)?;

    let add = AddPointers { residual: residual.address(), sum: sum.address() };
    device.run(&norm::add_rms_norm(shape, EPS, &at, &add))?;
    let pairs = x.read(float).into_iter().zip(residual.read(float));
    let wanted: Vec<f32> = pairs.map(|(x, more)| x + more).collect();
    check("sum", float, &sum.read(float), &wanted)?;
    let wanted = rms_norm(&sum.read(float), &w.read(float), EPS);
    check("add_rms_norm", float, &y.read(float), &wanted)
}

#[test]
fn rms_norm_matches_the_reference() {
    for dims in [[1, 1], [3, 7], [2, 64], [9, 768], [2, 4096], [1, 8200]] {
        for float in FLOATS {
            norms(&Device::of("rms_norm"), dims, float).unwrap();
        }
    }
}

#[test]
fn rms_norm_needs_its_barriers() {
    expect_all_missed("rms_norm", |device| norms(device, [2, 768], Float::F32));
}

#[test]
fn silu_mul_matches_the_reference() {
    let mut noise = Noise::new(42);
    for (t, i) in [(1, 1), (3, 5), (2, 64), (4, 777), (2, 4096)] {
        for float in FLOATS {
            let device = Device::of("silu_mul");
            let gate_up = device.put(&noise.spiky(t * 2 * i), float);
            let y = device.blank(t * i * float.size());
            let shape = gate::Shape { float, t, i };
            device.run(&gate::silu_mul(shape, gate_up.address(), y.address())).unwrap();
            let wanted = silu_mul(&gate_up.read(float), i);
            check("silu_mul", float, &y.read(float), &wanted).unwrap();
        }
    }
}

#[test]
fn embed_copies_rows_and_shows_a_bad_token() {
    let mut noise = Noise::new(43);
    for (v, h) in [(1, 1), (5, 6), (300, 64), (20, 4096)] {
        for float in FLOATS {
            let device = Device::of("embed");
            let table = device.put(&noise.spiky(v * h), float);
            let mut tokens: Vec<u32> = (0..9).map(|_| noise.below(v) as u32).collect();
            tokens.push(v as u32);
            let t = tokens.len();
            let [on, y] = [device.put_u32(&tokens), device.blank(t * h * float.size())];
            let shape = embed::Shape { float, t, v, h };
            let launch = embed::embed(shape, table.address(), on.address(), y.address());
            device.run(&launch).unwrap();
            let (table, y) = (table.read(float), y.read(float));
            for (row, &token) in y.chunks(h).zip(&tokens[..9]) {
                assert_eq!(row, &table[token as usize * h..][..h]);
            }
            assert!(y[9 * h..].iter().all(|x| x.is_nan()));
        }
    }
}
