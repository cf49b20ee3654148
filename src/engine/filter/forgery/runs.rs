//! Where can a client's text stand that no placeholder marks?
//!
//! In: the structure of a pattern. Out: the same one, in which every long repetition of a wide class is a group. An author
//! who writes `[^ ]+` for a name says where it ends for the pattern, but not that the service lets no blank into it. On the
//! side by which the address is held, such a text decides where that side ends.

use std::ops::Range;

use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

use super::super::language::Free;
use super::super::proof::{Proof, prove, takes};
use crate::engine::expression::{Expression, parse};

/// A repetition up to this many times has no room for another address and what stands around it.
const SHORT: u32 = 16;

/// So many letters are a word.
const WORD: usize = 3;

/// A part with the one address, and its repetitions.
#[derive(Debug)]
pub(super) struct Runs {
    regex: Expression,
    names: Vec<String>,
    proof: Proof,
}

/// What a repetition took.
#[derive(Debug)]
pub(super) struct Run {
    pub range: Range<usize>,
    /// Whether it stands behind the address, which `$` holds.
    pub is_behind: bool,
}

impl Runs {
    /// Those of a part whose placeholders are `groups`; `None` if there are none beside its address.
    pub fn new(source: &str, groups: &[(String, Free)]) -> Option<Self> {
        let hir = parse(source).ok()?;
        let proof = prove(&hir).ok()?;
        let mut naming = Naming::default();
        let hir = naming.named(&hir);
        let words = groups.iter().filter(|(_, free)| *free == Free::Word);
        let mut names = naming.names;
        names.extend(words.map(|(name, _)| name.clone()));
        let regex = Expression::new(hir.to_string(), &hir).ok()?;
        (!names.is_empty()).then_some(Runs {
            regex,
            names,
            proof,
        })
    }

    /// What they take of a text, on the side that holds the address.
    pub fn taken(&self, text: &[u8]) -> Vec<Run> {
        let Some(captures) = self.regex.regex().and_then(|regex| regex.captures(text)) else {
            return Vec::new();
        };
        let Some(address) = captures.name("ip").or_else(|| captures.name("host")) else {
            return Vec::new();
        };
        let is_behind = self.proof == Proof::End;
        let ranges = self.names.iter().filter_map(|name| captures.name(name));
        let ranges = ranges.map(|group| group.range());
        let holds = |range: &Range<usize>| match is_behind {
            true => range.start >= address.end(),
            false => range.end <= address.start(),
        };
        let run = |range| Run { range, is_behind };
        // What is not there has no place either.
        ranges
            .filter(|range| holds(range) && !range.is_empty())
            .map(run)
            .collect()
    }
}

/// Makes groups of repetitions.
#[derive(Default)]
struct Naming {
    names: Vec<String>,
    /// How many letters stand before what comes next.
    letters: usize,
    /// Whether there was a word: what stands before it is the head that a framework writes, with levels, threads and the
    /// like.
    is_behind_word: bool,
}

impl Naming {
    /// `hir` with its wide repetitions as groups of new names; what is a group of a name already is left alone.
    fn named(&mut self, hir: &Hir) -> Hir {
        let letters = std::mem::take(&mut self.letters);
        match hir.kind() {
            HirKind::Literal(text) => {
                self.letters = letters;
                text.0
                    .iter()
                    .for_each(|byte| self.read(byte.is_ascii_alphabetic()));
                hir.clone()
            }
            // A letter of either case.
            HirKind::Class(class) => {
                self.letters = letters;
                let takes = |byte: &u8| takes(class, *byte);
                let taken = (0..=u8::MAX).filter(takes);
                self.read(
                    taken.clone().count() <= 2
                        && taken.clone().all(|byte| byte.is_ascii_alphabetic()),
                );
                hir.clone()
            }
            HirKind::Concat(parts) => {
                self.letters = letters;
                Hir::concat(parts.iter().map(|part| self.named(part)).collect())
            }
            HirKind::Alternation(parts) => {
                Hir::alternation(parts.iter().map(|part| self.named(part)).collect())
            }
            HirKind::Capture(group) if group.name.is_none() => self.named(&group.sub),
            HirKind::Repetition(repeated) if is_wide(repeated) && self.is_behind_word => {
                let name = format!("run{}", self.names.len());
                self.names.push(name.clone());
                Hir::capture(Capture {
                    index: 0,
                    name: Some(name.into()),
                    sub: Box::new(hir.clone()),
                })
            }
            HirKind::Repetition(repeated) => {
                Hir::repetition(repeated.with(self.named(&repeated.sub)))
            }
            _ => hir.clone(),
        }
    }

    fn read(&mut self, is_letter: bool) {
        self.letters = if is_letter { self.letters + 1 } else { 0 };
        self.is_behind_word |= self.letters >= WORD;
    }
}

/// Whether it takes long text that people choose: letters, and more than these. Dates, numbers and addresses are the
/// service's own.
fn is_wide(repeated: &Repetition) -> bool {
    let HirKind::Class(class) = repeated.sub.kind() else {
        return false;
    };
    let is_more = |byte: u8| !byte.is_ascii_alphabetic() && takes(class, byte);
    let is_long = repeated.max.is_none_or(|max| max > SHORT);
    is_long && takes(class, b'x') && (b' '..=b'~').any(is_more)
}
