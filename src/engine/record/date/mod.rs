//! When was a line written?
//!
//! In: the bytes of a line. Out: a moment, and where in the line it stands. No clock is read and no file: what a
//! date leaves out is filled in from a given moment and zone.
//!
//! [`Dates`] finds the dates of one log, and tells how far each can be trusted. Which of the known forms it is, and
//! where it stands, is taken from the lines and then holds: as long as a date of that form stands at its place,
//! nothing else of a line is looked at.
//!
//! - The head of a line (behind `<PRI>` and up to two signs such as `[`) is the writer's: a date there is always one.
//!   So is what follows the fixed names that some writers begin a line with: `type=LOGIN msg=`, `time="`,
//!   `level=info ts=`.
//! - Any other text may be an attacker's. A date within it is looked for only where it stands directly in square brackets
//!   before any quote, as in the log of a web server: the one with ` "` behind it, since servers escape
//!   the quotes of others, else the first. The signs around it are remembered, `[` and `] "`.
//! - Such a date is a guess. It never tells the time of other lines, and once a trusted date was seen, it counts only if it
//!   lies between that and the present: so it makes no line older than no date would.
//! - A web server writes it into every line. Where lines come that have none, none is believed until many in a row
//!   have one: it would be the word of whoever wants to be seen as long gone.
//! - Formats that were told may stand anywhere. Their place can be trusted when another line has a date there, unless the
//!   log has dates at the heads.
//! - All else is a line without a date.
//! - A form at the head and one within the line are remembered apart, and the head comes first.
//! - In a log whose lines begin with their date, a line that begins with a blank goes on with the one before.
//! - `03/04/2026` can be read in two ways. The one that is within a day of the clock is taken; if
//!   that does not tell, the day comes first, or behind a `:` (cPanel) and with `AM` and `PM` the month. This is assumed
//!   until a line tells, by a day above 12 or by the clock; from there on the log keeps its order.

mod abbreviation;
mod calendar;
mod choice;
mod format;
mod forms;
mod latest;
mod place;
pub mod template;

pub use format::{Part, TimeFormat, TimeFormatError};

use std::ops::Range;

use jiff::tz::TimeZone;
use memchr::memchr_iter;

use crate::engine::time::Timestamp;
use calendar::Calendar;
use choice::{Choice, Reading, chosen};
use format::is_word;
use forms::{FirstBytes, Form, KNOWN};
use latest::{Latest, Nature};
use place::{Edge, Habit, is_named};

/// Dates stand near the head of a line. What follows is not searched, since it is mostly of an attacker's making
/// and as long as he likes.
const SEARCHED: usize = 512;

/// The signs that may stand before a date at the head of a line, as in `[` or `("`.
const SIGNS: usize = 2;

/// In a date the first colon of its clock comes within so many bytes: no name of a day, a month and a zone are longer.
const CLOCK_WITHIN: usize = 48;

/// How many bytes behind a date can make it longer: a blank and an offset.
const LOOKS_BEHIND: usize = 8;

/// A date within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The moment it tells.
    pub time: Timestamp,
    /// Where it begins.
    pub start: usize,
    /// Where the text behind it begins.
    pub end: usize,
    /// Whether the line begins with it.
    pub at_head: bool,
    /// Whether it stands where an attacker's text cannot: at the head, behind a fixed name there, or of a told format at a
    /// place that another line confirmed.
    pub trusted: bool,
    /// Whether host and program may follow it, as in a system log.
    pub heads_syslog: bool,
}

/// Finds the dates in the lines of one log.
#[derive(Clone, Debug)]
pub struct Dates {
    forms: Forms,
    first: FirstBytes,
    calendar: Calendar,
    head: Option<Head>,
    within: Option<Within>,
    habit: Habit,
    /// The last one at the head of a line.
    leading: Latest,
    /// The last one within a line.
    guess: Latest,
}

