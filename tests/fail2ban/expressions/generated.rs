//! Expressions that were thrown together, and texts that look as if they could be meant.

use std::fmt::Write as _;

use f2bd::config::fail2ban::expression::Hosts;
use serde_json::json;

use super::python::Python;
use super::{Taken, compiled, found};
use crate::support::dice::Dice;

/// How many expressions are tried, each on some texts.
const EXPRESSIONS: usize = 3000;

/// How many texts are shown to each.
const TEXTS: usize = 40;

/// What texts are made of, and literals of expressions.
const SIGNS: [&str; 24] = [
    "a", "b", "a", "b", "A", "B", "c", "x", "1", "2", "0", "_", "-", " ", " ", ".", "<", ">", "[",
    "]", "{", "}", "\"", "\t",
];

/// What an atom takes, on which depends whether it is repeated. What can be empty is not: how often something repeats nothing
/// is another matter in Python, which shows in what its groups take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Atom {
    TakesSomething,
    CanBeEmpty,
    Looks,
}

/// An expression of Python while it is written.
struct Writer<'d> {
    dice: &'d mut Dice,
    text: String,
    /// How many groups were begun, and which of them are closed.
    groups: usize,
    closed: Vec<usize>,
}

impl Writer<'_> {
    fn one_of<'s>(&mut self, choices: &[&'s str]) -> &'s str {
        choices[self.dice.below(choices.len() as u64) as usize]
    }

    fn chance(&mut self, of_hundred: u64) -> bool {
        self.dice.below(100) < of_hundred
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Writes branches; tells whether they can take nothing.
    fn branches(&mut self, depth: usize) -> bool {
        let mut can_be_empty = self.sequence(depth);
        while self.chance(18) {
            self.push("|");
            can_be_empty |= self.sequence(depth);
        }
        can_be_empty
    }

    fn sequence(&mut self, depth: usize) -> bool {
        let mut can_be_empty = true;
        for _ in 0..self.dice.below(4) + u64::from(depth == 0) {
            let atom = self.atom(depth);
            let mut takes_something = atom == Atom::TakesSomething;
            if matches!(atom, Atom::TakesSomething | Atom::Looks) && self.chance(30) {
                let times = self.one_of(&[
                    "*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}", "{0,1}", "{,}", "*", "+", "?",
                ]);
                takes_something &= times.contains(['1', '2', '+']) && !times.contains([',', '0'])
                    || times.starts_with("{1");
                self.push(times);
                if self.chance(30) {
                    let manner = self.one_of(&["?", "?", "?", "+"]);
                    self.push(manner);
                }
            }
            can_be_empty &= !takes_something;
        }
        can_be_empty
    }

    fn inside(&mut self, depth: usize) -> Atom {
        let can_be_empty = self.branches(depth + 1);
        self.push(")");
        match can_be_empty {
            true => Atom::CanBeEmpty,
            false => Atom::TakesSomething,
        }
    }

    fn atom(&mut self, depth: usize) -> Atom {
        match self.dice.below(if depth < 4 { 100 } else { 62 }) {
            0..30 => {
                let sign = self.one_of(&SIGNS);
                match sign {
                    "." | "[" => self.push("\\"),
                    _ if self.chance(10)
                        && !sign.starts_with(|sign: char| sign.is_ascii_alphanumeric()) =>
                    {
                        self.push("\\");
                    }
                    _ => {}
                }
                self.push(sign);
            }
            30..36 => {
                let escape = self.one_of(&[
                    r"\x61", r"\141", r"\u0062", r"\t", r"\-", r"\<", r"\>", r"\@", r"\/", r"\#",
                    r"\ ", r"\x1c", r"\0",
                ]);
                self.push(escape);
            }
            36..48 => {
                let kind = self.one_of(&[r"\w", r"\d", r"\s", r"\S", r"\W", r"\D", ".", ".", "."]);
                self.push(kind);
            }
            48..56 => self.class(),
            56..62 => {
                let assertion =
                    self.one_of(&["^", "$", r"\b", r"\B", r"\A", r"\Z", r"\b", "(?#c)"]);
                self.push(assertion);
                return Atom::CanBeEmpty;
            }
            62..72 => {
                self.groups += 1;
                let number = self.groups;
                let _ = write!(self.text, "(?P<g{number}>");
                let atom = self.inside(depth);
                self.closed.push(number);
                return atom;
            }
            72..78 => {
                self.push("(?:");
                return self.inside(depth);
            }
            78..84 => {
                let look = self.one_of(&["(?=", "(?!", "(?!"]);
                self.push(look);
                self.inside(depth);
                return Atom::Looks;
            }
            84..87 => {
                let look = self.one_of(&["(?<=", "(?<!"]);
                let inside =
                    self.one_of(&["a", r"\w", "[ab]x", "a|b", "^", "", r"\d|x", "a|bc", "b*"]);
                self.push(look);
                self.push(inside);
                self.push(")");
                return Atom::Looks;
            }
            87..91 => {
                if let Some(group) = self.some_group() {
                    let _ = match self.chance(70) {
                        true => write!(self.text, "(?P=g{group})"),
                        false => write!(self.text, "(?:\\{group})"),
                    };
                }
                return Atom::CanBeEmpty;
            }
            91..94 => {
                if let Some(group) = self.some_group() {
                    let _ = match self.chance(70) {
                        true => write!(self.text, "(?(g{group})"),
                        false => write!(self.text, "(?({group})"),
                    };
                    self.sequence(depth + 1);
                    if self.chance(70) {
                        self.push("|");
                        self.sequence(depth + 1);
                    }
                    self.push(")");
                }
                return Atom::CanBeEmpty;
            }
            94..97 => {
                let flags = self.one_of(&[
                    "(?i:", "(?s:", "(?i-s:", "((?i)", "(?:(?i)", "(?m:", "(?a:", "(?-i:",
                ]);
                self.push(flags);
                return self.inside(depth);
            }
            _ => {
                self.push("(?>");
                return self.inside(depth);
            }
        }
        Atom::TakesSomething
    }

    fn class(&mut self) {
        self.push("[");
        if self.chance(30) {
            self.push("^");
        }
        if self.chance(8) {
            self.push("]");
        }
        for _ in 0..=self.dice.below(3) {
            let item = self.one_of(&[
                "a",
                "b",
                "a-c",
                "A-Z",
                "0-9",
                r"\w",
                r"\d",
                r"\s",
                r"\S",
                r"\W",
                r"\]",
                "[",
                "^",
                " ",
                ".",
                "<",
                r"\-",
                "&&",
                "~~",
                r"\b",
                r"\x41-\x43",
                "{",
                "\"",
                "é",
                "à-ü",
                r"\101",
            ]);
            self.push(item);
        }
        if self.chance(8) {
            self.push("-");
        }
        self.push("]");
    }

    fn some_group(&mut self) -> Option<usize> {
        let count = self.closed.len() as u64;
        let place = (count > 0).then(|| self.dice.below(count))?;
        self.closed.get(place as usize).copied()
    }
}

