//! What does a backslash make of what follows it?

use super::super::fault::Fault;
use super::super::syntax::{Assertion, Class, Item, Kind, Node};
use super::{Mistake, Parser};

impl Parser<'_> {
    /// Reads an escape outside of classes.
    pub(super) fn escape(&mut self) -> Result<Node, Mistake> {
        let from = self.at;
        let sign = self.escaped_sign()?;
        let assertion = match sign {
            'A' => Some(Assertion::TextStart),
            'Z' => Some(Assertion::TextEnd),
            'b' => Some(Assertion::Border),
            'B' => Some(Assertion::NoBorder),
            _ => None,
        };
        if let Some(assertion) = assertion {
            return Ok(Node::Assertion(assertion));
        }
        if let Some(kind) = kind(sign) {
            let items = vec![Item::Kind(kind)];
            return Ok(Node::Class(Class {
                is_negated: false,
                items,
            }));
        }
        if sign.is_ascii_digit() && sign != '0' {
            return self.reference(from);
        }
        let literal = match sign {
            // Up to two digits more.
            '0' => {
                let digits = self.some(2, is_octal);
                u32::from_str_radix(digits, 8)
                    .ok()
                    .or(Some(0))
                    .and_then(char::from_u32)
            }
            other => self.escaped_character(other, from)?,
        };
        literal.map(Node::Literal).ok_or((from, Fault::BadEscape))
    }

    /// Reads an escape in a class.
    pub(super) fn class_escape(&mut self) -> Result<Item, Mistake> {
        let from = self.at;
        let sign = self.escaped_sign()?;
        if let Some(kind) = kind(sign) {
            return Ok(Item::Kind(kind));
        }
        let character = match sign {
            'b' => Some('\x08'),
            digit if is_octal(digit) => {
                self.at = from + 1;
                self.octal(from)?
            }
            other => self.escaped_character(other, from)?,
        };
        let character = character.ok_or((from, Fault::BadEscape))?;
        Ok(Item::Range(character, character))
    }

    /// Reads the backslash and the sign behind it.
    fn escaped_sign(&mut self) -> Result<char, Mistake> {
        let from = self.at;
        self.next();
        self.next().ok_or((from, Fault::BadEscape))
    }

    /// What stands for one character inside of classes and outside; `None` if nothing does.
    fn escaped_character(&mut self, sign: char, from: usize) -> Result<Option<char>, Mistake> {
        Ok(match sign {
            'a' => Some('\x07'),
            'f' => Some('\x0C'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0B'),
            'x' => Some(self.hexadecimal(2, from)?),
            'u' => Some(self.hexadecimal(4, from)?),
            'U' => Some(self.hexadecimal(8, from)?),
            'N' => return Err((from, Fault::NamedCharacter)),
            other if other.is_ascii_alphanumeric() => None,
            other => Some(other),
        })
    }

    fn hexadecimal(&mut self, length: usize, from: usize) -> Result<char, Mistake> {
        let digits = self.some(length, |next| next.is_ascii_hexdigit());
        let is_whole = digits.len() == length;
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_whole);
        code.and_then(char::from_u32)
            .ok_or((from, Fault::CutEscape))
    }

    /// Reads up to three octal digits.
    fn octal(&mut self, from: usize) -> Result<Option<char>, Mistake> {
        let digits = self.some(3, is_octal);
        match u32::from_str_radix(digits, 8) {
            Ok(code @ 0..=0o377) => Ok(char::from_u32(code)),
            _ => Err((from, Fault::CutEscape)),
        }
    }

    /// Reads a number of a group, or else, if there are three octal digits, a character.
    fn reference(&mut self, from: usize) -> Result<Node, Mistake> {
        let digits = &self.text[from + 1..];
        let octal = digits
            .chars()
            .take(3)
            .filter(|next| is_octal(*next))
            .count();
        if octal == 3 {
            self.at = from + 1;
            let character = self.octal(from)?;
            return character.map(Node::Literal).ok_or((from, Fault::CutEscape));
        }
        self.some(1, |next| next.is_ascii_digit());
        let number = &self.text[from + 1..self.at];
        let group = number.parse().map_err(|_| (from, Fault::NoSuchGroup))?;
        self.refer(group, from)?;
        Ok(Node::Reference(group))
    }
}

fn is_octal(digit: char) -> bool {
    matches!(digit, '0'..='7')
}

fn kind(sign: char) -> Option<Kind> {
    Some(match sign {
        'd' => Kind::Digit(true),
        'D' => Kind::Digit(false),
        'w' => Kind::Word(true),
        'W' => Kind::Word(false),
        's' => Kind::Space(true),
        'S' => Kind::Space(false),
        _ => return None,
    })
}
