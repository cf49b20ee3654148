//! What does a syslog message from a socket say?
//!
//! In: the bytes of one message, as programs, relays and network devices really send them, and the moment of
//! its receipt. Out: a [`Record`]. Only what stands before the message's text is believed, each part at its one
//! place; a message of unknown shape is all text, with the time of its receipt. No socket is read here
//! and no clock.
//!
//! The header is read as bytes and not by syslog_loose, which wants a string: a byte of another encoding
//! would end it in the middle of structured data, and what somebody wrote there would become the text.
//! A test holds the two together where both can read.

use std::net::IpAddr;

use jiff::tz::TimeZone;

use super::Record;
use super::date::Dates;
use crate::engine::time::Timestamp;

/// The longest name of a host or a program; what the standard allows for a host (255) fits. Anything longer
/// is no name.
const LONGEST_NAME: usize = 255;

/// A network device puts at most a count, its name and a number before its stamp.
const DEVICE_WORDS: usize = 3;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// How stamps are written that senders use.
const STAMPS: [&str; 5] = [
    "^%b %e %T%.f",
    "^%FT%T%.f%?z",
    "^%F %T%.f%?z",
    "^%b %e %Y %T%.f",
    "^%Y %b %e %T%.f",
];

/// The same with the name of a zone, which only devices write.
const ZONED_STAMPS: [&str; 3] = [
    "^%b %e %T%.f %Z",
    "^%b %e %Y %T%.f %Z",
    "^%Y %b %e %T%.f %Z",
];

/// Reads the messages of one listener.
#[derive(Clone, Debug)]
pub struct WireReader {
    dates: Dates,
    zoned_dates: Dates,
    /// When the message was received that is being read.
    now: Timestamp,
}

impl WireReader {
    /// A reader of messages whose stamps are of this zone where they do not say theirs.
    pub fn new(zone: &TimeZone) -> Self {
        let dates = |forms: &[&str]| {
            let forms = forms.iter().filter_map(|form| form.parse().ok());
            Dates::new(zone.clone(), &forms.collect::<Vec<_>>())
        };
        WireReader {
            dates: dates(&STAMPS),
            zoned_dates: dates(&ZONED_STAMPS),
            now: Timestamp::default(),
        }
    }

