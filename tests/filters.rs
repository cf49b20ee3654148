//! Facts about `filters`, shown from outside: every shipped filter does what its samples say, and nothing
//! that an attacker can write moves an address.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use f2bd::action::ports::Services;
use f2bd::config::filter::FilterFile;
use f2bd::config::{self, Problems};
use f2bd::engine::filter::forgery::{Flaw, Forger};
use f2bd::engine::filter::quoting::Quoting;
use f2bd::engine::filter::sample::{Expect, Sample};
use f2bd::engine::filter::{FilterSet, FilterSpec, PatternSpec};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;
use regex::Regex;

const FILTER: FilterId = FilterId(0);

/// All patterns of a filter: every filter that has modes has this one.
pub const ALL: &str = "aggressive";

/// When samples are read: dates without a year are those of 2026.
fn now() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

/// All shipped filters.
pub fn names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/filters");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

/// The modes of a filter.
pub fn modes(name: &str) -> Vec<String> {
    let file = read(name);
    file.modes().into_iter().map(str::to_owned).collect()
}

fn read(name: &str) -> FilterFile {
    let path = format!("{}/filters/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut problems = Problems::default();
    let file = config::read_filter(&path, None, &mut problems);
    let problems = problems.into_sorted();
    assert!(problems.is_empty(), "{problems:?}");
    file.unwrap()
}

/// What the file of a filter says in one mode.
pub fn filter(name: &str, mode: &str) -> (FilterSpec, Vec<Sample>) {
    let file = read(name);
    (file.spec(mode), file.samples().cloned().collect())
}

/// The filter of the failures, or that of the successes, if there are any.
fn part(spec: FilterSpec, success: bool) -> Option<FilterSpec> {
    match success {
        true => spec.of_successes(),
        false => Some(spec),
    }
}

fn compiled(spec: FilterSpec) -> FilterSet {
    FilterSet::compile(vec![spec]).unwrap()
}

#[test]
fn every_pattern_is_proven_and_every_sample_holds() {
    for name in names() {
        let (all, samples) = filter(&name, ALL);
        let (mut proven, mut modes) = (Vec::new(), BTreeMap::new());
        for sample in &samples {
            let mode = sample.mode.as_deref().unwrap_or("normal");
            let filters = modes
                .entry((mode, sample.success))
                .or_insert_with(|| compiled(part(filter(&name, mode).0, sample.success).unwrap()));
            let found = sample.check(filters, FILTER, now()).unwrap();
            let versions = sample.lines.iter().any(|line| line.contains("2001:db8"));
            proven.extend(
                found
                    .into_iter()
                    .map(|number| (sample.success, number, versions)),
            );
        }
        for success in [false, true] {
            let patterns = part(all.clone(), success).map(|spec| spec.failures);
            for PatternSpec { number, .. } in patterns.unwrap_or_default() {
                for (versions, what) in [(false, "IPv4"), (true, "IPv6")] {
                    assert!(
                        proven.contains(&(success, number, versions)),
                        "{name}: pattern {number} has no sample with {what}; of successes: {success}"
                    );
                }
            }
        }
        let is_proven = samples.iter().any(|sample| sample.expect == Expect::Silent);
        assert!(
            is_proven || all.records.reports || all.records.bans,
            "{name}: no sample is silent"
        );
    }
}

/// The ports of a filter are numbers: not every system knows the same names.
#[test]
fn every_filter_says_what_it_is_for_and_nothing_is_wrong_with_it() {
    let mut wrong = Vec::new();
    for name in names() {
        let file = read(&name);
        let records = file.spec(ALL).records;
        if file.title().is_empty() {
            wrong.push(format!("{name} has no title"));
        }
        // What is of no service has no versions.
        if file.versions().is_empty() && !records.reports && !records.bans {
            wrong.push(format!("{name} names no versions"));
        }
        let mut problems = Problems::default();
        file.ports(&Services::default(), &mut problems);
        let proven = file.prove(&mut problems);
        let problems = problems.into_sorted();
        wrong.extend(problems.iter().map(ToString::to_string));
        let proves_all = proven.len() >= file.spec(ALL).failures.len();
        if !proves_all {
            wrong.push(format!("{name}: only {proven:?} are proven"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Which date of a line is its own is easily mistaken.
#[test]
fn every_pattern_of_lines_with_dates_has_a_sample_that_says_when_it_was() {
    let mut wrong = Vec::new();
    for name in names() {
        let (mut dated, mut timed) = (BTreeSet::new(), BTreeSet::new());
        // To compile one takes longer than all its samples.
        let mut modes = BTreeMap::new();
        for sample in filter(&name, ALL).1.iter().filter(|sample| !sample.success) {
            let mode = sample.mode.as_deref().unwrap_or("normal");
            let filters = modes.entry(mode.to_owned());
            let filters = filters.or_insert_with(|| compiled(filter(&name, mode).0));
            let taking = sample.check(filters, FILTER, now()).unwrap();
            if sample.lines.iter().any(|line| has_date(line)) {
                dated.extend(taking.iter().copied());
            }
            if matches!(sample.expect, Expect::Failure { time: Some(_), .. }) {
                timed.extend(taking);
            }
        }
        let untimed: Vec<_> = dated.difference(&timed).collect();
        if !untimed.is_empty() {
            wrong.push(format!(
                "{name}: patterns {untimed:?} have no sample with `time`"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether its time is not that of whoever reads it.
fn has_date(line: &str) -> bool {
    // Three days, since some lines tell the time of day alone.
    let later = Timestamp::from_micros(now().as_micros() + 3 * 86_400_000_000);
    let read = |now| {
        let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now);
        let record = reader.read(line.as_bytes());
        record.ok().flatten().map(|record| record.time)
    };
    read(now()) == read(later)
}

/// So many lines are forged for each filter unless `F2BD_FORGERIES` says otherwise, as `.ci/run` does: unoptimized, more of
/// them for all filters would take longer than all other tests.
const FORGERIES: usize = 1_000;

/// The placeholders that clients fill.
const FREE: [&str; 8] = [
    "<user>",
    "<login>",
    "<target>",
    "<path>",
    "<agent>",
    "<forwarded>",
    "<text>",
    "<word>",
];

/// Patterns whose classes take, on the side that holds the address, what no client has a say in: threads, functions, levels,
/// ports, reasons, names out of the DNS, paths without blanks. Each was looked at.
const OWN: &[(&str, &[u16])] = &[
    ("apache-modsecurity", &[1, 2]),
    ("asterisk", &[4, 15]),
    ("baikal", &[1]),
    ("couchdb", &[1, 2]),
    ("cyrus-imap", &[1]),
    ("dovecot", &[1, 6, 7]),
    ("ejabberd-auth", &[1]),
    ("exim", &[1, 2, 3, 6, 7, 8, 10]),
    ("exim-spam", &[1, 2, 3, 4]),
    ("filterlog", &[1, 2]),
    ("firefly-iii", &[1]),
    ("grafana", &[1, 2]),
    ("guacamole", &[1]),
    ("home-assistant", &[1]),
    ("horde", &[1]),
    ("ispconfig", &[1]),
    ("matrix-synapse", &[1]),
    ("moodle", &[1]),
    ("navidrome", &[4]),
    ("nginx-http-auth", &[1, 2, 3]),
    ("nginx-limit-req", &[1]),
    ("octoprint", &[1]),
    ("opnsense", &[1]),
    ("portscan", &[1, 2]),
    ("portsentry", &[3]),
    ("postfix", &[1, 3, 4, 5, 8, 9, 10, 12]),
    ("proftpd", &[1, 2, 3]),
    ("qmail", &[3]),
    ("roundcube-auth", &[1, 7]),
    ("routeros-auth", &[1]),
    ("sabnzbd", &[1]),
    ("screensharingd", &[1]),
    ("sendmail-auth", &[1]),
    ("sieve", &[1]),
    ("sshd", &[1, 2, 3, 30]),
    ("stalwart", &[1]),
    ("stunnel", &[2, 3]),
    ("suhosin", &[1]),
    ("synology", &[1]),
    ("zimbra", &[1, 2]),
];

/// Whatever a client writes, nobody else is blamed; and written as the service writes it, it neither hides a failure nor
/// makes one.
#[test]
fn no_text_of_a_client_changes_what_a_sample_comes_to() {
    let count = std::env::var("F2BD_FORGERIES").map_or(FORGERIES, |count| count.parse().unwrap());
    let names = names();
    let next = AtomicUsize::new(0);
    let flaws = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(names.len()) {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    flaws.lock().unwrap().extend(flaws_of(name, count));
                }
            });
        }
    });
    let mut flaws = flaws.into_inner().unwrap();
    flaws.sort();
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// What is wrong with one filter: of each sample the first that is found.
fn flaws_of(name: &str, count: usize) -> Vec<String> {
    let (all, samples) = filter(name, ALL);
    let mut flaws = Vec::new();
    // Which of the patterns in OWN need to stand there.
    let mut needed = BTreeSet::new();
    let known = OWN.iter().find(|(of, _)| *of == name);
    let known = known.map_or(&[][..], |(_, patterns)| patterns);
    // What may be missing need not be shown.
    let optional = Regex::new(r"\(\?:[^()]*\)\?").unwrap();
    for success in [false, true] {
        let Some(all) = part(all.clone(), success) else {
            continue;
        };
        let own: Vec<_> = samples
            .iter()
            .filter(|sample| sample.success == success)
            .collect();
        let modes: BTreeSet<_> = own.iter().map(|sample| mode_of(sample)).collect();
        let filters: Vec<_> = modes
            .iter()
            .map(|mode| compiled(part(filter(name, mode).0, success).unwrap()))
            .collect();
        let mut filled = BTreeSet::new();
        let mut told = Vec::new();
        for (mode, filters) in modes.iter().zip(&filters) {
            let forger = Rc::new(Forger::new(filters, FILTER, own.iter().copied(), now()));
            let heard = own.iter().filter(|sample| mode_of(sample) == *mode);
            for sample in heard {
                let story = forger.story(sample);
                filled.extend(story.patterns());
                told.push((Rc::clone(&forger), story));
            }
        }
        let places: usize = told.iter().map(|(_, story)| story.places()).sum();
        let each = count.div_ceil(places.max(1));
        for (at, (forger, story)) in told.iter().enumerate() {
            // Each is told with other texts, so that together they see all of them.
            let numbers = (at * each * story.places()..).take(each * story.places());
            let forgery = numbers
                .into_iter()
                .find_map(|number| forger.tell(story, number));
            let forgery = forgery.or_else(|| forger.tell_cut(story));
            let copied = forger.tell_copied(story);
            let copied = copied.inspect(|forgery| {
                needed.insert(forgery.pattern);
            });
            let copied = copied.filter(|forgery| !known.contains(&forgery.pattern));
            let forgeries = forgery.into_iter().chain(copied);
            flaws.extend(forgeries.map(|forgery| {
                let line = String::from_utf8_lossy(&forgery.line).into_owned();
                let line: String = line.chars().take(1_000).collect();
                format!(
                    "{name}: pattern {}: {:?} instead of {:?}: {line:?}",
                    forgery.pattern, forgery.flaw, forgery.instead
                )
            }));
        }
        for PatternSpec {
            number,
            text,
            fields,
            ..
        } in all.failures
        {
            let mut texts = fields.iter().map(|(_, text)| text).chain([&text]);
            let is_free = texts.any(|text| {
                let always = optional.replace_all(text, "");
                FREE.iter().any(|free| always.contains(free))
            });
            if is_free && !filled.contains(&number) {
                flaws.push(format!(
                    "{name}: no sample shows what a client fills in pattern {number}"
                ));
            }
        }
    }
    for pattern in known.iter().filter(|pattern| !needed.contains(pattern)) {
        flaws.push(format!("{name}: pattern {pattern} need not be in OWN"));
    }
    flaws
}

fn mode_of(sample: &Sample) -> &str {
    sample.mode.as_deref().unwrap_or("normal")
}

/// Messages of sshd that are no failures, or not only, with text of the client for `{}`.
const SILENT: [&str; 13] = [
    "Accepted password for {} from 192.0.2.7 port 9 ssh2",
    "Connection closed by user {} 192.0.2.7 port 9",
    "Disconnecting invalid user x 192.0.2.7 port 9: Change of username or service not allowed: (x,{}",
    "Disconnecting invalid user {} 192.0.2.7 port 9: Change of username or service not allowed: (x,y [preauth]",
    "Failed publickey for invalid user {} from 192.0.2.7 port 9 ssh2: ED25519 SHA256:x",
    "Invalid user {} from 192.0.2.7 port 9",
    "Postponed keyboard-interactive for invalid user {} from 192.0.2.7 port 9 ssh2 [preauth]",
    "Received disconnect from 192.0.2.7 port 9:11: {}",
    "User {} from 192.0.2.7 not allowed because not listed in AllowUsers",
    "error: kex_exchange_identification: client sent invalid protocol identifier \"{}\"",
    "fatal: Access denied for user {} by PAM account configuration [preauth]",
    "input_userauth_request: invalid user {} [preauth]",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user={}",
];

#[test]
fn no_text_of_a_client_blames_somebody_else_by_another_line() {
    let filters = compiled(filter("sshd", ALL).0);
    let samples = filter("sshd", ALL).1;
    let forger = Forger::new(&filters, FILTER, &samples, now());
    for line in SILENT {
        let sample = Sample {
            lines: vec![format!("Feb 12 14:10:21 box sshd[42]: {line}")],
            mode: Some(ALL.to_owned()),
            success: false,
            chosen: vec!["{}".to_owned()],
            own: Vec::new(),
            quoting: Quoting::None,
            expect: Expect::Silent,
        };
        let story = forger.story(&sample);
        assert!(story.places() > 0, "{line}");
        for number in 0..FORGERIES {
            let flaw = forger.tell(&story, number).map(|forgery| forgery.flaw);
            let is_true = match &flaw {
                None | Some(Flaw::Hidden) => true,
                Some(Flaw::Moved(who) | Flaw::Counted(who)) => who == "192.0.2.7",
            };
            assert!(is_true, "{line} with text {number}: {flaw:?}");
        }
    }
}
