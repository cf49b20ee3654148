//! What is seen of filters beside what they count, and when they have gone deaf.

use super::*;
use crate::engine::decision::Notice;
use crate::engine::record::journal::RouteId;
use crate::engine::sighting::{DAY, MOST_LINES, PatternCount, Seen, Sighting, UnknownLine, day_of};

const HOUR: i64 = 3_600;

/// Some day, a moment after it began.
const START: i64 = 20_000 * 24 * HOUR + 1;

/// A filter of the program `app` that knows `no X from Y` and, in another mode, `refused X at Y`.
fn app() -> Policy {
    let mut policy = policy(5, 600, ten_minutes(), &["203.0.113.0/24"]);
    let mut spec = policy.filters.spec(FilterId(0)).clone();
    spec.records.programs = vec!["app".into()];
    let mut other = spec.failures[0].clone();
    other.number = 2;
    other.text = "^refused <user> at <ip>$".to_owned();
    spec.others = vec![other.clone()];
    other.text = "^test failed for <user> from <ip>$".to_owned();
    spec.ignores = vec![other];
    policy.filters = FilterSet::compile(vec![spec]).expect("a filter set");
    policy
}

fn watching(policy: Policy, now: i64) -> Engine {
    let mut engine = Engine::new(policy);
    engine.watch(at(now)).expect("a regular expression");
    let restore = Input::Restore(Remembered::default());
    engine.handle(at(now), restore, &mut Vec::new());
    engine
}

/// Hears a line of a program.
fn hear_of(engine: &mut Engine, now: i64, program: &str, line: &str) -> Vec<Decision> {
    let record = Record {
        program,
        ..Record::bare(at(now), line.as_bytes())
    };
    hear_record(engine, now, record)
}

fn hear_record(engine: &mut Engine, now: i64, record: Record<'_>) -> Vec<Decision> {
    let mut batch = Batch::default();
    batch.push(record);
    let mut out = Vec::new();
    let source = "journal".parse().expect("a name");
    let records = Input::Records {
        source: Some(&source),
        batch: &batch,
        more: true,
    };
    engine.handle(at(now), records, &mut out);
    out
}

fn sightings(engine: &mut Engine) -> (Vec<PatternCount>, Vec<UnknownLine>) {
    let mut out = Vec::new();
    engine.tell_sightings(&mut out);
    assert!(!engine.has_sightings());
    let (mut counts, mut lines) = (Vec::new(), Vec::new());
    for decision in out {
        match decision {
            Decision::Sighted(Sighting::Taken(count)) => counts.push(count),
            Decision::Sighted(Sighting::Unknown(line)) => lines.push(line),
            other => panic!("{other:?}"),
        }
    }
    lines.sort_by_key(|line| line.place);
    (counts, lines)
}

fn texts(engine: &mut Engine) -> Vec<String> {
    let (_, lines) = sightings(engine);
    let all = lines.iter();
    all.map(|line| format!("{}x {}", line.count, line.text))
        .collect()
}

#[test]
fn what_a_pattern_takes_is_counted_by_days() {
    let mut engine = watching(app(), START);
    let (new, _) = sightings(&mut engine);
    assert_eq!((new.len(), new[0].records, new[0].last), (1, 0, None));
    assert_eq!(new[0].day, day_of(at(START)));
    hear_of(&mut engine, START + 5, "app", "no jo from 192.0.2.7");
    // Whoever is spared is taken by the pattern all the same.
    hear_of(&mut engine, START + 6, "app", "no jo from 203.0.113.7");
    hear_of(&mut engine, START + 7, "else", "no jo from 192.0.2.7");
    let (counts, lines) = sightings(&mut engine);
    assert_eq!((counts.len(), lines.len()), (1, 0));
    assert_eq!((counts[0].number, counts[0].records), (1, 2));
    assert_eq!(counts[0].last, Some(at(START + 6)));
    assert_eq!(&*counts[0].pattern, "^no <user> from <ip>$");
    assert_eq!(sightings(&mut engine).0, [], "nothing is told twice");
    hear_of(
        &mut engine,
        START + 24 * HOUR,
        "app",
        "no jo from 192.0.2.7",
    );
    let (counts, _) = sightings(&mut engine);
    assert_eq!(counts[0].records, 1);
    assert_eq!(counts[0].day, day_of(at(START)).after(DAY));
}

#[test]
fn nothing_is_seen_unless_somebody_wants_to_know() {
    let mut engine = Engine::new(app());
    hear_of(&mut engine, START, "app", "no jo from 192.0.2.7");
    hear_of(
        &mut engine,
        START,
        "app",
        "login failed for jo from 192.0.2.7",
    );
    assert!(!engine.has_sightings());
}

