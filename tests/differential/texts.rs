//! Texts that a pattern takes, or nearly.

use f2bd::engine::record::LONGEST_MESSAGE;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::choices::Choices;

/// Addresses, and what looks like one.
const ADDRESSES: [&str; 30] = [
    "192.0.2.7",
    "192.0.2.7",
    "2001:db8::7",
    "2001:DB8::7",
    "1.2.3.4",
    "255.255.255.255",
    "::ffff:192.0.2.7",
    "fe80::1%eth0",
    "fe80::",
    "::1",
    "::",
    "::7",
    "1:2:3:4:5:6:7:8",
    "1::2.3.4.5",
    "192.0.2.7%1",
    "999.0.2.7",
    "01.2.3.4",
    "1.2.3",
    "1.2.3.4.5",
    "1:2:3",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    ":::",
    "192.0.2.7:22",
    "fe80::1%",
    "192.0.2.256",
    "::192.0.2.777",
    "dead:beef",
    "a:1",
    "",
];

/// Names of hosts, and what looks like one.
const NAMES: [&str; 12] = [
    "box",
    "box.example",
    "a-b.example",
    "x_y",
    "7",
    "7x",
    "-x",
    ".x",
    "box.",
    "b%d",
    "1.2.3.4.in-addr.arpa",
    "unknown",
];

/// What an attacker might write beside his name, and what may tear a text apart.
const PHRASES: [&[u8]; 24] = [
    b" ",
    b"x",
    b"7",
    b":",
    b"::",
    b".",
    b"%",
    b"-",
    b"_",
    b"\n",
    b"\r\n",
    b"\t",
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\xc3\xa9",
    b"from ",
    b" from 203.0.113.9",
    b" for ",
    b" from 203.0.113.9 port 22 ssh2",
    b"2001:db8:bad::9 ",
    b"]",
    b" port 22",
    b"Failed password for ",
];

/// A text that the structure of a pattern takes, but for its addresses and the ends of words.
pub fn sample(hir: &Hir, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut sample = Sample::default();
    sample.append(hir, choices);
    if choices.once_in(12) {
        sample.reach_the_cut(choices);
    }
    sample.text
}

#[derive(Default)]
struct Sample {
    text: Vec<u8>,
    /// Where what can be repeated without end stands, and how long it is.
    elastic: Vec<(usize, usize)>,
}

impl Sample {
    fn append(&mut self, hir: &Hir, choices: &mut Choices<'_>) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.extend_from_slice(&literal.0),
            HirKind::Class(class) => self.text.push(member(class, choices)),
            HirKind::Repetition(repeated) => {
                let most = repeated.max.unwrap_or(u32::MAX).min(repeated.min + 4);
                let count = choices.below((most - repeated.min + 1) as usize);
                for _ in 0..repeated.min as usize + count {
                    let start = self.text.len();
                    self.append(&repeated.sub, choices);
                    if repeated.max.is_none() && self.text.len() > start {
                        self.elastic.push((start, self.text.len() - start));
                    }
                }
            }
            HirKind::Capture(group) => match group.name.as_deref() {
                Some("ip") => self.push(choices.of(&ADDRESSES)),
                Some("host") if choices.once_in(2) => self.push(choices.of(&NAMES)),
                Some("host") => self.push(choices.of(&ADDRESSES)),
                Some("user" | "target" | "forwarded") if choices.once_in(2) => {
                    self.text.extend_from_slice(choices.of(&PHRASES));
                }
                _ => self.append(&group.sub, choices),
            },
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.append(part, choices)),
            HirKind::Alternation(parts) => {
                self.append(&parts[choices.below(parts.len())], choices);
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// Repeats a part that may be so often that a word ends about where messages are cut.
    fn reach_the_cut(&mut self, choices: &mut Choices<'_>) {
        if self.elastic.is_empty() {
            return;
        }
        let (start, length) = choices.of(&self.elastic);
        let part = self.text[start..start + length].to_vec();
        let is_end = |place: &usize| {
            let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || b".:".contains(byte);
            let behind = self.text.get(*place).is_some_and(in_word);
            in_word(&self.text[place - 1]) && !behind
        };
        let ends: Vec<usize> = (start + length..=self.text.len()).filter(is_end).collect();
        let end = match ends.as_slice() {
            [] => self.text.len(),
            ends => choices.of(ends),
        };
        let missing = (LONGEST_MESSAGE + choices.below(4)).saturating_sub(end + 1);
        let filling = part.repeat(missing / length);
        insert(&mut self.text, start, &filling);
    }
}

/// A byte of a class, one that people write if there is any.
fn member(class: &Class, choices: &mut Choices<'_>) -> u8 {
    let Class::Bytes(class) = class else {
        return b'x';
    };
    let usual = b"x7 frmoail:./-";
    let chosen = usual[choices.below(usual.len())];
    let takes = |byte: u8| {
        class
            .ranges()
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&byte))
    };
    if takes(chosen) {
        return chosen;
    }
    match class.ranges() {
        [] => b'x',
        ranges => {
            let range = ranges[choices.below(ranges.len())];
            range.start() + choices.below(usize::from(range.end() - range.start()) + 1) as u8
        }
    }
}

/// Changes a text as an attacker, a relay or a full disk might.
pub fn change(text: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let place = choices.below(text.len() + 1);
    match choices.below(13) {
        0 | 1 => insert(text, place, choices.of(&PHRASES)),
        2 => insert(text, place, choices.of(&ADDRESSES).as_bytes()),
        3 => {
            if let Some(byte) = text.get_mut(place) {
                *byte ^= 1 << choices.below(8);
            }
        }
        4 => text.truncate(place),
        5 => drop(text.drain(..place)),
        6 => text.make_ascii_uppercase(),
        7 => {
            if let Some(byte) = text.get_mut(place) {
                *byte ^= 0x20;
            }
        }
        // A part of it twice.
        8 => {
            let end = place + choices.below(text.len() - place + 1);
            let part = text[place..end].to_vec();
            insert(text, place, &part);
        }
        9 => {
            let end = place + choices.below(text.len() - place + 1);
            text.drain(place..end);
        }
        // Behind whatever was written before.
        10 => insert(text, 0, &[text.clone(), b" ".to_vec()].concat()),
        11 => text.push(choices.of(b" \n.:x7\0\xff")),
        // What is long takes long.
        _ if choices.once_in(3) => stretch(text, place, choices),
        _ => {}
    }
}

/// Makes it about as long as a message may be, or twice that.
fn stretch(text: &mut Vec<u8>, place: usize, choices: &mut Choices<'_>) {
    let length = LONGEST_MESSAGE * (1 + usize::from(choices.once_in(8))) + choices.below(6);
    let missing = (length - 3).saturating_sub(text.len());
    let filling = match choices.below(3) {
        0 => b"x".to_vec(),
        1 => b" ".to_vec(),
        _ => text.clone(),
    };
    let filling: Vec<u8> = filling.into_iter().cycle().take(missing).collect();
    insert(text, place, &filling);
}

fn insert(text: &mut Vec<u8>, place: usize, more: &[u8]) {
    text.splice(place..place, more.iter().copied());
}
