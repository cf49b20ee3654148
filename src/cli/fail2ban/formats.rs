//! How does `fail2ban-client` print an answer?
//!
//! In: the words of a command and the value that came back. Out: text, byte for byte as programs read it.

use super::table;
use crate::control::fail2ban::value::Value;

/// The text of an answer, without the end of its last line.
pub fn text(words: &[String], value: &Value, letters: table::Letters) -> String {
    let word = |at: usize| words.get(at).map(String::as_str).unwrap_or_default();
    match (word(0), word(1), word(2)) {
        ("ping", ..) => format!("Server replied: {}", value.plain()),
        ("stop", "", _) => "Shutdown successful".to_owned(),
        ("start", ..) => "Jail started".to_owned(),
        ("stop", ..) => "Jail stopped".to_owned(),
        ("flushlogs", ..) => format!("logs: {}", value.plain()),
        ("echo", ..) => spaced(value),
        ("status", "", _) => summary(value),
        ("status", "--all", _) => everything(value),
        ("status", jail, _) => of_jail(jail, value),
        ("stat" | "stats" | "statistic" | "statistics", ..) => table::text(value, letters),
        (_, "syslogsocket", _) => format!("Current syslog socket is:\n`- {}", value.plain()),
        (_, "logtarget", _) => format!("Current logging target is:\n`- {}", value.plain()),
        (_, "loglevel", _) => format!("Current logging level is {value}"),
        (_, "dbfile", _) => match value {
            Value::Nothing => "Database currently disabled".to_owned(),
            file => format!("Current database file is:\n`- {}", file.plain()),
        },
        (_, "dbpurgeage", _) => match value {
            Value::Nothing => "Database currently disabled".to_owned(),
            age => format!("Current database purge age is:\n`- {age}seconds"),
        },
        ("get", jail, what) => of_setting(jail, what, word(3), value),
        ("set" | "multi-set", jail, what) => of_setting(jail, asked_by(what), "", value),
        _ => value.plain(),
    }
}

/// Under which name it is asked for what a command changes.
fn asked_by(change: &str) -> &str {
    match change {
        "addignoreip" | "delignoreip" => "ignoreip",
        "addlogpath" | "dellogpath" => "logpath",
        "addjournalmatch" | "deljournalmatch" => "journalmatch",
        "addfailregex" | "delfailregex" => "failregex",
        "addignoreregex" | "delignoreregex" => "ignoreregex",
        // Of these Fail2ban prints the bare value.
        "banip" => "",
        other => other,
    }
}

fn of_setting(jail: &str, what: &str, separator: &str, value: &Value) -> String {
    match (what, value) {
        ("logpath", Value::List(files)) => listed(
            "Current monitored log file(s):",
            "No file is currently monitored",
            files.iter().map(Value::plain),
        ),
        ("logencoding", value) => format!("Current log encoding is set to:\n{}", value.plain()),
        ("journalmatch", Value::List(alternatives)) if alternatives.is_empty() => {
            "No journal match filter set".to_owned()
        }
        ("journalmatch", Value::List(alternatives)) => {
            let alternatives: Vec<_> = alternatives.iter().map(spaced).collect();
            format!("Current match filter:\n{}", alternatives.join(" + "))
        }
        ("datepattern", value) => {
            let said = match value {
                Value::Tuple(pair) => match pair.as_slice() {
                    [Value::Nothing, title] => title.plain(),
                    [pattern, title] => format!("{} ({})", pattern.plain(), title.plain()),
                    _ => value.plain(),
                },
                Value::Nothing => "Not set/required".to_owned(),
                other => other.plain(),
            };
            format!("Current date pattern set to: {said}")
        }
        ("actionproperties", Value::List(all)) if all.is_empty() => {
            format!("No properties for jail {jail} action {separator}")
        }
        ("actionproperties", Value::List(all)) => {
            let names: Vec<_> = all.iter().map(Value::plain).collect();
            let names = names.join(", ");
            format!("The jail {jail} action {separator} has the following properties:\n{names}")
        }
        ("actionmethods", Value::List(all)) if all.is_empty() => {
            format!("No methods for jail {jail} action {separator}")
        }
        ("ignoreip", Value::List(subjects)) => listed(
            "These IP addresses/networks are ignored:",
            "No IP address/network is ignored",
            subjects.iter().map(Value::plain),
        ),
        ("failregex" | "ignoreregex", Value::List(patterns)) => {
            let patterns = patterns.iter().enumerate();
            listed(
                "The following regular expression are defined:",
                "No regular expression is defined",
                patterns.map(|(at, pattern)| format!("[{at}]: {}", pattern.plain())),
            )
        }
        ("actions", Value::List(actions)) if actions.is_empty() => {
            format!("No actions for jail {jail}")
        }
        ("actions", Value::List(actions)) => {
            let actions: Vec<_> = actions.iter().map(Value::plain).collect();
            let actions = actions.join(", ");
            format!("The jail {jail} has the following actions:\n{actions}")
        }
        ("banip", Value::List(bans)) => {
            let separator = match separator {
                "" => " ",
                "--with-time" => "\n",
                other => other,
            };
            let bans: Vec<_> = bans.iter().map(Value::plain).collect();
            bans.join(separator)
        }
        (_, value) => value.plain(),
    }
}

