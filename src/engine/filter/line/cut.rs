//! What of a text is left in a line before its date is cut out?
//!
//! In: texts that must stand in a line without its date. Out: texts that stand in the whole line, wherever the date was.

use crate::engine::filter::literal::{SHORTEST, Texts};
use crate::engine::record::date::template::joint::{Joint, is_word};

/// The same options for lines in which a date still stands: perhaps in the middle of a text, at such a joint.
pub(super) fn around_dates(options: Vec<Texts>, joint: Joint) -> Vec<Texts> {
    let kept = |text: &Vec<u8>| {
        let uncut = longest_uncut(text, joint);
        if uncut.len() >= text.len() / 2 {
            return vec![uncut.to_vec()];
        }
        // It is cut once, so one half is whole.
        let (first, second) = text.split_at(text.len() / 2);
        vec![first.to_vec(), second.to_vec()]
    };
    let options = options
        .iter()
        .map(|texts| texts.iter().flat_map(kept).collect::<Texts>());
    options
        .filter(|texts| texts.iter().all(|text| text.len() >= SHORTEST))
        .collect()
}

/// The longest part in which there is no such joint.
fn longest_uncut(text: &[u8], joint: Joint) -> &[u8] {
    let is_uncut = |one: &u8, next: &u8| {
        is_word(*one) && !joint.word_before || is_word(*next) && !joint.word_behind
    };
    let mut parts = text.chunk_by(is_uncut);
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |longest, part| {
        if part.len() > longest.len() {
            part
        } else {
            longest
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_signs() {
        let of = |text: &str, word_before, word_behind| {
            let options = vec![vec![text.as_bytes().to_vec()]];
            let joint = Joint {
                word_before,
                word_behind,
            };
            let texts = around_dates(options, joint).into_iter().flatten();
            let texts = texts.map(|text| String::from_utf8(text).expect("text"));
            texts.collect::<Vec<_>>()
        };
        let failed = "failed password for";
        assert_eq!(of(failed, false, false), [failed]);
        assert_eq!(of(failed, true, false), [" password"]);
        assert_eq!(of(failed, false, true), ["password "]);
        assert_eq!(of(failed, true, true), ["failed pa", "ssword for"]);
        assert_eq!(of("{} \"get /", false, false), ["\"get "]);
        assert_eq!(of("{} \"g", false, false), Vec::<String>::new());
        assert_eq!(of("a b c d e f", true, false), ["a b c", " d e f"]);
        assert_eq!(of("ts=\"\" denied", true, true), ["ts=\"\" ", "denied"]);
        assert_eq!(of("denied", true, true), Vec::<String>::new());
    }
}
