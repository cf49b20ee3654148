//! Filters over whole lines, line by line.

use proptest::prelude::*;

use super::trial::Became;
use super::*;
use crate::engine::filter::{FilterSet, Outcome, PatternSpec, RecordsSpec};
use crate::engine::record::{LONGEST_MESSAGE, Record};

const HOST: &str = r"(?:(?P<ip4>\d+\.\d+\.\d+\.\d+)|(?P<dns>[\w.-]+))";

fn pattern(text: &str, number: u16) -> PatternSpec {
    PatternSpec {
        number,
        text: text.replace("<HOST>", HOST),
        fields: Vec::new(),
        unless_counted: false,
    }
}

fn filter(prefix: Option<&str>, failures: &[&str], ignores: &[&str], window: u16) -> FilterSet {
    let patterns = |texts: &[&str]| {
        let numbered = texts.iter().zip(1..);
        numbered
            .map(|(text, number)| pattern(text, number))
            .collect()
    };
    let spec = FilterSpec {
        name: "lines".parse().expect("a name"),
        mode: "normal".into(),
        title: String::new(),
        records: RecordsSpec::default(),
        outcome: Outcome::Failure,
        session_by_pid: false,
        failures: patterns(failures),
        successes: Vec::new(),
        ignores: patterns(ignores),
        others: Vec::new(),
        lines: Some(LineRules {
            prefix: prefix.map(str::to_owned),
            dates: None,
            window: NonZeroU16::new(window).expect("a number"),
        }),
    };
    FilterSet::compile(vec![spec]).expect("a filter")
}

/// What is found in lines: whose failure, under which name, and how many lines tell of it.
fn found(filters: &FilterSet, lines: &[&str]) -> Vec<Option<(String, Option<String>, u32)>> {
    let mut memory = LineMemory::default();
    let mut one = |line: &&str| {
        let record = Record {
            line: line.as_bytes(),
            ..Record::bare(Timestamp::default(), line.as_bytes())
        };
        let view = View::from(record);
        let findings = filters.findings(&view, &mut memory);
        let found = &findings.first()?.found;
        let lines = found.said.as_ref().map_or(0, |said| said.lines);
        Some((
            found.host.to_string(),
            found.user.as_deref().map(str::to_owned),
            lines,
        ))
    };
    lines.iter().map(&mut one).collect()
}

fn of(host: &str, user: Option<&str>, lines: u32) -> Option<(String, Option<String>, u32)> {
    Some((host.to_owned(), user.map(str::to_owned), lines))
}

#[test]
fn the_prefix_decides_what_is_looked_at() {
    let filters = filter(
        Some(r"^\S+ app\[(?P<pid>\d+)\]: (?P<content>.+)$"),
        &["^refused <HOST>$", r"^denied (?P<user>\w+) from <HOST>$"],
        &[],
        1,
    );
    let lines = [
        "box app[7]: refused 192.0.2.7",
        "box app[7]: denied jo from 192.0.2.8",
        "box other[7]: refused 192.0.2.7",
        "box app[7]: was refused 192.0.2.7",
    ];
    let expected = [
        of("192.0.2.7", None, 1),
        of("192.0.2.8", Some("jo"), 1),
        None,
        None,
    ];
    assert_eq!(found(&filters, &lines), expected);
}

#[test]
fn the_line_is_told_as_it_was_written() {
    let filters = filter(
        Some(r"^\S+ app: (?P<content>.+)$"),
        &["^refused <HOST>$"],
        &[],
        1,
    );
    let line = b"box app: refused 192.0.2.7";
    let record = Record {
        line,
        ..Record::bare(Timestamp::default(), b"refused 192.0.2.7")
    };
    let view = View::from(record);
    let found = filters.find(FilterId(0), &view).expect("a failure");
    assert_eq!(found.line, line);
}

#[test]
fn what_is_ignored_ends_the_line() {
    let filters = filter(None, &["refused <HOST>", "<HOST> was bad"], &["monitor"], 1);
    let lines = [
        "refused 192.0.2.7",
        "refused 192.0.2.7 by monitor",
        "192.0.2.8 was bad",
    ];
    let expected = [of("192.0.2.7", None, 1), None, of("192.0.2.8", None, 1)];
    assert_eq!(found(&filters, &lines), expected);
}