/// An expression; one of twenty has a mistake, or should have.
fn expression(dice: &mut Dice) -> String {
    let mut writer = Writer {
        dice,
        text: String::new(),
        groups: 0,
        closed: Vec::new(),
    };
    if writer.chance(10) {
        let flags = writer.one_of(&["(?i)", "(?s)", "(?m)", "(?x)", "(?is)", "(?a)"]);
        writer.push(flags);
    }
    writer.branches(0);
    let mut text = writer.text;
    if dice.below(20) == 0 && !text.is_empty() {
        let at = dice.below(text.chars().count() as u64) as usize;
        let sign = [
            "(", ")", "[", "]", "\\", "*", "?", "{", "|", "(?", "+", "{3,2}", "\\8", "\\q",
        ];
        let sign = sign[dice.below(sign.len() as u64) as usize];
        let place = text.char_indices().nth(at).map_or(0, |(place, _)| place);
        text.insert_str(place, sign);
    }
    text
}

fn text(dice: &mut Dice, multi_line: bool) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(9) {
        let sign = dice.below(SIGNS.len() as u64 + 2) as usize;
        text.push_str(match SIGNS.get(sign) {
            Some(sign) => sign,
            None if multi_line => "\n",
            None => "\x1C",
        });
    }
    text
}

#[test]
fn generated_expressions_take_what_they_take_in_python() {
    let Some(mut python) = Python::start(None) else {
        return;
    };
    let mut dice = Dice::new(8);
    let (mut sound, mut hits, mut linear, mut limits) = (0, 0, 0, 0);
    let mut differences = Vec::new();
    for number in 0..EXPRESSIONS {
        let multi_line = number % 4 == 0;
        let expression = expression(&mut dice);
        if expression.trim().is_empty() {
            continue;
        }
        let texts: Vec<_> = (0..TEXTS).map(|_| text(&mut dice, multi_line)).collect();
        // Flags that hold for a group alone are Fail2ban's own, so its way to write them anew is asked for.
        let scoped = expression
            .replace("((?i)", "(?i:")
            .replace("(?:(?i)", "(?i:");
        let question = json!({
            "question": "search", "expression": scoped, "multi_line": multi_line, "texts": texts,
        });
        let theirs = python.ask::<Taken>(&question);
        let ours = compiled(&expression, Hosts::Named, multi_line);
        match (theirs, ours) {
            (Taken::Error(_), Err(_)) => {}
            (Taken::Error(error), Ok(_)) => {
                differences.push(format!("{expression} in Python: {error}"))
            }
            (Taken::Found(_), Err(error)) => differences.push(format!("{expression}: {error}")),
            (Taken::Found(theirs), Ok(compiled)) => {
                sound += 1;
                linear += usize::from(compiled.is_linear());
                for (text, theirs) in texts.iter().zip(theirs) {
                    // In Python, the empty text has nothing but borders of words.
                    if text.is_empty() && expression.contains(r"\B") {
                        continue;
                    }
                    hits += usize::from(theirs.is_some());
                    match found(&compiled, text) {
                        None => limits += 1,
                        Some(ours) => {
                            // A group of a number has no name there.
                            let ours = ours.map(|mut ours| {
                                ours.retain(|name, _| !name.starts_with("group_"));
                                ours
                            });
                            if ours != theirs {
                                differences.push(format!(
                                    "{expression} on {text:?}: {ours:?} but in Python {theirs:?}; here {}",
                                    compiled.source(),
                                ));
                                break;
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(
        sound * 4 > EXPRESSIONS && linear * 4 > sound && linear < sound,
        "too few are sound, or of one kind: {sound}, {linear}"
    );
    assert_eq!(limits, 0, "such short texts need few steps");
    assert!(hits > sound * 4, "too few texts are taken: {hits}");
    let all = differences.join("\n");
    assert!(
        differences.is_empty(),
        "{} differences:\n{all}",
        differences.len()
    );
}
