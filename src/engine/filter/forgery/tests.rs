//! Facts about forgery: what is unsound is found, and what is sound is left alone.

use super::super::quoting::Quoting;
use super::super::sample::Expect;
use super::super::{FilterSpec, Outcome, RecordsSpec};
use super::*;
use crate::engine::record::json::FieldPath;

const FILTER: FilterId = FilterId(0);

fn filters(pattern: &str, fields: &[(&str, &str)]) -> FilterSet {
    let field = |(path, text): &(&str, &str)| {
        let path: FieldPath = path.parse().expect("a path");
        (path, (*text).to_owned())
    };
    let spec = FilterSpec {
        name: "app".parse().expect("a name"),
        mode: "normal".into(),
        title: String::new(),
        records: RecordsSpec::default(),
        outcome: Outcome::Failure,
        session_by_pid: false,
        failures: vec![PatternSpec {
            number: 1,
            text: pattern.to_owned(),
            fields: fields.iter().map(field).collect(),
            unless_counted: false,
        }],
        successes: Vec::new(),
        ignores: Vec::new(),
        others: Vec::new(),
        lines: None,
    };
    FilterSet::compile(vec![spec]).expect("sound")
}

fn sample(line: &str, chosen: &[&str], quoting: Quoting) -> Sample {
    Sample {
        lines: vec![line.to_owned()],
        mode: None,
        success: false,
        chosen: chosen.iter().map(|text| (*text).to_owned()).collect(),
        own: Vec::new(),
        quoting,
        expect: Expect::Silent,
    }
}

/// The first forgery, and in how many places some were tried.
fn forged(filters: &FilterSet, sample: &Sample) -> (Option<Flaw>, usize) {
    let now = "2027-01-01T00:00:00Z".parse().expect("a time");
    let forger = Forger::new(filters, FILTER, [sample], now);
    let story = forger.story(sample);
    let most = (forger.texts() + 100) * story.places();
    let forgery = (0..most).find_map(|number| forger.tell(&story, number));
    let forgery = forgery.or_else(|| forger.tell_cut(&story));
    (forgery.map(|forgery| forgery.flaw), story.places())
}