fn connections() -> FilterSet {
    filter(
        Some(r"^(?P<mlfid>app\[\d+\]): (?P<content>.+)$"),
        &[
            "^(?P<nofail>hello) from <HOST>$",
            r"^wrong password of (?P<user>\w+)$",
            r"^(?P<nofail>another try of (?P<user>\w+))$",
            r"^(?P<mlfgained>welcome) (?P<user>\w+)$",
            r"^bye(?P<mlfforget>)(?P<nofail>\.)$",
            "^(?P<mlfforget>dropped)$",
        ],
        &[],
        1,
    )
}

#[test]
fn lines_of_a_connection_tell_together() {
    let lines = [
        "app[1]: hello from 192.0.2.7",
        "app[2]: hello from 192.0.2.8",
        "app[1]: wrong password of jo",
        "app[2]: wrong password of ann",
        "app[1]: wrong password of jo",
    ];
    let expected = [
        None,
        None,
        of("192.0.2.7", Some("jo"), 2),
        of("192.0.2.8", Some("ann"), 2),
        of("192.0.2.7", Some("jo"), 1),
    ];
    assert_eq!(found(&connections(), &lines), expected);
}

#[test]
fn a_failure_waits_for_the_address() {
    let lines = [
        "app[1]: wrong password of jo",
        "app[1]: hello from 192.0.2.7",
    ];
    assert_eq!(
        found(&connections(), &lines),
        [None, of("192.0.2.7", Some("jo"), 2)]
    );
    let lines = [
        "app[1]: wrong password of jo",
        "app[1]: welcome jo",
        "app[1]: hello from 192.0.2.7",
    ];
    assert_eq!(
        found(&connections(), &lines),
        [None, None, None],
        "he was let in"
    );
}

#[test]
fn who_tries_several_names_is_not_forgiven() {
    let lines = [
        "app[1]: hello from 192.0.2.7",
        "app[1]: another try of jo",
        "app[1]: welcome ann",
    ];
    assert_eq!(
        found(&connections(), &lines)[2],
        of("192.0.2.7", Some("ann"), 3)
    );
}

#[test]
fn a_connection_that_is_over_is_forgotten() {
    let lines = [
        "app[1]: hello from 192.0.2.7",
        "app[1]: dropped",
        "app[1]: wrong password of jo",
    ];
    assert_eq!(
        found(&connections(), &lines),
        [None, of("192.0.2.7", None, 2), None]
    );
}

#[test]
fn connections_are_those_of_one_source() {
    let filters = connections();
    let mut memory = LineMemory::default();
    let sources = ["one", "other"].map(|name| name.parse().expect("a name"));
    let mut says = |source: usize, line: &[u8]| {
        memory.hear_from(Some(&sources[source]));
        let view = View::from(Record {
            line,
            ..Record::bare(Timestamp::default(), line)
        });
        !filters.findings(&view, &mut memory).is_empty()
    };
    assert!(!says(0, b"app[1]: hello from 192.0.2.7"));
    assert!(!says(1, b"app[1]: wrong password of jo"));
    assert!(says(0, b"app[1]: wrong password of jo"));
}

#[test]
fn connections_are_bounded_and_end() {
    let filters = connections();
    let mut memory = LineMemory::default();
    let mut says = |line: &str, seconds: i64| {
        let time = Timestamp::from_micros(seconds * 1_000_000);
        let view = View::from(Record {
            line: line.as_bytes(),
            ..Record::bare(time, line.as_bytes())
        });
        !filters.findings(&view, &mut memory).is_empty()
    };
    assert!(!says("app[1]: hello from 192.0.2.7", 0));
    assert!(says("app[1]: wrong password of jo", 300));
    assert!(!says("app[1]: wrong password of jo", 601), "too late");
    for number in 2..20_000 {
        says(&format!("app[{number}]: hello from 192.0.2.7"), 601);
    }
    assert!(says("app[19999]: wrong password of jo", 602));
    assert!(!says("app[2]: wrong password of jo", 602), "forgotten");
    assert!(memory.connections() <= 4096);
}

#[test]
fn several_lines_are_looked_at_together() {
    let filters = filter(
        None,
        &[r"^\[(?P<id>\d+)\] failed\n(?P<skiplines_0>(?:.*\n)*?)\[\k<id>\] end <HOST>$"],
        &[],
        4,
    );
    let lines = [
        "[1] failed",
        "[2] failed",
        "[1] end 192.0.2.7",
        "[2] end 192.0.2.8",
        "[1] end 192.0.2.7",
    ];
    let expected = [
        None,
        None,
        of("192.0.2.7", None, 2),
        of("192.0.2.8", None, 2),
        None,
    ];
    assert_eq!(found(&filters, &lines), expected);
    let lines = ["[1] failed", "a", "b", "c", "[1] end 192.0.2.7"];
    assert_eq!(found(&filters, &lines)[4], None, "five lines");
}

