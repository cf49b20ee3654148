//! What of a line may meet where a date was cut out of it?
//!
//! In: the expression of a template. Out: whether a letter or a digit may stand right before what is cut out, or right behind
//! it; as far as that is not known, it may.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::placed::{CUT, Place, Placed};
use crate::engine::expression::{parse, relaxed};

/// What may stand on both sides of what is cut out, where there is something on both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joint {
    /// A letter or a digit may stand right before it.
    pub word_before: bool,
    /// A letter or a digit may stand right behind it.
    pub word_behind: bool,
}

/// What may stand at one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Neighbour {
    /// Nothing: the line begins or ends there.
    Nothing,
    /// Neither a letter nor a digit.
    Sign,
    Anything,
}

/// The sides of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    Behind,
}

impl Joint {
    /// Letters and digits may stand on both sides.
    const ANYWHERE: Joint = Joint {
        word_before: true,
        word_behind: true,
    };

    /// Of a template; `None` if it cuts something out at the beginning or the end of a line only.
    pub fn of(placed: &Placed) -> Option<Self> {
        let Ok(hir) = relaxed(placed.body()).and_then(|text| parse(&text)) else {
            return Some(Joint::ANYWHERE);
        };
        let beside = |place: Place, side| match place {
            Place::Anywhere => Neighbour::Anything,
            Place::Head => Neighbour::Sign,
            // There one of the two neighbours is a sign.
            Place::Edge if is_word_at(&hir, side, false) => Neighbour::Sign,
            Place::Edge => Neighbour::Anything,
        };
        let (start, end) = placed.places();
        let (before, behind) = (beside(start, Side::Before), beside(end, Side::Behind));
        match beside_cut(&hir, before, behind) {
            Some((Neighbour::Nothing, _) | (_, Neighbour::Nothing)) => None,
            Some((before, behind)) => Some(Joint {
                word_before: before == Neighbour::Anything,
                word_behind: behind == Neighbour::Anything,
            }),
            None => Some(Joint::ANYWHERE),
        }
    }

    /// What holds for two templates.
    pub fn or(self, other: Joint) -> Joint {
        Joint {
            word_before: self.word_before || other.word_before,
            word_behind: self.word_behind || other.word_behind,
        }
    }
}

