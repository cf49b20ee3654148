//! Facts about patterns: which are refused, and that nobody moves an address in the others.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::engine::record::Record;
use crate::engine::time::Timestamp;

fn compile(text: &str) -> Result<Pattern, String> {
    Pattern::failure(&PatternSpec {
        number: 1,
        text: text.to_owned(),
        fields: Vec::new(),
        unless_counted: false,
    })
}

fn ignore(text: &str) -> Result<Ignore, String> {
    Ignore::new(&PatternSpec {
        number: 1,
        text: text.to_owned(),
        fields: Vec::new(),
        unless_counted: false,
    })
}

fn ip_of(pattern: &Pattern, message: &str) -> Option<IpAddr> {
    let record = Record::bare(Timestamp::default(), message.as_bytes());
    match pattern.find(&record.into()) {
        Reading::Failure(found) => found.ip,
        Reading::Other | Reading::Doubtful => None,
    }
}

fn host_of(pattern: &Pattern, message: &str) -> Option<String> {
    let record = Record::bare(Timestamp::default(), message.as_bytes());
    match pattern.find(&record.into()) {
        Reading::Failure(found) => Some(found.host.into_owned()),
        Reading::Other | Reading::Doubtful => None,
    }
}

#[test]
fn a_pattern_may_know_a_name_alone() {
    let pattern = compile("^login of <user> failed$").expect("a pattern");
    let message = "login of 192.0.2.7 from <ip> failed";
    let record = Record::bare(Timestamp::default(), message.as_bytes());
    let view = record.into();
    let Reading::Failure(found) = pattern.find(&view) else {
        panic!("it takes it");
    };
    assert_eq!((found.ip, &*found.host), (None, ""));
    assert_eq!(found.user.as_deref(), Some("192.0.2.7 from <ip>"));
    for (text, why) in [
        ("login of <user> failed$", "`^`"),
        ("(?m)^login of <user>$", "(?m)"),
        ("^login of <user> by <forwarded>$", "needs the <ip>"),
    ] {
        let told = compile(text).expect_err(text);
        assert!(told.contains(why), "{text}: {told}");
    }
}

