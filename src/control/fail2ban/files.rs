//! Which log files does a jail read, by name?
//!
//! Fail2ban lists the files that there are; the configuration has wildcards. This looks at the disk, and at nothing but
//! names.

use std::path::Path;

use glob::{MatchOptions, Pattern};

/// As a shell does it: `*` stops at `/` and leaves out hidden files.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// For the walk, which comes by hidden files too: asked to leave them out, the crate panics at a name that is no UTF-8.
const WALK: MatchOptions = MatchOptions {
    require_literal_leading_dot: false,
    ..OPTIONS
};

/// How many files of a jail are listed; a directory may have any number.
const MOST_FILES: usize = 1_000;

/// The files that there are of these names, which may have wildcards.
pub fn there(names: &[String]) -> Vec<String> {
    let mut files = Vec::new();
    for name in names {
        let (Ok(pattern), Ok(found)) = (Pattern::new(name), glob::glob_with(name, WALK)) else {
            continue;
        };
        let found = found.filter_map(Result::ok);
        let found = found.filter(|path| pattern.matches_path_with(path, OPTIONS));
        for path in found.take(MOST_FILES - files.len().min(MOST_FILES)) {
            let text = path.display().to_string();
            let path = Path::new(&text);
            if path.exists() && !path.is_dir() && !files.contains(&text) {
                files.push(text);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_there_are_listed_once() {
        let home = tempfile::tempdir().expect("a directory");
        let path = |name: &str| home.path().join(name).display().to_string();
        for name in ["a.log", "b.log", ".hidden.log", "other"] {
            std::fs::write(path(name), "").expect("a file");
        }
        let names = [
            path("*.log"),
            path("a.log"),
            path("missing"),
            "[".to_owned(),
        ];
        assert_eq!(there(&names), [path("a.log"), path("b.log")]);
    }
}
