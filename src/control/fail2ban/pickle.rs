//! How do values travel over Fail2ban's socket?
//!
//! As Python's pickles: programs for a small machine with a stack, which in Python can call anything. This one knows
//! strings, numbers, lists and tuples, and refuses every instruction that could make something else. What comes is foreign:
//! its size, its depth and what it comes to are bounded. What goes is protocol 2, which everybody reads.

use super::fault::Fault;
use super::value::Value;

/// How deep lists may lie in lists: a command is a list of words, and that of a reload has lists of lists.
const DEEPEST: usize = 8;

/// How many values a pickle may come to: a reload sends all of a configuration.
const MOST_VALUES: usize = 100_000;

/// Bytes that strings may come to, those that were used again included.
const MOST_TEXT: usize = 2 * 1024 * 1024;

/// How many values may be remembered for use again: Python remembers each string and each list.
const MOST_REMEMBERED: usize = MOST_VALUES;

/// Why a pickle is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// It ends in the middle.
    #[error("it ends too early")]
    Short,
    /// It wants something that is none of the harmless things.
    #[error("instruction {0:#04x} is not obeyed")]
    Refused(u8),
    /// Its instructions do not fit each other.
    #[error("instruction {0:#04x} has nothing to work on")]
    Senseless(u8),
    /// It comes to too much.
    #[error("it is too large")]
    TooLarge,
    /// A number or a string in it is none.
    #[error("it holds what is no number or no text")]
    Garbled,
}

/// Reads a value.
///
/// # Errors
/// It is no pickle, or not a harmless one.
pub fn read(bytes: &[u8]) -> Result<Value, PickleError> {
    let mut machine = Machine {
        rest: bytes,
        stack: Vec::new(),
        remembered: Vec::new(),
        values: 0,
        text: 0,
    };
    loop {
        if let Some(value) = machine.step()? {
            return Ok(value);
        }
    }
}

enum Item {
    Mark,
    /// A value, and how deep it is.
    Value(Value, usize),
}

struct Machine<'b> {
    rest: &'b [u8],
    stack: Vec<Item>,
    /// Strings and numbers; lists are never used again by those who send commands.
    remembered: Vec<(u64, Value)>,
    values: usize,
    text: usize,
}

