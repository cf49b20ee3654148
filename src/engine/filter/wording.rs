//! Do two lines say the same of different people?
//!
//! In: lines of logs. Out: whether a program has written both by the same format, as far as a look at the words can tell.
//! A guess, for samples that should not show one wording many times; nothing is ever counted by it.

/// Of so many words one may be another one: a name that somebody chose, in a line that says the same.
const WORDS_TO_A_NAME: usize = 4;

/// Whether two lines have the same wording: as many words, nearly all of them the same. Words that hold a digit or what is
/// no letter of ASCII are like each other, and so is whatever stands in quotation marks, but in an object of JSON, where
/// everything does.
pub fn alike(one: &[u8], other: &[u8]) -> bool {
    let (mut ones, mut others) = (Words::of(one), Words::of(other));
    let (mut count, mut different) = (0, 0);
    loop {
        match (ones.next(), others.next()) {
            (Some(one), Some(other)) => {
                count += 1;
                different += usize::from(one != other);
            }
            (None, None) => return different * WORDS_TO_A_NAME <= count,
            _ => return false,
        }
    }
}

/// A word that matters, or the place of one that differs from line to line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word<'l> {
    Fixed(&'l [u8]),
    Any,
}

/// The words of a line.
struct Words<'l> {
    rest: &'l [u8],
    is_object: bool,
}

impl<'l> Words<'l> {
    fn of(line: &'l [u8]) -> Self {
        Words {
            rest: line,
            is_object: line.starts_with(b"{"),
        }
    }

    fn ends_word(&self, byte: u8) -> bool {
        let is_sign = matches!(byte, b',' | b';' | b'=' | b'(' | b')' | b'<' | b'>')
            || matches!(byte, b'[' | b']' | b'{' | b'}');
        is_sign || byte.is_ascii_whitespace() || self.is_object && matches!(byte, b'"' | b':')
    }
}

impl<'l> Iterator for Words<'l> {
    type Item = Word<'l>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.rest.iter().position(|byte| !self.ends_word(*byte))?;
        self.rest = &self.rest[start..];
        if let quote @ (b'"' | b'\'' | b'`') = self.rest[0] {
            let closing = if quote == b'`' { b'\'' } else { quote };
            let end = self.rest[1..]
                .iter()
                .position(|byte| *byte == closing || *byte == quote);
            // One that nothing closes is a part of the line that was cut.
            let end = end.map_or(self.rest.len(), |end| end + 2);
            self.rest = &self.rest[end..];
            return Some(Word::Any);
        }
        let end = self.rest.iter().position(|byte| self.ends_word(*byte));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let is_any = |byte: &u8| byte.is_ascii_digit() || !byte.is_ascii_graphic() || *byte == b'@';
        Some(match word.iter().any(is_any) {
            true => Word::Any,
            false => Word::Fixed(word),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_differ_and_wordings_do_not() {
        for (one, other) in [
            ("", ""),
            (
                "Login of jo refused for 192.0.2.7 port 22",
                "Login of ann refused for 2001:db8::7 port 4711",
            ),
            (
                "denied \"a b c\" from 192.0.2.7",
                "denied \"\" from 192.0.2.8",
            ),
            ("no user `a b' here 1", "no user `x' here 2"),
            (
                r#"{"ip":"192.0.2.7","error":"wrong key","user":"jo"}"#,
                r#"{"ip":"192.0.2.8","error":"wrong key","user":"ann"}"#,
            ),
        ] {
            assert!(alike(one.as_bytes(), other.as_bytes()), "{one} / {other}");
        }
        for (one, other) in [
            ("a", ""),
            ("a b c", "a b d"),
            (
                "Login of jo refused for 192.0.2.7",
                "Login of jo refused for 192.0.2.7 again",
            ),
            (
                "invalid user jo from 192.0.2.7",
                "unknown host ann at 192.0.2.7",
            ),
            (
                r#"{"ip":"192.0.2.7","error":"wrong key"}"#,
                r#"{"ip":"192.0.2.7","error":"no such"}"#,
            ),
        ] {
            assert!(!alike(one.as_bytes(), other.as_bytes()), "{one} / {other}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_like_itself_however_odd(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(alike(&line, &line));
        }

        #[test]
        fn it_makes_no_difference_which_comes_first(one in "[ab1 \"'`{,]{0,20}", other in "[ab1 \"'`{,]{0,20}") {
            prop_assert_eq!(alike(one.as_bytes(), other.as_bytes()), alike(other.as_bytes(), one.as_bytes()));
        }
    }
}
