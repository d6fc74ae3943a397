//! The working of an exercise: a few sums, each on given numbers or on earlier results.
//!
//! One description serves the right answer, every typical wrong one and the judge's own reckoning,
//! so they can be compared sum by sum. Whole numbers only; what would not come out whole has no
//! value.

use std::fmt;

/// What is done with two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `a + b`
    Plus,
    /// `a - b`
    Minus,
    /// `a * b`
    Times,
    /// `a / b`, where it comes out whole
    Over,
    /// `a^b`
    Power,
    /// `log_a(b)`, where it comes out whole
    Log,
    /// `sqrt(a)`, where it comes out whole; `b` is not used
    Root,
}

/// A number of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Given by the exercise.
    Given(i64),
    /// The result of an earlier sum, by its position.
    Result(usize),
}

/// One sum of a working, not yet reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The first number.
    pub left: Term,
    /// What is done.
    pub op: Op,
    /// The second number.
    pub right: Term,
}

/// One sum with its numbers, as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The first number.
    pub left: i64,
    /// What is done.
    pub op: Op,
    /// The second number.
    pub right: i64,
    /// What is claimed to come out.
    pub result: i64,
}

impl Op {
    /// What comes out; nothing where that is no whole number or absurdly large.
    pub fn apply(self, left: i64, right: i64) -> Option<i64> {
        match self {
            Self::Plus => left.checked_add(right),
            Self::Minus => left.checked_sub(right),
            Self::Times => left.checked_mul(right),
            Self::Over => (right != 0 && left % right == 0).then(|| left / right),
            Self::Power => left.checked_pow(u32::try_from(right).ok()?),
            Self::Log => {
                (1..=12).find(|n| left > 1 && left.checked_pow(*n) == Some(right)).map(i64::from)
            }
            Self::Root => (0..=100).find(|root| root * root == left),
        }
    }
}

impl Sum {
    /// Whether what is claimed comes out.
    pub fn is_right(&self) -> bool {
        self.op.apply(self.left, self.right) == Some(self.result)
    }

    /// The sum without its result, such as `3 * 4`.
    pub fn question(&self) -> Question<'_> {
        Question(self)
    }
}

/// A sum without its result.
pub struct Question<'a>(&'a Sum);

impl fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum { left, op, right, .. } = self.0;
        match op {
            Op::Plus => write!(f, "{left} + {right}"),
            Op::Minus => write!(f, "{left} - {right}"),
            Op::Times => write!(f, "{left} * {right}"),
            Op::Over => write!(f, "{left} / {right}"),
            Op::Power => write!(f, "{left}^{right}"),
            Op::Log => write!(f, "log_{left}({right})"),
            Op::Root => write!(f, "sqrt({left})"),
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.question(), self.result)
    }
}

/// Reckons all steps; `change` may replace any sum before others build on it.
///
/// Nothing where a step does not come out whole.
pub fn reckon(
    steps: &[Step],
    mut change: impl FnMut(usize, Sum) -> Option<Sum>,
) -> Option<Vec<Sum>> {
    let mut sums: Vec<Sum> = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        let value = |term| match term {
            Term::Given(number) => number,
            Term::Result(earlier) => sums[earlier].result,
        };
        let (left, op, right) = (value(step.left), step.op, value(step.right));
        let result = op.apply(left, right)?;
        sums.push(change(i, Sum { left, op, right, result })?);
    }
    Some(sums)
}

/// The sums as one line, such as `3 * 4 = 12, 12 + 5 = 17`.
pub fn line(sums: &[Sum]) -> String {
    sums.iter().map(Sum::to_string).collect::<Vec<_>>().join(", ")
}
