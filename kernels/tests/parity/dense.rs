//! The ops between the attentions: products, norms, gates and experts.

use candle_core::{DType, Device, Tensor};
use std::sync::Arc;
use stillroom_kernels::embed::Embedding;
use stillroom_kernels::linear::{self, Format, Linear, Quant, RowOrder, Weight};
use stillroom_kernels::moe::{self, Expert};
use stillroom_kernels::{rms_norm, silu_mul};

use crate::bench::{Noise, Path, devices};
use crate::close::{Close, floats};

/// The types that these ops take on a path: the fast CPU ones compute in f32 only.
fn dtypes(path: &Path) -> &'static [DType] {
    if path.device.is_cpu() && !path.portable { &[DType::F32] } else { path.dtypes() }
}

/// `w` as the path would hold it.
fn weight(path: &Path, w: &Tensor) -> Weight {
    let panels = path.device.is_cpu() && !path.portable;
    let format = if panels { Format::Panels } else { Format::Dense(w.dtype()) };
    Weight::from_tensor(w, format, &path.device).unwrap()
}

fn linear(path: &Path, w: &Tensor) -> Linear {
    Linear::new(Arc::new(weight(path, w)), RowOrder::Fixed)
}

devices!(linear_matches_the_reference, |path: &Path| {
    let mut noise = Noise::new(11);
    let shapes =
        [(1, 1, 1), (1, 768, 96), (2, 31, 33), (5, 64, 32), (13, 256, 100), (33, 3000, 40)];
    for (t, k, n) in shapes {
        for &dtype in dtypes(path) {
            let (x, x_rounded) = path.put(&noise.spiky(t * k), &[t, k], dtype);
            let (w, w_rounded) = path.put(&noise.spiky(n * k), &[n, k], dtype);
            let found = linear(path, &w).forward(&x).unwrap();
            assert_eq!(found.dtype(), dtype);
            let wanted = linear::reference::linear(&x_rounded, &w_rounded, k);
            Close::of(dtype).assert(&format!("[{t}, {k}] x {n}"), &found, &[t, n], &wanted);
        }
    }
});

// The weights are what their blocks hold, so nothing is lost there; the activations are rounded to 8
// bits with one scale a block of at most 256: each may be off by half a step of its block, and the
// result by its own rounding.
devices!(quantised_linear_is_as_near_as_its_rounding_allows, |path: &Path| {
    let mut noise = Noise::new(12);
    let shapes = [(Quant::Q8_0, 96), (Quant::Q8_0, 768), (Quant::Q4K, 256), (Quant::Q4K, 768)];
    // Candle has a kernel for up to eight rows, and one for more.
    for ((quant, k), t) in
        shapes.into_iter().flat_map(|shape| [1, 8, 9, 33, 200].map(|t| (shape, t)))
    {
        let n = 48;
        let w = Tensor::from_vec(noise.spiky(n * k), (n, k), &Device::Cpu).unwrap();
        let weight = Arc::new(linear::quantize(&w, quant, &path.device).unwrap());
        let w = weight.to_f32().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for &dtype in dtypes(path) {
            let (x, rounded) = path.put(&noise.spiky(t * k), &[t, k], dtype);
            let blocks = rounded.chunks_exact(k).flat_map(|row| row.chunks(256));
            let half_steps: Vec<f32> = blocks
                .flat_map(|block| {
                    let most = block.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                    vec![most / 250.0; block.len()]
                })
                .collect();
            let wanted = linear::reference::linear(&rounded, &w, k);
            // For more than eight rows candle multiplies the minimum of 32 weights of q4_k with the
            // activations as they were, and only what is above it with the rounded ones.
            let above = quant == Quant::Q4K && path.device.is_cuda();
            let reach = if above { &spans(&w) } else { &w };
            let allowed = linear::reference::linear_mass(&half_steps, reach, k);
            for order in [RowOrder::Fixed, RowOrder::Fastest] {
                let found = Linear::new(weight.clone(), order).forward(&x).unwrap();
                assert_eq!(found.dtype(), dtype);
                let what = format!("{quant:?} [{t}, {k}] {dtype:?}");
                Close::of(dtype).assert_beside(&what, &found, &[t, n], (&wanted, &allowed));
                assert_mean_gap(&what, &found, &wanted, 0.08);
            }
        }
    }
});

