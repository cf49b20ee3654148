//! Why does the journal show nothing?
//!
//! The journal's own library opens what it may and leaves out the rest without a word; somebody
//! without permission sees an empty journal. This file looks for itself and says why. It reads no entry.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{JournalError, JournalSpec};

/// Where this machine's journals are, each machine's and namespace's in a directory of its own.
const ROOTS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// What keeps us from reading what the system logs now. An old file that is not for us is no reason to be
/// deaf to the present.
pub fn denied(spec: &JournalSpec) -> Option<JournalError> {
    let mut seen = Seen::default();
    for place in places(spec) {
        seen.look(&place);
    }
    let path = seen.denied.filter(|_| !seen.present)?;
    Some(JournalError::Denied { path })
}

/// Where entries were looked for, in words.
pub fn described(spec: &JournalSpec) -> String {
    let places = places(spec);
    let places: Vec<_> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    places.join(" and ")
}

/// The directories that hold the journal's files, or a directory of such directories.
fn places(spec: &JournalSpec) -> Vec<PathBuf> {
    if let Some(directory) = &spec.directory {
        return vec![directory.clone()];
    }
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let mut own = machine.trim().to_owned();
    if let Some(namespace) = &spec.namespace {
        own = format!("{own}.{namespace}");
    }
    ROOTS.map(|root| Path::new(root).join(&own)).to_vec()
}

/// What a look at directories and files has shown.
#[derive(Default)]
struct Seen {
    /// The file into which the system logs now can be read.
    present: bool,
    /// The first thing that cannot be.
    denied: Option<PathBuf>,
}

impl Seen {
    /// Looks at `place`, the directories in it and the files of the system in those; the files of users are
    /// for themselves.
    fn look(&mut self, place: &Path) {
        let items = match fs::read_dir(place) {
            Ok(items) => items,
            Err(error) => return self.failed(place, &error),
        };
        for item in items.flatten() {
            let path = item.path();
            let name = item.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(b"system") && name.ends_with(b".journal") {
                match File::open(&path) {
                    Ok(_) => self.present |= name == b"system.journal",
                    Err(error) => self.failed(&path, &error),
                }
            } else if item.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.look(&path);
            }
        }
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        if error.kind() == io::ErrorKind::PermissionDenied && self.denied.is_none() {
            self.denied = Some(path.to_owned());
        }
    }
}
