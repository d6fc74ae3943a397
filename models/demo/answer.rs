//! Answers to an exercise, right ones and typically wrong ones, and the checker of any answer.
//!
//! An answer shows its sums in a line and names the result in a second. What goes wrong is what goes
//! wrong when people reckon: a sum slips, another operation is taken, the last step is forgotten, the
//! result is copied wrongly, or there is no working at all.

use super::dice::Dice;
use super::exercise::Exercise;
use super::working::{Op, Sum, line, reckon};

/// What is before the result.
const RESULT: &str = "The answer is ";

/// What an answer is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Right, with its working.
    Right,
    /// One sum comes out wrong, what follows builds on it.
    Slip,
    /// One sum takes another operation.
    OtherOperation,
    /// The last sum is missing.
    StopsEarly,
    /// The result is not that of the working.
    Miscopied,
    /// Right, with no working.
    BareRight,
    /// Wrong, with no working.
    BareWrong,
}

/// An answer, and what is true of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it is like.
    pub kind: Kind,
    /// The sums shown.
    pub sums: Vec<Sum>,
    /// The result named.
    pub result: i64,
}

impl Answer {
    /// The right answer.
    pub fn right(exercise: &Exercise) -> Self {
        Self { kind: Kind::Right, sums: exercise.working(), result: exercise.value() }
    }

    /// An answer of this kind; the right one where the exercise cannot go wrong in this way.
    pub fn of_kind(exercise: &Exercise, kind: Kind, dice: &mut Dice) -> Self {
        let right = Self::right(exercise);
        let made = match kind {
            Kind::Right => None,
            Kind::Slip => slip(exercise, dice).map(|sums| with_result(kind, sums)),
            Kind::OtherOperation => {
                other_operation(exercise, dice).map(|sums| with_result(kind, sums))
            }
            Kind::StopsEarly => {
                let sums = &right.sums[..right.sums.len() - 1];
                (!sums.is_empty()).then(|| with_result(kind, sums.to_vec()))
            }
            Kind::Miscopied => {
                Some(Self { kind, result: near(right.result, dice), sums: right.sums.clone() })
            }
            Kind::BareRight => Some(Self { kind, sums: Vec::new(), ..right }),
            Kind::BareWrong => {
                let result = near(right.result, dice);
                Some(Self { kind, sums: Vec::new(), result })
            }
        };
        // What goes wrong on the way may still end in the right number.
        match made {
            Some(made) if kind == Kind::BareRight || made.result != right.result => made,
            Some(_) | None => right,
        }
    }

    /// Whether the result is the right one.
    pub fn is_right(&self) -> bool {
        matches!(self.kind, Kind::Right | Kind::BareRight)
    }

    /// The answer as it is written.
    pub fn text(&self) -> String {
        let working = if self.sums.is_empty() { String::new() } else { line(&self.sums) + ".\n" };
        format!("{working}{RESULT}{}.", self.result)
    }
}

/// The result that an answer names, by whomever it was written.
pub fn result_of(answer: &str) -> Option<i64> {
    let behind = answer.rsplit_once(RESULT)?.1;
    let number = behind.trim().strip_suffix('.').unwrap_or(behind.trim());
    number.parse().ok()
}

/// Whether an answer names the right result.
pub fn is_right(exercise: &Exercise, answer: &str) -> bool {
    result_of(answer) == Some(exercise.value())
}

fn with_result(kind: Kind, sums: Vec<Sum>) -> Answer {
    let result = sums.last().expect("a working has a sum").result;
    Answer { kind, sums, result }
}

fn slip(exercise: &Exercise, dice: &mut Dice) -> Option<Vec<Sum>> {
    let steps = exercise.steps();
    let at = dice.below(steps.len());
    reckon(&steps, |i, sum| {
        let result = if i == at { slipped(&sum, dice) } else { sum.result };
        Some(Sum { result, ..sum })
    })
}

/// What a sum comes to when it slips: a neighbour in the table, a carry, a digit.
fn slipped(sum: &Sum, dice: &mut Dice) -> i64 {
    let Sum { left, op, right, result } = *sum;
    let neighbour = match op {
        Op::Times => dice.chance(60).then(|| result + if dice.chance(50) { left } else { -right }),
        Op::Power => dice.chance(40).then(|| left * right),
        Op::Plus | Op::Minus | Op::Over | Op::Log | Op::Root => None,
    };
    match neighbour {
        Some(wrong) if wrong != result && wrong > 0 => wrong,
        Some(_) | None => near(result, dice),
    }
}

/// A number that is not `right` but looks like it.
fn near(right: i64, dice: &mut Dice) -> i64 {
    let swapped = right % 10 * 10 + right / 10;
    if (10..100).contains(&right) && swapped >= 10 && swapped != right && dice.chance(15) {
        return swapped;
    }
    let by = *dice.pick(&[1, 1, 1, 2, 2, 3, 10, 10]);
    if right > by && dice.chance(50) { right - by } else { right + by }
}

fn other_operation(exercise: &Exercise, dice: &mut Dice) -> Option<Vec<Sum>> {
    let steps = exercise.steps();
    let at = dice.below(steps.len());
    reckon(&steps, |i, sum| {
        if i != at {
            return Some(sum);
        }
        let op = match sum.op {
            Op::Plus => *dice.pick(&[Op::Minus, Op::Times]),
            Op::Minus => Op::Plus,
            Op::Times => Op::Plus,
            Op::Over => Op::Minus,
            Op::Power => Op::Times,
            Op::Log | Op::Root => return None,
        };
        let result = op.apply(sum.left, sum.right)?;
        (0..1000).contains(&result).then_some(Sum { op, result, ..sum })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::exercise::Share;

    const KINDS: [Kind; 7] = [
        Kind::Right,
        Kind::Slip,
        Kind::OtherOperation,
        Kind::StopsEarly,
        Kind::Miscopied,
        Kind::BareRight,
        Kind::BareWrong,
    ];

    #[test]
    fn the_checker_agrees_with_what_was_made() {
        let mut dice = Dice::new(1);
        let mut n_of_kind = [0; KINDS.len()];
        for _ in 0..3_000 {
            let exercise = Exercise::draw(&mut dice, Share::Training);
            for (kind, n) in KINDS.into_iter().zip(&mut n_of_kind) {
                let answer = Answer::of_kind(&exercise, kind, &mut dice);
                assert_eq!(is_right(&exercise, &answer.text()), answer.is_right(), "{answer:?}");
                assert_eq!(result_of(&answer.text()), Some(answer.result));
                *n += usize::from(answer.kind == kind);
                let n_wrong = answer.sums.iter().filter(|sum| !sum.is_right()).count();
                assert_eq!(n_wrong, usize::from(answer.kind == Kind::Slip), "{answer:?}");
            }
        }
        assert!(n_of_kind.iter().all(|n| *n > 1_500), "{n_of_kind:?}");
    }

    #[test]
    fn an_answer_reads_like_one() {
        let exercise = Exercise::read("What is 3x + 4y when x = 5 and y = 6?").unwrap();
        let text = "3 * 5 = 15, 4 * 6 = 24, 15 + 24 = 39.\nThe answer is 39.";
        assert_eq!(Answer::right(&exercise).text(), text);
        assert!(is_right(&exercise, text));
        for wrong in ["", "39", "The answer is 38.", "The answer is 39 or 40.", "The answer is x."]
        {
            assert!(!is_right(&exercise, wrong), "{wrong}");
        }
    }
}
