//! The truth about `linear`: three plain loops and a wide sum. Slow, obvious, for tests only.

/// `out[r, c] = sum_p x[r, p] * w[c, p]` with f64 sums; `x [t, k]`, `w [n, k]`, `out [t, n]`.
pub fn linear(x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let rows = x.chunks_exact(k);
    rows.flat_map(|x| w.chunks_exact(k).map(|w| dot(x, w) as f32)).collect()
}

/// `sum_p |x[r, p] * w[c, p]|`: the scale on which an error of `linear` is judged, because terms
/// that cancel leave their rounding behind.
pub fn linear_mass(x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let absolute = |values: &[f32]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
    linear(&absolute(x), &absolute(w), k)
}

fn dot(x: &[f32], w: &[f32]) -> f64 {
    x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum()
}
