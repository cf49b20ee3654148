//! What would a client write who wants to harm somebody or to stay unseen?
//!
//! In: the samples and the patterns of a filter. Out: texts, each by its number: first those that are worth a try in every
//! place, then what can be put together of them. Where they are written is not known here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::{memchr_iter, memmem};
use regex::bytes::Captures;
use regex_syntax::hir::{Hir, HirKind};

use super::super::PatternSpec;
use super::super::language::expand;
use super::runs::Run;
use crate::engine::expression::{Expression, parse};
use crate::engine::record::line::LineReader;

/// Whom the client accuses: nobody whom a sample may name.
pub const FORGED: [&str; 3] = ["203.0.113.66", "2001:db8:bad::66", "::ffff:203.0.113.66"];

/// A long text: what lies between the bounds of services and that of messages, see
/// [`LONGEST_MESSAGE`](crate::engine::record::LONGEST_MESSAGE).
const LONG: usize = 60_000;

/// The most lines, and exact texts of patterns, that are used against a filter; each of a sample and of a pattern.
const MOST_BORROWED: usize = 400;

/// Signs that end something in one log or another.
const SIGNS: [&str; 28] = [
    "\"", "'", "\\", "\\\"", "\n", "\r\n", "]", "[", ")", "(", "<", ">", ": ", ":", "::", ", ",
    ".", "%", "%22", "\t", "\0", "|", "{", "\"}", "\",\"", "=", "/", " - ",
];

/// Texts against one filter.
#[derive(Debug)]
pub(super) struct Hostile {
    /// Each by itself is worth a try.
    texts: Vec<Vec<u8>>,
    /// Where messages and lines are among these.
    lines: usize,
    exact: Vec<Vec<u8>>,
}

impl Hostile {
    /// Those against a filter of these patterns, whose samples have these lines.
    pub fn new<'l>(
        lines: impl Iterator<Item = &'l String>,
        patterns: &[PatternSpec],
        reader: &mut LineReader,
    ) -> Self {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for forged in FORGED {
            for text in [
                forged.to_owned(),
                format!("x {forged} "),
                format!("\" {forged} \""),
                format!(" from {forged} port 22"),
                format!("{}.5", forged),
            ] {
                texts.push(text.into_bytes());
            }
        }
        for text in ["1.2.3.4.5", "192.0.2.7.9", "x\u{fc}\u{2028}\u{1f600}"] {
            texts.push(text.as_bytes().to_vec());
        }
        for sign in SIGNS {
            texts.push(sign.as_bytes().to_vec());
            texts.push(format!("x{sign} {} {sign}x", FORGED[0]).into_bytes());
        }
        texts.push(
            [
                b"x".repeat(LONG),
                format!(" from {} ", FORGED[0]).into_bytes(),
            ]
            .concat(),
        );
        let mut borrowed = Vec::new();
        for (number, line) in lines.take(MOST_BORROWED).enumerate() {
            let forged = FORGED[number % FORGED.len()];
            let line = line.as_bytes();
            if let Ok(Some(record)) = reader.read(line) {
                let message = accused(record.message, forged);
                // What a client writes at the end of his text, and at its beginning.
                for (before, behind) in [("", ""), ("x ", ""), ("x\" ", " \"x"), ("\n", "")] {
                    borrowed.push([before.as_bytes(), &message, behind.as_bytes()].concat());
                }
            }
            borrowed.push([b"x\n", accused(line, forged).as_ref(), b"\nx"].concat());
        }
        let mut exact = Vec::new();
        for pattern in patterns {
            let fields = pattern.fields.iter().map(|(_, text)| text);
            for text in fields.chain([&pattern.text]) {
                let hir = expand(text).and_then(|source| parse(&source));
                if let Ok(hir) = hir {
                    literals(&hir, &mut exact);
                }
            }
        }
        exact.truncate(MOST_BORROWED);
        texts.extend(exact.iter().map(|text| {
            let forged = FORGED[0].as_bytes();
            [b"x".as_slice(), text, forged, text, b"x"].concat()
        }));
        let lines = texts.len();
        texts.append(&mut borrowed);
        // Many samples differ in nothing but the address.
        let mut known = BTreeSet::new();
        texts.retain(|text| known.insert(text.clone()));
        let lines = lines.min(texts.len());
        Hostile {
            texts,
            lines,
            exact,
        }
    }

    /// How many are worth a try in every place.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The text of a number.
    pub fn text(&self, number: usize) -> Cow<'_, [u8]> {
        match self.texts.get(number) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.made(number)),
        }
    }

    /// Some of them one behind the other.
    fn made(&self, number: usize) -> Vec<u8> {
        let mut seed = number as u64;
        let mut below = |bound: usize| {
            // SplitMix64: numbers that are next to each other make texts that have nothing in common.
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = seed;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            usize::try_from(mixed % bound.max(1) as u64).unwrap_or_default()
        };
        let byte = |number: usize| u8::try_from(number).unwrap_or_default();
        let mut text = Vec::new();
        for _ in 0..=below(6) {
            match below(64) {
                0..=15 => text.extend_from_slice(FORGED[below(FORGED.len())].as_bytes()),
                16..=31 => text.extend_from_slice(SIGNS[below(SIGNS.len())].as_bytes()),
                32..=39 => text.push(b' '),
                40..=47 if !self.exact.is_empty() => {
                    text.extend_from_slice(&self.exact[below(self.exact.len())]);
                }
                48..=57 if self.lines < self.texts.len() => {
                    let at = self.lines + below(self.texts.len() - self.lines);
                    text.extend_from_slice(&self.texts[at]);
                }
                58 => text.extend(std::iter::repeat_n(b'x', below(2_000))),
                59 => text.extend((0..below(9)).map(|_| byte(below(256))).collect::<Vec<_>>()),
                _ => text.extend(
                    (0..below(9))
                        .map(|_| byte(33 + below(94)))
                        .collect::<Vec<_>>(),
                ),
            }
        }
        // Long ones cost as much as a hundred others.
        if below(512) == 0 {
            text.extend(std::iter::repeat_n(b'y', below(LONG)));
        }
        text
    }
}

