//! Facts about `filters`, shown from outside: every shipped filter does what its samples say, and nothing
//! that an attacker can write moves an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::LazyLock;

use f2bd::config::filter::FilterFile;
use f2bd::config::{self, Problems};
use f2bd::engine::filter::sample::{Expect, Sample};
use f2bd::engine::filter::{FilterSet, FilterSpec, PatternSpec, View};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::text::TextReader;
use f2bd::engine::record::{Batch, LONGEST_MESSAGE, Record};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use regex::bytes::{Regex, RegexBuilder};

const FILTER: FilterId = FilterId(0);

/// All patterns of a filter: every filter that has modes has this one.
pub const ALL: &str = "aggressive";

fn now() -> Timestamp {
    "2026-02-13T00:00:00Z".parse().unwrap()
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

/// Who is found in a message that came the way of every record, the bound of its length included.
fn found(filters: &FilterSet, record: Record<'_>) -> Option<(u16, IpAddr)> {
    let mut batch = Batch::default();
    batch.push(record);
    let view = View::from(batch.iter().next().unwrap());
    let found = filters.find(FILTER, &view)?;
    found.ip.map(|ip| (found.pattern, ip))
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

/// Text of a message that an attacker chose.
#[derive(Clone, Debug)]
struct Place {
    filter: usize,
    program: String,
    message: Vec<u8>,
    free: Range<usize>,
    /// The address that the message is about.
    truth: IpAddr,
}

/// Every filter in every mode, all lines, and every place in them that an attacker fills.
struct Field {
    filters: Vec<FilterSet>,
    messages: Vec<Vec<u8>>,
    places: Vec<Place>,
}

static FIELD: LazyLock<Field> = LazyLock::new(|| {
    let (mut filters, mut messages, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let parts = names()
        .into_iter()
        .flat_map(|name| [(name.clone(), false), (name, true)]);
    for (name, success) in parts {
        let (all, samples) = filter(&name, ALL);
        let Some(all) = part(all, success) else {
            continue;
        };
        let modes = samples.iter().filter_map(|sample| sample.mode.as_deref());
        let mut filled = BTreeSet::new();
        for mode in modes.chain(["normal"]).collect::<BTreeSet<_>>() {
            filters.push(compiled(part(filter(&name, mode).0, success).unwrap()));
            let filter = filters.len() - 1;
            let heard = samples
                .iter()
                .filter(|sample| mode == ALL || sample.mode.as_deref().unwrap_or("normal") == mode);
            for line in heard.flat_map(|sample| &sample.lines) {
                let record = TextReader::new(TimeZone::UTC, &[], now()).read(line.as_bytes());
                messages.push(record.message.to_vec());
                let Some((pattern, truth)) = found(&filters[filter], record) else {
                    continue;
                };
                let spec = all.failures.iter().find(|spec| spec.number == pattern);
                for free in free_text(&spec.unwrap().text, record.message) {
                    filled.insert(pattern);
                    places.push(Place {
                        filter,
                        program: record.program.to_owned(),
                        message: record.message.to_vec(),
                        free,
                        truth,
                    });
                }
            }
        }
        for PatternSpec { number, text, .. } in all.failures {
            let free = FREE.iter().any(|(name, _)| text.contains(name));
            assert_eq!(
                filled.contains(&number),
                free,
                "{name}: samples of pattern {number}; of successes: {success}"
            );
        }
    }
    filters.push(compiled(filter("sshd", ALL).0));
    places.extend(SILENT.iter().map(|line| {
        let start = line.find("{}").unwrap();
        Place {
            filter: filters.len() - 1,
            program: "sshd".to_owned(),
            message: line.replace("{}", "x").into_bytes(),
            free: start..start + 1,
            truth: "192.0.2.7".parse().unwrap(),
        }
    }));
    messages.sort();
    messages.dedup();
    Field {
        filters,
        messages,
        places,
    }
});

/// Messages of sshd that are no failures, with text of the client for `{}`.
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

/// The placeholders that an attacker fills.
const FREE: [(&str, &str); 3] = [
    ("<user>", "(?s:.*)"),
    ("<text>", "(?s:.*)"),
    ("<word>", r"\S+"),
];

/// Where `message` has text that an attacker chose.
fn free_text(pattern: &str, message: &[u8]) -> Vec<Range<usize>> {
    let mut source = pattern
        .replace("<ip>", "[0-9A-Fa-f:.]+")
        .replace("<host>", "[0-9A-Za-z:._%-]+")
        .replace("<port>", "[0-9]{1,5}")
        .replace("<session>", r"\S+");
    for (name, text) in FREE {
        source = source.replace(name, &format!("({text})"));
    }
    let regex = RegexBuilder::new(&source).unicode(false).build().unwrap();
    let captures = regex.captures(message).unwrap();
    let texts = captures.iter().skip(1).flatten();
    texts.map(|text| text.range()).collect()
}

const FORGED: [&str; 3] = ["203.0.113.66", "2001:db8:bad::66", "::ffff:203.0.113.66"];

/// The samples' lines with the attacker's victim in place of everybody else.
fn accused(message: &[u8], forged: &str) -> Vec<u8> {
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"192\.0\.2\.7|198\.51\.100\.1|::ffff:192\.0\.2\.7|2001:db8::[17]").unwrap()
    });
    ADDRESS.replace_all(message, forged.as_bytes()).into_owned()
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let forged = || select(&FORGED[..]);
    let lines = (any::<Index>(), forged())
        .prop_map(|(at, forged)| accused(at.get::<Vec<u8>>(&FIELD.messages), forged));
    let phrases = select(
        &[
            "",
            " ",
            "\n",
            "\r\n",
            "\"",
            "'",
            "]: ",
            "::",
            ":",
            ".",
            "%",
            "[",
            "]",
            "\0",
            "]:22 on [",
            ")",
            " (",
            " port 22",
            " from ",
            " ssh2",
            " [preauth]",
            " rhost=",
            "  user=",
            " to ",
            ", pid = 1",
        ][..],
    )
    .prop_map(|phrase| phrase.as_bytes().to_vec());
    let long = (0..=LONGEST_MESSAGE + 9).prop_map(|length| vec![b'x'; length]);
    let part = prop_oneof![
        4 => lines,
        4 => forged().prop_map(|forged| forged.as_bytes().to_vec()),
        4 => phrases,
        1 => long,
        1 => proptest::collection::vec(any::<u8>(), 0..9),
    ];
    proptest::collection::vec(part, 1..7).prop_map(|parts| parts.concat())
}

