//! Does a filter still hear what its programs say?
//!
//! In: records and what was found in them. Out: sightings. What is decided does not depend on anything here, and what a
//! record costs here has a bound in time, not in records.

use super::Engine;
use super::heard::wants;
use crate::engine::decision::{Decision, Notice};
use crate::engine::filter::likely::Likely;
use crate::engine::filter::wording::alike;
use crate::engine::filter::{Finding, RecordsSpec, View};
use crate::engine::name::{FilterName, SourceName};
use crate::engine::policy::{FilterId, Policy};
use crate::engine::record::kept::kept;
use crate::engine::record::{Record, lossy};
use crate::engine::sighting::{
    DAY, LATELY, LONGEST_LINE, MOST_LINES, PatternCount, Seen, Sighting, UnknownLine, day_of,
};
use crate::engine::time::Timestamp;

/// So many records are looked at in a second, whether they are a filter's own: with a hundred filters that takes a
/// thousandth of the time, and when more come, one of those that are alike is seen all the same.
const MOST_LOOKED_AT: u32 = 1_000;

/// So many of them are weighed in a second for each filter, whether they look like failures: that takes a microsecond or
/// two, and a wording that is logged at all regularly is seen within a day.
const MOST_WEIGHED: u32 = 20;

/// What is seen of the filters.
#[derive(Debug)]
pub(super) struct Watch {
    likely: Likely,
    ears: Vec<Ear>,
    /// The second that is spent on,
    second: i64,
    /// and how many records were looked at in it.
    looked_at: u32,
    /// How many records something was found in.
    records: u64,
    /// Whether there are sightings that nobody was told.
    has_news: bool,
    /// Whether it is known what earlier runs have seen.
    is_restored: bool,
}

/// What is seen of the filters of one name: they may be in use in several modes.
#[derive(Debug)]
struct Ear {
    name: FilterName,
    filters: Vec<FilterId>,
    /// The jails that use them, by their place.
    jails: Vec<usize>,
    patterns: Vec<Pattern>,
    lines: Vec<Line>,
    /// How many records were weighed in this second.
    weighed: u32,
    /// When the administrator was told last that it has gone deaf.
    told: Option<Timestamp>,
}

#[derive(Debug)]
struct Pattern {
    count: PatternCount,
    /// The last record that it has taken, by its number among those in which something was found.
    record: u64,
    is_news: bool,
    /// Whether it was ever told of.
    is_known: bool,
}

#[derive(Debug)]
struct Line {
    line: UnknownLine,
    is_news: bool,
}

impl Engine {
    /// From now on notes what it sees of its filters, for [`Engine::tell_sightings`].
    ///
    /// # Errors
    /// The words of failures are no regular expression.
    pub fn watch(&mut self, now: Timestamp) -> Result<(), regex::Error> {
        self.watch = Some(Watch {
            likely: Likely::new()?,
            ears: ears(&self.policy, now),
            second: 0,
            looked_at: 0,
            records: 0,
            has_news: false,
            is_restored: false,
        });
        Ok(())
    }

    /// Whether there is anything to tell.
    pub fn has_sightings(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.has_news)
    }

    /// Appends what was seen since this was called last.
    pub fn tell_sightings(&mut self, out: &mut Vec<Decision>) {
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.has_news) else {
            return;
        };
        watch.has_news = false;
        for ear in &mut watch.ears {
            let patterns = ear.patterns.iter_mut();
            let taken = patterns.filter_map(|one| {
                let is_news = std::mem::take(&mut one.is_news);
                is_news.then(|| Sighting::Taken(one.count.clone()))
            });
            out.extend(taken.map(Decision::Sighted));
            let lines = ear.lines.iter_mut();
            let unknown = lines.filter_map(|one| {
                let is_news = std::mem::take(&mut one.is_news);
                is_news.then(|| Sighting::Unknown(one.line.clone()))
            });
            out.extend(unknown.map(Decision::Sighted));
        }
    }

    /// Goes on where an earlier run has ended; `is_all` unless more of it will come. What was seen before the database could be read is added to it.
    pub(super) fn restore_sightings(&mut self, seen: Seen, is_all: bool) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        watch.is_restored = is_all;
        for sighting in seen.sightings {
            match sighting {
                Sighting::Taken(count) => watch.recall_count(&count),
                Sighting::Unknown(line) => watch.recall_line(line),
            }
        }
        for (jail, time) in &seen.told {
            let named = |ear: &&mut Ear| {
                let mut jails = ear.jails.iter();
                jails.any(|at| self.policy.jails[*at].name == *jail)
            };
            for ear in watch.ears.iter_mut().filter(named) {
                ear.told = ear.told.max(Some(*time));
            }
        }
        watch.note_new();
    }

    /// Watches the filters of other settings, and goes on with those that stay. To be called with these in force.
    pub(super) fn watch_others(&mut self, now: Timestamp) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        let old = std::mem::replace(&mut watch.ears, ears(&self.policy, now));
        for ear in old {
            let mut new = watch.ears.iter_mut();
            let Some(new) = new.find(|new| new.name == ear.name) else {
                continue;
            };
            new.lines = ear.lines;
            new.told = ear.told;
            for pattern in ear.patterns {
                let mut known = new.patterns.iter_mut();
                let same = known.find(|known| known.count.pattern == pattern.count.pattern);
                if let Some(known) = same {
                    let number = known.count.number;
                    *known = pattern;
                    known.count.number = number;
                }
            }
        }
        watch.note_new();
    }

    /// Looks whether a record in which nothing was found is one that a filter should have known, if there is time.
    pub(super) fn look_for_unknown(
        &mut self,
        now: Timestamp,
        source: Option<&SourceName>,
        view: &View<'_>,
    ) {
        if let Some(watch) = &mut self.watch
            && view.record().reported.is_none()
            && watch.has_time(now)
        {
            watch.look(&self.policy, now, source, view);
        }
    }

    /// Tells of filters that have gone deaf, of each once a day.
    pub(super) fn tell_deaf(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        for ear in &mut watch.ears {
            if let Some(notice) = ear.deafness(&self.policy, now) {
                ear.told = Some(now);
                out.push(Decision::Notice(notice));
            }
        }
    }
}

