//! Was that date read just now?
//!
//! Most lines have the date of the line before. In: where a template found something, and what it told there. Out: the same
//! where it finds the same again. Only what depends on nothing else is remembered.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::search::Place;
use super::{DateTemplates, TemplateDate};
use crate::engine::record::date::calendar::Calendar;
use crate::engine::time::Timestamp;

/// No longer text is remembered, in bytes. No date is as long.
const LONGEST: usize = 128;

/// The date that was read last.
#[derive(Debug, Default)]
pub struct LastDate(Option<InZone>);

/// The date that was read last, and the zone in which it was.
#[derive(Debug)]
pub(super) struct InZone {
    pub(super) calendar: Calendar,
    read: Option<Read>,
}

/// What was read, and all that it depends on.
#[derive(Debug)]
struct Read {
    templates: DateTemplates,
    now: Timestamp,
    /// By the how manyth template.
    number: usize,
    /// What the template took, with the byte before it and the one behind it, where there are any: expressions ask what
    /// stands next to a date, and no further.
    text: Box<[u8]>,
    has_before: bool,
    has_after: bool,
    /// What it told; where to cut is counted from the start of what it took.
    date: TemplateDate,
}

/// The bytes of a span and those next to it.
fn around(line: &[u8], span: &Range<usize>) -> Range<usize> {
    span.start.saturating_sub(1)..line.len().min(span.end + 1)
}

impl LastDate {
    /// What was read last in this zone. What was in another one is forgotten.
    pub(super) fn in_zone(&mut self, zone: &TimeZone) -> &mut InZone {
        let known = self.0.take().filter(|last| last.calendar.zone() == zone);
        self.0.insert(known.unwrap_or_else(|| InZone {
            calendar: Calendar::new(zone.clone()),
            read: None,
        }))
    }
}

impl InZone {
    /// What is told at `place` of `line`, if that is what was read last.
    pub(super) fn get(
        &self,
        (templates, now): (&DateTemplates, Timestamp),
        (line, place): (&[u8], &Place<'_>),
    ) -> Option<TemplateDate> {
        let last = self.read.as_ref()?;
        let span = &place.span;
        let is_same = place.is_told_by_its_text()
            && last.number == place.number
            && line.get(around(line, span)) == Some(&*last.text)
            && last.has_before == (span.start > 0)
            && last.has_after == (span.end < line.len())
            && last.now == now
            && last.templates.is(templates);
        is_same.then(|| TemplateDate {
            cut: span.start + last.date.cut.start..span.start + last.date.cut.end,
            ..last.date
        })
    }

    /// Remembers what was told at `place` of `line`.
    pub(super) fn set(
        &mut self,
        (templates, now): (&DateTemplates, Timestamp),
        (line, place): (&[u8], &Place<'_>),
        date: &TemplateDate,
    ) {
        let span = &place.span;
        let from_start = |at: usize| at.checked_sub(span.start);
        let cut = from_start(date.cut.start).zip(from_start(date.cut.end));
        let text = line.get(around(line, span));
        let text = text.filter(|text| place.is_told_by_its_text() && text.len() <= LONGEST);
        self.read = cut.zip(text).map(|((start, end), text)| Read {
            templates: templates.clone(),
            now,
            number: place.number,
            text: text.into(),
            has_before: span.start > 0,
            has_after: span.end < line.len(),
            date: TemplateDate {
                cut: start..end,
                ..*date
            },
        });
    }
}
