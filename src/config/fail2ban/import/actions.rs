//! How are commands of Fail2ban's written as action files?
//!
//! In: what the jails have a shell run. Out: a file of kind shell for each, a section of f2bd.conf and a file of its own for each
//! secret. What is secret stands nowhere else, and is not shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::NewFile;
use crate::action::shell::script::Script;
use crate::action::shell::spec::{CommandSet, Commands, Confidential, ShellSpec};
use crate::config::base::part;
use crate::config::document::{Kind, Table};
use crate::config::fail2ban::transcription::Transcription;
use crate::config::fail2ban::transcription::values::{table, text};
use crate::config::problem::Place;
use crate::config::toml_text::{block, literal};

/// The directory of secrets.
const SECRETS: &str = "secrets";

/// What is shorter is no secret, and stands in many words.
const SHORTEST_SECRET: usize = 4;

/// How long commands of action files may take if nothing is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// The files so far.
pub struct ActionFiles {
    output: PathBuf,
    files: BTreeMap<PathBuf, NewFile>,
    sections: Table,
}

/// A secret of an action.
struct Hidden {
    /// The tag, and the parameter.
    name: String,
    value: String,
}

impl ActionFiles {
    /// None yet, for a directory.
    pub fn new(output: &Path) -> Self {
        ActionFiles {
            output: output.to_owned(),
            files: BTreeMap::new(),
            sections: Table::default(),
        }
    }

    /// Adds what the section of a jail names.
    pub fn add(&mut self, all: &Transcription, section: &Table) {
        let named = match section.get("actions").map(|value| &value.kind) {
            Some(Kind::List(names)) => names.as_slice(),
            _ => &[],
        };
        for named in named {
            let name = match &named.kind {
                Kind::Table(table) => table.get("action").map(|name| &name.kind),
                kind => Some(kind),
            };
            let Some(Kind::Text(name)) = name else {
                continue;
            };
            let own = all.actions.iter();
            let mut own = own.filter(|(spec, _)| spec.name.as_str() == name);
            if let Some((spec, place)) = own.next()
                && let Some(shell) = spec.shell()
            {
                self.write(name, shell, place);
            } else if let Some(own) = part(&all.table, "action").and_then(|all| part(all, name)) {
                let section = self.with_secrets_kept(name, own);
                self.sections.set(name, table(section, &all.text_place()));
            }
        }
    }

    /// A section whose secrets stand in files of their own.
    fn with_secrets_kept(&mut self, name: &str, section: &Table) -> Table {
        let mut kept = Table::default();
        for entry in section.entries() {
            let value = match &entry.value.kind {
                Kind::Secret(secret) => {
                    let place = self.keep(name, &entry.key, secret.reveal());
                    text(&place, &entry.value.place)
                }
                _ => entry.value.clone(),
            };
            kept.set(&entry.key, value);
        }
        kept
    }

    /// Keeps a secret of an action in a file of its own; answers where.
    fn keep(&mut self, action: &str, name: &str, secret: &str) -> String {
        let path = PathBuf::from(format!("{SECRETS}/{action}.{name}"));
        let place = format!("file:{}", self.output.join(&path).display());
        let file = NewFile {
            text: format!("{secret}\n"),
            is_secret: true,
        };
        self.files.insert(path, file);
        place
    }

    fn write(&mut self, name: &str, shell: &ShellSpec, place: &Place) {
        let hidden = hidden(shell);
        let text_of_file = file(name, shell, &hidden);
        let is_secret = shell.secrets.values().any(|secret| match secret {
            Confidential::Said(value) => !value.is_empty() && text_of_file.contains(value),
            Confidential::Kept(_) => false,
        });
        let file = NewFile {
            text: text_of_file,
            is_secret,
        };
        self.files
            .insert(PathBuf::from(format!("actions/{name}.toml")), file);
        let mut section = Table::default();
        for secret in &hidden {
            let kept = self.keep(name, &secret.name, &secret.value);
            section.set(&secret.name, text(&kept, place));
        }
        if !hidden.is_empty() {
            self.sections.set(name, table(section, place));
        }
    }

    /// Says in the sections of a configuration what the jails use.
    pub fn put_sections(&mut self, configuration: &mut Table) {
        let sections = std::mem::take(&mut self.sections);
        if let Some(written) = configuration.get("action").cloned() {
            configuration.set("action", table(sections, &written.place));
        }
    }

    /// The files, by their paths.
    pub fn into_files(self) -> BTreeMap<PathBuf, NewFile> {
        self.files
    }
}

/// The secrets of an action that its commands say.
fn hidden(shell: &ShellSpec) -> Vec<Hidden> {
    let mut taken = BTreeSet::new();
    let mut hidden = Vec::new();
    for (name, secret) in &shell.secrets {
        let Confidential::Said(value) = secret else {
            continue;
        };
        let is_said = scripts(shell).any(|script| script.text().contains(value.as_str()));
        let is_line = !value.contains(|c: char| c.is_control() || c == '<');
        if value.len() < SHORTEST_SECRET || !is_said || !is_line {
            continue;
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let stem: String = name.to_lowercase().chars().map(plain).collect();
        let stem = format!("secret_{}", stem.trim_start_matches("secret_"));
        let mut name = stem.clone();
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        hidden.push(Hidden {
            name,
            value: value.clone(),
        });
    }
    // One may be a part of another.
    hidden.sort_by_key(|secret| std::cmp::Reverse(secret.value.len()));
    hidden
}

fn scripts(shell: &ShellSpec) -> impl Iterator<Item = &Script> {
    let sets = match &shell.commands {
        Commands::Same(set) => vec![set],
        Commands::ByFamily { ipv4, ipv6 } => vec![ipv4, ipv6],
    };
    sets.into_iter()
        .flat_map(|set| set.iter().map(|(_, script)| script))
}

/// The file.
fn file(name: &str, shell: &ShellSpec, hidden: &[Hidden]) -> String {
    let title = format!("What Fail2ban had a shell run: {name}");
    let mut text = format!("kind = \"shell\"\ntitle = {}\n", literal(&title));
    for secret in hidden {
        let about = format!("What the commands say for <{}>.", secret.name);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[parameters.{}]\ntype = \"secret\"\nabout = {}\n",
            secret.name,
            literal(&about)
        );
    }
    if shell.timeout != USUAL_TIMEOUT {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[parameters.timeout]\ntype = \"time\"\ndefault = \"{}s\"\nabout = \"How long each command may take.\"\n",
            shell.timeout.as_secs()
        );
    }
    text.push_str("\n[shell]\n");
    let differs = matches!(shell.commands, Commands::ByFamily { .. });
    for (key, value, usual) in [
        ("start_on_demand", shell.start_on_demand, differs),
        ("repair_on_unban", shell.repair_on_unban, false),
        ("norestored", shell.norestored, false),
    ] {
        if value != usual {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    match &shell.commands {
        Commands::Same(set) => commands(&mut text, "commands", set, hidden),
        Commands::ByFamily { ipv4, ipv6 } => {
            commands(&mut text, "commands", ipv4, hidden);
            commands(&mut text, "ipv6", ipv6, hidden);
        }
    }
    text
}

fn commands(text: &mut String, name: &str, set: &CommandSet, hidden: &[Hidden]) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\n[shell.{name}]\n");
    for (occasion, script) in set.iter().filter(|(_, script)| !script.says_nothing()) {
        let mut script = script.clone();
        for secret in hidden {
            script = script.with_tag(&secret.name, &secret.value);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{occasion} = {}", block(script.text()));
    }
}
