//! Can what stands beside an address come to an end, and an address begin, in two places of one message?
//!
//! In: the structure of one side of a pattern. Out: that it cannot, or that this is not proven. It is decided on an
//! automaton: two runs of it read the same bytes, until one of them could have come to its end while the other one
//! goes on over a byte that an address can have. Nothing is known here of anchors, nor of where the address ends.

use regex_syntax::hir::{Hir, HirKind};

use super::super::steps::Bytes;
use super::edges::Side;
use super::marks::is_of_names;

/// The most bytes that a side may write out, repetitions included: five times what the longest known one does.
const MOST_PLACES: usize = 512;

/// The most steps for one side. The longest known one takes a thousand; this many take a tenth of a millisecond.
const MOST_STEPS: usize = 1 << 14;

/// Proves that no text that `parts` take goes on, with a byte that addresses and names have, to another text that they
/// take.
pub(super) fn ends_once(parts: &[&Hir], side: Side) -> bool {
    let mut places = Places::default();
    let Some(row) = places.row(parts.iter().copied()) else {
        return false;
    };
    let runs = match side {
        Side::Start => places.forwards(row),
        Side::End => places.backwards(row),
    };
    runs.never_part().unwrap_or(false)
}

/// Where a byte of a text stands in an expression, by its number.
type Place = u16;

/// Where the texts that an expression takes begin and end.
#[derive(Clone, Debug, Default)]
struct Ends {
    first: Vec<Place>,
    last: Vec<Place>,
    /// Whether it takes the empty text.
    empty: bool,
}

impl Ends {
    const NOTHING: Self = Ends {
        first: Vec::new(),
        last: Vec::new(),
        empty: true,
    };
}

/// All places of an expression, and which stand next to each other in a text: the automaton of Glushkov.
#[derive(Debug, Default)]
struct Places {
    bytes: Vec<Bytes>,
    next: Vec<(Place, Place)>,
    steps: usize,
}

/// Each `None`: more of something than is looked at.
impl Places {
    fn step(&mut self, steps: usize) -> Option<()> {
        self.steps += steps;
        (self.steps <= MOST_STEPS).then_some(())
    }

    fn place(&mut self, bytes: Bytes) -> Option<Ends> {
        let place = Place::try_from(self.bytes.len()).ok()?;
        if self.bytes.len() == MOST_PLACES {
            return None;
        }
        self.bytes.push(bytes);
        Some(Ends {
            first: vec![place],
            last: vec![place],
            empty: false,
        })
    }

    fn row<'h>(&mut self, parts: impl IntoIterator<Item = &'h Hir>) -> Option<Ends> {
        let mut row = Ends::NOTHING;
        for part in parts {
            let next = self.read(part)?;
            row = self.then(row, next)?;
        }
        Some(row)
    }

    fn link(&mut self, last: &[Place], first: &[Place]) -> Option<()> {
        self.step(1 + last.len() * first.len())?;
        let pairs = last.iter().flat_map(|a| first.iter().map(|b| (*a, *b)));
        self.next.extend(pairs);
        Some(())
    }

    fn then(&mut self, before: Ends, behind: Ends) -> Option<Ends> {
        self.link(&before.last, &behind.first)?;
        let (mut first, mut last) = (before.first, behind.last);
        if before.empty {
            first.extend(behind.first);
        }
        if behind.empty {
            last.extend(before.last);
        }
        Some(Ends {
            first,
            last,
            empty: before.empty && behind.empty,
        })
    }

    fn read(&mut self, hir: &Hir) -> Option<Ends> {
        match hir.kind() {
            // What looks at its neighbours only takes fewer texts than are taken here.
            HirKind::Empty | HirKind::Look(_) => Some(Ends::NOTHING),
            HirKind::Literal(text) => {
                let mut row = Ends::NOTHING;
                for byte in &text.0 {
                    let next = self.place(Bytes::from_iter([*byte]))?;
                    row = self.then(row, next)?;
                }
                Some(row)
            }
            HirKind::Class(class) => self.place(Bytes::of(class)?),
            HirKind::Capture(group) => self.read(&group.sub),
            HirKind::Concat(parts) => self.row(parts),
            HirKind::Alternation(parts) => {
                let mut either = Ends::default();
                for part in parts {
                    let next = self.read(part)?;
                    either.first.extend(next.first);
                    either.last.extend(next.last);
                    either.empty |= next.empty;
                }
                Some(either)
            }
            HirKind::Repetition(repeated) => {
                let mut all = Ends::NOTHING;
                // One that has no bound is written out as often as it must be, and the last time goes round.
                let times = repeated.max.unwrap_or(repeated.min.max(1));
                for time in 1..=times {
                    self.step(1)?;
                    let mut once = self.read(&repeated.sub)?;
                    once.empty |= time > repeated.min;
                    if repeated.max.is_none() && time == times {
                        self.link(&once.last, &once.first)?;
                    }
                    all = self.then(all, once)?;
                }
                Some(all)
            }
        }
    }

    fn forwards(self, row: Ends) -> Runs {
        Runs::new(
            self.bytes,
            self.next.into_iter(),
            row.first,
            &row.last,
            row.empty,
        )
    }

    fn backwards(self, row: Ends) -> Runs {
        let next = self.next.into_iter().map(|(a, b)| (b, a));
        Runs::new(self.bytes, next, row.last, &row.first, row.empty)
    }
}

