//! Where in a log does it go on, however its files have been moved since?
//!
//! Comes in and goes out: the text of a cursor. It names the last files of one log, oldest first, each by device, inode
//! and a hash of its head, and how far each has been read. No file is opened here.

use std::fmt::{self, Write};
use std::hash::Hasher;
use std::str::FromStr;

use siphasher::sip::SipHasher24;

use crate::engine::record::line::LONGEST_LINE;
use crate::engine::record::outputs::Unfinished;

/// How much of a file's beginning makes its fingerprint: some lines, of which one has another time in another file.
pub const LONGEST_HEAD: usize = 1024;

/// The most files that one token names. It bounds what is kept of a log that is rotated all the time; logrotate's
/// `delaycompress` wants two.
pub const MOST_PLACES: usize = 64;

/// What is read again at most, so that lines of a container that were not over come whole: both outputs at their limit,
/// and as much between their parts. If there is more, they are lost, and counted.
pub const MOST_AGAIN: u64 = 4 * LONGEST_LINE as u64;

/// The form of the text. Another one is not understood by this version.
const FORM: &str = "1";

/// Which file it is, as long as the file system keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// How a file begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many bytes were hashed.
    pub length: u16,
    /// Their hash.
    pub hash: u64,
}

impl Fingerprint {
    /// The fingerprint of a file that begins with `head` and of which nothing else is known yet.
    pub fn of(head: &[u8]) -> Self {
        let head = &head[..head.len().min(LONGEST_HEAD)];
        let mut hasher = SipHasher24::new();
        hasher.write(head);
        Fingerprint {
            length: u16::try_from(head.len()).unwrap_or(u16::MAX),
            hash: hasher.finish(),
        }
    }

    /// Whether a file that begins with `front` can be the one. Of a file of which nothing was read, nothing is known.
    pub fn fits(&self, front: &[u8]) -> bool {
        match front.get(..usize::from(self.length)) {
            Some(head) if self.length > 0 => Fingerprint::of(head) == *self,
            _ => false,
        }
    }
}

/// How far one file has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub identity: Identity,
    /// How the part of it begins that was read.
    pub head: Fingerprint,
    /// The place behind the last line that was handed on.
    pub offset: u64,
    /// How far before that the lines of a container begin that are not over there; 0 if there are none, or they cannot be
    /// read again.
    pub back: u64,
    /// Whether nothing more is expected of it.
    pub done: bool,
}

/// How far a log has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Files that were changed before this moment and are not named here do not matter: nanoseconds of the file
    /// system's own clock.
    pub settled: i64,
    /// Which lines of a container are not over.
    pub unfinished: Unfinished,
    /// The files, oldest first.
    pub places: Vec<Place>,
}

/// The text is no token of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a log file that this version understands")]
pub struct TokenError;

/// `1;SETTLED;DEVICE.INODE.LENGTH.HASH.OFFSET;…`, in hexadecimal; `+` instead of the last `.` if the file is done. What
/// only logs of containers have follows a `-`: `SETTLED-oe`, in which outputs a line goes on; `OFFSET-BACK`, where they
/// begin. Versions that do not know it go by the time of such a cursor.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM};{:x}", self.settled)?;
        f.write_str(match (self.unfinished.stdout, self.unfinished.stderr) {
            (false, false) => "",
            (true, false) => "-o",
            (false, true) => "-e",
            (true, true) => "-oe",
        })?;
        for place in &self.places {
            let Identity { device, inode } = place.identity;
            let Fingerprint { length, hash } = place.head;
            write!(f, ";{device:x}.{inode:x}.{length:x}.{hash:x}")?;
            f.write_char(if place.done { '+' } else { '.' })?;
            write!(f, "{:x}", place.offset)?;
            if place.back > 0 {
                write!(f, "-{:x}", place.back)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(';');
        if parts.next() != Some(FORM) {
            return Err(TokenError);
        }
        // As it is written: the bits of a number below zero too.
        let (settled, outputs) = optional(parts.next().ok_or(TokenError)?);
        let settled = number(settled)?.cast_signed();
        let (stdout, stderr) = match outputs {
            None => (false, false),
            Some("o") => (true, false),
            Some("e") => (false, true),
            Some("oe") => (true, true),
            Some(_) => return Err(TokenError),
        };
        let places = parts.map(place).collect::<Result<Vec<_>, _>>()?;
        if places.len() > MOST_PLACES {
            return Err(TokenError);
        }
        Ok(Token {
            settled,
            unfinished: Unfinished { stdout, stderr },
            places,
        })
    }
}

