//! Does a filter file do what its samples say, also with other text where clients chose it?
//!
//! In: a filter file. Out: what does not come out as it says, and what makes it slow, as problems at their places. How samples
//! are told again is known to the engine.

use super::looking::looks_from_everywhere;
use super::{FilterFile, NORMAL, Pattern};
use crate::config::problem::{Place, Problems};
use crate::config::shipped;
use crate::engine::filter::forgery::{Flaw, Forger};
use crate::engine::filter::quoting::Quoting;
use crate::engine::filter::sample::Sample;
use crate::engine::filter::{FilterSet, LinePattern};
use crate::engine::policy::FilterId;
use crate::engine::time::Timestamp;

/// When the samples of filters are read: the dates in them have no year.
const SAMPLES_ARE_READ_AT: Timestamp = Timestamp::from_micros(1_798_761_600_000_000);

/// How often each sample is told again with other text of a client: some milliseconds, which `check` may take. The filters
/// that are part of the program are tried a hundred times as often when it is made.
const FORGERIES: usize = 192;

/// What is shown of a line that was told again.
const SHOWN: usize = 300;

impl FilterFile {
    /// Runs the samples, each in its mode, and reports those that do not come out as they say. Returns the
    /// numbers of the patterns that a sample has proven.
    pub fn prove(&self, problems: &mut Problems) -> Vec<u16> {
        let (mut proven, mut costly) = (Vec::new(), Vec::new());
        let mut floating = Vec::new();
        let mut shipped = shipped::FILTERS.iter();
        let is_own =
            !shipped.any(|(name, text)| *name == self.name.as_str() && *text == self.text.content);
        for mode in self.modes() {
            let spec = self.spec(mode);
            self.check_successes(&spec, problems);
            let successes = spec.of_successes().into_iter().collect();
            // What is wrong with these has been reported.
            let successes = FilterSet::compile(successes).unwrap_or_default();
            let filters = match FilterSet::compile(vec![spec]) {
                Ok(filters) => filters,
                Err(errors) => {
                    for error in errors {
                        self.report(&error, problems);
                    }
                    continue;
                }
            };
            costly.extend(filters.tried_always(FilterId(0)));
            floating.extend(filters.floating(FilterId(0)));
            // Nobody who has changed nothing of it has anything to mend: `check` tells of all of those at once.
            if !self.is_foreign_stock {
                self.warn_of_forgeable(&filters.forgeable(FilterId(0)), problems);
            }
            let own = |sample: &Sample| sample.mode.as_deref().unwrap_or(NORMAL) == mode;
            let mut sound = Vec::new();
            for (sample, place) in self.samples.iter().filter(|(sample, _)| own(sample)) {
                let asked = if sample.success { &successes } else { &filters };
                match sample.check(asked, FilterId(0), SAMPLES_ARE_READ_AT) {
                    Ok(patterns) => {
                        sound.push((sample, place));
                        if !sample.success {
                            proven.extend(patterns);
                        }
                    }
                    Err(difference) => problems.error(
                        place,
                        format!("the sample does not hold in mode `{mode}`: {difference}"),
                        "correct the sample or the pattern it belongs to",
                    ),
                }
            }
            if is_own {
                forge(&filters, &sound, false, problems);
                forge(&successes, &sound, true, problems);
            }
        }
        self.warn_of_cost(&mut costly, problems);
        self.warn_of_looking(problems);
        // Of a service that quotes it, no such text can be met.
        let lets_through =
            |sample: &Sample| matches!(sample.quoting, Quoting::None | Quoting::Basic);
        if is_own && self.samples().any(lets_through) {
            self.warn_of_floating(&floating, problems);
        }
        proven.sort_unstable();
        proven.dedup();
        proven
    }

    /// Tells which patterns are tried on every record.
    fn warn_of_cost(&self, numbers: &mut Vec<u16>, problems: &mut Problems) {
        numbers.sort_unstable();
        numbers.dedup();
        let is_one = |pattern: &&Pattern| numbers.contains(&pattern.spec.number);
        // Those that are written at one place are told of once.
        let mut last = None;
        for pattern in self.failures.iter().filter(is_one) {
            if last.replace(&pattern.place) == Some(&pattern.place) {
                continue;
            }
            problems.warning(
                &pattern.place,
                "no exact text of four letters or more is in every message that this pattern takes, so it is tried on \
                 every record, and no line of the files that its jails read can be passed over: they take several \
                 times as long",
                "put exact text into it, such as the words before the address",
            );
        }
    }

