//! What can be said in Python, as far as Fail2ban's answers need it?
//!
//! Values, and how Python prints them. Nothing here knows what they mean.

use std::fmt;

/// A value of Python.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`
    Nothing,
    /// `True` or `False`
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Real(f64),
    /// A string.
    Text(String),
    /// `[…]`
    List(Vec<Value>),
    /// `(…)`
    Tuple(Vec<Value>),
    /// `{…}` with strings for keys.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// A list of strings.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        let texts = texts.into_iter().map(|text| Value::Text(text.into()));
        Value::List(texts.collect())
    }

    /// A number of things.
    pub fn count(count: impl TryInto<i64>) -> Self {
        Value::Whole(count.try_into().unwrap_or(i64::MAX))
    }

    /// A pair of a title and what it is the title of.
    pub fn titled(title: &str, value: Value) -> Self {
        Value::Tuple(vec![title.into(), value])
    }

    /// As `str()` shows it: strings as they are, everything else as Python writes it.
    pub fn plain(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

/// As `repr()` shows it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nothing => f.write_str("None"),
            Value::Flag(true) => f.write_str("True"),
            Value::Flag(false) => f.write_str("False"),
            Value::Whole(number) => write!(f, "{number}"),
            Value::Real(number) => write!(f, "{number:?}"),
            Value::Text(text) => quoted(f, text),
            Value::List(values) => {
                f.write_str("[")?;
                separated(f, values)?;
                f.write_str("]")
            }
            Value::Tuple(values) => {
                f.write_str("(")?;
                separated(f, values)?;
                f.write_str(if values.len() == 1 { ",)" } else { ")" })
            }
            Value::Map(entries) => {
                f.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    quoted(f, key)?;
                    write!(f, ": {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn separated(f: &mut fmt::Formatter<'_>, values: &[Value]) -> fmt::Result {
    for (at, value) in values.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { ", " })?;
        write!(f, "{value}")?;
    }
    Ok(())
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    write!(f, "{quote}")?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c == quote => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    write!(f, "{quote}")
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn values_look_as_python_prints_them() {
        let banned = Value::List(vec![
            Value::Map(vec![("sshd".to_owned(), Value::texts(["192.0.2.9"]))]),
            Value::Map(vec![("it's".to_owned(), Value::texts::<&str>([]))]),
        ]);
        assert_eq!(
            banned.to_string(),
            r#"[{'sshd': ['192.0.2.9']}, {"it's": []}]"#
        );
        let one = Value::Tuple(vec![Value::Nothing]);
        assert_eq!(one.to_string(), "(None,)");
        let odd = Value::from("a\\b'\"\n\x1b");
        assert_eq!(odd.to_string(), r#"'a\\b\'"\n\x1b'"#);
        assert_eq!(Value::Real(600.0).to_string(), "600.0");
        assert_eq!(odd.plain(), "a\\b'\"\n\x1b");
    }
}
