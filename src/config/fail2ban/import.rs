//! Which files would an administrator of f2bd have written who wants what a directory of Fail2ban's says?
//!
//! In: a [`Tree`], and where the files will be. Out: an f2bd.conf, the filters, actions and secrets that it names, and a word
//! about each jail. Nothing is written here.
//!
//! What a jail comes to is the transcription's to say. `covered` knows where a filter of ours does the work of one of
//! Fail2ban's, `filters` and `actions` write files of the others, `common` finds what all jails share,
//! `clients` tells what those who knew Fail2ban need, `text` writes TOML.

mod actions;
mod clients;
mod common;
pub mod covered;
mod filters;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use actions::ActionFiles;
use covered::{Covered, Row};
use filters::FilterFiles;

use super::jail::{Started, State, TreeJail};
use super::transcription::jail::RECIDIVE;
use super::transcription::values::{table, text as as_text};
use super::transcription::{Transcription, transcribe};
use super::{Tree, VERSION};
use crate::config::base::part;
use crate::config::document::{Kind, Table};
use crate::config::problem::{Problem, Problems};

/// What a directory of Fail2ban's is converted to.
#[derive(Debug)]
pub struct Converted {
    /// The files, by their paths in the new directory.
    pub files: BTreeMap<PathBuf, NewFile>,
    /// What has become of each jail that Fail2ban would start, in its order.
    pub jails: Vec<Carried>,
    /// What the user of f2bd's unit still needs, a sentence each.
    pub needs: Vec<String>,
    /// What else is wrong with the directory.
    pub problems: Vec<Problem>,
}

/// A file to be written.
#[derive(Debug)]
pub struct NewFile {
    /// What it says.
    pub text: String,
    /// Whether nobody but its owner may read it.
    pub is_secret: bool,
}

impl NewFile {
    fn open(text: String) -> Self {
        NewFile {
            text,
            is_secret: false,
        }
    }
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
    /// Why its filter was converted where none of ours takes its place.
    pub converted: Option<String>,
}

/// Converts the directory `folder` for `output`, where the files will be; both are whole paths. `None` if Fail2ban would not
/// start with it, which is reported.
pub fn convert(folder: &Path, output: &Path, problems: &mut Problems) -> Option<Converted> {
    let mut tree = Tree::read(folder, VERSION, problems)?;
    // What is found now is found again, jail by jail.
    let mut all = transcribe(&tree, &mut Problems::default());
    let covered = Covered::known();
    let jails = std::mem::take(&mut tree.jails);
    let (mut filters, mut actions) = (FilterFiles::default(), ActionFiles::new(output));
    let (mut carried, mut sections) = (Vec::new(), Table::default());
    for jail in jails {
        if matches!(jail.state, State::Off | State::Doubtful) {
            continue;
        }
        let row = started(&jail).map(|jail| covered.row(jail));
        let name = jail.name.clone();
        let mut differences = alone(&mut tree, jail);
        let place = all.text_place();
        let mut converted = None;
        let section = all.take_section(&name).and_then(|mut section| {
            if let Some(Ok(row)) = &row {
                differences.push(row.difference());
                use_ours(row, &mut section);
            } else {
                let added = filters.add(&all, &mut section);
                let is_new = added.map_err(|why| differences.push(why)).ok()?;
                let why = row.and_then(Result::err).filter(|_| is_new);
                converted = why.map(|why| why.to_string());
            }
            differences.extend(otherwise(&section));
            let of_actions = all.differences.iter().filter(|(jail, _)| *jail == name);
            differences.extend(of_actions.map(|(_, told)| told.clone()));
            differences.extend(stays_behind(&section, folder));
            Some(section)
        });
        if let Some(section) = &section {
            actions.add(&all, section);
        }
        carried.push(Carried {
            jail: name.clone(),
            is_there: section.is_some(),
            differences,
            converted,
        });
        if let Some(section) = section {
            sections.set(&name, table(section, &place));
        }
    }
    all.table.set("jail", table(sections, &all.text_place()));
    actions.put_sections(&mut all.table);
    common::put_into_defaults(&mut all.table);
    let main = text::configuration(&all.table, folder);
    let mut files = BTreeMap::from([(PathBuf::from("f2bd.conf"), NewFile::open(main))]);
    files.extend(filters.into_files());
    files.extend(actions.into_files());
    Some(Converted {
        files,
        jails: carried,
        needs: clients::needs(&all.table),
        problems: std::mem::take(problems).into_sorted(),
    })
}

fn started(jail: &TreeJail) -> Option<&Started> {
    match &jail.state {
        State::On(started) => Some(started),
        State::Off | State::Doubtful | State::LeftOut(_) => None,
    }
}

/// What is told of a jail where no other one is.
fn alone(tree: &mut Tree, jail: TreeJail) -> Vec<String> {
    tree.jails = vec![jail];
    let mut own = Problems::default();
    transcribe(tree, &mut own);
    let own = own.into_sorted().into_iter();
    own.map(|problem| format!("{}; {}", problem.message, problem.remedy))
        .collect()
}

/// Has the jail of a section use a filter of ours.
fn use_ours(row: &Row, section: &mut Table) {
    let Some(written) = section.get("filter").cloned() else {
        return;
    };
    let named = as_text(&row.uses, &written.place);
    let value = match &row.mode {
        None => named,
        Some(mode) => {
            let mut both = Table::default();
            both.set("use", named);
            both.set("mode", as_text(mode, &written.place));
            table(both, &written.place)
        }
    };
    section.replace("filter", value);
    if !row.names_hosts() {
        section.remove("usedns");
    }
}

/// What f2bd does otherwise than Fail2ban by the settings of a jail, whatever they say.
fn otherwise(section: &Table) -> impl Iterator<Item = String> {
    let filter = section.get("filter").map(|filter| &filter.kind);
    let counts_bans = matches!(filter, Some(Kind::Text(name)) if name == RECIDIVE)
        && section.get("logpath").is_none();
    let bans = "it counts the bans of f2bd's other jails, and none by hand";
    let asks = section.get("ignorecommand").is_some();
    let asked = "`ignorecommand` has 10 seconds to answer instead of 60; what has not ended by then spares nobody";
    let all = [counts_bans.then_some(bans), asks.then_some(asked)];
    all.into_iter().flatten().map(str::to_owned)
}

/// What a jail still needs of the old directory.
fn stays_behind(section: &Table, folder: &Path) -> Option<String> {
    let words = match &section.get("ignorecommand")?.kind {
        Kind::List(words) => words,
        _ => return None,
    };
    let mut words = words.iter().filter_map(|word| match &word.kind {
        Kind::Text(word) => Some(word),
        _ => None,
    });
    let program = words.find(|word| Path::new(word).starts_with(folder))?;
    Some(format!(
        "`ignorecommand` still runs {program}; keep that file, or move it and write its new path"
    ))
}

impl Transcription {
    fn text_place(&self) -> crate::config::problem::Place {
        crate::config::problem::Place::whole(&self.text)
    }

    fn take_section(&self, jail: &str) -> Option<Table> {
        part(part(&self.table, "jail")?, jail).cloned()
    }
}