    /// Tells which patterns over lines a client can have look on from each place of a long line of his.
    fn warn_of_looking(&self, problems: &mut Problems) {
        let Some(lines) = &self.lines else {
            return;
        };
        let own = self.failures.iter().chain(&self.ignores);
        let own = own.map(|pattern| (pattern.spec.text.as_str(), pattern.place.clone()));
        let prefix = lines.prefix.iter();
        let prefix = prefix.map(|prefix| (prefix.as_str(), Place::whole(&self.text)));
        let mut last = None;
        for (text, place) in own.chain(prefix) {
            if last.as_ref() == Some(&place) || !looks_from_everywhere(text) {
                continue;
            }
            problems.warning(
                &place,
                format!(
                    "filter `{}`: a pattern looks on, with something like `(?=.*…)`, from every place of a line: a long line \
                     that a client has written takes seconds",
                    self.name
                ),
                "write `^` before it, and no `.*`; or look on for a few characters only",
            );
            last = Some(place);
        }
    }

    /// Tells which patterns over lines might take an address that a client wrote.
    fn warn_of_forgeable(&self, forgeable: &[LinePattern], problems: &mut Problems) {
        if forgeable.is_empty() {
            return;
        }
        let mut patterns = self.failures.iter();
        let is_one = |pattern: &&Pattern| {
            let number = pattern.spec.number;
            forgeable.contains(&LinePattern::Failure(number))
        };
        let first = patterns.find(is_one);
        let place = first.map_or_else(|| Place::whole(&self.text), |first| first.place.clone());
        let names = forgeable.iter().map(LinePattern::to_string);
        problems.warning(
            &place,
            format!(
                "filter `{}`: {} of {} patterns ({}) might take an address that a client wrote into the line, and ban \
                 somebody else",
                self.name,
                forgeable.len(),
                self.failures.len(),
                names.collect::<Vec<_>>().join(", ")
            ),
            "tie the address to the start of the line by `^` or to its end by `$`, with nothing like `.*` in between; or \
             use a filter that comes with f2bd, in which that is proven",
        );
    }

    /// Tells which patterns a client may meet with his own text.
    fn warn_of_floating(&self, numbers: &[u16], problems: &mut Problems) {
        let is_one = |pattern: &&Pattern| numbers.contains(&pattern.spec.number);
        for pattern in self.failures.iter().filter(is_one) {
            problems.warning(
                &pattern.place,
                "this pattern asks for text behind `.*`, <user>, <text> or the like, and not up to the end: what stands \
                 there could be a client's own text, so that a harmless line counts",
                "write all that follows exactly and finish with `$`, or let a sign end the text of clients, as in \
                 `\"<agent>\"`",
            );
        }
    }
}

/// Tells samples that hold again, with other text where clients chose it, and warns of those that come out otherwise.
fn forge(
    filters: &FilterSet,
    samples: &[(&Sample, &Place)],
    success: bool,
    problems: &mut Problems,
) {
    let samples = samples
        .iter()
        .filter(|(sample, _)| sample.success == success);
    if filters.is_empty() {
        return;
    }
    let lines = samples.clone().map(|(sample, _)| *sample);
    let forger = Forger::new(filters, FilterId(0), lines, SAMPLES_ARE_READ_AT);
    for (sample, place) in samples {
        let story = forger.story(sample);
        let mut tellings = 0..FORGERIES * usize::from(story.places() > 0);
        let told = tellings.find_map(|number| forger.tell(&story, number));
        let Some(forgery) = told.or_else(|| forger.tell_copied(&story).next()) else {
            continue;
        };
        let line = excerpt(&forgery.line, SHOWN);
        let instead = excerpt(forgery.instead.as_bytes(), SHOWN);
        let came = match forgery.flaw {
            Flaw::Moved(who) => format!("blames {who}, whom a client can choose"),
            Flaw::Hidden => "counts no longer, so that a client can hide what he does".to_owned(),
            Flaw::Counted(who) => format!("counts for {who}, though nobody has failed"),
        };
        problems.warning(
            place,
            format!("with other text of a client instead of `{instead}` the sample {came}: {line}"),
            "let the pattern end such text at a sign that it never holds, and say by `quoting` how the service writes it, \
             or by `own` that no client has a say in it; see FORGERY in f2bd-filter(5)",
        );
    }
}

/// The beginning and the end of a line, with what no terminal is to see spelt out.
fn excerpt(line: &[u8], length: usize) -> String {
    let shown = |part: &[u8]| String::from_utf8_lossy(part).escape_debug().to_string();
    match line.len() > length {
        false => shown(line),
        true => {
            let (first, last) = (&line[..length / 2], &line[line.len() - length / 2..]);
            format!("{}[...]{}", shown(first), shown(last))
        }
    }
}
