//! Could somebody who writes into a line have another address taken?
//!
//! In: the structure of a pattern over lines. Out: whether that is refuted, by the same proofs that every pattern over
//! messages must pass. Patterns over lines are used all the same: who wrote them may know better.

use regex_syntax::hir::{Capture, Hir, HirKind};

use super::{ADDRESSES, NAME};
use crate::engine::filter::language::placeholder;
use crate::engine::filter::proof::prove;

/// Whether a client might move the address that a pattern takes. Not if it takes none.
pub(super) fn is_forgeable(hir: &Hir) -> bool {
    let Some(address) = placeholder("ip").filter(|_| addresses(hir) > 0) else {
        return false;
    };
    let text = with_address(hir, addresses(hir), &address);
    prove(&text).is_err()
}

/// How many groups there are for an address or a name.
fn addresses(hir: &Hir) -> usize {
    let here = match hir.kind() {
        HirKind::Capture(group) => group.name.as_deref().is_some_and(is_address),
        _ => false,
    };
    let subs = hir.kind().subs().iter();
    usize::from(here) + subs.map(addresses).sum::<usize>()
}

fn is_address(name: &str) -> bool {
    ADDRESSES.contains(&name) || name == NAME
}

/// The same with `address` in the place that holds all of these groups: they are one address, written in different ways.
fn with_address(hir: &Hir, count: usize, address: &Hir) -> Hir {
    let subs = hir.kind().subs();
    let Some(at) = subs.iter().position(|sub| addresses(sub) == count) else {
        return address.clone();
    };
    let mut subs = subs.to_vec();
    subs[at] = with_address(&subs[at], count, address);
    match hir.kind() {
        HirKind::Capture(group) => Hir::capture(Capture {
            sub: Box::new(subs.remove(0)),
            ..group.clone()
        }),
        HirKind::Repetition(repetition) => Hir::repetition(regex_syntax::hir::Repetition {
            sub: Box::new(subs.remove(0)),
            ..repetition.clone()
        }),
        HirKind::Concat(_) => Hir::concat(subs),
        HirKind::Alternation(_) => Hir::alternation(subs),
        // Nothing else holds a group.
        _ => hir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::expression::parse;

    #[test]
    fn free_text_on_both_sides_moves_an_address() {
        const HOST: &str =
            r"(?:\[?(?:(?P<ip4>\d+\.\d+\.\d+\.\d+)|(?P<ip6>[0-9a-f:]+))\]?|(?P<dns>[\w.-]+))";
        for (pattern, forgeable) in [
            ("^Failed password for .* from HOST port [0-9]+$", false),
            ("^Failed password for .* from HOST", true),
            ("^refused HOST: .*", false),
            ("refused HOST", true),
            ("^refused .* HOST .*$", true),
            ("^(?P<mlfid>x[0-9]+) wrong password$", false),
        ] {
            let hir = parse(&pattern.replace("HOST", HOST)).expect("an expression");
            assert_eq!(is_forgeable(&hir), forgeable, "{pattern}");
        }
    }
}
