//! What does one filter of a directory come to, without a jail?
//!
//! In: its name, with what a jail would write into brackets behind it. Out: its options, or the filter file that they come
//! to, for those who try it on a log.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::brackets;
use super::expression::Hosts;
use super::files::{Files, place_of};
use super::filter::{self, Reading};
use super::jail::{JailsReader, State};
use super::merged::Merged;
use super::options::{Options, Written, strip};
use crate::config::filter::FilterFile;
use crate::config::problem::Problems;

/// The jail that would have the filter; nobody sees its name.
const JAIL: &str = "match";

/// Where a filter is: the directory that it belongs to, and what a jail there would call it.
#[derive(Debug)]
pub struct Whereabouts {
    folder: PathBuf,
    named: String,
}

impl Whereabouts {
    /// The filter `named`: in `folder`, if that is a directory of Fail2ban's, or the file `filter.d/NAME.conf` of another one.
    /// `None` if it is none of Fail2ban's.
    pub fn find(named: &str, mode: Option<&str>, folder: &Path) -> Option<Self> {
        let path = Path::new(named);
        let (folder, name) = match path.parent().filter(|parent| parent.ends_with("filter.d")) {
            Some(parent) => (parent.parent()?, path.file_stem()?.to_str()?),
            None if folder.is_dir() => (folder, named),
            None => return None,
        };
        let mode = mode.map(|mode| format!("[mode=\"{mode}\"]"));
        Some(Whereabouts {
            folder: folder.to_owned(),
            named: format!("{name}{}", mode.unwrap_or_default()),
        })
    }

    /// The filter of this name in the directory of Fail2ban's.
    pub fn of(folder: PathBuf, named: String) -> Self {
        Whereabouts { folder, named }
    }

    /// The directory that it belongs to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads what it says to a jail with that backend; what is wrong with it is noted in `problems`.
    pub fn options(&self, backend: Option<&str>, problems: &mut Problems) -> Option<Options> {
        let place = place_of(&self.folder);
        let mut files = Files::of(&self.folder);
        let mut jails = Merged::default();
        let section = jails.section_mut(JAIL, &place);
        let said = [("enabled", "true"), ("filter", &*self.named)];
        for (key, value) in said
            .into_iter()
            .chain(backend.map(|name| ("backend", name)))
        {
            section.set(key, Written::new(value, &place));
        }
        match JailsReader::new(&mut files).read(JAIL, &place, &mut jails, problems) {
            Ok(State::On(started)) => Some(started.filter_options()),
            Ok(State::Off | State::Doubtful) => None,
            Err(error) | Ok(State::LeftOut(error)) => {
                problems.error(error.place(), error.to_string(), error.remedy());
                None
            }
        }
    }

    /// Reads it; what is wrong with it is noted in `problems`.
    pub fn read(&self, problems: &mut Problems) -> Option<FilterFile> {
        let place = place_of(&self.folder);
        let options = self.options(None, problems)?;
        let name = brackets::part(&self.named).ok()?.name.parse();
        let name = name.map_err(|error: crate::engine::name::NameError| {
            problems.error(&place, error.to_string(), "rename the file");
        });
        let reading = Reading {
            hosts: Hosts::Named,
            zone: TimeZone::system(),
        };
        let patterns = options.text("failregex").unwrap_or_default();
        if strip(patterns).is_empty() {
            let message = format!("filter `{}` has no failregex: it finds nothing", self.named);
            problems.error(&place, message, "write failregex, or name another filter");
            return None;
        }
        let file = filter::file(name.ok()?, &options, &reading, problems)?;
        Some(FilterFile::from(file))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_filter_that_finds_nothing_is_told() {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("filter.d")).expect("a tree");
        let filter = folder.path().join("filter.d/empty.conf");
        for text in [
            "[Definition]\nignoreregex = x\n",
            "[Definition]\nfailregex =\n",
        ] {
            fs::write(&filter, text).expect("a filter");
            let mut problems = Problems::default();
            let found = Whereabouts::find("empty", None, folder.path()).expect("a place");
            assert!(found.read(&mut problems).is_none());
            assert_eq!(problems.count(), 1, "{text}");
        }
    }
}
