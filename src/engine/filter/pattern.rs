//! Is a pattern sound, and what does it take out of a record?
//!
//! In: what a filter file says of a pattern. Out: a compiled [`Pattern`], or the reason why it is refused;
//! [`proof`](super::proof) says why text of an attacker cannot move the address. No record is routed and no failure
//! counted here.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::OnceLock;

use regex_syntax::hir::{Hir, HirKind, Look};

use super::language::expand;
use super::literal::{Texts, options};
use super::proof::{
    PortEnd, Proof, addresses, forwarded, is_floating, port_end, prove, prove_forwarded,
    refuse_floating, refuse_line_anchors,
};
use super::quick::{Address, Answer, Quick, Taken};
use super::view::{Place, View};
use super::{Found, PatternSpec, Session};
use crate::engine::expression::{Expression, parse};
use crate::engine::record::{LONGEST_MESSAGE, lossy};

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern {number} of filter {filter}: {reason}")]
pub struct PatternError {
    /// The filter's name.
    pub filter: String,
    /// The pattern's number in its file, from 1; ignore patterns are counted on their own.
    pub number: u16,
    /// Whether it stands under `[[ignore]]`.
    pub ignore: bool,
    /// What is wrong and how to mend it.
    pub reason: String,
}

/// A sound, compiled failure pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// All of them have to match.
    parts: Vec<Part>,
    /// Of each of these the message must hold one text.
    options: Vec<Texts>,
    /// Whether it says from where somebody has failed.
    is_of_addresses: bool,
    /// Whether what it asks for may be a client's own text, as far as is known here.
    is_floating: bool,
}

/// A regular expression over one text of a record.
#[derive(Clone, Debug)]
struct Part {
    place: Place,
    regex: Expression,
    /// Made when it is first asked for, as the regular expression is.
    quick: OnceLock<Option<Quick>>,
    /// The end of the text decides, so one that may have been cut does not match.
    needs_end: bool,
    /// A port always follows the address, which ends at the last colon then.
    has_port: bool,
}

/// What a record is to a pattern.
#[derive(Debug)]
pub(super) enum Reading<'v> {
    /// A failure. Number and counting of the pattern are each filter's own, and not filled in.
    Failure(Found<'v>),
    /// Not what the pattern is for: another one may take it.
    Other,
    /// There is an address, but it may be a part of something longer: nobody can be blamed.
    Doubtful,
}

impl Part {
    /// The text to look at, if there is one; if its end decides, it must be there.
    fn text<'v>(&self, view: &'v View<'_>) -> Option<&'v [u8]> {
        let text = view.text(&self.place)?;
        (!self.needs_end || text.len() < LONGEST_MESSAGE).then_some(text)
    }

    fn quick(&self) -> Option<&Quick> {
        let make = || Quick::of(&parse(self.regex.source()).ok()?);
        self.quick.get_or_init(make).as_ref()
    }

    /// What its groups take of a text, if it takes that.
    fn take(&self, text: &[u8]) -> Option<Taken> {
        match self.quick().map(|quick| quick.take(text)) {
            Some(Answer::Takes(taken)) => return Some(taken),
            Some(Answer::Not) => return None,
            Some(Answer::Unclear) | None => {}
        }
        // Most texts that come here are not taken, and these are to cost no memory.
        let regex = self.regex.regex()?;
        if !regex.is_match(text) {
            return None;
        }
        let captures = regex.captures(text)?;
        let range = |name: &str| captures.name(name).map(|group| group.range());
        let address = |name, strict| {
            let known = None;
            range(name).map(|range| Address {
                range,
                strict,
                known,
            })
        };
        Some(Taken {
            address: address("ip", true).or_else(|| address("host", false)),
            user: range("user"),
            target: range("target"),
            forwarded: range("forwarded"),
            session: range("session"),
        })
    }
}

/// What groups take of a text. That it is text is proved at once for all of them and what stands between: it takes little
/// longer than for one.
#[derive(Clone, Copy)]
struct Proved<'v> {
    bytes: &'v [u8],
    /// From the first group on; nothing if that is no text.
    text: &'v str,
    start: usize,
}

