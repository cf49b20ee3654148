//! What would become of a sample if its client had chosen other text?
//!
//! In: a compiled filter and samples. Out: the first way to tell one of them again that moves the address, hides a failure
//! or makes one of what is none. The text of a client stands where placeholders take it and where the sample says
//! ([`Sample::chosen`]). There are two questions. Whatever stands in a placeholder, may it be what the service never
//! writes: nobody else may be blamed. And written as the service writes it ([`Quoting`]): the sample comes out as
//! before, for a client who can hide his failure tries passwords for ever. Nothing here is random: a text has a number.

mod hostile;
mod runs;
mod spot;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use jiff::tz::TimeZone;

use super::language::{Free, expand_marked};
use super::sample::Sample;
use super::view::{Place, View};
use super::{FilterSet, PatternSpec};
use crate::engine::expression::{Expression, parse};
use crate::engine::policy::FilterId;
use crate::engine::record::LONGEST_MESSAGE;
use crate::engine::record::line::{LineForm, LineReader};
use crate::engine::time::Timestamp;

#[cfg(doc)]
use super::quoting::Quoting;
pub use hostile::FORGED;
use hostile::Hostile;
use runs::{Run, Runs};
use spot::Spot;

/// The most places of one sample in which text is forged: more than any line has that people can read.
const MOST_SPOTS: usize = 24;

/// Tells samples of one filter again.
#[derive(Debug)]
pub struct Forger<'f> {
    filters: &'f FilterSet,
    filter: FilterId,
    patterns: BTreeMap<u16, Vec<Marked>>,
    reader: LineReader,
    hostile: Hostile,
}

/// A sample, and where it can be told otherwise.
#[derive(Debug)]
pub struct Story<'s> {
    sample: &'s Sample,
    told: Vec<Told>,
    spots: Vec<Spot>,
    /// Where text stands that decides where the address is; and what a client writes there who names somebody else.
    copies: Vec<(Spot, Vec<Vec<u8>>)>,
    /// One that has read the sample, and knows how its dates are written.
    reader: LineReader,
}

/// A sample that was told again, and comes out otherwise than it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgery {
    /// What became of it.
    pub flaw: Flaw,
    /// The line that shows it.
    pub line: Vec<u8>,
    /// In place of what other text stands in it.
    pub instead: String,
    /// The pattern that took the line before; 0 if none did.
    pub pattern: u16,
}

/// What text of a client must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Somebody else is blamed, whom the text names or whom it left over.
    Moved(String),
    /// Nobody is blamed any longer.
    Hidden,
    /// Somebody is blamed though nobody has failed.
    Counted(String),
}

/// A part of a pattern whose groups take all text of a client.
#[derive(Debug)]
struct Marked {
    place: Place,
    regex: Expression,
    groups: Vec<(String, Free)>,
    /// What else takes text beside the address.
    runs: Option<Runs>,
}

/// What a line was found to be: by which pattern, and whose failure.
type Told = Option<(u16, Who)>;

/// Who is blamed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Address(IpAddr),
    Host(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Address(address) => address.fmt(f),
            Who::Host(host) => host.fmt(f),
        }
    }
}

/// How a text is put into a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// As far as the placeholder takes it, whatever the service writes.
    AsTaken,
    /// As the service writes it.
    AsWritten,
}

