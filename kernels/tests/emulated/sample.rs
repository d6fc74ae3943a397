//! The sampler against its twin on the CPU: the same token for the same key and position, the same
//! log-probabilities, the same faults.

use candle_core::{Device as On, Tensor};
use stillroom_kernels::launch::Float;
use stillroom_kernels::sample::launch::{Plan, Pointers};
use stillroom_kernels::sample::{Drawn, RowParams, SampleError, sample};

use crate::FLOATS;
use crate::device::{Device, expect_all_missed};
use crate::noise::Noise;

/// Draws on the emulated device; a failed launch is the outer error.
fn draw(
    device: &Device,
    logits: &[f32],
    params: &[RowParams<'_>],
    float: Float,
) -> Result<Result<Vec<Drawn>, SampleError>, String> {
    let plan = Plan::new(params, logits.len() / params.len());
    let out = device.blank(plan.n_out() * size_of::<u32>());
    let at = Pointers {
        logits: device.put(logits, float).address(),
        words: device.put_u32(plan.words()).address(),
        workspace: device.blank(size_of_val(logits)).address(),
        out: out.address(),
    };
    device.run(&plan.launch(float, &at))?;
    Ok(plan.read(&out.read_u32()))
}

/// Draws on both and compares; the logits are rounded to the type first.
fn compare(
    device: &Device,
    logits: &[f32],
    params: &[RowParams<'_>],
    float: Float,
) -> Result<(), String> {
    let rounded = device.put(logits, float).read(float);
    let v = logits.len() / params.len();
    let wanted = Tensor::from_slice(&rounded, (params.len(), v), &On::Cpu).unwrap();
    let wanted = sample(&wanted, params).unwrap();
    let found = draw(device, logits, params, float)?.map_err(|error| error.to_string())?;
    for ((found, wanted), params) in found.iter().zip(&wanted).zip(params) {
        if found.token != wanted.token {
            return Err(format!("{} instead of {}: {params:?}", found.token, wanted.token));
        }
        let pairs = found.reported.iter().zip(&wanted.reported);
        for (found, wanted) in pairs.chain([(&found.logprob, &wanted.logprob)]) {
            // Both may be minus infinity, which has no difference to itself.
            let is_near = found == wanted || (found - wanted).abs() < 1e-5;
            if !is_near {
                return Err(format!("log-probability {found}, wanted {wanted}"));
            }
        }
    }
    Ok(())
}

/// Rows of every kind of parameter, at `n` positions each.
fn rows<'a>(n: u64, mask: &'a [u32], report: &'a [u32]) -> Vec<RowParams<'a>> {
    let plain = RowParams { key: 0x1234_5678_9abc_def0, report, ..RowParams::default() };
    let kinds = [
        plain,
        RowParams { temperature: 0.0, ..plain },
        RowParams { temperature: 0.6, top_p: 0.9, ..plain },
        RowParams { temperature: 1e-42, ..plain },
        RowParams { top_k: 1, ..plain },
        RowParams { top_k: 7, ..plain },
        RowParams { top_k: 40, top_p: 0.8, min_p: 0.01, temperature: 1.7, ..plain },
        RowParams { min_p: 0.2, ..plain },
        RowParams { top_p: 1e-6, ..plain },
        RowParams { mask: Some(mask), top_p: 0.95, ..plain },
        RowParams { repetition_penalty: 1.3, seen: &[3, 1, 2, 17], ..plain },
        RowParams {
            presence_penalty: 0.5,
            frequency_penalty: 0.4,
            counts: &[(4, 3), (1, 1)],
            seen: &[4],
            repetition_penalty: 0.7,
            ..plain
        },
        RowParams {
            bias: &[(5, 8.0), (9, f32::NEG_INFINITY), (5, -1.5), (0, 2.0)],
            top_k: 3,
            ..plain
        },
    ];
    let positions = (0..n).map(|position| position << 33 | position);
    positions.flat_map(|position| kinds.map(|kind| RowParams { position, ..kind })).collect()
}

#[test]
fn the_twin_picks_the_same_tokens() {
    let mut noise = Noise::new(71);
    for (at, v) in [20, 33, 1000, 1025, 3000].into_iter().enumerate() {
        let mask: Vec<u32> = (0..v / 40 + 1).map(|_| noise.below(1 << 30) as u32 | 1).collect();
        let report = [0, 19, 5];
        let rows = rows(6, &mask, &report);
        let logits: Vec<f32> = noise.spiky(rows.len() * v).iter().map(|x| 3.0 * x).collect();
        let float = FLOATS[at % 3];
        compare(&Device::of("sample"), &logits, &rows, float).unwrap();
    }
}

/// Few levels: thresholds fall among many equals, of which the lower ids are kept.
#[test]
fn ties_go_to_the_lower_token() {
    let mut noise = Noise::new(72);
    for v in [37, 1500] {
        let rows = rows(6, &[0x0f0f_3333, u32::MAX], &[1]);
        let level = |_| noise.below(5) as f32 - 2.5;
        let logits: Vec<f32> = (0..rows.len() * v).map(level).collect();
        compare(&Device::of("sample"), &logits, &rows, Float::F32).unwrap();
    }
}

/// A vocabulary of several tiles a bin, most of it without weight.
#[test]
fn a_large_vocabulary() {
    let mut noise = Noise::new(73);
    let rows = &rows(1, &[u32::MAX; 2000], &[39_999])[..];
    let v = 40_000;
    let logits: Vec<f32> = noise.spiky(rows.len() * v).iter().map(|x| 2.0 * x).collect();
    compare(&Device::of("sample"), &logits, rows, Float::Bf16).unwrap();
}

#[test]
fn bad_rows_are_named() {
    let device = Device::of("sample");
    let plain = [RowParams::default(); 3];
    let mut logits = vec![0.5; 3 * 40];
    (logits[40 + 17], logits[80 + 2]) = (f32::NAN, f32::INFINITY);
    let error = |logits: &[f32], params: &[RowParams<'_>]| {
        draw(&device, logits, params, Float::F32).unwrap().unwrap_err().to_string()
    };
    assert_eq!(error(&logits, &plain), "row 1 of the logits holds NaN at index 17");
    logits[40 + 17] = 0.0;
    assert_eq!(error(&logits, &plain), "row 2 of the logits holds inf at index 2");
    let masked = RowParams { mask: Some(&[0, 0]), ..RowParams::default() };
    assert!(error(&[0.5; 40], &[masked]).contains("leaves no token"));
    assert!(error(&[f32::NEG_INFINITY; 40], &plain[..1]).contains("leaves no token"));
    let some = [0.0, f32::NEG_INFINITY].repeat(20);
    let drawn = draw(&device, &some, &plain[..1], Float::F32).unwrap().unwrap();
    assert!(drawn[0].token.is_multiple_of(2), "single tokens may be impossible");
}

#[test]
fn every_barrier_is_needed() {
    expect_all_missed("sample", |device| {
        let mut noise = Noise::new(74);
        let (v, mask) = (300, [0x0f0f_3333; 10]);
        let rows = rows(2, &mask, &[7]);
        let levels: Vec<f32> =
            noise.spiky(rows.len() * v).iter().map(|x| (x * 8.0).round() / 4.0).collect();
        compare(device, &levels, &rows, Float::F32)?;
        adjusted_in_order(device, v)
    });
}

/// Lists that name all tokens, each in an order of its own, so that a token's entries belong to
/// different threads; and numbers at which the order of the steps shows.
fn adjusted_in_order(device: &Device, v: usize) -> Result<(), String> {
    let seen: Vec<u32> = (0..v as u32).collect();
    let counts: Vec<(u32, u32)> = seen.iter().rev().map(|&token| (token, 1)).collect();
    let bias: Vec<(u32, f32)> = seen.iter().map(|&token| (token, 1.0)).collect();
    let greedy = RowParams { temperature: 0.0, ..RowParams::default() };
    let penalised = RowParams { repetition_penalty: 1.7, seen: &seen, counts: &counts, ..greedy };
    let by_token = |token: usize| 4.0 + token as f32 / 1024.0;
    let params = [
        RowParams { frequency_penalty: 0.3, ..penalised },
        // One less and one more is the same at 2^24, one more and one less is not.
        RowParams { frequency_penalty: 1.0, counts: &counts, bias: &bias, ..greedy },
        RowParams { bias: &[(7, 5.0)], ..greedy },
    ];
    let rows: [Vec<f32>; 3] =
        [(0..v).map(by_token).collect(), vec![16_777_216.0; v], (0..v).map(by_token).collect()];
    compare(device, &rows.concat(), &params, Float::F32)
}
