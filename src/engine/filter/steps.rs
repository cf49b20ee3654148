//! How far does a part of a pattern reach?
//!
//! In: the structure of a part, then texts. Out: where the part ends, if that can be said without trying again. Each step
//! takes as much as it can, as a greedy expression does first. If all of them go through, no other way was better; if
//! one fails behind a choice, another choice might have led further, and an automaton has to tell. It was no choice if what
//! follows cannot begin with what another one would have left. On a log of failures the automata of head and tail
//! took a seventh of all time.

use std::borrow::Cow;

use memchr::memchr;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// What stands one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Steps(Box<[Step]>);

#[derive(Clone, Debug)]
enum Step {
    Text(Exact),
    /// As many bytes of a class as there are.
    Run {
        class: Table,
        least: usize,
        most: usize,
        /// Whether nothing could follow fewer of them.
        is_sure: bool,
    },
    /// The first of these that is there, each with what it begins with, or what follows it if it can be empty.
    OneOf(Box<[(Bytes, Steps)]>),
    /// So many of the next steps may be missing together. None of them is one like this, so that there is one place at the most
    /// to go back to.
    Maybe {
        count: usize,
        /// What they begin with.
        first: Bytes,
        /// What stands there without them.
        follow: Bytes,
        /// Whether they take nothing at the end of a text.
        takes: bool,
    },
    End,
}

/// An exact text.
#[derive(Clone, Debug)]
struct Exact {
    bytes: Box<[u8]>,
    /// The first eight as one number, and which of them there are: to compare numbers takes no call.
    head: u64,
    mask: u64,
}

/// A set of bytes, one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes([u64; 4]);

/// The same for a look at many of them.
#[derive(Clone, Debug)]
struct Table {
    holds: Box<[bool; 256]>,
    /// The only one that is not in it.
    all_but: Option<u8>,
}

/// Where to go on without steps that may be missing.
struct Without {
    number: usize,
    at: usize,
    /// Whether there was a choice before them.
    chosen: bool,
}

/// How steps went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// They end here; perhaps there was a choice.
    Through { end: usize, chose: bool },
    /// The part does not match.
    Nowhere,
    /// An automaton has to tell.
    Unclear,
}

impl Steps {
    /// The steps of these parts, and how many parts they are. If there is one that takes more than steps, they end before
    /// it, and before what is likely to be a choice, behind which nobody could go on.
    pub(super) fn leading(parts: &[Hir]) -> (Self, usize) {
        let mut steps = Vec::new();
        let mut clear = None;
        for (at, part) in parts.iter().enumerate() {
            let before = steps.len();
            let follow = Bytes::leading(&parts[at + 1..], Bytes::ALL);
            if add(part, follow, &mut steps).is_none() {
                let (length, count) = clear.unwrap_or((before, at));
                steps.truncate(length);
                return (Steps(steps.into()), count);
            }
            if steps.get(before).is_some_and(Step::chooses) {
                clear = clear.or(Some((before, at)));
            }
        }
        (Steps(steps.into()), parts.len())
    }

    /// How they go from `start` if they are one of several choices. Most of these are a word, for which a call takes most of
    /// the time.
    fn branch(&self, text: &[u8], start: usize) -> Walk {
        let end = match &*self.0 {
            [] => Some(start),
            [Step::Text(wanted)] => wanted.end(text, start),
            _ => return self.walk(text, start),
        };
        end.map_or(Walk::Nowhere, |end| Walk::Through { end, chose: false })
    }

