//! Where is the address, without the search that remembers every group?
//!
//! In: the structure of a pattern, then texts. Out: what its groups take, if that can be said quickly. Most patterns are
//! a beginning, perhaps any text with exact text behind it, the address, and an end. Beginning and end are tried step
//! by step or by automata that remember nothing, the exact text is looked for from behind, as a greedy `.*` does it, and the address
//! is read byte by byte: a tenth of the time. Whatever is not clear at once is left to the whole pattern, so there is
//! no second opinion of what it takes: a test compares the two.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::slice;
use std::sync::LazyLock;

use memchr::memrchr_iter;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::language::placeholder;
use super::literal::rarity;
use super::steps::{Bytes, Steps, Walk};
use crate::engine::expression::Expression;

/// After so many places of the exact text the whole pattern is tried: an attacker may write it as often as he likes.
const MOST_PLACES: usize = 8;

/// What the groups of a pattern take of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub address: Option<Address>,
    pub user: Option<Range<usize>>,
    pub target: Option<Range<usize>>,
    pub forwarded: Option<Range<usize>>,
    pub session: Option<Range<usize>>,
}

/// What stands where the address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub range: Range<usize>,
    /// Whether it cannot be a name.
    pub strict: bool,
    /// The address, if it was read on the way.
    pub known: Option<Ipv4Addr>,
}

/// A pattern of the usual form.
#[derive(Clone, Debug)]
pub(super) struct Quick {
    head: Part,
    gap: Option<Gap>,
    strict: bool,
    /// What follows the address.
    tail: Part,
    /// Whether the tail cannot begin with what may be a part of an address.
    apart: bool,
}

/// What can be said quickly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The pattern takes the text.
    Takes(Taken),
    /// It does not.
    Not,
    /// The whole pattern has to be asked.
    Unclear,
}

/// What stands before or behind all that is looked for.
#[derive(Clone, Debug)]
struct Part {
    /// What it begins with.
    steps: Steps,
    /// What follows the steps, if that is not all.
    rest: Option<Expression>,
    /// For what is not clear step by step.
    whole: Expression,
}

/// Any text, and the exact text behind it.
#[derive(Clone, Debug)]
struct Gap {
    taken_as: As,
    end: Box<[u8]>,
    /// The place of its rarest byte.
    rarest: usize,
}

/// What any text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    User,
    Target,
    /// Nothing that is taken.
    Text,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    /// The address of which this is the end, or none at all; it may have been read on the way.
    Address(usize, Option<Ipv4Addr>),
    /// No address in any reading.
    Nothing,
    /// The pattern has to tell.
    Unclear,
}

impl Quick {
    /// The pattern, if it is of that form.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        let HirKind::Concat(parts) = hir.kind() else {
            return None;
        };
        let at = parts.iter().position(is_address)?;
        let (left, right) = (&parts[..at], &parts[at + 1..]);
        let free = left.iter().position(|part| any_text(part).is_some());
        let (head, gap) = match free {
            None => (left, None),
            Some(free) => {
                let [between] = &left[free + 1..] else {
                    return None;
                };
                let HirKind::Literal(end) = between.kind() else {
                    return None;
                };
                let gap = Gap::of(&end.0, any_text(&left[free])?)?;
                (&left[..free], Some(gap))
            }
        };
        let [start, head @ ..] = head else {
            return None;
        };
        let is_plain = |part: &Hir, looks: &[Look]| {
            let properties = part.properties();
            let looks = properties
                .look_set()
                .iter()
                .all(|look| looks.contains(&look));
            looks && properties.explicit_captures_len() == 0 && can_be_written(part)
        };
        let is_sound = matches!(start.kind(), HirKind::Look(Look::Start))
            && head.iter().all(|part| is_plain(part, &[]))
            && right.iter().all(|part| is_plain(part, &[Look::End]));
        is_sound.then_some(())?;
        // Where it ends is nobody's business, and so is any text that ends it.
        let is_free = |part: &&Hir| is_any_text(part);
        let free = right.iter().rev().take_while(is_free);
        let right = &right[..right.len() - free.count()];
        let first = Bytes::leading(right, Bytes::ALL);
        Some(Quick {
            head: Part::of(head)?,
            gap,
            strict: group(&parts[at]) == Some("ip"),
            tail: Part::of(right)?,
            apart: !first.meets((0..=u8::MAX).filter(of_name).collect()),
        })
    }

    /// What the groups take.
    pub(super) fn take(&self, text: &[u8]) -> Answer {
        let Walk::Through { end: begin, chose } = self.head.end(text, 0) else {
            return Answer::Not;
        };
        let Some(gap) = &self.gap else {
            return match self.address(text, begin) {
                Ok(Some(address)) => self.takes(address, None),
                // There was no other place for it.
                Ok(None) if !chose => Answer::Not,
                Ok(None) | Err(()) => Answer::Unclear,
            };
        };
        let mut places = gap.places(&text[begin..]);
        for before in places.by_ref().take(MOST_PLACES) {
            let start = begin + before + gap.end.len();
            match self.address(text, start) {
                Ok(Some(address)) => {
                    let text = begin..begin + before;
                    return self.takes(address, Some((gap.taken_as, text)));
                }
                Ok(None) => {}
                Err(()) => return Answer::Unclear,
            }
        }
        match places.next() {
            // It was nowhere, and there was no other way to look at it.
            None if !chose => Answer::Not,
            _ => Answer::Unclear,
        }
    }

    fn takes(&self, address: Address, text: Option<(As, Range<usize>)>) -> Answer {
        let (user, target) = match text {
            Some((As::User, range)) => (Some(range), None),
            Some((As::Target, range)) => (None, Some(range)),
            Some((As::Text, _)) | None => (None, None),
        };
        Answer::Takes(Taken {
            address: Some(address),
            user,
            target,
            forwarded: None,
            session: None,
        })
    }

    /// The address that begins at `start` and what follows it, or that there is none.
    ///
    /// # Errors
    /// It is unclear.
    fn address(&self, text: &[u8], start: usize) -> Result<Option<Address>, ()> {
        let there = match self.strict {
            true => address(text, start),
            false => name(text, start),
        };
        match there {
            There::Address(end, known) if self.tail.is_at(text, end) => Ok(Some(Address {
                range: start..end,
                strict: self.strict,
                known,
            })),
            There::Nothing => Ok(None),
            There::Address(..) if self.apart => Ok(None),
            There::Address(..) | There::Unclear => Err(()),
        }
    }
}