impl<'b> Machine<'b> {
    /// Obeys one instruction; the value, if that was the last one.
    fn step(&mut self) -> Result<Option<Value>, PickleError> {
        let code = self.bytes(1)?[0];
        match code {
            // PROTO and FRAME say what is known anyway.
            0x80 => drop(self.bytes(1)?),
            0x95 => drop(self.bytes(8)?),
            b'.' => return self.value(code).map(|(value, _)| Some(value)),
            b'(' => self.stack.push(Item::Mark),
            b'0' => drop(self.value(code)?),
            b'N' => self.push(Value::Nothing, 0)?,
            0x88 => self.push(Value::Flag(true), 0)?,
            0x89 => self.push(Value::Flag(false), 0)?,
            // BININT, BININT1, BININT2
            b'J' => {
                let number = self.number(4)?;
                let number = u32::try_from(number).map_err(|_| PickleError::Garbled)?;
                self.push(Value::Whole(i64::from(number.cast_signed())), 0)?;
            }
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            // LONG1
            0x8a => {
                let length = self.number(1)?;
                let bytes = self.bytes(length)?;
                self.push(Value::Whole(long(bytes)?), 0)?;
            }
            // INT and LONG; `01` and `00` are the flags of the first protocol.
            b'I' | b'L' => {
                let line = self.line()?;
                let value = match line {
                    b"01" => Value::Flag(true),
                    b"00" => Value::Flag(false),
                    line => {
                        let text = std::str::from_utf8(line).map_err(|_| PickleError::Garbled)?;
                        let text = text.strip_suffix('L').unwrap_or(text);
                        Value::Whole(text.parse().map_err(|_| PickleError::Garbled)?)
                    }
                };
                self.push(value, 0)?;
            }
            // BINFLOAT and FLOAT
            b'G' => {
                let bytes = self.bytes(8)?;
                let bytes = bytes.try_into().map_err(|_| PickleError::Short)?;
                self.push(Value::Real(f64::from_be_bytes(bytes)), 0)?;
            }
            b'F' => {
                let line = std::str::from_utf8(self.line()?).map_err(|_| PickleError::Garbled)?;
                let number = line.parse().map_err(|_| PickleError::Garbled)?;
                self.push(Value::Real(number), 0)?;
            }
            // Strings and bytes: SHORT_BINUNICODE, SHORT_BINSTRING, SHORT_BINBYTES; BINUNICODE, BINSTRING, BINBYTES;
            // BINUNICODE8, BINBYTES8
            0x8c | b'U' | b'C' => self.text(1)?,
            b'X' | b'T' | b'B' => self.text(4)?,
            0x8d | 0x8e => self.text(8)?,
            // UNICODE and STRING
            b'V' => {
                let line = self.line()?;
                self.push_text(line)?;
            }
            b'S' => {
                let line = self.line()?;
                let quoted = match line {
                    [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
                    _ => return Err(PickleError::Garbled),
                };
                // Escapes stand for what no word of a command has.
                if quoted.contains(&b'\\') {
                    return Err(PickleError::Garbled);
                }
                self.push_text(quoted)?;
            }
            b']' => self.push(Value::List(Vec::new()), 0)?,
            b')' => self.push(Value::Tuple(Vec::new()), 0)?,
            b'l' => {
                let (values, depth) = self.marked(code)?;
                self.push(Value::List(values), depth)?;
            }
            b't' => {
                let (values, depth) = self.marked(code)?;
                self.push(Value::Tuple(values), depth)?;
            }
            // TUPLE1, TUPLE2, TUPLE3
            0x85..=0x87 => {
                let mut values = Vec::new();
                let mut deepest = 0;
                for _ in 0x85..=code {
                    let (value, depth) = self.value(code)?;
                    values.insert(0, value);
                    deepest = deepest.max(depth + 1);
                }
                self.push(Value::Tuple(values), deepest)?;
            }
            b'a' => {
                let (value, depth) = self.value(code)?;
                self.append(code, vec![value], depth + 1)?;
            }
            b'e' => {
                let (values, depth) = self.marked(code)?;
                self.append(code, values, depth)?;
            }
            // MEMOIZE, BINPUT, LONG_BINPUT, PUT
            0x94 => self.remember(code, None)?,
            b'q' => {
                let place = self.number(1)?;
                self.remember(code, Some(place as u64))?;
            }
            b'r' => {
                let place = self.number(4)?;
                self.remember(code, Some(place as u64))?;
            }
            b'p' => {
                let place = self.place()?;
                self.remember(code, Some(place))?;
            }
            // BINGET, LONG_BINGET, GET
            b'h' => {
                let place = self.number(1)?;
                self.recall(code, place as u64)?;
            }
            b'j' => {
                let place = self.number(4)?;
                self.recall(code, place as u64)?;
            }
            b'g' => {
                let place = self.place()?;
                self.recall(code, place)?;
            }
            other => return Err(PickleError::Refused(other)),
        }
        Ok(None)
    }

    fn bytes(&mut self, length: usize) -> Result<&'b [u8], PickleError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(PickleError::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Up to the end of a line, which is not part of it.
    fn line(&mut self) -> Result<&'b [u8], PickleError> {
        let end = memchr::memchr(b'\n', self.rest).ok_or(PickleError::Short)?;
        let line = self.bytes(end)?;
        self.bytes(1)?;
        Ok(line)
    }

    fn place(&mut self) -> Result<u64, PickleError> {
        let line = std::str::from_utf8(self.line()?).map_err(|_| PickleError::Garbled)?;
        line.parse().map_err(|_| PickleError::Garbled)
    }

    /// A number of so many bytes, the lowest one first.
    fn number(&mut self, length: usize) -> Result<usize, PickleError> {
        let bytes = self.bytes(length)?;
        let number = bytes.iter().rev().try_fold(0usize, |number, byte| {
            number.checked_mul(256)?.checked_add(usize::from(*byte))
        });
        number.ok_or(PickleError::TooLarge)
    }

    fn unsigned(&mut self, length: usize) -> Result<(), PickleError> {
        let number = self.number(length)?;
        self.push(Value::count(number), 0)
    }

    fn text(&mut self, length: usize) -> Result<(), PickleError> {
        let length = self.number(length)?;
        let bytes = self.bytes(length)?;
        self.push_text(bytes)
    }

    fn push_text(&mut self, bytes: &[u8]) -> Result<(), PickleError> {
        // What is no UTF-8 is no word of any command.
        self.push(Value::Text(String::from_utf8_lossy(bytes).into_owned()), 0)
    }