    /// The record that `message` is, which was received at `now`.
    pub fn read<'m>(&mut self, message: &'m [u8], now: Timestamp) -> Record<'m> {
        self.now = now;
        let text = without_end(message.strip_prefix(BOM).unwrap_or(message));
        let Some(body) = after_priority(text) else {
            return self.stamped(text).unwrap_or(Record::bare(now, text));
        };
        let standard = body.strip_prefix(b"1 ");
        standard
            .and_then(|body| self.rfc5424(body))
            .or_else(|| self.stamped(body))
            .or_else(|| self.device(body))
            .unwrap_or_else(|| tagged(now, "", body))
    }

    /// The record that `body`, what follows the priority, is by RFC 5424; one without a stamp was written at `now`.
    pub(super) fn standard<'m>(&mut self, body: &'m [u8], now: Timestamp) -> Option<Record<'m>> {
        self.now = now;
        self.rfc5424(body.strip_prefix(b"1 ")?)
    }

    /// `2026-02-12T14:10:21Z host program 42 ID [structured="data"] text`; the priority and the version are
    /// already taken off.
    fn rfc5424<'m>(&mut self, body: &'m [u8]) -> Option<Record<'m>> {
        let (stamp, rest) = word(body)?;
        let (host, rest) = word(rest)?;
        let (program, rest) = word(rest)?;
        let (pid, rest) = word(rest)?;
        let (_id, rest) = match word(rest) {
            Some(split) => split,
            None => (rest, &rest[rest.len()..]),
        };
        let time = if stamp == b"-" {
            self.now
        } else {
            let (time, rest) = leading(&mut self.dates, stamp, self.now)?;
            rest.is_empty().then_some(time)?
        };
        let known = |name| if name == b"-" { "" } else { as_name(name) };
        // Some leave the structured data out.
        let text = after_structured_data(rest).unwrap_or(rest);
        Some(Record {
            host: known(host),
            program: known(program),
            pid: number(pid),
            ..Record::bare(time, text.strip_prefix(BOM).unwrap_or(text))
        })
    }

    /// A stamp, and then `host program[42]: text` or `program[42]: text`, as the C library and systemd write to
    /// a local socket, or what a network device puts there.
    fn stamped<'m>(&mut self, body: &'m [u8]) -> Option<Record<'m>> {
        let (time, rest) = self.stamp(body)?;
        if let Some(rest) = rest.strip_prefix(b": ").or(rest.strip_prefix(b" : ")) {
            return Some(tagged(time, "", rest));
        }
        let rest = rest.strip_prefix(b" ")?;
        let Some((first, after)) = word(rest) else {
            return Some(tagged(time, "", rest));
        };
        let is_address = || as_name(first).parse::<IpAddr>().is_ok();
        if tag(rest).is_some() && !is_address() {
            return Some(tagged(time, "", rest));
        }
        let after = after.strip_prefix(b": ").unwrap_or(after);
        Some(tagged(time, as_name(first), after))
    }

    /// `45: router: 000045: *Mar  1 00:00:46.123: %FACILITY-5-WHAT: text`, each part but the last one optional.
    fn device<'m>(&mut self, body: &'m [u8]) -> Option<Record<'m>> {
        let mut rest = body
            .strip_prefix(b":")
            .map_or(body, <[u8]>::trim_ascii_start);
        let mut host = "";
        for _ in 0..=DEVICE_WORDS {
            if let Some((time, text)) = self.stamp(rest) {
                return Some(tagged(time, host, text.strip_prefix(b": ")?));
            }
            if rest.starts_with(b"%") {
                return Some(tagged(self.now, host, rest));
            }
            let (first, after) = word(rest)?;
            let first = as_name(first.strip_suffix(b":")?);
            if !is_count_or_uptime(first) {
                if !host.is_empty() {
                    return None;
                }
                host = first;
            }
            rest = after;
        }
        None
    }

    /// The moment of a stamp, and what follows it.
    fn stamp<'m>(&mut self, text: &'m [u8]) -> Option<(Timestamp, &'m [u8])> {
        let (is_unset, text) = match text {
            // A device says with an asterisk that nobody has set its clock, with a point that nobody keeps it right.
            [b'*', rest @ ..] => (true, rest),
            [b'.', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let (mut time, mut rest) = leading(&mut self.dates, text, self.now)?;
        if is_zone(rest) {
            (time, rest) = leading(&mut self.zoned_dates, text, self.now)?;
        }
        let time = if is_unset { self.now } else { time };
        matches!(rest.first(), None | Some(b' ' | b':')).then_some((time, rest))
    }
}

/// The moment that `text` begins with, and what follows it.
fn leading<'m>(dates: &mut Dates, text: &'m [u8], now: Timestamp) -> Option<(Timestamp, &'m [u8])> {
    let date = dates.find(text, 0, now).filter(|date| date.start == 0)?;
    Some((date.time, text.get(date.end..)?))
}

/// Whether the name of a zone follows, as devices write it before a colon.
fn is_zone(text: &[u8]) -> bool {
    let Some(name) = text.strip_prefix(b" ") else {
        return false;
    };
    let length = name
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    (2..=5).contains(&length) && name[length..].starts_with(b": ")
}

/// Text that a tag may stand before.
fn tagged<'m>(time: Timestamp, host: &'m str, text: &'m [u8]) -> Record<'m> {
    let (program, pid, message) = tag(text).unwrap_or(("", None, text));
    Record {
        host,
        program,
        pid,
        ..Record::bare(time, message)
    }
}

/// `sshd[42]: text`, `kernel: text`, `%SYS-5-CONFIG_I: text`.
fn tag(text: &[u8]) -> Option<(&str, Option<u32>, &[u8])> {
    let (word, message) = match word(text) {
        Some(split) => split,
        None => (text, &text[text.len()..]),
    };
    let tag = word.strip_suffix(b":")?;
    let bracket = tag.iter().position(|byte| *byte == b'[');
    let (program, pid) = match (tag.strip_suffix(b"]"), bracket) {
        (Some(inner), Some(at)) => (&tag[..at], number(&inner[at + 1..])),
        _ => (tag, None),
    };
    let program = as_name(program);
    (!program.is_empty()).then_some((program, pid, message))
}

/// What follows the structured data and the blank behind it. A quoted value ends at a quote that no backslash precedes,
/// whatever brackets are in it.
fn after_structured_data(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    if let Some(after) = rest.strip_prefix(b"-") {
        rest = after;
    } else {
        while rest.first() == Some(&b'[') {
            rest = after_element(rest)?;
        }
        if rest.len() == text.len() {
            return None;
        }
    }
    match rest {
        [] => Some(rest),
        // rsyslog writes two.
        [b' ', b' ', rest @ ..] | [b' ', rest @ ..] => Some(rest),
        _ => None,
    }
}