impl<'f> Forger<'f> {
    /// For one of the filters; what `samples` have in them is used against it. All is read as not later than about `now`.
    pub fn new<'s>(
        filters: &'f FilterSet,
        filter: FilterId,
        samples: impl IntoIterator<Item = &'s Sample>,
        now: Timestamp,
    ) -> Self {
        let spec = filters.spec(filter);
        let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now);
        let lines = samples.into_iter().flat_map(|sample| &sample.lines);
        let hostile = Hostile::new(lines, &spec.failures, &mut reader);
        let patterns = spec.failures.iter();
        Forger {
            filters,
            filter,
            patterns: patterns.map(|spec| (spec.number, marked(spec))).collect(),
            reader: LineReader::new(&LineForm::in_zone(TimeZone::UTC), now),
            hostile,
        }
    }

    /// How many texts there are that each place should be tried with; behind these they are put together anew.
    pub fn texts(&self) -> usize {
        self.hostile.len()
    }

    /// What is to be told of a sample.
    pub fn story<'s>(&self, sample: &'s Sample) -> Story<'s> {
        let (mut told, mut depths, mut spots) = (Vec::new(), Vec::new(), Vec::new());
        let mut copies = Vec::new();
        let mut reader = self.reader.clone();
        for (number, line) in sample.lines.iter().enumerate() {
            let Ok(Some(record)) = reader.read(line.as_bytes()) else {
                told.push(None);
                depths.push((0, false));
                continue;
            };
            let view = View::from(record);
            let depth = spot::depth(line, &view);
            let found = self.found(&view);
            if let Some((pattern, _)) = &found {
                let parts = self.patterns.get(pattern).into_iter().flatten();
                let runs = parts.clone().flat_map(|part| part.copied(&view));
                copies.extend(runs.filter_map(|(place, text, run)| {
                    let texts = hostile::copies(text, &run);
                    let taken = (place, text, run.range);
                    let spot = Spot::of_group(number, line, depth, taken, Free::Class, *pattern)?;
                    Some((spot, texts))
                }));
                let taken = parts.flat_map(|part| part.taken(&view));
                spots.extend(taken.filter_map(|(place, text, range, free)| {
                    Spot::of_group(number, line, depth, (place, text, range), free, *pattern)
                }));
            }
            told.push(found);
            depths.push(depth);
        }
        let chosen = sample.chosen.iter();
        spots.extend(chosen.map(|text| Spot::of_chosen(&sample.lines, text, &depths)));
        spots.truncate(MOST_SPOTS);
        copies.truncate(MOST_SPOTS);
        Story {
            sample,
            told,
            spots,
            copies,
            reader,
        }
    }

    /// What a line is found to be.
    fn found(&self, view: &View<'_>) -> Told {
        let found = self.filters.find(self.filter, view)?;
        let who = match found.ip {
            Some(address) => Who::Address(address),
            None => Who::Host(found.host.into_owned()),
        };
        Some((found.pattern, who))
    }

    /// Tells `story` again with the text of this number at one of its places, as `number` says too; `None` if all is well.
    pub fn tell(&self, story: &Story<'_>, number: usize) -> Option<Forgery> {
        let spot = story.spots.get(number % story.spots.len().max(1))?;
        let text = self.hostile.text(number / story.spots.len());
        let mut told = None;
        if spot.free.is_some() {
            told = self.retell(story, spot, &text, How::AsTaken);
        }
        if told.is_none() && spot.is_written() {
            told = self.retell(story, spot, &text, How::AsWritten);
        }
        told
    }

    /// Tells it again so that each message is cut in the midst of what the client wrote, where that accuses somebody as
    /// the message itself does.
    pub fn tell_cut(&self, story: &Story<'_>) -> Option<Forgery> {
        let mut spots = story.spots.iter().filter(|spot| spot.free.is_some());
        spots.find_map(|spot| {
            let line = story.sample.lines.get(spot.line())?;
            let mut reader = story.reader.clone();
            let record = reader.read(line.as_bytes()).ok().flatten()?;
            let lie = hostile::accused(record.message, FORGED[0]);
            let room = LONGEST_MESSAGE.saturating_sub(spot.start());
            let padding = vec![b'x'; room.saturating_sub(lie.len() + 1)];
            let text = [&padding, b" ".as_slice(), &lie].concat();
            self.retell(story, spot, &text, How::AsTaken)
        })
    }

    /// Tells it again with the rest of its own message, and somebody else in it, in front of that rest; also where nothing but
    /// a class takes the text. That this moves no address is all that is asked. One flaw for each such text, but for
    /// those that are the service's own.
    pub fn tell_copied<'s>(&'s self, story: &'s Story<'_>) -> impl Iterator<Item = Forgery> + 's {
        let is_own = |spot: &Spot| story.sample.own.iter().any(|own| own == spot.text());
        let copies = story.copies.iter().filter(move |(spot, _)| !is_own(spot));
        copies.filter_map(|(spot, texts)| {
            let mut forgeries = texts
                .iter()
                .filter_map(|text| self.retell(story, spot, text, How::AsWritten));
            forgeries.find(|forgery| matches!(forgery.flaw, Flaw::Moved(_)))
        })
    }

    fn retell(&self, story: &Story<'_>, spot: &Spot, text: &[u8], how: How) -> Option<Forgery> {
        let text = spot.written(text, how, story.sample.quoting);
        // How logs write that there is no text at all.
        if how == How::AsWritten && matches!(text.as_slice(), b"" | b"-") {
            return None;
        }
        let mut reader = story.reader.clone();
        for (number, line) in story.sample.lines.iter().enumerate() {
            let forged = spot.put(number, line.as_bytes(), &text);
            let Some(forged) = forged else {
                // Of a line in parts, all parts have to be heard.
                if line.starts_with('{') {
                    let _ = reader.read(line.as_bytes());
                }
                continue;
            };
            // One that is too long is cut, and that is another question.
            if how == How::AsWritten && forged.len() >= LONGEST_MESSAGE {
                continue;
            }
            let record = reader.read(&forged).ok().flatten();
            let found = record.and_then(|record| self.found(&View::from(record)));
            let before = &story.told[number];
            let flaw = match (before, found) {
                (Some((_, who)), Some((_, other))) if *who != other => {
                    Flaw::Moved(other.to_string())
                }
                (Some(_), None) if how == How::AsWritten => Flaw::Hidden,
                (None, Some((_, who))) if how == How::AsWritten => Flaw::Counted(who.to_string()),
                _ => continue,
            };
            let pattern = before.as_ref().map_or(0, |(pattern, _)| *pattern);
            return Some(Forgery {
                flaw,
                line: forged,
                instead: spot.text().to_owned(),
                pattern,
            });
        }
        None
    }
}

