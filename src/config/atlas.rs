//! Which databases of countries and operators are there?
//!
//! In: the paths in `[daemon]`. Out: an [`Atlas`] of their bytes as they are now. One that cannot be used is a warning:
//! to know less is no reason not to protect.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::daemon::DaemonSettings;
use super::problem::Problems;
use super::section::Section;
use crate::engine::atlas::{Atlas, AtlasError, Tables};

/// The largest file that is read: it stays in memory. Those of all countries and all operators have some 10 MB each,
/// one of all cities 70.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is no file")]
    NoFile,
    #[error("is larger than {MOST_BYTES} bytes")]
    Large,
    #[error("is no MaxMind database: {0}")]
    Broken(#[from] AtlasError),
}

/// Reads the databases that `[daemon]` names.
pub fn read(section: &Section<'_>, daemon: &DaemonSettings, problems: &mut Problems) -> Arc<Atlas> {
    let mut tables = |key: &str, path: Option<&Path>| {
        let path = path?;
        match load(path) {
            Ok(tables) => Some(tables),
            Err(error) => {
                if let Some(value) = section.value(key) {
                    let remedy = format!(
                        "put a file in the .mmdb format there that the user that runs f2bd can read, or remove `{key}`"
                    );
                    let message = format!("`{key}`: {} {error}", path.display());
                    problems.warning(&value.place, message, remedy);
                }
                None
            }
        }
    };
    Arc::new(Atlas {
        countries: tables("country", daemon.country.as_deref()),
        operators: tables("operator", daemon.operator.as_deref()),
    })
}

fn load(path: &Path) -> Result<Tables, Unusable> {
    // Before it is opened: a pipe would keep the start waiting.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(Unusable::NoFile);
    }
    let room = metadata.len().min(MOST_BYTES + 1);
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Unusable::Large);
    }
    Ok(Tables::new(bytes)?)
}
