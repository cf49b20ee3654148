//! What is the structure of a regular expression of Python?
//!
//! In: the text, all tags replaced. Out: a tree, or what is wrong and where. What Python 3.11 takes is taken, and what it
//! refuses is refused: so a filter is loaded here where Fail2ban loads it.

mod class;
mod escape;
mod group;

use super::fault::Fault;
use super::syntax::{Assertion, Change, Flags, Manner, Node, Times, Width};

/// Groups in groups. The deepest of Fail2ban's own have ten.
const DEEPEST: usize = 40;

/// A mistake at a place, in bytes of the text.
pub(super) type Mistake = (usize, Fault);

/// An expression as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// The flags that hold for all of it.
    pub(super) flags: Flags,
    /// The names of its groups, from number 1.
    pub(super) names: Vec<Option<String>>,
    /// How much they take.
    pub(super) widths: Vec<Width>,
}

/// The structure of `text`.
pub(super) fn parse(text: &str) -> Result<Parsed, Mistake> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        flags: Flags::default(),
        verbose: false,
        groups: Vec::new(),
        conditions: Vec::new(),
        behind: None,
    };
    let node = parser.alternation(true)?;
    if parser.at < text.len() {
        return Err((parser.at, Fault::StrayClose));
    }
    let groups = parser.groups.len();
    let late = parser.conditions.iter();
    if let Some((_, at)) = { late }.find(|(group, _)| *group > groups) {
        return Err((*at, Fault::NoSuchGroup));
    }
    Ok(Parsed {
        node,
        flags: parser.flags,
        widths: parser.widths(),
        names: parser.groups.into_iter().map(|group| group.name).collect(),
    })
}

/// A group that was begun.
struct Begun {
    name: Option<String>,
    /// What it takes, once it is closed.
    width: Option<Width>,
}

