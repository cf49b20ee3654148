//! Which files would an administrator of f2bd have written who wants what a directory of Fail2ban's says?
//!
//! In: a [`Tree`]. Out: an f2bd.conf, the filters that it names, and a word about each jail. Nothing is written here.
//!
//! `text` writes TOML, `filters` filter files; what is in them is the transcription's to say.

mod filters;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::jail::{State, TreeJail};
use super::transcription::{Transcription, transcribe};
use super::{Tree, VERSION};
use crate::config::base::part;
use crate::config::document::Table;
use crate::config::filter::NORMAL;
use crate::config::problem::{Problem, Problems};
use crate::engine::name::FilterName;

/// The actions of Fail2ban that do what f2bd does if nothing is said.
const USUAL_ACTION: &str = "nftables";

/// What a directory of Fail2ban's is converted to.
#[derive(Debug)]
pub struct Converted {
    /// The files, by their paths in the new directory.
    pub files: BTreeMap<PathBuf, String>,
    /// What has become of each jail that Fail2ban would start, in its order.
    pub jails: Vec<Carried>,
    /// What else is wrong with the directory.
    pub problems: Vec<Problem>,
}

/// What has become of a jail.
#[derive(Debug)]
pub struct Carried {
    /// Its name.
    pub jail: String,
    /// Whether it is there.
    pub is_there: bool,
    /// What is otherwise, or why it is not there; nothing if it was carried over exactly.
    pub differences: Vec<String>,
}

/// Converts the directory `folder`. `None` if Fail2ban would not start with it, which is reported.
pub fn convert(folder: &Path, problems: &mut Problems) -> Option<Converted> {
    let mut tree = Tree::read(folder, VERSION, problems)?;
    // What is found now is found again, jail by jail.
    let all = transcribe(&tree, &mut Problems::default());
    let jails = std::mem::take(&mut tree.jails);
    let mut carried = Vec::new();
    let mut converted = BTreeMap::new();
    for jail in jails {
        let used = filter_of(&all, &jail).and_then(|name| {
            let file = all.files_of(&name)?;
            Some((name, file))
        });
        let mut refused = None;
        if let Some((name, spec)) = used
            && !converted.contains_key(&name)
        {
            match filters::file(&spec) {
                Ok(text) => drop(converted.insert(name, text)),
                Err(why) => refused = Some(why),
            }
        }
        if matches!(jail.state, State::Off) {
            continue;
        }
        let (name, actions) = (jail.name.clone(), other_actions(&jail));
        tree.jails = vec![jail];
        let mut own = Problems::default();
        let is_there = transcribe(&tree, &mut own).has_jail(&name);
        let own = own.into_sorted().into_iter();
        let mut differences: Vec<String> = own
            .map(|problem| format!("{}; {}", problem.message, problem.remedy))
            .collect();
        if is_there && !all.says(&name, "actions") && !actions.is_empty() {
            let actions = actions.join(", ");
            differences.push(format!(
                "f2bd bans by its usual action, not by {actions}; write `actions`, see f2bd-action(5)"
            ));
        }
        let is_there = is_there && refused.is_none();
        differences.extend(refused);
        carried.push(Carried {
            jail: name,
            is_there,
            differences,
        });
    }
    let lost: Vec<_> = carried.iter().filter(|jail| !jail.is_there).collect();
    let lost: Vec<_> = lost.iter().map(|jail| jail.jail.as_str()).collect();
    let main = text::configuration(&all.table, &lost, folder);
    let mut files = BTreeMap::from([(PathBuf::from("f2bd.conf"), main)]);
    for (name, text) in converted {
        files.insert(PathBuf::from(format!("filters/{name}.toml")), text);
    }
    Some(Converted {
        files,
        jails: carried,
        problems: std::mem::take(problems).into_sorted(),
    })
}

fn started(jail: &TreeJail) -> Option<&super::jail::Started> {
    match &jail.state {
        State::On(started) => Some(started),
        State::Off | State::LeftOut(_) => None,
    }
}

/// The actions of a jail that do something else than f2bd usually does.
fn other_actions(jail: &TreeJail) -> Vec<String> {
    let actions = started(jail).into_iter().flat_map(|jail| &jail.actions);
    let others = actions.filter(|action| !action.file.starts_with(USUAL_ACTION));
    others.map(|action| action.file.clone()).collect()
}

/// The filter that the section of a jail names.
fn filter_of(all: &Transcription, jail: &TreeJail) -> Option<FilterName> {
    let section = part(part(&all.table, "jail")?, &jail.name)?;
    match &section.get("filter")?.kind {
        crate::config::document::Kind::Text(name) => name.parse().ok(),
        _ => None,
    }
}

impl Transcription {
    fn has_jail(&self, jail: &str) -> bool {
        self.section(jail).is_some()
    }

    fn says(&self, jail: &str, key: &str) -> bool {
        self.section(jail)
            .is_some_and(|section| section.get(key).is_some())
    }

    fn section(&self, jail: &str) -> Option<&Table> {
        part(part(&self.table, "jail")?, jail)
    }

    fn files_of(&self, name: &FilterName) -> Option<crate::engine::filter::FilterSpec> {
        let file = self.filters.get(name)?.as_ref()?;
        Some(file.spec(NORMAL))
    }
}
