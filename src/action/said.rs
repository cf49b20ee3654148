//! How is told what a program or a server has said?
//!
//! On one line, with nothing in it that a terminal or a log takes for more than text, and no more of it than names
//! a cause. Nothing here knows who said it.

use std::cmp::Reverse;

/// The beginning of what was said, at most `most` bytes of it, as one line of printable text; empty if it says
/// nothing.
pub fn one_line(said: &[u8], most: usize) -> String {
    let beginning = &said[..said.len().min(most)];
    let text = String::from_utf8_lossy(beginning);
    let printable = text.replace(is_not_shown, " ");
    let mut words = printable.split_whitespace();
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        line.push(' ');
        line.push_str(word);
    }
    line
}

/// How short a word must be not to count as a secret: words that everybody uses.
const SHORTEST_SECRET: usize = 6;

/// A text without what the other side may have repeated of what it was told in confidence.
pub fn without<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut secrets: Vec<&str> = secrets.into_iter().collect();
    secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
    // One may be a part of another.
    secrets.sort_by_key(|secret| Reverse(secret.len()));
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(secret, "…");
    }
    text
}

/// Whether a character is no text of its own but tells what shows it to do something: controls, and the marks that
/// turn the direction of writing.
pub fn is_not_shown(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_become_one() {
        assert_eq!(
            one_line(b"  Error:\r\n\tno\x1b[31m such \n", 600),
            "Error: no [31m such"
        );
        assert_eq!(one_line(b"abcdef", 3), "abc");
        assert_eq!(one_line(b"\n \n", 600), "");
        assert_eq!(one_line("a\u{202e}b".as_bytes(), 600), "a b");
    }

    #[test]
    fn a_secret_is_not_told_back() {
        let text = without(
            "no such token 123456789 or 123456",
            ["123456", "123456789", "no"],
        );
        assert_eq!(text, "no such token … or …");
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_printable(said in proptest::collection::vec(any::<u8>(), 0..200), most in 0usize..200) {
            let line = one_line(&said, most);
            prop_assert!(!line.contains(is_not_shown), "{line:?}");
            // A byte that is no text is shown by a character of three.
            prop_assert!(line.len() <= 3 * most);
        }
    }
}
