//! How is a text written where somebody pastes it into a configuration or a filter?
//!
//! In: any text, also an attacker's. Out: a string of TOML that says the same and does nothing to a terminal.

use std::fmt::Write as _;

use crate::engine::record::kept::is_odd;

/// The text as it reads best: what has backslashes, as patterns have, stands between single quotes, where nothing means
/// anything else.
pub fn literal(text: &str) -> String {
    match text.contains('\\') && !text.contains('\'') && !text.contains(is_odd) {
        true => format!("'{text}'"),
        false => quoted(text),
    }
}

/// A text of several lines, as it stands; a text of one line as [`literal`] writes it.
pub fn block(text: &str) -> String {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || !is_odd(c);
    let has_lines = text.contains('\n');
    match has_lines && text.chars().all(is_plain) && !text.contains("'''") && !text.ends_with('\'')
    {
        true => format!("'''\n{text}'''"),
        false => literal(text),
    }
}

/// The text in quotes.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' | '\\' => quoted.extend(['\\', sign]),
            sign if is_odd(sign) => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(sign));
            }
            sign => quoted.push(sign),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quoted_text_is_read_as_it_was(text in any::<String>()) {
            let quoted = quoted(&text);
            prop_assert!(!quoted.contains(is_odd));
            let table: toml::Table = toml::from_str(&format!("x = {quoted}")).expect("TOML");
            prop_assert_eq!(table["x"].as_str(), Some(&*text));
            let ended = format!("{text}\n");
            for (written, said) in [(literal(&text), &text), (block(&text), &text), (block(&ended), &ended)] {
                let table: toml::Table = toml::from_str(&format!("x = {written}")).expect("TOML");
                prop_assert_eq!(table["x"].as_str(), Some(said.as_str()));
            }
        }
    }

    #[test]
    fn patterns_stay_readable() {
        assert_eq!(literal(r"^\d+$"), r"'^\d+$'");
        assert_eq!(literal(r"it's \d"), r#""it's \\d""#);
        assert_eq!(literal("\\\n"), r#""\\\u000A""#);
    }

    #[test]
    fn signs_that_turn_the_direction_of_writing_are_spelt_out() {
        assert_eq!(quoted("a\u{202e}b\u{1b}"), r#""a\u202Eb\u001B""#);
    }
}
