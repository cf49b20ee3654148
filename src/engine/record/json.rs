//! What does a line of JSON say, and who wrote it?
//!
//! In: the bytes of a line, and which fields hold what. Out: the parts of a record. A line that was cut is read as
//! far as it goes; bytes of another encoding and what else loggers write that is no JSON is replaced. Or an
//! attacker would hide by what he is called. No clock is read here.

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::Value;

use super::Record;
use crate::engine::time::Timestamp;

/// Which fields of an object hold what; of several, the first one that is there and not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFields {
    /// The message; if there is none, it is the whole line.
    pub message: Vec<FieldPath>,
    /// When it was logged.
    pub time: Vec<FieldPath>,
    /// The machine that logged it.
    pub host: Vec<FieldPath>,
    /// The program that logged it.
    pub program: Vec<FieldPath>,
    /// Its process.
    pub pid: Vec<FieldPath>,
}

/// The names that loggers and the journal give their fields.
impl Default for JsonFields {
    fn default() -> Self {
        let paths = |names: &[&str]| names.iter().map(|name| FieldPath((*name).into())).collect();
        JsonFields {
            message: paths(&["message", "msg", "log", "MESSAGE"]),
            time: paths(&[
                "time",
                "ts",
                "timestamp",
                "@timestamp",
                "__REALTIME_TIMESTAMP",
            ]),
            host: paths(&["host", "hostname", "_HOSTNAME"]),
            program: paths(&["program", "logger", "SYSLOG_IDENTIFIER"]),
            pid: paths(&["pid", "_PID", "SYSLOG_PID"]),
        }
    }
}

/// Where a field is: its name, or the names on the way to it with dots between them, as in `request.remote_ip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Box<str>);

/// The text is no path to a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no field: write a name such as msg, or several with dots between them such as request.uri"
)]
pub struct FieldPathError(String);

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.split('.').any(str::is_empty) {
            return Err(FieldPathError(text.to_owned()));
        }
        Ok(FieldPath(text.into()))
    }
}

/// One line.
pub(super) struct Object(Value);

/// A line of a container in the hands of its engine, or a part of one.
pub(super) struct Chunk<'v> {
    pub time: &'v [u8],
    pub output: &'v [u8],
    pub text: &'v [u8],
    /// Whether its line has more parts to come.
    pub goes_on: bool,
}

impl Object {
    /// Reads a line; `None` if it is no object.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(line);
        let value = match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(_) => mended(&text)?,
        };
        matches!(value, Value::Object(_)).then_some(Object(value))
    }

    /// What Docker wrote, if it is of Docker: a line without its end goes on.
    pub fn as_chunk(&self) -> Option<Chunk<'_>> {
        let text = |name| self.0.get(name).and_then(Value::as_str).map(str::as_bytes);
        let line = text("log")?;
        let text = Chunk {
            time: text("time")?,
            output: text("stream")?,
            text: line.strip_suffix(b"\n").unwrap_or(line),
            goes_on: !line.ends_with(b"\n"),
        };
        matches!(text.output, b"stdout" | b"stderr").then_some(text)
    }

    /// The text that tells the time.
    pub fn time(&self, mapping: &JsonFields) -> Option<Cow<'_, [u8]>> {
        self.first(&mapping.time)
    }

    fn first(&self, paths: &[FieldPath]) -> Option<Cow<'_, [u8]>> {
        let texts = paths.iter().filter_map(|path| text(path.find(&self.0)?));
        texts.into_iter().find(|text| !text.is_empty())
    }
}

impl FieldPath {
    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        // A name may have dots in it: the longer one comes first.
        fn find<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
            value.get(path).or_else(|| {
                let mut dots = path.rmatch_indices('.');
                dots.find_map(|(dot, _)| find(value.get(&path[..dot])?, &path[dot + 1..]))
            })
        }
        find(value, &self.0)
    }
}

/// The last object's fields, for as long as its record lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    host: String,
    program: String,
    message: Vec<u8>,
}

impl Fields {
    /// The record that `object` is, which is all of `line`.
    pub fn record<'l>(
        &'l mut self,
        object: &Object,
        mapping: &JsonFields,
        time: Timestamp,
        line: &'l [u8],
    ) -> Record<'l> {
        let name = |paths| {
            let text = object.first(paths).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        self.host = name(&mapping.host);
        self.program = name(&mapping.program);
        let message = object.first(&mapping.message);
        let message = match message {
            Some(message) => {
                self.message.clear();
                self.message.extend_from_slice(&message);
                &self.message
            }
            None => line,
        };
        Record {
            host: &self.host,
            program: &self.program,
            pid: name(&mapping.pid).parse().ok(),
            ..Record::bare(time, message)
        }
    }
}

