//! Which text must a message hold for a pattern to take it?
//!
//! In: the structure of a pattern. Out: a few texts of which every message holds one that the pattern takes, without
//! regard to the case of letters. They are looked for before any pattern is tried; see [`sieve`](super::sieve).

use std::cmp::Reverse;
use std::sync::LazyLock;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::everyday;

/// Shorter texts stand in too many lines, and looking for them is slow.
pub(super) const SHORTEST: usize = 4;

/// Texts of this length can be looked for at every third place. A single one that is shorter makes the search for all of
/// them slower.
const NO_BURDEN: usize = 6;

/// Texts of this length can be looked for at every fifth place.
const USEFUL: usize = 8;

/// A text of this length tells as much as a longer one.
const LONG_ENOUGH: usize = 12;

/// The most texts for one pattern. `(?:GET|POST|HEAD) /(?:a|b|c)` has nine; a word of six letters of which each may be
/// written as `%61` has 64, and other ways to say the same come on top.
const MOST: usize = 80;

/// The most bytes that may stand at one place for it to be a part of a text.
const MOST_BYTES: usize = 24;

/// The bit in which letters differ by case. Bytes are compared as if it were set in all, which makes some signs alike and does
/// no harm.
pub(super) const CASE: u8 = 0x20;

/// The byte as it is compared.
fn fold(byte: u8) -> u8 {
    byte | CASE
}

/// Some texts, folded, of which every message holds one that a pattern takes.
pub(super) type Texts = Vec<Vec<u8>>;

/// All that could be looked for: of each of these, every message holds one text that `hir` takes.
pub(super) fn options(hir: &Hir) -> Vec<Texts> {
    let mut options = Vec::new();
    collect(hir, &mut options);
    options.retain(|texts| shortest(texts) >= SHORTEST);
    options
}

/// The best of these. Long texts are, up to a length at which they do not slow down the search for all others; then what
/// is not seen every day; then longer ones again, up to a length at which they are seldom seen and soon found; then those
/// that few patterns have, as `shared` tells, since all that have one are tried; then longer and fewer and rarer ones.
pub(super) fn best(options: Vec<Texts>, shared: impl Fn(&[u8]) -> usize) -> Option<Texts> {
    let worth = |texts: &Texts| {
        let length = shortest(texts);
        let others = texts.iter().map(|text| shared(text)).max().unwrap_or(0);
        let rarity = texts.iter().map(|text| rarity(text)).min().unwrap_or(0);
        (
            length.min(NO_BURDEN),
            Reverse(commonness(texts)),
            length.min(USEFUL),
            Reverse(others),
            length.min(LONG_ENOUGH),
            Reverse(texts.len()),
            rarity,
        )
    };
    options.into_iter().max_by_key(worth)
}

fn collect(hir: &Hir, options: &mut Vec<Texts>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(_) => {}
        HirKind::Literal(_) => options.extend(exact(hir)),
        HirKind::Capture(group) => collect(&group.sub, options),
        HirKind::Repetition(repeated) if repeated.min > 0 => collect(&repeated.sub, options),
        HirKind::Repetition(_) => {}
        HirKind::Alternation(parts) => options.extend(one_of_each(parts)),
        HirKind::Concat(parts) => collect_of_concat(parts, options),
    }
}

/// The best texts of all branches.
fn one_of_each(parts: &[Hir]) -> Option<Texts> {
    let mut all = Texts::new();
    for part in parts {
        all.extend(best(self::options(part), |_| 0)?);
    }
    let all = reduced(all);
    (all.len() <= MOST).then_some(all)
}

/// Parts that can only be few texts are put together; all others stand between them.
fn collect_of_concat(parts: &[Hir], options: &mut Vec<Texts>) {
    let mut run = vec![Vec::new()];
    for part in parts {
        // What looks at its neighbours takes nothing.
        if matches!(part.kind(), HirKind::Look(_) | HirKind::Empty) {
            continue;
        }
        let Some(next) = exact(part) else {
            let run = std::mem::replace(&mut run, vec![Vec::new()]);
            let behind = leading_of_many(part);
            if behind.iter().any(|text| !text.is_empty()) {
                options.extend(joined_if_few(&run, &behind).map(reduced));
            }
            options.push(reduced(run));
            collect(part, options);
            continue;
        };
        if next.len() > 1 {
            options.push(reduced(run.clone()));
        }
        run = joined_if_few(&run, &next).unwrap_or_else(|| {
            options.push(reduced(std::mem::take(&mut run)));
            next
        });
    }
    options.push(reduced(run));
}

