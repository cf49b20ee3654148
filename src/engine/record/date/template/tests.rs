//! Facts about the language of date templates.

use proptest::prelude::*;

use super::*;

fn found(pattern: &str, line: &str) -> Option<(String, String)> {
    let templates = DateTemplates::parse(pattern).expect(pattern);
    let now: Timestamp = "2005-08-14T10:00:00Z".parse().expect("a moment");
    let last = &mut LastDate::default();
    let found = templates.find(line.as_bytes(), &TimeZone::UTC, now, last);
    let found = found.expect("few steps")?;
    let time = found.time.map_or(String::new(), |time| time.to_string());
    Some((line[found.cut].to_owned(), time))
}

fn read(pattern: &str, line: &str) -> String {
    match found(pattern, line) {
        Some((cut, time)) => format!("{cut}|{time}"),
        None => "nothing".to_owned(),
    }
}

#[test]
fn whole_values_have_names() {
    for (pattern, line, expected) in [
        (
            "",
            "a 2005-08-14 09:59:59 b",
            "2005-08-14 09:59:59|2005-08-14T09:59:59Z",
        ),
        (
            "{default}",
            "a 2005-08-14 09:59:59 b",
            "2005-08-14 09:59:59|2005-08-14T09:59:59Z",
        ),
        ("{^LN-BEG}", "a 2005-08-14 09:59:59 b", "nothing"),
        (
            "{^ln-beg}",
            "[2005-08-14 09:59:59] b",
            "2005-08-14 09:59:59|2005-08-14T09:59:59Z",
        ),
        (
            "{^LN-BEG}",
            "Aug 14 09:59:59 b",
            "Aug 14 09:59:59|2005-08-14T09:59:59Z",
        ),
        ("{NONE}", "2005-08-14 09:59:59", "|"),
        (
            "epoch",
            "audit(1106513999.123:4): a",
            "1106513999.123|2005-01-23T20:59:59.123Z",
        ),
        ("EPOCH", "[1106513999] a", "1106513999|2005-01-23T20:59:59Z"),
        ("EPOCH", "a 1106513999", "nothing"),
        (
            "{^LN-BEG}Epoch",
            "[1106513999.123] a",
            "1106513999.123|2005-01-23T20:59:59.123Z",
        ),
        (
            "LEPOCH",
            "1106513999123 a",
            "1106513999123|2005-01-23T20:59:59.123Z",
        ),
        (
            "LEPOCH",
            "1106513999123456 a",
            "1106513999123456|2005-01-23T20:59:59.123456Z",
        ),
        (
            "TAI64N",
            "a@4000000041f4104f00000000 b",
            "@4000000041f4104f00000000|2005-01-23T20:59:59Z",
        ),
        ("^TAI64N", "a @4000000041f4104f00000000", "nothing"),
    ] {
        assert_eq!(read(pattern, line), expected, "{pattern}: {line}");
    }
    assert!(DateTemplates::parse(" {none}\n").is_ok_and(|templates| templates.is_none()));
    assert!(DateTemplates::parse("{NONE}\nEPOCH").is_ok_and(|templates| !templates.is_none()));
}