/// Whether a byte is a letter or a digit.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// What may stand before and behind the group that is cut out, if there is one, where this stands around all of it.
fn beside_cut(hir: &Hir, before: Neighbour, behind: Neighbour) -> Option<(Neighbour, Neighbour)> {
    let wider = |one: (Neighbour, Neighbour), other: (Neighbour, Neighbour)| {
        (one.0.max(other.0), one.1.max(other.1))
    };
    match hir.kind() {
        HirKind::Capture(group) if group.name.as_deref() == Some(CUT) => Some((before, behind)),
        HirKind::Capture(group) => beside_cut(&group.sub, before, behind),
        HirKind::Repetition(repeated) => {
            let any = Neighbour::Anything;
            beside_cut(&repeated.sub, any, any)
        }
        HirKind::Alternation(parts) => {
            let found = parts.iter();
            let found = found.filter_map(|part| beside_cut(part, before, behind));
            found.reduce(wider)
        }
        HirKind::Concat(parts) => {
            let found = parts.iter().enumerate().filter_map(|(at, part)| {
                let earlier = parts[..at].iter();
                let later = parts[at + 1..].iter().rev();
                let before = earlier.fold(before, |from, part| past(part, Side::Before, from));
                let behind = later.fold(behind, |from, part| past(part, Side::Behind, from));
                beside_cut(part, before, behind)
            });
            found.reduce(wider)
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => None,
    }
}

/// What is the neighbour of what follows `hir`, or stands before it, where `from` is that of `hir` itself.
fn past(hir: &Hir, side: Side, from: Neighbour) -> Neighbour {
    let of = |is_word: bool| match is_word {
        true => Neighbour::Anything,
        false => Neighbour::Sign,
    };
    match hir.kind() {
        HirKind::Look(Look::Start) if side == Side::Before => Neighbour::Nothing,
        HirKind::Look(Look::End) if side == Side::Behind => Neighbour::Nothing,
        HirKind::Empty | HirKind::Look(_) => from,
        HirKind::Literal(text) => match side {
            Side::Before => text.0.last().map_or(from, |byte| of(is_word(*byte))),
            Side::Behind => text.0.first().map_or(from, |byte| of(is_word(*byte))),
        },
        HirKind::Class(class) => of(bytes(class).is_none_or(|mut bytes| bytes.any(is_word))),
        HirKind::Capture(group) => past(&group.sub, side, from),
        HirKind::Repetition(repeated) => {
            let once = past(&repeated.sub, side, from);
            match repeated.min {
                0 => once.max(from),
                _ => once,
            }
        }
        HirKind::Alternation(parts) => {
            let each = parts.iter().map(|part| past(part, side, from));
            each.max().unwrap_or(from)
        }
        HirKind::Concat(parts) => match side {
            Side::Before => parts.iter().fold(from, |from, part| past(part, side, from)),
            Side::Behind => {
                let parts = parts.iter().rev();
                parts.fold(from, |from, part| past(part, side, from))
            }
        },
    }
}

/// Whether there surely is a letter or a digit at this side of what `hir` takes; `otherwise` is so where it takes nothing.
fn is_word_at(hir: &Hir, side: Side, otherwise: bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => otherwise,
        HirKind::Literal(text) => {
            let byte = match side {
                Side::Before => text.0.first(),
                Side::Behind => text.0.last(),
            };
            byte.map_or(otherwise, |byte| is_word(*byte))
        }
        HirKind::Class(class) => bytes(class).is_some_and(|mut bytes| bytes.all(is_word)),
        HirKind::Capture(group) => is_word_at(&group.sub, side, otherwise),
        HirKind::Repetition(repeated) => {
            let once = is_word_at(&repeated.sub, side, otherwise);
            once && (repeated.min > 0 || otherwise)
        }
        HirKind::Alternation(parts) => {
            let mut parts = parts.iter();
            parts.all(|part| is_word_at(part, side, otherwise))
        }
        HirKind::Concat(parts) => {
            let then = |otherwise, part: &Hir| is_word_at(part, side, otherwise);
            match side {
                Side::Before => parts.iter().rev().fold(otherwise, then),
                Side::Behind => parts.iter().fold(otherwise, then),
            }
        }
    }
}

/// The bytes of a class; `None` if it is none of bytes.
fn bytes(class: &Class) -> Option<impl Iterator<Item = u8>> {
    let Class::Bytes(class) = class else {
        return None;
    };
    let ranges = class.ranges().iter();
    Some(ranges.flat_map(|range| range.start()..=range.end()))
}

#[cfg(test)]
mod tests {
    use super::super::language::expressions;
    use super::*;

    #[test]
    fn what_may_stand_beside_a_date_is_known() {
        let joint = |word_before, word_behind| {
            Some(Joint {
                word_before,
                word_behind,
            })
        };
        for (pattern, expected) in [
            ("%Y-%m-%d", joint(false, false)),
            ("%d/%m/%Y", joint(true, false)),
            (r"\[%Y-%m-%d\]", joint(true, true)),
            ("%Y-%m-%d,", joint(false, true)),
            ("{^LN-BEG}%Y-%m-%d:", joint(false, true)),
            ("^%Y-%m-%d:", None),
            ("^<%Y-%m-%d>", None),
            ("%Y-%m-%d$", None),
            (r"\[(%Y-%m-%d)\]", joint(false, false)),
            (r"x(%Y-%m-%d) ", joint(true, false)),
            (r"^\S+ (\[%Y\])", joint(false, true)),
            (r"(?:^|-)(%Y)", joint(false, false)),
            (r"(?:^|a)(%Y)", joint(true, false)),
            (r"-?(%Y)", joint(true, false)),
            ("{UNB}%Y", joint(true, true)),
            ("%Y**", joint(false, true)),
            (r"%Y\b", joint(false, true)),
            (r"(?:(%Y))*", joint(true, true)),
            (r"%Y(?:\.%f)?", joint(false, false)),
            (r"%Y(?:\.%f)?,?", joint(false, true)),
            ("EPOCH", joint(false, false)),
            ("^EPOCH", joint(false, false)),
            ("TAI64N", joint(true, false)),
        ] {
            let placed = expressions(pattern).expect(pattern);
            let found: Vec<_> = placed.iter().map(Joint::of).collect();
            assert_eq!(found, [expected], "{pattern}");
        }
    }
}