#[derive(Clone, Debug)]
enum Forms {
    Known(&'static [Form]),
    Given(Box<[Form]>),
}

/// The form of dates at the head of a line, and how many signs stand before them.
#[derive(Clone, Copy, Debug)]
struct Head {
    choice: Choice,
    signs: usize,
}

/// The form of dates within a line, and what they stand between.
#[derive(Clone, Copy, Debug)]
struct Within {
    choice: Choice,
    before: Edge,
    behind: Edge,
    /// Whether it follows a fixed name at the head.
    named: bool,
    confirmed: bool,
}

impl Dates {
    /// Dates in `zone` where they do not tell theirs, of one of the forms in `times`; if there is none, of any that
    /// is known.
    pub fn new(zone: TimeZone, times: &[TimeFormat]) -> Self {
        let forms = if times.is_empty() {
            Forms::Known(&KNOWN)
        } else {
            Forms::Given(times.iter().cloned().map(Form::told).collect())
        };
        Dates {
            first: FirstBytes::of(forms.all()),
            forms,
            calendar: Calendar::new(zone),
            head: None,
            within: None,
            habit: Habit::default(),
            leading: Latest::default(),
            guess: Latest::default(),
        }
    }

    /// The date of `line`, whose text begins at `head`, seen from `now`.
    pub fn find(&mut self, line: &[u8], head: usize, now: Timestamp) -> Option<Found> {
        let text = line.get(..SEARCHED).unwrap_or(line);
        let found = self.search(text, head, now);
        let is_guess = |found: &Found| !found.trusted && !self.is_told();
        match &found {
            Some(found) if is_guess(found) => self.habit.goes_on(),
            None if self.head.is_none() && !text.trim_ascii().is_empty() => self.habit.breaks(),
            _ => {}
        }
        found.filter(|found| found.trusted || self.is_told() || !self.habit.doubtful)
    }

    /// Whether it is known where the dates of further lines stand, and how they are to be read. Of the two orders of day and
    /// month any line may tell the other one, so that it never is for these.
    pub fn is_settled(&self) -> bool {
        let is_sure = |choice: &Choice| {
            let form = self.forms.all().get(choice.form);
            choice.rival.is_none() && form.is_some_and(|form| !form.is_of_numbers)
        };
        match (self.head, self.within) {
            (Some(lock), None) => is_sure(&lock.choice),
            // Lines of several forms: which one is looked for first depends on the lines before.
            (Some(_), Some(_)) => false,
            (None, Some(lock)) => {
                is_sure(&lock.choice) && (lock.confirmed || self.habit.is_regular())
            }
            (None, None) => false,
        }
    }

    /// Whether the dates of this log tell the time of lines without one, too.
    pub fn have_trusted(&self) -> bool {
        self.head.is_some() || self.within.is_some_and(|lock| lock.confirmed)
    }

    /// Whether the date of the last line that had one within, or another of its hour, stands in this one too, between the same
    /// signs.
    pub fn repeats_guess(&self, line: &[u8]) -> bool {
        let text = line.get(..SEARCHED).unwrap_or(line);
        self.guess.is_in(text)
    }

    /// Whether `line`, whose text begins at `head`, begins with a date as others before.
    pub fn leads(&mut self, line: &[u8], head: usize, now: Timestamp) -> bool {
        let text = line.get(..SEARCHED).unwrap_or(line);
        let lock = self.head;
        lock.is_some_and(|lock| self.at_head(text, head, lock, now).is_some())
    }

    fn search(&mut self, text: &[u8], head: usize, now: Timestamp) -> Option<Found> {
        if let Some(lock) = self.head
            && let Some(found) = self.at_head(text, head, lock, now)
        {
            return Some(found);
        }
        let blank = text.get(head).is_some_and(u8::is_ascii_whitespace);
        let goes_on = blank && self.head.is_some();
        if !goes_on
            && let Some(lock) = self.within
            && let Some(found) = self.within(text, head, lock, now)
        {
            return Some(found);
        }
        let end = match goes_on {
            true => text.len().min(head + SIGNS + 1),
            false => text.len(),
        };
        self.anew(text, head..end, now)
    }