    fn push(&mut self, value: Value, depth: usize) -> Result<(), PickleError> {
        self.values += 1;
        if let Value::Text(text) = &value {
            self.text += text.len();
        }
        if self.values > MOST_VALUES || self.text > MOST_TEXT || depth > DEEPEST {
            return Err(PickleError::TooLarge);
        }
        self.stack.push(Item::Value(value, depth));
        Ok(())
    }

    fn value(&mut self, code: u8) -> Result<(Value, usize), PickleError> {
        match self.stack.pop() {
            Some(Item::Value(value, depth)) => Ok((value, depth)),
            _ => Err(PickleError::Senseless(code)),
        }
    }

    /// The values behind the last mark, and how deep what holds them is.
    fn marked(&mut self, code: u8) -> Result<(Vec<Value>, usize), PickleError> {
        let is_mark = |item: &Item| matches!(item, Item::Mark);
        let mark = self.stack.iter().rposition(is_mark);
        let mark = mark.ok_or(PickleError::Senseless(code))?;
        let (mut values, mut deepest) = (Vec::new(), 0);
        for item in self.stack.drain(mark..) {
            if let Item::Value(value, depth) = item {
                values.push(value);
                deepest = deepest.max(depth + 1);
            }
        }
        Ok((values, deepest))
    }

    fn append(&mut self, code: u8, values: Vec<Value>, depth: usize) -> Result<(), PickleError> {
        if depth > DEEPEST {
            return Err(PickleError::TooLarge);
        }
        match self.stack.last_mut() {
            Some(Item::Value(Value::List(list), deepest)) => {
                list.extend(values);
                *deepest = (*deepest).max(depth);
                Ok(())
            }
            _ => Err(PickleError::Senseless(code)),
        }
    }

    fn remember(&mut self, code: u8, place: Option<u64>) -> Result<(), PickleError> {
        let place = place.unwrap_or(self.remembered.len() as u64);
        let Some(Item::Value(value, _)) = self.stack.last() else {
            return Err(PickleError::Senseless(code));
        };
        if self.remembered.len() >= MOST_REMEMBERED {
            return Err(PickleError::TooLarge);
        }
        // What holds others keeps its place, and is not used again.
        let value = match value {
            Value::List(_) | Value::Tuple(_) | Value::Map(_) => Value::Nothing,
            Value::Text(text) => {
                self.text += text.len();
                value.clone()
            }
            other => other.clone(),
        };
        if self.text > MOST_TEXT {
            return Err(PickleError::TooLarge);
        }
        self.remembered.push((place, value));
        Ok(())
    }

    fn recall(&mut self, code: u8, place: u64) -> Result<(), PickleError> {
        // Nearly always it is where it was put.
        let at = usize::try_from(place).ok();
        let there = at.and_then(|at| self.remembered.get(at));
        let there = there.filter(|(known, _)| *known == place);
        let found = there.or_else(|| {
            let mut all = self.remembered.iter().rev();
            all.find(|(known, _)| *known == place)
        });
        match found {
            Some((_, value)) if *value != Value::Nothing => {
                let value = value.clone();
                self.push(value, 0)
            }
            _ => Err(PickleError::Senseless(code)),
        }
    }
}

/// A whole number of some bytes, the lowest one first, of which the highest has the sign.
fn long(bytes: &[u8]) -> Result<i64, PickleError> {
    let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
        0xff
    } else {
        0
    };
    let mut all = [fill; 8];
    let place = all.get_mut(..bytes.len()).ok_or(PickleError::TooLarge)?;
    place.copy_from_slice(bytes);
    Ok(i64::from_le_bytes(all))
}

/// Writes an answer: `(0, value)`.
pub fn answer(value: &Value) -> Vec<u8> {
    let mut out = b"\x80\x02K\x00".to_vec();
    write(&mut out, value);
    out.extend(b"\x86.");
    out
}

/// Writes a fault: `(1, exception)`.
pub fn fault(fault: &Fault) -> Vec<u8> {
    let (module, class) = fault.class();
    let mut out = b"\x80\x02K\x01".to_vec();
    out.extend(format!("c{module}\n{class}\n").into_bytes());
    write(&mut out, &fault.arguments());
    out.extend(b"R\x86.");
    out
}

