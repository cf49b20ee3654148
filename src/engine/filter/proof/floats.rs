//! Can what an ignore pattern asks for stand anywhere in a message?
//!
//! In: the structure of a pattern. Out: why it is refused. Which text of a message an attacker chooses is not known
//! here, so this proves less than what is proven of an address: `^` or `$` holds all that is asked for, but whether
//! the log lets an attacker write there is left to the author of the pattern.

use regex_syntax::hir::{Hir, HirKind, Look};

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
    if floats(hir, looks.look_set_suffix().contains(Look::End)) {
        return Err("free text stands before what an ignore pattern asks for, so an attacker could write that into his text: remove the free text, or write all that follows it exactly and finish with `$`".to_owned());
    }
    Ok(())
}

/// Whether something is asked for behind free text. `held` tells that exact text and `$` follow.
fn floats(hir: &Hir, held: bool) -> bool {
    match hir.kind() {
        _ if !is_free(hir) => false,
        HirKind::Concat(parts) => {
            let first = parts.iter().position(is_free).unwrap_or_default();
            let tail = &parts[first + 1..];
            let held = held && !tail.iter().any(is_free);
            let asks = |part: &Hir| part.properties().minimum_len() != Some(0);
            floats(&parts[first], held) || (!held && tail.iter().any(asks))
        }
        HirKind::Repetition(repeated) if repeated.max != Some(1) => is_free(&repeated.sub),
        kind => kind.subs().iter().any(|sub| floats(sub, held)),
    }
}

/// Whether it takes more than one word.
fn is_free(hir: &Hir) -> bool {
    let words = |sub: &Hir| takes_any(sub, is_blank) && takes_any(sub, u8::is_ascii_alphanumeric);
    let here = matches!(hir.kind(), HirKind::Repetition(repeated)
        if repeated.max.is_none_or(|max| max > 1) && words(&repeated.sub));
    here || hir.kind().subs().iter().any(is_free)
}
