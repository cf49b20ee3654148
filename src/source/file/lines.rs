//! Where does each line of a log end?
//!
//! Comes in: the bytes of a file, in pieces that are cut anywhere. Goes out: whole lines, each with the number of bytes
//! that it took in the file. What has no end yet waits for it. No file is read here.

pub use crate::engine::record::line::LONGEST_LINE;
use crate::engine::record::text::without_zeros;

/// What is kept of the room for a half line: most lines are shorter, and there is one for each file.
const KEPT_ROOM: usize = 8 * 1024;

/// How a line ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnd {
    /// One byte, as in ASCII and all that extends it.
    #[default]
    Byte,
    /// Two bytes, the lower one first.
    Utf16Le,
    /// Two bytes, the higher one first.
    Utf16Be,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Without its end, nor the zeros before it that a truncated file is filled up with, nor what is over
    /// [`LONGEST_LINE`].
    pub text: &'a [u8],
    /// How many bytes of the file it took, with its end and all that was left out.
    pub length: u64,
    /// Whether it lost its end to the limit.
    pub cut: bool,
}

/// Cuts a file into lines.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    end: LineEnd,
    /// The half line that came last, or the line that was given out last.
    kept: Vec<u8>,
    /// How many bytes of the file that line has.
    length: u64,
    /// How many of them were zeros before its text.
    zeros: u64,
    /// The last byte that came.
    last: u8,
    /// Whether the line has been given out.
    given: bool,
}

impl Splitter {
    /// Begins at the beginning of a line.
    pub fn new(end: LineEnd) -> Self {
        Splitter {
            end,
            ..Splitter::default()
        }
    }

    /// How many bytes came after the last line that was given out.
    pub fn pending(&self) -> u64 {
        if self.given { 0 } else { self.length }
    }

    /// Whether what comes next is the beginning of a line.
    pub fn is_between_lines(&self) -> bool {
        self.pending() == 0
    }

    /// Takes the next line off `bytes`. If there is none, all of them are taken, and the next ones continue them.
    pub fn next<'l, 'b: 'l>(&'l mut self, bytes: &mut &'b [u8]) -> Option<Line<'l>> {
        if std::mem::take(&mut self.given) {
            self.kept.clear();
            self.kept.shrink_to(KEPT_ROOM);
            self.length = 0;
            self.zeros = 0;
        }
        let Some(end) = self.find(bytes) else {
            self.keep(bytes);
            *bytes = &[];
            return None;
        };
        let (line, rest) = bytes.split_at(end);
        *bytes = rest;
        self.given = true;
        let text = if self.end == LineEnd::Byte && self.kept.is_empty() {
            // The usual case: all of it in one piece, and no copy.
            self.length += line.len() as u64;
            without_zeros(&line[..line.len() - 1])
        } else {
            self.keep(line);
            let whole = self.length - self.zeros - self.width() as u64;
            let whole = usize::try_from(whole).unwrap_or(usize::MAX);
            if whole > LONGEST_LINE {
                return Some(Line {
                    text: &self.kept[..LONGEST_LINE],
                    length: self.length,
                    cut: true,
                });
            }
            &self.kept[..whole]
        };
        Some(Line {
            text: &text[..text.len().min(LONGEST_LINE)],
            length: self.length,
            cut: text.len() > LONGEST_LINE,
        })
    }

