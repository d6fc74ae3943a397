//! Figures and texts as they stand on the page. Escaping is the template's and the charts' part.

use crate::pipeline::stats::{Correlation, Share};

/// A text that may have been cut.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Shown {
    /// What is shown of it.
    pub(super) text: String,
    /// Characters that are not shown.
    pub(super) n_more: usize,
}

/// Lines shown of one text.
const N_LINES_MAX: usize = 40;

/// The beginning of a text, with nothing in it that a page cannot show or that would change how
/// the page around it reads: control characters and those that turn the direction of writing
/// become visible.
pub(super) fn shown(text: &str, n_chars_max: usize) -> Shown {
    let mut kept = String::new();
    let (mut n_kept, mut n_lines) = (0, 1);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next_if(|_| n_kept < n_chars_max && n_lines <= N_LINES_MAX) {
        n_kept += 1;
        match c {
            '\n' => {
                n_lines += 1;
                kept.push('\n');
            }
            '\r' if rest.peek() == Some(&'\n') => {}
            '\t' => kept.push('\t'),
            '\0'..='\u{1f}' => kept.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => kept.push('\u{2421}'),
            '\u{80}'..='\u{9f}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{ffff}' => {
                kept.push('\u{fffd}');
            }
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                kept.push_str(&format!("[U+{:04X}]", u32::from(c)));
            }
            c if u32::from(c) & 0xfffe == 0xfffe => kept.push('\u{fffd}'),
            c => kept.push(c),
        }
    }
    let n_more = rest.count();
    if n_more > 0 {
        kept.truncate(kept.trim_end().len());
    }
    Shown { text: kept, n_more }
}

/// A text as one short line: names and labels.
pub(super) fn label(text: &str, n_chars_max: usize) -> String {
    let Shown { text, n_more } = shown(text, n_chars_max);
    let line = text.replace(['\n', '\t'], " ");
    if n_more > 0 { format!("{line}\u{2026}") } else { line }
}

/// `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with so many decimals and a real minus sign.
pub(super) fn number(value: f64, n_decimals: usize) -> String {
    let text = format!("{:.n_decimals$}", value.abs());
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    if value < 0.0 && !is_zero { format!("\u{2212}{text}") } else { text }
}

/// A number with its sign.
pub(super) fn signed(value: f64, n_decimals: usize) -> String {
    let text = number(value, n_decimals);
    if value > 0.0 && text.chars().any(|c| c.is_ascii_digit() && c != '0') {
        format!("+{text}")
    } else {
        text
    }
}

/// `79 %`, and `0.4 %` where a whole number would say too little.
pub(super) fn percent(share: f64) -> String {
    let value = 100.0 * share;
    let is_edge = (value > 0.0 && value < 9.95) || (value > 99.0 && value < 100.0);
    format!("{value:.*}\u{a0}%", usize::from(is_edge))
}

/// `70–85 %`, the interval of a share.
pub(super) fn interval(share: &Share) -> String {
    format!("{:.0}\u{2013}{:.0}\u{a0}%", 100.0 * share.low, 100.0 * share.high)
}

/// `0.31 (0.22 to 0.40)`.
pub(super) fn correlation(of: &Correlation) -> String {
    format!("{} ({} to {})", number(of.r, 2), number(of.low, 2), number(of.high, 2))
}

/// `3.2 s`, `4.1 min`, `2.0 h`.
pub(super) fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 99.95 => (s, "s"),
        s if s < 99.95 * 60.0 => (s / 60.0, "min"),
        s => (s / 3600.0, "h"),
    };
    format!("{value:.1}\u{a0}{unit}")
}

/// A moment, given in seconds since 1970.
pub(super) fn moment(seconds: f64) -> Option<String> {
    let moment = chrono::DateTime::from_timestamp(seconds as i64, 0)?;
    Some(moment.format("%-d %B %Y, %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_becomes_visible() {
        let text = "a\0b\u{1b}[31m\u{7f}\u{85}\u{202e}c\u{200f}\u{feff}\u{ffff}\r\nd\re\tf";
        let want = "a\u{2400}b\u{241b}[31m\u{2421}\u{fffd}[U+202E]c\u{200f}\u{feff}\u{fffd}\nd\u{240d}e\tf";
        assert_eq!(shown(text, 100), Shown { text: want.to_owned(), n_more: 0 });
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let long = shown(&"\u{1f600}".repeat(100_000), 900);
        assert_eq!((long.text.chars().count(), long.n_more), (900, 99_100));
        let tall = shown(&"x\n".repeat(1000), 900);
        assert_eq!((tall.text.lines().count(), tall.n_more), (N_LINES_MAX, 1000 * 2 - 80));
        assert_eq!(label("two\nlines", 5), "two l\u{2026}");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(7), count(1234), count(1_234_567)], ["7", "1,234", "1,234,567"]);
        assert_eq!(
            [percent(0.786), percent(0.004), percent(1.0)],
            ["79\u{a0}%", "0.4\u{a0}%", "100\u{a0}%"]
        );
        assert_eq!(
            [signed(0.25, 2), signed(-0.001, 2), signed(-1.5, 1)],
            ["+0.25", "0.00", "\u{2212}1.5"]
        );
        assert_eq!([duration(3.21), duration(245.0)], ["3.2\u{a0}s", "4.1\u{a0}min"]);
        assert_eq!(moment(1_700_000_000.0).unwrap(), "14 November 2023, 22:13 UTC");
    }
}
