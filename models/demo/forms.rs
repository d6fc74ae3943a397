//! The forms that exercises take: how each reads, which numbers it may hold, how it is worked.
//!
//! A form's numbers are drawn one by one from ranges of their own (or from a table, where one must
//! be a multiple or a power of another), so that a small model can write well-formed exercises, and
//! so that there are far more of them than training can show.

use super::dice::Dice;
use super::topic::Topic;
use super::working::{Op, Step, Term};
use Op::{Log, Minus, Over, Plus, Power, Root, Times};
use Term::Result as Of;

/// One kind of exercise.
pub(super) struct Form {
    pub(super) topic: Topic,
    /// Texts with `{}` for each number, in the same order in all.
    pub(super) wordings: &'static [&'static str],
    /// Numbers that make a well-formed exercise.
    pub(super) draw: fn(&mut Dice) -> Vec<i64>,
    /// Whether numbers make a well-formed exercise.
    pub(super) holds: fn(&[i64]) -> bool,
    /// How it is worked; the last step gives the answer.
    pub(super) steps: fn(&[i64]) -> Vec<Step>,
}

/// Powers small enough to be known by heart: base and exponent.
const POWERS: [(i64, i64); 13] = [
    (2, 2),
    (2, 3),
    (2, 4),
    (2, 5),
    (2, 6),
    (3, 2),
    (3, 3),
    (4, 2),
    (4, 3),
    (5, 2),
    (6, 2),
    (7, 2),
    (8, 2),
];

fn power(dice: &mut Dice) -> (i64, i64) {
    *dice.pick(&POWERS)
}

fn is_power(base: i64, exponent: i64) -> bool {
    POWERS.contains(&(base, exponent))
}

fn is_square(number: i64) -> bool {
    (2..=15).any(|root| root * root == number)
}

fn step(left: Term, op: Op, right: Term) -> Step {
    Step { left, op, right }
}

fn given(number: i64) -> Term {
    Term::Given(number)
}

/// All numbers within `1..=most`.
fn small(numbers: &[i64], most: i64) -> bool {
    numbers.iter().all(|number| (1..=most).contains(number))
}

