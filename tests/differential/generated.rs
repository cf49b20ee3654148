//! Filters and records that bytes choose, the fast way and the slow way.

use f2bd::engine::filter::{
    FilterSet, FilterSpec, LineMemory, Outcome, PatternError, PatternSpec, RecordsSpec, View,
};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::Record;
use f2bd::engine::time::Timestamp;
use serde_json::json;

use super::choices::Choices;
use super::naive::{Naive, parsed};
use super::{patterns, texts};

/// The most records that one set of filters is shown: compiling it costs more than many of them.
const MOST_RECORDS: usize = 32;

/// The field that patterns look at which look at any.
const FIELD: &str = "request.agent";

/// How often something happened, so that a test knows that it tested something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Patterns that were written.
    pub written: usize,
    /// That could be used.
    pub sound: usize,
    /// Records before filters.
    pub shown: usize,
    /// That were failures.
    pub found: usize,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.written += other.written;
        self.sound += other.sound;
        self.shown += other.shown;
        self.found += other.found;
    }
}

/// Filters that are ready, both ways.
pub struct Both {
    fast: FilterSet,
    slow: Vec<Naive>,
}

impl Both {
    /// # Errors
    /// What is wrong with their patterns.
    pub fn new(specs: Vec<FilterSpec>) -> Result<Self, Vec<PatternError>> {
        Ok(Both {
            fast: FilterSet::compile(specs.clone())?,
            slow: specs.into_iter().map(Naive::new).collect(),
        })
    }

    /// How many filters find a failure in a record.
    ///
    /// # Panics
    /// One of them does not find what the slow way finds.
    pub fn compare(&self, record: Record<'_>) -> usize {
        let view = View::from(record);
        let slow = (0..).map(FilterId).zip(&self.slow);
        let slow = slow.filter_map(|(filter, slow)| Some((filter, slow.find(&record)?)));
        let slow: Vec<_> = slow.collect();
        let fast = self
            .fast
            .findings(&view, &mut LineMemory::default())
            .into_iter();
        let fast: Vec<_> = fast.map(|one| (one.filter, one.found)).collect();
        if fast != slow {
            let same = |(fast, slow)| fast == slow;
            let at = fast
                .iter()
                .zip(&slow)
                .take_while(|pair| same(*pair))
                .count();
            let filter = [&fast, &slow]
                .into_iter()
                .filter_map(|all| all.get(at))
                .map(|(filter, _)| *filter)
                .min();
            panic!(
                "found is\n{:#?}, not\n{:#?} in\n{:?}, {record:?}, by\n{:#?}",
                fast.get(at),
                slow.get(at),
                String::from_utf8_lossy(record.message),
                filter.map(|filter| self.fast.spec(filter)),
            );
        }
        let first = slow.iter().find(|(filter, _)| *filter == FilterId(0));
        let first = first.map(|(_, found)| found.clone());
        assert_eq!(self.fast.find(FilterId(0), &view), first);
        slow.len()
    }
}

/// Makes filters of `bytes`, and records for them, and compares.
///
/// # Panics
/// They are not the same.
pub fn check(bytes: &[u8]) -> Tally {
    let mut choices = Choices::new(bytes);
    let mut specs = filters(&mut choices);
    let mut tally = Tally {
        written: patterns_of(&specs),
        ..Tally::default()
    };
    let both = loop {
        match Both::new(specs.clone()) {
            Ok(both) => break both,
            Err(errors) => remove(&mut specs, &errors),
        }
        if specs.is_empty() {
            return tally;
        }
    };
    tally.sound = patterns_of(&specs);
    let structures: Vec<_> = specs
        .iter()
        .flat_map(|spec| spec.failures.iter().chain(&spec.ignores))
        .flat_map(|spec| spec.fields.iter().map(|(_, text)| text).chain([&spec.text]))
        .map(|text| parsed(text))
        .collect();
    for _ in 0..MOST_RECORDS {
        if choices.is_over() {
            break;
        }
        let sample = |choices: &mut Choices<'_>| {
            let hir = &structures[choices.below(structures.len())];
            texts::sample(hir, choices)
        };
        let mut text = sample(&mut choices);
        if choices.once_in(4) {
            text.push(b' ');
            text.extend_from_slice(&sample(&mut choices));
        }
        for _ in 0..choices.below(4) {
            texts::change(&mut text, &mut choices);
        }
        let object = match choices.once_in(3) {
            true => {
                let value = sample(&mut choices);
                json!({"request": {"agent": String::from_utf8_lossy(&value)}}).to_string()
            }
            false => String::new(),
        };
        let record = Record {
            line: object.as_bytes(),
            is_object: !object.is_empty(),
            program: choices.of(&["sshd", "sshd", "", "app"]),
            pid: choices.of(&[None, Some(7), Some(u32::MAX)]),
            ..Record::bare(Timestamp::default(), &text)
        };
        tally.shown += 1;
        tally.found += both.compare(record);
    }
    tally
}

