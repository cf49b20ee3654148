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
//! Or the anchored side *ends once*: if it takes some text, it takes none that goes on from there with a byte
//! that addresses and names have. In `^"[^"]*" <ip> ` the quotes may hold any number of addresses, but only behind
//! the second quote and a blank does the side come to its end. Suppose two readings put the address in different
//! places: then the shorter `left` and the first byte of its address are the beginning of the longer `left`, which is
//! what was refuted. So the address begins in one place of each message, whoever wrote it, and two runs of an automaton
//! over the same bytes decide it. `^\S+ ?\S* <ip>` is refused: in `a 192.0.2.7 198.51.100.1` both are behind a text
//! that it takes. It says nothing of what a service writes: where a client can have a quote written as it is, the
//! reading is one, and wrong. That is what [`quoting`](super::quoting) of samples is for. The same holds, mirrored, in
//! front of `$`.
//!
//! A name can be anything, so in `^(?:\w+ )?<host> <text>$` a word may be read as the host, and the host as text. So for
//! `<host>` the bytes are counted that a name can have: where the anchored side has equally many of them in all
//! texts that it takes, say N, the host begins with the next such byte of the message, whoever wrote what follows. A
//! side that ends once is enough for `<host>` too: nothing was assumed of addresses but their first byte, or their
//! last one, and names have no other bytes.
//!
//! That leaves where the address ends. `<ip>:<text>` takes `::7:dead: x` for the address `::7:dead`, though
//! it may be `::7` and a text that begins with `dead:`. So what stands next to the address must not be able
//! to go on with it. This is proven too.
//!
//! Where a proxy says for whom it speaks, whoever it was writes what it likes, and the proxy adds the address from
//! which it heard that: only the end of `<forwarded>` can be trusted. So nothing may move that end, while it does not
//! matter where the text begins, unless in the midst of an address. The end is held if what follows it up to `$` begins
//! with an exact byte that all texts of it hold equally often, say N times: it is the Nth such byte of the message from
//! behind, whoever wrote what stands before it.
//!
//! What else could move it: two addresses in one pattern, or one inside an alternation, an optional group
//! or a repetition (refused, the address stands exactly once); `^` and `$` of lines instead of the message
//! (`(?m)` is refused; otherwise Rust's `$` is the end of the text only, never before a final newline); a
//! newline that ends `.` early (`.` takes newlines here).

mod edges;
mod floats;
mod marks;
mod once;

use regex_syntax::hir::{Hir, HirKind, Look};

pub(super) use edges::takes;
use edges::{Kind, Side, edges};
pub(super) use floats::{is_floating, refuse_floating};
use marks::{Open, closed, counted, equally_many};
use once::ends_once;

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
    if !split(hir, is_address, &mut left, &mut right) {
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
    let named = is_named(hir);
    if !starts_behind(&right, named) {
        return Err("what follows the address can be read as a part of it: separate them by a blank or `: `; `:<port>` is sound only where it is never left out and no hex digit or colon follows".to_owned());
    }
    // What costs less comes first, and is true of nearly all.
    let holds = |parts: &[&Hir], side| {
        let cheaply = if named { counted(parts) } else { closed(parts) };
        cheaply.or_else(|open| {
            if ends_once(parts, side) {
                Ok(())
            } else {
                Err(open)
            }
        })
    };
    let left = holds(&left, Side::Start);
    if from_start && left.is_ok() {
        return Ok(Proof::Start);
    }
    let right = holds(&right, Side::End);
    if to_end && right.is_ok() {
        return Ok(Proof::End);
    }
    Err(match (left, right) {
        (Ok(()), _) => "nothing ties the address to the start: begin the pattern with `^`",
        (_, Ok(())) => "nothing ties the address to the end: finish the pattern with `$`",
        (Err(Open::Names), Err(_)) if from_start || to_end => {
            "text beside <host> can be taken for the host, or the host for that text: on the anchored side write nothing that takes now more, now fewer of the letters, digits and signs of names, such as `\\w+` or `(?:x )?`; write one pattern for each case, or `<ip>` for addresses only"
        }
        (Err(Open::Marks), _) if from_start => {
            "the text before the address can be read as one: three dots, seven colons or `::` stand in it without a blank, a sign or a letter from g to z between them; write what follows the address exactly and finish the pattern with `$`"
        }
        (_, Err(Open::Marks)) if to_end => {
            "the text behind the address can be read as one: three dots, seven colons or `::` stand in it without a blank, a sign or a letter from g to z between them; write what stands before the address exactly and begin the pattern with `^`"
        }
        (Err(_), Err(_)) => {
            "free text stands on both sides of the address, so an attacker can write another address into it: replace `.*`, `<text>` and the like on one side by exact text, or by what never takes the sign that ends it, such as `[^ ]+ ` or `\"<agent>\"`, and anchor that side"
        }
    }
    .to_owned())
}

