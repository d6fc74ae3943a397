//! Properties of normalising, of likeness, and of the index against looking at every pair.

use std::collections::BTreeSet;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// Any text, often with what normalising is about.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab \n\u{301}\u{200b}\u{1100}\u{1161}\u{11a8}]{0,12}",
        "( |\n|\r\n|\u{a0}|\u{2002}|\u{3000}|\u{feff}|\u{ad}|e\u{301}|[a-e]){0,12}",
        any::<String>(),
    ]
}

/// A text of a few dozen words out of a small vocabulary, drawn from `state`.
fn words(state: &mut u64, n: usize) -> Vec<String> {
    let word = |_| {
        *state = mix(*state);
        let letter = |i: u64| char::from(b'a' + (mix(*state % 500 + i * 1000) % 26) as u8);
        (0..3 + *state % 5).map(letter).collect()
    };
    (0..n).map(word).collect()
}

fn jaccard_by_sets(a: &str, b: &str) -> f64 {
    let set = |text: &str| -> BTreeSet<String> {
        let chars: Vec<char> = normalise(text).chars().flat_map(char::to_lowercase).collect();
        let size = chars.len().clamp(1, 5);
        chars.windows(size).map(|chars| chars.iter().collect()).collect()
    };
    let (a, b) = (set(a), set(b));
    let n_either = a.union(&b).count();
    if n_either == 0 { 1.0 } else { a.intersection(&b).count() as f64 / n_either as f64 }
}

proptest! {
    #[test]
    fn normalising_twice_is_normalising_once(text in any_text()) {
        let once = normalise(&text).into_owned();
        prop_assert_eq!(normalise(&once), once.as_str());
        prop_assert!(!once.contains("  ") && once.trim() == once, "{:?}", once);
        prop_assert!(!once.chars().any(is_shapeless));
    }

    #[test]
    fn blanks_and_encodings_are_not_seen(
        parts in proptest::collection::vec("[a-e\u{e9}\u{c5}]{1,4}", 0..6),
    ) {
        let plain = parts.join(" ");
        let odd: String = parts.join("\r\n\t ").nfd().map(|(c, _)| c).collect();
        let odd = format!("\u{feff} {odd}\u{200b}\n");
        prop_assert_eq!(normalise(&odd), plain.as_str());
        prop_assert!(matches!(normalise(&plain), Cow::Borrowed(_)), "a tidy text is not copied");
    }

    #[test]
    fn likeness_is_the_jaccard_index_of_the_shingles(a in any_text(), b in any_text()) {
        let (left, right) = (Shingles::of(&a), Shingles::of(&b));
        let jaccard = left.jaccard(&right);
        prop_assert_eq!(jaccard, jaccard_by_sets(&a, &b));
        prop_assert_eq!(jaccard, right.jaccard(&left));
        prop_assert_eq!(left.jaccard(&left), 1.0);
    }

    #[test]
    fn a_sketch_is_full_and_the_same_each_time(text in any_text(), seed in any::<u64>()) {
        let shingles = Shingles::of(&text);
        let sketch = shingles.sketch(seed);
        prop_assert_eq!(sketch.len(), if shingles.hashes.is_empty() { 0 } else { N_SLOTS });
        prop_assert_eq!(sketch, Shingles::of(&text).sketch(seed));
    }
}

#[test]
fn meaning_is_kept() {
    for (a, b) in
        [("True", "true"), ("x\u{b2}", "x2"), ("a b", "ab"), ("2-2", "2+2"), ("1.0", "10")]
    {
        assert_ne!(normalise(a), normalise(b));
    }
    // A joiner shapes the letters beside it.
    assert_ne!(normalise("\u{1f468}\u{200d}\u{1f469}"), normalise("\u{1f468}\u{1f469}"));
    assert_eq!(Shingles::of("WHAT is 2?"), Shingles::of("what\nIs  2?"));
}

