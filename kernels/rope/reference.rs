//! The rotation written out over slices: what every path is measured against.
//!
//! It reads positions and frequencies, not a [`Rotation`](super::Rotation), so that the cosines
//! and sines of the paths are checked too.

/// Rotates `x` (`[t, heads, 2 * inv_freq.len()]`) at `positions` (`[t]`).
pub fn rope(x: &[f32], positions: &[u32], inv_freq: &[f32]) -> Vec<f32> {
    let half = inv_freq.len();
    let n_heads = x.len() / (positions.len() * 2 * half).max(1);
    let mut out = vec![0.0; x.len()];
    for (row, &position) in positions.iter().enumerate() {
        for head in 0..n_heads {
            let start = (row * n_heads + head) * 2 * half;
            for i in 0..half {
                let angle = f64::from(position as f32 * inv_freq[i]);
                let (first, second) = (f64::from(x[start + i]), f64::from(x[start + half + i]));
                out[start + i] = (first * angle.cos() - second * angle.sin()) as f32;
                out[start + half + i] = (second * angle.cos() + first * angle.sin()) as f32;
            }
        }
    }
    out
}