/// A value as text. The journal writes text of unknown encoding as a list of bytes.
fn text(value: &Value) -> Option<Cow<'_, [u8]>> {
    let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text.as_bytes())),
        Value::Array(values) if !values.is_empty() => {
            let bytes: Option<Vec<u8>> = values.iter().map(byte).collect();
            Some(Cow::Owned(
                bytes.unwrap_or_else(|| value.to_string().into()),
            ))
        }
        _ => Some(Cow::Owned(value.to_string().into_bytes())),
    }
}

/// What `text` says if it is an object but for what an attacker, or the limit of a line, can make of it: with
/// characters that must not stand in a string, with escapes that are none, with its end cut off.
fn mended(text: &str) -> Option<Value> {
    if !text.starts_with('{') {
        return None;
    }
    let mut body = String::with_capacity(text.len() + 2);
    let mut open = Vec::new();
    let mut string = false;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let mut length = next.len_utf8();
        match next {
            '\\' if string => match escape(rest) {
                Escape::Whole(whole) => {
                    length = whole;
                    body.push_str(&rest[..whole]);
                }
                Escape::Wrong(whole) => {
                    length = whole;
                    body.push(char::REPLACEMENT_CHARACTER);
                }
                Escape::None => body.push_str("\\\\"),
                Escape::Cut => length = rest.len(),
            },
            _ if string && next.is_ascii_control() => body.push(' '),
            _ => {
                match next {
                    '"' => string = !string,
                    '{' if !string => open.push('}'),
                    '[' if !string => open.push(']'),
                    '}' | ']' if !string => {
                        open.pop();
                    }
                    _ => {}
                }
                body.push(next);
            }
        }
        rest = &rest[length..];
    }
    if string {
        body.push('"');
    } else if !open.is_empty() {
        // A cut number is another one, and a cut word is none.
        let number = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let short = body.trim_end_matches(number).trim_end();
        body.truncate(short.trim_end_matches(',').len());
    }
    let closing: String = open.iter().rev().collect();
    // Behind a name its value is missing, behind a colon too.
    ["", ":null", "null"]
        .iter()
        .find_map(|value| serde_json::from_str(&format!("{body}{value}{closing}")).ok())
}

/// What a backslash begins, and how many bytes that takes.
enum Escape {
    Whole(usize),
    /// Half of a character that takes two.
    Wrong(usize),
    None,
    Cut,
}

fn escape(text: &str) -> Escape {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    match text.as_bytes() {
        [_] => Escape::Cut,
        [
            _,
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            ..,
        ] => Escape::Whole(2),
        [_, b'u', digits @ ..] => match unit(text) {
            Some(0xd800..=0xdbff) => match text.get(6..).and_then(unit) {
                Some(0xdc00..=0xdfff) => Escape::Whole(12),
                _ => Escape::Wrong(6),
            },
            Some(0xdc00..=0xdfff) => Escape::Wrong(6),
            Some(_) => Escape::Whole(6),
            None if digits.len() < 4 => Escape::Cut,
            None => Escape::None,
        },
        _ => Escape::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = r#"{"msg":"a \"b\" \u00e4\\","ts":1770905421.5,"request":{"ip":"192.0.2.7","list":[1,true,null,"x"]},"end":"x"}"#;

    #[test]
    fn a_line_that_was_cut_is_read_as_far_as_it_goes() {
        let whole = Object::parse(LINE.as_bytes()).expect("an object");
        let said = |object: &Object, path: &str| {
            let path: FieldPath = path.parse().expect("a path");
            path.find(&object.0).and_then(text).map(Cow::into_owned)
        };
        for end in 1..LINE.len() {
            let line = &LINE[..end];
            let object = Object::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            for path in ["msg", "ts", "request.ip"] {
                let (all, said) = (said(&whole, path), said(&object, path));
                let all = all.expect("a field");
                assert!(
                    said.is_none_or(|said| all.starts_with(&said)),
                    "{path} of {line}"
                );
            }
            if end > LINE.find(",\"request").expect("a place") {
                assert_eq!(said(&object, "msg"), said(&whole, "msg"), "{line}");
                assert_eq!(said(&object, "ts"), said(&whole, "ts"), "{line}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_parser(
            head in "([{}\\[\\]:,\"\\\\u0-9. ]|msg|null|true|-1e9){0,20}",
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let line = [b"{\"log\":", head.as_bytes(), &tail].concat();
            if let Some(object) = Object::parse(&line) {
                let time = Timestamp::default();
                Fields::default().record(&object, &JsonFields::default(), time, &line);
                object.as_chunk();
            }
        }
    }
}