/// Proves that nobody but the proxy moves the end of what it says.
///
/// # Errors
/// Text of an attacker could; how to mend the pattern.
pub(super) fn prove_forwarded(hir: &Hir) -> Result<(), String> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    if !split(hir, is_forwarded, &mut left, &mut right) {
        return Err("<forwarded> may not stand in an alternation, an optional group or a repetition: write one pattern for each case".to_owned());
    }
    if !ends_before(&left) {
        return Err("what stands before <forwarded> can end with a piece of an address: write a blank, a quote or another separator there".to_owned());
    }
    let is_held = match right.split_last() {
        Some((end, right)) if matches!(end.kind(), HirKind::Look(Look::End)) => {
            match right.first().map(|hir| hir.kind()) {
                None => true,
                Some(HirKind::Literal(text)) => {
                    let first = text.0.first().copied();
                    equally_many(right, |byte| Some(byte) == first)
                }
                Some(_) => false,
            }
        }
        _ => false,
    };
    if !is_held {
        return Err("an attacker could move the end of <forwarded>: finish the pattern with `$`, write a sign such as `\"` right behind <forwarded>, and nothing after it that takes now more, now fewer of these signs".to_owned());
    }
    Ok(())
}

fn is_address(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Capture(group) if matches!(group.name.as_deref(), Some("ip" | "host")))
}

fn is_forwarded(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Capture(group) if group.name.as_deref() == Some("forwarded"))
}

fn is_named(hir: &Hir) -> bool {
    let here =
        matches!(hir.kind(), HirKind::Capture(group) if group.name.as_deref() == Some("host"));
    here || hir.kind().subs().iter().any(is_named)
}

/// How many places there are for an address.
pub(super) fn addresses(hir: &Hir) -> usize {
    places(hir, is_address)
}

/// How many places there are for what a proxy says.
pub(super) fn forwarded(hir: &Hir) -> usize {
    places(hir, is_forwarded)
}

fn places(hir: &Hir, is_it: fn(&Hir) -> bool) -> usize {
    let subs = hir.kind().subs().iter();
    usize::from(is_it(hir)) + subs.map(|sub| places(sub, is_it)).sum::<usize>()
}

/// Collects what stands before and behind the part that `is_it`; false if it is not always there.
fn split<'h>(
    hir: &'h Hir,
    is_it: fn(&Hir) -> bool,
    left: &mut Vec<&'h Hir>,
    right: &mut Vec<&'h Hir>,
) -> bool {
    match hir.kind() {
        _ if is_it(hir) => true,
        HirKind::Capture(group) => split(&group.sub, is_it, left, right),
        HirKind::Concat(parts) => {
            let Some(at) = parts.iter().position(|part| places(part, is_it) > 0) else {
                return false;
            };
            left.extend(&parts[..at]);
            let mut behind = Vec::new();
            let found = split(&parts[at], is_it, left, &mut behind);
            right.extend(behind);
            right.extend(&parts[at + 1..]);
            found
        }
        _ => false,
    }
}

/// What follows the port behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortEnd {
    /// In every message a sign that goes on with neither.
    Sign,
    /// Perhaps the end of the message, which is known only of one that was not cut.
    End,
}

/// What ends a port that always follows the one address: `<ip>:<port>\]`. Then the last colon parts them, also where the
/// address is one of IPv6 and the port could be a group of it. `None` if there is none, or if what follows may be missing,
/// since nothing tells then whether it is one.
pub(super) fn port_end(hir: &Hir) -> Option<PortEnd> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    if !split(hir, is_address, &mut left, &mut right) || is_named(hir) {
        return None;
    }
    let [colon, digits, rest @ ..] = &right[..] else {
        return None;
    };
    if !is_colon(colon) || !are_digits(digits) {
        return None;
    }
    let edges = edges(rest, Side::Start);
    let is_cut = |edge: &[Option<Kind>; 2]| matches!(edge, [Some(Kind::Colon | Kind::Dot), None]);
    if !starts_behind(rest, false) || edges.iter().any(is_cut) {
        return None;
    }
    if edges.iter().all(|[first, _]| first.is_some()) {
        return Some(PortEnd::Sign);
    }
    let to_end = |hir: &&Hir| matches!(hir.kind(), HirKind::Look(Look::End));
    rest.last().filter(|hir| to_end(hir)).map(|_| PortEnd::End)
}

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
