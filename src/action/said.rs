//! How is told what a program or a server has said?
//!
//! On one line, with nothing in it that a terminal or a log takes for more than text, and no more of it than names
//! a cause. Nothing here knows who said it.

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
