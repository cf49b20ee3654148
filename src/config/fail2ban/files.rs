//! Which files make up a part of a Fail2ban directory?
//!
//! `jail.conf`, then `jail.d/*.conf`, then `jail.local`, then `jail.d/*.local`, each with the files that it includes before
//! or after itself; a file that is included, too, may have its own `.local` beside it. In: a name such as `jail` or
//! `filter.d/sshd`. Out: all of that, merged. What is wrong with a file is noted where it is.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ini::{self, IniFile};
use super::interpolation::InterpolationError;
use super::merged::Merged;
use super::options::{Options, Written};
use super::traps;
use crate::config::document;
use crate::config::problem::{Place, Problems};

/// The section that names other files.
pub const INCLUDES: &str = "INCLUDES";

/// How deep files may include files. The stock ones go two levels deep.
const DEEPEST: usize = 20;

/// So many files make up one part, counting each time one is included: whoever includes two files that include two files
/// needs few to name very many.
const MOST_FILES: usize = 1_000;

/// The files of a directory that were read.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    read: HashMap<PathBuf, Reading>,
    /// Whether a file that another one includes is not there.
    lacks_included: bool,
}

/// What came of reading a file.
#[derive(Clone, Debug)]
enum Reading {
    Good(Arc<IniFile>),
    /// It is unreadable, or no text: Fail2ban goes on without it.
    Passed,
    /// It has mistakes: Fail2ban does not go on.
    Broken,
}

/// Why there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// No file has that name.
    #[error("there is no such file")]
    Missing,
    /// A file has mistakes, which were noted.
    #[error("it has mistakes")]
    Broken,
}

/// A file on its way into the list, and who included it.
struct Included<'a> {
    path: PathBuf,
    by: Option<&'a Included<'a>>,
}

impl Included<'_> {
    fn depth(&self) -> usize {
        self.by.map_or(0, |by| by.depth() + 1)
    }

    /// Whether a file includes itself by way of this one.
    fn is_within(&self, path: &Path) -> bool {
        let mut by = self.by;
        while let Some(above) = by {
            if above.path.as_os_str() == path.as_os_str() {
                return true;
            }
            by = above.by;
        }
        false
    }
}

