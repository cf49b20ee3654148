//! What does the user of f2bd's unit need so that Fail2ban's clients find their socket, the readers of its log their file, and
//! those who look for its process the number?
//!
//! All are where Fail2ban had them, and it runs as root. Where f2bd may not make them, it tells so and protects without.

use std::path::Path;

use crate::config::base::part;
use crate::config::document::{Kind, Table};

/// Where the system makes directories for a unit.
const RUNTIME: [&str; 2] = ["/run", "/var/run"];

/// All of it for a configuration, a sentence each.
pub(super) fn needs(table: &Table) -> Vec<String> {
    let section = part(table, "daemon").into_iter();
    let entries = section.flat_map(Table::entries);
    entries
        .filter_map(|entry| need(&entry.key, &entry.value.kind))
        .collect()
}

/// What one setting of `[daemon]` needs, if anything.
pub(super) fn need(key: &str, value: &Kind) -> Option<String> {
    let Kind::Text(text) = value else {
        return None;
    };
    let path = Path::new(text);
    // It stands in a comment: nothing in it may end that.
    let text = text.escape_debug();
    let folder = path.parent()?;
    let shown = folder.display().to_string();
    let shown = shown.escape_debug();
    match key {
        "fail2ban_socket" | "pid_file" => {
            let of_runtime = RUNTIME.iter().find_map(|run| folder.strip_prefix(run).ok());
            let directory = of_runtime.filter(|rest| !rest.as_os_str().is_empty());
            let line = match directory {
                Some(rest) => format!(
                    "`RuntimeDirectory={}`",
                    rest.display().to_string().escape_debug()
                ),
                None => format!("`ReadWritePaths={shown}`, with the right to write there,"),
            };
            let without = match key {
                "pid_file" => "goes on without",
                _ => "answers none of Fail2ban's clients",
            };
            Some(format!(
                "{key}: the user of f2bd's unit cannot make {text}; once Fail2ban is off, {line} below [Service] in `systemctl edit f2bd` allows it. Until then f2bd says so and {without}"
            ))
        }
        "fail2ban_log" if path.is_absolute() => Some(format!(
            "{key}: the user of f2bd's unit cannot write {text}; `chown f2bd {text}`, the same owner where it is rotated, and `ReadWritePaths={shown}` below [Service] in `systemctl edit f2bd` allow it. Until then f2bd says so and writes none of it"
        )),
        _ => None,
    }
}