#[test]
fn a_line_counts_once_also_where_a_prefix_says_what_is_looked_at() {
    let filters = filter(
        Some("(?m)^app: (?P<content>.+)$"),
        &["^refused <HOST>$"],
        &[],
        3,
    );
    let lines = ["noise", "app: refused 192.0.2.7", "noise", "noise"];
    let expected = [None, of("192.0.2.7", None, 1), None, None];
    assert_eq!(found(&filters, &lines), expected);
}

#[test]
fn a_line_of_several_is_forgotten_when_it_counts() {
    let filters = filter(Some("(?m)^app: (?P<content>.+)$"), &["^no <HOST>$"], &[], 3);
    let lines = [
        "a longer line that says nothing",
        "app: no 192.0.2.7",
        "app",
        "app",
    ];
    let expected = [None, of("192.0.2.7", None, 1), None, None];
    assert_eq!(found(&filters, &lines), expected);
}

#[test]
fn a_date_between_words_hides_nothing() {
    let dated = |pattern: &str, dates: &str| {
        let mut spec = filter(None, &[pattern], &[], 1).spec(FilterId(0)).clone();
        let rules = spec.lines.as_mut().expect("rules");
        rules.dates = Some(Dating {
            templates: DateTemplates::parse(dates).expect("a template"),
            zone: TimeZone::UTC,
        });
        FilterSet::compile(vec![spec]).expect("a filter")
    };
    for (pattern, dates, line) in [
        (
            "^authfailed <HOST>$",
            r"\[%Y-%m-%d\]",
            "auth[2026-11-22]failed 192.0.2.7",
        ),
        (
            "^auth:failed <HOST>$",
            "%Y-%m-%d,",
            "auth:2026-11-22,failed 192.0.2.7",
        ),
        (
            "^auth failed <HOST>$",
            "",
            "auth 1/02/2026 01:33:04 failed 192.0.2.7",
        ),
        (
            "^auth failed <HOST>$",
            "",
            "auth@4000000041f4104f00000000 failed 192.0.2.7",
        ),
        (
            "^ auth failed <HOST>$",
            "",
            "2026-11-22 01:33:04 auth failed 192.0.2.7",
        ),
    ] {
        let found = found(&dated(pattern, dates), &[line]);
        assert_eq!(found, [of("192.0.2.7", None, 1)], "{line}");
    }
}

#[test]
fn who_gives_up_is_told() {
    const EXPLODES: &str = r"^(?:(?P<a>\w)|(?P<b>\w))*\k<b>\k<b>!$";
    let with = |prefix, failures: &[&str], ignores: &[&str], dates: &str| {
        let mut spec = filter(prefix, failures, ignores, 1)
            .spec(FilterId(0))
            .clone();
        let rules = spec.lines.as_mut().expect("rules");
        rules.dates = Some(Dating {
            templates: DateTemplates::parse(dates).expect("a template"),
            zone: TimeZone::UTC,
        });
        FilterSet::compile(vec![spec]).expect("a filter")
    };
    let line = format!("{}!", "ab".repeat(40));
    let usual = ["(?:ab)+!"];
    for (filters, gave_up, counts) in [
        (
            with(Some(EXPLODES), &usual, &[], "%Y"),
            LinePattern::Prefix,
            false,
        ),
        (
            with(None, &[EXPLODES, "^(?P<fid>ab)"], &[], "%Y"),
            LinePattern::Failure(1),
            true,
        ),
        (
            with(None, &["^(?P<fid>ab)"], &[EXPLODES], "%Y"),
            LinePattern::Ignore(1),
            true,
        ),
        (
            with(
                None,
                &["^(?P<fid>ab)"],
                &[],
                &format!("{{UNB}}(?:%Y)?{}", &EXPLODES[1..]),
            ),
            LinePattern::Date,
            true,
        ),
    ] {
        let mut memory = LineMemory::default();
        let record = Record {
            line: line.as_bytes(),
            ..Record::bare(Timestamp::default(), line.as_bytes())
        };
        let view = View::from(record);
        let found = filters.findings(&view, &mut memory);
        assert_eq!(!found.is_empty(), counts, "{gave_up}");
        assert_eq!(memory.take_exceeded(), [(FilterId(0), gave_up)]);
        assert_eq!(memory.take_exceeded(), []);
    }
}