/// `text` with `forged` for everybody who is named in it.
pub(super) fn accused<'t>(text: &'t [u8], forged: &str) -> Cow<'t, [u8]> {
    static ADDRESS: LazyLock<Option<Expression>> = LazyLock::new(|| {
        let source = expand("<ip>").ok()?;
        let hir = parse(&source).ok()?;
        Expression::new(source, &hir).ok()
    });
    let Some(address) = ADDRESS.as_ref().and_then(Expression::regex) else {
        return Cow::Borrowed(text);
    };
    address.replace_all(text, |found: &Captures<'_>| {
        let text = String::from_utf8_lossy(&found[0]);
        let bare = text.split('%').next().unwrap_or_default();
        // Times look similar.
        match bare.parse::<IpAddr>() {
            Ok(_) if bare != "::" => forged.as_bytes().to_vec(),
            _ => found[0].to_vec(),
        }
    })
}

/// What makes another address stand in `text` where its own is looked for, at the place of `run`: what was there, and the
/// rest of the text with that address; whole, and cut behind the address with one sign or another.
pub(super) fn copies(text: &[u8], run: &Run) -> Vec<Vec<u8>> {
    let forged = FORGED[0];
    let taken = &text[run.range.clone()];
    if run.is_behind {
        let before = accused(&text[..run.range.start], forged);
        return vec![[b"x", before.as_ref(), taken].concat()];
    }
    let rest = accused(&text[run.range.end..], forged);
    let mut texts = Vec::new();
    for end in ENDS {
        texts.push([taken, rest.as_ref(), end.as_bytes()].concat());
    }
    if let Some(at) = memmem::find(&rest, forged.as_bytes()) {
        let address = &rest[..at + forged.len()];
        // What follows it up to the next blank is often a port.
        let behind = &rest[address.len()..];
        let ends = memchr_iter(b' ', behind).take(3);
        for cut in ends.map(|at| at + 1).chain([0, 1.min(behind.len())]) {
            texts.push([taken, address, &behind[..cut]].concat());
        }
        texts.extend(
            ENDS.iter()
                .map(|end| [taken, address, end.as_bytes()].concat()),
        );
    }
    texts
}

/// What could end the part of a line that accuses somebody.
const ENDS: [&str; 10] = ["", " ", ",", ", x", ": ", "\"", "\", ", "]", ")", ";"];

/// The exact texts of a pattern, of two bytes or more.
fn literals(hir: &Hir, texts: &mut Vec<Vec<u8>>) {
    match hir.kind() {
        HirKind::Literal(text) if text.0.len() > 1 => texts.push(text.0.to_vec()),
        kind => kind.subs().iter().for_each(|sub| literals(sub, texts)),
    }
}
