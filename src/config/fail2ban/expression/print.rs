//! How is an expression written for our engines?
//!
//! In: the tree. Out: text in the language of patterns over lines: bytes, of which all beyond ASCII are letters.

mod characters;

use self::characters::{bytes, control, other_cases};
use super::parse::Parsed;
use super::syntax::{Assertion, Change, Flags, Look, Manner, Node, Times, Width};

/// An expression as text, and the names of its groups. A group without a name is one only if something refers to it.
pub(super) fn print(parsed: &Parsed) -> (String, Vec<String>) {
    let mut referred = vec![false; parsed.names.len()];
    mark_referred(&parsed.node, &mut referred);
    let names: Vec<_> = (parsed.names.iter().zip(1..))
        .map(|(name, number)| match name {
            Some(name) => Some(name.clone()),
            None if referred[number - 1] => Some(unused(number, &parsed.names)),
            None => None,
        })
        .collect();
    let mut printer = Printer {
        names: &names,
        widths: &parsed.widths,
        flags: parsed.flags,
        text: String::new(),
    };
    let change = Change {
        on: parsed.flags,
        ..Change::default()
    };
    if let Some(flags) = flags(change) {
        printer.push(&["(?", &flags, ")"]);
    }
    printer.node(&parsed.node, Place::Branches);
    let text = printer.text;
    (text, names.into_iter().flatten().collect())
}

/// A name for a group that is referred to by its number.
fn unused(number: usize, names: &[Option<String>]) -> String {
    let mut name = format!("group_{number}");
    while names.iter().flatten().any(|other| *other == name) {
        name.push('_');
    }
    name
}

fn mark_referred(node: &Node, referred: &mut [bool]) {
    match node {
        Node::Empty | Node::Literal(_) | Node::Any | Node::Class(_) | Node::Assertion(_) => {}
        Node::Reference(group) => referred[group - 1] = true,
        Node::Condition(group, yes, no) => {
            referred[group - 1] = true;
            mark_referred(yes, referred);
            mark_referred(no, referred);
        }
        Node::Group(_, sub)
        | Node::Flagged(_, sub)
        | Node::Atomic(sub)
        | Node::Look(_, sub)
        | Node::Repeat(_, sub) => mark_referred(sub, referred),
        Node::Concat(parts) | Node::Alternation(parts) => {
            parts.iter().for_each(|part| mark_referred(part, referred));
        }
    }
}

/// Whether it is written as nothing.
fn is_nothing(node: &Node) -> bool {
    match node {
        Node::Empty => true,
        Node::Flagged(_, sub) | Node::Repeat(_, sub) => is_nothing(sub),
        Node::Condition(_, yes, no) => is_nothing(yes) && is_nothing(no),
        Node::Concat(parts) => parts.iter().all(is_nothing),
        _ => false,
    }
}

/// Where something is written, which decides whether it needs brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// It can have branches.
    Branches,
    /// Other parts stand beside it.
    Sequence,
    /// It is repeated.
    Atom,
}

struct Printer<'p> {
    names: &'p [Option<String>],
    widths: &'p [Width],
    /// Those that hold here.
    flags: Flags,
    text: String,
}