#[test]
fn forgeable_patterns_are_refused() {
    for (text, why) in [
        ("from <ip>", "begin the pattern with `^`"),
        ("^.* from <ip> .*$", "both sides"),
        ("^<user> from <ip> port <text>$", "both sides"),
        (r"^\S+=<ip>/\S+$", "both sides"),
        (r"^\S+ ?\S* <ip> ", "finish the pattern with `$`"),
        (r"^(?:\S+ ){1,2}<ip> <text>$", "both sides"),
        (r#"^"<text>" <ip> <text>$"#, "both sides"),
        ("^x (?:1::2 )?<ip> <text>$", "can be read as one"),
        (r"^(?:1\.2\.3\.4 )?<ip> <text>$", "can be read as one"),
        ("^<text> <ip>(?: ::1)?$", "can be read as one"),
        ("^<user> <ip>", "finish the pattern with `$`"),
        ("(?m)^from <ip>$", "(?m)"),
        ("^(?:a <ip>|b <host>)$", "only one"),
        ("^(?:a <ip>)?$", "alternation"),
        ("^(?:a <ip>|b)$", "alternation"),
        ("^(?:<ip> )+$", "alternation"),
        ("^a$", "needs <ip>"),
        ("^from <ip>(?::<port>)?$", "read as a part"),
        ("^from <ip>:<text>$", "read as a part"),
        ("^from <ip>:<port>:?[0-9]* x$", "read as a part"),
        ("^from <ip>(?:[0-9a-f]+)? x$", "read as a part"),
        ("^from <ip>(?: x)?(?:::1)?$", "read as a part"),
        (r"^from <ip>\.<text>$", "read as a part"),
        ("^from <host>(?:-<text>)?$", "read as a part"),
        ("^from <host>:<word>$", "read as a part"),
        ("^from-<ip>$", "end with a piece"),
        ("^from (?:[0-9]+:)?<ip>$", "end with a piece"),
        ("^from (?:id[0-9]*)?<ip>$", "end with a piece"),
        ("^from :(?:x:)?:?<ip>$", "end with a piece"),
        (r"^(?:\w+ )?<host> <text>$", "taken for the host"),
        ("^from (?:unknown )?<host> <text>$", "taken for the host"),
        (
            "^x{999}{999}{999}{999} <host> <text>$",
            "taken for the host",
        ),
        (r"^login(?: of \w+)? <host> <text>$", "taken for the host"),
        ("^<text> <host>(?: x)?$", "taken for the host"),
        ("^<usr> <ip>$", "<user>"),
        ("^(?P<x>a) <ip>$", "named groups"),
    ] {
        let error = compile(text).map(|_| ()).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

/// Addresses may stand on a side that comes to its end in one place only.
#[test]
fn the_place_of_an_address_may_be_told_by_what_ends_before_it() {
    for (text, message, found) in [
        (
            r"^\S+ \S+ <ip> ",
            "203.0.113.9 203.0.113.9 192.0.2.7 203.0.113.9 ",
            Some("192.0.2.7"),
        ),
        (
            r"^\S+ +<ip> <text>$",
            "203.0.113.9  192.0.2.7 203.0.113.9",
            Some("192.0.2.7"),
        ),
        (
            r#"^user "<agent>": password mismatch, client: <ip>, "#,
            r#"user "\": password mismatch, client: 203.0.113.9, ": password mismatch, client: 192.0.2.7, "#,
            Some("192.0.2.7"),
        ),
        (
            "^[^:]*: denied <ip>$",
            "203.0.113.9 x: denied 192.0.2.7",
            Some("192.0.2.7"),
        ),
        ("^dead::beef <ip> <text>$", "dead::beef ::7 x", Some("::7")),
        (r"^(?:a|bc) <host> <text>$", "bc box x", Some("box")),
        ("^[a-z]* <host> failed", "x box failed", Some("box")),
        (
            "^<text> <ip> ::1$",
            "203.0.113.9 192.0.2.7 ::1",
            Some("192.0.2.7"),
        ),
        (
            r#"^<user> <host> "[^"]*"$"#,
            r#"x y box "a b 203.0.113.9""#,
            Some("box"),
        ),
        // The end of the one address is the beginning of nothing.
        (r"^\S+ \S+ <ip> ", "a b 192.0.2.7.9 ", None),
    ] {
        let pattern = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(host_of(&pattern, message).as_deref(), found, "{text}");
    }
}

#[test]
fn what_a_proxy_says_must_have_an_end() {
    for (text, why) in [
        ("^<ip> <forwarded>", "finish the pattern with `$`"),
        ("^<ip> <forwarded> <text>$", "move the end"),
        (r#"^<ip> "<forwarded>" "<text>"$"#, "move the end"),
        (r#"^<ip> "<forwarded>"(?: ")?$"#, "move the end"),
        (r#"^<ip> "<forwarded>["']$"#, "move the end"),
        ("^<ip> <forwarded>(?: x)?$", "move the end"),
        ("^<ip> (?:<forwarded>)?$", "alternation"),
        ("^<ip> <text><forwarded>$", "end with a piece"),
        (r#"^<ip> x[0-9.]*<forwarded>"$"#, "end with a piece"),
        ("^<ip> <forwarded> <forwarded>$", "duplicate"),
        ("^<ip> <target> <target>$", "duplicate"),
    ] {
        let error = compile(text).map(|_| ()).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
    for (text, message, expected) in [
        (
            r#"^<ip> <text> "<forwarded>"$"#,
            r#"192.0.2.7 x "a", "b""#,
            "b",
        ),
        (
            r#"^<ip> "<forwarded>" "[^"]*"$"#,
            r#"192.0.2.7 "a" "b" "x""#,
            r#"a" "b"#,
        ),
        (
            "^<forwarded> from <ip>$",
            "x from y from 192.0.2.7",
            "x from y",
        ),
        ("^<ip> for <forwarded>$", "192.0.2.7 for 9.9.9.9", "9.9.9.9"),
    ] {
        let pattern = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let record = Record::bare(Timestamp::default(), message.as_bytes());
        let view = record.into();
        let Reading::Failure(found) = pattern.find(&view) else {
            panic!("{text} takes {message}");
        };
        assert_eq!(found.forwarded.as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_was_attacked_is_taken() {
    for (text, message, target) in [
        (
            r#"^<ip> - "GET <target> HTTP/1.1" 404 "#,
            r#"192.0.2.7 - "GET /a b HTTP/1.1" 404 x"#,
            "/a b",
        ),
        (
            "^no share <target> for <ip>$",
            "no share x y for 192.0.2.7",
            "x y",
        ),
    ] {
        let pattern = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let record = Record::bare(Timestamp::default(), message.as_bytes());
        let view = record.into();
        let Reading::Failure(found) = pattern.find(&view) else {
            panic!("{text} takes {message}");
        };
        assert_eq!(found.target.as_deref(), Some(target), "{text}");
    }
}

#[test]
fn an_ignore_pattern_that_floats_is_refused() {
    for text in [
        "^.*trusted",
        "^for <user> from trusted",
        r"^(?:\S+ )*trusted",
        r"^(?:a|.*(?:trusted|x))",
        "^(.*trusted)?",
        "^for (?:<text>trusted)+<text>",
        "^.*trusted.*$",
        r"^.*\btrusted",
    ] {
        let error = ignore(text).map(|_| ()).expect_err(text);
        assert!(error.contains("free text"), "{text}: {error}");
    }
    for text in [
        "^trusted <text>",
        "^ *trusted",
        "^for (?:a|b.*)",
        "^for (?:a.*)?$",
        "^for <user> from trusted$",
        r#"^\["uptime-probe/"#,
        r"^for \S+ from trusted <text>",
    ] {
        ignore(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    let error = ignore("trusted").map(|_| ()).expect_err("no anchor");
    assert!(error.contains("begin with `^`"), "{error}");
}

/// What is asked for may be the client's own words.
#[test]
fn a_pattern_that_asks_for_something_behind_any_text_floats() {
    for (text, floats) in [
        ("^<ip> <text> denied", true),
        ("^<ip> .* denied <text>$", true),
        ("^<ip> (?:of <user>)?: denied", true),
        (r"^<ip> [ -~]* denied", true),
        ("^<ip> <text> denied$", false),
        ("^<user> at <target> from <ip>$", false),
        ("^<ip> <text>", false),
        ("^<ip> <text>(?: denied)?", false),
        (r#"^<ip> "<agent>" denied"#, false),
        (r#"^<ip> "[^"]*" denied"#, false),
        ("^<ip> <word> denied", false),
        ("^denied <ip> ", false),
    ] {
        let pattern = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(pattern.is_floating(), floats, "{text}");
    }
}

#[test]
fn text_that_is_no_address_may_stand_before_one() {
    for (text, head) in [
        (r"^/api/v1\.0/x\.y\.z <ip> <text>$", "/api/v1.0/x.y.z "),
        (
            r"^app\[auth::login::x\] <ip> <text>$",
            "app[auth::login::x] ",
        ),
        (
            r#"^\{"a":"b","c":"d","e":"f","g":"h","i":"j","k":"l","m":"n","o":"<ip>",<text>$"#,
            r#"{"a":"b","c":"d","e":"f","g":"h","i":"j","k":"l","m":"n","o":""#,
        ),
        (r"^\d+\.\d+ \d+\.\d+ <ip>\s<text>$", "1.2 3.4 "),
    ] {
        let pattern = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let tail = if head.ends_with('"') { "\"," } else { " " };
        let message = format!("{head}192.0.2.7{tail}198.51.100.1 x");
        assert_eq!(
            ip_of(&pattern, &message),
            "192.0.2.7".parse().ok(),
            "{text}"
        );
    }
}

#[test]
fn a_host_may_stand_behind_exact_text_and_separators() {
    for (text, message, host) in [
        ("^<host> by <text>$", "box by x y", "box"),
        (r"^1\.2\.3\.4 <host> <text>$", "1.2.3.4 box x", "box"),
        (r"^(?i)from +\[?<host> <text>$", "FROM  [box x", "box"),
        (
            r#"^(?:from|with)\s+"?<host>"? <text>$"#,
            "from \"box\" x",
            "box",
        ),
        ("^[0-9]{2}/[a-f] <host> <text>$", "12/c box x", "box"),
        (r"^from\s+\[?<host>\]? <text>$", "from [box] x", "box"),
        ("^<text> <host> failed$", "x y box failed", "box"),
    ] {
        let pattern = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(host_of(&pattern, message).as_deref(), Some(host), "{text}");
    }
}

#[test]
fn an_address_is_whole_or_nothing() {
    let pattern = compile("^from <ip>(?:: x| x)?").expect("sound");
    for (message, ip) in [
        ("from 192.0.2.7", Some("192.0.2.7")),
        ("from 192.0.2.7: x", Some("192.0.2.7")),
        ("from ::ffff:192.0.2.7 x", Some("192.0.2.7")),
        ("from fe80::1%eth0 x", Some("fe80::1")),
        ("from 192.0.2.7.5", None),
        ("from 192.0.2.777", None),
        ("from 192.0.2.7a", None),
        ("from 1:2:3:4:5:6:7:8:9", None),
    ] {
        assert_eq!(
            ip_of(&pattern, message),
            ip.map(|ip| ip.parse().expect("an address")),
            "{message}"
        );
    }
}

#[test]
fn neighbours_of_an_address_are_told_from_it() {
    for (text, message, ip) in [
        ("^from <ip>:<port>$", "from 192.0.2.7:22", Some("192.0.2.7")),
        // The last colon parts them, as the service always writes a port.
        (
            "^from <ip>:<port>$",
            "from 2001:db8::7:22",
            Some("2001:db8::7"),
        ),
        (
            "^from <ip>:<port>$",
            "from 2001:db8::7:51408",
            Some("2001:db8::7"),
        ),
        (
            "^from <ip>:<port>$",
            "from 2001:db8:1:2:3:4:5:6:51408",
            Some("2001:db8:1:2:3:4:5:6"),
        ),
        ("^from <ip>:<port>$", "from 2001:db8::7:dead", None),
        ("^from <ip>:<port>", "from 2001:db8::7:22", None),
        ("^from <ip>: <text>$", "from ::7: a", Some("::7")),
        ("^from <ip>:? <text>$", "from ::7: a", Some("::7")),
        ("^from <ip>:? <text>$", "from fe80:: a", Some("fe80::")),
        (r"^from <ip>\.$", "from ::7.", Some("::7")),
        (
            r"^from \[(?:IPv6:)?<ip>\]$",
            "from [IPv6:2001:db8::7]",
            Some("2001:db8::7"),
        ),
        (
            r"^from \[(?:IPv6:)?<ip>\]$",
            "from [2001:db8::7]",
            Some("2001:db8::7"),
        ),
        (
            "^for <user> from <ip>$",
            "for x:2001:db8::7 from ::7",
            Some("::7"),
        ),
    ] {
        let pattern = compile(text).expect(text);
        let ip = ip.map(|ip| ip.parse().expect("an address"));
        assert_eq!(ip_of(&pattern, message), ip, "{text}: {message}");
    }
}

#[test]
fn a_cut_message_proves_nothing_by_its_end() {
    let (head, tail) = ("for ", " from 192.0.2.7");
    let free = LONGEST_MESSAGE - head.len() - tail.len();
    for (text, length, found) in [
        ("^for <user> from <ip>$", free - 1, true),
        ("^for <user> from <ip>$", free, false),
        ("^for x* from <ip>$", free - 1, true),
        ("^for x* from <ip>$", free, false),
    ] {
        let message = format!("{head}{}{tail}", "x".repeat(length));
        let pattern = compile(text).expect("sound");
        assert_eq!(
            ip_of(&pattern, &message).is_some(),
            found,
            "{text} {length}"
        );
    }
}

#[test]
fn an_address_that_may_have_been_cut_is_doubtful() {
    for (text, end, whole) in [
        ("^for /* from <ip>$", "192.0.2.7", "192.0.2.77"),
        ("^for /* from <ip>:?", "2001:db8::7:", "2001:db8::7:8"),
        ("^for /* from <host>", "box.example", "box.example.org"),
    ] {
        let pattern = compile(text).expect(text);
        let padding = LONGEST_MESSAGE - "for  from ".len() - end.len();
        let message = format!("for {} from {whole}", "/".repeat(padding));
        let record = Record::bare(Timestamp::default(), message.as_bytes());
        let view = record.into();
        assert!(matches!(pattern.find(&view), Reading::Doubtful), "{text}");
    }
}

#[test]
fn a_login_has_no_blanks() {
    assert!(compile("^for <user> from <ip>: <text>").is_err());
    assert!(compile("^for <login> from <ip>, <user>").is_err(), "two");
    let pattern = compile("^for <login> from <ip>: <text>").expect("sound");
    let user_of = |message: &str| {
        let record = Record::bare(Timestamp::default(), message.as_bytes());
        match pattern.find(&record.into()) {
            Reading::Failure(found) => found.user.map(|user| user.into_owned()),
            Reading::Other | Reading::Doubtful => None,
        }
    };
    let message = "for jo@example.org from 192.0.2.7: x from 198.51.100.1: x";
    assert_eq!(user_of(message).as_deref(), Some("jo@example.org"));
    assert_eq!(ip_of(&pattern, message), "192.0.2.7".parse().ok());
    assert_eq!(user_of("for jo x from 192.0.2.7: x"), None);
}

#[test]
fn the_end_is_the_end_of_the_message() {
    let pattern = compile("^for <user> from <ip>$").expect("sound");
    let message = "for x from 198.51.100.1\n from 192.0.2.7";
    assert_eq!(ip_of(&pattern, message), "192.0.2.7".parse().ok());
    assert_eq!(ip_of(&pattern, "for x from 192.0.2.7\n"), None);
}

/// What may follow an address, and texts that it takes.
const BEHIND: [(&str, &[&str]); 13] = [
    (" ", &[" "]),
    (":", &[":"]),
    (":?", &["", ":"]),
    ("(?::<port>)?", &["", ":22"]),
    ("<port>", &["22"]),
    ("[0-9a-f]*", &["", "dead", "7"]),
    (r"\.", &["."]),
    (r"\.?", &["", "."]),
    ("(?: |:)", &[" ", ":"]),
    ("(?:::)?", &["", "::"]),
    ("x", &["x"]),
    ("<word>", &["9", ":beef:1", "::9", ".9.9.9", "x", "-"]),
    (
        "<text>",
        &[
            "",
            ":beef: x",
            ": beef",
            ".9.9.9 x",
            " from 203.0.113.9",
            "%9",
        ],
    ),
];

/// What may stand before an address, and texts that it takes.
const BEFORE: [(&str, &[&str]); 24] = [
    (" ", &[" "]),
    (r"1\.2", &["1.2"]),
    (r"\.3", &[".3"]),
    (r"\.4 ?", &[".4", ".4 "]),
    (r"(?:1\.2\.3)?", &["", "1.2.3"]),
    (r"(?:\.|x)", &[".", "x"]),
    ("[0-9a-f]*", &["", "dead", "7"]),
    ("[0-9]+ ", &["7 "]),
    ("x?", &["", "x"]),
    ("/v", &["/v"]),
    ("x::y", &["x::y"]),
    ("x::", &["x::"]),
    ("d::", &["d::"]),
    ("(?:x|d)", &["x", "d"]),
    ("(?:: |:)", &[": ", ":"]),
    ("::1 ?", &["::1", "::1 "]),
    ("1:2:3", &["1:2:3"]),
    (r"\[?", &["", "["]),
    // These take nothing where they can.
    (r"(?:1\.2\.3\.4 )??", &["1.2.3.4 "]),
    (r"(?:1\.2x?\.3\.4 )??", &["1.2.3.4 ", "1.2x.3.4 "]),
    (r"(?:1\.2[.x]3/4\.5 )??", &["1.2.3/4.5 "]),
    ("(?:dead::1 )??", &["dead::1 "]),
    ("(?:x::d )??", &["x::d "]),
    ("(?:1:2:3:4:5:6:7:8 )??", &["1:2:3:4:5:6:7:8 "]),
];

/// What may stand beside a host, and texts that it takes.
const BESIDE: [(&str, &[&str]); 20] = [
    (" ", &[" "]),
    (" ?", &["", " "]),
    (" ??", &["", " "]),
    (r"\s*", &["", " ", "  "]),
    (r"\[?", &["", "["]),
    (r"[\[(]", &["[", "("]),
    ("x", &["x"]),
    ("x?", &["", "x"]),
    ("x??", &["", "x"]),
    ("(?i)from", &["from", "FROM"]),
    ("(?:ab|cd)", &["ab", "cd"]),
    ("(?:a|cd)", &["a", "cd"]),
    ("(?:ab|/)", &["ab", "/"]),
    (r"\w+", &["x", "evil", "7"]),
    ("[a-z]*", &["", "evil"]),
    ("[a ]", &["a", " "]),
    (r"(?:\w+ )?", &["", "evil "]),
    (r"(?: \w+)?", &["", " evil"]),
    ("(?:unknown )??", &["", "unknown "]),
    (r"\b", &[""]),
];

proptest! {
    /// Whatever stands before an address in a sound pattern, it is not what is taken for the address, even if
    /// an attacker chooses all that follows.
    #[test]
    fn a_sound_pattern_reads_no_address_before_the_true_one(
        address in select(&["192.0.2.7", "2001:db8::7", "::", "1:2:3:4:5:6:7:8"][..]),
        parts in vec((select(&BEFORE[..]), any::<Index>()), 0..6),
        end in select(&["", " ", "x "][..]),
        free in "[ :.x1d]{0,6}",
    ) {
        let pattern: String = parts.iter().map(|((part, _), _)| *part).collect();
        let text: String = parts.iter().map(|((_, texts), at)| *at.get::<&str>(texts)).collect();
        if let Ok(pattern) = compile(&format!("^{pattern}{end}<ip> <text>$")) {
            let found = ip_of(&pattern, &format!("{text}{end}{address} {free}"));
            prop_assert!(found.is_none() || found == address.parse().ok(), "{:?}", found);
        }
    }

    /// Nor is it, or what stands behind on a side that `$` ends, taken for a name.
    #[test]
    fn a_sound_pattern_reads_no_other_name_than_the_true_one(
        host in select(&["192.0.2.7", "2001:db8::7", "box", "7", "d.example"][..]),
        parts in vec((select(&BESIDE[..]), any::<Index>()), 0..5),
        gap in select(&["", " ", " x ", "/"][..]),
        free in "[ :.x1d]{0,6}",
    ) {
        let pattern: String = parts.iter().map(|((part, _), _)| *part).collect();
        let text: String = parts.iter().map(|((_, texts), at)| *at.get::<&str>(texts)).collect();
        for (pattern, message) in [
            (format!("^{pattern}{gap}<host> <text>$"), format!("{text}{gap}{host} {free}")),
            (format!("^<text> <host>{gap}{pattern}$"), format!("{free} {host}{gap}{text}")),
        ] {
            if let Ok(compiled) = compile(&pattern) {
                let found = host_of(&compiled, &message);
                prop_assert!(
                    found.as_deref().is_none_or(|found| found == host),
                    "{pattern} reads {found:?} in {message:?}"
                );
            }
        }
    }

    #[test]
    fn no_text_breaks_the_compiler(text in "[ -~<>()?*+^$\\\\|]{0,40}") {
        let _ = compile(&text);
        let _ = ignore(&text);
    }

    /// Whatever may follow an address in a sound pattern, no text there makes it another one.
    #[test]
    fn a_sound_pattern_reads_the_whole_address_and_no_more(
        address in select(&["192.0.2.7", "2001:db8::7", "fe80::", "::", "1:2:3:4:5:6:7:8"][..]),
        parts in vec((select(&BEHIND[..]), any::<Index>()), 0..4),
    ) {
        let pattern: String = parts.iter().map(|((part, _), _)| *part).collect();
        let text: String = parts.iter().map(|((_, texts), at)| *at.get::<&str>(texts)).collect();
        if let Ok(pattern) = compile(&format!("^from <ip>{pattern}$")) {
            let found = ip_of(&pattern, &format!("from {address}{text}"));
            prop_assert!(found.is_none() || found == address.parse().ok(), "{:?}", found);
        }
    }

    /// Whatever a client writes, what a proxy says of it ends where the proxy has ended it.
    #[test]
    fn a_client_cannot_move_the_end_of_what_a_proxy_says(
        parts in vec((select(&BESIDE[..]), any::<Index>()), 0..4),
        mark in select(&["\"", "]", " ", "x", ""][..]),
        forged in "[\" x/1.]{0,8}",
        target in "[\" x/1.]{0,8}",
    ) {
        let pattern: String = parts.iter().map(|((part, _), _)| *part).collect();
        let behind: String = parts.iter().map(|((_, texts), at)| *at.get::<&str>(texts)).collect();
        if let Ok(pattern) = compile(&format!("^<ip> <target> \"<forwarded>{mark}{pattern}$")) {
            let message = format!("192.0.2.7 {target} \"{forged}, 198.51.100.1{mark}{behind}");
            let record = Record::bare(Timestamp::default(), message.as_bytes());
            if let Reading::Failure(found) = pattern.find(&record.into()) {
                let forwarded = found.forwarded.unwrap_or_default().into_owned();
                prop_assert!(forwarded.ends_with(", 198.51.100.1"), "{}", forwarded);
            }
        }
    }

    #[test]
    fn a_user_cannot_move_the_address(user in "(?s)(.{0,8}( from 8\\.8\\.8\\.8| port 1|\n)){0,4}") {
        let pattern = compile("^for <user> from <ip> port <port>$").expect("sound");
        let message = format!("for {user} from 192.0.2.7 port 5");
        prop_assert_eq!(ip_of(&pattern, &message), "192.0.2.7".parse().ok());
    }
}

/// A flag makes greedy what is not, and the other way round.
#[test]
fn a_swap_of_greed_changes_what_is_taken() {
    let usual = compile("^from address <ip>").expect("sound");
    assert_eq!(
        ip_of(&usual, "from address 192.0.2.77"),
        "192.0.2.77".parse().ok()
    );
    let swapped = compile("^(?U)from address <ip>").expect("sound");
    assert_eq!(
        ip_of(&swapped, "from address 192.0.2.77"),
        None,
        "192.0.2.7 and more"
    );
}

#[test]
fn a_port_tells_nothing_where_what_ends_it_may_be_missing_or_cut() {
    let pattern = compile("^user [^ ]+ from <ip>:<port>(?: ssh2)?").expect("sound");
    assert_eq!(ip_of(&pattern, "user jo from 2001:db8::1:22ab"), None);
    assert_eq!(ip_of(&pattern, "user jo from 2001:db8::1:22 ssh2"), None);
    assert!(ip_of(&pattern, "user jo from 192.0.2.7:22 ssh2").is_some());
    for (pattern, end, is_whole) in [
        ("^user [^ ]+ from <ip>:<port>$", "", false),
        ("^user [^ ]+ from <ip>:<port>(?:: <text>)?$", "", false),
        ("^user [^ ]+ from <ip>:<port>(?:: <text>)?$", ": x", false),
        (r"^user [^ ]+ from <ip>:<port>\]", "]", true),
        ("^user [^ ]+ from <ip>:<port>: ", ": ", true),
        ("^user [^ ]+ from <ip>:<port>->", "->", true),
    ] {
        let compiled = compile(pattern).expect("sound");
        let address = "2001:db8::5".parse().ok();
        let tail = format!(" from 2001:db8::5:22{end}");
        assert_eq!(
            ip_of(&compiled, &format!("user x{tail}")),
            address,
            "{pattern}"
        );
        let name = "x".repeat(LONGEST_MESSAGE - "user ".len() - tail.len());
        let cut = ip_of(&compiled, &format!("user {name}{tail}"));
        assert_eq!(cut, address.filter(|_| is_whole), "{pattern}");
    }
}