#[test]
fn a_group_is_what_is_cut_out() {
    for (pattern, line, expected) in [
        (
            "^%Y-%m-%d",
            "2005-08-14 a",
            "2005-08-14|2005-08-14T00:00:00Z",
        ),
        (
            r"^\S+ (\[{DATE}\s*\])",
            "h [14/Aug/2005:09:59:59 +0100 ] a",
            "[14/Aug/2005:09:59:59 +0100 ]|2005-08-14T08:59:59Z",
        ),
        (
            "^<W>{date}",
            "<W>2005-08-14 09:59:59.5 a",
            "<W>2005-08-14 09:59:59.5|2005-08-14T09:59:59.5Z",
        ),
        (
            r#""ts":{EPOCH}"#,
            r#"{"ts":1106513999}"#,
            r#""ts":1106513999|2005-01-23T20:59:59Z"#,
        ),
        (
            r#"(a)"ts":{LEPOCH},"#,
            r#"a"ts":1106513999123,"#,
            r#"a"ts":1106513999123,|2005-01-23T20:59:59.123Z"#,
        ),
        ("^WARNING:()**", "WARNING: a", "|"),
        (
            r"%ExY(?P<_sep>[-/.])%m\k<_sep>%d",
            "2005-08/14 2005.08.14",
            "2005.08.14|2005-08-14T00:00:00Z",
        ),
        ("%Y%m%d", "x20050814", "nothing"),
        ("**%Y%m%d", "x20050814", "20050814|2005-08-14T00:00:00Z"),
        (
            "{UNB}%Y%Exm%Exd",
            "x20050814x",
            "20050814|2005-08-14T00:00:00Z",
        ),
        ("%Y %d%%", "2005 14%", "2005 14%|"),
    ] {
        assert_eq!(read(pattern, line), expected, "{pattern}: {line}");
    }
}

#[test]
fn what_a_date_leaves_out_is_filled_in() {
    for (pattern, line, expected) in [
        (
            "",
            "Aug 15 09:00:00 a",
            "Aug 15 09:00:00|2005-08-15T09:00:00Z",
        ),
        (
            "",
            "Aug 15 11:00:00 a",
            "Aug 15 11:00:00|2004-08-15T11:00:00Z",
        ),
        ("", "09:59:59 a", "09:59:59|2005-08-14T09:59:59Z"),
        ("", "10:59:59 a", "10:59:59|2005-08-13T10:59:59Z"),
        (
            "",
            "14/08/05 09:59:59",
            "14/08/05 09:59:59|2005-08-14T09:59:59Z",
        ),
        ("", "Feb 30 09:59:59 a", "Feb 30 09:59:59|"),
        (
            "",
            "PDT Apr 16 21:05:29",
            "PDT Apr 16 21:05:29|2005-04-17T04:05:29Z",
        ),
        (
            "",
            "+01:00 Apr 16 21:05:29",
            "+01:00 Apr 16 21:05:29|2005-04-16T20:05:29Z",
        ),
        ("%j %H", "226 09", "226 09|2005-08-14T09:00:00Z"),
        (
            "%Y %U %a",
            "2005 32 Mon",
            "2005 32 Mon|2005-08-08T00:00:00Z",
        ),
        ("%Y %W %w", "2005 32 0", "2005 32 0|2005-08-14T00:00:00Z"),
        (
            "%x %I %p",
            "08/14/05 12 am",
            "08/14/05 12 am|2005-08-14T00:00:00Z",
        ),
        (
            "%x %I %p",
            "08/14/05 12 PM",
            "08/14/05 12 PM|2005-08-14T12:00:00Z",
        ),
        (
            "%x %X %Exz",
            "08/14/05 09:59:59 UTC-0130",
            "08/14/05 09:59:59 UTC-0130|2005-08-14T11:29:59Z",
        ),
        (
            "%x %X %ExZ",
            "08/14/05 09:59:59 A",
            "08/14/05 09:59:59 A|2005-08-14T08:59:59Z",
        ),
    ] {
        assert_eq!(read(pattern, line), expected, "{pattern}: {line}");
    }
}

#[test]
fn templates_may_look_around() {
    for (pattern, line, expected) in [
        (
            r"(?<=\[)%Y-%m-%d(?=\])",
            "2005-08-13 [2005-08-14] a",
            "2005-08-14|2005-08-14T00:00:00Z",
        ),
        (
            r"(?<=\[)%Y-%m-%d(?=\])\n%d/%m/%Y",
            "13/08/2005 [2005-08-14] a",
            "13/08/2005|2005-08-13T00:00:00Z",
        ),
        (
            r"{^LN-BEG}(?!2004)%Y-%m-%d\n{^LN-BEG}",
            "[2005-08-14 09:59:59]",
            "2005-08-14|2005-08-14T00:00:00Z",
        ),
        (
            r"{^LN-BEG}(?!2004)%Y-%m-%d\n{^LN-BEG}",
            "[2004-08-14 09:59:59]",
            "2004-08-14 09:59:59|2004-08-14T09:59:59Z",
        ),
        (r"(?!a)%Y%m%d", "x20050814", "nothing"),
        (r"(?!a)%Y%m%d", "é20050814", "nothing"),
    ] {
        let pattern = pattern.replace(r"\n", "\n");
        assert_eq!(read(&pattern, line), expected, "{pattern}: {line}");
    }
}