#[test]
fn what_a_service_writes_as_it_is_moves_the_place_of_an_address() {
    let filters = filters(r#"^user "<agent>" from <ip> "#, &[]);
    let line = r#"Feb 12 14:10:21 box app[1]: user "jo" from 192.0.2.7 x"#;
    for (quoting, is_sound) in [
        (Quoting::None, false),
        (Quoting::Percent, true),
        (Quoting::Quotes, true),
        (Quoting::Hex, true),
        (Quoting::Name, true),
    ] {
        let (flaw, places) = forged(&filters, &sample(line, &[], quoting));
        assert_eq!(
            (flaw.is_none(), places),
            (is_sound, 1),
            "{quoting:?}: {flaw:?}"
        );
    }
}

#[test]
fn a_class_that_takes_what_a_client_wrote_moves_the_place_of_an_address() {
    let line = |message: &str| format!("Feb 12 14:10:21 box app[1]: {message}");
    let told = |pattern: &str, message: &str, own: &[&str], quoting| {
        let filters = filters(pattern, &[]);
        let sample = Sample {
            own: own.iter().map(|text| (*text).to_owned()).collect(),
            ..sample(&line(message), &[], quoting)
        };
        let now = "2027-01-01T00:00:00Z".parse().expect("a time");
        let forger = Forger::new(&filters, FILTER, [&sample], now);
        let story = forger.story(&sample);
        let flaws: Vec<_> = forger.tell_copied(&story).collect();
        for flaw in &flaws {
            assert_eq!(flaw.flaw, Flaw::Moved(FORGED[0].to_owned()));
        }
        flaws
            .into_iter()
            .map(|flaw| flaw.instead)
            .collect::<Vec<_>>()
    };
    let message = "login of jo failed from 192.0.2.7 port 22";
    for pattern in [
        "^login of <word> failed from <ip> port <port>",
        "^login of [^ ]+ failed from <ip> port <port>",
        r"(?i)^LOGIN of \S+ failed from <ip> ",
        "^login of [a-z0-9-]{1,64} failed from <ip>",
        "^login of (?:[^ ]+) failed from <ip>",
    ] {
        assert_eq!(
            told(pattern, message, &[], Quoting::None),
            ["jo"],
            "{pattern}"
        );
        assert!(told(pattern, message, &["jo"], Quoting::None).is_empty());
        assert!(told(pattern, message, &[], Quoting::Word).is_empty());
    }
    for sound in [
        "^login of <user> failed from <ip> port <port>$",
        "^login of [a-z]+ failed from <ip> ",
        "^login of [a-z0-9-]{1,8} failed from <ip> ",
        "^[^ ]+ of jo failed from <ip> ",
    ] {
        assert!(
            told(sound, message, &[], Quoting::None).is_empty(),
            "{sound}"
        );
    }
    // What is read from the end is met from the end.
    let behind = "from 192.0.2.7 login of jo failed";
    let pattern = "from <ip> login of [^ ]+ failed$";
    assert_eq!(told(pattern, behind, &[], Quoting::None), ["jo"]);
}

#[test]
fn a_failure_that_a_client_can_hide_is_found() {
    let filters = filters(r"^user [a-z0-9.]+ from <ip>$", &[]);
    let line = "Feb 12 14:10:21 box app[1]: user jo from 192.0.2.7";
    let (flaw, _) = forged(&filters, &sample(line, &["jo"], Quoting::None));
    assert_eq!(flaw, Some(Flaw::Hidden));
    // A placeholder alone does not say that a client wrote it.
    assert_eq!(
        forged(&filters, &sample(line, &[], Quoting::None)),
        (None, 0)
    );
}

#[test]
fn a_harmless_line_that_a_client_makes_count_is_found() {
    let filters = filters("^<ip> .* denied", &[]);
    let line = "Feb 12 14:10:21 box app[1]: 192.0.2.7 GET /x ok";
    let (flaw, _) = forged(&filters, &sample(line, &["/x"], Quoting::None));
    assert_eq!(flaw, Some(Flaw::Counted("192.0.2.7".to_owned())));
    let (flaw, places) = forged(&filters, &sample(line, &["/x"], Quoting::Percent));
    assert_eq!((flaw, places), (None, 1), "no blank can stand before it");
}

#[test]
fn text_in_objects_is_written_as_json() {
    let fields = [("client.ip", "^<ip>$"), ("user", "^<user>$")];
    let filters = filters("", &fields);
    for line in [
        r#"{"msg":"jo","client": {"ip":"192.0.2.7"},"user" : "jo","agent":"x"}"#,
        r#"Feb 12 14:10:21 box app[1]: {"client":{"ip":"192.0.2.7"},"user":"jo","agent":"x"}"#,
        "{\"log\":\"{\\\"client\\\":{\\\"ip\\\":\\\"192.0.2.7\\\"},\\\"user\\\":\\\"jo\\\",\\\"agent\\\":\\\"x\\\"}\\n\",\
         \"stream\":\"stdout\",\"time\":\"2026-02-12T14:10:21Z\"}",
    ] {
        for quoting in [Quoting::None, Quoting::Json] {
            let (flaw, places) = forged(&filters, &sample(line, &["x"], quoting));
            assert_eq!(flaw, None, "{line}");
            // What stands in an object within a container's is told by the sample alone.
            assert!(places >= 1, "{line}");
        }
    }
    let (_, places) = forged(
        &filters,
        &sample(
            r#"{"client":{"ip":"192.0.2.7"},"user":"jo"}"#,
            &[],
            Quoting::None,
        ),
    );
    assert_eq!(places, 1, "the place of <user> is found");
}

#[test]
fn a_line_in_which_nothing_is_told_has_no_place() {
    let filters = filters("^denied <ip>$", &[]);
    let line = "Feb 12 14:10:21 box app[1]: denied 192.0.2.7";
    assert_eq!(
        forged(&filters, &sample(line, &[], Quoting::None)),
        (None, 0)
    );
}

#[test]
fn a_chosen_text_is_meant_where_it_stands_by_itself() {
    let lines = ["12/Feb/2026 GET / HTTP/1.1".to_owned()];
    let spot = Spot::of_chosen(&lines, "/", &[(0, false)]);
    let put = spot.put(0, lines[0].as_bytes(), b"/a");
    assert_eq!(
        put.as_deref(),
        Some(b"12/Feb/2026 GET /a HTTP/1.1".as_slice())
    );
    assert_eq!(spot.put(1, b"/", b"/a"), None);
}
