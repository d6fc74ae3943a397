//! Which cards a binary holds code for, and whether one of them is the card at hand.
//!
//! A binary carries machine code (`sm_90`) and PTX (`compute_90`). Machine code runs on its own
//! generation, from its own revision upwards; PTX is compiled by the driver for anything that is
//! not older. What neither serves fails at the first launch, long after the weights were read:
//! hence the question is asked first.

use std::fmt;

/// A compute capability, such as 9.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Capability {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// Whether code written as `sm_80 sm_90 compute_90` runs on `card`. No code at all stands for a
/// build that could not know, and is given the benefit of the doubt.
pub(crate) fn runs_on(codes: &str, card: Capability) -> bool {
    let serves = |code: &str| {
        if let Some(machine) = code.strip_prefix("sm_").and_then(Capability::parse) {
            machine.major == card.major && machine.minor <= card.minor
        } else {
            let portable = code.strip_prefix("compute_").and_then(Capability::parse);
            portable.is_some_and(|portable| portable <= card)
        }
    };
    codes.is_empty() || codes.split_whitespace().any(serves)
}

impl Capability {
    /// `90` as 9.0, `120` as 12.0.
    fn parse(digits: &str) -> Option<Self> {
        let number: u32 = digits.parse().ok()?;
        Some(Self { major: number / 10, minor: number % 10 })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_code_serves_its_generation_and_ptx_what_is_newer() {
        let card = |major, minor| Capability { major, minor };
        let several = "sm_80 sm_90 compute_90";
        for served in [card(8, 0), card(8, 6), card(8, 9), card(9, 0), card(10, 0), card(12, 1)] {
            assert!(runs_on(several, served), "{served}");
        }
        assert!(!runs_on(several, card(7, 5)));
        assert!(!runs_on("sm_89", card(8, 6)), "machine code of a later revision");
        assert!(!runs_on("sm_90", card(8, 9)));
        assert!(!runs_on("sm_90", card(10, 0)), "machine code alone stays in its generation");
        assert!(runs_on("", card(8, 9)), "an unknown build is tried");
        assert_eq!(card(12, 0).to_string(), "12.0");
    }
}