/// Two runs over the same bytes.
#[derive(Debug)]
struct Runs {
    bytes: Vec<Bytes>,
    /// What can stand behind each place; at last, what can stand first.
    next: Vec<Vec<Place>>,
    /// Whether a text can end there; at last, whether there is an empty one.
    ends: Vec<bool>,
}

impl Runs {
    fn new(
        bytes: Vec<Bytes>,
        pairs: impl Iterator<Item = (Place, Place)>,
        first: Vec<Place>,
        last: &[Place],
        empty: bool,
    ) -> Self {
        let start = bytes.len();
        let mut next = vec![Vec::new(); start];
        for (a, b) in pairs {
            next[usize::from(a)].push(b);
        }
        next.push(first);
        for places in &mut next {
            places.sort_unstable();
            places.dedup();
        }
        let mut ends = vec![false; start];
        for place in last {
            ends[usize::from(*place)] = true;
        }
        ends.push(empty);
        Runs { bytes, next, ends }
    }

    /// Whether none of them ever is at an end while the other goes on; `None` if that takes too long to tell.
    fn never_part(&self) -> Option<bool> {
        let of_names: Bytes = (0..=u8::MAX).filter(|byte| is_of_names(*byte)).collect();
        let start = self.bytes.len();
        // Each pair once, whichever of the two runs is where.
        let mut seen = vec![false; (start + 1) * (start + 1)];
        let (mut pairs, mut steps) = (vec![(start, start)], 0);
        while let Some((a, b)) = pairs.pop() {
            let goes_on = |place: usize| {
                let mut next = self.next[place].iter();
                next.any(|next| self.bytes[usize::from(*next)].meets(of_names))
            };
            if (self.ends[a] && goes_on(b)) || (self.ends[b] && goes_on(a)) {
                return Some(false);
            }
            for one in self.next[a].iter().map(|place| usize::from(*place)) {
                steps += 1 + self.next[b].len();
                if steps > MOST_STEPS {
                    return None;
                }
                for other in self.next[b].iter().map(|place| usize::from(*place)) {
                    let pair = (one.min(other), one.max(other));
                    let is_new = !seen[pair.0 * start + pair.1];
                    if is_new && self.bytes[one].meets(self.bytes[other]) {
                        seen[pair.0 * start + pair.1] = true;
                        pairs.push(pair);
                    }
                }
            }
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::language::expand;
    use super::*;
    use crate::engine::expression::parse;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use regex::bytes::Regex;

    fn once(text: &str, side: Side) -> bool {
        let hir = parse(&expand(text).expect("placeholders")).expect("a regular expression");
        ends_once(&[&hir], side)
    }

    #[test]
    fn what_has_a_sign_that_ends_it_ends_once() {
        for text in [
            "",
            r"^\S+ \S+ ",
            r"^\S+ +",
            r#"^user "<agent>": password mismatch, client: "#,
            "^[^:]*: denied ",
            "^dead::beef ",
            r"^1\.2x?\.3\.4 ",
            "^(?:a|bc) ",
            "^(?:a|b)x ",
            r"^\[[^\]]*\] (?:\S+ ){3}",
            r#"^[^"]*"(?:[^"\\]|\\.)*" [0-9]{3} "#,
            r"^(?:<word> ){2,2}\bfrom ",
            "^x{500} ",
            "^ ??[a ] ",
        ] {
            assert!(once(text, Side::Start), "{text}");
        }
        for text in [
            "^<text> from ",
            "^<user>",
            r"^\S+ ?\S* ",
            r"^\S+=",
            r"^(?:\S+ ){2,3}",
            r"^(?:\w+ )?",
            "^(?:unknown )?",
            r"^login(?: of \w+)? ",
            r#"^"<text>" "#,
            r#"^[^"]*"<path>"?"#,
            // More than is looked at.
            "^x{600} ",
            "^x{999}{999}{999}{999} ",
            "^(?:x?){500} ",
            r"^(?u:\w) ",
        ] {
            assert!(!once(text, Side::Start), "{text}");
        }
        for (text, is_held) in [
            (r" [^ ]+ [0-9]+$", true),
            (r#" for "[^"]*"$"#, true),
            (r"(?: x)?$", false),
            (r"/\S+$", false),
            (" port [0-9]+(?: ssh2)?$", true),
        ] {
            assert_eq!(once(text, Side::End), is_held, "{text}");
        }
    }

    const PARTS: [&str; 22] = [
        "a",
        "b",
        " ",
        "\"",
        "[^ ]",
        "[^\"]",
        "[ab]",
        ".",
        "(?:a|b )",
        "(?:|a)",
        "(?:ab|a)",
        "a?",
        "b*",
        " +",
        "[^ ]+ ",
        "[^\"]*",
        ".*",
        "a{2}",
        "(?:[ab] ){1,2}",
        "(?:a? )*",
        r"\b",
        "(?:\"[^\"]*\")?",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// The slow way: each place of a short message, one after the other.
        #[test]
        fn a_side_that_ends_once_parts_each_message_in_one_place(
            parts in vec(select(&PARTS[..]), 0..6),
            messages in vec("[ab \"]{0,9}", 60),
        ) {
            let side = parts.concat();
            let before = Regex::new(&format!(r"\A(?s-u:{side})\z")).expect("a regular expression");
            let ends = |message: &str| {
                let places = (0..=message.len()).filter(|at| before.is_match(&message.as_bytes()[..*at]));
                let of_address = |at: &usize| message.as_bytes().get(*at).is_none_or(|byte| is_of_names(*byte));
                places.filter(of_address).count()
            };
            let starts = |message: &str| {
                let places = (0..=message.len()).filter(|at| before.is_match(&message.as_bytes()[*at..]));
                let of_address = |at: &usize| *at == 0 || is_of_names(message.as_bytes()[at - 1]);
                places.filter(of_address).count()
            };
            if once(&side, Side::Start) {
                for message in &messages {
                    prop_assert!(ends(message) <= 1, "{:?} in {:?}", side, message);
                }
            }
            if once(&side, Side::End) {
                for message in &messages {
                    prop_assert!(starts(message) <= 1, "{:?} in {:?}", side, message);
                }
            }
        }
    }

    /// What is refused is refused for a reason: some message of few letters is parted in two places.
    #[test]
    fn what_does_not_end_once_parts_some_message_in_two_places() {
        let letters = b"ab \"";
        let messages: Vec<Vec<u8>> = (0..=6_u32)
            .flat_map(|length| (0..4_usize.pow(length)).map(move |number| (length, number)))
            .map(|(length, number)| {
                (0..length)
                    .map(|at| letters[number >> (2 * at) & 3])
                    .collect()
            })
            .collect();
        for first in PARTS {
            for second in PARTS {
                let side = format!("{first}{second}");
                // `\b` is read as nothing, so that more is refused than must be.
                if side.contains("\\b") || once(&side, Side::Start) {
                    continue;
                }
                let before =
                    Regex::new(&format!(r"\A(?s-u:{side})\z")).expect("a regular expression");
                let is_parted = |message: &Vec<u8>| {
                    let takes = |at: &usize| before.is_match(&message[..*at]);
                    let shorter =
                        (0..message.len()).find(|at| takes(at) && is_of_names(message[*at]));
                    shorter.is_some_and(|at| (at + 1..=message.len()).any(|at| takes(&at)))
                };
                assert!(messages.iter().any(is_parted), "{side}");
            }
        }
    }
}