#[test]
fn a_sign_at_the_head_moves_nothing() {
    // The first template cuts out all it takes, the others only the date.
    let pattern = "%Y-%m-%d %H:%M:%S a\n{^LN-BEG}";
    assert_eq!(
        read(pattern, "[2005-08-14 09:59:59 a"),
        "2005-08-14 09:59:59 a|2005-08-14T09:59:59Z"
    );
    assert_eq!(
        read(pattern, "([2005-08-14 09:59:59 a"),
        "2005-08-14 09:59:59|2005-08-14T09:59:59Z"
    );
}

proptest! {
    #[test]
    fn no_text_breaks_them(pattern in any::<String>(), line in any::<Vec<u8>>()) {
        check(&pattern, &line);
    }

    #[test]
    fn nothing_like_a_template_breaks_them(
        pattern in "([%{}^$*()a-zA-Z]|%(Ex)?[a-zA-Z]|\\{(DATE|L?EPOCH|UNB|\\^LN-BEG)\\}|[(]|[)]|[ \n\\[\\].-]){1,8}",
        line in "[0-9a-z\\[ :./+-]{0,40}",
    ) {
        check(&pattern, line.as_bytes());
    }

    #[test]
    fn nothing_like_a_date_breaks_them(line in "((19|20)?[0-9]{1,2}|Jan|Feb|mon|[ :./TZ@\\[+-]|[0-9]{10}|[A-Z]{3}){0,16}") {
        check("", line.as_bytes());
        check("{DATE}", line.as_bytes());
    }

    /// Whatever was read before, which is mostly nearly the same.
    #[test]
    fn what_is_remembered_is_what_would_be_read(
        changes in proptest::collection::vec(
            (prop_oneof![2 => Just(5_usize), 3 => 0..5_usize], any::<prop::sample::Index>()),
            2..200,
        ),
    ) {
        let templates = [
            "",
            r"%b %d %H:%M:%S\b",
            r"%b %d %S:%M:%H\b",
            r"^%b %d %H:%M:%S(?:\.%f)?\n%Y-%m-%d(?: 20..)?",
            r"%b %d(?= 0)\n%H:%M",
        ];
        let templates = templates.map(|text| {
            DateTemplates::parse(&text.replace(r"\n", "\n")).expect(text)
        });
        let before = ["", "[", " ", "a"];
        let dates = [
            "Aug 14 09:59:59", "Aug 14 09:59:5", "2005-08-14", "09:59", "Feb 30 00:00:00", "x",
            // Such hours come twice, or not at all, or in another day.
            "Oct 27 02:30:01", "02:30", "Mar 31 02:30:01", "23:59", "00:00",
        ];
        let after = ["", " ", "5", "Z", ".5", " 2004", "]", " a"];
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let zones = [TimeZone::UTC, berlin];
        let nows = [
            "2024-10-27T00:30:00Z", "2024-10-27T01:10:00Z", "2024-10-27T01:45:00Z", "2024-10-27T21:59:30Z",
            "2024-10-27T22:00:30Z", "2025-03-30T00:59:00Z", "2025-03-30T01:30:00Z", "2026-10-27T12:00:00Z",
        ];
        let nows = nows.map(|now| now.parse::<Timestamp>().expect("a moment"));
        let mut now = [0; 6];
        let last = &mut LastDate::default();
        for (what, to) in changes {
            let choices = [templates.len(), before.len(), dates.len(), after.len(), zones.len(), nows.len()];
            now[what] = to.index(choices[what]);
            let line = [before[now[1]], dates[now[2]], after[now[3]]].concat();
            let find = |last| templates[now[0]].find(line.as_bytes(), &zones[now[4]], nows[now[5]], last);
            prop_assert_eq!(find(last), find(&mut LastDate::default()), "{}", line);
        }
    }

    /// Where one usual template finds a date that is written like the last one, its numbers stand in the same places.
    #[test]
    fn numbers_stand_where_they_stood(
        which in any::<prop::sample::Index>(),
        digits in proptest::collection::vec(proptest::collection::vec(0..10_u8, 40), 2..12),
        likely in any::<bool>(),
        around in 0..4_usize,
    ) {
        let dates = [
            "2005-08-14 09:59:58", "2005/8/4T9:59:58.123456+0200", "2005.11.14  09:59:58,123 UTC", "2005-08-14 09:59:58 -01:00",
            "Sun Aug 14 09:59:58.123 2005", "Aug  4 9:59:58", "Aug 24 19:59:58 2005", "Sun Aug 14 2005 09:59:58.123",
            "14/08/2005 09:59:58", "14-8-05 9:59:58", "14/Aug/2005:09:59:58.1 +0200", "14-Aug-2005 09:59:58",
            "08/14/2005:09:59:58", "08-14-2005 9:59:58.123", "1124013598", "1124013598.123456", "1124013598123", "[1124013598]",
            "09:59:58", "9:5:8", "<08/14/05@09:59:58>", "050814  9:59:58", "050814 09:59:58", "Aug 14, 2005 09:59:58 AM",
            "Aug-14-05 9:59:58", "20050814T095958.123Z", "20050814 095958", "CEST Sun Aug 14 09:59:58 2005",
            "+0200 Aug 14 09:59:58 2005", "@4000000042ff1b5e1a2b3c4d", "@400000004a32392b2aa21dac",
        ];
        let date = dates[which.index(dates.len())];
        let around = [("", ""), ("", " x"), ("[", "]"), ("a 7 ", "8")][around];
        let templates = DateTemplates::usual();
        let last = &mut LastDate::default();
        let now = "2026-10-27T12:00:00Z".parse::<Timestamp>().expect("a moment");
        for digits in digits {
            let mut digits = digits.into_iter();
            let written: String = date.chars().map(|character| match digits.next() {
                // Any digit is seldom a date.
                Some(digit) if character.is_ascii_digit() && likely => char::from(b'0' + digit % (1 + character as u8 - b'0')),
                Some(digit) if character.is_ascii_digit() => char::from(b'0' + digit),
                _ => character,
            }).collect();
            let line = format!("{}{written}{}", around.0, around.1);
            let find = |last| templates.find(line.as_bytes(), &TimeZone::UTC, now, last);
            prop_assert_eq!(find(last), find(&mut LastDate::default()), "{}", line);
        }
    }
}

/// What is found is in the line.
fn check(pattern: &str, line: &[u8]) {
    let Ok(templates) = DateTemplates::parse(pattern) else {
        return;
    };
    let last = &mut LastDate::default();
    for now in [i64::MIN, 0, 1_124_013_600_000_000, i64::MAX] {
        let found = templates.find(line, &TimeZone::UTC, Timestamp::from_micros(now), last);
        if let Ok(Some(found)) = found {
            assert!(line.get(found.cut).is_some());
        }
    }
}

#[test]
fn what_is_no_template_is_told() {
    for pattern in [
        "%Q",
        "%",
        "%Y %Y",
        "(",
        "{DATE} {DATE}",
        r"%Y(?=\d",
        r"%Y\<",
        "%é",
        "%Exq",
    ] {
        let error = DateTemplates::parse(pattern).expect_err(pattern);
        assert!(error.to_string().contains(pattern), "{error}");
    }
    let large = DateTemplates::parse(r"(?:\w{1000}){1000}");
    assert!(
        matches!(large, Err(DateTemplateError::TooLarge(_))),
        "{large:?}"
    );
}
