//! What a judge should say of an answer: its own working, what the answer has, and the fault.

use super::answer::{Answer, Kind};
use super::exercise::Exercise;
use super::working::{Sum, line};

/// A rating and its reason, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// 1 to 5.
    pub rating: u8,
    /// The working, then the fault.
    pub reason: String,
}

/// The verdict on the answer that is shown at `position` (from 0).
///
/// The exercise is worked once, at the first answer, and the others are held against it.
pub fn verdict(exercise: &Exercise, answer: &Answer, position: usize) -> Verdict {
    let own = exercise.working();
    let value = exercise.value();
    let worked = if position == 0 {
        format!("{}. It is {value}", line(&own))
    } else {
        format!("It is {value} as above")
    };
    let (rating, fault) = match answer.kind {
        Kind::Right => (5, "right".to_owned()),
        Kind::BareRight => (4, "right, without working".to_owned()),
        Kind::Slip => (2, slip(answer)),
        Kind::Miscopied => (2, "its working ends otherwise".to_owned()),
        Kind::OtherOperation => (1, other_operation(&own, answer)),
        Kind::StopsEarly => (1, format!("it leaves out {}", last(&own).question())),
        Kind::BareWrong => (1, "wrong, without working".to_owned()),
    };
    Verdict { rating, reason: format!("{worked}; the answer has {}: {fault}.", answer.result) }
}

fn slip(answer: &Answer) -> String {
    let wrong = answer.sums.iter().find(|sum| !sum.is_right()).expect("a slip is a wrong sum");
    format!("{} is not {}", wrong.question(), wrong.result)
}

fn other_operation(own: &[Sum], answer: &Answer) -> String {
    let (due, taken) = own
        .iter()
        .zip(&answer.sums)
        .find(|(due, taken)| due.op != taken.op)
        .expect("another operation was taken");
    format!("it takes {} for {}", taken.question(), due.question())
}

fn last(sums: &[Sum]) -> &Sum {
    sums.last().expect("a working has a sum")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::dice::Dice;

    #[test]
    fn a_verdict_names_the_fault() {
        let exercise = Exercise::read("Solve 3(x + 4) = 45 for x.").unwrap();
        let of = |kind, position| {
            verdict(&exercise, &Answer::of_kind(&exercise, kind, &mut Dice::new(1)), position)
        };
        let right = of(Kind::Right, 0);
        assert_eq!(right.reason, "45 / 3 = 15, 15 - 4 = 11. It is 11; the answer has 11: right.");
        assert_eq!(right.rating, 5);
        let early = of(Kind::StopsEarly, 1);
        assert_eq!(early.reason, "It is 11 as above; the answer has 15: it leaves out 15 - 4.");
        assert_eq!(early.rating, 1);
        let other = of(Kind::OtherOperation, 1);
        assert!(other.reason.contains("it takes "), "{other:?}");
        assert!(of(Kind::Slip, 0).reason.contains(" is not "));
    }
}
