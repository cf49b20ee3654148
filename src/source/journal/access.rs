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

/// The first thing of the journal that we are not allowed to read.
pub fn denied(spec: &JournalSpec) -> Option<JournalError> {
    places(spec).iter().find_map(|place| match look(place) {
        Err((path, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some(JournalError::Denied { path })
        }
        _ => None,
    })
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

/// Looks at `place`, the directories in it and the files of the system in those: the files of users are
/// for themselves and need not be readable.
fn look(place: &Path) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    for item in fs::read_dir(place).map_err(at(place))?.flatten() {
        let path = item.path();
        let name = item.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b"system") && name.ends_with(b".journal") {
            File::open(&path).map_err(at(&path))?;
        } else if item.file_type().is_ok_and(|kind| kind.is_dir()) {
            look(&path)?;
        }
    }
    Ok(())
}