impl<'v> Proved<'v> {
    fn of(bytes: &'v [u8], taken: &Taken) -> Self {
        let address = taken.address.as_ref().map(|address| &address.range);
        let groups = [
            address,
            taken.user.as_ref(),
            taken.target.as_ref(),
            taken.forwarded.as_ref(),
            taken.session.as_ref(),
        ];
        let groups = groups.into_iter().flatten();
        let (start, end) = groups.fold((bytes.len(), 0), |(start, end), group| {
            (start.min(group.start), end.max(group.end))
        });
        let text = bytes.get(start..end).unwrap_or_default();
        Proved {
            bytes,
            text: std::str::from_utf8(text).unwrap_or_default(),
            start,
        }
    }

    /// What a group takes, if it is text by itself.
    fn get(&self, group: Range<usize>) -> Option<&'v str> {
        let known = self
            .text
            .get(group.start - self.start..group.end - self.start);
        known.or_else(|| std::str::from_utf8(&self.bytes[group]).ok())
    }

    /// What a group takes; bytes that are no text become U+FFFD.
    fn lossy(&self, group: Range<usize>) -> Cow<'v, str> {
        match self.get(group.clone()) {
            Some(text) => Cow::Borrowed(text),
            None => lossy(&self.bytes[group]),
        }
    }
}

fn over_message(parts: &[Part]) -> Option<&str> {
    let over = |part: &&Part| part.place == Place::Message;
    parts.iter().find(over).map(|part| part.regex.source())
}

impl Pattern {
    /// Compiles a failure pattern.
    pub(super) fn failure(spec: &PatternSpec) -> Result<Self, String> {
        let texts = texts(spec)?;
        let found: usize = texts.iter().map(|text| addresses(&text.hir)).sum();
        let names = ["user", "target", "session"];
        let has_name = |text: &Text| names.iter().any(|name| captures(&text.hir, name));
        if found == 0 && !texts.iter().any(has_name) {
            return Err(
                "a failure needs <ip> or <host>, or at least <user>, <target> or <session>"
                    .to_owned(),
            );
        }
        if found == 0 && texts.iter().any(|text| forwarded(&text.hir) > 0) {
            return Err("<forwarded> needs the <ip> of the proxy".to_owned());
        }
        if found > 1 {
            return Err(
                "only one <ip> or <host> can say who failed: write two patterns".to_owned(),
            );
        }
        for name in ["user", "target", "forwarded", "session"] {
            if texts
                .iter()
                .filter(|text| captures(&text.hir, name))
                .count()
                > 1
            {
                return Err(format!("<{name}> may stand in one place only"));
            }
        }
        let part = |text: Text| {
            let needs_end = match addresses(&text.hir) {
                // Whoever stands there is whom it is about.
                0 if found == 0 => refuse_line_anchors(&text.hir)
                    .and_then(|()| refuse_floating(&text.hir))
                    .map(|()| looks_at_end(&text.hir)),
                0 => refuse_line_anchors(&text.hir).map(|()| false),
                _ => prove(&text.hir).map(|proof| proof == Proof::End),
            };
            let needs_end = needs_end.and_then(|needs_end| match forwarded(&text.hir) {
                0 => Ok(needs_end),
                _ => prove_forwarded(&text.hir).map(|()| true),
            });
            let port_end = port_end(&text.hir);
            let needs_end = needs_end.map_err(|reason| at(&text.place, reason))?;
            Ok(Part {
                needs_end: needs_end || port_end == Some(PortEnd::End),
                regex: expression(text.source, &text.hir, &text.place)?,
                quick: OnceLock::new(),
                has_port: port_end.is_some(),
                place: text.place,
            })
        };
        let message = texts.iter().find(|text| text.place == Place::Message);
        Ok(Pattern {
            is_of_addresses: found > 0,
            is_floating: texts.iter().any(|text| is_floating(&text.hir)),
            options: message.map(|text| options(&text.hir)).unwrap_or_default(),
            parts: texts.into_iter().map(part).collect::<Result<_, String>>()?,
        })
    }