impl Watch {
    /// Something is found in another record.
    pub(super) fn next_record(&mut self) {
        self.records += 1;
    }

    /// Notes that a pattern has taken the record for a jail that listens: once, in however many modes the filter is used.
    pub(super) fn note_found(&mut self, now: Timestamp, time: Timestamp, finding: &Finding<'_>) {
        let mut ears = self.ears.iter_mut();
        let ear = ears.find(|ear| ear.filters.contains(&finding.filter));
        let patterns = ear.map(|ear| ear.patterns.iter_mut());
        let number = finding.found.pattern;
        let Some(pattern) = patterns.and_then(|mut all| all.find(|one| one.count.number == number))
        else {
            return;
        };
        if std::mem::replace(&mut pattern.record, self.records) == self.records {
            return;
        }
        let count = &mut pattern.count;
        // A clock that was set back must not begin a day anew that was counted to its end.
        let day = day_of(now).max(count.day);
        if day > count.day {
            (count.day, count.records) = (day, 0);
        }
        count.records += 1;
        count.last = count.last.max(Some(time.min(now)));
        (pattern.is_news, pattern.is_known) = (true, true);
        self.has_news = true;
    }

    /// Whether there is time in this second to look at one more record.
    fn has_time(&mut self, now: Timestamp) -> bool {
        let second = now.as_micros().div_euclid(1_000_000);
        if second != self.second {
            self.second = second;
            self.looked_at = 0;
            for ear in &mut self.ears {
                ear.weighed = 0;
            }
        }
        let has_time = self.looked_at < MOST_LOOKED_AT;
        self.looked_at += u32::from(has_time);
        has_time
    }

    /// Looks whether a record is a failure that a filter should have known.
    fn look(
        &mut self,
        policy: &Policy,
        now: Timestamp,
        source: Option<&SourceName>,
        view: &View<'_>,
    ) {
        let record = view.record();
        let text = match record.object() {
            b"" => record.message,
            object => object,
        };
        for ear in &mut self.ears {
            if ear.weighed >= MOST_WEIGHED || !ear.is_own(policy, source, record) {
                continue;
            }
            ear.weighed += 1;
            let is_known = || ear.filters.iter().any(|id| policy.filters.knows(*id, view));
            if self.likely.is(text) && !is_known() {
                let text = &text[..text.len().min(LONGEST_LINE)];
                ear.note_unknown(now, record.time.min(now), text);
                self.has_news = true;
            }
        }
    }

    fn recall_count(&mut self, count: &PatternCount) {
        let ears = self.ears.iter_mut().filter(|ear| ear.name == count.filter);
        let patterns = ears.flat_map(|ear| &mut ear.patterns);
        for known in patterns.filter(|known| known.count.pattern == count.pattern) {
            let own = &mut known.count;
            own.last = own.last.max(count.last);
            if count.day >= own.day {
                own.day = count.day;
                own.records += count.records;
            }
            known.is_known = true;
        }
    }

    fn recall_line(&mut self, line: UnknownLine) {
        let mut ears = self.ears.iter_mut().filter(|ear| ear.name == line.filter);
        if let Some(ear) = ears.next()
            && !ear.lines.iter().any(|known| known.line.place == line.place)
            && usize::from(line.place) < MOST_LINES
        {
            ear.lines.push(Line {
                line,
                is_news: false,
            });
        }
    }

    /// Has patterns told of that nobody has heard of yet, so that it is known since when they take nothing.
    fn note_new(&mut self) {
        let patterns = self.ears.iter_mut().flat_map(|ear| &mut ear.patterns);
        for pattern in patterns.filter(|pattern| self.is_restored && !pattern.is_known) {
            (pattern.is_news, pattern.is_known) = (true, true);
            self.has_news = true;
        }
    }
}