    /// Takes the last line of a file that will not grow, which has no end.
    pub fn rest(&mut self) -> Option<Line<'_>> {
        if self.given || self.kept.is_empty() {
            return None;
        }
        self.given = true;
        let whole = self.length - self.zeros;
        Some(Line {
            text: &self.kept[..self.kept.len().min(LONGEST_LINE)],
            length: self.length,
            cut: whole > LONGEST_LINE as u64,
        })
    }

    /// How many bytes a line's end has.
    fn width(&self) -> usize {
        match self.end {
            LineEnd::Byte => 1,
            LineEnd::Utf16Le | LineEnd::Utf16Be => 2,
        }
    }

    /// The place behind the first end of a line.
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        let wanted = match self.end {
            LineEnd::Byte => return memchr::memchr(b'\n', bytes).map(|at| at + 1),
            LineEnd::Utf16Le => [b'\n', 0],
            LineEnd::Utf16Be => [0, b'\n'],
        };
        let odd = usize::from(self.length % 2 == 1);
        if odd == 1
            && bytes
                .first()
                .is_some_and(|byte| [self.last, *byte] == wanted)
        {
            return Some(1);
        }
        let units = bytes.get(odd..)?.chunks_exact(2);
        let before = units.clone().position(|unit| unit == wanted)?;
        Some(odd + 2 * (before + 1))
    }

    /// Keeps what has no end yet, within the limit and room for the end.
    fn keep(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        let mut text = bytes;
        if self.end == LineEnd::Byte && self.kept.is_empty() {
            text = without_zeros(bytes);
            self.zeros += (bytes.len() - text.len()) as u64;
        }
        let room = LONGEST_LINE + self.width() - self.kept.len().min(LONGEST_LINE);
        self.kept.extend_from_slice(&text[..text.len().min(room)]);
        if let Some(last) = bytes.last() {
            self.last = *last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines, however the bytes are cut, and what is left.
    fn split(bytes: &[u8], end: LineEnd, pieces: &[usize]) -> (Vec<(Vec<u8>, u64, bool)>, u64) {
        let mut splitter = Splitter::new(end);
        let mut lines = Vec::new();
        let mut rest = bytes;
        let mut pieces = pieces.iter().copied().cycle();
        while !rest.is_empty() {
            let (mut piece, behind) =
                rest.split_at(pieces.next().unwrap_or(rest.len()).min(rest.len()));
            rest = behind;
            while let Some(line) = splitter.next(&mut piece) {
                lines.push((line.text.to_vec(), line.length, line.cut));
            }
        }
        (lines, splitter.pending())
    }

    fn ends() -> impl Strategy<Value = LineEnd> {
        prop_oneof![
            Just(LineEnd::Byte),
            Just(LineEnd::Utf16Le),
            Just(LineEnd::Utf16Be)
        ]
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(
            text in "([a-z\n\0\r]{0,9}|L|\n){0,9}",
            long in LONGEST_LINE - 9..LONGEST_LINE + 300,
            pieces in proptest::collection::vec(1_usize..40_000, 1..8),
            end in ends(),
        ) {
            let text = text.replace('L', &"x".repeat(long));
            let bytes = text.as_bytes();
            let (lines, left) = split(bytes, end, &pieces);
            prop_assert_eq!(&(lines.clone(), left), &split(bytes, end, &[bytes.len().max(1)]));
            let taken: u64 = lines.iter().map(|(_, length, _)| length).sum();
            prop_assert_eq!(taken + left, bytes.len() as u64);
            prop_assert!(lines.iter().all(|(text, ..)| text.len() <= LONGEST_LINE));
        }

        #[test]
        fn lines_are_what_stands_between_the_ends(lines in proptest::collection::vec("[a-zé\r\u{fffd}]{0,30}", 0..20)) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let bare = |bytes: &[u8], end| -> Vec<Vec<u8>> {
                split(bytes, end, &[7]).0.into_iter().map(|(text, ..)| text).collect()
            };
            prop_assert_eq!(bare(text.as_bytes(), LineEnd::Byte), lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>());
            let wide = |text: &str, unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
            for (end, unit) in [(LineEnd::Utf16Le, u16::to_le_bytes as fn(u16) -> [u8; 2]), (LineEnd::Utf16Be, u16::to_be_bytes)] {
                let expected: Vec<_> = lines.iter().map(|line| wide(line, unit)).collect();
                prop_assert_eq!(bare(&wide(&text, unit), end), expected);
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let text = format!("{}\nnext\n", "x".repeat(3 * LONGEST_LINE));
        for piece in [1, 4096, LONGEST_LINE, 100_000] {
            let (lines, left) = split(text.as_bytes(), LineEnd::Byte, &[piece]);
            assert_eq!(
                lines[0],
                (vec![b'x'; LONGEST_LINE], 3 * LONGEST_LINE as u64 + 1, true)
            );
            assert_eq!(lines[1], (b"next".to_vec(), 5, false));
            assert_eq!((lines.len(), left), (2, 0));
        }
    }

    #[test]
    fn a_half_line_gives_its_room_back() {
        let mut splitter = Splitter::new(LineEnd::Byte);
        let long = vec![b'x'; LONGEST_LINE];
        assert_eq!(splitter.next(&mut &long[..]), None);
        assert!(splitter.next(&mut &b"\n"[..]).is_some_and(|line| !line.cut));
        assert!(splitter.next(&mut &b"next\n"[..]).is_some());
        assert!(splitter.kept.capacity() <= KEPT_ROOM);
    }

    #[test]
    fn the_last_line_needs_no_end() {
        let mut splitter = Splitter::new(LineEnd::Byte);
        let mut bytes = &b"one\ntwo"[..];
        while splitter.next(&mut bytes).is_some() {}
        let last = splitter.rest().expect("a line");
        assert_eq!((last.text, last.length, last.cut), (&b"two"[..], 3, false));
        assert_eq!(splitter.rest(), None);
        assert_eq!(splitter.pending(), 0);
        assert_eq!(Splitter::default().rest(), None);
    }

    #[test]
    fn the_hole_before_a_line_is_no_part_of_it() {
        let text = [&vec![0; 100_000][..], b"a\0b\n"].concat();
        for piece in [1000, 200_000] {
            let (lines, _) = split(&text, LineEnd::Byte, &[piece]);
            assert_eq!(lines, [(b"a\0b".to_vec(), 100_004, false)]);
        }
    }
}
