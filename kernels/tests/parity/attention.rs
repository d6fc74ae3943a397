//! Attention over random block tables: ragged batches, grouped heads, windows, all head sizes.

use candle_core::{DType, Tensor};
use stillroom_kernels::paged::{BLOCK, Batch, KvLayer};
use stillroom_kernels::paged_attention::reference::{self, Heads};
use stillroom_kernels::paged_attention::{self, Attend};

use crate::bench::{Noise, Path, devices};
use crate::close::Close;
use crate::ragged::ragged;

struct Case {
    batch: Batch,
    heads: Heads,
    attend: Attend,
    q: Tensor,
    layer: KvLayer,
    wanted: Vec<f32>,
}

fn case(
    path: &Path,
    noise: &mut Noise,
    sequences: &[(usize, usize)],
    heads: Heads,
    window: Option<usize>,
    dtype: DType,
) -> Case {
    let n_blocks = 2 + sequences.iter().map(|(a, b)| (a + b).div_ceil(BLOCK)).sum::<usize>();
    let batch = ragged(noise, sequences, n_blocks);
    let Heads { hq, hkv, d } = heads;
    let t = batch.n_tokens();
    let (q, q_rounded) = path.put(&noise.spiky(t * hq * d), &[t, hq, d], dtype);
    let dims = [n_blocks, BLOCK, hkv, d];
    let [k, v] = [(); 2].map(|()| path.put(&noise.spiky(dims.iter().product()), &dims, dtype));
    let attend = Attend { window, scale: 1.0 / (d as f32).sqrt() };
    let wanted = reference::paged_attention(&q_rounded, (&k.1, &v.1), &batch, heads, attend);
    Case { batch, heads, attend, q, layer: KvLayer { k: k.0, v: v.0 }, wanted }
}

impl Case {
    fn run(&self, path: &Path) -> Tensor {
        let on = self.batch.upload(&path.device).unwrap();
        match path.portable {
            true => {
                paged_attention::portable::paged_attention(&self.q, &self.layer, &on, self.attend)
            }
            false => paged_attention::paged_attention(&self.q, &self.layer, &on, self.attend),
        }
        .unwrap()
    }
}

devices!(matches_the_reference, |path: &Path| {
    let mut noise = Noise::new(5);
    let batches: [&[(usize, usize)]; 5] = [
        &[(0, 1)],
        &[(31, 1), (32, 1), (200, 1), (63, 1)],
        &[(0, 70)],
        &[(40, 33), (5, 1), (0, 3), (130, 1), (64, 64)],
        &[(300, 2), (0, 129), (95, 1)],
    ];
    let heads = [(1, 1, 2), (4, 4, 64), (8, 2, 128), (6, 2, 80), (5, 1, 96), (12, 4, 20)];
    for (at, (hq, hkv, d)) in heads.into_iter().enumerate() {
        for (window, sequences) in
            [None, Some(1), Some(24), Some(64)].iter().zip(&batches[at % 2..])
        {
            for &dtype in path.dtypes() {
                let heads = Heads { hq, hkv, d };
                let case = case(path, &mut noise, sequences, heads, *window, dtype);
                let dims = [case.batch.n_tokens(), case.heads.hq * d];
                let what = format!("{sequences:?} {heads:?} {window:?}");
                Close::of(dtype).assert(&what, &case.run(path), &dims, &case.wanted);
            }
        }
    }
});