    /// The date at the head of the text, where it stood before.
    fn at_head(&mut self, text: &[u8], head: usize, lock: Head, now: Timestamp) -> Option<Found> {
        if let Some(found) = self.leading.again(text, now) {
            return Some(found);
        }
        let start = head + lock.signs;
        if text.get(head..start)?.iter().any(|byte| is_word(*byte)) {
            return None;
        }
        let (reading, choice) = self.read(text, start, lock.choice, now)?;
        self.head = Some(Head { choice, ..lock });
        let found = self.found(reading, start, true, true);
        if choice.rival.is_none() {
            let kept = text.get(..found.end + LOOKS_BEHIND);
            let nature = self.nature(choice, found.time);
            let alone = kept.map(|_| found);
            self.leading
                .keep(kept.unwrap_or_default(), nature, now, alone);
        }
        Some(found)
    }

    /// The date between the bytes that it stood between before.
    fn within(&mut self, text: &[u8], head: usize, lock: Within, now: Timestamp) -> Option<Found> {
        let (before, behind) = (lock.before.bytes(), lock.behind.bytes());
        let last = *before.last()?;
        for place in memchr_iter(last, text.get(head..text.len().checked_sub(1)?)?) {
            let start = head + place + 1;
            if !text[..start].ends_with(before) {
                continue;
            }
            let signs = &text[start - before.len()..];
            let known = self.guess.again(signs, now).map(|found| Reading {
                form: lock.choice.form,
                time: found.time,
                end: start - before.len() + self.guess.len() - behind.len(),
            });
            let read = match known {
                Some(reading) => Some((reading, lock.choice)),
                None => self.read(text, start, lock.choice, now),
            };
            let Some((reading, choice)) = read else {
                continue;
            };
            if lock.named && !is_named(&text[head..start]) {
                continue;
            }
            if text.get(reading.end..)?.starts_with(behind) {
                let confirmed = lock.confirmed || self.is_told() && self.head.is_none();
                if known.is_none() {
                    let all = &signs[..before.len() + reading.end - start + behind.len()];
                    // Nothing of a date can be a bracket that closes, so what follows it makes no difference.
                    let alone = behind.starts_with(b"]") && choice.rival.is_none();
                    let nature = self.nature(choice, reading.time);
                    let found = self.found(reading, start, false, confirmed);
                    self.guess.keep(all, nature, now, alone.then_some(found));
                }
                self.within = Some(Within {
                    choice,
                    confirmed,
                    ..lock
                });
                return Some(self.found(reading, start, false, confirmed));
            }
        }
        None
    }

    /// What the chosen form reads at `start`, and what is now known of the choice.
    fn read(
        &mut self,
        text: &[u8],
        start: usize,
        choice: Choice,
        now: Timestamp,
    ) -> Option<(Reading, Choice)> {
        let reading = self.reading(text, start, choice.form, now);
        let Some(rival) = choice.rival else {
            return Some((reading?, choice));
        };
        match (reading, self.reading(text, start, rival, now)) {
            (Some(reading), Some(rival)) => Some(chosen(reading, rival, now)),
            (reading, rival) => {
                let reading = reading.or(rival)?;
                Some((reading, Choice::of(reading.form)))
            }
        }
    }

    /// What is known of a date of the chosen form beside the moment that it tells, which was told last.
    fn nature(&self, choice: Choice, time: Timestamp) -> Nature {
        let form = self.forms.all().get(choice.form);
        Nature {
            has_clock: form.is_some_and(|form| form.format.has_clock()),
            is_even: self.calendar.is_even(time),
        }
    }

    fn reading(
        &mut self,
        text: &[u8],
        start: usize,
        form: usize,
        now: Timestamp,
    ) -> Option<Reading> {
        let format = &self.forms.all().get(form)?.format;
        let (stamp, used) = format.read(text.get(start..)?)?;
        Some(Reading {
            form,
            time: self.calendar.moment(&stamp, now)?,
            end: start + used,
        })
    }