impl Printer<'_> {
    fn push(&mut self, parts: &[&str]) {
        self.text.extend(parts.iter().copied());
    }

    fn node(&mut self, node: &Node, place: Place) {
        match node {
            Node::Empty if place == Place::Atom => self.text.push_str("(?:)"),
            Node::Empty => {}
            Node::Literal(literal) => self.literal(*literal),
            Node::Any => self.text.push('.'),
            Node::Class(class) => self.class(class),
            Node::Assertion(assertion) => {
                let text = self.assertion(*assertion);
                match place {
                    Place::Atom => self.push(&["(?:", text, ")"]),
                    _ => self.text.push_str(text),
                }
            }
            Node::Group(number, sub) => match &self.names[number - 1] {
                Some(name) => self.group(&["(?P<", name, ">"], sub),
                None => self.node(sub, place.max(Place::Sequence)),
            },
            Node::Flagged(change, sub) => {
                let before = self.flags;
                self.flags = before.changed(*change);
                match flags(*change) {
                    Some(flags) => self.group(&["(?", &flags, ":"], sub),
                    None => self.node(sub, place.max(Place::Sequence)),
                }
                self.flags = before;
            }
            Node::Atomic(sub) => self.group(&["(?>"], sub),
            Node::Look(look, sub) => self.look(*look, sub, place),
            Node::Reference(group) => {
                let name = self.name(*group).to_owned();
                self.push(&["\\k<", &name, ">"]);
            }
            Node::Condition(group, yes, no) => self.condition(*group, yes, no),
            Node::Repeat(times, sub) => self.repeat(*times, sub, place),
            Node::Concat(parts) => self.bracketed(place >= Place::Atom, |printer| {
                for part in parts {
                    printer.node(part, Place::Sequence);
                }
            }),
            Node::Alternation(parts) => self.bracketed(place >= Place::Sequence, |printer| {
                for (number, part) in parts.iter().enumerate() {
                    if number > 0 {
                        printer.text.push('|');
                    }
                    // A branch in a branch is one.
                    printer.node(part, Place::Branches);
                }
            }),
        }
    }

    fn bracketed(&mut self, needed: bool, inside: impl FnOnce(&mut Self)) {
        if needed {
            self.text.push_str("(?:");
        }
        inside(self);
        if needed {
            self.text.push(')');
        }
    }

    fn group(&mut self, open: &[&str], sub: &Node) {
        self.push(open);
        self.node(sub, Place::Branches);
        self.text.push(')');
    }

    fn name(&self, group: usize) -> &str {
        // All that are referred to have one.
        self.names[group - 1].as_deref().unwrap_or_default()
    }

    fn look(&mut self, look: Look, sub: &Node, place: Place) {
        // Nothing is not followed by nothing.
        if look.is_negative && *sub == Node::Empty {
            self.text.push_str(r"[^\s\S]");
            return;
        }
        let open = match (look.is_behind, look.is_negative) {
            (false, false) => "(?=",
            (false, true) => "(?!",
            (true, false) => "(?<=",
            (true, true) => "(?<!",
        };
        self.bracketed(place == Place::Atom, |printer| printer.group(&[open], sub));
    }

    fn condition(&mut self, group: usize, yes: &Node, no: &Node) {
        // One of our engines would ask for the group itself.
        if is_nothing(yes) && is_nothing(no) {
            self.text.push_str("(?:)");
            return;
        }
        let name = self.name(group).to_owned();
        self.push(&["(?(<", &name, ">)"]);
        // Without a branch it would mean something else.
        let place = match yes {
            Node::Empty => Place::Atom,
            _ => Place::Sequence,
        };
        self.node(yes, place);
        if *no != Node::Empty {
            self.text.push('|');
            self.node(no, Place::Sequence);
        }
        self.text.push(')');
    }

    fn repeat(&mut self, times: Times, sub: &Node, place: Place) {
        if Width::of(sub, self.widths).most == 0 {
            self.repeat_nothing(times, sub, place);
            return;
        }
        let sign = match (times.least, times.most) {
            (0, None) => "*".to_owned(),
            (1, None) => "+".to_owned(),
            (0, Some(1)) => "?".to_owned(),
            (least, None) => format!("{{{least},}}"),
            (least, Some(most)) if least == most => format!("{{{least}}}"),
            (least, Some(most)) => format!("{{{least},{most}}}"),
        };
        if times.manner == Manner::Possessive {
            // Neither all rounds together are tried again, nor any single one.
            self.text.push_str("(?>");
            match sub {
                Node::Literal(_) | Node::Any | Node::Class(_) => self.node(sub, Place::Atom),
                other => self.group(&["(?>"], other),
            }
            self.push(&[&sign, ")"]);
            return;
        }
        // What is repeated twice needs brackets.
        self.bracketed(place == Place::Atom, |printer| {
            printer.node(sub, Place::Atom);
            printer.text.push_str(&sign);
            if times.manner == Manner::Lazy {
                printer.text.push('?');
            }
        });
    }

    /// What takes nothing is so once or not at all, and one of our engines does not repeat it.
    fn repeat_nothing(&mut self, times: Times, sub: &Node, place: Place) {
        if times.least > 0 && times.manner != Manner::Possessive {
            self.node(sub, place.max(Place::Sequence));
            return;
        }
        self.text.push_str(match times.manner {
            Manner::Possessive => "(?>",
            Manner::Greedy | Manner::Lazy => "(?:",
        });
        if times.manner == Manner::Lazy {
            self.text.push('|');
        }
        self.node(sub, Place::Sequence);
        if times.manner != Manner::Lazy && times.least == 0 {
            self.text.push('|');
        }
        self.text.push(')');
    }

    fn assertion(&self, assertion: Assertion) -> &'static str {
        match assertion {
            Assertion::Start => "^",
            Assertion::End => "$",
            Assertion::TextStart => r"\A",
            Assertion::TextEnd => r"\z",
            Assertion::Border if self.flags.ascii => {
                "(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))"
            }
            Assertion::NoBorder if self.flags.ascii => {
                "(?:(?<=[0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<![0-9A-Za-z_])(?![0-9A-Za-z_]))"
            }
            Assertion::Border => r"\b",
            Assertion::NoBorder => r"\B",
        }
    }

    fn literal(&mut self, literal: char) {
        let others = other_cases(literal);
        match literal {
            '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                self.text.extend(['\\', literal]);
            }
            _ if literal.is_ascii_control() => self.text.push_str(&control(literal)),
            _ if literal.is_ascii() || !self.flags.ignore_case => self.text.push(literal),
            _ => {
                let all: Vec<_> = [literal].into_iter().chain(others).map(bytes).collect();
                self.push(&["(?:", &all.join("|"), ")"]);
            }
        }
    }
}

/// The flags that our engines know, as text; `None` if none of them is changed.
fn flags(change: Change) -> Option<String> {
    let letters = |flags: Flags| {
        let known = [
            (flags.ignore_case, 'i'),
            (flags.multi_line, 'm'),
            (flags.dot_all, 's'),
        ];
        let set = known.into_iter().filter(|(is_set, _)| *is_set);
        set.map(|(_, letter)| letter).collect::<String>()
    };
    let (on, off) = (letters(change.on), letters(change.off));
    match (on.is_empty(), off.is_empty()) {
        (true, true) => None,
        (_, true) => Some(on),
        _ => Some(format!("{on}-{off}")),
    }
}
