//! Which files are those that Fail2ban ships?
//!
//! In: the name of a file and what it says. `known.sha256` is what the files of Fail2ban's versions are known by. Pure:
//! nothing is read here.

use std::collections::HashSet;

use crate::config::fail2ban::digest::sha256;

/// Lines of a hash and a name.
const KNOWN: &str = include_str!("known.sha256");

/// All files of all versions.
#[derive(Debug)]
pub struct Known(HashSet<(String, String)>);

impl Default for Known {
    fn default() -> Known {
        let lines = KNOWN.lines().filter_map(|line| line.split_once("  "));
        let lines = lines.map(|(hash, name)| (hash.to_owned(), name.to_owned()));
        Known(lines.collect())
    }
}

impl Known {
    /// Whether the file of this name is as it was shipped.
    pub fn has(&self, name: &str, content: &str) -> bool {
        self.0.contains(&(hash(content), name.to_owned()))
    }

    /// Whether any file of this name was.
    #[cfg(test)]
    pub fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|(_, known)| known == name)
    }

    /// One more.
    #[cfg(test)]
    pub fn add(&mut self, name: &str, content: &str) {
        self.0.insert((hash(content), name.to_owned()));
    }
}

/// What a file is known by: the SHA-256 of what it says without comments, empty lines and blanks at line ends.
/// `contrib/fail2ban-hashes.sh` says the same.
fn hash(content: &str) -> String {
    let blank = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    let lines = content.lines().map(|line| line.trim_end_matches(blank));
    let says = lines.filter(|line| {
        let begin = line.trim_start_matches(blank);
        !begin.is_empty() && !begin.starts_with(['#', ';'])
    });
    let mut text = String::new();
    for line in says {
        text.push_str(line);
        text.push('\n');
    }
    sha256(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_make_no_difference() {
        assert_eq!(hash("# a\n\n[x]  \n ; b\ny = 1\n"), hash("[x]\ny = 1"));
        assert_ne!(hash("[x]\ny = 1"), hash("[x]\n y = 1"));
    }
}