/// All texts that `hir` takes, folded, if they are few.
fn exact(hir: &Hir) -> Option<Texts> {
    // What has no end is not few texts; most parts of patterns that are asked about have none.
    hir.properties().maximum_len()?;
    match hir.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Look(_) => None,
        HirKind::Literal(text) => Some(vec![text.0.iter().copied().map(fold).collect()]),
        HirKind::Class(Class::Bytes(class)) => {
            let mut bytes: Vec<u8> = Vec::new();
            for range in class.ranges() {
                if range.len() > MOST_BYTES {
                    return None;
                }
                bytes.extend((range.start()..=range.end()).map(fold));
            }
            bytes.sort_unstable();
            bytes.dedup();
            let few = !bytes.is_empty() && bytes.len() <= MOST_BYTES;
            few.then(|| bytes.into_iter().map(|byte| vec![byte]).collect())
        }
        HirKind::Class(Class::Unicode(_)) => None,
        HirKind::Capture(group) => exact(&group.sub),
        HirKind::Repetition(repeated) => {
            let once = exact(&repeated.sub)?;
            match (repeated.min, repeated.max) {
                (1, Some(1)) => Some(once),
                (0, Some(1)) => {
                    let mut texts = once;
                    texts.push(Vec::new());
                    (texts.len() <= MOST).then_some(texts)
                }
                _ => None,
            }
        }
        HirKind::Concat(parts) => parts.iter().try_fold(vec![Vec::new()], |run, part| {
            joined_if_few(&run, &exact(part)?)
        }),
        HirKind::Alternation(parts) => {
            let each = parts.iter().map(exact).collect::<Option<Vec<_>>>()?;
            let all: Vec<_> = each.into_iter().flatten().collect();
            (all.len() <= MOST).then_some(all)
        }
    }
}

/// Texts, folded, of which everything that `hir` takes begins with one; the empty one if nothing is known of it.
fn leading(hir: &Hir) -> Texts {
    exact(hir).unwrap_or_else(|| leading_of_many(hir))
}

/// The same for what takes more than a few texts.
fn leading_of_many(hir: &Hir) -> Texts {
    let any = || vec![Vec::new()];
    match hir.kind() {
        HirKind::Capture(group) => leading(&group.sub),
        // One text is found sooner than ten that are a digit longer.
        HirKind::Repetition(repeated) if repeated.min > 0 => match repeated.sub.kind() {
            HirKind::Class(_) => any(),
            _ => leading(&repeated.sub),
        },
        HirKind::Concat(parts) => {
            let mut run = any();
            for part in parts {
                let next = exact(part);
                let is_last = next.is_none();
                let next = next.unwrap_or_else(|| leading_of_many(part));
                let joined = joined_if_few(&run, &next);
                match joined {
                    Some(longer) => run = longer,
                    None => break,
                }
                if is_last {
                    break;
                }
            }
            run
        }
        HirKind::Alternation(parts) => {
            let all: Texts = parts.iter().flat_map(leading).collect();
            if all.len() <= MOST { all } else { any() }
        }
        _ => any(),
    }
}

/// Where one text holds another, only the other is needed.
fn reduced(mut texts: Texts) -> Texts {
    texts.sort_unstable_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    let mut needed = Texts::new();
    for text in texts {
        if !needed.iter().any(|other| holds(&text, other)) {
            needed.push(text);
        }
    }
    needed
}

/// Whether one text stands in another one. To prepare a search would take longer than it does.
fn holds(text: &[u8], other: &[u8]) -> bool {
    other.is_empty() || text.windows(other.len()).any(|there| there == other)
}

/// Each of `first` with each of `second` behind it, if these are not too many.
fn joined_if_few(first: &[Vec<u8>], second: &[Vec<u8>]) -> Option<Texts> {
    (first.len() * second.len() <= MOST).then(|| joined(first, second))
}

