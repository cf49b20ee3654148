//! What would Fail2ban's client tell its server of a tree?
//!
//! The commands that `fail2ban-client -d` prints, in their order; printed, they are lists as Python writes them. Log files are
//! looked for, as Fail2ban does it when it starts.

use std::path::Path;

use super::Tree;
use super::jail::keys::{ACTION_OPTIONS, FILTER_OPTIONS, JAIL_OPTIONS, OptionKind};
use super::jail::{JailError, Started, State, TreeAction, is_python};
use super::options::{Options, Written, whole_number, words};
use crate::control::fail2ban::files;
use crate::control::fail2ban::value::Value;

/// A command: its words.
pub type Command = Vec<Value>;

/// The commands for a whole tree, before which goes what was `said` of the daemon on a command line, by its keys.
pub fn commands(tree: &Tree, said: &[(&str, &str)]) -> Vec<Command> {
    let mut commands = daemon(tree, said);
    let mut starts = Vec::new();
    for jail in &tree.jails {
        match &jail.state {
            State::Off | State::Doubtful => {}
            State::On(started) => {
                commands.extend(self::jail(&tree.folder, &jail.name, started));
                starts.push(command(&["start", &jail.name]));
            }
            State::LeftOut(error) => commands.push(command(&[
                "config-error",
                &format!(
                    "Jail '{}' skipped, because of wrong configuration: {}",
                    jail.name,
                    reason(error)
                ),
            ])),
        }
    }
    commands.extend(starts);
    commands
}

/// Why a jail is left out, in the words that others look for.
fn reason(error: &JailError) -> String {
    match error {
        JailError::Files { what, name, .. } => {
            let article = if *what == "filter" {
                "the filter"
            } else {
                "action"
            };
            format!("Unable to read {article} {}", Value::from(name.as_str()))
        }
        error => error.to_string(),
    }
}

fn command(words: &[&str]) -> Command {
    words.iter().map(|word| Value::from(*word)).collect()
}

/// `set JAIL …`, or `set …` of the server.
fn set(words: &[&str], value: Value) -> Command {
    let mut command = command(&["set"]);
    command.extend(words.iter().map(|word| Value::from(*word)));
    command.push(value);
    command
}

fn daemon(tree: &Tree, said: &[(&str, &str)]) -> Vec<Command> {
    let mut commands = Vec::new();
    if let Some(size) = tree.threads.get("stacksize") {
        let size = vec![("stacksize".to_owned(), number(size))];
        commands.push(set(&["thread"], Value::Map(size)));
    }
    for (key, usual) in [
        ("syslogsocket", Some("auto")),
        ("loglevel", Some("INFO")),
        ("logtarget", Some("STDERR")),
        ("allowipv6", Some("auto")),
        ("dbfile", Some("/var/lib/fail2ban/fail2ban.sqlite3")),
        ("dbmaxmatches", None),
        ("dbpurgeage", Some("1d")),
    ] {
        let said = said.iter().find(|(known, _)| *known == key);
        let value = match tree.daemon.get(key) {
            _ if said.is_some() => said.map(|(_, value)| Value::from(*value)),
            Some(value) if key == "dbmaxmatches" => Some(number(value)),
            Some(value) => Some(Value::from(value.text.as_str())),
            None => usual.map(Value::from),
        };
        commands.extend(value.map(|value| set(&[key], value)));
    }
    commands
}

fn jail(folder: &Path, name: &str, jail: &Started) -> Vec<Command> {
    let mut commands = Vec::new();
    if let Some(filter) = &jail.filter {
        add_filter(&mut commands, name, &filter.options);
    }
    add_filter(&mut commands, name, &jail.options);
    let backend = jail.options.text("backend").unwrap_or_default();
    let mut logs = Vec::new();
    for (key, kind) in JAIL_OPTIONS {
        let Some(value) = jail.options.get(key) else {
            continue;
        };
        match *key {
            "enabled" | "filter" | "action" | "backend" | "skip_if_nologs"
            | "systemd_if_nologs" => {}
            "logpath" if backend.starts_with("systemd") => {}
            "logpath" => logs = log_files(name, &value.text),
            "ignoreip" => {
                let mut command = command(&["set", name, "addignoreip"]);
                command.extend(words(&value.text).map(Value::from));
                commands.push(command);
            }
            key => commands.push(set(&[name, key], word(value, *kind))),
        }
    }
    commands.extend(logs);
    for action in &jail.actions {
        commands.extend(self::action(folder, name, action));
    }
    commands.insert(0, command(&["add", name, backend]));
    commands
}

