//! Which lines of a log have to be read?
//!
//! In: bytes of a log behind a line's end, and the sieve of those who listen. Out: the lines that can be passed over, up to
//! the next one that has to be read. No line is read here.

use memchr::{memchr, memchr_iter, memrchr};

use super::sieve::Sieve;
use crate::engine::record::LONGEST_MESSAGE;

/// What is new in a log.
#[derive(Clone, Debug)]
pub struct News<'b> {
    /// What has not been taken.
    pub bytes: &'b [u8],
    /// How many of the bytes are the last line with an end and what follows it. That line is always read, so that
    /// somebody sees how late it is.
    last: usize,
    /// How many of the bytes begin with the next line that is read whatever stands in it.
    odd: usize,
}

/// Lines that no pattern can take, each with its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed<'b> {
    /// All of them.
    pub bytes: &'b [u8],
    /// How many they are.
    pub lines: u32,
}

impl<'b> News<'b> {
    /// What came behind a line's end, or behind a half line.
    pub fn of(bytes: &'b [u8]) -> Self {
        let last = memrchr(b'\n', bytes).map_or(0, |end| line_start(bytes, end));
        News {
            bytes,
            last: bytes.len() - last,
            odd: usize::MAX,
        }
    }

    /// Takes off the lines at the head that no pattern can take. One that is too long is never one of them, since somebody
    /// has to know of it; nor is one that may be an object of JSON, in which texts are written in other ways.
    pub fn pass(&mut self, sieve: &Sieve) -> Passed<'b> {
        // What is searched for that is not sieved is searched for once.
        if self.odd > self.bytes.len() {
            let lines = self.lines();
            let odd = before_long_line(before_object(lines, sieve.keeps_objects()));
            self.odd = self.bytes.len() - odd.len();
        }
        let lines = &self.lines()[..self.bytes.len().saturating_sub(self.odd.max(self.last))];
        let end = match sieve.places(lines).next() {
            Some((_, place)) => line_start(lines, place),
            None => lines.len(),
        };
        let (bytes, rest) = self.bytes.split_at(end);
        self.bytes = rest;
        let lines = memchr_iter(b'\n', bytes).count();
        Passed {
            bytes,
            lines: u32::try_from(lines).unwrap_or(u32::MAX),
        }
    }

    /// The next line, with its end if it has one.
    pub fn line(&self) -> &'b [u8] {
        let end = memchr(b'\n', self.bytes);
        end.map_or(self.bytes, |end| &self.bytes[..=end])
    }

    /// Whether the next line is read only because it is the last one.
    pub fn is_quiet(&self, sieve: &Sieve) -> bool {
        self.bytes.len() <= self.last && self.may_pass(sieve)
    }

    /// Whether no pattern can take the next line, wherever it stands.
    pub fn may_pass(&self, sieve: &Sieve) -> bool {
        let line = self.line();
        let odd = before_long_line(before_object(line, sieve.keeps_objects()));
        let is_odd = odd.len() < line.len();
        !is_odd && sieve.places(line).next().is_none()
    }

    /// The lines before the last one.
    fn lines(&self) -> &'b [u8] {
        &self.bytes[..self.bytes.len().saturating_sub(self.last)]
    }
}

/// Where the line begins that `place` is in.
fn line_start(bytes: &[u8], place: usize) -> usize {
    memrchr(b'\n', &bytes[..place]).map_or(0, |before| before + 1)
}

/// What stands before the first line that may be an object, or whose message may be one if `anywhere`. Zeros and a mark of
/// UTF-8 may stand before its brace.
fn before_object(bytes: &[u8], anywhere: bool) -> &[u8] {
    let begins = |brace: &usize| {
        let before = bytes[..*brace].last();
        let is_first = before.is_none_or(|before| matches!(before, b'\n' | b'\0' | b'\xbf'));
        is_first || anywhere && has_fields(&bytes[brace + 1..])
    };
    let brace = memchr_iter(b'{', bytes).find(begins);
    brace.map_or(bytes, |brace| &bytes[..line_start(bytes, brace)])
}

/// Whether what follows a brace may be the first field of an object.
fn has_fields(behind: &[u8]) -> bool {
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r');
    behind.iter().find(|byte| !is_blank(byte)) == Some(&b'"')
}

/// What stands before the first line that is longer than a message may be.
fn before_long_line(bytes: &[u8]) -> &[u8] {
    let mut start = 0;
    while let Some(ahead) = bytes.get(start..start + LONGEST_MESSAGE) {
        match memrchr(b'\n', ahead) {
            Some(end) => start += end + 1,
            None => return &bytes[..start],
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::literal::CASE;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_lines_that_hold_nothing_are_passed(
            lines in proptest::collection::vec("[a-f {\"\r]{0,12}|\0{0,2}\u{feff}?\\{|denied|L", 0..30),
            rest in "[a-f]{0,9}",
            objects in any::<bool>(),
        ) {
            let text = b"denied".map(|byte| byte | CASE).to_vec();
            let sieve = Sieve::new(vec![(text, 0)], |_| false).keeping(objects);
            let whole: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let whole = format!("{whole}{rest}").replace('L', &"x".repeat(LONGEST_MESSAGE + 1));
            let is_quiet = |line: &[u8]| {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                let zeros = line.iter().take_while(|byte| **byte == 0).count();
                let bare = &line[zeros..];
                let bare = bare.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bare);
                let bytes: Vec<u8> = line.iter().copied().filter(|byte| !b" \r".contains(byte)).collect();
                let has_object = objects && bytes.windows(2).any(|two| two == b"{\"");
                line != b"denied" && line.len() <= LONGEST_MESSAGE && !bare.starts_with(b"{") && !has_object
            };
            let mut news = News::of(whole.as_bytes());
            while !news.bytes.is_empty() {
                let before = news.bytes;
                let passed = news.pass(&sieve);
                prop_assert_eq!(passed.lines as usize, memchr_iter(b'\n', passed.bytes).count());
                prop_assert!(passed.bytes.split_inclusive(|byte| *byte == b'\n').all(is_quiet));
                let line = news.line();
                let left = memchr_iter(b'\n', news.bytes).count();
                let was_last = memchr_iter(b'\n', before).count() <= 1;
                // It stops at what has to be read, and at the last line.
                prop_assert!(!is_quiet(line) || left <= 1 || was_last, "{:?}", line);
                prop_assert_eq!(news.is_quiet(&sieve), left <= 1 && is_quiet(line));
                prop_assert_eq!(news.may_pass(&sieve), is_quiet(line));
                news.bytes = &news.bytes[line.len()..];
            }
        }
    }
}
