//! The store written out over slices.

/// Stores the rows of `source` (`[t, width]`) in `pool` (`[slots, width]`) at `slots` (`[t]`).
pub fn write_rows(source: &[f32], slots: &[u32], width: usize, pool: &mut [f32]) {
    for (row, &slot) in slots.iter().enumerate() {
        for column in 0..width {
            pool[slot as usize * width + column] = source[row * width + column];
        }
    }
}
