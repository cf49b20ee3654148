//! Lines are the same wherever their bytes are cut, and nothing of a file is lost.
#![no_main]

use f2bd::source::file::lines::{LONGEST_LINE, LineEnd, Splitter};

libfuzzer_sys::fuzz_target!(|input: (u8, u16, &[u8])| {
    let (end, piece, bytes) = input;
    let end = [LineEnd::Byte, LineEnd::Utf16Le, LineEnd::Utf16Be][usize::from(end) % 3];
    let whole = split(bytes, end, bytes.len().max(1));
    assert_eq!(whole, split(bytes, end, usize::from(piece).max(1)));
    let (lines, left) = whole;
    let taken: u64 = lines.iter().map(|(_, length, _)| length).sum();
    assert_eq!(taken + left, bytes.len() as u64);
    assert!(lines.iter().all(|(text, ..)| text.len() <= LONGEST_LINE));
});

/// The text of each line, the bytes it took and whether it was cut; and what is left.
type Lines = (Vec<(Vec<u8>, u64, bool)>, u64);

fn split(bytes: &[u8], end: LineEnd, piece: usize) -> Lines {
    let mut splitter = Splitter::new(end);
    let mut lines = Vec::new();
    for mut piece in bytes.chunks(piece) {
        while let Some(line) = splitter.next(&mut piece) {
            lines.push((line.text.to_vec(), line.length, line.cut));
        }
    }
    (lines, splitter.pending())
}