#[test]
fn sketches_agree_as_often_as_the_texts_are_alike() {
    let mut state = 7;
    for (n_words, n_changed) in [(3, 1), (40, 2), (40, 10), (400, 100)] {
        let (mut found, mut wanted) = (0.0, 0.0);
        let n_pairs = 60;
        for seed in 0..n_pairs {
            let text = words(&mut state, n_words);
            let mut other = text.clone();
            other[..n_changed].clone_from_slice(&words(&mut state, n_changed));
            let [a, b] = [text, other].map(|words| Shingles::of(&words.join(" ")));
            let (left, right) = (a.sketch(seed), b.sketch(seed));
            let n_equal = left.iter().zip(&right).filter(|(a, b)| a == b).count();
            found += n_equal as f64 / N_SLOTS as f64;
            wanted += a.jaccard(&b);
        }
        let error = (found - wanted).abs() / n_pairs as f64;
        // Four standard errors of a mean over 60 * 128 draws.
        assert!(error < 0.025, "{n_words} words: off by {error}");
    }
}

/// What the index says of texts in order: for each, the one before that it duplicates.
fn by_index(texts: &[Shingles], threshold: f64, seed: u64) -> Vec<Option<Near>> {
    let mut index = NearIndex::new(threshold, seed);
    let fetch = |number: u32| Ok::<_, Infallible>(texts[number as usize].clone());
    let find = |(number, text)| match index.find_or_insert(number, text, fetch) {
        Ok(near) => near,
    };
    (0..).zip(texts).map(find).collect()
}

#[test]
fn the_index_finds_what_looking_at_every_pair_finds() {
    let mut state = 11;
    for threshold in [0.5, 0.8, 0.9, 1.0] {
        let mut texts: Vec<Vec<String>> = Vec::new();
        for i in 0..300 {
            let mut text = match i % 3 {
                0 => words(&mut state, 25),
                _ => texts[i - 1].clone(),
            };
            if i % 3 == 1 {
                text[12] = words(&mut state, 1).remove(0);
            }
            texts.push(text);
        }
        let texts: Vec<Shingles> =
            texts.iter().map(|words| Shingles::of(&words.join(" "))).collect();
        let found = by_index(&texts, threshold, 3);
        assert_eq!(found, by_index(&texts, threshold, 3));
        let (mut n_pairs, mut n_missed) = (0, 0);
        for (i, near) in found.iter().enumerate() {
            let kept = (0..i).filter(|before| found[*before].is_none());
            let likest = kept
                .map(|before| (texts[i].jaccard(&texts[before]), before))
                .filter(|(jaccard, _)| *jaccard >= threshold)
                .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
            if let Some(near) = near {
                assert_eq!(near.jaccard, texts[i].jaccard(&texts[near.number as usize]));
                assert!(near.jaccard >= threshold, "nothing is called alike that is not");
            }
            n_pairs += usize::from(likest.is_some());
            let wanted = likest.map(|(_, before)| before);
            n_missed += usize::from(near.map(|near| near.number as usize) != wanted);
        }
        assert!(n_pairs >= 100, "{n_pairs} pairs at {threshold} show little");
        assert_eq!(n_missed, 0, "of {n_pairs} at {threshold}");
    }
}

#[test]
fn bands_miss_one_in_a_thousand_at_most() {
    assert_eq!([0.3, 0.5, 0.8, 0.9, 1.0].map(band_slots), [1, 2, 5, 8, 128]);
}

#[test]
fn texts_out_of_one_mould_do_not_make_it_slow() {
    // All share most shingles, none is a duplicate: without limits, five thousand comparisons each.
    let mould = "Compute the sum of these numbers and explain each of your steps in a sentence: ";
    let text = |i: u64| {
        let [a, b, c] = [1, 2, 3].map(|k| mix(i * 7 + k));
        Shingles::of(&format!("{mould}{a} {b} {c}"))
    };
    let mut index = NearIndex::new(0.95, 1);
    let mut n_fetched = 0;
    for i in 0..1000_u32 {
        let fetch = |number: u32| {
            n_fetched += 1;
            Ok::<_, Infallible>(text(number.into()))
        };
        let Ok(near) = index.find_or_insert(i, &text(i.into()), fetch);
        assert_eq!(near, None);
    }
    assert!(n_fetched <= 1000 * N_COMPARED_MAX, "{n_fetched}");
    assert!(index.buckets.values().all(|(_, n_links)| *n_links <= N_BUCKET_MAX));
}
