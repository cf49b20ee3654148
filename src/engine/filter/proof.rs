//! Can text of an attacker move the address that a pattern takes?
//!
//! In: the structure of a pattern. Out: a proof that it cannot, or what is wrong. No message is looked at here.
//!
//! A message is `left address right`. Suppose a pattern is anchored at the start and two readings
//! of one message put the address in different places. Then the longer `left` holds the whole address of
//! the shorter one, or ends inside it. The second case is refused at run time: no byte next to an
//! address may continue it. The first needs a `left` that can hold an address. So it suffices that the
//! anchored side is *closed*: none of its repetitions takes a blank, a dot or a colon, and between two of its bytes
//! that are always there and that no address has, stand fewer than three dots, fewer than seven colons and no `::`. Of
//! these `::` may stand behind a word that no address has, as in `auth::login`: an address there would begin in the
//! midst of a word, which is refused at run time too. The same holds, mirrored,
//! for a pattern anchored at the end, unless the message was cut: then its end may be the attacker's. One
//! such side is enough; the other one may be anything.
//!
//! That leaves where the address ends. `<ip>:<text>` takes `::7:dead: x` for the address `::7:dead`, though
//! it may be `::7` and a text that begins with `dead:`. So what stands next to the address must not be able
//! to go on with it. This is proven too.
//!
//! What else could move it: two addresses in one pattern, or one inside an alternation, an optional group
//! or a repetition (refused, the address stands exactly once); `^` and `$` of lines instead of the message
//! (`(?m)` is refused; otherwise Rust's `$` is the end of the text only, never before a final newline); a
//! newline that ends `.` early (`.` takes newlines here).

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

pub(super) fn refuse_line_anchors(hir: &Hir) -> Result<(), String> {
    let looks = hir.properties().look_set();
    let of_lines = [Look::StartLF, Look::EndLF, Look::StartCRLF, Look::EndCRLF];
    if of_lines.into_iter().any(|look| looks.contains(look)) {
        return Err("`(?m)` makes `^` and `$` match inside the message, where an attacker can put line ends: remove it".to_owned());
    }
    Ok(())
}

/// The anchor that the address cannot be moved against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// `^`
    Start,
    /// `$`
    End,
}

/// The side against which the one address is held.
///
/// # Errors
/// Text of an attacker could move it; how to mend the pattern.
pub(super) fn prove(hir: &Hir) -> Result<Proof, String> {
    refuse_line_anchors(hir)?;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    if !split(hir, &mut left, &mut right) {
        return Err("<ip> may not stand in an alternation, an optional group or a repetition: write one pattern for each case".to_owned());
    }
    let from_start = matches!(
        left.first().map(|hir| hir.kind()),
        Some(HirKind::Look(Look::Start))
    );
    let to_end = matches!(
        right.last().map(|hir| hir.kind()),
        Some(HirKind::Look(Look::End))
    );
    if !ends_before(&left) {
        return Err("what stands before the address can end with a piece of one: write a blank or another separator there".to_owned());
    }
    if !starts_behind(&right, is_named(hir)) {
        return Err("what follows the address can be read as a part of it: separate them by a blank or `: `; `:<port>` is sound only where it is never left out and no hex digit or colon follows".to_owned());
    }
    let (left, right) = (closed(&left), closed(&right));
    if from_start && left.is_ok() {
        return Ok(Proof::Start);
    }
    if to_end && right.is_ok() {
        return Ok(Proof::End);
    }
    Err(match (left, right) {
        (Ok(()), _) => "nothing ties the address to the start: begin the pattern with `^`",
        (_, Ok(())) => "nothing ties the address to the end: finish the pattern with `$`",
        (Err(Open::Marks), _) if from_start => {
            "the text before the address can be read as one: three dots, seven colons or `::` stand in it without a blank, a sign or a letter from g to z between them; write what follows the address exactly and finish the pattern with `$`"
        }
        (_, Err(Open::Marks)) if to_end => {
            "the text behind the address can be read as one: three dots, seven colons or `::` stand in it without a blank, a sign or a letter from g to z between them; write what stands before the address exactly and begin the pattern with `^`"
        }
        (Err(_), Err(_)) => {
            "free text stands on both sides of the address, so an attacker can write another address into it: replace `.*`, `<word>` and the like on one side by exact text and anchor that side"
        }
    }
    .to_owned())
}

fn is_address(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Capture(group) if matches!(group.name.as_deref(), Some("ip" | "host")))
}

fn is_named(hir: &Hir) -> bool {
    let here =
        matches!(hir.kind(), HirKind::Capture(group) if group.name.as_deref() == Some("host"));
    here || hir.kind().subs().iter().any(is_named)
}

/// How many places there are for an address.
pub(super) fn addresses(hir: &Hir) -> usize {
    usize::from(is_address(hir)) + hir.kind().subs().iter().map(addresses).sum::<usize>()
}

/// Collects what stands before and behind the address; false if it is not always there.
fn split<'h>(hir: &'h Hir, left: &mut Vec<&'h Hir>, right: &mut Vec<&'h Hir>) -> bool {
    match hir.kind() {
        _ if is_address(hir) => true,
        HirKind::Capture(group) => split(&group.sub, left, right),
        HirKind::Concat(parts) => {
            let Some(at) = parts.iter().position(|part| addresses(part) > 0) else {
                return false;
            };
            left.extend(&parts[..at]);
            let mut behind = Vec::new();
            let found = split(&parts[at], left, &mut behind);
            right.extend(behind);
            right.extend(&parts[at + 1..]);
            found
        }
        _ => false,
    }
}

/// Why an address may be in what a side takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// It takes any text.
    Free,
    /// What is written out looks like one.
    Marks,
}

