//! Does a text begin with the date that was read last, or with another second of its minute?
//!
//! In: dates as they were read, with the signs beside them, then texts. Out: what these tell. Many lines of a busy log are
//! of the same minute, and to compare takes a tenth of the time that reading takes. What cannot be said so is read: no
//! date is read here.

use memchr::memchr_iter;

use super::Found;
use super::format::pair;
use crate::engine::time::Timestamp;

/// How long `:10:21` is.
const CLOCK: usize = 6;

/// The last date that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest {
    /// It and the signs beside it.
    text: Vec<u8>,
    /// Where in it the minute and the second are told, `:10:21`, if they are.
    clock: Option<usize>,
    now: Timestamp,
    /// What it tells, unless that depends on more.
    found: Option<Found>,
    /// Where its second is told, if each other one of the minute tells so much more or less.
    second: Option<usize>,
}

/// What is known of a date beside what it tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    /// Whether it tells hour, minute and second with colons between them, and nothing like that behind these.
    pub has_clock: bool,
    /// Whether no clock is changed in its minute.
    pub is_even: bool,
}

impl Latest {
    /// What the date tells with which `text` begins.
    pub(super) fn again(&self, text: &[u8], now: Timestamp) -> Option<Found> {
        let found = self.found.filter(|_| self.now == now)?;
        let Some(place) = self.second else {
            return text.starts_with(&self.text).then_some(found);
        };
        let (before, [tens, ones, behind @ ..]) = self.text.split_at(place) else {
            return None;
        };
        let (digits, rest) = text.strip_prefix(before)?.split_first_chunk::<2>()?;
        let is_same = rest.starts_with(behind) && (b'0'..=b'5').contains(&digits[0]);
        let second = |tens, ones| pair(tens, ones).map(i64::from);
        let later = second(digits[0], digits[1]).filter(|_| is_same)? - second(*tens, *ones)?;
        Some(Found {
            time: Timestamp::from_micros(found.time.as_micros() + later * 1_000_000),
            ..found
        })
    }

    /// Takes the date that `text` is, with the signs beside it; what it tells, unless that depends on more.
    pub(super) fn keep(
        &mut self,
        text: &[u8],
        nature: Nature,
        now: Timestamp,
        found: Option<Found>,
    ) {
        self.text.clear();
        self.text.extend_from_slice(text);
        let last = || text.windows(CLOCK).rposition(is_clock);
        // Before a leap second, `:23:59:60`, what looks like that are the hour and the minute.
        let is_whole = |clock: &usize| text.get(clock + CLOCK) != Some(&b':');
        self.clock = nature.has_clock.then(last).flatten().filter(is_whole);
        self.second = self
            .clock
            .filter(|_| nature.is_even)
            .map(|clock| clock + CLOCK - 2);
        self.now = now;
        self.found = found;
    }

    /// From here on it is not known what the date tells.
    pub(super) fn forget(&mut self) {
        self.found = None;
    }

    /// How long the date is, with the signs beside it.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether it, or another one of the same hour, stands in `text`.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let Some(first) = self.text.first() else {
            return false;
        };
        memchr_iter(*first, text).any(|at| self.begins(&text[at..]))
    }

    fn begins(&self, text: &[u8]) -> bool {
        let Some(clock) = self.clock else {
            return text.starts_with(&self.text);
        };
        let (before, behind) = (&self.text[..clock], &self.text[clock + CLOCK..]);
        let rest = text
            .strip_prefix(before)
            .and_then(<[u8]>::split_first_chunk);
        rest.is_some_and(|(at, rest): (&[u8; CLOCK], _)| is_clock(at) && rest.starts_with(behind))
    }
}

/// Whether these are a minute and a second, each of two digits, as any hour has them.
fn is_clock(bytes: &[u8]) -> bool {
    let is_of_sixty = |bytes: &[u8]| matches!(bytes, [b':', tens, ones] if (b'0'..=b'5').contains(tens) && ones.is_ascii_digit());
    bytes.len() == CLOCK && bytes.chunks(CLOCK / 2).all(is_of_sixty)
}

#[cfg(test)]
mod tests {
    use super::super::Dates;
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// At the head and within a line, with and without a clock at the end. In Berlin the hour comes twice on that day.
    const LINES: [&str; 10] = [
        "Oct 25 02:59:58 host sshd[1]: x",
        "2026-10-25T02:59:58+01:00 host sshd[1]: x",
        "2026-10-25T02:59:58.123456+01:00 host sshd[1]: x",
        "2026-10-25 02:59:58,123 x",
        "02:59:58 x",
        "Sun Oct 25 02:59:58 2026 x",
        "192.0.2.1 - - [25/Oct/2026:02:59:58 +0100] \"GET /\"",
        "192.0.2.1 - - [25/Oct/2026:02:59:58] \"GET /\"",
        "Oct 25, 2026 2:59:58 AM x",
        "25/10/2026 02:59:58 x",
    ];
    const SIGNS: &[u8] = b"0123456789:.,+- ]PZ\xff";

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(4000)
        })]

        /// Whatever differs from the line before.
        #[test]
        fn what_is_remembered_is_what_would_be_read(
            line in select(&LINES[..]),
            hour in select(&["02", "13"][..]),
            leap in any::<bool>(),
            changes in proptest::collection::vec((0..48_usize, select(SIGNS)), 0..4),
            second in proptest::option::of(0..100),
            now in select(&["2026-10-25T01:58:30Z", "2026-10-25T20:00:00Z"][..]),
            later in select(&[0, 0, 0, 3_600_000_000, 86_400_000_000][..]),
        ) {
            let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
            let now: Timestamp = now.parse().expect("a moment");
            let line = line.replace("02:", &format!("{hour}:"));
            let line = if leap { line.replace(":58", ":60") } else { line };
            let mut dates = Dates::new(berlin, &[]);
            // Another day and hour tell where dates stand, and a third time that it is no accident.
            for before in ["24", "25", "25"] {
                let before = line.replace("25", before);
                dates.find(before.as_bytes(), 0, now);
            }
            let mut changed = line.as_bytes().to_vec();
            if let Some(second) = second {
                let at = line.find([":58", ":60"][usize::from(leap)]).expect("a second") + 1;
                changed.splice(at..at + 2, format!("{second:02}").bytes());
            }
            for (at, sign) in changes {
                if let Some(byte) = changed.get_mut(at) {
                    *byte = sign;
                }
            }
            let now = Timestamp::from_micros(now.as_micros() + later);
            let mut reading = dates.clone();
            reading.leading.forget();
            reading.guess.forget();
            let read = reading.find(&changed, 0, now);
            prop_assert_eq!(dates.find(&changed, 0, now), read, "{}", String::from_utf8_lossy(&changed));
        }
    }
}
