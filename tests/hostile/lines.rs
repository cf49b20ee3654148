//! What lines of a log can be.

use std::fs;

use super::case::{Case, Who, append, open};
use super::{Kind, LOG, Letters, Way, kind};
use crate::support::dice::Dice;

const MB: usize = 1 << 20;

/// Puts another file in the place of the kind's own log, when all of that has been read.
fn replace(case: &Case<'_>, content: &[u8]) {
    case.must_count(Who::Before);
    let new = case.path.with_extension("new");
    append(&new, content);
    fs::rename(new, &case.path).unwrap();
}

/// The attack in the midst, changed.
fn changed(case: &Case<'_>, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    case.write_bytes(&change(case.line(Who::Itself).into()));
}

/// With these bytes in the name of the user.
fn as_user(case: &Case<'_>, name: &[u8]) {
    let line = case.line(Who::Itself);
    let (before, behind) = line.split_once("root").unwrap();
    let name = [b"invalid user ", name].concat();
    case.write_bytes(&[before.as_bytes(), &name, behind.as_bytes(), b"\n"].concat());
}

pub fn kinds() -> Vec<Kind> {
    vec![
        kind("a line of 1 MB", LOG, |case| {
            case.write(&("x".repeat(MB) + "\n"))
        })
        .cuts(1),
        kind("a line of 100 MB, most of it a hole", LOG, |case| {
            case.write("x");
            open(&case.path).set_len(100 * MB as u64).unwrap();
            case.write("x\n");
        })
        .cuts(1),
        kind("a line that does not end", LOG, |case| {
            case.write(&"x".repeat(3 * MB));
            // Meanwhile another log is read.
            let other = case.path.with_file_name("other.log");
            append(&other, (case.line(Who::Itself) + "\n").as_bytes());
            case.must_count(Who::Itself);
            case.write("\n");
        })
        .bans()
        .cuts(1),
        kind("100,000 lines without anything", LOG, |case| {
            case.write(&"\n".repeat(100_000))
        }),
        kind("noise of all bytes", LOG, |case| {
            let mut dice = Dice::new(3);
            let noise: Vec<u8> = (0..64 * 1024).map(|_| dice.below(256) as u8).collect();
            case.write_bytes(&noise);
            case.write("\n");
        }),
        kind("zeros before a line", LOG, |case| {
            changed(case, |line| [&[0; 70_000][..], &line, b"\n"].concat());
        })
        .bans(),
        kind("a hole of 16 MB before a line", LOG, |case| {
            let log = open(&case.path);
            let length = log.metadata().unwrap().len();
            log.set_len(length + 16 * MB as u64).unwrap();
            changed(case, |line| [&line, &b"\n"[..]].concat());
        })
        .bans(),
        kind("a zero within a line", LOG, |case| as_user(case, b"a\0b")).bans(),
        kind("lines that end with CR and LF", LOG, |case| {
            changed(case, |line| [&line, &b"\r\n"[..]].concat());
        })
        .bans(),
        kind("lines that end with CR only", LOG, |case| {
            // They are one line for us, whose date is the first one.
            changed(case, |line| [&b"x\ry\r"[..], &line, b"\r\n"].concat());
        }),
        kind("letters of no encoding", LOG, |case| {
            as_user(case, b"\xff\xfe\xc3\x28\xed\xa0\x80")
        })
        .bans(),
        kind("signs that command a terminal", LOG, |case| {
            as_user(case, b"\x1b[2J\x1b]0;x\x07")
        })
        .bans(),
        kind("a byte order mark before each line", LOG, |case| {
            changed(case, |line| [&b"\xef\xbb\xbf"[..], &line, b"\n"].concat());
        })
        .bans(),
        kind(
            "a byte order mark of UTF-8",
            Way::Log(Letters::Utf8Marked),
            |_| {},
        ),
        kind(
            "UTF-16LE with a mark",
            Way::Log(Letters::Little { marked: true }),
            |_| {},
        ),
        kind(
            "UTF-16BE with a mark",
            Way::Log(Letters::Big { marked: true }),
            |_| {},
        ),
        kind(
            "UTF-16LE without a mark",
            Way::Log(Letters::Little { marked: false }),
            |_| {},
        ),
        kind(
            "UTF-16BE without a mark",
            Way::Log(Letters::Big { marked: false }),
            |_| {},
        ),
        kind(
            "half a letter of UTF-16, and the other half later",
            Way::Log(Letters::Little { marked: true }),
            |case| {
                case.must_count(Who::Before);
                let line: Vec<u8> = (case.line(Who::Itself) + "\n")
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect();
                case.write_bytes(&line[..31]);
                case.write_bytes(&line[31..]);
            },
        )
        .bans(),
        kind(
            "a byte too many in UTF-16, until the next file",
            Way::Log(Letters::Little { marked: true }),
            |case| {
                case.write_bytes(b"\n");
                case.write("these letters are others now\n");
                replace(case, b"");
            },
        ),
        kind(
            "half a surrogate in UTF-16",
            Way::Log(Letters::Big { marked: false }),
            |case| {
                case.write_bytes(b"\xd8\x00");
                case.write("x\n");
            },
        ),
        kind("an empty file in the log's place", LOG, |case| {
            replace(case, b"")
        }),
        kind("a file of one byte", LOG, |case| {
            replace(case, b"x");
            case.write("\n");
        }),
        kind("a file of a byte order mark", LOG, |case| {
            replace(case, b"\xef\xbb\xbf")
        }),
        kind("half a byte order mark", LOG, |case| {
            replace(case, b"\xff");
            case.write("\n");
        }),
    ]
}