fn place(text: &str) -> Result<Place, TokenError> {
    let (rest, reached) = text.rsplit_once(['.', '+']).ok_or(TokenError)?;
    let (offset, back) = optional(reached);
    let mut numbers = rest.split('.').map(number);
    let mut next = || numbers.next().unwrap_or(Err(TokenError));
    let place = Place {
        identity: Identity {
            device: next()?,
            inode: next()?,
        },
        head: Fingerprint {
            length: u16::try_from(next()?).map_err(|_| TokenError)?,
            hash: next()?,
        },
        offset: number(offset)?,
        back: back.map_or(Ok(0), number)?,
        done: text.as_bytes().get(rest.len()) == Some(&b'+'),
    };
    let of_what_was_read = u64::from(place.head.length) <= place.offset;
    let sound = usize::from(place.head.length) <= LONGEST_HEAD
        && of_what_was_read
        && place.back <= place.offset.min(MOST_AGAIN);
    match numbers.next() {
        None if sound => Ok(place),
        _ => Err(TokenError),
    }
}

fn optional(text: &str) -> (&str, Option<&str>) {
    match text.split_once('-') {
        Some((text, more)) => (text, Some(more)),
        None => (text, None),
    }
}

fn number(text: &str) -> Result<u64, TokenError> {
    if text.starts_with('+') {
        return Err(TokenError);
    }
    u64::from_str_radix(text, 16).map_err(|_| TokenError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places() -> impl Strategy<Value = Place> {
        let back = prop_oneof![Just(0_u64), 1..=MOST_AGAIN];
        (any::<[u64; 4]>(), 0..=1024_u16, back, any::<bool>()).prop_map(
            |(numbers, length, back, done)| Place {
                identity: Identity {
                    device: numbers[0],
                    inode: numbers[1],
                },
                head: Fingerprint {
                    length,
                    hash: numbers[2],
                },
                offset: numbers[3].max(MOST_AGAIN),
                back,
                done,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            settled in any::<i64>(),
            stdout in any::<bool>(),
            stderr in any::<bool>(),
            places in proptest::collection::vec(places(), 0..5),
        ) {
            let token = Token { settled, unfinished: Unfinished { stdout, stderr }, places };
            prop_assert_eq!(token.to_string().parse(), Ok(token));
        }

        #[test]
        fn no_text_breaks_the_parser(text in "(1;)?[0-9a-fo.;+é-]{0,80}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string().parse(), Ok(token));
            }
        }
    }

    #[test]
    fn cursors_of_older_versions_are_understood() {
        let token: Token = "1;ff;1.2.3.4.5;6.7.8.9+a".parse().expect("a token");
        assert_eq!((token.settled, token.unfinished), (255, Unfinished::NONE));
        let reached = |place: &Place| (place.offset, place.back, place.done);
        let reached: Vec<_> = token.places.iter().map(reached).collect();
        assert_eq!(reached, [(5, 0, false), (10, 0, true)]);
    }

    #[test]
    fn nobody_is_sent_further_back_than_was_ever_written() {
        let token = |back: u64| format!("1;0;1.2.3.4.{back:x}-{back:x}").parse::<Token>();
        assert!(token(MOST_AGAIN).is_ok());
        assert_eq!(token(MOST_AGAIN + 1), Err(TokenError));
    }

    #[test]
    fn a_fingerprint_is_the_same_everywhere() {
        let head: Vec<u8> = (0..2000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        // Noted when this was written; cursors of older versions must fit for ever.
        assert_eq!(Fingerprint::of(b"a log\n").hash, 8_617_262_828_715_658_114);
        let whole = Fingerprint::of(&head);
        assert_eq!(whole.length, 1024);
        assert!(whole.fits(&head[..1024]) && !whole.fits(&head[..1023]));
        assert!(!Fingerprint::of(b"").fits(&head));
    }
}
