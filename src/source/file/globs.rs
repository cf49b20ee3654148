//! Which files are wanted?
//!
//! Comes in: names with wildcards. Goes out: the files that there are now, and the directories in which others may
//! appear.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use glob::{MatchOptions, Pattern};

/// As a shell does it: `*` stops at `/` and leaves out hidden files.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// For the walk through the directories, which comes by hidden files too: asked to leave them out, the crate panics at a
/// name that is no UTF-8.
const WALK: MatchOptions = MatchOptions {
    require_literal_leading_dot: false,
    ..OPTIONS
};

/// The absolute path of a log, perhaps with wildcards: `/var/log/nginx/*access.log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGlob(Pattern);

/// The text is no such path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileGlobError {
    /// It would depend on where the daemon was started.
    #[error("`{0}` is not an absolute path: begin it with `/`")]
    Relative(String),
    /// The wildcards are wrong.
    #[error("`{text}` cannot be read as a path with wildcards: {reason} at character {at}")]
    Pattern {
        /// What was written.
        text: String,
        /// What is wrong.
        reason: &'static str,
        /// Where.
        at: usize,
    },
}

impl FromStr for FileGlob {
    type Err = FileGlobError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with('/') {
            return Err(FileGlobError::Relative(text.to_owned()));
        }
        let pattern = Pattern::new(text).map_err(|error| FileGlobError::Pattern {
            text: text.to_owned(),
            reason: error.msg,
            at: error.pos,
        })?;
        Ok(FileGlob(pattern))
    }
}

impl fmt::Display for FileGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str())
    }
}

impl FileGlob {
    /// Whether it means this file.
    pub fn matches(&self, path: &Path) -> bool {
        self.0.matches_path_with(path, OPTIONS)
    }

    /// The path, if it has no wildcard.
    pub fn literal(&self) -> Option<&Path> {
        is_literal(self.0.as_str()).then(|| Path::new(self.0.as_str()))
    }

    /// The last directory on the way whose name has no wildcard.
    pub fn base(&self) -> &Path {
        let directories = Path::new(self.0.as_str()).ancestors().skip(1);
        let plain = |path: &&Path| path.to_str().is_none_or(is_literal);
        directories
            .into_iter()
            .find(plain)
            .unwrap_or(Path::new("/"))
    }

    /// The files that it means now, and directories that could not be looked into.
    pub fn expand(&self, files: &mut BTreeSet<PathBuf>, failed: &mut Vec<glob::GlobError>) {
        if let Some(path) = self.literal() {
            files.insert(path.to_owned());
            return;
        }
        // It was parsed before, so it is one.
        for found in glob::glob_with(self.0.as_str(), WALK).into_iter().flatten() {
            match found {
                Ok(path) if !self.matches(&path) => {}
                Err(error) if !self.leads_through(error.path()) => {}
                // Directories match as easily as files, and nobody means them.
                Ok(path) if fs::metadata(&path).is_ok_and(|data| data.is_dir()) => {}
                Ok(path) => {
                    files.insert(path);
                }
                Err(error) => failed.push(error),
            }
        }
    }

    /// The directories in which new matches would show.
    pub fn directories(&self, found: &mut BTreeSet<PathBuf>) {
        let base = self.base();
        // Where it is missing, its return shows one higher.
        let there = base.ancestors().find(|path| path.is_dir());
        found.extend(there.map(Path::to_owned));
        let whole = Path::new(self.0.as_str());
        let between = whole.ancestors().skip(1).take_while(|path| *path != base);
        for pattern in between.filter_map(Path::to_str) {
            let paths = glob::glob_with(pattern, WALK).into_iter().flatten();
            let wanted = |path: &PathBuf| self.leads_through(path) && path.is_dir();
            found.extend(paths.flatten().filter(wanted));
        }
    }

    /// Whether a directory is on the way, and not one beside it that is hidden.
    fn leads_through(&self, directory: &Path) -> bool {
        let depth = directory.components().count();
        let mut ways = Path::new(self.0.as_str()).ancestors();
        let way = ways.find(|way| way.components().count() == depth);
        let pattern = way.and_then(Path::to_str).map(Pattern::new);
        // Deeper than the glob itself is only what `**` stands for.
        !matches!(pattern, Some(Ok(pattern)) if !pattern.matches_path_with(directory, OPTIONS))
    }
}

fn is_literal(text: &str) -> bool {
    !text.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_anything() {
        use std::os::unix::ffi::OsStrExt;
        let home = tempfile::tempdir().expect("a directory");
        let path = |name: &[u8]| home.path().join(std::ffi::OsStr::from_bytes(name));
        for name in [&b"a"[..], b".hidden", b"\xff"] {
            fs::create_dir(path(name)).expect("a directory");
            for file in [&b"/x.log"[..], b"/.x.log", b"/\xff.log", b"/\xff"] {
                fs::write(path(&[name, file].concat()), "").expect("a file");
            }
        }
        let glob = format!("{}/*/*.log", home.path().display());
        let glob: FileGlob = glob.parse().expect("a glob");
        let (mut files, mut directories, mut failed) =
            (BTreeSet::new(), BTreeSet::new(), Vec::new());
        glob.expand(&mut files, &mut failed);
        glob.directories(&mut directories);
        assert_eq!(Vec::from_iter(files), [path(b"a/x.log")]);
        assert_eq!(Vec::from_iter(directories), [path(b""), path(b"a")]);
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn globs_are_absolute_and_stop_at_directories() {
        let glob: FileGlob = "/var/log/*/access*.log".parse().expect("a glob");
        assert!(glob.matches(Path::new("/var/log/a/access-x.log")));
        assert!(!glob.matches(Path::new("/var/log/a/b/access.log")));
        assert!(!glob.matches(Path::new("/var/log/.a/access.log")));
        assert_eq!(glob.base(), Path::new("/var/log"));
        assert_eq!(glob.literal(), None);
        assert_eq!(glob.to_string(), "/var/log/*/access*.log");
        let literal: FileGlob = "/var/log/auth.log".parse().expect("a glob");
        assert_eq!(literal.literal(), Some(Path::new("/var/log/auth.log")));
        assert_eq!(literal.base(), Path::new("/var/log"));
        assert!(matches!(
            "auth.log".parse::<FileGlob>(),
            Err(FileGlobError::Relative(_))
        ));
        assert!(matches!(
            "/a/[".parse::<FileGlob>(),
            Err(FileGlobError::Pattern { .. })
        ));
    }
}