    /// The date that begins in `range` at a place that it may stand at; its form and place are remembered.
    fn anew(&mut self, text: &[u8], range: Range<usize>, now: Timestamp) -> Option<Found> {
        let head = range.start;
        let told = self.is_told();
        let mut at_head = true;
        let mut first = None;
        for start in range {
            let inside = start > head && is_word(text[start - 1]);
            at_head &= !inside && start <= head + SIGNS;
            if inside || !self.first.contains(text[start]) {
                continue;
            }
            let named = is_named(&text[head..start]);
            let before = &text[..start];
            // A form may hold its brackets itself.
            let bracketed =
                (before.ends_with(b"[") || text[start] == b'[') && !before.contains(&b'"');
            if !(at_head || named || told || bracketed) {
                continue;
            }
            let Some((reading, choice)) = self.longest(text, start, at_head || named, now) else {
                continue;
            };
            if at_head {
                let signs = start - head;
                self.leading.forget();
                self.head = Some(Head { choice, signs });
                return Some(self.found(reading, start, true, true));
            }
            if named || told {
                return Some(self.guessed(text, start, reading, choice, named));
            }
            let closes = text[..reading.end].ends_with(b"]");
            let behind = &text[reading.end..];
            let behind = match closes {
                true => behind,
                false => match behind.strip_prefix(b"]") {
                    Some(behind) => behind,
                    None => continue,
                },
            };
            if behind.starts_with(b" \"") {
                first = Some((start, reading, choice));
                break;
            }
            first = first.or(Some((start, reading, choice)));
        }
        let (start, reading, choice) = first?;
        Some(self.guessed(text, start, reading, choice, false))
    }

    fn is_told(&self) -> bool {
        matches!(self.forms, Forms::Given(_))
    }

    /// A date within the line; its place is remembered unless another is confirmed.
    fn guessed(
        &mut self,
        text: &[u8],
        start: usize,
        reading: Reading,
        choice: Choice,
        named: bool,
    ) -> Found {
        if named || self.head.is_none() && !self.within.is_some_and(|lock| lock.confirmed) {
            self.guess.forget();
            self.within = Some(Within {
                choice,
                before: Edge::before(&text[..start]),
                behind: Edge::behind(&text[reading.end..]),
                named,
                confirmed: named,
            });
        }
        self.found(reading, start, false, named)
    }

    /// The longest date that begins at `start`.
    fn longest(
        &mut self,
        text: &[u8],
        start: usize,
        at_head: bool,
        now: Timestamp,
    ) -> Option<(Reading, Choice)> {
        let rest = text.get(start..)?;
        let first = *rest.first()?;
        let clock = has_clock(rest.get(..CLOCK_WITHIN).unwrap_or(rest));
        let mut best: Option<Reading> = None;
        let mut rival: Option<Reading> = None;
        for number in 0..self.forms.all().len() {
            let form = &self.forms.all()[number];
            let hopeless = form.has_clock && !clock || form.format.at_head() && !at_head;
            if hopeless || !form.begins_with(first) {
                continue;
            }
            let Some(reading) = self.reading(text, start, number, now) else {
                continue;
            };
            match best {
                Some(best) if reading.end < best.end => {}
                Some(best) if reading.end == best.end => {
                    let other = reading.time != best.time;
                    rival = rival.or(other.then_some(reading));
                }
                _ => (best, rival) = (Some(reading), None),
            }
        }
        let best = best?;
        Some(match rival {
            Some(rival) => chosen(best, rival, now),
            None => (best, Choice::of(best.form)),
        })
    }

    fn found(&self, reading: Reading, start: usize, at_head: bool, trusted: bool) -> Found {
        let form = self.forms.all().get(reading.form);
        Found {
            time: reading.time,
            start,
            end: reading.end,
            at_head,
            trusted,
            heads_syslog: form.is_some_and(|form| form.heads_syslog),
        }
    }
}

/// Whether there is something like `4:05` in `text`.
fn has_clock(text: &[u8]) -> bool {
    let clock = |four: &[u8]| match four {
        [a, b':', b, c] => [a, b, c].into_iter().all(u8::is_ascii_digit),
        _ => false,
    };
    text.windows(4).any(clock)
}

impl Forms {
    fn all(&self) -> &[Form] {
        match self {
            Forms::Known(forms) => forms,
            Forms::Given(forms) => forms,
        }
    }
}
