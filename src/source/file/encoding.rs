//! In which letters is a log written?
//!
//! Comes in: what the configuration says and how the file begins. Goes out: where lines end and their text as UTF-8.

use std::fmt;
use std::str::FromStr;

use super::lines::LineEnd;

/// How a log is encoded. Without a word, bytes are taken as they are, which is right for UTF-8 and for what filters look
/// at in all that extends ASCII; a byte order mark at the head of the file says more than the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding(Option<&'static encoding_rs::Encoding>);

/// The name is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no encoding that is known: write utf-8, utf-16le, windows-1252 or another name of the WHATWG's list"
)]
pub struct EncodingError(String);

impl FromStr for Encoding {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoding = encoding_rs::Encoding::for_label_no_replacement(text.as_bytes());
        match encoding {
            Some(encoding) if encoding == encoding_rs::UTF_8 => Ok(Encoding(None)),
            Some(encoding) => Ok(Encoding(Some(encoding))),
            None => Err(EncodingError(text.to_owned())),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = self.0.unwrap_or(encoding_rs::UTF_8);
        f.pad(&encoding.name().to_ascii_lowercase())
    }
}

/// The byte order marks: of UTF-8, UTF-16LE and UTF-16BE.
const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];

/// How one file is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coding {
    encoding: Option<&'static encoding_rs::Encoding>,
    /// How many bytes of the first line are the mark.
    mark: usize,
}

impl Coding {
    /// What `encoding` means for a file that begins with `front`; `None` if more of it must be seen first.
    pub fn of(encoding: Encoding, front: &[u8]) -> Option<Self> {
        if let Some((marked, mark)) = encoding_rs::Encoding::for_bom(front) {
            let encoding = (marked != encoding_rs::UTF_8).then_some(marked);
            return Some(Coding { encoding, mark });
        }
        let more = |mark: &&[u8]| mark.starts_with(front);
        if MARKS.iter().any(more) {
            return None;
        }
        Some(Coding {
            encoding: encoding.0,
            mark: 0,
        })
    }

    /// How its lines end.
    pub fn line_end(&self) -> LineEnd {
        match self.encoding {
            Some(encoding) if encoding == encoding_rs::UTF_16LE => LineEnd::Utf16Le,
            Some(encoding) if encoding == encoding_rs::UTF_16BE => LineEnd::Utf16Be,
            // In no other encoding is the byte of a line end part of another letter.
            _ => LineEnd::Byte,
        }
    }

    /// Whether lines are taken as they are.
    pub fn is_plain(&self) -> bool {
        self.encoding.is_none()
    }

    /// The text of a line; `first` if it begins at the head of the file. `decoded` is room for it.
    pub fn text<'a>(&self, line: &'a [u8], first: bool, decoded: &'a mut String) -> &'a [u8] {
        let line = match first {
            true => line.get(self.mark..).unwrap_or_default(),
            false => line,
        };
        let Some(encoding) = self.encoding else {
            return line;
        };
        let mut decoder = encoding.new_decoder_without_bom_handling();
        decoded.clear();
        decoded.reserve(
            decoder
                .max_utf8_buffer_length(line.len())
                .unwrap_or_default(),
        );
        // With that room all of it is read; what is no letter becomes U+FFFD.
        let _ = decoder.decode_to_string(line, decoded, true);
        decoded.as_bytes()
    }
}

/// So many bytes of a line tell whether every other one is zero.
const ENOUGH: usize = 16;

/// The name of the encoding in which a line seems to be written that is taken for bytes of ASCII: each other one is zero.
/// It is without the zeros before it, and the first byte that is left stands `at` this place of the file.
pub fn seems(line: &[u8], at: u64) -> Option<&'static str> {
    let mut pairs = line.get(..ENOUGH)?.chunks_exact(2);
    let is_letter = |pair: &[u8]| matches!(pair, [letter, 0] if *letter > 0);
    let name = match at % 2 {
        0 => "utf-16le",
        _ => "utf-16be",
    };
    pairs.all(is_letter).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_more_than_the_configuration() {
        let latin: Encoding = "latin1".parse().expect("a known name");
        let mut room = String::new();
        let mut text = |front: &[u8], line: &[u8]| {
            let coding = Coding::of(latin, front)?;
            Some(String::from_utf8_lossy(coding.text(line, true, &mut room)).into_owned())
        };
        assert_eq!(text(b"caf\xe9", b"caf\xe9").as_deref(), Some("café"));
        assert_eq!(text(b"\xff\xfee\0", b"\xff\xfee\0").as_deref(), Some("e"));
        assert_eq!(
            text(b"\xef\xbb\xbfe", b"\xef\xbb\xbf\xc3\xa9").as_deref(),
            Some("é")
        );
        assert_eq!(text(b"\xef\xbb", b"\xef\xbb"), None);
        assert_eq!(text(b"", b""), None);
    }

    #[test]
    fn letters_of_two_bytes_are_known_by_their_zeros() {
        let line: Vec<u8> = "sshd[7]: Failed"
            .bytes()
            .flat_map(|byte| [byte, 0])
            .collect();
        assert_eq!(seems(&line, 100), Some("utf-16le"));
        assert_eq!(seems(&line, 101), Some("utf-16be"));
        for other in [
            &line[..8],
            b"sshd[7]: Failed password",
            b"a\0b: text behind it",
            &[0; 40],
        ] {
            assert_eq!(seems(other, 0), None, "{other:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_list() {
        let shown = |name: &str| {
            name.parse::<Encoding>()
                .map(|encoding| encoding.to_string())
        };
        assert_eq!(shown("UTF-8").as_deref(), Ok("utf-8"));
        assert_eq!(shown("utf-16be").as_deref(), Ok("utf-16be"));
        assert!(shown("klingon").is_err());
    }
}