impl Gap {
    fn of(end: &[u8], taken_as: As) -> Option<Self> {
        let bytes = end.iter().enumerate();
        let rarest = bytes.max_by_key(|(_, byte)| rarity(slice::from_ref(byte)));
        Some(Gap {
            taken_as,
            end: end.into(),
            rarest: rarest?.0,
        })
    }

    /// Where the text behind the gap stands, from behind. A search for one byte is soon over where the address follows; one
    /// for all of them took twice the time.
    fn places(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        let byte = self.end[self.rarest];
        memrchr_iter(byte, text).filter_map(move |at| {
            let start = at.checked_sub(self.rarest)?;
            text[start..].starts_with(&self.end).then_some(start)
        })
    }
}

impl Part {
    fn of(parts: &[Hir]) -> Option<Self> {
        let automaton = |parts: &[Hir]| {
            let anchored = [&[Hir::look(Look::Start)], parts].concat();
            let hir = Hir::concat(anchored);
            Expression::new(hir.to_string(), &hir).ok()
        };
        let (steps, count) = Steps::leading(parts);
        let rest = match &parts[count..] {
            [] => None,
            rest => Some(automaton(rest)?),
        };
        let whole = automaton(parts)?;
        Some(Part { steps, rest, whole })
    }

    /// Where it ends if it begins at `start`, which is looked at as the beginning.
    fn end(&self, text: &[u8], start: usize) -> Walk {
        self.walk(text, start).unwrap_or_else(|(automaton, start)| {
            let found = automaton
                .regex()
                .and_then(|regex| regex.find(&text[start..]));
            found.map_or(Walk::Nowhere, |found| Walk::Through {
                end: start + found.end(),
                chose: true,
            })
        })
    }

    /// Whether it begins at `start`, wherever it ends: an automaton that is not asked for the end stops sooner.
    fn is_at(&self, text: &[u8], start: usize) -> bool {
        match self.walk(text, start) {
            Ok(walk) => walk != Walk::Nowhere,
            Err((automaton, start)) => {
                let regex = automaton.regex();
                regex.is_some_and(|regex| regex.is_match(&text[start..]))
            }
        }
    }

    /// How the steps go.
    ///
    /// # Errors
    /// This automaton has to tell, from there.
    fn walk(&self, text: &[u8], start: usize) -> Result<Walk, (&Expression, usize)> {
        match (self.steps.walk(text, start), &self.rest) {
            (Walk::Through { end, chose: false }, Some(rest)) => Err((rest, end)),
            (Walk::Unclear, _) | (Walk::Through { .. }, Some(_)) => Err((&self.whole, start)),
            (walk, _) => Ok(walk),
        }
    }
}

