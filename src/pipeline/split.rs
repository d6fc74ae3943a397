//! Which prompts are kept for testing.
//!
//! A prompt's own hash decides, so that all rows of a prompt are on one side, in every leaf, run and
//! machine, and a larger share only adds prompts to the test side. Neither the seed nor the data
//! beside it has a say.

use serde_json::Value;

use crate::data::row::Columns;
use crate::text::near::normalise;

/// Columns that hold a row's prompt, the first that is there.
const PROMPTS: [&str; 3] = ["prompt", "instruction", "input"];

/// Whether a row belongs to the test side when `share` of the prompts do.
pub(super) fn is_test(row: &Columns, share: f64) -> bool {
    place(row) < share
}

/// The place of a row's prompt among all prompts, from 0 to 1. A row without a prompt is its own.
fn place(row: &Columns) -> f64 {
    let prompt = PROMPTS.iter().find_map(|column| row.get(*column)).filter(|text| !text.is_null());
    let text = match prompt {
        Some(Value::String(text)) => normalise(text).into_owned(),
        Some(other) => other.to_string(),
        None => serde_json::to_string(row).expect("columns are plain JSON"),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"split\0").update(text.as_bytes());
    let mut bits = [0; 8];
    bits.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    (u64::from_le_bytes(bits) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(row: Value) -> Columns {
        row.as_object().unwrap().clone()
    }

    #[test]
    fn a_prompt_has_one_side_whatever_stands_beside_it() {
        let pair = |prompt: &str, chosen: &str| row(json!({"prompt": prompt, "chosen": chosen}));
        for i in 0..50 {
            let prompt = format!("What is {i}?");
            let side = is_test(&pair(&prompt, "a"), 0.3);
            assert_eq!(is_test(&pair(&prompt, "b"), 0.3), side);
            assert_eq!(is_test(&pair(&format!(" What  is\n{i}? "), "a"), 0.3), side);
            assert_eq!(is_test(&row(json!({"instruction": prompt})), 0.3), side);
        }
    }

    #[test]
    fn a_share_is_a_share_and_a_larger_one_takes_more() {
        let rows: Vec<_> = (0..4000).map(|i| row(json!({"prompt": format!("{i}")}))).collect();
        let test = |share| rows.iter().map(|row| is_test(row, share)).collect::<Vec<_>>();
        let (few, many) = (test(0.05), test(0.2));
        let n_few = few.iter().filter(|is_test| **is_test).count();
        // 200 expected, with a deviation of 14.
        assert!((150..250).contains(&n_few), "{n_few}");
        assert!(few.iter().zip(&many).all(|(few, many)| many >= few));
        assert!(test(0.0).iter().all(|is_test| !is_test));
    }
}
