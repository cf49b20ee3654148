//! How does a service write text that a client chose into its log?
//!
//! In: such text. Out: what stands in the log, so that samples can be told again with other text. Nothing is read from
//! logs here.

use std::fmt::Write as _;
use std::str::FromStr;

/// How the text of a client comes into a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quoting {
    /// As it is, but for line ends and other control characters: where these come through, a client writes whole lines.
    #[default]
    None,
    /// As it is, and the service takes no blanks in it.
    Word,
    /// The service takes nothing but letters, digits and `._@-`.
    Name,
    /// As `None`, and without colons: names of users in basic authentication, which a colon ends.
    Basic,
    /// With a backslash before quotes and backslashes: Apache, Go, logfmt.
    Quotes,
    /// Quotes, backslashes, and what is not ASCII, as `\xHH`: nginx.
    Hex,
    /// As in a URL, `%HH`.
    Percent,
    /// As in JSON.
    Json,
}

/// A word for no way of quoting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such way of quoting")]
pub struct UnknownQuoting;

impl FromStr for Quoting {
    type Err = UnknownQuoting;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "none" => Quoting::None,
            "word" => Quoting::Word,
            "name" => Quoting::Name,
            "basic" => Quoting::Basic,
            "quotes" => Quoting::Quotes,
            "hex" => Quoting::Hex,
            "percent" => Quoting::Percent,
            "json" => Quoting::Json,
            _ => return Err(UnknownQuoting),
        })
    }
}

impl Quoting {
    /// What stands in a log of this text.
    pub fn write(self, text: &str) -> String {
        let mut written = String::with_capacity(text.len());
        for sign in text.chars() {
            self.push(sign, &mut written);
        }
        written
    }

    fn push(self, sign: char, written: &mut String) {
        match self {
            Quoting::None | Quoting::Basic if sign.is_control() => written.push(' '),
            Quoting::Basic if sign == ':' => written.push('-'),
            Quoting::Word if sign.is_control() || sign.is_whitespace() => written.push('_'),
            Quoting::Name if !(sign.is_ascii_alphanumeric() || "._@-".contains(sign)) => {
                written.push('-');
            }
            Quoting::None | Quoting::Word | Quoting::Name | Quoting::Basic => written.push(sign),
            Quoting::Quotes | Quoting::Json if matches!(sign, '"' | '\\') => {
                written.extend(['\\', sign]);
            }
            Quoting::Quotes | Quoting::Json if sign == '\n' => written.push_str("\\n"),
            Quoting::Quotes if sign.is_control() => bytes(sign, "\\x", written),
            Quoting::Json if sign.is_control() => {
                written.push_str(&format!("\\u{:04x}", u32::from(sign)))
            }
            Quoting::Quotes | Quoting::Json => written.push(sign),
            Quoting::Hex if matches!(sign, '"' | '\\') || !(' '..='~').contains(&sign) => {
                bytes(sign, "\\x", written);
            }
            Quoting::Percent
                if !(sign.is_ascii_alphanumeric() || "-._~/:?&=+,;@!$'()*".contains(sign)) =>
            {
                bytes(sign, "%", written);
            }
            Quoting::Hex | Quoting::Percent => written.push(sign),
        }
    }
}

/// The bytes of a sign, each behind `mark`.
fn bytes(sign: char, mark: &str, written: &mut String) {
    for byte in sign.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a string does not fail.
        let _ = write!(written, "{mark}{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_writes_what_its_services_write() {
        let text = "a b\"\\\n\u{e9}/";
        for (word, written) in [
            ("none", "a b\"\\ \u{e9}/"),
            ("word", "a_b\"\\_\u{e9}/"),
            ("name", "a-b-----"),
            ("basic", "a b\"\\ \u{e9}/"),
            ("quotes", "a b\\\"\\\\\\n\u{e9}/"),
            ("hex", "a b\\x22\\x5C\\x0A\\xC3\\xA9/"),
            ("percent", "a%20b%22%5C%0A%C3%A9/"),
            ("json", "a b\\\"\\\\\\n\u{e9}/"),
        ] {
            let quoting: Quoting = word.parse().expect("a way of quoting");
            assert_eq!(quoting.write(text), written, "{word}");
        }
        assert_eq!(Quoting::Basic.write("a:b"), "a-b");
        assert_eq!("Json".parse::<Quoting>(), Err(UnknownQuoting));
    }
}