/// Asserts that the mean gap is at most `share` of the mean result: bounds for the worst case say
/// little where a sum has many terms.
fn assert_mean_gap(what: &str, found: &Tensor, wanted: &[f32], share: f32) {
    let gap: f32 =
        floats(found).iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs()).sum();
    let mass: f32 = wanted.iter().map(|wanted| wanted.abs()).sum();
    assert!(gap <= share * mass, "{what}: {gap} in sum, of {mass}");
}

/// For each weight, from the least to the largest of the 32 that it is stored with.
fn spans(w: &[f32]) -> Vec<f32> {
    let of_block = |block: &[f32]| {
        let (least, most) = block
            .iter()
            .fold((f32::MAX, f32::MIN), |(least, most), &w| (least.min(w), most.max(w)));
        vec![most - least; block.len()]
    };
    w.chunks(32).flat_map(of_block).collect()
}

devices!(rows_of_a_quantised_table_are_what_its_blocks_hold, |path: &Path| {
    let mut noise = Noise::new(17);
    for (quant, k) in [(Quant::Q8_0, 96), (Quant::Q4K, 512)] {
        let w = Tensor::from_vec(noise.spiky(40 * k), (40, k), &Device::Cpu).unwrap();
        let weight = Arc::new(linear::quantize(&w, quant, &path.device).unwrap());
        let rows = weight.to_f32().unwrap().to_vec2::<f32>().unwrap();
        let tokens: Vec<u32> = (0..33).map(|_| noise.below(40) as u32).collect();
        let on = Tensor::from_slice(&tokens, tokens.len(), &path.device).unwrap();
        let wanted = tokens.iter().flat_map(|&token| &rows[token as usize]).copied();
        let wanted: Vec<f32> = wanted.collect();
        for &dtype in dtypes(path) {
            let found = Embedding::Tied(weight.clone()).forward(&on, dtype).unwrap();
            Close::of(dtype).assert(&format!("{quant:?}"), &found, &[tokens.len(), k], &wanted);
        }
    }
});

devices!(embed_copies_rows, |path: &Path| {
    let mut noise = Noise::new(18);
    for (t, v, h) in [(1, 1, 1), (5, 9, 3), (40, 100, 64), (3, 7, 2048)] {
        for &dtype in path.dtypes() {
            let (table, rounded) = path.put(&noise.spiky(v * h), &[v, h], dtype);
            let tokens: Vec<u32> = (0..t).map(|_| noise.below(v) as u32).collect();
            let on = Tensor::from_slice(&tokens, t, &path.device).unwrap();
            let found = Embedding::Table(table).forward(&on, dtype).unwrap();
            let wanted = tokens.iter().flat_map(|&token| &rounded[token as usize * h..][..h]);
            let wanted: Vec<f32> = wanted.copied().collect();
            Close::of(dtype).assert(&format!("[{t}, {h}]"), &found, &[t, h], &wanted);
        }
    }
});

devices!(rms_norm_matches_the_reference, |path: &Path| {
    let mut noise = Noise::new(13);
    for (t, h, eps) in [(1, 1, 1e-5), (3, 7, 1e-6), (2, 64, 1e-5), (33, 768, 1e-5), (5, 2048, 0.1)]
    {
        for &dtype in dtypes(path) {
            let (x, x_rounded) = path.put(&noise.spiky(t * h), &[t, h], dtype);
            let (w, w_rounded) = path.put(&noise.spiky(h), &[h], dtype);
            let (more, _) = path.put(&noise.spiky(t * h), &[t, h], dtype);
            let (found, (normed, sum)) = match path.portable {
                true => (
                    rms_norm::portable::rms_norm(&x, &w, eps),
                    rms_norm::portable::add_rms_norm(&x, &more, &w, eps).unwrap(),
                ),
                false => (
                    rms_norm::rms_norm(&x, &w, eps),
                    rms_norm::add_rms_norm(&x, &more, &w, eps).unwrap(),
                ),
            };
            let what = format!("[{t}, {h}] eps {eps}");
            let wanted = rms_norm::reference::rms_norm(&x_rounded, &w_rounded, eps);
            Close::of(dtype).assert(&what, &found.unwrap(), &[t, h], &wanted);

            let wanted = (&x + &more).unwrap();
            let wanted = wanted.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
            let wanted = wanted.to_vec1::<f32>().unwrap();
            Close::of(dtype).assert(&what, &sum, &[t, h], &wanted);
            let wanted = rms_norm::reference::rms_norm(&wanted, &w_rounded, eps);
            Close::of(dtype).assert(&what, &normed, &[t, h], &wanted);
        }
    }
});