#[test]
fn a_restart_goes_on_counting() {
    let mut engine = watching(app(), START);
    hear_of(&mut engine, START + 5, "app", "no jo from 192.0.2.7");
    hear_of(
        &mut engine,
        START + 6,
        "app",
        "login failed for jo from 192.0.2.7",
    );
    let mut told = Vec::new();
    engine.tell_sightings(&mut told);
    let told = told.into_iter().map(|decision| match decision {
        Decision::Sighted(sighting) => sighting,
        other => panic!("{other:?}"),
    });
    let mut engine = Engine::new(app());
    engine.watch(at(START + 7)).expect("a regular expression");
    // The database may be read late.
    hear_of(&mut engine, START + 7, "app", "no jo from 192.0.2.8");
    let remembered = Remembered {
        seen: Box::new(Seen {
            sightings: told.collect(),
            told: Vec::new(),
        }),
        ..Remembered::default()
    };
    let restore = Input::Restore(remembered);
    engine.handle(at(START + 8), restore, &mut Vec::new());
    hear_of(&mut engine, START + 9, "app", "no jo from 192.0.2.9");
    hear_of(
        &mut engine,
        START + 9,
        "app",
        "login failed for ann from 192.0.2.9",
    );
    let (counts, lines) = sightings(&mut engine);
    assert_eq!((counts.len(), counts[0].records), (1, 3));
    assert_eq!(
        (lines.len(), lines[0].count, lines[0].first),
        (1, 2, at(START + 6))
    );
}

#[test]
fn other_settings_keep_what_was_seen_of_filters_that_stay() {
    let mut engine = watching(app(), START);
    hear_of(&mut engine, START + 5, "app", "no jo from 192.0.2.7");
    hear_of(
        &mut engine,
        START + 5,
        "app",
        "login failed for jo from 192.0.2.7",
    );
    let mut changed = app();
    let mut spec = changed.filters.spec(FilterId(0)).clone();
    let mut new = spec.failures[0].clone();
    new.text = "^never <user> from <ip>$".to_owned();
    spec.failures[0].number = 2;
    spec.failures.insert(0, new);
    changed.filters = FilterSet::compile(vec![spec]).expect("a filter set");
    let policy = Input::Policy(Box::new(changed));
    engine.handle(at(START + 6), policy, &mut Vec::new());
    hear_of(&mut engine, START + 7, "app", "no jo from 192.0.2.7");
    hear_of(
        &mut engine,
        START + 7,
        "app",
        "login failed for jo from 192.0.2.8",
    );
    let (counts, lines) = sightings(&mut engine);
    let counts: Vec<_> = counts.iter().map(|one| (one.number, one.records)).collect();
    assert_eq!(counts, [(1, 0), (2, 2)], "by the text, not by the number");
    assert_eq!(lines[0].count, 2);
}

#[test]
fn a_line_is_unknown_if_it_is_the_filters_own_and_looks_like_a_failure() {
    let mut engine = watching(app(), START);
    let route = [RouteId(0)];
    for (program, line) in [
        ("app", "no jo from 192.0.2.7"),
        ("app", "welcome, jo from 192.0.2.7"),
        ("app", "login failed for jo"),
        ("app", "test failed for jo from 192.0.2.7"),
        ("app", "refused jo at 192.0.2.7"),
        ("apple", "login failed for jo from 192.0.2.7"),
        ("", "login failed for jo from 192.0.2.7"),
        ("else", "login failed for jo from 192.0.2.7"),
    ] {
        hear_of(&mut engine, START, program, line);
    }
    let foreign = Record {
        program: "else",
        routes: &route,
        ..Record::bare(at(START), b"login failed for jo from 192.0.2.7")
    };
    // The jail has not asked for such entries, or another program writes into the file that it shares.
    hear_record(&mut engine, START, foreign);
    assert_eq!(texts(&mut engine), [""; 0]);

    let mut policy = app();
    policy.jails[0].route = Some(RouteId(0));
    let mut engine = watching(policy, START);
    hear_record(&mut engine, START, foreign);
    assert_eq!(texts(&mut engine), [""; 0]);
    hear_of(
        &mut engine,
        START,
        "app",
        "login failed for jo from 192.0.2.7",
    );
    hear_of(
        &mut engine,
        START,
        "app-session",
        "login failed for ann from 192.0.2.8",
    );
    let unit = Record {
        unit: "app.service",
        ..foreign
    };
    hear_record(&mut engine, START, unit);
    hear_record(
        &mut engine,
        START,
        Record {
            program: "",
            ..foreign
        },
    );
    assert_eq!(
        texts(&mut engine),
        ["4x login failed for jo from 192.0.2.7"]
    );
}