fn after_element(text: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => return Some(&text[at + 1..]),
            _ => {}
        }
    }
    None
}

/// What follows `<38>`; `None` if the text begins with no priority that there is.
fn after_priority(text: &[u8]) -> Option<&[u8]> {
    const HIGHEST: u32 = 191;
    let rest = text.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    number(&rest[..end]).filter(|priority| *priority <= HIGHEST)?;
    Some(&rest[end + 1..])
}

/// `000045`, `00:00:46`, `3d04h`, `1w2d`.
fn is_count_or_uptime(word: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_digit() || b":.ywdhms".contains(&byte);
    let shaped = word.is_empty() || word.starts_with(|first: char| first.is_ascii_digit());
    shaped && word.bytes().all(part) && word.parse::<IpAddr>().is_err()
}

/// The text up to the first blank, and what follows it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ')?;
    Some((&text[..end], &text[end + 1..]))
}

/// A name, or nothing if it cannot be one.
fn as_name(word: &[u8]) -> &str {
    let plain = word.len() <= LONGEST_NAME && !word.iter().any(u8::is_ascii_control);
    let name = plain.then(|| std::str::from_utf8(word).ok()).flatten();
    name.unwrap_or_default()
}

fn number(digits: &[u8]) -> Option<u32> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// The message without the line end or the zero byte that some send after it.
fn without_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n' | b'\r' | 0] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: &str = "2026-02-13T00:00:00Z";

    fn moment(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    /// `time host program pid text`, with `-` for what is not known and for the time of receipt.
    fn shown(message: &[u8]) -> String {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let record = WireReader::new(&zone).read(message, moment(NOW));
        let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
        let time = if record.time == moment(NOW) {
            "-".to_owned()
        } else {
            record.time.to_string()
        };
        format!(
            "{time} {} {} {} {}",
            or_dash(record.host),
            or_dash(record.program),
            record.pid.map_or("-".to_owned(), |pid| pid.to_string()),
            String::from_utf8_lossy(record.message),
        )
    }

    /// Who sends it, what is sent, what is read; the zone is an hour ahead of UTC.
    const SENT: &[(&str, &[u8], &str)] = &[
        ("rsyslog, traditional", b"<38>Feb 12 14:10:21 box sshd[42]: Failed x", "2026-02-12T13:10:21Z box sshd 42 Failed x"),
        ("rsyslog, forward format", b"<38>2026-02-12T14:10:21.123456+02:00 box sshd[42]: Failed x", "2026-02-12T12:10:21.123456Z box sshd 42 Failed x"),
        ("rsyslog, without a priority", b"Feb 12 14:10:21 box sshd[42]: Failed x\n", "2026-02-12T13:10:21Z box sshd 42 Failed x"),
        ("rsyslog, a host by its address", b"<38>Feb 12 14:10:21 2001:db8:: sshd[42]: Failed x", "2026-02-12T13:10:21Z 2001:db8:: sshd 42 Failed x"),
        ("rsyslog, protocol 23", b"<38>1 2026-02-12T14:10:21.123456+01:00 box sshd 42 - - Failed x", "2026-02-12T13:10:21.123456Z box sshd 42 Failed x"),
        ("syslog-ng, syslog()", b"<38>1 2026-02-12T14:10:21+01:00 box sshd 42 - [meta sequenceId=\"7\"][a@1 b=\"] \\\" [\"] \xef\xbb\xbfFailed x", "2026-02-12T13:10:21Z box sshd 42 Failed x"),
        ("syslog-ng, ISO stamps", b"<38>2026-02-12T14:10:21+01:00 box sshd[42]: Failed x", "2026-02-12T13:10:21Z box sshd 42 Failed x"),
        ("systemd to a local socket", b"<38>Feb 12 14:10:21 sshd[42]: Failed x", "2026-02-12T13:10:21Z - sshd 42 Failed x"),
        ("the C library, no number", b"<13>Feb  2 14:10:21 myapp: hello\0", "2026-02-02T13:10:21Z - myapp - hello"),
        ("musl", b"<38>Feb 12 14:10:21 sshd[42]: Failed x\n", "2026-02-12T13:10:21Z - sshd 42 Failed x"),
        ("logger of util-linux", b"<13>1 2026-02-12T14:10:21.5+01:00 box root - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] hello", "2026-02-12T13:10:21.5Z box root - hello"),
        ("the standard, everything unknown", b"<13>1 - - - - - - hello", "- - - - hello"),
        ("the standard, no text", b"<13>1 2026-02-12T14:10:21Z box app 7 ID -", "2026-02-12T14:10:21Z box app 7 "),
        ("the standard, a process by name", b"<13>1 2026-02-12T14:10:21Z box app web.1 ID - x", "2026-02-12T14:10:21Z box app - x"),
        ("no structured data at all", b"<13>1 2026-02-12T14:10:21Z box app 7 ID hello", "2026-02-12T14:10:21Z box app 7 hello"),
        ("structured data without an end", b"<13>1 2026-02-12T14:10:21Z box app 7 ID [a b=\"c] x", "2026-02-12T14:10:21Z box app 7 [a b=\"c] x"),
        ("structured data in another encoding", b"<13>1 2026-02-12T14:10:21Z box app 7 ID [a b=\"\xff] sshd\"] x", "2026-02-12T14:10:21Z box app 7 x"),
        ("a second that leaps", b"<13>1 2016-12-31T23:59:60Z box app 7 - - x", "2016-12-31T23:59:59Z box app 7 x"),
        ("Cisco IOS", b"<189>45: Feb 12 14:10:21.123: %SYS-5-CONFIG_I: Configured", "2026-02-12T13:10:21.123Z - %SYS-5-CONFIG_I - Configured"),
        ("Cisco IOS, UTC, numbers and a name", b"<189>45: router1: 000045: .Feb 12 14:10:21.123 UTC: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: x]", "2026-02-12T14:10:21.123Z router1 %SEC_LOGIN-4-LOGIN_FAILED - Login failed [user: x]"),
        ("Cisco IOS, a clock never set", b"<189>45: *Mar  1 00:00:46.123: %LINK-3-UPDOWN: up", "- - %LINK-3-UPDOWN - up"),
        ("Cisco IOS, a summer zone", b"<189>45: 10.0.0.1: Feb 12 14:10:21 CEST: %LINK-3-UPDOWN: up", "2026-02-12T12:10:21Z 10.0.0.1 %LINK-3-UPDOWN - up"),
        ("Cisco IOS, uptime", b"<189>45: 3d04h: %LINK-3-UPDOWN: up", "- - %LINK-3-UPDOWN - up"),
        ("Cisco IOS, a year", b"<189>45: Feb  2 2026 14:10:21.5 UTC: %LINK-3-UPDOWN: up", "2026-02-02T14:10:21.5Z - %LINK-3-UPDOWN - up"),
        ("Cisco NX-OS", b"<189>: 2026 Feb 12 14:10:21 UTC: %ETHPORT-5-IF_UP: up", "2026-02-12T14:10:21Z - %ETHPORT-5-IF_UP - up"),
        ("Cisco ASA", b"<166>Feb 12 2026 14:10:21: %ASA-6-302013: Built", "2026-02-12T13:10:21Z - %ASA-6-302013 - Built"),
        ("Cisco ASA, its name", b"<166>Feb 12 2026 14:10:21 asa1 : %ASA-6-605004: Login denied", "2026-02-12T13:10:21Z asa1 %ASA-6-605004 - Login denied"),
        ("Cisco ASA, RFC 5424 stamps", b"<166>2026-02-12T14:10:21Z asa1 : %ASA-6-605004: Login denied", "2026-02-12T14:10:21Z asa1 %ASA-6-605004 - Login denied"),
        ("Cisco ASA, EMBLEM", b"<166>:Feb 12 14:10:21 UTC: %ASA-6-605004: Login denied", "2026-02-12T14:10:21Z - %ASA-6-605004 - Login denied"),
        ("Cisco ASA, no stamp", b"<166>%ASA-6-605004: Login denied", "- - %ASA-6-605004 - Login denied"),
        ("pfSense", b"<134>Feb 12 14:10:21 filterlog[123]: 5,,,1000", "2026-02-12T13:10:21Z - filterlog 123 5,,,1000"),
        ("pfSense, RFC 5424", b"<134>1 2026-02-12T14:10:21.123456+01:00 fw.example filterlog 123 - - 5,,,1000", "2026-02-12T13:10:21.123456Z fw.example filterlog 123 5,,,1000"),
        ("OPNsense", b"<134>Feb 12 14:10:21 OPNsense.localdomain filterlog[123]: 5,,,1000", "2026-02-12T13:10:21Z OPNsense.localdomain filterlog 123 5,,,1000"),
        ("OpenWrt", b"<37>Feb 12 14:10:21 OpenWrt dropbear[1234]: Bad password", "2026-02-12T13:10:21Z OpenWrt dropbear 1234 Bad password"),
        ("busybox", b"<37>Feb 12 14:10:21 authpriv dropbear[1234]: Bad password\n", "2026-02-12T13:10:21Z authpriv dropbear 1234 Bad password"),
        ("Python, no header but a priority", b"<14>just text\0", "- - - - just text"),
        ("a program without a stamp", b"<38>sshd[42]: Failed x", "- - sshd 42 Failed x"),
        ("Postfix", b"<22>Feb 12 14:10:21 mx postfix/smtpd[9]: x: y", "2026-02-12T13:10:21Z mx postfix/smtpd 9 x: y"),
        ("no program", b"<38>Feb 12 14:10:21 box last message repeated 3 times", "2026-02-12T13:10:21Z box - - last message repeated 3 times"),
        ("MikroTik", b"<30>system,error,critical login failure for user root from 192.0.2.7 via ssh", "- - - - system,error,critical login failure for user root from 192.0.2.7 via ssh"),
        ("Fortinet", b"<189>date=2026-02-12 time=14:10:21 devname=x", "- - - - date=2026-02-12 time=14:10:21 devname=x"),
        ("VMware", b"<166>2026-02-12T14:10:21.123Z esx1 Hostd: info hostd[9]", "2026-02-12T14:10:21.123Z esx1 Hostd - info hostd[9]"),
        ("a byte order mark first", b"\xef\xbb\xbf<13>hello", "- - - - hello"),
        ("no priority, no stamp", b"sshd[42]: Failed x", "- - - - sshd[42]: Failed x"),
        ("an old stamp", b"<38>Feb 14 14:10:21 box sshd[42]: x", "2025-02-14T13:10:21Z box sshd 42 x"),
        ("a stamp that is none", b"<38>Feb 31 14:10:21 box sshd[42]: x", "- - - - Feb 31 14:10:21 box sshd[42]: x"),
        ("a priority beyond all", b"<192>Feb 12 14:10:21 box sshd[42]: x", "- - - - <192>Feb 12 14:10:21 box sshd[42]: x"),
        ("a priority without digits", b"<>hello", "- - - - <>hello"),
        ("a negative priority", b"<-1>hello", "- - - - <-1>hello"),
        ("an endless priority", b"<00000000013>hello", "- - - - <00000000013>hello"),
        ("an open priority", b"<13", "- - - - <13"),
        ("a priority and no more", b"<13>", "- - - - "),
        ("a future version", b"<13>2 - - - - - - x", "- - - - 2 - - - - - - x"),
        ("two headers", b"<13>Feb 12 14:10:21 box app: <38>Feb 12 14:10:21 box sshd[1]: Failed", "2026-02-12T13:10:21Z box app - <38>Feb 12 14:10:21 box sshd[1]: Failed"),
        ("two lines", b"<13>Feb 12 14:10:21 box app: a\n<38>Feb 12 14:10:21 box sshd[1]: Failed", "2026-02-12T13:10:21Z box app - a\n<38>Feb 12 14:10:21 box sshd[1]: Failed"),
        ("a tag later on", b"<13>Feb 12 14:10:21 box said sshd[1]: Failed", "2026-02-12T13:10:21Z box - - said sshd[1]: Failed"),
        ("a host of another encoding", b"<13>Feb 12 14:10:21 b\xffx sshd[1]: Failed", "2026-02-12T13:10:21Z - sshd 1 Failed"),
        ("nothing", b"", "- - - - "),
    ];

    #[test]
    fn what_senders_send_is_read() {
        for (sender, sent, expected) in SENT {
            assert_eq!(shown(sent), *expected, "{sender}");
        }
    }

    #[test]
    fn all_stamps_are_known() {
        for form in STAMPS.iter().chain(&ZONED_STAMPS) {
            assert!(
                form.parse::<super::super::date::TimeFormat>().is_ok(),
                "{form}"
            );
        }
    }

    #[test]
    fn a_name_beyond_all_is_none() {
        let long = format!("<13>Feb 12 14:10:21 {} app: x", "h".repeat(256));
        assert_eq!(shown(long.as_bytes()), "2026-02-12T13:10:21Z - app - x");
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(
            head in "(<[0-9]{0,4}>)?(1 )?:?([0-9a-z]{0,5}: ){0,4}([*.]?(Feb 2[0-9] (2026 )?|2026 Feb  2 |2026-0[0-9]-3[01][T ]))?([0-9:]{8})?( [A-Z]{1,6}:?)?( -){0,6}",
            tail in proptest::collection::vec(any::<u8>(), 0..60),
            now in any::<i64>(),
        ) {
            let message = [head.as_bytes(), &tail].concat();
            let mut reader = WireReader::new(&TimeZone::UTC);
            let record = reader.read(&message, Timestamp::from_micros(now));
            prop_assert!(record.message.len() <= message.len());
            // The text is the end of what was sent, less line ends.
            prop_assert!(without_end(&message).ends_with(without_end(record.message)));
        }

        #[test]
        fn rfc5424_is_read_as_by_syslog_loose(
            seconds in 0..4_000_000_000_i64,
            micros in 0..1_000_000_i64,
            host in "-|[a-z0-9.]{1,20}",
            program in "-|[a-z/]{1,20}",
            pid in prop::option::of(any::<u32>()),
            id in "-|ID[0-9]{1,3}",
            values in prop::collection::vec("[a-z \\]=]{1,10}", 0..3),
            text in "[a-zA-Z:\\[\\]\"<>=][ -~]{0,30}[a-z]",
        ) {
            let time = Timestamp::from_micros(seconds * 1_000_000 + micros);
            let elements: String = values
                .iter()
                .enumerate()
                .map(|(number, value)| format!("[a@{number} b=\"{}\"]", value.replace(']', "\\]")))
                .collect();
            let data = if elements.is_empty() { "-" } else { &elements };
            let process = pid.map_or("-".to_owned(), |pid| pid.to_string());
            let message = format!("<38>1 {time} {host} {program} {process} {id} {data} {text}");
            let ours = WireReader::new(&TimeZone::UTC).read(message.as_bytes(), moment(NOW));
            let theirs = syslog_loose::parse_message_with_year_exact(
                &message, |_| 1970, syslog_loose::Variant::RFC5424,
            ).expect("a message of the standard");
            prop_assert_eq!(ours.host, theirs.hostname.unwrap_or_default());
            prop_assert_eq!(ours.program, theirs.appname.unwrap_or_default());
            prop_assert_eq!(ours.message, theirs.msg.as_bytes());
            let told = theirs.timestamp.expect("a time").timestamp_micros();
            prop_assert_eq!(ours.time.as_micros(), told);
            prop_assert_eq!(told, time.as_micros());
            prop_assert_eq!(ours.pid, pid);
        }

        #[test]
        fn rfc3164_is_read_as_by_syslog_loose(
            // Of 2026, less the day that could be of the next year.
            seconds in 1_767_312_000..1_798_761_600_i64,
            host in "[a-z][a-z0-9.]{0,20}",
            program in "[a-z][a-z/]{0,20}",
            pid in prop::option::of(any::<u32>()),
            priority in 0..192_u8,
            text in "[a-zA-Z][ -~]{0,30}[a-z]",
        ) {
            let time = Timestamp::from_micros(seconds * 1_000_000);
            let stamp = jiff::Timestamp::from_second(seconds).expect("of 2026").strftime("%b %e %T");
            let process = pid.map_or(String::new(), |pid| format!("[{pid}]"));
            let message = format!("<{priority}>{stamp} {host} {program}{process}: {text}");
            let ours = WireReader::new(&TimeZone::UTC).read(message.as_bytes(), moment("2026-12-31T23:59:59Z"));
            // It tells zones in types of its own, one of which it reads in any message with a full stamp.
            let universal = syslog_loose::parse_message_with_year_exact(
                "<13>1 2026-02-12T14:10:21Z - - - - - x", |_| 1970, syslog_loose::Variant::RFC5424,
            ).expect("a message of the standard");
            let universal = universal.timestamp.map(|time| *time.offset());
            let theirs = syslog_loose::parse_message_with_year_exact_tz(
                &message, |_| 2026, universal, syslog_loose::Variant::RFC3164,
            ).expect("a message of the standard");
            prop_assert_eq!(Some(ours.host), theirs.hostname);
            prop_assert_eq!(Some(ours.program), theirs.appname);
            prop_assert_eq!(ours.message, theirs.msg.as_bytes());
            prop_assert_eq!(ours.pid, pid);
            let told = theirs.timestamp.expect("a time").timestamp_micros();
            prop_assert_eq!(ours.time.as_micros(), told);
            prop_assert_eq!(told, time.as_micros());
        }
    }
}