/// All forms; an exercise names its form by the position here.
pub(super) const FORMS: [Form; 19] = [
    Form {
        topic: Topic::AlgebraicExpressions,
        wordings: &[
            "Evaluate {}x + {}y for x = {} and y = {}.",
            "What is {}x + {}y when x = {} and y = {}?",
            "Find the value of {}x + {}y at x = {}, y = {}.",
        ],
        draw: |d| (0..4).map(|_| d.between(2, 9)).collect(),
        holds: |n| small(n, 12),
        steps: |n| {
            vec![
                step(given(n[0]), Times, given(n[2])),
                step(given(n[1]), Times, given(n[3])),
                step(Of(0), Plus, Of(1)),
            ]
        },
    },
    Form {
        topic: Topic::AlgebraicExpressions,
        wordings: &[
            "Evaluate {}(x - {}) for x = {}.",
            "What is {}(x - {}) when x = {}?",
            "Work out {}(x - {}) with x = {}.",
        ],
        draw: |d| vec![d.between(2, 9), d.between(1, 9), d.between(10, 15)],
        holds: |n| small(n, 30) && n[2] > n[1],
        steps: |n| vec![step(given(n[2]), Minus, given(n[1])), step(given(n[0]), Times, Of(0))],
    },
    Form {
        topic: Topic::LinearEquations,
        wordings: &[
            "Solve {}(x + {}) = {} for x.",
            "What is x if {}(x + {}) = {}?",
            "Find the x with {}(x + {}) = {}.",
        ],
        draw: |d| {
            let a = d.between(2, 9);
            vec![a, d.between(1, 9), a * d.between(10, 15)]
        },
        holds: |n| small(n, 200) && n[2] % n[0] == 0,
        steps: |n| vec![step(given(n[2]), Over, given(n[0])), step(Of(0), Minus, given(n[1]))],
    },
    Form {
        topic: Topic::LinearEquations,
        wordings: &[
            "Solve x / {} - {} = {} for x.",
            "What is x if x / {} - {} = {}?",
            "Find the x with x / {} - {} = {}.",
        ],
        draw: |d| vec![d.between(2, 9), d.between(1, 9), d.between(1, 6)],
        holds: |n| small(n, 30),
        steps: |n| vec![step(given(n[2]), Plus, given(n[1])), step(Of(0), Times, given(n[0]))],
    },
    Form {
        topic: Topic::QuadraticEquations,
        wordings: &[
            "Find the discriminant of x^2 + {}x + {} = 0.",
            "What is the discriminant of x^2 + {}x + {} = 0?",
            "Give the discriminant of the equation x^2 + {}x + {} = 0.",
        ],
        draw: |d| vec![d.between(7, 15), d.between(1, 12)],
        holds: |n| small(n, 15),
        steps: |n| {
            vec![
                step(given(n[0]), Power, given(2)),
                step(given(4), Times, given(n[1])),
                step(Of(0), Minus, Of(1)),
            ]
        },
    },
    Form {
        topic: Topic::QuadraticEquations,
        wordings: &[
            "Find the larger root of (x - {})^2 = {}.",
            "What is the larger solution of (x - {})^2 = {}?",
            "Solve (x - {})^2 = {} and give the larger root.",
        ],
        draw: |d| {
            let root = d.between(2, 12);
            vec![d.between(1, 20), root * root]
        },
        holds: |n| small(n, 225) && is_square(n[1]),
        steps: |n| vec![step(given(n[1]), Root, given(0)), step(given(n[0]), Plus, Of(0))],
    },
    Form {
        topic: Topic::PolynomialFunctions,
        wordings: &[
            "Let p(x) = x^2 + {}x + {}. Find p({}).",
            "For p(x) = x^2 + {}x + {}, what is p({})?",
            "Evaluate the polynomial x^2 + {}x + {} at x = {}.",
        ],
        draw: |d| vec![d.between(2, 9), d.between(1, 9), d.between(2, 9)],
        holds: |n| small(n, 12),
        steps: |n| {
            vec![
                step(given(n[2]), Power, given(2)),
                step(given(n[0]), Times, given(n[2])),
                step(Of(0), Plus, Of(1)),
                step(Of(2), Plus, given(n[1])),
            ]
        },
    },
    Form {
        topic: Topic::PolynomialFunctions,
        wordings: &[
            "Let q(x) = {}x^2 - {}. Find q({}).",
            "For q(x) = {}x^2 - {}, what is q({})?",
            "Evaluate the polynomial {}x^2 - {} at x = {}.",
        ],
        draw: |d| vec![d.between(2, 4), d.between(1, 7), d.between(2, 9)],
        holds: |n| small(n, 12),
        steps: |n| {
            vec![
                step(given(n[2]), Power, given(2)),
                step(given(n[0]), Times, Of(0)),
                step(Of(1), Minus, given(n[1])),
            ]
        },
    },
    Form {
        topic: Topic::RationalExpressions,
        wordings: &[
            "For x = {}, evaluate {} / x + {}.",
            "With x = {}, what is {} / x + {}?",
            "Take x = {} and find {} / x + {}.",
        ],
        draw: |d| {
            let x = d.between(2, 9);
            vec![x, x * d.between(2, 12), d.between(1, 20)]
        },
        holds: |n| small(n, 150) && n[1] % n[0] == 0,
        steps: |n| vec![step(given(n[1]), Over, given(n[0])), step(Of(0), Plus, given(n[2]))],
    },
    Form {
        topic: Topic::RationalExpressions,
        wordings: &[
            "Simplify (x^2 - {}) / (x - {}) and evaluate it at x = {}.",
            "What is (x^2 - {}) / (x - {}) for x = {}?",
            "Find the value of (x^2 - {}) / (x - {}) at x = {}.",
        ],
        draw: |d| {
            let root = d.between(2, 12);
            vec![root * root, root, d.between(13, 30)]
        },
        holds: |n| small(n, 225) && n[1] * n[1] == n[0] && n[2] != n[1],
        steps: |n| vec![step(given(n[0]), Root, given(0)), step(given(n[2]), Plus, Of(0))],
    },
    Form {
        topic: Topic::ExponentialFunctions,
        wordings: &[
            "Let f(x) = {}^x + {}. Find f({}).",
            "For f(x) = {}^x + {}, what is f({})?",
            "Evaluate {}^x + {} at x = {}.",
        ],
        draw: |d| {
            let (base, exponent) = power(d);
            vec![base, d.between(1, 30), exponent]
        },
        holds: |n| small(n, 40) && is_power(n[0], n[2]),
        steps: |n| vec![step(given(n[0]), Power, given(n[2])), step(Of(0), Plus, given(n[1]))],
    },
    Form {
        topic: Topic::ExponentialFunctions,
        wordings: &[
            "Let g(x) = {} * {}^x - {}. Find g({}).",
            "For g(x) = {} * {}^x - {}, what is g({})?",
            "Evaluate {} * {}^x - {} at x = {}.",
        ],
        draw: |d| {
            let (base, exponent) = power(d);
            vec![d.between(2, 3), base, d.between(1, 8), exponent]
        },
        holds: |n| small(n, 12) && is_power(n[1], n[3]),
        steps: |n| {
            vec![
                step(given(n[1]), Power, given(n[3])),
                step(given(n[0]), Times, Of(0)),
                step(Of(1), Minus, given(n[2])),
            ]
        },
    },
    Form {
        topic: Topic::LogarithmicFunctions,
        wordings: &[
            "Find {} * log_{}({}) + {}.",
            "What is {} * log_{}({}) + {}?",
            "Work out {} * log_{}({}) + {}.",
        ],
        draw: |d| {
            let (base, exponent) = power(d);
            let number = Power.apply(base, exponent).expect("a small power");
            vec![d.between(2, 9), base, number, d.between(1, 20)]
        },
        holds: |n| {
            small(n, 100)
                && POWERS.iter().any(|p| p.0 == n[1] && Power.apply(p.0, p.1) == Some(n[2]))
        },
        steps: |n| {
            vec![
                step(given(n[1]), Log, given(n[2])),
                step(given(n[0]), Times, Of(0)),
                step(Of(1), Plus, given(n[3])),
            ]
        },
    },
    Form {
        topic: Topic::LogarithmicFunctions,
        wordings: &[
            "Solve log_{}(x - {}) = {} for x.",
            "What is x if log_{}(x - {}) = {}?",
            "Find the x with log_{}(x - {}) = {}.",
        ],
        draw: |d| {
            let (base, exponent) = power(d);
            vec![base, d.between(1, 20), exponent]
        },
        holds: |n| small(n, 40) && is_power(n[0], n[2]),
        steps: |n| vec![step(given(n[0]), Power, given(n[2])), step(Of(0), Plus, given(n[1]))],
    },
    Form {
        topic: Topic::SequencesAndSeries,
        wordings: &[
            "An arithmetic sequence starts at {} and grows by {}. Find term {}.",
            "A sequence begins with {} and adds {} each time. What is term {}?",
            "Start at {} and add {} again and again. Give term {} of this sequence.",
        ],
        draw: |d| vec![d.between(1, 20), d.between(2, 9), d.between(4, 13)],
        holds: |n| small(n, 30) && n[2] > 1,
        steps: |n| {
            vec![
                step(given(n[2]), Minus, given(1)),
                step(Of(0), Times, given(n[1])),
                step(given(n[0]), Plus, Of(1)),
            ]
        },
    },
    Form {
        topic: Topic::SequencesAndSeries,
        wordings: &[
            "What is the sum of {} evenly spaced terms from {} to {}?",
            "Add {} evenly spaced terms that run from {} to {}.",
            "An arithmetic series has {} terms, the first {}, the last {}. Find its sum.",
        ],
        draw: |d| vec![2 * d.between(2, 5), d.between(1, 9), d.between(10, 20)],
        holds: |n| small(n, 30) && n[0] % 2 == 0,
        steps: |n| {
            vec![
                step(given(n[0]), Over, given(2)),
                step(given(n[1]), Plus, given(n[2])),
                step(Of(0), Times, Of(1)),
            ]
        },
    },
    Form {
        topic: Topic::Matrices,
        wordings: &[
            "Multiply the row [{}, {}] by the column [{}, {}].",
            "What is the row [{}, {}] times the column [{}, {}]?",
            "Find the product of the row [{}, {}] and the column [{}, {}].",
        ],
        draw: |d| (0..4).map(|_| d.between(1, 9)).collect(),
        holds: |n| small(n, 12),
        steps: |n| {
            vec![
                step(given(n[0]), Times, given(n[2])),
                step(given(n[1]), Times, given(n[3])),
                step(Of(0), Plus, Of(1)),
            ]
        },
    },
    Form {
        topic: Topic::Matrices,
        wordings: &[
            "Let A = [[{}, {}], [{}, {}]]. Find the trace of {}A.",
            "For A = [[{}, {}], [{}, {}]], what is the trace of {}A?",
            "Given A = [[{}, {}], [{}, {}]], work out the trace of {}A.",
        ],
        draw: |d| {
            let mut numbers: Vec<i64> = (0..4).map(|_| d.between(1, 9)).collect();
            numbers.push(d.between(2, 5));
            numbers
        },
        holds: |n| small(n, 12),
        steps: |n| vec![step(given(n[0]), Plus, given(n[3])), step(given(n[4]), Times, Of(0))],
    },
    Form {
        topic: Topic::Determinants,
        wordings: &[
            "Find the determinant of [[{}, {}], [{}, {}]].",
            "What is the determinant of [[{}, {}], [{}, {}]]?",
            "Work out the determinant of the matrix with rows [{}, {}] and [{}, {}].",
        ],
        draw: |d| vec![d.between(5, 9), d.between(1, 5), d.between(1, 5), d.between(5, 9)],
        holds: |n| small(n, 12),
        steps: |n| {
            vec![
                step(given(n[0]), Times, given(n[3])),
                step(given(n[1]), Times, given(n[2])),
                step(Of(0), Minus, Of(1)),
            ]
        },
    },
];
