//! The truth about `silu_mul`, in f64 throughout.

/// `gate_up [t, 2i]` to `[t, i]`.
pub fn silu_mul(gate_up: &[f32], i: usize) -> Vec<f32> {
    let silu = |x: f64| x / (1.0 + (-x).exp());
    gate_up
        .chunks_exact(2 * i)
        .flat_map(|row| {
            let (gate, up) = row.split_at(i);
            gate.iter().zip(up).map(|(&g, &u)| (silu(f64::from(g)) * f64::from(u)) as f32)
        })
        .collect()
}
