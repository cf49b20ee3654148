//! Which bytes can stand outermost in what an expression takes?
//!
//! In: the structure of an expression. Out: all that its two first or last bytes can be to an address beside it.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

/// What a byte is to an address that it stands next to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A hex digit that is no part of a word.
    Hex,
    /// What only names hold besides, and a hex digit in a word.
    Name,
    Colon,
    Dot,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Start,
    End,
}

/// The kinds of the two outermost bytes, outermost first, of every text that an expression takes.
pub(super) type Edges = BTreeSet<[Option<Kind>; 2]>;

/// The edges of `parts` in a row.
pub(super) fn edges(parts: &[&Hir], side: Side) -> Edges {
    let row = |sum: Edges, hir: &&Hir| match sum.iter().all(|[_, second]| second.is_some()) {
        // What stands further in is not seen, and takes long to look at.
        true => sum,
        false => join(&sum, &edges_of(hir, side)),
    };
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
pub(super) fn kinds(text: &[u8]) -> Vec<Kind> {
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

/// Whether a class takes a byte.
pub(in super::super) fn takes(class: &Class, byte: u8) -> bool {
    match class {
        Class::Bytes(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&byte)),
        Class::Unicode(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&char::from(byte))),
    }
}
