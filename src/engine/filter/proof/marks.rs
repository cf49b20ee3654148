//! Can what an expression takes hold an address, or be mistaken for a name?
//!
//! In: the structure of one side of a pattern. Out: that it cannot, or why it may. It is told by the dots and colons
//! that can stand together, with no byte between them that no address has; and by the number of bytes that names have.

use regex_syntax::hir::{Hir, HirKind};

use super::edges::{Edges, Kind, Side, edges, kinds, takes};

/// Why an address may be in what a side takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// It takes any text.
    Free,
    /// What is written out looks like one.
    Marks,
    /// It takes more or fewer bytes of names.
    Names,
}

/// Proves that no text that `parts` take can hold an address.
pub(super) fn closed(parts: &[&Hir]) -> Result<(), Open> {
    let marks = parts
        .iter()
        .try_fold(Marks::default(), |sum, part| Ok(sum.then(marks(part)?)))?;
    let (dots, colons) = marks.most();
    match dots < 3 && colons < 7 && !pairs(parts) {
        true => Ok(()),
        false => Err(Open::Marks),
    }
}

/// Proves that all texts that `parts` take hold equally many bytes that a name can have.
pub(super) fn counted(parts: &[&Hir]) -> Result<(), Open> {
    match equally_many(parts, is_of_names) {
        true => Ok(()),
        false => Err(Open::Names),
    }
}

/// Whether all texts that `parts` take hold equally many bytes that are wanted.
pub(super) fn equally_many(parts: &[&Hir], wanted: impl Fn(u8) -> bool) -> bool {
    total(parts.iter().map(|part| count(part, &wanted))).is_some()
}

/// How many bytes that are wanted every text holds that it takes; `None` if not all hold equally many.
fn count(hir: &Hir, wanted: &impl Fn(u8) -> bool) -> Option<u32> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Literal(text) => {
            let among = text.0.iter().filter(|byte| wanted(**byte));
            u32::try_from(among.count()).ok()
        }
        HirKind::Class(class) => {
            let taken = (0..=u8::MAX).filter(|byte| takes(class, *byte));
            same(taken.map(|byte| Some(u32::from(wanted(byte)))))
        }
        HirKind::Repetition(repeated) => match count(&repeated.sub, wanted)? {
            0 => Some(0),
            once if repeated.max == Some(repeated.min) => once.checked_mul(repeated.min),
            _ => None,
        },
        HirKind::Capture(group) => count(&group.sub, wanted),
        HirKind::Concat(parts) => total(parts.iter().map(|part| count(part, wanted))),
        HirKind::Alternation(parts) => same(parts.iter().map(|part| count(part, wanted))),
    }
}

/// The sum; `x{999}{999}{999}{999}` has more than can be counted.
fn total(mut counts: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    counts.try_fold(0_u32, |sum, count| sum.checked_add(count?))
}

/// What all of them are.
fn same(mut counts: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    let first = counts.next().unwrap_or(Some(0))?;
    counts.all(|count| count == Some(first)).then_some(first)
}

/// Whether `<host>` takes it.
pub(super) fn is_of_names(byte: u8) -> bool {
    kinds(&[byte]) != [Kind::Other]
}

/// Whether two colons of different parts can meet.
fn pairs(parts: &[&Hir]) -> bool {
    let within = |hir: &&Hir| match hir.kind() {
        HirKind::Capture(group) => pairs(&[&group.sub]),
        HirKind::Repetition(repeated) => pairs(&[&repeated.sub]),
        HirKind::Concat(subs) => pairs(&subs.iter().collect::<Vec<_>>()),
        HirKind::Alternation(subs) => subs.iter().any(|sub| pairs(&[sub])),
        _ => false,
    };
    let colon = |edges: &Edges| edges.iter().any(|edge| edge[0] == Some(Kind::Colon));
    parts.iter().any(within)
        || (1..parts.len()).any(|at| {
            colon(&edges(&parts[..at], Side::End)) && colon(&edges(&parts[at..], Side::Start))
        })
}

/// So many dots and colons.
type Count = (usize, usize);

fn add(a: Count, b: Count) -> Count {
    (a.0 + b.0, a.1 + b.1)
}