#[test]
fn the_longest_line_is_looked_at() {
    let filters = filter(None, &["^refused <HOST> "], &[], 2);
    let line = format!("refused 192.0.2.7 {}", "x".repeat(LONGEST_MESSAGE));
    assert_eq!(found(&filters, &[&line]), [of("192.0.2.7", None, 1)]);
}

#[test]
fn no_number_of_logs_makes_lines_forgotten_that_belong_together() {
    let filters = filter(None, &["^failed\nfrom <HOST>$"], &[], 2);
    let mut memory = LineMemory::default();
    let mut says = |host: &str, line: &str| {
        let record = Record {
            host,
            line: line.as_bytes(),
            ..Record::bare(Timestamp::default(), line.as_bytes())
        };
        !filters
            .findings(&View::from(record), &mut memory)
            .is_empty()
    };
    let hosts: Vec<_> = (0..40).map(|number| format!("box{number}")).collect();
    for host in &hosts {
        assert!(!says(host, "failed"));
    }
    // Somebody makes up the names of machines.
    for number in 0..10_000 {
        says(&format!("made-up{number}"), "x");
        says(
            &hosts[number % 40],
            if number < 9_960 { "x" } else { "failed" },
        );
    }
    for host in &hosts {
        assert!(says(host, "from 192.0.2.7"), "{host}");
    }
}

