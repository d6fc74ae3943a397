//! The truth about `rms_norm`: a wide sum of squares and one division per element.

/// `x [t, h]`, `w [h]` to `[t, h]`.
pub fn rms_norm(x: &[f32], w: &[f32], eps: f32) -> Vec<f32> {
    let norm = |row: &[f32]| {
        let squares: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        (squares / row.len() as f64 + f64::from(eps)).sqrt()
    };
    x.chunks_exact(w.len())
        .flat_map(|row| {
            let norm = norm(row);
            row.iter().zip(w).map(move |(&x, &w)| (f64::from(x) / norm * f64::from(w)) as f32)
        })
        .collect()
}