/// What `<ip>` takes at `start`.
fn address(text: &[u8], start: usize) -> There {
    let rest = &text[start..];
    let digits = |text: &[u8], digit: fn(&u8) -> bool, most: usize| {
        text.iter()
            .take(most)
            .take_while(|byte| digit(byte))
            .count()
    };
    let behind = |length: usize| rest.get(length).copied().unwrap_or(b' ');
    if let Some((end, known)) = dotted(rest) {
        return match behind(end) {
            b'%' | b'0'..=b'9' => There::Unclear,
            _ => There::Address(start + end, known),
        };
    }
    let group = digits(rest, u8::is_ascii_hexdigit, 4);
    if behind(group) != b':' {
        return There::Nothing;
    }
    let of_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let end = digits(rest, of_address, usize::MAX);
    match rest[end - 1].is_ascii_hexdigit() && behind(end) != b'%' {
        true => There::Address(start + end, None),
        false => There::Unclear,
    }
}

/// Where four numbers with dots that begin a text end, and the address that they are; none, if one is too large or has a
/// nought before it.
fn dotted(text: &[u8]) -> Option<(usize, Option<Ipv4Addr>)> {
    let mut octets = [0; 4];
    let (mut end, mut is_address) = (0, true);
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            (text.get(end) == Some(&b'.')).then_some(())?;
            end += 1;
        }
        let (begin, mut value) = (end, 0_u16);
        let digits = text[begin..].iter().take(3);
        for digit in digits.take_while(|byte| byte.is_ascii_digit()) {
            value = value * 10 + u16::from(digit - b'0');
            end += 1;
        }
        (end > begin).then_some(())?;
        let is_short = end == begin + 1 || text[begin] != b'0';
        match u8::try_from(value) {
            Ok(value) if is_short => *octet = value,
            _ => is_address = false,
        }
    }
    Some((end, is_address.then(|| Ipv4Addr::from(octets))))
}

/// What `<host>` takes at `start`.
fn name(text: &[u8], start: usize) -> There {
    match text[start..]
        .iter()
        .take_while(|byte| of_name(byte))
        .count()
    {
        0 => There::Nothing,
        length => There::Address(start + length, None),
    }
}

/// Whether `<host>` takes it, or `<ip>` does somewhere.
fn of_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b":._%-".contains(byte)
}

/// Whether a part is `<ip>` or `<host>`, and takes what these do: a flag may have changed how greedy it is.
fn is_address(part: &Hir) -> bool {
    static ADDRESSES: LazyLock<Vec<Hir>> =
        LazyLock::new(|| ["ip", "host"].into_iter().filter_map(placeholder).collect());
    let sub = |hir: &Hir| match hir.kind() {
        HirKind::Capture(group) => Some(group.sub.clone()),
        _ => None,
    };
    let is_named = group(part).is_some_and(|name| ["ip", "host"].contains(&name));
    is_named && ADDRESSES.iter().any(|known| sub(known) == sub(part))
}

/// The name of the group that a part is.
fn group(part: &Hir) -> Option<&str> {
    match part.kind() {
        HirKind::Capture(group) => group.name.as_deref(),
        _ => None,
    }
}

/// Whether a structure can be written as an expression again: a repetition of another one, `(?:a+)?`, would come out as
/// `a+?`, which means something else.
pub(super) fn can_be_written(part: &Hir) -> bool {
    let repeated = |part: &Hir| matches!(part.kind(), HirKind::Repetition(_));
    let subs = part.kind().subs();
    !(repeated(part) && subs.iter().any(repeated)) && subs.iter().all(can_be_written)
}

/// What the text of a part is that can be any: `<user>`, `<target>` or `<text>`.
fn any_text(part: &Hir) -> Option<As> {
    match part.kind() {
        HirKind::Capture(group) if is_any_text(&group.sub) => match group.name.as_deref() {
            Some("user") => Some(As::User),
            Some("target") => Some(As::Target),
            _ => None,
        },
        _ => is_any_text(part).then_some(As::Text),
    }
}

/// Whether a part is `<text>`.
fn is_any_text(part: &Hir) -> bool {
    match part.kind() {
        HirKind::Repetition(repeated) => {
            let is_any = matches!(repeated.sub.kind(), HirKind::Class(Class::Bytes(class))
                if class.ranges().first().is_some_and(|range| range.len() == 256));
            is_any && repeated.greedy && (repeated.min, repeated.max) == (0, None)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::dotted;

    proptest! {
        #[test]
        fn numbers_with_dots_are_read_as_addresses_are(text in "[0-3]?[05-9]{0,2}(\\.[0-2]?[05-9]{0,2}){3}") {
            let known = dotted(text.as_bytes()).and_then(|(end, known)| {
                assert_eq!(end, text.len());
                known
            });
            prop_assert_eq!(known, text.parse().ok());
        }
    }
}