#[test]
fn other_names_stand_in_where_a_group_took_nothing() {
    let filters = filter(
        None,
        &[r#"^<HOST> (?P<user>\w*) (?P<alt_user>\w*) (?P<alt_user_1>\w*)$"#],
        &[],
        1,
    );
    let lines = [
        "192.0.2.7 a b c",
        "192.0.2.7  b c",
        "192.0.2.7   c",
        "192.0.2.7   ",
    ];
    let users: Vec<_> = found(&filters, &lines)
        .into_iter()
        .map(|found| found.and_then(|(_, user, _)| user).unwrap_or_default())
        .collect();
    assert_eq!(users, ["a", "b", "c", ""]);
}

#[test]
fn a_network_can_be_named() {
    let filters = filter(None, &[r"^(?P<ip4>[\d.]+)/(?P<cidr>\d+)$"], &[], 1);
    let record = Record::bare(Timestamp::default(), b"192.0.2.7/24");
    let view = View::from(record);
    let found = filters.find(FilterId(0), &view).expect("a failure");
    let network = found.said.and_then(|said| said.network).expect("a network");
    assert_eq!(network.to_string(), "192.0.2.0/24");
}

#[test]
fn a_journal_is_read_as_a_system_log_shows_it() {
    let filters = filter(
        Some(r"^\S+ app\[7\]: (?P<content>.+)"),
        &["^bad <HOST>$"],
        &[],
        1,
    );
    let record = Record {
        host: "box",
        program: "app",
        pid: Some(7),
        ..Record::bare(Timestamp::default(), b"bad 192.0.2.7")
    };
    assert!(filters.find(FilterId(0), &View::from(record)).is_some());
}

/// What a trial tells of a line.
#[derive(Debug, PartialEq, Eq)]
struct Tried {
    /// Which patterns took it, and what it became.
    taken: Vec<(u16, Became)>,
    /// What ignored it.
    ignored: Vec<usize>,
    /// The lines that were taken.
    lines: Vec<String>,
}

/// What a trial tells of each of several lines.
fn tried(filters: &FilterSet, lines: &[&str], asks_all: bool) -> Vec<Tried> {
    let mut memory = LineMemory::with_texts();
    let one = |line: &&str| {
        let record = Record {
            line: line.as_bytes(),
            ..Record::bare(Timestamp::default(), line.as_bytes())
        };
        let view = View::from(record);
        let trial = filters.trial(FilterId(0), &view, &mut memory, asks_all);
        let taken = trial.taken.iter();
        let taken = taken.map(|taken| (taken.pattern, taken.became));
        let lines = trial.taken.iter().flat_map(|taken| &taken.said.texts);
        Tried {
            taken: taken.collect(),
            ignored: trial.ignored.clone(),
            lines: lines.map(ToString::to_string).collect(),
        }
    };
    lines.iter().map(one).collect()
}

#[test]
fn a_trial_tells_what_becomes_of_a_line() {
    let failures = ["^no <HOST>", "<HOST>$", "^no"];
    let filters = filter(None, &failures, &["7$", "^no .*7$"], 1);
    let lines = ["no 192.0.2.1", "no 192.0.2.7", "!"];
    let failed = |number| (number, Became::Failure);
    let line = |taken: Vec<_>, ignored: &[usize]| Tried {
        lines: vec![lines[0].to_owned(); taken.len()],
        taken,
        ignored: ignored.to_vec(),
    };
    let pending = (3, Became::Pending);
    assert_eq!(
        tried(&filters, &lines, true),
        [
            line(vec![failed(1), failed(2), pending], &[]),
            line(vec![], &[0, 1, 0, 1, 0, 1]),
            line(vec![], &[]),
        ]
    );
    assert_eq!(
        tried(&filters, &lines, false),
        [
            line(vec![failed(1)], &[]),
            line(vec![], &[0]),
            line(vec![], &[]),
        ]
    );
}

#[test]
fn a_trial_tells_the_lines_of_a_failure() {
    let of_connection = filter(
        None,
        &[
            "^(?P<mlfid>\\d+) from <HOST>$",
            "^(?P<mlfid>\\d+) (?P<user>\\w+)$",
        ],
        &[],
        1,
    );
    let lines = ["1 jo", "2 bo", "1 from 192.0.2.1"];
    let told = tried(&of_connection, &lines, false);
    assert_eq!(told[0].taken, [(2, Became::Pending)]);
    assert_eq!(told[2].taken, [(1, Became::Failure)]);
    assert_eq!(told[2].lines, ["1 jo", "1 from 192.0.2.1"]);
    let skipping = filter(None, &["^a\\n(?P<skiplines_0>(?:.*\\n)*?)b <HOST>"], &[], 4);
    let told = tried(
        &skipping,
        &["x", "a", "y", "b 192.0.2.1", "b 192.0.2.1"],
        true,
    );
    assert_eq!(told[3].lines, ["a", "b 192.0.2.1"]);
    assert!(told[4].taken.is_empty(), "a line was taken twice");
}

/// Patterns of which some only end a connection, in all ways to say that.
fn farewells() -> FilterSet {
    filter(
        Some(r"^(?:(?P<mlfid>\d): )?(?P<content>.+)$"),
        &[
            "^(?P<nofail>hello) from <HOST>$",
            r"^wrong (?P<user>\w+)$",
            "^(?P<mlfforget>welcome) (?P<mlfgained>a|b)",
            "^(?P<nofail>(?P<mlfforget>bye))(?: <HOST>)?$",
            "^(?P<mlfforget>dropped)(?P<nofail>!)?$",
            "^(?P<mlfforget>x*)(?P<nofail>.)$",
            r"^end (?P<mlfid>\d)(?P<mlfforget>(?P<nofail>.))$",
            r"^part (?P<alt_mlfid>\d)(?P<mlfforget>(?P<nofail>.))$",
        ],
        &["b$"],
        1,
    )
}

proptest! {
    /// Whoever tries a filter looks at every line in full, and sees what becomes of it all the same.
    #[test]
    fn a_trial_tells_what_is_found(
        lines in proptest::collection::vec(
            (
                "([12]: )?(hello from 192\\.0\\.2\\.[12]|wrong [ab]|welcome [abc]|bye|bye 192\\.0\\.2\\.1|dropped!?|x{1,2}|(end|part) [12].)",
                prop_oneof![9 => 0..2_i64, 1 => Just(301)],
            ),
            1..12,
        ),
    ) {
        let filters = farewells();
        let (mut of_found, mut of_tried) = (LineMemory::default(), LineMemory::default());
        let mut time = Timestamp::default();
        for (line, later) in &lines {
            time = Timestamp::from_micros(time.as_micros() + later * 1_000_000);
            let record = Record { line: line.as_bytes(), ..Record::bare(time, line.as_bytes()) };
            let view = View::from(record);
            let found = filters.findings(&view, &mut of_found);
            let found = found.first().map(|finding| finding.found.said.as_deref().expect("a line's"));
            let tried = filters.trial(FilterId(0), &view, &mut of_tried, false);
            let mut tried = tried.taken.iter().filter(|taken| taken.became == Became::Failure);
            prop_assert_eq!(found, tried.next().map(|taken| &taken.said), "{}", line);
        }
    }
}

#[test]
fn lines_that_only_end_a_connection_are_known_as_such() {
    let filters = farewells();
    let expected = [false, false, true, true, false, false, false, false];
    let rules = filters.spec(FilterId(0)).lines.as_ref().expect("rules");
    let compiled = LineFilter::compile(filters.spec(FilterId(0)), rules).expect("a filter");
    let known: Vec<_> = compiled
        .failures
        .iter()
        .map(|failure| failure.is_farewell)
        .collect();
    assert_eq!(known, expected);
}