    /// How they go from `start`.
    pub(super) fn walk(&self, text: &[u8], start: usize) -> Walk {
        let (mut at, mut chosen) = (start, false);
        let mut number = 0;
        let mut without: Option<Without> = None;
        loop {
            if without.as_ref().is_some_and(|left| left.number == number) {
                without = None;
                chosen = true;
            }
            let Some(step) = self.0.get(number) else {
                return Walk::Through {
                    end: at,
                    chose: chosen,
                };
            };
            number += 1;
            let next = text.get(at);
            let may_be = |first: &Bytes| next.is_none_or(|next| first.holds(*next));
            let end = match step {
                Step::Text(wanted) => wanted.end(text, at),
                Step::End => (at == text.len()).then_some(at),
                Step::Run {
                    class,
                    least,
                    most,
                    is_sure,
                } => {
                    let rest = &text[at..];
                    let count = class.count(rest.get(..*most).unwrap_or(rest));
                    chosen |= count > *least && !is_sure;
                    (count >= *least).then_some(at + count)
                }
                Step::Maybe {
                    count,
                    first,
                    follow,
                    takes,
                } => {
                    let may_be_there = may_be(first) && !(*takes && next.is_none());
                    match (may_be_there, may_be(follow)) {
                        (true, true) => {
                            without = Some(Without {
                                number: number + count,
                                at,
                                chosen: std::mem::take(&mut chosen),
                            });
                            Some(at)
                        }
                        (true, false) => Some(at),
                        (false, true) => {
                            number += count;
                            Some(at)
                        }
                        (false, false) => None,
                    }
                }
                Step::OneOf(alternatives) => {
                    let mut left = alternatives.iter().filter(|(first, _)| may_be(first));
                    loop {
                        let Some((_, alternative)) = left.next() else {
                            break None;
                        };
                        match alternative.branch(text, at) {
                            Walk::Nowhere => {}
                            Walk::Unclear => return Walk::Unclear,
                            Walk::Through { end, chose } => {
                                chosen |= chose || left.next().is_some();
                                break Some(end);
                            }
                        }
                    }
                }
            };
            match (end, &without) {
                (Some(end), _) => at = end,
                (None, _) if chosen => return Walk::Unclear,
                (None, None) => return Walk::Nowhere,
                (None, Some(left)) => {
                    (number, at, chosen) = (left.number, left.at, left.chosen);
                    without = None;
                }
            }
        }
    }
}

impl Step {
    /// Whether it mostly is a choice how much it takes.
    fn chooses(&self) -> bool {
        matches!(self, Step::Run { least, most, is_sure, .. } if !is_sure && least < most)
    }
}

impl Exact {
    fn of(bytes: &[u8]) -> Self {
        let number = |of: fn(u8) -> u8| {
            let mut eight = [0; 8];
            for (place, byte) in eight.iter_mut().zip(bytes) {
                *place = of(*byte);
            }
            u64::from_le_bytes(eight)
        };
        Exact {
            bytes: bytes.into(),
            head: number(|byte| byte),
            mask: number(|_| u8::MAX),
        }
    }

    /// Where it ends if it begins at `start`.
    fn end(&self, text: &[u8], start: usize) -> Option<usize> {
        let text = &text[start..];
        let is_there = match text.first_chunk() {
            Some(eight) => {
                u64::from_le_bytes(*eight) & self.mask == self.head
                    && (self.bytes.len() <= 8 || text.starts_with(&self.bytes))
            }
            None => text.starts_with(&self.bytes),
        };
        is_there.then_some(start + self.bytes.len())
    }
}

impl Bytes {
    /// Any of them, or none at the end of a text.
    pub(super) const ALL: Bytes = Bytes([u64::MAX; 4]);

    /// Those of a class; `None` if one takes several bytes. Of two letters to choose from the parser makes a class of
    /// characters.
    pub(super) fn of(class: &Class) -> Option<Self> {
        let class = match class {
            Class::Bytes(class) => Cow::Borrowed(class),
            Class::Unicode(class) => Cow::Owned(class.to_byte_class()?),
        };
        let ranges = class.ranges().iter();
        let bytes = ranges.flat_map(|range| range.start()..=range.end());
        Some(bytes.collect())
    }

    /// What these parts can begin with, one behind the other, and `follow` behind them. It may be more, never less.
    pub(super) fn leading(parts: &[Hir], follow: Bytes) -> Self {
        let before = |follow, part| Bytes::first(part, follow);
        parts.iter().rfold(follow, before)
    }

