//! What of a text is left in a line before its date is cut out?
//!
//! In: texts that must stand in a line without its date. Out: texts that stand in the whole line, wherever the date was.

use crate::engine::filter::literal::{SHORTEST, Texts};

/// The same options for lines in which a date still stands: perhaps in the middle of a text. If it stands next to no letter
/// or digit, unless `may_cut_words`, that is only between two other signs.
pub(super) fn around_dates(options: Vec<Texts>, may_cut_words: bool) -> Vec<Texts> {
    let kept = |text: &Vec<u8>| match may_cut_words {
        // It is cut once, so one half is whole.
        true => {
            let (first, second) = text.split_at(text.len() / 2);
            vec![first.to_vec(), second.to_vec()]
        }
        false => vec![longest_uncut(text).to_vec()],
    };
    let options = options
        .iter()
        .map(|texts| texts.iter().flat_map(kept).collect::<Texts>());
    options
        .filter(|texts| texts.iter().all(|text| text.len() >= SHORTEST))
        .collect()
}

/// The longest part in which no two signs follow each other.
fn longest_uncut(text: &[u8]) -> &[u8] {
    let mut parts = text.chunk_by(|one, next| is_word(*one) || is_word(*next));
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |longest, part| {
        if part.len() > longest.len() {
            part
        } else {
            longest
        }
    })
}

/// Whether no date ends or begins next to it.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_signs() {
        let of = |text: &str, may_cut_words| {
            let options = vec![vec![text.as_bytes().to_vec()]];
            let texts = around_dates(options, may_cut_words).into_iter().flatten();
            let texts = texts.map(|text| String::from_utf8(text).expect("text"));
            texts.collect::<Vec<_>>()
        };
        assert_eq!(of("failed password for", false), ["failed password for"]);
        assert_eq!(of("{} \"get /", false), ["\"get "]);
        assert_eq!(of("{} \"g", false), Vec::<String>::new());
        assert_eq!(of("ts=\"\" denied", true), ["ts=\"\" ", "denied"]);
        assert_eq!(of("denied", true), Vec::<String>::new());
    }
}