struct Parser<'t> {
    text: &'t str,
    /// How far it was read, in bytes.
    at: usize,
    depth: usize,
    /// Flags for the whole expression.
    flags: Flags,
    /// Whether spaces mean nothing at this place.
    verbose: bool,
    groups: Vec<Begun>,
    /// The groups that conditions ask for, which may come later, and where they do.
    conditions: Vec<(usize, usize)>,
    /// How many groups there were where what looks back was begun.
    behind: Option<usize>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Reads `expected` if it stands here.
    fn skip(&mut self, expected: &str) -> bool {
        let is_there = self.rest().starts_with(expected);
        self.at += if is_there { expected.len() } else { 0 };
        is_there
    }

    /// Reads what stands before `end`, and `end`.
    fn until(&mut self, end: char, or: Fault) -> Result<String, Mistake> {
        let rest = self.rest();
        let Some(length) = rest.find(end) else {
            return Err((self.at, or));
        };
        let found = rest[..length].to_owned();
        self.at += length + end.len_utf8();
        Ok(found)
    }

    /// Reads at most so many characters that are so.
    fn some(&mut self, most: usize, is: impl Fn(char) -> bool) -> &str {
        let from = self.at;
        for _ in 0..most {
            if !self.peek().is_some_and(&is) {
                break;
            }
            self.next();
        }
        &self.text[from..self.at]
    }

    /// All branches up to what closes them, which is not read.
    fn alternation(&mut self, is_outermost: bool) -> Result<Node, Mistake> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((self.at, Fault::TooDeep(DEEPEST)));
        }
        let mut branches = vec![self.sequence(is_outermost)?];
        while self.skip("|") {
            branches.push(self.sequence(false)?);
        }
        self.depth -= 1;
        Ok(match branches.len() {
            1 => branches.remove(0),
            _ => Node::Alternation(branches),
        })
    }

    /// One branch. Flags for the whole expression can stand at the beginning of the first one.
    fn sequence(&mut self, is_first: bool) -> Result<Node, Mistake> {
        let mut parts: Vec<Node> = Vec::new();
        while let Some(next) = self.peek() {
            let from = self.at;
            match next {
                '|' | ')' => break,
                _ if self.verbose && next.is_ascii_whitespace() => {
                    self.next();
                }
                '#' if self.verbose => {
                    let line = self
                        .rest()
                        .find('\n')
                        .map_or(self.rest().len(), |at| at + 1);
                    self.at += line;
                }
                '*' | '+' | '?' | '{' => match self.times()? {
                    Some(times) => repeat(&mut parts, times).map_err(|fault| (from, fault))?,
                    None => parts.push(Node::Literal('{')),
                },
                '(' => {
                    let may_set_flags = is_first && parts.is_empty();
                    parts.extend(self.group(may_set_flags)?);
                }
                '[' => parts.push(Node::Class(self.class()?)),
                '\\' => parts.push(self.escape()?),
                _ => {
                    self.next();
                    parts.push(match next {
                        '.' => Node::Any,
                        '^' => Node::Assertion(Assertion::Start),
                        '$' => Node::Assertion(Assertion::End),
                        other => Node::Literal(other),
                    });
                }
            }
        }
        Ok(match parts.len() {
            0 => Node::Empty,
            1 => parts.remove(0),
            _ => Node::Concat(parts),
        })
    }

    /// Reads how often something is repeated; `None` if it was a `{` that stands for itself.
    fn times(&mut self) -> Result<Option<Times>, Mistake> {
        let from = self.at;
        let (least, most) = match self.next() {
            Some('?') => (0, Some(1)),
            Some('*') => (0, None),
            Some('+') => (1, None),
            _ => match self.counted()? {
                Some(counted) => counted,
                None => {
                    self.at = from + 1;
                    return Ok(None);
                }
            },
        };
        if most.is_some_and(|most| most < least) {
            return Err((from, Fault::Backwards));
        }
        let manner = match self.peek() {
            Some('?') => Manner::Lazy,
            Some('+') => Manner::Possessive,
            _ => Manner::Greedy,
        };
        self.at += usize::from(manner != Manner::Greedy);
        Ok(Some(Times {
            least,
            most,
            manner,
        }))
    }

    /// Reads the rest of `{2}`, `{2,}`, `{,3}`, `{2,3}`, `{,}`.
    fn counted(&mut self) -> Result<Option<(u32, Option<u32>)>, Mistake> {
        if self.peek() == Some('}') {
            return Ok(None);
        }
        let from = self.at;
        let least = self.number()?;
        let most = match self.skip(",") {
            true => self.number()?,
            false => least,
        };
        let is_counted = self.skip("}");
        if is_counted && least.max(most) > Some(super::MOST_TIMES) {
            return Err((from, Fault::TooOften(super::MOST_TIMES)));
        }
        Ok(is_counted.then_some((least.unwrap_or(0), most)))
    }

    /// Reads a number, if there is one; too large a one is very large.
    fn number(&mut self) -> Result<Option<u32>, Mistake> {
        let digits = self.some(usize::MAX, |next| next.is_ascii_digit());
        Ok((!digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX)))
    }

    /// The number of the group of this name.
    fn named(&self, name: &str) -> Option<usize> {
        let mut groups = self.groups.iter();
        groups
            .position(|group| group.name.as_deref() == Some(name))
            .map(|at| at + 1)
    }

    /// Refers to a group that has to be closed, and be no part of what looks back here.
    fn refer(&self, group: usize, at: usize) -> Result<(), Mistake> {
        let closed = self
            .groups
            .get(group - 1)
            .map(|group| group.width.is_some());
        match closed {
            None => Err((at, Fault::NoSuchGroup)),
            Some(false) => Err((at, Fault::StillOpen)),
            Some(true) => self.refer_behind(group, at),
        }
    }

    fn refer_behind(&self, group: usize, at: usize) -> Result<(), Mistake> {
        match self.behind {
            Some(before) if group > before => Err((at, Fault::OwnGroup)),
            _ => Ok(()),
        }
    }

    /// What the groups take that are closed.
    fn widths(&self) -> Vec<Width> {
        let groups = self.groups.iter();
        groups
            .map(|group| group.width.unwrap_or_default())
            .collect()
    }
}

/// Has the last part be repeated.
fn repeat(parts: &mut Vec<Node>, times: Times) -> Result<(), Fault> {
    match parts.pop() {
        None | Some(Node::Assertion(_)) => Err(Fault::NothingToRepeat),
        Some(Node::Repeat(..)) => Err(Fault::RepeatedTwice),
        Some(part) => {
            parts.push(Node::Repeat(times, Box::new(part)));
            Ok(())
        }
    }
}

/// Whether Python takes it for a name.
fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    let starts = |first: char| first.is_alphabetic() || first == '_';
    chars.next().is_some_and(starts) && chars.all(|next| next.is_alphanumeric() || next == '_')
}

/// A change that turns these flags on.
fn turned_on(flags: Flags) -> Change {
    Change {
        on: flags,
        ..Change::default()
    }
}