/// Adds what a filter says, or a jail of what a filter could. Some of it goes to the front, what comes last the furthest:
/// what patterns are made with must be there before them.
fn add_filter(commands: &mut Vec<Command>, jail: &str, options: &Options) {
    let mut first = 0;
    for (key, value) in options.iter() {
        let Some((_, kind)) = FILTER_OPTIONS.iter().find(|(known, _)| *known == key) else {
            continue;
        };
        match key {
            "failregex" | "ignoreregex" => {
                let patterns = value.text.split('\n').filter(|pattern| !pattern.is_empty());
                let mut patterns: Vec<_> = patterns.map(Value::from).collect();
                let add = format!("add{key}");
                match patterns.len() {
                    0 => {}
                    1 => commands.extend(patterns.pop().map(|pattern| set(&[jail, &add], pattern))),
                    _ => {
                        let mut command = command(&["multi-set", jail, &add]);
                        command.push(Value::List(patterns));
                        commands.push(command);
                    }
                }
            }
            "journalmatch" => {
                for line in value.text.split('\n').filter(|line| !line.is_empty()) {
                    let mut command = command(&["set", jail, "addjournalmatch"]);
                    let words = shlex::split(line).unwrap_or_default();
                    command.extend(words.iter().map(|word| Value::from(word.as_str())));
                    commands.push(command);
                }
            }
            "datepattern" => commands.push(set(&[jail, key], word(value, *kind))),
            _ => {
                let word = word(value, *kind);
                if word != Value::Nothing {
                    let at = if key == "usedns" { 0 } else { first };
                    commands.insert(at, set(&[jail, key], word));
                    first += 1;
                }
            }
        }
    }
}

fn log_files(jail: &str, paths: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    for line in paths.split('\n') {
        let (path, end) = line.rsplit_once(' ').unwrap_or((line, "head"));
        for file in there(path) {
            commands.push(command(&["set", jail, "addlogpath", &file, end]));
        }
    }
    commands
}

/// The files of a name with wildcards; two asterisks are one to Fail2ban.
pub fn there(path: &str) -> Vec<String> {
    let mut pattern = path.to_owned();
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    files::there(&[pattern])
}

fn action(folder: &Path, jail: &str, action: &TreeAction) -> Vec<Command> {
    if is_python(&action.file) {
        let own = action
            .parameters
            .iter()
            .filter(|(key, _)| *key != "actname");
        let said: Vec<_> = own
            .map(|(key, value)| format!("{}: {}", json(key), json(&value.text)))
            .collect();
        let json = format!("{{{}}}", said.join(", "));
        let file = folder.join("action.d").join(&action.file);
        let file = file.to_string_lossy();
        let words = ["set", jail, "addaction", &action.name, &file, &json];
        return vec![command(&words)];
    }
    let mut said = Vec::new();
    for (key, value) in action.options.iter() {
        let kind = ACTION_OPTIONS.iter().find(|(known, _)| *known == key);
        let kind = kind.map_or(OptionKind::Text, |(_, kind)| *kind);
        said.push(vec![Value::from(key), word(value, kind)]);
    }
    for (key, value) in action.parameters.iter() {
        said.push(command(&[key, &value.text]));
    }
    let mut commands = vec![command(&["set", jail, "addaction", &action.name])];
    let mut more = match said.len() {
        0 => return commands,
        1 => command(&["set", jail, "action", &action.name]),
        _ => command(&["multi-set", jail, "action", &action.name]),
    };
    if said.len() == 1 {
        more.extend(said.into_iter().flatten());
    } else {
        more.push(Value::List(said.into_iter().map(Value::List).collect()));
    }
    commands.push(more);
    commands
}

/// A text as Python writes it in JSON: in ASCII.
fn json(text: &str) -> String {
    let mut json = String::from("\"");
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)).filter(char::is_ascii) {
            Some('\n') => json.push_str("\\n"),
            Some('\r') => json.push_str("\\r"),
            Some('\t') => json.push_str("\\t"),
            Some(c @ ('"' | '\\')) => json.extend(['\\', c]),
            Some(c) if !c.is_control() => json.push(c),
            _ => json.push_str(&format!("\\u{unit:04x}")),
        }
    }
    json + "\""
}

fn word(value: &Written, kind: OptionKind) -> Value {
    match kind {
        OptionKind::Text => Value::from(value.text.as_str()),
        OptionKind::Flag => Value::Flag(value.is_true()),
        OptionKind::Number => number(value),
    }
}

fn number(value: &Written) -> Value {
    whole_number(&value.text).map_or(Value::Nothing, Value::Whole)
}
