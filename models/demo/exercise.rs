//! An exercise: a form and its numbers, written as a sentence and read back from one.
//!
//! Reading is the checker of what a model wrote: a sentence that no form has, or whose numbers make
//! no sense, is no exercise. One exercise in ten, told by its numbers alone, is kept from training
//! in whatever words it is put.

use super::dice::Dice;
use super::forms::{FORMS, Form};
use super::topic::Topic;
use super::working::{Step, Sum, reckon};

/// Part of the exercises that training never sees: one in this many.
const HELD_OUT: u64 = 10;

/// A form and its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Exercise {
    form: usize,
    numbers: Vec<i64>,
}

/// Which exercises are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Those that models may learn from.
    Training,
    /// Those that they are measured on.
    HeldOut,
}

impl Exercise {
    /// An exercise of any topic.
    pub fn draw(dice: &mut Dice, share: Share) -> Self {
        let topic = *dice.pick(&Topic::ALL);
        Self::of_topic(topic, dice, share)
    }

    /// An exercise of one topic.
    pub fn of_topic(topic: Topic, dice: &mut Dice, share: Share) -> Self {
        let forms: Vec<usize> =
            (0..FORMS.len()).filter(|form| FORMS[*form].topic == topic).collect();
        loop {
            let form = *dice.pick(&forms);
            let exercise = Self { form, numbers: (FORMS[form].draw)(dice) };
            if exercise.share() == share {
                return exercise;
            }
        }
    }

    /// The exercise that a text is, if it is one, up to surrounding space.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        FORMS.iter().enumerate().find_map(|(form, known)| {
            let numbers = known.wordings.iter().find_map(|wording| numbers(wording, text))?;
            (known.holds)(&numbers).then_some(Self { form, numbers })
        })
    }

    /// The exercise in one of its wordings.
    pub fn text(&self, dice: &mut Dice) -> String {
        let mut parts = dice.pick(self.form().wordings).split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (number, part) in self.numbers.iter().zip(parts) {
            text.push_str(&number.to_string());
            text.push_str(part);
        }
        text
    }

    /// What it is about.
    pub fn topic(&self) -> Topic {
        self.form().topic
    }

    /// Whether training may show it.
    pub fn share(&self) -> Share {
        let mut dice = Dice::new(self.form as u64);
        for number in &self.numbers {
            dice = Dice::nth(dice.bits(), number.unsigned_abs());
        }
        if dice.bits().is_multiple_of(HELD_OUT) { Share::HeldOut } else { Share::Training }
    }

    /// The right working.
    pub fn working(&self) -> Vec<Sum> {
        reckon(&self.steps(), |_, sum| Some(sum)).expect("a well-formed exercise comes out whole")
    }

    /// The right result.
    pub fn value(&self) -> i64 {
        self.working().last().expect("every form has a step").result
    }

    /// What is to be reckoned.
    pub(super) fn steps(&self) -> Vec<Step> {
        (self.form().steps)(&self.numbers)
    }

    fn form(&self) -> &'static Form {
        &FORMS[self.form]
    }
}

/// The numbers that stand in the places of `wording`, if the text is in this wording.
fn numbers(wording: &str, text: &str) -> Option<Vec<i64>> {
    let mut parts = wording.split("{}");
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut numbers = Vec::new();
    for part in parts {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, behind) = rest.split_at(n_digits);
        if digits.len() > 4 || (digits.starts_with('0') && digits.len() > 1) {
            return None;
        }
        numbers.push(digits.parse().ok()?);
        rest = behind.strip_prefix(part)?;
    }
    rest.is_empty().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut dice = Dice::new(1);
        for _ in 0..5_000 {
            let exercise = Exercise::draw(&mut dice, Share::Training);
            let text = exercise.text(&mut dice);
            assert_eq!(Exercise::read(&text).as_ref(), Some(&exercise), "{text}");
            assert!(exercise.working().iter().all(Sum::is_right), "{text}");
            assert!((0..1000).contains(&exercise.value()), "{text}: {}", exercise.value());
        }
    }

    #[test]
    fn nonsense_is_no_exercise() {
        let nonsense = [
            "",
            "Solve it.",
            "Solve 3(x + 4) = 50 for x.",
            "Solve 3(x + 4) = 45 for y.",
            "Solve 3(x + 4) = 45 for x. Why?",
            "Solve 03(x + 4) = 45 for x.",
            "Find the larger root of (x - 3)^2 = 50.",
            "Find 4 * log_2(9) + 1.",
        ];
        for text in nonsense {
            assert_eq!(Exercise::read(text), None, "{text}");
        }
        assert_eq!(Exercise::read("Solve 3(x + 4) = 45 for x.").map(|e| e.value()), Some(11));
        assert_eq!(Exercise::read("Find 4 * log_2(8) + 1.").map(|e| e.value()), Some(13));
    }

    #[test]
    fn a_tenth_of_every_form_is_held_out_whatever_its_words() {
        for (form, known) in FORMS.iter().enumerate() {
            let mut dice = Dice::new(2);
            let drawn: HashSet<Exercise> =
                (0..20_000).map(|_| Exercise { form, numbers: (known.draw)(&mut dice) }).collect();
            let n_held = drawn.iter().filter(|e| e.share() == Share::HeldOut).count();
            let share = n_held as f64 / drawn.len() as f64;
            assert!((0.02..0.2).contains(&share), "form {form}: {n_held} of {}", drawn.len());
            assert!(drawn.len() >= 90, "form {form}: {} exercises", drawn.len());
        }
    }

    #[test]
    fn every_topic_has_exercises() {
        for topic in Topic::ALL {
            let exercise = Exercise::of_topic(topic, &mut Dice::new(3), Share::HeldOut);
            assert_eq!(exercise.topic(), topic);
            assert_eq!(exercise.share(), Share::HeldOut);
        }
    }
}
