//! Shares, each with the interval in which it would probably be found again.

use serde::Serialize;

/// Two-sided 95 % of a normal distribution.
pub(crate) const Z_95: f64 = 1.959_963_985;

/// A part of a whole. Cases that are half in count half.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The part.
    pub n: f64,
    /// The whole.
    pub of: u64,
    /// Part by whole.
    pub share: f64,
    /// Lower end of the 95 % interval (Wilson), which holds for few cases and near 0 and 1 too.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Share {
    /// `n` of `of`; nothing when there is no whole.
    pub(crate) fn new(n: f64, of: u64) -> Option<Self> {
        if of == 0 {
            return None;
        }
        let whole = of as f64;
        let (share, z2) = (n / whole, Z_95 * Z_95);
        let center = (share + z2 / (2.0 * whole)) / (1.0 + z2 / whole);
        let spread = share * (1.0 - share) / whole + z2 / (4.0 * whole * whole);
        let half = Z_95 * spread.sqrt() / (1.0 + z2 / whole);
        let [low, high] = [center - half, center + half].map(|end| rounded(end.clamp(0.0, 1.0)));
        Some(Self { n: rounded(n), of, share: rounded(share), low, high })
    }

    /// [`Share::new`] of counts.
    pub(crate) fn of(n: u64, of: u64) -> Option<Self> {
        Self::new(n as f64, of)
    }
}

/// Six decimals: sums of the same rows in another order agree in as many.
pub(crate) fn rounded(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    // No figure is minus nothing.
    if rounded == 0.0 { 0.0 } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        let share = Share::of(7, 10).unwrap();
        assert_eq!((share.share, share.low, share.high), (0.7, 0.396778, 0.892209));
        let none = Share::of(0, 5).unwrap();
        assert_eq!((none.low, none.high), (0.0, 0.434482));
        assert_eq!(Share::of(5, 5).unwrap().high, 1.0);
        assert_eq!(Share::of(0, 0), None);
    }
}
