//! What does a regular expression of Fail2ban's filters mean, in the language of patterns over lines?
//!
//! In: the text of a failregex, ignoreregex or prefregex after all interpolation. Out: the same expression for
//! [`LineExpression`](crate::engine::expression::LineExpression), or what is wrong with it, where, and what
//! helps. It is parsed as Python would do it and written anew: what both languages can write means different things in
//! them too often.
//!
//! What stays different: a text here is bytes, and a character beyond ASCII counts as letters as many as it has bytes. It is
//! none of Python's digits and spaces, and without regard to case, letters of ASCII are alike to none beyond it. No newline
//! ends a line here.

mod fault;
mod parse;
mod print;
mod syntax;
mod tags;

use crate::engine::record::date::template::CUT;

pub use fault::{ExpressionError, Fault};

/// The longest expression, tags replaced, in bytes: ten times Fail2ban's own longest.
const LONGEST: usize = 64 << 10;

/// The most times that something can be counted: as many as the longest line has bytes.
const MOST_TIMES: u32 = 8192;

/// The groups that tell whom to ban, or which connection's lines will tell.
const IDENTITIES: [&str; 5] = ["fid", "ip4", "ip6", "dns", "mlfid"];

/// What <HOST> can be, which `usedns` decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// An address, or a name.
    Named,
    /// An address only: `usedns = no`.
    Addresses,
}

/// An expression in our language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// Its text.
    pub source: String,
    /// The names of its groups, in order.
    pub names: Vec<String>,
}

impl Translated {
    /// Whether it tells who has failed, or by its connection who will have. Each failregex must, or else its prefregex.
    pub fn tells_who(&self) -> bool {
        self.names
            .iter()
            .any(|name| IDENTITIES.contains(&name.as_str()))
    }
}

/// An expression of Fail2ban with its tags replaced, in Python's language still.
pub fn python(text: &str, hosts: Hosts) -> String {
    tags::replace(text, hosts == Hosts::Named).text
}

/// Translates an expression of Fail2ban.
///
/// # Errors
/// What is wrong with it, and where in `text`.
pub fn expression(text: &str, hosts: Hosts) -> Result<Translated, ExpressionError> {
    let fails = |at, fault| ExpressionError::new(text, at, fault);
    if text.len() > LONGEST {
        return Err(fails(0, Fault::TooLong(LONGEST)));
    }
    let replaced = tags::replace(text, hosts == Hosts::Named);
    if replaced.text.len() > LONGEST {
        return Err(fails(0, Fault::TooLong(LONGEST)));
    }
    if replaced.text.trim_start().is_empty() {
        return Err(fails(0, Fault::Nothing));
    }
    let parsed = parse::parse(&replaced.text);
    let mut parsed = parsed.map_err(|(at, fault)| fails(replaced.origin(at), fault))?;
    name_host(&mut parsed.names);
    let (source, names) = print::print(&parsed);
    Ok(Translated { source, names })
}

/// Translates an expression that a `datepattern` comes to: it has no tags, and its first group without a name is what is
/// cut out of a line.
///
/// # Errors
/// As [`expression`].
pub fn of_date(text: &str) -> Result<String, ExpressionError> {
    let fails = |at, fault| ExpressionError::new(text, at, fault);
    if text.len() > LONGEST {
        return Err(fails(0, Fault::TooLong(LONGEST)));
    }
    let mut parsed = parse::parse(text).map_err(|(at, fault)| fails(at, fault))?;
    let is_cut = |name: &Option<String>| name.as_deref() == Some(CUT);
    let first = match parsed.names.iter().any(is_cut) {
        true => None,
        false => parsed.names.iter_mut().find(|name| name.is_none()),
    };
    if let Some(first) = first {
        *first = Some(CUT.to_owned());
    }
    Ok(print::print(&parsed).0)
}

/// A group `host` is from the time before <HOST> had groups of its own.
fn name_host(names: &mut [Option<String>]) {
    let position = |wanted: &str| {
        let mut names = names.iter();
        names.position(|name| name.as_deref() == Some(wanted))
    };
    if let (Some(host), None) = (position("host"), position("dns")) {
        names[host] = Some("dns".to_owned());
    }
}

#[cfg(test)]
mod tests;
