//! How far does a part of a pattern reach?
//!
//! In: the structure of a part, then texts. Out: where the part ends, if that can be said without trying again. Each step
//! takes as much as it can, as a greedy expression does first. If all of them go through, no other way was better; if
//! one fails behind a choice, another choice might have led further, and an automaton has to tell. On a log of
//! failures the automata of head and tail took a seventh of all time.

use regex_syntax::hir::{Class, ClassBytes, Hir, HirKind, Look};

/// What stands one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Steps(Box<[Step]>);

#[derive(Clone, Debug)]
enum Step {
    Text(Box<[u8]>),
    /// As many bytes of a class as there are.
    Bytes {
        class: Bytes,
        least: usize,
        most: usize,
    },
    /// The first of these that is there.
    OneOf(Box<[Steps]>),
    End,
}

/// A class of bytes, one bit for each.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes([u64; 4]);

/// How steps went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// They end here; perhaps there was a choice.
    Through { end: usize, chose: bool },
    /// The part does not match.
    Nowhere,
    /// An automaton has to tell.
    Unclear,
}

impl Steps {
    /// The steps of these parts; `None` if there is one that takes more than steps.
    pub(super) fn of(parts: &[Hir]) -> Option<Self> {
        let mut steps = Vec::new();
        for part in parts {
            add(part, &mut steps)?;
        }
        Some(Steps(steps.into()))
    }

    /// Where they end if they begin at `start`; `None` if they do not, or if it is unclear.
    pub(super) fn end(&self, text: &[u8], start: usize) -> Option<usize> {
        match self.walk(text, start) {
            Walk::Through { end, .. } => Some(end),
            Walk::Nowhere | Walk::Unclear => None,
        }
    }

    fn walk(&self, text: &[u8], start: usize) -> Walk {
        let (mut at, mut chosen) = (start, false);
        for step in &self.0 {
            match step.walk(text, at) {
                Walk::Through { end, chose } => {
                    at = end;
                    chosen |= chose;
                }
                Walk::Nowhere if !chosen => return Walk::Nowhere,
                Walk::Nowhere | Walk::Unclear => return Walk::Unclear,
            }
        }
        Walk::Through {
            end: at,
            chose: chosen,
        }
    }
}

impl Step {
    fn walk(&self, text: &[u8], at: usize) -> Walk {
        let through = |end, chose| Walk::Through { end, chose };
        match self {
            Step::Text(wanted) if text[at..].starts_with(wanted) => {
                through(at + wanted.len(), false)
            }
            Step::End if at == text.len() => through(at, false),
            Step::Text(_) | Step::End => Walk::Nowhere,
            Step::Bytes { class, least, most } => {
                let bytes = text[at..].iter().take(*most);
                let count = bytes.take_while(|byte| class.holds(**byte)).count();
                match count >= *least {
                    true => through(at + count, count > *least),
                    false => Walk::Nowhere,
                }
            }
            Step::OneOf(alternatives) => {
                for (alternative, following) in alternatives.iter().zip(1..) {
                    match alternative.walk(text, at) {
                        Walk::Nowhere => {}
                        Walk::Unclear => return Walk::Unclear,
                        Walk::Through { end, chose } => {
                            return through(end, chose || following < alternatives.len());
                        }
                    }
                }
                Walk::Nowhere
            }
        }
    }
}

impl Bytes {
    fn of(class: &ClassBytes) -> Self {
        let mut bytes = Bytes::default();
        let ranges = class.ranges().iter();
        for byte in ranges.flat_map(|range| range.start()..=range.end()) {
            bytes.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
        bytes
    }

    fn holds(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }
}

/// Adds the steps of a part; `None` if it takes more than steps.
fn add(part: &Hir, steps: &mut Vec<Step>) -> Option<()> {
    match part.kind() {
        HirKind::Empty => {}
        HirKind::Look(Look::End) => steps.push(Step::End),
        HirKind::Literal(text) => steps.push(Step::Text(text.0.clone())),
        HirKind::Class(Class::Bytes(class)) => steps.push(Step::Bytes {
            class: Bytes::of(class),
            least: 1,
            most: 1,
        }),
        HirKind::Concat(parts) => {
            for part in parts {
                add(part, steps)?;
            }
        }
        HirKind::Alternation(parts) => {
            let alternatives = parts.iter();
            let alternatives = alternatives.map(|part| Steps::of(std::slice::from_ref(part)));
            steps.push(Step::OneOf(alternatives.collect::<Option<_>>()?));
        }
        HirKind::Repetition(repeated) if repeated.greedy => {
            let most = repeated.max.map_or(usize::MAX, |most| most as usize);
            match (repeated.sub.kind(), repeated.min, most) {
                (HirKind::Class(Class::Bytes(class)), least, most) => steps.push(Step::Bytes {
                    class: Bytes::of(class),
                    least: least as usize,
                    most,
                }),
                (_, 0, 1) => {
                    let there = Steps::of(std::slice::from_ref(&*repeated.sub))?;
                    steps.push(Step::OneOf([there, Steps(Box::default())].into()));
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

    use super::super::language::{Expression, parse};
    use super::*;

    fn end(source: &str, text: &[u8]) -> (Option<usize>, Option<usize>) {
        let hir = parse(source).expect("a regular expression");
        let steps = Steps::of(std::slice::from_ref(&hir)).expect("steps");
        let anchored = format!("^(?:{source})");
        let hir = parse(&anchored).expect("a regular expression");
        let slow = Expression::new(anchored, &hir).expect("small");
        let slow = slow
            .regex()
            .expect("small")
            .find(text)
            .map(|found| found.end());
        (steps.end(text, 0), slow)
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

    fn source() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[ab]{1,2}",
            "[ab]{0,2}\\[[ab]{1,2}\\][*+?]?",
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
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn steps_go_where_the_expression_goes(source in source(), text in "[ab]{0,6}") {
            let hir = parse(&source).expect("a regular expression");
            prop_assume!(Steps::of(std::slice::from_ref(&hir)).is_some());
            let (steps, slow) = end(&source, text.as_bytes());
            prop_assert!(steps.is_none() || steps == slow, "{steps:?} {slow:?}");
        }
    }
}
