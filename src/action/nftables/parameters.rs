//! What do the parameters of an action of kind nftables say?
//!
//! In: the values of all parameters of its data file, and the ruleset there. Out: an [`NftablesSpec`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::parameter::{ParameterError, Value, Values};
use super::ruleset::{Closes, NftablesSpec, OnStop, Ruleset, Verdict};

/// The word of data files.
pub const KIND: &str = "nftables";

/// The longest name of a table; the kernel would take 255.
const LONGEST_TABLE_NAME: usize = 64;

/// The action that the values and the ruleset make.
///
/// # Errors
/// A parameter that is missing, or a value that is not allowed.
pub fn spec(values: &Values, ruleset: &Ruleset) -> Result<NftablesSpec, ParameterError> {
    let value = |name: &'static str| values.text(KIND, name);
    let refuse = |name: &str, value: &str, wanted: &str| {
        Err(ParameterError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
            wanted: wanted.to_owned(),
        })
    };
    let table = value("table")?;
    if !is_table_name(table) {
        let wanted = "a letter, then at most 63 letters, digits and `_`";
        return refuse("table", table, wanted);
    }
    let verdict = match value("verdict")? {
        "drop" => Verdict::Drop,
        "reject" => Verdict::Reject,
        other => return refuse("verdict", other, "\"drop\" or \"reject\""),
    };
    let closes = match value("ports")? {
        "jail" => Closes::Ports,
        "all" => Closes::All,
        other => return refuse("ports", other, "\"jail\" or \"all\""),
    };
    let on_stop = match value("on_stop")? {
        "remove" => OnStop::Remove,
        "keep" => OnStop::Keep,
        other => return refuse("on_stop", other, "\"remove\" or \"keep\""),
    };
    let nft = PathBuf::from(value("nft")?);
    // All others are nothing but text of the ruleset.
    let mut text = BTreeMap::new();
    for (name, value) in values.iter() {
        let Value::Text(value) = value else {
            return refuse(
                name,
                "[…]",
                "one value: a ruleset takes no lists and no secrets",
            );
        };
        match name {
            "verdict" | "ports" | "on_stop" | "nft" => {}
            "priority" if !is_priority(value) => {
                let wanted = "a number, or raw, mangle, dstnat, filter, security or srcnat, then perhaps + or - and a number";
                return refuse(name, value, wanted);
            }
            "rate" if !is_rate(value) => {
                let wanted = "a number from 1 on, `/`, and second, minute, hour or day";
                return refuse(name, value, wanted);
            }
            _ if !is_plain_text(value) => {
                return refuse(name, value, "letters, digits, blanks and `_.,:/+-`");
            }
            _ => {
                text.insert(name, value.as_str());
            }
        }
    }
    text.insert("table", table);
    Ok(NftablesSpec {
        table: table.to_owned(),
        verdict,
        closes,
        on_stop,
        nft,
        ruleset: ruleset.with(&text),
    })
}

fn is_table_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= LONGEST_TABLE_NAME
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `filter - 10`, `raw`, `-5`: what nft takes in a chain of the family inet.
fn is_priority(text: &str) -> bool {
    let is_number = |text: &str| {
        let digits = text.trim_start_matches('-');
        text.parse::<i32>().is_ok() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let named = |word: &str| {
        matches!(
            word,
            "raw" | "mangle" | "dstnat" | "filter" | "security" | "srcnat"
        )
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