    fn first(part: &Hir, follow: Bytes) -> Self {
        match part.kind() {
            HirKind::Look(Look::End) => Bytes::default(),
            HirKind::Empty | HirKind::Look(_) => follow,
            HirKind::Literal(text) => text.0.iter().copied().take(1).collect(),
            HirKind::Class(class) => Bytes::of(class).unwrap_or(Bytes::ALL),
            HirKind::Capture(group) => Bytes::first(&group.sub, follow),
            HirKind::Concat(parts) => Bytes::leading(parts, follow),
            HirKind::Alternation(parts) => {
                let each = parts.iter().map(|part| Bytes::first(part, follow));
                each.fold(Bytes::default(), Bytes::or)
            }
            HirKind::Repetition(repeated) => {
                let first = Bytes::first(&repeated.sub, follow);
                match repeated.min {
                    0 => first.or(follow),
                    _ => first,
                }
            }
        }
    }

    fn or(self, other: Bytes) -> Self {
        Bytes(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    /// Whether one is in both.
    pub(super) fn meets(self, other: Bytes) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .any(|(one, other)| one & other != 0)
    }

    fn holds(self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }
}

impl FromIterator<u8> for Bytes {
    fn from_iter<I: IntoIterator<Item = u8>>(all: I) -> Self {
        let mut bytes = Bytes::default();
        for byte in all {
            bytes.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
        bytes
    }
}

impl Table {
    fn of(bytes: Bytes) -> Self {
        let mut others = (0..=u8::MAX).filter(|byte| !bytes.holds(*byte));
        let all_but = others.next().filter(|_| others.next().is_none());
        let mut holds = Box::new([false; 256]);
        for (byte, holds) in (0..=u8::MAX).zip(holds.iter_mut()) {
            *holds = bytes.holds(byte);
        }
        Table { holds, all_but }
    }