fn assert_true(place: &Place, text: &[u8]) {
    let mut message = place.message.clone();
    message.splice(place.free.clone(), text.iter().copied());
    let record = Record {
        program: &place.program,
        ..Record::bare(now(), &message)
    };
    if let Some((pattern, ip)) = found(&FIELD.filters[place.filter], record) {
        let shown = String::from_utf8_lossy(&message);
        assert_eq!(ip, place.truth, "pattern {pattern} reads {shown:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(4000)
    })]

    #[test]
    fn no_text_moves_an_address(place in any::<Index>(), text in hostile()) {
        assert_true(place.get(&FIELD.places), &text);
    }
}

#[test]
fn no_line_within_a_line_moves_an_address() {
    for place in &FIELD.places {
        for forged in FORGED {
            for message in &FIELD.messages {
                assert_true(place, &accused(message, forged));
            }
        }
    }
}

/// A message is cut where it is too long, so an attacker can choose how it ends.
#[test]
fn no_cut_moves_an_address() {
    for place in &FIELD.places {
        for forged in FORGED {
            let lie = [b" ".as_slice(), &accused(&place.message, forged)].concat();
            let room = LONGEST_MESSAGE - place.free.start;
            let padding = vec![b'x'; room.saturating_sub(lie.len())];
            assert_true(place, &[padding, lie].concat());
        }
    }
}
