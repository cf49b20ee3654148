//! What goes wrong with a command, as Fail2ban would say it?

use std::fmt;

use super::value::Value;
use crate::control::protocol::Refusal;

/// An exception that Fail2ban's server would raise, or one of ours in its clothes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such jail.
    UnknownJail(String),
    /// Words are missing.
    Incomplete,
    /// There is no such command, or it cannot be done.
    Refused(String),
    /// A word is not what it should be.
    BadWord(String),
    /// There is no such thing.
    Missing(String),
    /// A thing has no such property.
    NoProperty(String),
}

impl Fault {
    /// The module and the class of the exception.
    pub fn class(&self) -> (&'static str, &'static str) {
        match self {
            Fault::UnknownJail(_) => ("fail2ban.exceptions", "UnknownJailException"),
            Fault::Incomplete => ("builtins", "IndexError"),
            Fault::Refused(_) => ("builtins", "Exception"),
            Fault::BadWord(_) => ("builtins", "ValueError"),
            Fault::Missing(_) => ("builtins", "KeyError"),
            Fault::NoProperty(_) => ("builtins", "AttributeError"),
        }
    }

    /// What the exception was made of.
    pub fn arguments(&self) -> Value {
        let text = match self {
            Fault::UnknownJail(text)
            | Fault::Refused(text)
            | Fault::BadWord(text)
            | Fault::Missing(text)
            | Fault::NoProperty(text) => text,
            Fault::Incomplete => "list index out of range",
        };
        Value::Tuple(vec![text.into()])
    }
}

/// The line that people read.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::UnknownJail(jail) => write!(f, "Sorry but the jail '{jail}' does not exist"),
            Fault::Incomplete => f.write_str("Sorry but the command is invalid"),
            Fault::Refused(text) | Fault::BadWord(text) | Fault::NoProperty(text) => {
                f.write_str(text)
            }
            // Python tells what is missing as it would write it.
            Fault::Missing(text) => write!(f, "{}", Value::from(&**text)),
        }
    }
}

impl std::error::Error for Fault {}

/// What the daemon does not do, in its own words.
impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let lines = std::iter::once(refusal.message).chain(refusal.details);
        Fault::Refused(lines.collect::<Vec<_>>().join("\n"))
    }
}