    /// How many bytes of it `text` begins with.
    fn count(&self, text: &[u8]) -> usize {
        let end = match self.all_but {
            Some(other) => memchr(other, text),
            None => text.iter().position(|byte| !self.holds[usize::from(*byte)]),
        };
        end.unwrap_or(text.len())
    }
}

/// Adds the steps of a part that something in `follow` stands behind; `None` if it takes more than steps.
fn add(part: &Hir, follow: Bytes, steps: &mut Vec<Step>) -> Option<()> {
    let run = |class, least, most| {
        let class = Bytes::of(class)?;
        Some(Step::Run {
            is_sure: !class.meets(follow),
            class: Table::of(class),
            least,
            most,
        })
    };
    let of = |part: &Hir| {
        let mut steps = Vec::new();
        add(part, follow, &mut steps)?;
        Some((Bytes::first(part, follow), Steps(steps.into())))
    };
    match part.kind() {
        HirKind::Empty => {}
        HirKind::Look(Look::End) => steps.push(Step::End),
        HirKind::Literal(text) => steps.push(Step::Text(Exact::of(&text.0))),
        HirKind::Class(class) => steps.push(run(class, 1, 1)?),
        HirKind::Concat(parts) => {
            for (part, behind) in parts.iter().zip(1..) {
                add(part, Bytes::leading(&parts[behind..], follow), steps)?;
            }
        }
        HirKind::Alternation(parts) => {
            steps.push(Step::OneOf(parts.iter().map(of).collect::<Option<_>>()?));
        }
        HirKind::Repetition(repeated) if repeated.greedy => {
            let most = repeated.max.map_or(usize::MAX, |most| most as usize);
            match (repeated.sub.kind(), repeated.min, most) {
                (HirKind::Class(class), least, most) => {
                    steps.push(run(class, least as usize, most)?);
                }
                (_, 0, 1) => {
                    let (first, Steps(there)) = of(&repeated.sub)?;
                    let is_maybe = |step: &Step| matches!(step, Step::Maybe { .. });
                    if there.iter().any(is_maybe) {
                        let without = (follow, Steps(Box::default()));
                        steps.push(Step::OneOf([(first, Steps(there)), without].into()));
                        return Some(());
                    }
                    steps.push(Step::Maybe {
                        count: there.len(),
                        first,
                        follow,
                        takes: repeated.sub.properties().minimum_len() > Some(0),
                    });
                    steps.extend(there);
                }
                _ => return None,
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::quick::can_be_written;
    use super::*;
    use crate::engine::expression::{Expression, parse};

    fn end(source: &str, text: &[u8]) -> (Option<usize>, Option<usize>) {
        let hir = parse(source).expect("a regular expression");
        let (steps, count) = Steps::leading(std::slice::from_ref(&hir));
        assert_eq!(count, 1, "{source}");
        let steps = match steps.walk(text, 0) {
            Walk::Through { end, .. } => Some(end),
            Walk::Nowhere | Walk::Unclear => None,
        };
        let anchored = format!("^(?:{source})");
        let hir = parse(&anchored).expect("a regular expression");
        let slow = Expression::new(anchored, &hir).expect("small");
        let slow = slow
            .regex()
            .expect("small")
            .find(text)
            .map(|found| found.end());
        (steps, slow)
    }

    #[test]
    fn usual_ends_are_clear() {
        for (source, text) in [
            (
                r"(?: port [0-9]{1,5})?(?: ssh[12])?(?: \[preauth\])?(?: ?\])?$",
                " port 22 ssh2",
            ),
            (
                "(?:error: )?Failed [a-z/-]+ for (?:invalid user |)",
                "Failed none for invalid user x",
            ),
            ("(?:bad|broken|) ?$", "broken "),
        ] {
            let (steps, slow) = end(source, text.as_bytes());
            assert!(steps.is_some(), "{source}");
            assert_eq!(steps, slow, "{source}");
        }
    }

    #[test]
    fn what_a_choice_has_spoilt_is_unclear() {
        for (source, text) in [
            ("[a-z]+ing", "going"),
            ("(?:a|ab)c", "abc"),
            ("(?:a[a-b]*b|a)", "abb"),
            ("(?:ab)?a", "a"),
        ] {
            let (steps, slow) = end(source, text.as_bytes());
            assert!(slow.is_some(), "{source}");
            assert!(steps.is_none() || steps == slow, "{source}");
        }
    }

    #[test]
    fn what_follows_tells_where_there_is_no_choice() {
        for (source, text) in [
            (r#" - [^"]*"[A-Z]+ "#, r#" - - [12] "GET /"#),
            (r"(?:[\w-]+(?:\.[\w-]+)?(?::[0-9]{1,5})? )?\[", "[x"),
            ("a?(?:b|c)?d?e", "ce"),
        ] {
            let hir = parse(source).expect("a regular expression");
            let (steps, _) = Steps::leading(std::slice::from_ref(&hir));
            let walk = steps.walk(text.as_bytes(), 0);
            assert!(
                matches!(walk, Walk::Through { chose: false, .. }),
                "{source}"
            );
            assert_eq!(steps.walk(b"a.b x", 0), Walk::Nowhere, "{source}");
        }
    }

    fn source() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[ab]{1,2}",
            "[ab]{0,2}\\[\\^?[abc]{1,2}\\][*+?]?",
            Just("(?:ab|c)*".to_owned()),
            Just("$".to_owned())
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                proptest::collection::vec(inner.clone(), 1..4)
                    .prop_map(|parts| format!("(?:{})", parts.join("|"))),
                inner.prop_map(|part| format!("(?:{part})?")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn steps_go_where_the_expression_goes(source in source(), text in "[abc]{0,6}") {
            let hir = parse(&source).expect("a regular expression");
            let parts = match hir.kind() {
                HirKind::Concat(parts) => parts.as_slice(),
                _ => std::slice::from_ref(&hir),
            };
            if !parts.iter().all(can_be_written) {
                return Ok(());
            }
            let (steps, count) = Steps::leading(parts);
            let text = text.as_bytes();
            let find = |parts: &[Hir], start: usize| {
                let anchored = [&[Hir::look(Look::Start)], parts].concat();
                let source = Hir::concat(anchored).to_string();
                let hir = parse(&source).expect("a regular expression");
                let slow = Expression::new(source, &hir).expect("small");
                let found = slow.regex().expect("small").find(&text[start..]);
                found.map(|found| start + found.end())
            };
            let slow = find(parts, 0);
            match steps.walk(text, 0) {
                Walk::Through { end, .. } if count == parts.len() => prop_assert_eq!(Some(end), slow),
                Walk::Through { end, chose: false } => prop_assert_eq!(find(&parts[count..], end), slow),
                Walk::Nowhere => prop_assert_eq!(None, slow),
                Walk::Through { .. } | Walk::Unclear => {}
            }
        }
    }
}