/// The values of a list with blanks between.
fn spaced(value: &Value) -> String {
    match value {
        Value::List(values) => {
            let values: Vec<_> = values.iter().map(Value::plain).collect();
            values.join(" ")
        }
        other => other.plain(),
    }
}

/// The mark before a branch of a tree.
fn branch(is_last: bool) -> &'static str {
    if is_last { "`-" } else { "|-" }
}

/// A heading and a branch for each line, or else a sentence.
fn listed(heading: &str, nothing: &str, lines: impl ExactSizeIterator<Item = String>) -> String {
    let count = lines.len();
    if count == 0 {
        return nothing.to_owned();
    }
    let mut text = heading.to_owned();
    for (at, line) in lines.enumerate() {
        text += &format!("\n{} {line}", branch(at + 1 == count));
    }
    text
}

/// A title with what it is the title of.
fn titled(value: &Value) -> Option<(String, &Value)> {
    match value {
        Value::Tuple(pair) => match pair.as_slice() {
            [title, value] => Some((title.plain(), value)),
            _ => None,
        },
        _ => None,
    }
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::List(values) => values,
        _ => &[],
    }
}

/// Titles with a TAB before what is theirs.
fn branches(values: &[Value], before: &str, more: bool, lines: &mut Vec<String>) {
    for (at, (title, value)) in values.iter().filter_map(titled).enumerate() {
        let mark = branch(at + 1 == values.len() && !more);
        lines.push(format!("{before}{mark} {title}:\t{}", spaced(value)));
    }
}

fn summary(value: &Value) -> String {
    let mut lines = vec!["Status".to_owned()];
    branches(list(value), "", false, &mut lines);
    lines.join("\n")
}

fn of_jail(jail: &str, value: &Value) -> String {
    // Numbers alone have no titles.
    if list(value)
        .first()
        .is_some_and(|first| titled(first).is_none())
    {
        return value.to_string();
    }
    let mut lines = vec![format!("Status for the jail: {jail}")];
    parts(list(value), "", &mut lines);
    lines.join("\n")
}

/// Filter and actions of a jail.
fn parts(values: &[Value], before: &str, lines: &mut Vec<String>) {
    for (at, (title, value)) in values.iter().filter_map(titled).enumerate() {
        let is_last = at + 1 == values.len();
        lines.push(format!("{before}{} {title}", branch(is_last)));
        let before = format!("{before}{}", if is_last { "   " } else { "|  " });
        branches(list(value), &before, false, lines);
    }
}

fn everything(value: &Value) -> String {
    let mut lines = vec!["Status".to_owned()];
    let (jails, titles) = match list(value).split_last() {
        Some((Value::Map(jails), titles)) => (jails.as_slice(), titles),
        _ => (&[][..], list(value)),
    };
    branches(titles, "", !jails.is_empty(), &mut lines);
    if !jails.is_empty() {
        lines.push("`- Status for the jails:".to_owned());
    }
    for (at, (jail, value)) in jails.iter().enumerate() {
        let is_last = at + 1 == jails.len();
        lines.push(format!("   {} Jail: {jail}", branch(is_last)));
        parts(
            list(value),
            if is_last { "      " } else { "   |  " },
            &mut lines,
        );
    }
    lines.join("\n")
}