/// Proves that no text that `parts` take can hold an address.
fn closed(parts: &[&Hir]) -> Result<(), Open> {
    let marks = parts
        .iter()
        .try_fold(Marks::default(), |sum, part| Ok(sum.then(marks(part)?)))?;
    let (dots, colons) = marks.most();
    match dots < 3 && colons < 7 && !pairs(parts) {
        true => Ok(()),
        false => Err(Open::Marks),
    }
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

/// What a byte is to an address that it stands next to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A hex digit that is no part of a word.
    Hex,
    /// What only names hold besides, and a hex digit in a word.
    Name,
    Colon,
    Dot,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

/// The kinds of the two outermost bytes, outermost first, of every text that an expression takes.
type Edges = BTreeSet<[Option<Kind>; 2]>;

/// `<ip>:<text>`, `<ip>(?::<port>)?`, `<ip>[0-9]*` are unsound; `<ip> `, `<ip>: `, `<ip>.` are not.
fn starts_behind(right: &[&Hir], named: bool) -> bool {
    // Between digits and what cannot go on with an address, a colon that is always there is the last one.
    let right = match right {
        [colon, digits, rest @ ..] if is_colon(colon) && are_digits(digits) => rest,
        _ => right,
    };
    let part = |kind: Option<Kind>| kind == Some(Kind::Hex) || (named && kind == Some(Kind::Name));
    let mark = |kind: Option<Kind>| matches!(kind, Some(Kind::Colon | Kind::Dot));
    !edges(right, Side::Start)
        .iter()
        .any(|[first, next]| part(*first) || (mark(*first) && (part(*next) || mark(*next))))
}

/// `IPv6:<ip>` is sound, `(?:[0-9]+:)?<ip>` is not.
fn ends_before(left: &[&Hir]) -> bool {
    !edges(left, Side::End).iter().any(|edge| {
        matches!(
            edge,
            [Some(Kind::Hex | Kind::Name | Kind::Dot), _]
                | [Some(Kind::Colon), Some(Kind::Hex | Kind::Colon)]
        )
    })
}

fn is_colon(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Literal(text) if *text.0 == *b":")
}

fn are_digits(hir: &Hir) -> bool {
    let HirKind::Repetition(repeated) = hir.kind() else {
        return false;
    };
    let HirKind::Class(class) = repeated.sub.kind() else {
        return false;
    };
    repeated.min > 0 && (0..=u8::MAX).all(|byte| byte.is_ascii_digit() || !takes(class, byte))
}

/// The edges of `parts` in a row.
fn edges(parts: &[&Hir], side: Side) -> Edges {
    let row = |sum: Edges, hir: &&Hir| join(&sum, &edges_of(hir, side));
    let nothing = Edges::from([[None, None]]);
    match side {
        Side::Start => parts.iter().fold(nothing, row),
        Side::End => parts.iter().rev().fold(nothing, row),
    }
}

fn join(outer: &Edges, inner: &Edges) -> Edges {
    let both = |out: [Option<Kind>; 2]| {
        inner.iter().map(move |inn| match out {
            [None, _] => *inn,
            [first, None] => [first, inn[0]],
            full => full,
        })
    };
    outer.iter().copied().flat_map(both).collect()
}

fn edges_of(hir: &Hir, side: Side) -> Edges {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Edges::from([[None, None]]),
        HirKind::Literal(text) => {
            let mut kinds = kinds(&text.0);
            if side == Side::End {
                kinds.reverse();
            }
            Edges::from([[kinds.first().copied(), kinds.get(1).copied()]])
        }
        HirKind::Class(class) => (0..=u8::MAX)
            .filter(|byte| takes(class, *byte))
            .map(|byte| [Some(kind(byte)), None])
            .collect(),
        HirKind::Repetition(repeated) => {
            let once = edges_of(&repeated.sub, side);
            // Two turns show all that the two outermost bytes can be.
            let mut turns = Edges::from([[None, None]]);
            let mut all = Edges::new();
            for turn in 0..=repeated.max.unwrap_or(2).min(2) {
                if turn >= repeated.min.min(2) {
                    all.extend(&turns);
                }
                turns = join(&turns, &once);
            }
            all
        }
        HirKind::Capture(group) => edges_of(&group.sub, side),
        HirKind::Concat(parts) => edges(&parts.iter().collect::<Vec<_>>(), side),
        HirKind::Alternation(parts) => parts.iter().flat_map(|part| edges_of(part, side)).collect(),
    }
}

/// The kinds of a literal's bytes: the 6 of `IPv6:` belongs to a word that no address can hold.
fn kinds(text: &[u8]) -> Vec<Kind> {
    text.chunk_by(|a, b| a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric())
        .flat_map(|run| {
            let word = run.iter().any(|byte| kind(*byte) == Kind::Name);
            run.iter()
                .map(move |byte| if word { Kind::Name } else { kind(*byte) })
        })
        .collect()
}

fn kind(byte: u8) -> Kind {
    match byte {
        b':' => Kind::Colon,
        b'.' => Kind::Dot,
        b'_' | b'-' | b'%' => Kind::Name,
        _ if byte.is_ascii_hexdigit() => Kind::Hex,
        _ if byte.is_ascii_alphanumeric() => Kind::Name,
        _ => Kind::Other,
    }
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
            if !once && (inner.all != (0, 0) || takes_blank(&repeated.sub)) {
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

fn takes(class: &Class, byte: u8) -> bool {
    match class {
        Class::Bytes(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&byte)),
        Class::Unicode(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&char::from(byte))),
    }
}

fn takes_blank(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(text) => text.0.contains(&b' '),
        HirKind::Class(class) => takes(class, b' '),
        kind => kind.subs().iter().any(takes_blank),
    }
}
