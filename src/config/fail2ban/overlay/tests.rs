//! Facts about changes of a tree in memory.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::config::fail2ban::VERSION;
use crate::config::problem::Problems;

const JAILS: &str = "[DEFAULT]
backend = systemd
[sshd]
enabled = true
filter = sshd
[files]
enabled = true
filter = sshd
backend = polling
logpath = HOME/a*.log tail
          HOME/b.log
[off]
filter = sshd
";

const FILTER: &str = "[Definition]
failregex = ^one <HOST>$
            ^two <HOST>$
journalmatch = _SYSTEMD_UNIT=ssh.service + _COMM=sshd
";

fn home() -> (tempfile::TempDir, Tree) {
    let home = tempfile::tempdir().expect("a directory");
    let at = |name: &str| home.path().join(name);
    fs::create_dir(at("filter.d")).expect("a directory");
    let jails = JAILS.replace("HOME", &home.path().display().to_string());
    for (name, text) in [
        ("jail.conf", jails.as_str()),
        ("filter.d/sshd.conf", FILTER),
        ("a1.log", ""),
        ("a2.log", ""),
        ("b.log", ""),
        ("c.log", ""),
    ] {
        fs::write(at(name), text).expect("a file");
    }
    let tree = Tree::read(home.path(), VERSION, &mut Problems::default());
    (home, tree.expect("a good tree"))
}

fn jail(name: &str) -> JailName {
    name.parse().expect("a name")
}

/// The lines of an option after a change.
fn after(tree: &Tree, name: &str, change: &TreeChange) -> Result<Vec<String>, OverlayError> {
    let overlaid = tree.with(&jail(name), change)?;
    let mut tree = overlaid.map_or_else(|| tree.clone(), |overlaid| (*overlaid.tree).clone());
    let started = tree.started_mut(&jail(name)).expect("the jail");
    let mut options = started.options.clone();
    options.lay(&started.filter_options());
    let text = options.text(change.key()).unwrap_or_default().to_owned();
    // What a shell would read is quoted.
    Ok(text.lines().map(|line| line.replace('\'', "")).collect())
}

#[test]
fn matches_of_the_journal_come_and_go() {
    let (_home, tree) = home();
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (unit, comm) = ("_SYSTEMD_UNIT=ssh.service", "_COMM=sshd");
    let add = |text| after(&tree, "sshd", &TreeChange::Addjournalmatch(words(text)));
    let remove = |text| after(&tree, "sshd", &TreeChange::Deljournalmatch(words(text)));
    assert_eq!(
        add("_UID=0 _COMM=su + _COMM=sudo").expect("a match"),
        [unit, comm, "_UID=0 _COMM=su", "_COMM=sudo"]
    );
    assert_eq!(add("_COMM=sshd").expect("one that is there").len(), 1);
    assert_eq!(remove("_COMM=sshd").expect("one that is there"), [unit]);
    let unknown = remove("_COMM=su").expect_err("none");
    assert_eq!(unknown.to_string(), "Match ['_COMM=su'] not found");
    let files = TreeChange::Addjournalmatch(words("_UID=0"));
    assert!(matches!(
        after(&tree, "files", &files),
        Err(OverlayError::Backend { .. })
    ));
}

#[test]
fn a_log_is_taken_from_among_those_of_a_wildcard() {
    let (home, tree) = home();
    let path = |name: &str| home.path().join(name).display().to_string();
    let remove = |name| after(&tree, "files", &TreeChange::Dellogpath(path(name)));
    assert_eq!(
        remove("a1.log").expect("a log"),
        [path("a2.log"), path("b.log")]
    );
    assert_eq!(remove("a*.log").expect("a wildcard"), [path("b.log")]);
    let add = |name| after(&tree, "files", &TreeChange::Addlogpath(path(name)));
    let all = ["a*.log", "b.log", "c.log"].map(path);
    assert_eq!(add("c.log").expect("a log"), all);
    // What is said already stays as it was written.
    assert_eq!(add("a2.log").expect("a log")[0], path("a*.log tail"));
    let journal = TreeChange::Addlogpath(path("c.log"));
    assert!(matches!(
        after(&tree, "sshd", &journal),
        Err(OverlayError::Backend { .. })
    ));
    let off = after(&tree, "off", &journal);
    assert_eq!(off, Err(OverlayError::Jail(jail("off"))));
}

#[test]
fn there_is_an_end_to_what_is_added() {
    let (_home, tree) = home();
    let mut tree = Arc::new(tree);
    let add = |tree: &Tree, text: String| {
        let change = TreeChange::Addfailregex(text);
        tree.with(&jail("sshd"), &change)
    };
    for number in 2..MOST_ENTRIES {
        let overlaid = add(&tree, format!("{number} <HOST>")).expect("room");
        tree = overlaid.expect("a change").tree;
    }
    let full = add(&tree, "one more <HOST>".to_owned());
    assert!(matches!(full, Err(OverlayError::TooMuch("failregex"))));
    let (_home, small) = home();
    let long = add(&small, "x".repeat(LONGEST_VALUE));
    assert!(matches!(long, Err(OverlayError::TooMuch("failregex"))));
}

proptest! {
    #[test]
    fn numbers_are_those_of_python(at in -9_i64..9, count in 0_usize..6) {
        let len = i64::try_from(count).expect("few");
        let expected = if at < 0 { at + len } else { at };
        let expected = usize::try_from(expected).ok().filter(|at| *at < count);
        prop_assert_eq!(place_in(at, count), expected);
    }

    #[test]
    fn no_word_is_too_odd(word in "(?s).{0,60}", number in any::<i64>()) {
        let (_home, tree) = home();
        let option = "datepattern".parse().expect("an option");
        for change in [
            TreeChange::Addlogpath(word.clone()),
            TreeChange::Dellogpath(word.clone()),
            TreeChange::Addfailregex(word.clone()),
            TreeChange::Delignoreregex(number),
            TreeChange::Addjournalmatch(vec![word.clone()]),
            TreeChange::Deljournalmatch(vec![word.clone()]),
            TreeChange::Option { option, value: word.clone() },
        ] {
            for name in ["sshd", "files"] {
                // Whether it can be is not asked here.
                let _ = after(&tree, name, &change);
            }
        }
    }
}
