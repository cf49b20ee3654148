//! Was that date read just now?
//!
//! Many lines have the date of the line before. In: where a template found something, and what reads it. Out: what it tells, which
//! is not read where the same is found again. Only what depends on nothing else is remembered.

use jiff::tz::TimeZone;
use smallvec::SmallVec;

use super::search::Place;
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
    /// Where to cut is counted from the start of what the template took.
    last: Option<(Seen, TemplateDate)>,
}

/// What was seen: all that it depends on what a date in a zone tells.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    templates: DateTemplates,
    now: Timestamp,
    /// By the how manyth template.
    number: usize,
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
            text: text.into(),
            has_before,
            has_after,
        })
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
    /// What is told by what was seen, which begins at `start` of a line; `read` reads it.
    pub(super) fn told(
        &mut self,
        seen: Option<Seen>,
        start: usize,
        read: impl FnOnce(&mut Calendar) -> Option<TemplateDate>,
    ) -> Option<TemplateDate> {
        if let Some((last, date)) = &self.last
            && seen.as_ref() == Some(last)
        {
            return Some(TemplateDate {
                cut: date.cut.start + start..date.cut.end + start,
                ..*date
            });
        }
        let date = read(&mut self.calendar)?;
        let from_start = |at: usize| at.checked_sub(start);
        let cut = from_start(date.cut.start).zip(from_start(date.cut.end));
        self.last = seen.zip(cut).map(|(seen, (start, end))| {
            let cut = start..end;
            (seen, TemplateDate { cut, ..date })
        });
        Some(date)
    }
}
