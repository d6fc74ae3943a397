//! What `linear` promises about bits: they depend on the row and the weight, and on nothing else.
//!
//! Whether the numbers are right at all is asked in the parity tests; here every comparison is
//! exact.

use super::cpu::{Isa, matmul, matmul_with};
use super::*;
use candle_core::Device;

/// Numbers in -1..1 with no pattern that a blocked product could share.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn matrix(n: usize, k: usize, seed: u64) -> Tensor {
    Tensor::from_vec(noise(n * k, seed), (n, k), &Device::Cpu).unwrap()
}

fn panels(n: usize, k: usize) -> Panels {
    match Weight::from_tensor(&matrix(n, k, 1), Format::Panels, &Device::Cpu).unwrap() {
        Weight::Panels(panels) => panels,
        Weight::Dense(_) | Weight::Quantised(_) => unreachable!("panels were asked for"),
    }
}

/// The contract in one line: a chain of fused multiply-adds in the order of `k`.
fn chain(x: &[f32], w: &[f32]) -> f32 {
    x.iter().zip(w).fold(0.0, |sum, (&x, &w)| x.mul_add(w, sum))
}

#[test]
fn every_instruction_set_gives_the_chain_of_the_contract() {
    // Whole and padded panels, one and several blocks of k, every height of a tile.
    for (n, k) in [(64, 48), (37, 33), (1, 7), (32, 4096 + 5)] {
        let (panels, w) = (panels(n, k), noise(n * k, 1));
        for t in (1..=16).chain([29]) {
            let x = noise(t * k, 2);
            let wanted: Vec<f32> =
                x.chunks_exact(k).flat_map(|x| w.chunks_exact(k).map(|w| chain(x, w))).collect();
            for isa in Isa::all() {
                assert_eq!(matmul_with(isa, &panels, &x), wanted, "{isa:?} [{t}, {k}] x {n}");
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_crowd_on_any_number_of_threads() {
    let (n, k) = (300, 260);
    let panels = panels(n, k);
    let x = noise(260 * k, 3);
    let alone: Vec<f32> = x.chunks_exact(k).flat_map(|row| matmul(&panels, row)).collect();
    for n_threads in [1, 2, 3, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        for t in [1, 2, 13, 14, 15, 28, 32, 113, 260] {
            let together = pool.install(|| matmul(&panels, &x[..t * k]));
            assert_eq!(together, alone[..t * n], "{t} rows, {n_threads} threads");
        }
    }
}

#[test]
fn a_quantised_row_in_fixed_order_has_the_same_bits_in_any_crowd() {
    // 512: candle's rearranged kernels; 320: its plain ones; 50 outputs: no whole tile.
    for (quant, n, k) in [
        (Quant::Q8_0, 64, 512),
        (Quant::Q8_0, 50, 320),
        (Quant::Q4K, 64, 512),
        (Quant::Q4K, 50, 512),
    ] {
        let weight = quantize(&matrix(n, k, 4), quant, &Device::Cpu).unwrap();
        let linear = Linear::new(Arc::new(weight), RowOrder::Fixed);
        let x = matrix(70, k, 5);
        let bits = |x: &Tensor| linear.forward(x).unwrap().to_vec2::<f32>().unwrap();
        let alone: Vec<_> = (0..70).flat_map(|r| bits(&x.narrow(0, r, 1).unwrap())).collect();
        for t in [2, 3, 4, 5, 7, 16, 28, 29, 31, 32, 33, 64, 70] {
            assert_eq!(bits(&x.narrow(0, 0, t).unwrap()), alone[..t], "{quant:?} [{n}, {k}] {t}");
        }
    }
}

#[test]
fn the_last_positions_of_a_batch_go_through_every_format() {
    let (n, k) = (40, 256);
    let batch = Tensor::from_vec(noise(3 * 5 * k, 6), (3, 5, k), &Device::Cpu).unwrap();
    let last = batch.narrow(1, 4, 1).unwrap().squeeze(1).unwrap();
    assert!(!last.is_contiguous());
    for format in [
        Format::Panels,
        Format::Dense(DType::F32),
        Format::Quantised(Quant::Q8_0),
        Format::Quantised(Quant::Q4K),
    ] {
        let weight = Weight::from_tensor(&matrix(n, k, 7), format, &Device::Cpu).unwrap();
        for order in [RowOrder::Fixed, RowOrder::Fastest] {
            let weight = Weight::from_tensor(&weight.to_f32().unwrap(), format, &Device::Cpu);
            let linear = Linear::new(Arc::new(weight.unwrap()), order);
            let sliced = linear.forward(&last).unwrap().to_vec2::<f32>().unwrap();
            let copied = linear.forward(&last.copy().unwrap()).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(sliced, copied, "{format}");
        }
    }
}

#[test]
fn a_weight_built_of_parts_is_the_weight_built_whole() {
    let (n, k) = (77, 256);
    let whole = matrix(n, k, 8);
    for format in [
        Format::Panels,
        Format::Dense(DType::F32),
        Format::Quantised(Quant::Q8_0),
        Format::Quantised(Quant::Q4K),
    ] {
        let mut builder = WeightBuilder::new((n, k), format, &Device::Cpu).unwrap();
        for (from, rows) in [(0, 3), (3, 40), (43, 0), (43, 21), (64, 13)] {
            builder.push(&whole.narrow(0, from, rows).unwrap()).unwrap();
        }
        let parts = builder.finish().unwrap();
        let one = Weight::from_tensor(&whole, format, &Device::Cpu).unwrap();
        assert_eq!(parts.dims().unwrap(), (n, k));
        let values = |weight: &Weight| weight.to_f32().unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(values(&parts), values(&one), "{format}");
        // A tied head serves lookups with the rows it multiplies by.
        let tokens = Tensor::new(&[76u32, 0, 31, 32], &Device::Cpu).unwrap();
        let rows = parts.gather(&tokens).unwrap().to_vec2::<f32>().unwrap();
        let all = values(&parts);
        assert_eq!(rows, [&all[76], &all[0], &all[31], &all[32]].map(Clone::clone), "{format}");
        let beyond = Tensor::new(&[n as u32], &Device::Cpu).unwrap();
        assert!(parts.gather(&beyond).is_err(), "{format}");
    }
}

#[test]
fn sixteen_bit_sources_are_packed_exactly() {
    for dtype in [DType::F16, DType::BF16] {
        let stored = matrix(40, 19, 9).to_dtype(dtype).unwrap();
        let packed = Weight::from_tensor(&stored, Format::Panels, &Device::Cpu).unwrap();
        let wanted = stored.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(packed.to_f32().unwrap().to_vec2::<f32>().unwrap(), wanted);
    }
}

#[test]
fn a_format_falls_back_where_rows_do_not_divide() {
    let chosen = |wanted, k| Format::choose(wanted, k, DType::BF16, &Device::Cpu).to_string();
    assert_eq!(chosen(Some(Quant::Q4K), 512), "q4_k");
    assert_eq!(chosen(Some(Quant::Q4K), 288), "q8_0");
    assert_eq!(chosen(Some(Quant::Q8_0), 288), "q8_0");
    assert_eq!(chosen(Some(Quant::Q4K), 90), "f32");
    assert_eq!(chosen(None, 512), "f32");
    let weight = quantize(&matrix(3, 90, 1), Quant::Q8_0, &Device::Cpu).unwrap();
    assert_eq!(weight.format(), Format::Panels);
    let format = Format::Quantised(Quant::Q4K);
    let error = WeightBuilder::new((3, 90), format, &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("rows of 90 do not divide into q4_k blocks of 256"), "{error}");
}

#[test]
fn quantised_blocks_survive_as_bytes_wherever_they_lie() {
    for quant in [Quant::Q8_0, Quant::Q4K] {
        let weight = quantize(&matrix(5, 512, 10), quant, &Device::Cpu).unwrap();
        let Weight::Quantised(blocks) = &weight else { panic!("{quant:?} was asked for") };
        let data = blocks.data().unwrap();
        assert_eq!(data.len(), quant.bytes(5, 512));
        assert_eq!(data.len(), weight.format().bytes(5, 512));
        for shift in [0, 1] {
            let mut file = vec![0; shift];
            file.extend_from_slice(&data);
            let back = Quantised::from_data(quant, (5, 512), &file[shift..], &Device::Cpu).unwrap();
            assert_eq!(back.data().unwrap(), data);
        }
        let short = &data[..data.len() - 1];
        assert!(Quantised::from_data(quant, (5, 512), short, &Device::Cpu).is_err());
    }
}

#[test]
fn faults_name_what_clashes() {
    let error = |result: Result<Tensor>| result.unwrap_err().to_string();
    let weight = Weight::from_tensor(&matrix(4, 8, 1), Format::Panels, &Device::Cpu).unwrap();
    let linear = Linear::new(Arc::new(weight), RowOrder::Fixed);
    let message = error(linear.forward(&matrix(2, 9, 1)));
    assert!(message.contains("with k = 8, as in the weight"), "{message}");
    let half = matrix(2, 8, 1).to_dtype(DType::F16).unwrap();
    assert!(linear.forward(&half).is_err());
    assert_eq!(linear.forward(&matrix(0, 8, 1)).unwrap().dims(), [0, 4]);

    let mut builder = WeightBuilder::new((4, 8), Format::Panels, &Device::Cpu).unwrap();
    assert!(builder.push(&matrix(5, 8, 1)).is_err());
    assert!(builder.push(&matrix(1, 9, 1)).is_err());
    builder.push(&matrix(3, 8, 1)).unwrap();
    assert!(builder.finish().unwrap_err().to_string().contains("was given 3 rows"));

    let mut rows = noise(3 * 32, 1);
    rows[40] = f32::NAN;
    let rows = Tensor::from_vec(rows, (3, 32), &Device::Cpu).unwrap();
    let message = quantize(&rows, Quant::Q8_0, &Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("row 1 holds a weight that is not finite"), "{message}");
}
