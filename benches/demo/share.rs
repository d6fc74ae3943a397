//! A share of cases, with the interval that it tells.

use std::fmt;

/// Cases, and those that hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share {
    /// Cases.
    pub(crate) n: usize,
    /// Those that hold.
    pub(crate) n_held: usize,
}

impl Share {
    /// One more case.
    pub(crate) fn count(&mut self, holds: bool) {
        self.n += 1;
        self.n_held += usize::from(holds);
    }

    /// Wilson's interval at 95 % (Wilson 1927).
    fn interval(self) -> (f64, f64) {
        let (n, z) = (self.n.max(1) as f64, 1.96);
        let p = self.n_held as f64 / n;
        let middle = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        ((middle - half) / scale, (middle + half) / scale)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        let percent = 100.0 * self.n_held as f64 / self.n.max(1) as f64;
        let (low, high) = (100.0 * low.max(0.0), 100.0 * high.min(1.0));
        write!(f, "{percent:.1} % of {} ({low:.1}-{high:.1})", self.n)
    }
}
