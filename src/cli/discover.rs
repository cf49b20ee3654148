//! `f2bd discover`: which jails would protect this machine?
//!
//! In: this machine's logs, or those that are named. Out: what each filter would have counted, which services run
//! without a jail, and a configuration to paste. [`places`] says what is read, [`survey`] counts, [`trial`] compares
//! thresholds, [`outcome`] chooses, [`proposal`] writes the configuration, [`telling`] all the rest.

mod outcome;
mod places;
mod proposal;
mod survey;
mod telling;
mod trial;

use std::path::Path;
use std::time::Duration;

use self::outcome::Outcome;
use self::places::Place;
use self::survey::Survey;
use self::telling::Telling;
use super::args::DiscoverArgs;
use super::failure::{Exit, Failure};
use super::logs::{Piece, Reading};
use super::output::Clock;
use super::progress::Progress;
use crate::config::{self, Ground};
use crate::engine::time::Timestamp;

/// How far back this machine's own logs are read if nothing is said: long enough for what happens once a week.
const LOOKS_BACK: Duration = Duration::from_secs(7 * 86_400);

/// Reads the logs and prints what would protect against what is in them.
///
/// # Errors
/// Nothing was found, or a log, the configuration or a filter cannot be read.
pub fn run(args: &DiscoverArgs, clock: &Clock, config: Option<&Path>) -> Result<(), Failure> {
    let (ground, policy) =
        config::ground(config).map_err(|problems| Failure::of_problems(&problems))?;
    let mut unread = Vec::new();
    let since = args.since.map(|since| since.moment(clock.now));
    let (start, places) = match args.logs.is_empty() {
        true => {
            let start = since.unwrap_or_else(|| clock.now.before(LOOKS_BACK));
            let places = places::of_machine(&ground, start, &mut unread);
            (Some(start), places)
        }
        false => (since, places::of_words(&args.logs, &ground, clock)),
    };
    let usual = policy.jails.first().cloned();
    let mut survey = Survey::of(policy, &places);
    let logs = places.iter().map(|place| place.log.clone());
    let mut progress = Progress::of(logs, false);
    for (at, place) in places.iter().enumerate() {
        let read = read(&mut survey, at, place, &ground, start, clock, &mut progress);
        if let Err(failure) = read
            && !is_none_at_all(place, &failure)
        {
            // The others are read all the same.
            unread.push(failure);
        }
    }
    progress.end();
    survey.finish();
    let outcome = Outcome::of(&survey, &ground, &places);
    let telling = Telling {
        outcome: &outcome,
        survey: &survey,
        places: &places,
        start,
        usual: usual.as_ref(),
        clock,
    };
    if args.json || !outcome.is_empty() {
        telling.print(args.json)?;
    }
    if let Some(failure) = Failure::all(unread) {
        return Err(failure);
    }
    match outcome.is_empty() {
        true => Err(Failure::new(Exit::NotSo, nothing(&survey, &places))),
        false => Ok(()),
    }
}

/// Reads what is at one place.
fn read(
    survey: &mut Survey<'_>,
    at: usize,
    place: &Place,
    ground: &Ground,
    start: Option<Timestamp>,
    clock: &Clock,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let writing = place.writing(&ground.files, clock);
    // Which programs run is told by lines of which no pattern takes any.
    let tells_programs = place.log.names_programs(&writing, clock.now);
    let sieve = match tells_programs {
        Some(false) => survey.filters().sieve(&survey.takers(place)),
        Some(true) | None => None,
    };
    let reading = Reading {
        writing: &writing,
        now: clock.now,
        since: start,
        routes: &ground.entries,
        sieve: sieve.as_ref(),
    };
    place.log.read(reading, progress, |piece| {
        match piece {
            Piece::Record(_, record) => match start {
                Some(start) if record.time < start => survey.leave_out(),
                _ => survey.take(at, record),
            },
            Piece::Quiet(lines) => survey.pass(at, lines),
            Piece::Pause => {}
        }
        Ok(())
    })
}

/// Whether it is no fault that this cannot be read: a machine need not have a journal, and a file that was there a
/// moment ago may be gone.
fn is_none_at_all(place: &Place, failure: &Failure) -> bool {
    !place.is_named && failure.exit == Exit::NoInput
}

/// Why nothing was found.
fn nothing(survey: &Survey<'_>, places: &[Place]) -> String {
    match (places.is_empty() || survey.read == 0, survey.looked_at) {
        (true, _) => "no log that a filter knows of has anything in it; name one, as in f2bd discover /var/log/app.log",
        (false, 0) => "no record is as new as --since asks for",
        (false, _) => "nothing was found: no filter counts any of these records, or knows the service they are of",
    }
    .to_owned()
}