fn patterns_of(specs: &[FilterSpec]) -> usize {
    specs
        .iter()
        .map(|spec| spec.failures.len() + spec.ignores.len())
        .sum()
}

/// Filters of a few patterns, not all of which can be used; they share some.
fn filters(choices: &mut Choices<'_>) -> Vec<FilterSpec> {
    let mut known: Vec<PatternSpec> = Vec::new();
    let filters = 0..1 + choices.below(3);
    filters
        .map(|number| {
            let failures: Vec<_> = (1..=1 + choices.below(4) as u16)
                .map(|number| {
                    let text = match known.get(choices.below(known.len() + 3)) {
                        Some(known) => known.text.clone(),
                        None => patterns::failure(choices),
                    };
                    let mut pattern = PatternSpec {
                        unless_counted: choices.once_in(4),
                        ..pattern(number, text)
                    };
                    if choices.once_in(6) {
                        let text = match choices.below(3) {
                            0 => patterns::failure(choices),
                            1 => patterns::ignore(choices),
                            _ => std::mem::take(&mut pattern.text),
                        };
                        pattern.fields = vec![(FIELD.parse().expect("a path"), text)];
                    }
                    pattern
                })
                .collect();
            known.extend_from_slice(&failures);
            let ignores = 1..=(choices.below(4) / 2) as u16;
            let ignores = ignores.map(|number| pattern(number, patterns::ignore(choices)));
            let mut spec = filter(number, failures);
            spec.ignores = ignores.collect();
            spec.session_by_pid = choices.once_in(3);
            if choices.once_in(3) {
                spec.records.programs = vec!["sshd".into(), "sshd-session".into()];
            }
            spec
        })
        .collect()
}

/// A filter of nothing but patterns.
pub fn filter(number: usize, failures: Vec<PatternSpec>) -> FilterSpec {
    FilterSpec {
        name: format!("filter{number}").parse().expect("a name"),
        mode: "normal".into(),
        title: String::new(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures,
        ignores: Vec::new(),
        others: Vec::new(),
        lines: None,
        outcome: Outcome::Failure,
        successes: Vec::new(),
    }
}

/// A pattern over the message.
pub fn pattern(number: u16, text: String) -> PatternSpec {
    PatternSpec {
        number,
        text,
        fields: Vec::new(),
        unless_counted: false,
    }
}

/// Takes out the patterns that cannot be used, and filters that have none left.
fn remove(specs: &mut Vec<FilterSpec>, errors: &[PatternError]) {
    for spec in &mut *specs {
        let is_wrong = |ignore: bool, number: u16| {
            let mut errors = errors
                .iter()
                .filter(|error| error.filter == spec.name.as_str());
            errors.any(|error| error.ignore == ignore && error.number == number)
        };
        let wrong = |ignore: bool, pattern: &PatternSpec| is_wrong(ignore, pattern.number);
        let (failures, ignores): (Vec<_>, Vec<_>) = (
            spec.failures
                .iter()
                .filter(|pattern| !wrong(false, pattern))
                .cloned()
                .collect(),
            spec.ignores
                .iter()
                .filter(|pattern| !wrong(true, pattern))
                .cloned()
                .collect(),
        );
        let before = spec.failures.len() + spec.ignores.len();
        let left = failures.len() + ignores.len();
        let told = errors
            .iter()
            .any(|error| error.filter == spec.name.as_str());
        assert!(!told || left < before, "no pattern is told: {errors:?}");
        (spec.failures, spec.ignores) = (failures, ignores);
    }
    specs.retain(|spec| !spec.failures.is_empty());
}
