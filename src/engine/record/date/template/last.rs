//! Was that date read just now?
//!
//! Many lines have the date of the line before, and most have one that is written like it. In: where a template found something,
//! and what reads it. Out: what it tells, which is not read where the same is found again; and where its numbers stand, which
//! is not asked where it is written alike. Only what depends on nothing else is remembered.

use jiff::tz::TimeZone;
use smallvec::SmallVec;

use super::search::{Hit, Place};
use super::{DateTemplates, TemplateDate};
use crate::engine::record::date::calendar::Calendar;
use crate::engine::time::Timestamp;

/// No longer text is remembered, in bytes: only a template with `.*` in it takes more.
const LONGEST: usize = 128;

/// The date that was read last.
#[derive(Debug, Default)]
pub struct LastDate(Option<InZone>);

/// The date that was read last, and the zone in which it was.
#[derive(Debug)]
pub(super) struct InZone {
    calendar: Calendar,
    last: Option<Last>,
}

/// What was read. Places are counted from the start of what the template took.
#[derive(Debug)]
struct Last {
    seen: Seen,
    hit: Hit,
    date: TemplateDate,
}

/// What was seen: all that it depends on what a date in a zone tells.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    templates: DateTemplates,
    now: Timestamp,
    /// By the how manyth template.
    number: usize,
    /// Whether its groups stand in the same places of all texts that differ in digits alone.
    is_regular: bool,
    /// What the template took, with the byte before it and the one behind it, where there are any: expressions ask what
    /// stands next to a date, and no further.
    text: SmallVec<[u8; 48]>,
    has_before: bool,
    has_after: bool,
}

impl Seen {
    /// What there is at `place` of `line`; `None` if that is not all on which it depends what it tells.
    pub(super) fn at(
        place: &Place<'_>,
        line: &[u8],
        templates: &DateTemplates,
        now: Timestamp,
    ) -> Option<Self> {
        let span = &place.span;
        let (has_before, has_after) = (span.start > 0, span.end < line.len());
        let around = span.start - usize::from(has_before)..span.end + usize::from(has_after);
        let text = line.get(around)?;
        let is_all = place.is_told_by_its_text() && text.len() <= LONGEST;
        is_all.then(|| Seen {
            templates: templates.clone(),
            now,
            number: place.number,
            is_regular: templates.is_regular(place.number),
            text: text.into(),
            has_before,
            has_after,
        })
    }

    /// Whether the groups of the template stand in the same places of both.
    fn is_written_like(&self, other: &Seen) -> bool {
        let alike = |(one, other): (&u8, &u8)| {
            one == other || one.is_ascii_digit() && other.is_ascii_digit()
        };
        self.is_regular
            && self.number == other.number
            && self.text.len() == other.text.len()
            && (self.has_before, self.has_after) == (other.has_before, other.has_after)
            && self.text.iter().zip(&other.text).all(alike)
            && self.templates == other.templates
    }
}

impl LastDate {
    /// What was read last in this zone. What was in another one is forgotten.
    pub(super) fn in_zone(&mut self, zone: &TimeZone) -> &mut InZone {
        let known = self.0.take().filter(|last| last.calendar.zone() == zone);
        self.0.insert(known.unwrap_or_else(|| InZone {
            calendar: Calendar::new(zone.clone()),
            last: None,
        }))
    }
}

impl InZone {
    /// What is told by what was seen, which begins at `start` of a line; `find` finds its groups, and `read` reads them.
    pub(super) fn told(
        &mut self,
        seen: Option<Seen>,
        start: usize,
        find: impl FnOnce() -> Option<Hit>,
        read: impl FnOnce(&Hit, &mut Calendar) -> TemplateDate,
    ) -> Option<TemplateDate> {
        let known = self.last.take();
        let known = known.zip(seen.as_ref());
        if let Some((last, seen)) = known.as_ref()
            && last.seen == **seen
        {
            let date = last.date.moved(|at| at + start);
            self.last = known.map(|(last, _)| last);
            return Some(date);
        }
        let alike = known.filter(|(last, seen)| seen.is_written_like(&last.seen));
        let hit = match alike {
            Some((last, _)) => last.hit.moved(|at| at + start),
            None => find()?,
        };
        let date = read(&hit, &mut self.calendar);
        // What is cut stands behind the start, or is nothing at all.
        self.last = seen.filter(|_| hit.begins_at(start)).map(|seen| Last {
            seen,
            hit: hit.moved(|at| at - start),
            date: date.moved(|at| at - start),
        });
        Some(date)
    }
}