    /// The regular expression over the message; `None` if it looks at fields too, since then it takes nothing but objects.
    pub(super) fn over_message(&self) -> Option<&str> {
        let looks_at_fields = self.parts.iter().any(|part| part.place != Place::Message);
        over_message(&self.parts).filter(|_| !looks_at_fields)
    }

    /// Whether it asks for something behind text in which everything may stand, and not up to the end.
    pub(super) fn is_floating(&self) -> bool {
        self.is_floating
    }

    /// What can be looked for instead of trying it: of each of these, every message that it takes holds one text.
    pub(super) fn options(&self) -> &[Texts] {
        &self.options
    }

    /// What the pattern finds in a record.
    pub(super) fn find<'v>(&self, view: &'v View<'_>) -> Reading<'v> {
        // What a message without the fields says does not matter, and costs no memory.
        if self.parts.iter().any(|part| part.text(view).is_none()) {
            return Reading::Other;
        }
        let (mut address, mut user, mut session) = (None, None, None);
        let (mut target, mut forwarded) = (None, None);
        for part in &self.parts {
            let Some(text) = part.text(view) else {
                return Reading::Other;
            };
            let Some(taken) = part.take(text) else {
                return Reading::Other;
            };
            let proved = Proved::of(text, &taken);
            user = user.or_else(|| taken.user.map(|range| proved.lossy(range)));
            target = target.or_else(|| taken.target.map(|range| proved.lossy(range)));
            forwarded = forwarded.or_else(|| taken.forwarded.map(|range| proved.lossy(range)));
            let captured = |range| Session::Captured(proved.lossy(range));
            session = session.or_else(|| taken.session.map(captured));
            address = address.or_else(|| Some((proved, taken.address?, part.has_port)));
        }
        let by_fields = self.parts.iter().any(|part| part.place != Place::Message);
        let line = match by_fields {
            true => view.line(),
            false => view.message(),
        };
        let (host, ip) = match address {
            Some((proved, address, has_port)) => {
                let Address {
                    range,
                    strict,
                    known,
                } = address;
                let Some(host) = proved.get(range.clone()) else {
                    return Reading::Other;
                };
                let ip = known.map(IpAddr::V4).or_else(|| address_of(host));
                if ip.is_none() && (strict || !looks_like_name(host)) {
                    return Reading::Other;
                }
                let text = proved.bytes;
                if may_be_cut(text, range.end) || continues(text, range, ip, has_port) {
                    return Reading::Doubtful;
                }
                (host, ip)
            }
            None if self.is_of_addresses => return Reading::Other,
            None => ("", None),
        };
        Reading::Failure(Found {
            pattern: 0,
            host: Cow::Borrowed(host),
            ip,
            user,
            target,
            forwarded,
            session,
            unless_counted: false,
            said: None,
            line,
        })
    }
}

/// A compiled ignore pattern. `^`, or `$` behind free text, holds all that it asks for, so that an attacker who wants
/// to stay unseen cannot write that just anywhere. If his text stands where the pattern asks for something, he still
/// can: only the author of the pattern knows the log.
#[derive(Clone, Debug)]
pub(super) struct Ignore {
    /// All of them have to match.
    parts: Vec<Part>,
}

impl Ignore {
    /// Compiles an ignore pattern.
    pub(super) fn new(spec: &PatternSpec) -> Result<Self, String> {
        let part = |text: Text| {
            let sound = refuse_line_anchors(&text.hir).and_then(|()| refuse_floating(&text.hir));
            sound.map_err(|reason| at(&text.place, reason))?;
            Ok(Part {
                quick: OnceLock::from(None),
                needs_end: looks_at_end(&text.hir),
                has_port: false,
                regex: expression(text.source, &text.hir, &text.place)?,
                place: text.place,
            })
        };
        let parts = texts(spec)?.into_iter().map(part);
        Ok(Ignore {
            parts: parts.collect::<Result<_, String>>()?,
        })
    }