impl Ear {
    /// Whether one of its jails listens where the record comes from, and it is one of the filter's own: it names one of
    /// its programs or a relation of one; or it came by matches of a journal, or from files, that were chosen for the
    /// filter, and names no program or has none to name.
    fn is_own(&self, policy: &Policy, source: Option<&SourceName>, record: &Record<'_>) -> bool {
        let is_nameless = record.program.is_empty();
        self.jails.iter().any(|at| {
            let jail = &policy.jails[*at];
            let RecordsSpec { programs, .. } = &policy.filters.spec(jail.filter).records;
            // Only entries of a journal have a unit. Text of a file may be of any program.
            let is_chosen = !record.routes.is_empty()
                && (programs.is_empty() || is_nameless || !record.unit.is_empty());
            let is_of = |name: &str| is_relation(record.program, name);
            (is_chosen || programs.iter().any(|name| is_of(name)))
                && wants(jail, source, record.routes, is_nameless)
        })
    }

    /// Notes a line that nobody knows.
    fn note_unknown(&mut self, now: Timestamp, time: Timestamp, text: &[u8]) {
        let mut lines = self.lines.iter_mut();
        if let Some(known) = lines.find(|known| alike(known.line.text.as_bytes(), text)) {
            let line = &mut known.line;
            line.count += 1;
            line.last = line.last.max(time);
            known.is_news = true;
            return;
        }
        let new = |place| Line {
            line: UnknownLine {
                filter: self.name.clone(),
                place,
                text: kept(&lossy(text)).into(),
                count: 1,
                first: time,
                last: time,
            },
            is_news: true,
        };
        let is_free = |place: &u8| self.lines.iter().all(|known| known.line.place != *place);
        let mut places = 0..u8::try_from(MOST_LINES).unwrap_or(u8::MAX);
        if let Some(place) = places.find(is_free) {
            let new = new(place);
            self.lines.push(new);
            return;
        }
        // What was not seen lately goes first: it may be a wording that a filter has learnt meanwhile.
        let lately = now.before(LATELY);
        let worth = |known: &&mut Line| {
            let line = &known.line;
            (line.last >= lately, line.count, line.last)
        };
        let place = self
            .lines
            .iter_mut()
            .min_by_key(worth)
            .map(|worst| worst.line.place);
        if let Some(place) = place {
            let new = new(place);
            self.lines.retain(|known| known.line.place != place);
            self.lines.push(new);
        }
    }

    /// That it took something lately, nothing for a day, and there are lines of that day that it does not know; unless
    /// that was told in that time.
    fn deafness(&self, policy: &Policy, now: Timestamp) -> Option<Notice> {
        let day_ago = now.before(DAY);
        let last = self
            .patterns
            .iter()
            .filter_map(|one| one.count.last)
            .max()?;
        let is_silent = last < day_ago && last >= now.before(LATELY);
        // A clock that was set back must not silence it for ever.
        if !is_silent || self.told.is_some_and(|told| told > day_ago && told <= now) {
            return None;
        }
        let fresh = self.lines.iter().map(|known| &known.line);
        let line = fresh
            .filter(|line| line.last >= day_ago)
            .max_by_key(|line| line.count)?;
        Some(Notice::Deaf {
            jail: policy.jails[*self.jails.first()?].name.clone(),
            filter: self.name.clone(),
            since: last,
            line: line.text.clone(),
        })
    }
}

/// Whether a program is this one, or goes by its name and a further one, as sshd-session does.
fn is_relation(program: &str, name: &str) -> bool {
    program.strip_prefix(name).is_some_and(|rest| {
        let mut further = rest.bytes();
        further
            .next()
            .is_none_or(|next| !next.is_ascii_alphanumeric())
    })
}

/// The filters of a policy that have patterns, of which nothing was seen yet.
fn ears(policy: &Policy, now: Timestamp) -> Vec<Ear> {
    let mut ears: Vec<Ear> = Vec::new();
    for (at, jail) in policy.jails.iter().enumerate() {
        let spec = policy.filters.spec(jail.filter);
        if spec.records.reports || spec.records.bans {
            continue;
        }
        let place = ears.iter().position(|ear| ear.name == spec.name);
        let place = place.unwrap_or_else(|| {
            ears.push(Ear {
                name: spec.name.clone(),
                filters: Vec::new(),
                jails: Vec::new(),
                patterns: Vec::new(),
                lines: Vec::new(),
                weighed: 0,
                told: None,
            });
            ears.len() - 1
        });
        let ear = &mut ears[place];
        ear.jails.push(at);
        if ear.filters.contains(&jail.filter) {
            continue;
        }
        ear.filters.push(jail.filter);
        for pattern in &spec.failures {
            let mut known = ear.patterns.iter();
            if known.any(|known| known.count.number == pattern.number) {
                continue;
            }
            ear.patterns.push(Pattern {
                count: PatternCount {
                    filter: spec.name.clone(),
                    pattern: pattern.to_string().into(),
                    number: pattern.number,
                    day: day_of(now),
                    records: 0,
                    last: None,
                },
                record: 0,
                is_news: false,
                is_known: false,
            });
        }
    }
    ears
}
