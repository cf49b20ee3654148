//! Where in a log does it go on, however its files have been moved since?
//!
//! Comes in and goes out: the text of a cursor. It names the last files of one log, oldest first, each by device, inode
//! and a hash of its head, and how far each has been read. No file is opened here.

use std::fmt::{self, Write};
use std::hash::Hasher;
use std::str::FromStr;

use siphasher::sip::SipHasher24;

/// How much of a file's beginning makes its fingerprint: some lines, of which one has another time in another file.
pub const LONGEST_HEAD: usize = 1024;

/// The most files that one token names. It bounds what is kept of a log that is rotated all the time; logrotate's
/// `delaycompress` wants two.
pub const MOST_PLACES: usize = 64;

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
    /// Whether nothing more is expected of it.
    pub done: bool,
}

/// How far a log has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Files that were changed before this moment and are not named here do not matter: nanoseconds of the file
    /// system's own clock.
    pub settled: i64,
    /// The files, oldest first.
    pub places: Vec<Place>,
}

/// The text is no token of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a log file that this version understands")]
pub struct TokenError;

/// `1;SETTLED;DEVICE.INODE.LENGTH.HASH.OFFSET;…`, in hexadecimal; `+` instead of the last `.` if the file is done.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM};{:x}", self.settled)?;
        for place in &self.places {
            let Identity { device, inode } = place.identity;
            let Fingerprint { length, hash } = place.head;
            write!(f, ";{device:x}.{inode:x}.{length:x}.{hash:x}")?;
            f.write_char(if place.done { '+' } else { '.' })?;
            write!(f, "{:x}", place.offset)?;
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
        let settled = number(parts.next().ok_or(TokenError)?)?.cast_signed();
        let places = parts.map(place).collect::<Result<Vec<_>, _>>()?;
        if places.len() > MOST_PLACES {
            return Err(TokenError);
        }
        Ok(Token { settled, places })
    }
}

fn place(text: &str) -> Result<Place, TokenError> {
    let (rest, offset) = text.rsplit_once(['.', '+']).ok_or(TokenError)?;
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
        done: text.as_bytes().get(rest.len()) == Some(&b'+'),
    };
    let of_what_was_read = u64::from(place.head.length) <= place.offset;
    let sound = usize::from(place.head.length) <= LONGEST_HEAD && of_what_was_read;
    match numbers.next() {
        None if sound => Ok(place),
        _ => Err(TokenError),
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
        (any::<[u64; 4]>(), 0..=1024_u16, any::<bool>()).prop_map(|(numbers, length, done)| Place {
            identity: Identity {
                device: numbers[0],
                inode: numbers[1],
            },
            head: Fingerprint {
                length,
                hash: numbers[2],
            },
            offset: numbers[3].max(1024),
            done,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(settled in any::<i64>(), places in proptest::collection::vec(places(), 0..5)) {
            let token = Token { settled, places };
            prop_assert_eq!(token.to_string().parse(), Ok(token));
        }

        #[test]
        fn no_text_breaks_the_parser(text in "(1;)?[0-9a-f.;+é-]{0,80}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string().parse(), Ok(token));
            }
        }
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