fn most(a: Count, b: Count) -> Count {
    (a.0.max(b.0), a.1.max(b.1))
}

/// The most dots and colons that a text can hold.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    all: Count,
    /// If there always is a byte in it that no address has: how many stand before the first such byte, between two of
    /// them at the most, and behind the last one.
    apart: Option<[Count; 3]>,
}

impl Marks {
    /// Those of a byte that no address has.
    const BREAK: Self = Marks {
        all: (0, 0),
        apart: Some([(0, 0); 3]),
    };

    fn then(self, next: Marks) -> Self {
        Marks {
            all: add(self.all, next.all),
            apart: match (self.apart, next.apart) {
                (None, None) => None,
                (Some([first, between, last]), None) => Some([first, between, add(last, next.all)]),
                (None, Some([first, between, last])) => Some([add(self.all, first), between, last]),
                (Some([first, one, before]), Some([behind, other, last])) => {
                    let between = most(most(one, other), add(before, behind));
                    Some([first, between, last])
                }
            },
        }
    }

    fn or(self, other: Marks) -> Self {
        let both = self.apart.zip(other.apart);
        Marks {
            all: most(self.all, other.all),
            apart: both.map(|(one, other)| [0, 1, 2].map(|at| most(one[at], other[at]))),
        }
    }

    /// The most that can stand in one address.
    fn most(self) -> Count {
        match self.apart {
            None => self.all,
            Some([first, between, last]) => most(most(first, between), last),
        }
    }
}

/// The most dots and colons that a text can hold.
fn marks(hir: &Hir) -> Result<Marks, Open> {
    let of_byte = |byte: u8| match byte {
        b'.' => Marks {
            all: (1, 0),
            apart: None,
        },
        b':' => Marks {
            all: (0, 1),
            apart: None,
        },
        _ if byte.is_ascii_hexdigit() => Marks::default(),
        _ => Marks::BREAK,
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Ok(Marks::default()),
        HirKind::Literal(text) if has_pair(&text.0) => Err(Open::Marks),
        HirKind::Literal(text) => {
            let bytes = text.0.iter().map(|byte| of_byte(*byte));
            Ok(bytes.fold(Marks::default(), Marks::then))
        }
        HirKind::Class(class) => {
            let taken = (0..=u8::MAX)
                .filter(|byte| takes(class, *byte))
                .map(of_byte);
            Ok(taken.reduce(Marks::or).unwrap_or_default())
        }
        HirKind::Repetition(repeated) => {
            let inner = marks(&repeated.sub)?;
            let once = repeated.max.is_some_and(|max| max <= 1);
            if !once && (inner.all != (0, 0) || takes_any(&repeated.sub, is_blank)) {
                return Err(Open::Free);
            }
            Ok(Marks {
                apart: inner.apart.filter(|_| repeated.min > 0),
                ..inner
            })
        }
        HirKind::Capture(group) => marks(&group.sub),
        HirKind::Concat(parts) => parts
            .iter()
            .try_fold(Marks::default(), |sum, part| Ok(sum.then(marks(part)?))),
        HirKind::Alternation(parts) => {
            let mut each = parts.iter().map(marks);
            let first = each.next().unwrap_or(Ok(Marks::default()))?;
            each.try_fold(first, |sum, part| Ok(sum.or(part?)))
        }
    }
}

/// Whether an address can have the `::` of a text, which it cannot behind a word of other letters than its own.
fn has_pair(text: &[u8]) -> bool {
    let kinds = kinds(text);
    text.windows(2).enumerate().any(|(at, two)| {
        let behind_word = at > 0 && kinds[at - 1] == Kind::Name;
        two == b"::" && (!behind_word || text.get(at + 2) == Some(&b':'))
    })
}

pub(super) fn is_blank(byte: &u8) -> bool {
    *byte == b' '
}

/// Whether one of such bytes can be in a text that it takes.
pub(super) fn takes_any(hir: &Hir, wanted: fn(&u8) -> bool) -> bool {
    match hir.kind() {
        HirKind::Literal(text) => text.0.iter().any(wanted),
        HirKind::Class(class) => (0..=u8::MAX).any(|byte| wanted(&byte) && takes(class, byte)),
        kind => kind.subs().iter().any(|sub| takes_any(sub, wanted)),
    }
}
