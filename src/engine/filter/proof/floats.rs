//! Can what a pattern asks for stand anywhere in a message?
//!
//! In: the structure of a pattern. Out: why one that ignores is refused; whether one that counts should be looked at. Which text of a message an attacker chooses is not known
//! here, so this proves less than what is proven of an address: `^` or `$` holds all that is asked for, but whether
//! the log lets an attacker write there is left to the author of the pattern.

use regex_syntax::hir::{Hir, HirKind, Look};

use super::edges::takes;
use super::marks::{is_blank, takes_any};

/// # Errors
/// An attacker could write what is asked for into any text of his; how to mend the pattern.
pub(in super::super) fn refuse_floating(hir: &Hir) -> Result<(), String> {
    let looks = hir.properties();
    if !looks.look_set_prefix().contains(Look::Start) {
        return Err(
            "an ignore pattern must begin with `^`, or an attacker could write it into his text"
                .to_owned(),
        );
    }
    if floats(hir, looks.look_set_suffix().contains(Look::End), is_free) {
        return Err("free text stands before what an ignore pattern asks for, so an attacker could write that into his text: remove the free text, or write all that follows it exactly and finish with `$`".to_owned());
    }
    Ok(())
}

/// Whether a text in which everything may stand is followed by what is asked for, and the end by nothing: then a client who
/// writes that text makes a failure of a harmless line. Text in which some sign never stands is ended by that sign.
pub(in super::super) fn is_floating(hir: &Hir) -> bool {
    let is_open = match hir.kind() {
        HirKind::Concat(parts) => match parts.as_slice() {
            [.., before, end] if matches!(end.kind(), HirKind::Look(Look::End)) => {
                is_anything(before)
            }
            _ => true,
        },
        _ => true,
    };
    is_open && floats(hir, false, is_anything)
}

/// Whether something is asked for behind text that `is_free`. `held` tells that exact text and `$` follow.
fn floats(hir: &Hir, held: bool, is_free: fn(&Hir) -> bool) -> bool {
    match hir.kind() {
        _ if !is_free(hir) => false,
        HirKind::Concat(parts) => {
            let first = parts.iter().position(is_free).unwrap_or_default();
            let tail = &parts[first + 1..];
            let held = held && !tail.iter().any(is_free);
            let asks = |part: &Hir| part.properties().minimum_len() != Some(0);
            floats(&parts[first], held, is_free) || (!held && tail.iter().any(asks))
        }
        HirKind::Repetition(repeated) if repeated.max != Some(1) => is_free(&repeated.sub),
        kind => kind.subs().iter().any(|sub| floats(sub, held, is_free)),
    }
}

/// Whether it takes any text that people can read, as long as it likes.
fn is_anything(hir: &Hir) -> bool {
    let here = match hir.kind() {
        HirKind::Repetition(repeated) => match repeated.sub.kind() {
            HirKind::Class(class) => {
                repeated.max.is_none() && (b' '..=b'~').all(|byte| takes(class, byte))
            }
            _ => false,
        },
        _ => false,
    };
    here || hir.kind().subs().iter().any(is_anything)
}

/// Whether it takes more than one word.
fn is_free(hir: &Hir) -> bool {
    let words = |sub: &Hir| takes_any(sub, is_blank) && takes_any(sub, u8::is_ascii_alphanumeric);
    let here = matches!(hir.kind(), HirKind::Repetition(repeated)
        if repeated.max.is_none_or(|max| max > 1) && words(&repeated.sub));
    here || hir.kind().subs().iter().any(is_free)
}