/// Each of `first` with each of `second` behind it.
fn joined(first: &[Vec<u8>], second: &[Vec<u8>]) -> Texts {
    let pair = |head: &Vec<u8>| {
        second
            .iter()
            .map(|tail| [&head[..], tail].concat())
            .collect()
    };
    first.iter().flat_map::<Texts, _>(pair).collect()
}

/// In how many of what is seen every day one of them stands.
fn commonness(texts: &[Vec<u8>]) -> usize {
    static FOLDED: LazyLock<Texts> = LazyLock::new(|| {
        let folded = |line: &str| line.bytes().map(fold).collect();
        everyday::REQUESTS.into_iter().map(folded).collect()
    });
    let stands_in = |line: &&Vec<u8>| texts.iter().any(|text| holds(line, text));
    FOLDED.iter().filter(stands_in).count()
}

fn shortest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

/// Letters by how common they are in English and in logs, the most common first.
const COMMON: &[u8] = b" etaoinsr0123456789./:-hldcumfpgwybvkxjqz";

/// How rare the bytes of a text are, all together.
pub(super) fn rarity(text: &[u8]) -> u32 {
    let rank = |byte: &u8| {
        let place = COMMON.iter().position(|common| common == byte);
        u32::try_from(place.unwrap_or(COMMON.len())).unwrap_or(u32::MAX)
    };
    text.iter().map(rank).sum()
}

#[cfg(test)]
mod tests {
    use super::super::language;
    use super::*;
    use crate::engine::expression::parse;

    fn texts(pattern: &str) -> Option<Vec<String>> {
        let source = language::expand(pattern).expect("a pattern");
        let hir = parse(&source).expect("a regular expression");
        let best = best(options(&hir), |text| {
            usize::from(text.starts_with(b"common"))
        })?;
        let mut texts: Vec<_> = best
            .into_iter()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .collect();
        texts.sort();
        Some(texts)
    }

    #[test]
    fn the_longest_text_that_is_always_there() {
        for (pattern, expected) in [
            (
                "^Failed password for <user> from <ip>$",
                &["failed password for "][..],
            ),
            ("^(?i)Denied: <ip>", &["denied: "]),
            ("^(?:closed|reset) by <ip>$", &["closed by ", "reset by "]),
            ("^(?:error: )?no route from <ip>$", &["no route from "]),
            ("^(?:x|yy)?<user> rejected <ip>$", &[" rejected "]),
            (
                "^Took (?:a key|a word(?:/[a-z]+)?|(?:no)+thing) of <ip>$",
                &["took a key", "took a word", "took no"],
            ),
            ("^<ip> (?:a+|b) denied [0-9]{3}$", &[" denied "]),
            (
                "^(?:from|to)? ?<ip> (?:was banned|is listed)$",
                &[" is listed", " was banned"],
            ),
            (
                "^commonly known is that <ip> is rejected$",
                &[" is rejected"],
            ),
            (
                "^<ip> costs? [45] dollars",
                &[
                    " cost 4 dollars",
                    " cost 5 dollars",
                    " costs 4 dollars",
                    " costs 5 dollars",
                ],
            ),
        ] {
            let texts = texts(pattern).expect("texts");
            assert_eq!(texts, expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_seen_every_day_is_the_last_choice() {
        for (pattern, expected) in [
            (
                r#"^<ip> "(?:GET|POST) [^ "]*/admin[^ "]*" 200 "#,
                &["/admin"][..],
            ),
            (
                r#"^<ip> \[[^\]]*\] "POST [^ "]* HTTP/1\.1" 200 "#,
                &["} \"post "],
            ),
        ] {
            assert_eq!(texts(pattern).expect("texts"), expected, "{pattern}");
        }
    }

    #[test]
    fn what_may_be_missing_or_is_short_is_no_help() {
        for pattern in [
            "^<ip>$",
            "^(?:denied )?<ip>$",
            "^<ip> no$",
            "^<user> <ip>(?: denied)*$",
        ] {
            assert_eq!(texts(pattern), None, "{pattern}");
        }
    }
}