#[test]
fn attackers_fill_no_more_places_than_there_are() {
    let mut engine = watching(app(), START);
    for _ in 0..3 {
        hear_of(
            &mut engine,
            START,
            "app",
            "login failed for jo from 192.0.2.7",
        );
    }
    for number in 0..9 {
        let words = " x".repeat(number);
        let line = format!("bad{words} 192.0.2.7 \x1b[2J{}", "é".repeat(300));
        hear_of(&mut engine, START + 1 + number as i64, "app", &line);
    }
    let (_, lines) = sightings(&mut engine);
    assert_eq!(lines.len(), MOST_LINES);
    assert!(lines.iter().any(|line| line.count == 3), "{lines:?}");
    for line in &lines {
        assert!(
            line.text.len() < 520 && !line.text.contains('\x1b'),
            "{line:?}"
        );
    }
    // What is no longer seen makes room for what is.
    let later = START + 8 * 24 * HOUR;
    for (second, line) in ["wrong key 192.0.2.7", "wrong", "denied, 192.0.2.7 !"]
        .iter()
        .enumerate()
    {
        hear_of(&mut engine, later + second as i64, "app", line);
    }
    let (_, lines) = sightings(&mut engine);
    let texts: Vec<_> = lines.iter().map(|line| &*line.text).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
}

#[test]
fn only_so_many_lines_are_weighed_in_a_second() {
    let mut engine = watching(app(), START);
    let hear = |engine: &mut Engine, second| {
        for number in 0..100 {
            let line = format!("login failed for u{number} from 192.0.2.7");
            hear_of(engine, START + second, "app", &line);
        }
    };
    hear(&mut engine, 0);
    hear(&mut engine, 1);
    assert_eq!(
        texts(&mut engine),
        ["40x login failed for u0 from 192.0.2.7"]
    );
}

#[test]
fn a_filter_that_has_gone_deaf_is_told_of_once_a_day() {
    let mut engine = watching(app(), START);
    let day = 24 * HOUR;
    let hear = |engine: &mut Engine, now: i64, line: &str| {
        let mut out = hear_of(engine, START + now, "app", line);
        engine.handle(at(START + now + 61), Input::Tick, &mut out);
        let told = out.iter().filter_map(|decision| match decision {
            Decision::Notice(Notice::Deaf { since, line, .. }) => Some((*since, line.clone())),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let (known, unknown) = ("no jo from 192.0.2.7", "login failed for jo from 192.0.2.7");
    assert_eq!(hear(&mut engine, 0, unknown), [], "it never took anything");
    assert_eq!(hear(&mut engine, HOUR, known), []);
    assert_eq!(hear(&mut engine, 2 * HOUR, unknown), []);
    let told = (at(START + HOUR), unknown.into());
    let first = hear(&mut engine, day + 2 * HOUR, unknown);
    assert_eq!(first, std::slice::from_ref(&told));
    assert_eq!(hear(&mut engine, day + 9 * HOUR, unknown), []);
    // A restart does not say it again.
    let mut again = Vec::new();
    engine.tell_sightings(&mut again);
    let sightings = again.into_iter().filter_map(|decision| match decision {
        Decision::Sighted(sighting) => Some(sighting),
        _ => None,
    });
    let remembered = Remembered {
        seen: Box::new(Seen {
            sightings: sightings.collect(),
            told: vec![("test".parse().expect("a name"), at(START + day + 2 * HOUR))],
        }),
        ..Remembered::default()
    };
    let mut engine = Engine::new(app());
    engine
        .watch(at(START + day + 9 * HOUR))
        .expect("a regular expression");
    let restore = Input::Restore(remembered);
    engine.handle(at(START + day + 9 * HOUR), restore, &mut Vec::new());
    assert_eq!(hear(&mut engine, day + 10 * HOUR, unknown), []);
    assert_eq!(hear(&mut engine, 2 * day + 3 * HOUR, unknown), [told]);
    assert_eq!(hear(&mut engine, 3 * day + 4 * HOUR, known), []);
    assert_eq!(
        hear(&mut engine, 3 * day + 5 * HOUR, unknown),
        [],
        "it hears again"
    );
    let late = 11 * day;
    assert_eq!(
        hear(&mut engine, late, unknown),
        [],
        "who has not listened for a week does not want to"
    );
}
