//! Turns in an order that no chat template renders as meant.

use crate::data::lint::sample::{Sample, Turn};

pub(super) fn is_broken(sample: &Sample<'_>) -> bool {
    sample.answers().any(|answer| !follow(sample.prompt.iter().chain(answer)))
}

/// Whether turns follow each other: instructions at the start, then the user and the assistant in
/// turn, tools between the assistant's turns, the assistant last.
fn follow<'a>(turns: impl Iterator<Item = &'a Turn<'a>>) -> bool {
    let mut before = "";
    for turn in turns {
        let is_good = match turn.role {
            "system" | "developer" => before.is_empty() || before == "system",
            "user" => matches!(before, "" | "system" | "assistant"),
            "assistant" => matches!(before, "user" | "tool"),
            "tool" => matches!(before, "assistant" | "tool"),
            _ => false,
        };
        if !is_good {
            return false;
        }
        before = if turn.role == "developer" { "system" } else { turn.role };
    }
    before == "assistant"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_that_follow_each_other_do_and_others_do_not() {
        let check = |roles: &str, want: bool| {
            let turns: Vec<_> = roles.split(' ').map(|role| Turn::plain(role, Some("x"))).collect();
            assert_eq!(follow(turns.iter()), want, "{roles}");
        };
        check("user assistant", true);
        check("system user assistant user assistant", true);
        check("developer user assistant tool tool assistant", true);
        check("user", false);
        check("assistant", false);
        check("user user assistant", false);
        check("user assistant assistant", false);
        check("user system assistant", false);
        check("user assistant user", false);
        check("user bot", false);
        check("", false);
    }
}
