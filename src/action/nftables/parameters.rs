//! What do the parameters of an action of kind nftables say?
//!
//! In: the values of all parameters of its data file, and the ruleset there. Out: an [`NftablesSpec`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::parameter::{ParameterError, Value, Values};
use super::ruleset::{Answer, Closes, DeviceName, NftablesSpec, OnStop, Ruleset, Verdict};
use super::sets::{Prefixes, Sharing};
use super::table::{Family, Table};

/// The word of data files.
pub const KIND: &str = "nftables";

/// The longest name of a table; the kernel would take 255.
const LONGEST_TABLE_NAME: usize = 64;

/// The longest beginning of the names of sets: with a jail's they are shorter than a table's.
const LONGEST_PREFIX: usize = 32;

/// The parameters that are no text of a ruleset.
const NO_TEXT: [&str; 10] = [
    "verdict",
    "reject_ipv4",
    "reject_ipv6",
    "ports",
    "sets",
    "set_prefix_ipv4",
    "set_prefix_ipv6",
    "devices",
    "on_stop",
    "nft",
];

/// The action that the values and the ruleset make.
///
/// # Errors
/// A parameter that is missing, or a value that is not allowed.
pub fn spec(values: &Values, ruleset: &Ruleset) -> Result<NftablesSpec, ParameterError> {
    let table = values.text(KIND, "table")?;
    if !is_table_name(table) {
        let wanted = "a letter, then at most 63 letters, digits, `_` and `-`";
        return Err(refusal("table", table, wanted));
    }
    let on_stop = match values.text(KIND, "on_stop")? {
        "remove" => OnStop::Remove,
        "keep" => OnStop::Keep,
        other => return Err(refusal("on_stop", other, "\"remove\" or \"keep\"")),
    };
    // What follows can be left out of a file whose ruleset has only one way.
    let verdict = match optional(values, "verdict") {
        None | Some("drop") => Verdict::Drop,
        Some("reject") => Verdict::Reject {
            ipv4: answer(values, "reject_ipv4"),
            ipv6: answer(values, "reject_ipv6"),
        },
        Some(other) => return Err(refusal("verdict", other, "\"drop\" or \"reject\"")),
    };
    let closes = match optional(values, "ports") {
        None | Some("jail") => Closes::Ports,
        Some("all") => Closes::All,
        Some(other) => return Err(refusal("ports", other, "\"jail\" or \"all\"")),
    };
    let sharing = match optional(values, "sets") {
        None | Some("jail") => Sharing::Jail(prefixes(values)?),
        Some("shared") if closes == Closes::All => Sharing::All,
        Some("shared") => {
            let wanted = "\"all\": jails that share their sets share their ports";
            return Err(refusal("ports", "jail", wanted));
        }
        Some(other) => return Err(refusal("sets", other, "\"jail\" or \"shared\"")),
    };
    Ok(NftablesSpec {
        table: Table {
            family: ruleset.family,
            name: table.to_owned(),
        },
        verdict,
        closes,
        sharing,
        devices: devices(values)?,
        on_stop,
        nft: PathBuf::from(values.text(KIND, "nft")?),
        ruleset: ruleset.with(&text(values, ruleset.family)?),
    })
}

/// All that is nothing but text of the ruleset.
fn text(values: &Values, family: Family) -> Result<BTreeMap<&str, &str>, ParameterError> {
    let mut text = BTreeMap::new();
    for (name, value) in values.iter().filter(|(name, _)| !NO_TEXT.contains(name)) {
        let Value::Text(value) = value else {
            let wanted = "one value: a ruleset takes no lists but of devices, and no secrets";
            return Err(refusal(name, "[…]", wanted));
        };
        let wanted = match name {
            "priority" if !is_priority(value, family) => match family {
                Family::Inet => {
                    "a number, or raw, mangle, dstnat, filter, security or srcnat, then perhaps + or - and a number"
                }
                Family::Netdev => "a number, or filter, then perhaps + or - and a number",
            },
            "rate" if !is_rate(value) => "a number from 1 on, `/`, and second, minute, hour or day",
            _ if !is_plain_text(value) => "letters, digits, blanks and `_.,:/+-`",
            _ => {
                text.insert(name, value.as_str());
                continue;
            }
        };
        return Err(refusal(name, value, wanted));
    }
    Ok(text)
}