devices!(silu_mul_matches_the_reference, |path: &Path| {
    let mut noise = Noise::new(14);
    for (t, i) in [(1, 1), (3, 5), (2, 64), (40, 777)] {
        for &dtype in dtypes(path) {
            let (x, x_rounded) = path.put(&noise.spiky(t * 2 * i), &[t, 2 * i], dtype);
            let found = match path.portable {
                true => silu_mul::portable::silu_mul(&x),
                false => silu_mul::silu_mul(&x),
            };
            let wanted = silu_mul::reference::silu_mul(&x_rounded, i);
            Close::of(dtype).assert(&format!("[{t}, {i}]"), &found.unwrap(), &[t, i], &wanted);
        }
    }
});

struct Experts {
    held: moe::Experts,
    plain: Vec<moe::reference::PlainExpert>,
}

fn experts(
    path: &Path,
    noise: &mut Noise,
    (e, h, i): (usize, usize, usize),
    dtype: DType,
) -> Experts {
    let (mut held, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..e {
        let scale = 1.0 / (h as f32).sqrt();
        let mut matrix = |n: usize, k: usize| {
            let smooth: Vec<f32> = noise.spiky(n * k).iter().map(|x| x * scale).collect();
            path.put(&smooth, &[n, k], dtype)
        };
        let (gate_up, down) = (matrix(2 * i, h), matrix(h, i));
        held.push(Expert { gate_up: linear(path, &gate_up.0), down: linear(path, &down.0) });
        plain.push(moe::reference::PlainExpert { gate_up: gate_up.1, down: down.1 });
    }
    Experts { held: held.into_iter().collect(), plain }
}

devices!(moe_matches_the_reference, |path: &Path| {
    let mut noise = Noise::new(15);
    let shapes = [(1, 32, 64, 8, 2), (7, 16, 8, 4, 1), (40, 64, 48, 8, 2), (3, 8, 8, 3, 3)];
    for (t, h, i, e, top_k) in shapes.into_iter().chain([(150, 64, 96, 4, 2)]) {
        // An expert's gate on the CPU takes f32 alone, on either path.
        let dtypes = if path.device.is_cpu() { &[DType::F32] } else { path.dtypes() };
        for &dtype in dtypes {
            let experts = experts(path, &mut noise, (e, h, i), dtype);
            let (x, x_rounded) = path.put(&noise.spiky(t * h), &[t, h], dtype);
            // Rounded to halves, so that some rows have ties at the border of the top k.
            let mut logits = noise.spiky(t * e);
            logits.iter_mut().for_each(|logit| *logit = (*logit * 2.0).round() / 2.0);
            let (on, logits) = path.put(&logits, &[t, e], dtype);
            let found = match path.portable {
                true => moe::portable::moe(&x, &on, &experts.held, top_k),
                false => moe::moe(&x, &on, &experts.held, top_k),
            };
            let wanted = moe::reference::moe(&x_rounded, &logits, h, &experts.plain, top_k);
            let what = format!("{t} rows, {top_k} of {e} in {dtype:?}");
            Close::of(dtype).assert(&what, &found.unwrap(), &[t, h], &wanted);
        }
    }
});

// Rows of whole steps, of whole blocks only, and of no block of the format that is wanted.
devices!(quantised_moe_matches_the_reference, |path: &Path| {
    let mut noise = Noise::new(19);
    let shapes =
        [(1, 256, 512, 8, 2), (7, 128, 96, 4, 2), (40, 512, 256, 8, 2), (150, 256, 96, 4, 2)];
    for (t, h, i, e, top_k) in shapes {
        for quant in [Quant::Q8_0, Quant::Q4K] {
            let (mut held, mut plain) = (Vec::new(), Vec::new());
            for _ in 0..e {
                let mut matrix = |n: usize, k: usize| {
                    let scale = 1.0 / (k as f32).sqrt();
                    let w: Vec<f32> = noise.spiky(n * k).iter().map(|w| w * scale).collect();
                    let w = Tensor::from_vec(w, (n, k), &Device::Cpu).unwrap();
                    let here = linear::quantize(&w, quant, &Device::Cpu).unwrap();
                    let there = linear::quantize(&w, quant, &path.device).unwrap();
                    let values = here.to_f32().unwrap().flatten_all().unwrap();
                    (Linear::new(Arc::new(there), RowOrder::Fixed), values.to_vec1().unwrap())
                };
                let (gate_up, down) = (matrix(2 * i, h), matrix(h, i));
                held.push(Expert { gate_up: gate_up.0, down: down.0 });
                plain.push(moe::reference::PlainExpert { gate_up: gate_up.1, down: down.1 });
            }
            let held: moe::Experts = held.into_iter().collect();
            let dtypes = if path.device.is_cpu() { &[DType::F32] } else { path.dtypes() };
            for &dtype in dtypes {
                let (x, x_rounded) = path.put(&noise.spiky(t * h), &[t, h], dtype);
                let (on, logits) = path.put(&noise.spiky(t * e), &[t, e], dtype);
                let found = match path.portable {
                    true => moe::portable::moe(&x, &on, &held, top_k),
                    false => moe::moe(&x, &on, &held, top_k),
                };
                let wanted = moe::reference::moe(&x_rounded, &logits, h, &plain, top_k);
                let what = format!("{t} rows, {top_k} of {e} in {dtype:?} and {quant:?}");
                // Only our own kernels leave the activations as they are.
                let is_ours = path.device.is_cuda();
                let close = if is_ours { Close::of(dtype) } else { Close::of_bytes() };
                close.assert(&what, &found.unwrap(), &[t, h], &wanted);
            }
        }
    }
});

/// A token's bits do not depend on who else chose its experts, in f32 and in fixed blocks.
#[test]
fn a_token_has_the_same_bits_in_any_crowd_of_experts() {
    let mut noise = Noise::new(16);
    let (t, h, i, e) = (40, 256, 512, 8);
    for format in [Format::Panels, Format::Quantised(Quant::Q8_0), Format::Quantised(Quant::Q4K)] {
        let mut random = |n: usize, k: usize| {
            let w = Tensor::from_vec(noise.spiky(n * k), (n, k), &Device::Cpu).unwrap();
            let weight = Weight::from_tensor(&w, format, &Device::Cpu).unwrap();
            Linear::new(Arc::new(weight), RowOrder::Fixed)
        };
        let experts: moe::Experts =
            (0..e).map(|_| Expert { gate_up: random(2 * i, h), down: random(h, i) }).collect();
        let x = Tensor::from_vec(noise.spiky(t * h), (t, h), &Device::Cpu).unwrap();
        let logits = Tensor::from_vec(noise.spiky(t * e), (t, e), &Device::Cpu).unwrap();
        let bits = |from: usize, rows: usize| {
            let [x, logits] = [&x, &logits].map(|all| all.narrow(0, from, rows).unwrap());
            moe::moe(&x, &logits, &experts, 2).unwrap().to_vec2::<f32>().unwrap()
        };
        let alone: Vec<_> = (0..t).flat_map(|row| bits(row, 1)).collect();
        assert_eq!(bits(0, t), alone, "{format}");
        assert_eq!(bits(3, 9), alone[3..12], "{format}");
    }
}
