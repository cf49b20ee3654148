//! Who is spared in a jail of Fail2ban's?
//!
//! In: `ignoreip`, `ignoreself` and `ignorecommand`. Out: the keys of the same names. A command is never run by a shell with
//! text of a log in it: the address is its last argument, as always.

use super::super::options::{Written, strip, words};
use super::jail::Jail;
use super::values::{flag, texts};
use crate::config::document::Table;
use crate::config::problem::Problems;
use crate::ignore::word::Word;

/// The tag of the address.
const ADDRESS: &str = "<ip>";

/// What is read from a file.
const FILE: &str = "file:";

/// Writes them.
pub fn write(jail: &Jail<'_>, section: &mut Table, problems: &mut Problems) {
    if let Some(own) = jail.option("ignoreself") {
        section.set("ignoreself", flag(own.is_true(), &own.place));
    }
    if let Some(written) = jail.option("ignoreip") {
        let spared = words(&written.text).filter_map(|word| spared(word, written, problems));
        let spared: Vec<_> = spared.collect();
        section.set(
            "ignoreip",
            texts(spared.iter().map(String::as_str), &written.place),
        );
    }
    if let Some(written) = jail
        .option("ignorecommand")
        .filter(|written| !strip(&written.text).is_empty())
    {
        let command = command(written, problems);
        section.set(
            "ignorecommand",
            texts(command.iter().map(String::as_str), &written.place),
        );
    }
}

/// A word of the list in f2bd's words.
fn spared(word: &str, written: &Written, problems: &mut Problems) -> Option<String> {
    let plain = plain_word(word);
    if Word::parse(&plain).is_ok() {
        return Some(plain);
    }
    let message = match word.starts_with('#') {
        true => format!(
            "`ignoreip`: what stands behind # is part of the list, and `{word}` spares nobody"
        ),
        false => format!(
            "`ignoreip`: `{word}` is neither an address, a network, a host name nor a file, and spares nobody"
        ),
    };
    let remedy = "correct it, or write comments into lines of their own or behind a semicolon";
    problems.warning(&written.place, message, remedy);
    None
}

/// A word of the list as f2bd would have it, whether or not it names anybody.
pub fn plain_word(word: &str) -> String {
    let plain = word.strip_prefix(FILE).unwrap_or(word);
    with_width(plain).unwrap_or_else(|| plain.to_owned())
}

/// `10.0.0.0/255.0.0.0` as `10.0.0.0/8`.
fn with_width(word: &str) -> Option<String> {
    let (address, mask) = word.split_once('/')?;
    let mask: std::net::Ipv4Addr = mask.parse().ok()?;
    let bits = u32::from(mask);
    let is_mask = bits.leading_ones() + bits.trailing_zeros().min(32) >= 32;
    is_mask.then(|| format!("{address}/{}", bits.leading_ones()))
}

/// The words of the command, to which the address is added.
fn command(written: &Written, problems: &mut Problems) -> Vec<String> {
    let script = strip(&written.text);
    let plain = |c: char| c.is_ascii_alphanumeric() || " \t/_-.,:=+@%".contains(c);
    if let Some(simple) = script.strip_suffix(ADDRESS)
        && simple.chars().all(plain)
    {
        return simple.split_whitespace().map(str::to_owned).collect();
    }
    // The shell gets the address as its first parameter, and what is written stays as it is.
    let with_parameter = script.replace(ADDRESS, "$1");
    let mut rest = with_parameter.as_str();
    let mut script = String::new();
    while let Some((before, after)) = rest.split_once('<') {
        script.push_str(before);
        let tag = after.split_once('>').filter(|(tag, _)| {
            !tag.is_empty()
                && tag
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        });
        match tag {
            Some((tag, behind)) => {
                let message = format!(
                    "`ignorecommand`: <{tag}> is empty: only the address is known when f2bd asks"
                );
                problems.warning(
                    &written.place,
                    message,
                    "let the program decide by the address",
                );
                rest = behind;
            }
            None => {
                script.push('<');
                rest = after;
            }
        }
    }
    script.push_str(rest);
    ["/bin/sh", "-c", &script, "ignorecommand"]
        .map(str::to_owned)
        .to_vec()
}