fn optional<'v>(values: &'v Values, name: &str) -> Option<&'v str> {
    match values.get(name) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// How names of sets begin. Those of either family are not those of the other, whatever jails are called.
fn prefixes(values: &Values) -> Result<Prefixes, ParameterError> {
    let ipv4 = prefix(values, "set_prefix_ipv4")?;
    let ipv6 = prefix(values, "set_prefix_ipv6")?;
    if let (Some(one), Some(other)) = (&ipv4, &ipv6)
        && (one.starts_with(other.as_str()) || other.starts_with(one.as_str()))
    {
        let wanted = "something else than for IPv4, of which neither begins with the other";
        return Err(refusal("set_prefix_ipv6", other, wanted));
    }
    Ok(Prefixes { ipv4, ipv6 })
}

/// How names of sets begin; nothing if nobody says so.
fn prefix(values: &Values, name: &str) -> Result<Option<String>, ParameterError> {
    match optional(values, name) {
        None | Some("") => Ok(None),
        Some(prefix) if is_set_prefix(prefix) => Ok(Some(prefix.to_owned())),
        Some(prefix) => {
            let wanted = "a letter, then at most 31 letters, digits, `-`, `_` and `.`";
            Err(refusal(name, prefix, wanted))
        }
    }
}

fn answer(values: &Values, name: &str) -> Answer {
    match optional(values, name) {
        None | Some("tcp reset") => Answer::Reset,
        Some(error) => Answer::With(error.to_owned()),
    }
}

fn devices(values: &Values) -> Result<Vec<DeviceName>, ParameterError> {
    let name = "devices";
    let wanted = "a list of devices such as [\"eth0\"], of letters, digits and `_.-`";
    let names = match values.get(name) {
        None => return Ok(Vec::new()),
        Some(Value::List(names)) if !names.is_empty() => names,
        Some(_) => return Err(refusal(name, "[]", wanted)),
    };
    let mut devices = Vec::new();
    for text in names {
        let device = DeviceName::of(text).ok_or_else(|| refusal(name, text, wanted))?;
        if !devices.contains(&device) {
            devices.push(device);
        }
    }
    Ok(devices)
}

fn refusal(name: &str, value: &str, wanted: &str) -> ParameterError {
    ParameterError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        wanted: wanted.to_owned(),
    }
}

fn is_table_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= LONGEST_TABLE_NAME
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn is_set_prefix(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= LONGEST_PREFIX
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// `filter - 10`, `raw`, `-5`: what nft takes in a chain of the family.
fn is_priority(text: &str, family: Family) -> bool {
    let is_number = |text: &str| {
        let digits = text.trim_start_matches('-');
        text.parse::<i32>().is_ok() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let named = |word: &str| match family {
        Family::Netdev => word == "filter",
        Family::Inet => matches!(
            word,
            "raw" | "mangle" | "dstnat" | "filter" | "security" | "srcnat"
        ),
    };
    match *text.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        [word] => named(word) || is_number(word),
        [word, "+" | "-", number] => named(word) && !number.starts_with('-') && is_number(number),
        _ => false,
    }
}

/// `3/minute`: what nft takes behind `limit rate over`.
fn is_rate(text: &str) -> bool {
    let is_number = |text: &str| {
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        is_digits && text.parse::<u32>().is_ok_and(|number| number > 0)
    };
    text.split_once('/').is_some_and(|(number, unit)| {
        is_number(number) && matches!(unit, "second" | "minute" | "hour" | "day")
    })
}

/// Whether the text stays within a line and a statement of nft.
fn is_plain_text(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '.' | ',' | ':' | '/' | '+' | '-')
    })
}
