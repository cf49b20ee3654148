//! What do the tags in an expression of Fail2ban stand for?
//!
//! In: the text of a failregex, ignoreregex or prefregex, all parameters replaced. Out: an expression of Python, of which any
//! place is known where it came from.

use std::collections::BTreeSet;

/// An IPv4 address, by its form only.
const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>\d{1,3}(?:\.\d{1,3}){3})";

/// An IPv6 address, by its form only: a colon alone never ends one, so that it is left to `<HOST>: text`.
const IP6: &str = r"(?P<ip6>(?:[0-9A-Fa-f]{0,4}::|[0-9A-Fa-f]{1,4}:){1,7}(?:[0-9A-Fa-f]{1,4}|:))";

/// A name of a host.
const DNS: &str = r"(?P<dns>[\w.^-]*\w)";

/// The length of a network's prefix.
const CIDR: &str = r"(?P<cidr>\d+)";

/// A tag is a word in angle brackets, that may begin or end with a slash.
struct Tag<'t> {
    word: &'t str,
    is_end: bool,
    is_whole: bool,
}

/// An expression without tags.
pub(super) struct Replaced {
    pub(super) text: String,
    /// Where, in bytes, parts of it begin, and where the same is in the text it came from.
    origins: Vec<(usize, usize, Part)>,
}

/// How a part of an expression came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// As it was written.
    Written,
    /// For a tag.
    Tag,
}

impl Replaced {
    /// Where something was written that is at `at` now; what stands for a tag was written where the tag was.
    pub(super) fn origin(&self, at: usize) -> usize {
        let begun = self.origins.partition_point(|(begin, ..)| *begin <= at);
        let part = begun.checked_sub(1).and_then(|last| self.origins.get(last));
        match part {
            Some((begin, origin, Part::Written)) => origin + (at - begin),
            Some((_, origin, Part::Tag)) => *origin,
            None => at,
        }
    }
}

/// `text` with its tags replaced; `names` is whether <HOST> can be a name.
pub(super) fn replace(text: &str, names: bool) -> Replaced {
    let mut replaced = Replaced {
        text: String::with_capacity(text.len() + 256),
        origins: vec![(0, 0, Part::Written)],
    };
    let mut open = BTreeSet::new();
    let mut skipped = 0;
    let mut at = 0;
    while let Some(length) = text[at..].find('<') {
        replaced.text.push_str(&text[at..at + length]);
        at += length;
        let found = tag(&text[at..]);
        let meaning = found
            .as_ref()
            .and_then(|(tag, _)| meaning(tag, names, &mut open, &mut skipped));
        match (found, meaning) {
            (Some((_, length)), Some(meaning)) => {
                replaced.origins.push((replaced.text.len(), at, Part::Tag));
                replaced.text.push_str(&meaning);
                at += length;
                replaced
                    .origins
                    .push((replaced.text.len(), at, Part::Written));
            }
            // What has the form of a tag is not looked into.
            (found, _) => {
                let length = found.map_or(1, |(_, length)| length);
                replaced.text.push_str(&text[at..at + length]);
                at += length;
            }
        }
    }
    replaced.text.push_str(&text[at..]);
    replaced
}

/// The tag that `text` begins with, and its length.
fn tag(text: &str) -> Option<(Tag<'_>, usize)> {
    let inner = text.strip_prefix('<')?;
    let (is_end, inner) = match inner.strip_prefix('/') {
        Some(inner) => (true, inner),
        None => (false, inner),
    };
    let is_part = |next: char| next.is_alphanumeric() || matches!(next, '_' | '-');
    let length = inner
        .find(|next| !is_part(next))
        .filter(|length| *length > 0)?;
    let (word, rest) = inner.split_at(length);
    let (is_whole, rest) = match rest.strip_prefix('/') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.strip_prefix('>')?;
    let tag = Tag {
        word,
        is_end,
        is_whole,
    };
    Some((tag, text.len() - rest.len()))
}

/// What a tag stands for; `None` if it stands for itself.
fn meaning<'t>(
    tag: &Tag<'t>,
    names: bool,
    open: &mut BTreeSet<&'t str>,
    skipped: &mut usize,
) -> Option<String> {
    let own = tag.word.strip_prefix("F-");
    if tag.is_end {
        let is_open = !tag.is_whole && own.is_some_and(|own| open.contains(own));
        return is_open.then(|| ")".to_owned());
    }
    if let (Some(known), false) = (known(tag.word, names), tag.is_whole) {
        return Some(known);
    }
    if tag.word == "SKIPLINES" && !tag.is_whole {
        let number = *skipped;
        *skipped += 1;
        return Some(format!(r"\n(?P<skiplines_{number}>(?:(?:.*\n)*?))"));
    }
    let own = own?;
    if tag.is_whole {
        return match own {
            "ID" => Some(r"(?P<fid>\S+)".to_owned()),
            "PORT" => Some(r"(?P<fport>\w+)".to_owned()),
            "HOST" => None,
            other => known(other, names),
        };
    }
    let is_own = |next: char| {
        next.is_ascii_uppercase() || next.is_ascii_digit() || matches!(next, '_' | '-')
    };
    if !own.chars().all(is_own) {
        return None;
    }
    open.insert(own);
    let name = match own {
        "ID" => "fid".to_owned(),
        "PORT" => "fport".to_owned(),
        other => other.to_ascii_lowercase().replace('-', "_"),
    };
    Some(format!("(?P<{name}>"))
}

/// What a tag stands for that tells of an address.
fn known(word: &str, names: bool) -> Option<String> {
    Some(match word {
        "HOST" if names => format!(r"(?:\[?(?:{IP4}|{IP6})\]?|{DNS})"),
        "HOST" | "ADDR" => format!(r"\[?(?:{IP4}|{IP6})\]?"),
        "SUBNET" => format!(r"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"),
        "IP4" => IP4.to_owned(),
        "IP6" => IP6.to_owned(),
        "DNS" => DNS.to_owned(),
        "CIDR" => CIDR.to_owned(),
        _ => return None,
    })
}