impl Story<'_> {
    /// The patterns of which some placeholder is forged.
    pub fn patterns(&self) -> impl Iterator<Item = u16> {
        let taken = self.spots.iter().filter(|spot| spot.free.is_some());
        taken.map(|spot| spot.pattern)
    }

    /// In how many places it can be told otherwise.
    pub fn places(&self) -> usize {
        self.spots.len()
    }
}

impl Marked {
    /// What its groups take: each with the text that the part is over.
    fn taken<'m, 'v>(
        &'m self,
        view: &'v View<'_>,
    ) -> Vec<(&'m Place, &'v [u8], Range<usize>, Free)> {
        let taken = || {
            let text = view.text(&self.place)?;
            let captures = self.regex.regex()?.captures(text)?;
            let groups = self.groups.iter();
            let groups = groups.filter_map(|(name, free)| {
                Some((&self.place, text, captures.name(name)?.range(), *free))
            });
            Some(groups.collect())
        };
        taken().unwrap_or_default()
    }

    /// What decides where the address is: each with the text that the part is over.
    fn copied<'m, 'v>(&'m self, view: &'v View<'_>) -> Vec<(&'m Place, &'v [u8], Run)> {
        let text = view.text(&self.place);
        let Some((text, runs)) = text.zip(self.runs.as_ref()) else {
            return Vec::new();
        };
        let runs = runs.taken(text).into_iter();
        runs.map(|run| (&self.place, text, run)).collect()
    }
}

/// Its parts that have room for text of a client. It has been compiled before, so nothing is wrong with it.
fn marked(spec: &PatternSpec) -> Vec<Marked> {
    let message = (Place::Message, spec.text.as_str());
    let fields = spec.fields.iter();
    let fields = fields.map(|(path, text)| (Place::Field(path.clone()), text.as_str()));
    let parts = [message].into_iter().chain(fields);
    let parts = parts.filter_map(|(place, text)| {
        let (source, groups) = expand_marked(text).ok()?;
        let hir = parse(&source).ok()?;
        let runs = Runs::new(&source, &groups);
        let regex = Expression::new(source, &hir).ok()?;
        Some(Marked {
            place,
            regex,
            groups,
            runs,
        })
    });
    let has_room = |part: &Marked| !part.groups.is_empty() || part.runs.is_some();
    parts.filter(has_room).collect()
}

#[cfg(test)]
mod tests;
