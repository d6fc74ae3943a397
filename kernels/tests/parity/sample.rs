//! Sampling against the distribution written out in full: what is kept, how often each token is
//! drawn, and what is said about it.

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use stillroom_kernels::sample::reference::{distribution, log_softmax};
use stillroom_kernels::sample::{Drawn, RowParams, SampleError, sample};

use crate::bench::{Noise, devices};

fn draw(logits: &[f32], params: &[RowParams<'_>]) -> Result<Vec<Drawn>, SampleError> {
    let v = logits.len() / params.len();
    sample(&Tensor::from_slice(logits, (params.len(), v), &Device::Cpu).unwrap(), params)
}

/// Logits from `n_levels` levels, so that ties are common.
fn levels(noise: &mut Noise, v: usize, n_levels: usize) -> Vec<f32> {
    (0..v).map(|_| noise.below(n_levels) as f32 * 0.5 - 3.0).collect()
}

/// Pearson's statistic of `n` draws of one row at ascending positions.
fn chi_square(logits: &[f32], params: RowParams<'_>, n: usize) -> (f64, usize) {
    let wanted = distribution(logits, &params);
    let mut counts = vec![0u32; logits.len()];
    let rows: Vec<RowParams<'_>> =
        (0..n as u64).map(|position| RowParams { position, ..params }).collect();
    for drawn in draw(&logits.repeat(n), &rows).unwrap() {
        counts[drawn.token as usize] += 1;
    }
    let mut statistic = 0.0;
    let mut n_possible = 0;
    for (count, probability) in counts.into_iter().zip(wanted) {
        if probability == 0.0 {
            assert_eq!(count, 0, "a token that was filtered out was drawn");
            continue;
        }
        let expected = probability * n as f64;
        statistic += (f64::from(count) - expected).powi(2) / expected;
        n_possible += 1;
    }
    (statistic, n_possible - 1)
}

#[test]
fn draws_follow_the_distribution() {
    let mut noise = Noise::new(21);
    let logits: Vec<f32> = (0..40).map(|_| 3.0 * noise.unit() as f32).collect();
    let plain = RowParams { key: 5, ..RowParams::default() };
    let cases = [
        plain,
        RowParams { temperature: 0.7, ..plain },
        RowParams { temperature: 2.5, top_p: 0.8, ..plain },
        RowParams { top_k: 7, ..plain },
        RowParams { top_k: 12, top_p: 0.9, min_p: 0.2, ..plain },
        RowParams { min_p: 0.3, ..plain },
        RowParams { mask: Some(&[0x00ff_0f0f, 0b1010]), ..plain },
        RowParams { repetition_penalty: 1.5, seen: &[1, 2, 3], ..plain },
        RowParams { presence_penalty: 0.5, frequency_penalty: 0.4, counts: &[(4, 3)], ..plain },
        RowParams { bias: &[(0, 2.0), (9, f32::NEG_INFINITY)], ..plain },
    ];
    for params in cases {
        let (statistic, degrees) = chi_square(&logits, params, 20_000);
        // Five standard deviations above the mean; the draws are the same in every run.
        let limit = degrees as f64 + 5.0 * (2.0 * degrees as f64).sqrt();
        assert!(statistic < limit, "{statistic} of {limit}: {params:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// A large vocabulary with many ties is the hard case.
    #[test]
    fn only_kept_tokens_are_drawn(
        seed in any::<u64>(),
        v in 1usize..3000,
        n_levels in 1usize..40,
        top_k in prop_oneof![Just(0), 1usize..200],
        top_p in prop_oneof![Just(1.0f32), 0.05f32..1.0],
        min_p in prop_oneof![Just(0.0f32), 0.0f32..1.0],
        temperature in prop_oneof![Just(0.0f32), Just(1e-42), 0.3f32..3.0],
    ) {
        let logits = levels(&mut Noise::new(seed), v, n_levels);
        let rows: Vec<RowParams<'_>> = (0..16)
            .map(|position| RowParams {
                temperature, top_k, top_p, min_p, position, key: seed, ..RowParams::default()
            })
            .collect();
        // A border that f32 and f64 see differently may keep one token more.
        let looser = RowParams { top_p: (top_p * 1.00001).min(1.0), min_p: min_p * 0.99999, ..rows[0] };
        let kept = distribution(&logits, &looser);
        for drawn in draw(&logits.repeat(16), &rows).unwrap() {
            prop_assert!(kept[drawn.token as usize] > 0.0, "token {} was drawn", drawn.token);
        }
    }

    #[test]
    fn log_probabilities_are_the_models_own(seed in any::<u64>(), v in 2usize..2000) {
        let logits = Noise::new(seed).spiky(v);
        let report: Vec<u32> = (0..v as u32).collect();
        let params = RowParams {
            temperature: 0.3,
            bias: &[(0, 50.0)],
            mask: Some(&[1]),
            report: &report,
            ..RowParams::default()
        };
        let drawn = &draw(&logits, &[params]).unwrap()[0];
        let wanted = log_softmax(&logits);
        prop_assert_eq!(drawn.token, 0);
        prop_assert_eq!(drawn.logprob, drawn.reported[0]);
        for (found, wanted) in drawn.reported.iter().zip(wanted) {
            prop_assert!((f64::from(*found) - wanted).abs() < 1e-5, "{} {}", found, wanted);
        }
    }
}

#[test]
fn the_lowest_of_equals_is_taken() {
    let mut logits = vec![0.0; 5000];
    (logits[1200], logits[1300], logits[4999]) = (2.0, 2.0, 2.0);
    let greedy = RowParams { temperature: 0.0, ..RowParams::default() };
    assert_eq!(draw(&logits, &[greedy]).unwrap()[0].token, 1200);
    let biased = RowParams { bias: &[(1200, -1.0)], ..greedy };
    assert_eq!(draw(&logits, &[biased]).unwrap()[0].token, 1300);
    for position in 0..50 {
        let two = RowParams { top_k: 2, position, ..RowParams::default() };
        assert!([1200, 1300].contains(&draw(&logits, &[two]).unwrap()[0].token));
    }
}

#[test]
fn a_row_depends_on_itself_alone() {
    let mut noise = Noise::new(22);
    let logits = levels(&mut noise, 900, 12);
    let params = RowParams { key: 3, position: 4, top_p: 0.9, ..RowParams::default() };
    let alone = draw(&logits, &[params]).unwrap().remove(0);
    let others = levels(&mut noise, 900, 12);
    let crowd = [others.clone(), logits, others].concat();
    let other = RowParams { key: 8, ..RowParams::default() };
    assert_eq!(draw(&crowd, &[other, params, other]).unwrap()[1], alone);
}

#[test]
fn bad_rows_are_named() {
    let plain = [RowParams::default(); 3];
    let mut logits = vec![0.5; 3 * 40];
    (logits[40 + 17], logits[80 + 2]) = (f32::NAN, f32::INFINITY);
    let error = draw(&logits, &plain).unwrap_err().to_string();
    assert_eq!(error, "row 1 of the logits holds NaN at index 17");
    logits[40 + 17] = 0.0;
    let error = draw(&logits, &plain).unwrap_err().to_string();
    assert_eq!(error, "row 2 of the logits holds inf at index 2");

    let masked = RowParams { mask: Some(&[0, 0]), ..RowParams::default() };
    let error = draw(&[0.5; 40], &[masked]).unwrap_err();
    assert!(matches!(error, SampleError::NothingLeft { row: 0 }), "{error}");
    assert!(draw(&[f32::NEG_INFINITY; 40], &plain[..1]).is_err());
    let some = [0.0, f32::NEG_INFINITY].repeat(20);
    assert!(draw(&some, &plain[..1]).is_ok(), "single tokens may be impossible");
}

devices!(every_device_draws_what_the_cpu_draws, |path: &Path| {
    let mut noise = Noise::new(27);
    for v in [33, 1000, 40_000] {
        let logits = noise.spiky(8 * v);
        let plain = RowParams { key: 9, report: &[0, 31], ..RowParams::default() };
        let mask: Vec<u32> = (0..v.div_ceil(32)).map(|word| 0x5555_3333 ^ word as u32).collect();
        let params = [
            plain,
            RowParams { temperature: 0.0, ..plain },
            RowParams { temperature: 0.7, top_p: 0.8, position: 1, ..plain },
            RowParams { top_k: 7, position: 2, report: &[], ..plain },
            RowParams { top_k: 20, top_p: 0.9, min_p: 0.1, position: 3, ..plain },
            RowParams { mask: Some(&mask), position: 4, ..plain },
            RowParams { repetition_penalty: 1.5, seen: &[1, 2, 3], position: 5, ..plain },
            RowParams { frequency_penalty: 0.4, counts: &[(4, 3)], bias: &[(9, 5.0)], ..plain },
        ];
        let wanted = draw(&logits, &params).unwrap();
        let on = Tensor::from_slice(&logits, (params.len(), v), &path.device).unwrap();
        let found = sample(&on, &params).unwrap();
        for (row, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            assert_eq!(found.token, wanted.token, "row {row} of {v}");
            let pairs = found.reported.iter().zip(&wanted.reported);
            for (found, wanted) in pairs.chain([(&found.logprob, &wanted.logprob)]) {
                assert!((found - wanted).abs() < 1e-4, "row {row} of {v}: {found} {wanted}");
            }
        }
        let mut broken = logits;
        broken[5 * v + 3] = f32::NAN;
        let on = Tensor::from_vec(broken, (params.len(), v), &path.device).unwrap();
        let error = sample(&on, &params).unwrap_err();
        assert!(matches!(error, SampleError::NotANumber { row: 5, index: 3, .. }), "{error}");
    }
});
