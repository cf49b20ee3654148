//! Are there bans of Fail2ban's that f2bd does not know?
//!
//! In: where f2bd's own database is, and a directory of Fail2ban's that may say where its is. Out: what to do about them. No
//! database is read here.

use std::path::{Path, PathBuf};

use crate::config::fail2ban::Tree;
use crate::config::problem::{Problem, Severity};

/// Where Fail2ban's own is, if nobody says otherwise.
const USUAL: &str = "/var/lib/fail2ban/fail2ban.sqlite3";

/// That there are bans of Fail2ban's to be taken over, as long as f2bd has no database of its own at this path. Where Fail2ban's
/// is, a directory of its own says.
pub fn waiting_for(own: &Path, tree: Option<&Tree>) -> Option<Problem> {
    let said = tree.and_then(|tree| tree.daemon.text("dbfile"));
    // Words such as None are no files: it keeps nothing there.
    let file = PathBuf::from(said.unwrap_or(USUAL));
    let named = match file == Path::new(USUAL) {
        true => String::new(),
        false => format!(" {}", file.display()),
    };
    // Who may not look whether there is one knows of nothing that waits.
    let lacks_own = own.try_exists().is_ok_and(|there| !there);
    let waits = lacks_own && file.is_absolute() && file.is_file();
    waits.then(|| Problem {
        file,
        line: None,
        column: None,
        severity: Severity::Warning,
        message: "Fail2ban has left bans here, which f2bd does not know".to_owned(),
        remedy: format!(
            "once f2bd runs, `f2bd import --state{named}` takes them over, so that nobody is freed by the change"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::fail2ban::VERSION;
    use crate::config::problem::Problems;

    #[test]
    fn bans_wait_where_the_directory_says() {
        let home = tempfile::tempdir().expect("a directory");
        let at = |name: &str| home.path().join(name);
        fs::write(at("jail.conf"), "").expect("a file");
        fs::write(at("own.sqlite3"), "").expect("a file");
        let waits = |said: &str| {
            let text = format!("[Definition]\ndbfile = {said}\n");
            fs::write(at("fail2ban.local"), text).expect("a file");
            let tree = Tree::read(home.path(), VERSION, &mut Problems::default());
            waiting_for(&at("f2bd.db"), tree.as_ref())
        };
        let own = at("own.sqlite3").display().to_string();
        let waiting = waits(&own).expect("bans");
        assert_eq!(waiting.file, at("own.sqlite3"));
        let command = format!("`f2bd import --state {own}`");
        assert!(waiting.remedy.contains(&command), "{}", waiting.remedy);
        for nothing in ["None", ":memory:", "/nowhere/own.sqlite3"] {
            assert_eq!(waits(nothing), None, "{nothing}");
        }
    }
}
