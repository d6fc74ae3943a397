//! How near a result must come to the reference, by the type it was computed in.
//!
//! One place for all tolerances, so that none is widened in passing.

use candle_core::{DType, Tensor};

/// The largest gap allowed between a result and the reference.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Close {
    absolute: f32,
    relative: f32,
}

impl Close {
    /// The gap for results stored as `dtype`: a few units of its last place, and in f32 what sums
    /// of a few thousand terms may round away.
    pub(crate) fn of(dtype: DType) -> Self {
        let known = [(DType::F32, 2e-5), (DType::F16, 2e-3), (DType::BF16, 1.6e-2)];
        let (_, gap) = known.into_iter().find(|(known, _)| *known == dtype).expect("a float type");
        Self { absolute: gap, relative: gap }
    }

    /// The gap where activations are rounded to 8 bits before each of a few products, as candle's
    /// quantised ones do: with one scale for up to 256 of them, spikes among them.
    #[allow(dead_code, reason = "the emulated kernels round nothing, and share this file")]
    pub(crate) fn of_bytes() -> Self {
        Self { absolute: 8e-2, relative: 8e-2 }
    }

    /// Asserts that `found` has `dims` and comes near `wanted`, element by element.
    pub(crate) fn assert(self, what: &str, found: &Tensor, dims: &[usize], wanted: &[f32]) {
        assert_eq!(found.dims(), dims, "{what}");
        let found = floats(found);
        self.check(&found, wanted).unwrap_or_else(|gap| panic!("{what}: {gap}"));
    }

    /// [`Close::assert`] for a result that may be off by its own allowance in each element besides.
    #[allow(dead_code, reason = "as above")]
    pub(crate) fn assert_beside(
        self,
        what: &str,
        found: &Tensor,
        dims: &[usize],
        (wanted, allowed): (&[f32], &[f32]),
    ) {
        assert_eq!(found.dims(), dims, "{what}");
        let found = floats(found);
        // Moved towards what is wanted by what is allowed, it must come near in the usual way.
        let moved = found.iter().zip(wanted).zip(allowed);
        let moved: Vec<f32> = moved
            .map(|((found, wanted), allowed)| {
                found - (found - wanted).clamp(-allowed.abs(), allowed.abs())
            })
            .collect();
        self.check(&moved, wanted).unwrap_or_else(|gap| panic!("{what}: {gap}"));
    }

    /// Whether `found` comes near `wanted`; an error names the first element that does not.
    pub(crate) fn check(self, found: &[f32], wanted: &[f32]) -> Result<(), String> {
        assert_eq!(found.len(), wanted.len());
        let scale = wanted.iter().fold(0.0f32, |scale, x| scale.max(x.abs()));
        let allowed = self.absolute + self.relative * scale;
        // Not the other way round: a gap that is not a number is none that is allowed.
        let is_near = |(found, wanted): (&f32, &f32)| (found - wanted).abs() <= allowed;
        match found.iter().zip(wanted).position(|pair| !is_near(pair)) {
            None => Ok(()),
            Some(at) => {
                let (found, wanted) = (found[at], wanted[at]);
                Err(format!("{found} at {at}, wanted {wanted} within {allowed}"))
            }
        }
    }
}

/// The elements of a tensor, wherever it lies.
pub(crate) fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap()
}