impl Files {
    /// The files of a directory.
    pub fn of(folder: &Path) -> Self {
        Files {
            folder: folder.to_owned(),
            read: HashMap::new(),
            lacks_included: false,
        }
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether one of those that were wanted so far was passed over: unreadable, or no text, or not there.
    pub fn has_gaps(&self) -> bool {
        let mut read = self.read.values();
        self.lacks_included || read.any(|reading| matches!(reading, Reading::Passed))
    }

    /// Reads all files of a name.
    ///
    /// # Errors
    /// There is none, or one cannot be used.
    pub fn read(&mut self, name: &str, problems: &mut Problems) -> Result<Merged, FilesError> {
        let mut list = Vec::new();
        let named = self.named(name, problems);
        for path in with_locals(&named) {
            let file = Included { path, by: None };
            self.include(&file, &mut list, problems)?;
        }
        if list.is_empty() {
            return Err(FilesError::Missing);
        }
        let mut merged = Merged::default();
        for path in &list {
            if let Reading::Good(file) = self.file(path, problems) {
                merged.lay(&file);
            }
        }
        Ok(merged)
    }

    /// The files of a name that there are, without those they include.
    pub fn named(&self, name: &str, problems: &mut Problems) -> Vec<PathBuf> {
        let beside = |ending: &str| self.folder.join(format!("{name}{ending}"));
        let drop_ins = beside(".d");
        let mut named = vec![beside(".conf")];
        named.extend(drop_ins_of(&drop_ins, "conf", problems));
        named.push(beside(".local"));
        named.extend(drop_ins_of(&drop_ins, "local", problems));
        named.retain(|path| path.exists());
        named
    }

    /// Adds a file to the list, between those that it includes.
    fn include(
        &mut self,
        file: &Included<'_>,
        list: &mut Vec<PathBuf>,
        problems: &mut Problems,
    ) -> Result<(), FilesError> {
        let ini = match self.file(&file.path, problems) {
            Reading::Good(ini) => ini,
            Reading::Passed => return Ok(()),
            Reading::Broken => return Err(FilesError::Broken),
        };
        let mut own = Merged::default();
        own.lay(&ini);
        let mut others = |key: &str, files: &mut Self, list: &mut Vec<PathBuf>| {
            let value = own.get(INCLUDES, key, &Options::default());
            match value {
                Ok(Some(value)) if own.section(INCLUDES).is_some() => {
                    files.include_all(&value, file, list, problems)
                }
                Ok(_) => Ok(()),
                Err(InterpolationError { place, mistake }) => {
                    problems.error(&place, mistake.to_string(), mistake.remedy());
                    Err(FilesError::Broken)
                }
            }
        };
        others("before", self, list)?;
        list.push(file.path.clone());
        others("after", self, list)
    }

    fn include_all(
        &mut self,
        names: &Written,
        by: &Included<'_>,
        list: &mut Vec<PathBuf>,
        problems: &mut Problems,
    ) -> Result<(), FilesError> {
        let folder = by.path.parent().unwrap_or(Path::new(""));
        let all = names.text.split('\n').filter(|name| !name.is_empty());
        for (name, number) in all.zip(1..) {
            let path = folder.join(name);
            if by.is_within(&path) {
                let message = format!("`{name}` includes this file: Fail2ban reads it only once");
                problems.warning(&names.place, message, "remove one of the two");
                continue;
            }
            if by.depth() >= DEEPEST || list.len().max(number) >= MOST_FILES {
                let message = format!("`{name}` is one file too many that is included");
                problems.error(&names.place, message, "include fewer files");
                return Err(FilesError::Broken);
            }
            let there: Vec<_> = with_locals(&[path])
                .into_iter()
                .filter(|path| path.exists())
                .collect();
            // A file that ends so is for changes that nobody has to make.
            if there.is_empty() && !name.ends_with(".local") {
                self.lacks_included = true;
                problems.warning(
                    &names.place,
                    format!("there is no file `{name}` to include: Fail2ban goes on without it"),
                    "correct its name, which is looked for beside this file, or remove it",
                );
            }
            for path in there {
                let by = Some(by);
                self.include(&Included { path, by }, list, problems)?;
            }
        }
        Ok(())
    }

    /// Reads a file once.
    fn file(&mut self, path: &Path, problems: &mut Problems) -> Reading {
        if let Some(read) = self.read.get(path) {
            return read.clone();
        }
        let before = problems.count();
        let text = document::read(path, problems);
        if text.is_none() {
            // Nobody would guess that all of it is gone for one letter.
            let message = "nothing that this file says holds".to_owned();
            problems.unreadable(path, message, "mend it, and reload");
            problems.leave_out(before);
        }
        let read = match text {
            None => Reading::Passed,
            Some(text) => match ini::parse(&text) {
                Ok(file) => {
                    traps::misspelt_sections(&file, problems);
                    Reading::Good(Arc::new(file))
                }
                Err(errors) => {
                    for error in errors {
                        let message = error.mistake.to_string();
                        problems.error(&error.place, message, error.mistake.remedy());
                    }
                    Reading::Broken
                }
            },
        };
        self.read.insert(path.to_owned(), read.clone());
        read
    }
}

/// The files of a directory that end so and do not begin with a dot, sorted by name.
fn drop_ins_of(folder: &Path, ending: &str, problems: &mut Problems) -> Vec<PathBuf> {
    let entries = match folder.read_dir() {
        Ok(entries) => entries.flatten(),
        Err(error) => {
            // A name that is no directory, or none at all, has no drop-ins.
            if error.kind() == std::io::ErrorKind::PermissionDenied {
                let remedy = "make it readable for the user that runs f2bd";
                problems.unreadable(folder, format!("cannot be read: {error}"), remedy);
            }
            return Vec::new();
        }
    };
    let is_hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new(ending)) && !is_hidden(path))
        .collect();
    paths.sort_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
    paths
}

/// Each file with the one beside it that ends in `.local`, unless that one is in the list anyway.
fn with_locals(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in paths {
        all.push(path.clone());
        let local = path.with_extension("local");
        if !paths.contains(&local) && local.is_file() {
            all.push(local);
        }
    }
    all
}

/// Whether a directory is one of Fail2ban's.
pub fn is_tree(folder: &Path) -> bool {
    ["jail.conf", "jail.local"]
        .iter()
        .any(|name| folder.join(name).is_file())
}

/// Where a directory begins, for what is wrong with all of it.
pub fn place_of(folder: &Path) -> Place {
    Place::whole(&Arc::new(crate::config::problem::Text {
        path: folder.to_owned(),
        content: String::new(),
    }))
}
