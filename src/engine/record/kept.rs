//! In which form is foreign text kept?
//!
//! Users and log lines are text of the attacker's choice. They are kept short, and without control
//! characters: whoever reads the database, by whatever program, cannot be tricked by his terminal, and a
//! NUL cannot hide what follows it.

use std::borrow::Cow;
use std::fmt::Write;

/// How many bytes of a line, a user or a session are kept: a kilobyte tells any failure, and an attacker
/// decides how long they are.
pub const LONGEST_TEXT: usize = 1024;

/// `text` as it is kept: at most [`LONGEST_TEXT`] bytes, control characters as `\xNN`.
pub fn kept(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_TEXT && (is_plain(text) || !text.contains(char::is_control)) {
        return Cow::Borrowed(text);
    }
    let mut short = String::with_capacity(text.len().min(LONGEST_TEXT));
    for character in text.chars() {
        let length = short.len();
        if character.is_control() {
            // Control characters lie below U+00A0: two digits always do.
            let _ = write!(short, "\\x{:02x}", u32::from(character));
        } else {
            short.push(character);
        }
        if short.len() > LONGEST_TEXT {
            short.truncate(length);
            break;
        }
    }
    Cow::Owned(short)
}

/// Whether there is nothing but signs of ASCII that can be seen, as in nearly all lines. All bytes are looked at, whatever
/// they are: many at a time that way.
fn is_plain(text: &str) -> bool {
    let bytes = text.bytes();
    bytes.fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Whether a sign only turns the direction of writing: it would put the attacker's letters among ours.
pub fn turns(sign: char) -> bool {
    matches!(sign, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a sign does something to a terminal instead of being seen.
pub fn is_odd(sign: char) -> bool {
    sign.is_control() || turns(sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_are_spelt_out() {
        assert_eq!(kept("root"), "root");
        assert_eq!(kept("a\0b\x1b[2J\u{9b}ü"), "a\\x00b\\x1b[2J\\x9bü");
    }

    proptest! {
        #[test]
        fn kept_text_is_short_and_plain(text in "(?s).{0,2000}") {
            let once = kept(&text);
            prop_assert!(once.len() <= LONGEST_TEXT);
            prop_assert!(!once.contains(char::is_control));
            prop_assert_eq!(&*kept(&once), &*once);
        }
    }
}
