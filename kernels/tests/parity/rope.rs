//! Rotation against the loops of the reference, for all scalings.

use candle_core::{DType, Tensor};
use stillroom_kernels::rope::{self, RopeScaling, RopeTable};

use crate::bench::{Noise, Path, devices};
use crate::close::Close;

const LLAMA3: RopeScaling = RopeScaling::Llama3 {
    factor: 8.0,
    low_freq_factor: 1.0,
    high_freq_factor: 4.0,
    original_max_position_embeddings: 64,
};

devices!(matches_the_reference, |path: &Path| {
    let mut noise = Noise::new(1);
    for (t, heads, d) in [(1, 1, 2), (5, 3, 64), (33, 2, 80), (2, 4, 128)] {
        for scaling in [RopeScaling::Plain, RopeScaling::Linear { factor: 4.0 }, LLAMA3] {
            for &dtype in path.dtypes() {
                check(path, &mut noise, [t, heads, d], scaling, dtype);
            }
        }
    }
});

fn check(path: &Path, noise: &mut Noise, dims: [usize; 3], scaling: RopeScaling, dtype: DType) {
    let [t, heads, d] = dims;
    let table = RopeTable::new(d, 10_000.0, scaling, 5_000).unwrap();
    let positions: Vec<u32> = (0..t).map(|_| noise.below(5_000) as u32).collect();
    let (x, rounded) = path.put(&noise.spiky(t * heads * d), &dims, dtype);
    let on_device = Tensor::from_slice(&positions, t, &path.device).unwrap();
    let rotation = table.rotation(&positions, &on_device).unwrap();
    let found = match path.portable {
        true => rope::portable::rope(&x, &rotation).unwrap(),
        false => rope::rope(&x, &rotation).unwrap(),
    };
    assert_eq!(found.dtype(), dtype);
    let wanted = rope::reference::rope(&rounded, &positions, table.inv_freq());
    Close::of(dtype).assert(&format!("{dims:?} {scaling:?}"), &found, &dims, &wanted);
}
