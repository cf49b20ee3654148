//! Which files make up a configuration?
//!
//! f2bd.conf with its drop-ins; filter and action files beside it, then the shipped ones, then those that are part
//! of the program, so that it works without any. What the files say is read elsewhere.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{self, Table};
use super::fail2ban;
use super::problem::{Problems, Text};
use super::shipped;

/// The configuration if none is named.
pub const USUAL: &str = "/etc/f2bd/f2bd.conf";

/// Where `install.sh` with a prefix and packages put filter and action files.
const SHIPPED: [&str; 2] = ["/usr/local/share/f2bd", "/usr/share/f2bd"];

/// How deep drop-ins are laid over: section, name, key.
const OVERLAY_DEPTH: usize = 2;

/// What a data file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// A service: `filters/NAME.toml`.
    Filter,
    /// A firewall: `actions/NAME.toml`.
    Action,
}

/// Where data files are looked for, the first one first.
#[derive(Clone, Debug)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
}

/// f2bd.conf itself, of the file or directory that `--config` names; the directory if it is one of Fail2ban's and there is no
/// f2bd.conf in it.
pub fn main_file(path: Option<&Path>) -> PathBuf {
    match path {
        None => PathBuf::from(USUAL),
        Some(path) if path.is_dir() => {
            let own = path.join("f2bd.conf");
            match !own.exists() && fail2ban::is_tree(path) {
                // What stands in it names its own place, where programs are looked for from the root alone.
                true => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
                false => own,
            }
        }
        Some(path) => path.to_owned(),
    }
}

/// Reads f2bd.conf and lays its drop-ins over it, in the order of their names.
pub fn read(main: &Path, problems: &mut Problems) -> Option<(Arc<Text>, Table)> {
    let is_missing = main == Path::new(USUAL) && main.try_exists().is_ok_and(|there| !there);
    if is_missing && fail2ban::is_tree(Path::new(fail2ban::USUAL)) {
        let remedy = format!(
            "for Fail2ban's own configuration write --config {}, or create it as f2bd.conf(5) says",
            fail2ban::USUAL
        );
        problems.unreadable(main, "is not there".to_owned(), &remedy);
        return None;
    }
    let text = document::read(main, problems)?;
    let mut table = document::parse(&text, problems);
    for path in drop_ins(main, problems) {
        if let Some(text) = document::read(&path, problems) {
            table.overlay(document::parse(&text, problems), OVERLAY_DEPTH);
        }
    }
    Some((text, table))
}

/// `f2bd.conf.d/*.conf`.
fn drop_ins(main: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    let mut folder = main.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let paths = match folder.read_dir() {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut paths: Vec<PathBuf> = paths.unwrap_or_else(|error: std::io::Error| {
        let remedy = "make it a directory that the user that runs f2bd can read";
        problems.unreadable(&folder, format!("cannot be read: {error}"), remedy);
        Vec::new()
    });
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
    paths.sort();
    paths
}

impl Data {
    fn folder(self) -> &'static str {
        match self {
            Data::Filter => "filters",
            Data::Action => "actions",
        }
    }
}

impl SearchPath {
    /// The search path of a configuration.
    pub fn beside(main: &Path) -> Self {
        let own = match main.is_dir() {
            true => main,
            false => main.parent().unwrap_or(Path::new("")),
        };
        SearchPath {
            folders: [own]
                .into_iter()
                .chain(SHIPPED.map(Path::new))
                .map(Path::to_owned)
                .collect(),
        }
    }

    /// Reads the data file of a name. `None` if there is none, or if it was reported to be unreadable.
    pub fn find(&self, data: Data, name: &str, problems: &mut Problems) -> Option<Arc<Text>> {
        let relative = format!("{}/{name}.toml", data.folder());
        for folder in &self.folders {
            let path = folder.join(&relative);
            if path.exists() {
                return document::read(&path, problems);
            }
        }
        let (_, content) = built_in(data).find(|(known, _)| *known == name)?;
        Some(Arc::new(Text {
            path: PathBuf::from(format!("(built in) {relative}")),
            content: content.to_owned(),
        }))
    }

    /// The names of all data files.
    pub fn names(&self, data: Data) -> BTreeSet<String> {
        let built_in = built_in(data).map(|(name, _)| name.to_owned());
        let folders = self.folders.iter().map(|folder| folder.join(data.folder()));
        let in_folders = folders
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .flatten();
        let in_folders = in_folders.filter_map(|entry| toml_name(entry.file_name()));
        built_in.chain(in_folders).collect()
    }
}

/// The files that are part of the program.
fn built_in(data: Data) -> impl Iterator<Item = (&'static str, &'static str)> {
    let shipped = match data {
        Data::Filter => shipped::FILTERS,
        Data::Action => shipped::ACTIONS,
    };
    shipped.iter().copied()
}

fn toml_name(file: OsString) -> Option<String> {
    Some(file.to_str()?.strip_suffix(".toml")?.to_owned())
}
