//! Of what is a regular expression of Python made?
//!
//! The tree that the parser builds and the printer writes, and what can be said of it without a line of text.

/// One part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    Literal(char),
    /// `.`
    Any,
    Class(Class),
    Assertion(Assertion),
    /// A group that captures, by its number from 1.
    Group(usize, Box<Node>),
    /// `(?i-s:…)`
    Flagged(Change, Box<Node>),
    /// `(?>…)`
    Atomic(Box<Node>),
    Look(Look, Box<Node>),
    /// What the group of this number has taken.
    Reference(usize),
    /// Whether the group of this number has taken anything, and what stands there if so and if not.
    Condition(usize, Box<Node>, Box<Node>),
    Repeat(Times, Box<Node>),
    Concat(Vec<Node>),
    Alternation(Vec<Node>),
}

/// What a place in the text must be, without taking anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assertion {
    /// `^`
    Start,
    /// `$`
    End,
    /// `\A`
    TextStart,
    /// `\Z`
    TextEnd,
    /// `\b`
    Border,
    /// `\B`
    NoBorder,
}

/// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) is_behind: bool,
    pub(super) is_negative: bool,
}

/// How often something is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) least: u32,
    /// `None` if there is no end to it.
    pub(super) most: Option<u32>,
    pub(super) manner: Manner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Greedy,
    /// `*?`
    Lazy,
    /// `*+`
    Possessive,
}

/// `[…]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) is_negated: bool,
    pub(super) items: Vec<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// From one character to another, both with it.
    Range(char, char),
    Kind(Kind),
}

/// `\d`, `\w`, `\s`, and with `false` what they are not: `\D`, `\W`, `\S`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Digit(bool),
    Word(bool),
    Space(bool),
}

/// The flags that mean something here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// `i`
    pub(super) ignore_case: bool,
    /// `m`
    pub(super) multi_line: bool,
    /// `s`
    pub(super) dot_all: bool,
    /// `a`: only ASCII has letters.
    pub(super) ascii: bool,
    /// `x`: spaces and comments mean nothing. Only the parser needs to know.
    pub(super) verbose: bool,
}

/// What a group changes of the flags: which it turns on, and which off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) on: Flags,
    pub(super) off: Flags,
    /// `u`, which is the end of `a`.
    pub(super) unicode: bool,
}

impl Flags {
    pub(super) fn changed(self, change: Change) -> Flags {
        let Change { on, off, unicode } = change;
        Flags {
            ignore_case: (self.ignore_case || on.ignore_case) && !off.ignore_case,
            multi_line: (self.multi_line || on.multi_line) && !off.multi_line,
            dot_all: (self.dot_all || on.dot_all) && !off.dot_all,
            ascii: (self.ascii || on.ascii) && !unicode,
            verbose: (self.verbose || on.verbose) && !off.verbose,
        }
    }
}

/// How many characters something takes, at the least and at the most; far beyond what matters, one number is as good as
/// another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) least: usize,
    pub(super) most: usize,
}

impl Width {
    const fn exactly(width: usize) -> Self {
        Width {
            least: width,
            most: width,
        }
    }

    fn or(self, other: Width) -> Width {
        Width {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }

    fn then(self, other: Width) -> Width {
        Width {
            least: self.least.saturating_add(other.least),
            most: self.most.saturating_add(other.most),
        }
    }

    /// Of `node`; what groups take is in `groups`, by their numbers from 1.
    pub(super) fn of(node: &Node, groups: &[Width]) -> Width {
        match node {
            Node::Empty | Node::Assertion(_) | Node::Look(..) => Width::default(),
            Node::Literal(_) | Node::Any | Node::Class(_) => Width::exactly(1),
            Node::Group(_, sub) | Node::Flagged(_, sub) | Node::Atomic(sub) => {
                Width::of(sub, groups)
            }
            Node::Reference(group) => groups.get(group - 1).copied().unwrap_or_default(),
            Node::Condition(_, yes, no) => Width::of(yes, groups).or(Width::of(no, groups)),
            Node::Repeat(times, sub) => {
                let once = Width::of(sub, groups);
                let most = times.most.map_or(usize::MAX, |most| most as usize);
                Width {
                    least: once.least.saturating_mul(times.least as usize),
                    most: once.most.saturating_mul(most),
                }
            }
            Node::Concat(parts) => parts
                .iter()
                .map(|part| Width::of(part, groups))
                .fold(Width::default(), Width::then),
            Node::Alternation(parts) => parts
                .iter()
                .map(|part| Width::of(part, groups))
                .reduce(Width::or)
                .unwrap_or_default(),
        }
    }
}