    /// The regular expression over the message; `None` if it looks at fields alone.
    pub(super) fn over_message(&self) -> Option<&str> {
        over_message(&self.parts)
    }

    /// Whether all is as it says.
    pub(super) fn takes(&self, view: &View<'_>) -> bool {
        self.parts.iter().all(|part| {
            let text = part.text(view);
            text.zip(part.regex.regex())
                .is_some_and(|(text, regex)| regex.is_match(text))
        })
    }
}

/// Whether it depends on the end of a text whether an expression takes it: `\b` looks there as `$` does.
fn looks_at_end(hir: &Hir) -> bool {
    let mut looks = hir.properties().look_set().iter();
    looks.any(|look| look != Look::Start)
}

/// What a pattern says of one text of a record.
struct Text {
    place: Place,
    source: String,
    hir: Hir,
}

/// All that a pattern says; of the message, if there are no fields either.
fn texts(spec: &PatternSpec) -> Result<Vec<Text>, String> {
    let message = (!spec.text.is_empty() || spec.fields.is_empty())
        .then_some((Place::Message, spec.text.as_str()));
    let fields = spec.fields.iter();
    let fields = fields.map(|(path, text)| (Place::Field(path.clone()), text.as_str()));
    let read = |(place, text)| {
        let source = expand(text).map_err(|reason| at(&place, reason))?;
        let hir = parse(&source).map_err(|reason| at(&place, reason))?;
        Ok(Text { place, source, hir })
    };
    message.into_iter().chain(fields).map(read).collect()
}

fn expression(source: String, hir: &Hir, place: &Place) -> Result<Expression, String> {
    Expression::new(source, hir).map_err(|reason| at(place, reason))
}

/// The reason, with the field that it is about.
fn at(place: &Place, reason: String) -> String {
    match place {
        Place::Message => reason,
        Place::Field(path) => format!("field `{}`: {reason}", path.as_str()),
    }
}

fn captures(hir: &Hir, wanted: &str) -> bool {
    let here =
        matches!(hir.kind(), HirKind::Capture(group) if group.name.as_deref() == Some(wanted));
    here || hir.kind().subs().iter().any(|sub| captures(sub, wanted))
}

/// The address that the whole of `text` is, without its zone.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.split_once('%').map_or(text, |(bare, _)| bare);
    bare.parse().map(|ip: IpAddr| ip.to_canonical()).ok()
}

/// `1.2.3.4.5` and `::g` are broken addresses, no names.
fn looks_like_name(text: &str) -> bool {
    !text.contains([':', '%'])
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Whether the text was perhaps cut before the bytes that [`continues`] looks at behind an address.
fn may_be_cut(text: &[u8], end: usize) -> bool {
    text.len() >= LONGEST_MESSAGE && end + 2 > text.len()
}

/// Whether a neighbouring byte makes the capture a part of something longer.
fn continues(message: &[u8], address: Range<usize>, ip: Option<IpAddr>, has_port: bool) -> bool {
    let Range { start, end } = address;
    let before = message[..start].last().copied().unwrap_or(b' ');
    let behind = message.get(end).copied().unwrap_or(b' ');
    let next = message.get(end + 1).copied().unwrap_or(b' ');
    let joins =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'%');
    let colon_joins = !has_port && !ip.is_some_and(|ip| ip.is_ipv4());
    let colon_before = message[..start].strip_suffix(b":").is_some_and(|earlier| {
        let word = earlier
            .rsplit(|byte| !byte.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        let group = !word.is_empty() && word.iter().all(u8::is_ascii_hexdigit);
        group || earlier.ends_with(b":")
    });
    joins(before)
        || colon_before
        || behind.is_ascii_alphanumeric()
        || (behind == b'.' && next.is_ascii_alphanumeric())
        || (colon_joins && behind == b':' && (next == b':' || next.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
