//! Patterns of the native language, of few letters, so that their literals stand in each other's texts.

use super::choices::Choices;

/// Texts of a pattern, each with what it ends with, on the side that holds the address.
const EXACT: [&str; 34] = [
    "from ",
    "for ",
    "fail ",
    "failed for ",
    "f",
    "from from ",
    "Failed password for ",
    "a: ",
    "(?:from|for) ",
    "(?:fail|failed|failure): ",
    "(?:in|in for|for in) ",
    "(?:error: )?",
    "(?:for )?",
    "(?:for )??",
    "(?:from )+",
    "(?:from |for ){1,3}",
    "[a-z]+ ",
    "[a-z]*? ",
    "[fro]{2,4} ",
    "[0-9]+ ",
    "#[0-9]+ ",
    r"\w+ ",
    r"\w*",
    r"\S+ ",
    r"[^ :.]+ ",
    "<word> ",
    "<port> ",
    "(?i:from) ",
    "(?i)fail ",
    "(?-i)for ",
    r"\bfor\b ",
    r"\s*",
    " +",
    r"\[x\] ",
];

/// The address and what parts it from its neighbours.
const ADDRESS: [&str; 16] = [
    "<ip>",
    "<ip>",
    "<ip> ",
    " <ip> ",
    r"\[<ip>\]",
    "rhost=<ip> ",
    "\"<ip>\" ",
    r"\(<ip>\)",
    " <ip>:<port>",
    "<ip>: ",
    "<ip>:? ",
    r"<ip>\.",
    "<ip>(?: port <port>)?",
    "<host>",
    " <host> ",
    r"\(<host>\) ",
];

/// Texts of a pattern on the other side.
const FREE: [&str; 23] = [
    "<text>",
    "<text>",
    "<user>",
    "<user>",
    "<target>",
    " of <target>",
    "<word>",
    " for <login>",
    "<session>",
    " <text>",
    " for <user>",
    " in <session>",
    ".*?",
    ".+",
    "<text>from ",
    "<text> for <text>",
    r"[^\n]*",
    r"(?:from <text>)?",
    "(?:<text>|for)",
    r"\s",
    r"(?:fail|\S+) ",
    "x?",
    "(?s-u:.)",
];

/// Sound patterns that take nearly everything which ends, or begins, with an address.
const LAX: [&str; 11] = [
    "^<user> <ip>$",
    "^<target> <ip>$",
    "^<ip> <target>/<forwarded>/$",
    "^<forwarded> from <ip>$",
    "<text>from <ip>$",
    "^<text> <host>$",
    "^<ip> <text>",
    "^<host> <text>$",
    "<ip>$",
    "^for <text> <ip> port <port>$",
    "(?i)<user> FROM <ip><text> from$",
];

/// What any pattern may be made of.
const WILD: [&str; 12] = [
    "^", "$", " ", "from", "for", "(?:", ")", "|", "?", "*", "<ip>", "<text>",
];

/// The text of a pattern that is perhaps sound.
pub fn failure(choices: &mut Choices<'_>) -> String {
    let sides = choices.below(16);
    let mut text = String::new();
    let address = choices.of(&ADDRESS);
    match sides {
        0..=4 => {
            text.push_str(choices.of(&["^", "^", "^", "(?i)^", "^(?i)"]));
            some(&mut text, &EXACT, 0, 3, choices);
            text.push_str(address);
            some(&mut text, &FREE, 0, 3, choices);
            text.push_str(choices.of(&["", "$"]));
        }
        5..=9 => {
            text.push_str(choices.of(&["", "^", "^for ", "(?i)from ", "(?i)^", "fail"]));
            some(&mut text, &FREE, 0, 2, choices);
            text.push_str(choices.of(&["", " ", " from ", "/"]));
            text.push_str(address);
            some(&mut text, &EXACT, 0, 2, choices);
            text.push_str(choices.of(&["$", " ?$", "x?$", " from$", "(?: ssh[12])?$"]));
        }
        10 => {
            text.push('^');
            some(&mut text, &EXACT, 0, 2, choices);
            text.push_str(address);
            some(&mut text, &EXACT, 0, 2, choices);
            text.push('$');
        }
        11..=13 => text.push_str(choices.of(&LAX)),
        // Of accounts and the like, wherever they are tried from.
        14 => return ignore(choices),
        _ => {
            text.push_str(choices.of(&["^", ""]));
            some(&mut text, &WILD, 0, 4, choices);
            text.push_str(address);
            some(&mut text, &WILD, 0, 4, choices);
        }
    }
    text
}

/// The text of an ignore pattern that is perhaps sound.
pub fn ignore(choices: &mut Choices<'_>) -> String {
    let mut text = "^".to_owned();
    some(&mut text, &EXACT, 0, 3, choices);
    text.push_str(choices.of(&["", "<ip>", "<user>", r"\b", "$", "<text> from$"]));
    text
}

/// Appends between `least` and `most` of `parts`.
fn some(text: &mut String, parts: &[&str], least: usize, most: usize, choices: &mut Choices<'_>) {
    for _ in 0..least + choices.below(most - least + 1) {
        text.push_str(choices.of(parts));
    }
}