/// Writes a value by itself.
pub fn alone(value: &Value) -> Vec<u8> {
    let mut out = b"\x80\x02".to_vec();
    write(&mut out, value);
    out.push(b'.');
    out
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nothing => out.push(b'N'),
        Value::Flag(true) => out.push(0x88),
        Value::Flag(false) => out.push(0x89),
        Value::Whole(number) => match i32::try_from(*number) {
            Ok(small) => {
                out.push(b'J');
                out.extend(small.to_le_bytes());
            }
            Err(_) => {
                out.extend([0x8a, 8]);
                out.extend(number.to_le_bytes());
            }
        },
        Value::Real(number) => {
            out.push(b'G');
            out.extend(number.to_be_bytes());
        }
        Value::Text(text) => write_text(out, text),
        Value::List(values) => {
            out.extend(b"](");
            values.iter().for_each(|value| write(out, value));
            out.push(b'e');
        }
        Value::Tuple(values) => {
            out.push(b'(');
            values.iter().for_each(|value| write(out, value));
            out.push(b't');
        }
        Value::Map(entries) => {
            out.extend(b"}(");
            for (key, value) in entries {
                write_text(out, key);
                write(out, value);
            }
            out.push(b'u');
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    // Answers are some megabytes at most.
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(words: &[&str]) -> Value {
        Value::texts(words.iter().copied())
    }

    #[test]
    fn commands_of_all_protocols_are_read() {
        for bytes in [
            // Python 3, protocol 4: the second `sshd` is remembered.
            &b"\x80\x04\x95\x18\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03set\x94\x8c\x04sshd\x94h\x02e."[..],
            // Protocol 2
            b"\x80\x02]q\x00(X\x03\x00\x00\x00setq\x01X\x04\x00\x00\x00sshdq\x02h\x02e.",
            // Protocol 0
            b"(lp0\nVset\np1\naVsshd\np2\nag2\na.",
            b"(lp0\nS'set'\np1\naS'sshd'\np2\nag2\na.",
            // Protocol 1
            b"]q\x00(U\x03setq\x01U\x04sshdq\x02h\x02e.",
        ] {
            assert_eq!(read(bytes), Ok(words(&["set", "sshd", "sshd"])), "{bytes:?}");
        }
        let ping = b"\x80\x04]\x94(\x8c\x04ping\x94G?\xb9\x99\x99\x99\x99\x99\x9ae.";
        let value = Value::List(vec!["ping".into(), Value::Real(0.1)]);
        assert_eq!(read(ping), Ok(value));
    }

    #[test]
    fn nothing_is_called_and_nothing_grows() {
        let call = b"cos\nsystem\n(S'id'\ntR.";
        assert_eq!(read(call), Err(PickleError::Refused(b'c')));
        for code in [
            b'R', b'o', b'i', b'b', 0x81, 0x92, 0x93, b'P', b'Q', 0x82, 0x97, b'}', b'2',
        ] {
            let bytes = [b")K\x01".as_slice(), &[code]].concat();
            assert_eq!(read(&bytes), Err(PickleError::Refused(code)));
        }
        let deep = [vec![b'('; 50], vec![b't'; 50], b".".to_vec()].concat();
        assert_eq!(read(&deep), Err(PickleError::TooLarge));
        // A long string, used again and again.
        let mut laughs = b"X\x00\x00\x01\x00".to_vec();
        laughs.extend(vec![b'a'; 65_536]);
        laughs.extend(b"q\x00");
        laughs.extend(b"h\x00".repeat(1_000));
        assert_eq!(read(&laughs), Err(PickleError::TooLarge));
        assert_eq!(read(b"X\xff\xff\xff\x7f"), Err(PickleError::Short));
        let many = [b"(".to_vec(), vec![b'N'; MOST_VALUES + 1]].concat();
        assert_eq!(read(&many), Err(PickleError::TooLarge));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nothing),
            any::<bool>().prop_map(Value::Flag),
            any::<i64>().prop_map(Value::Whole),
            (-1e9..1e9).prop_map(Value::Real),
            ".{0,9}".prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            let some = prop::collection::vec(inner, 0..5);
            prop_oneof![
                some.clone().prop_map(Value::List),
                some.prop_map(Value::Tuple)
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in value()) {
            prop_assert_eq!(read(&alone(&value)), Ok(value));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_instructions_are_too_odd(
            codes in prop::collection::vec(prop::sample::select(&b"(.0NJKMIGUXVS])lta\x85\x86\x87e\x94qphgj\x8a\x01\x00\n'"[..]), 0..60)
        ) {
            let _ = read(&codes);
        }
    }
}
