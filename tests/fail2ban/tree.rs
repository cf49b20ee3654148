//! Facts about the reader of a directory: what it says is what `fail2ban-client -d` says.

use std::fs;
use std::path::{Path, PathBuf};

use f2bd::config::fail2ban::jail::State;
use f2bd::config::fail2ban::{Tree, stream};
use f2bd::config::{Problem, Problems};
use f2bd::control::fail2ban::value::Value;

use super::package::{Package, copy};

/// A tree as we read it, and what is wrong with it.
fn read(folder: &Path, version: &str) -> (Tree, Vec<Problem>) {
    let mut problems = Problems::default();
    let tree = Tree::read(folder, version, &mut problems);
    (tree.unwrap(), problems.into_sorted())
}

/// Writes the files that the jails want to read, as far as they are below `home`: the others are no business of a test.
pub fn write_logs(tree: &Tree, home: &Path) {
    for jail in &tree.jails {
        let State::On(started) = &jail.state else {
            continue;
        };
        for line in started.options.text("logpath").unwrap_or_default().lines() {
            let path = line
                .split(' ')
                .next()
                .unwrap_or_default()
                .replace('*', "any");
            let folder = Path::new(&path).parent();
            if let Some(folder) = folder.filter(|folder| folder.starts_with(home)) {
                fs::create_dir_all(folder).unwrap();
                fs::write(&path, "").unwrap();
            }
        }
    }
}

fn ours(tree: &Tree) -> Vec<String> {
    let commands = stream::commands(tree, &[]).into_iter();
    commands
        .map(|command| Value::List(command).to_string())
        .collect()
}

/// Without what is known to differ: since 1.1.1 what brackets say of a parameter holds for both families, so that it has no
/// value for one of them; and what is wrong with a jail is said in other words.
fn same(line: &str) -> String {
    let mut line = line.to_owned();
    if let Some((head, _)) = line.split_once("wrong configuration:") {
        return head.replace(['\'', '"', '\\'], "");
    }
    let (head, tail) = (", ['blocktype?family=inet6', ", "]");
    if line.contains("pass2allow-ftp")
        && let Some(begin) = line.find(head)
        && let Some(length) = line[begin..].find(tail)
    {
        line.replace_range(begin..begin + length + tail.len(), "");
        line = line.replace("<blocktype>", "RETURN");
    }
    line
}

/// Holds what we say of a directory against what Fail2ban says. Globs give their files in any order.
fn compare(package: &Package, folder: &Path) -> Tree {
    let (tree, problems) = read(folder, &package.version());
    write_logs(&tree, folder.parent().unwrap());
    let (theirs, complaints) = package.dump(folder);
    let [theirs, ours] = [theirs, ours(&tree)].map(|lines| {
        let mut lines: Vec<_> = lines.iter().map(|line| same(line)).collect();
        let is_log = |line: &String| line.contains("'addlogpath'");
        for group in lines.chunk_by_mut(|one, other| is_log(one) && is_log(other)) {
            group.sort();
        }
        lines
    });
    assert!(!theirs.is_empty(), "{complaints}");
    let differences = theirs
        .iter()
        .zip(&ours)
        .filter(|(theirs, ours)| theirs != ours);
    for (theirs, ours) in differences.take(5) {
        eprintln!("theirs: {theirs}\n  ours: {ours}");
    }
    assert!(
        theirs == ours,
        "{}: {} commands, {} of ours; {problems:?}",
        folder.display(),
        theirs.len(),
        ours.len()
    );
    tree
}

/// The stock tree with files of ours laid over it.
pub fn with_ours(package: &Package, name: &str, home: &Path) -> PathBuf {
    let folder = home.join(name);
    package.copy_to(&folder, home);
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fail2ban/trees");
    copy(&trees.join(name), &folder, home);
    folder
}

#[test]
fn the_stock_tree_with_all_jails_is_read_as_fail2ban_does() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("fail2ban");
    package.copy_to(&folder, home.path());
    fs::write(folder.join("jail.local"), "[DEFAULT]\nenabled = true\n").unwrap();
    let tree = compare(&package, &folder);
    let is_on = |state: &State| matches!(state, State::On(_));
    let on = tree.jails.iter().filter(|jail| is_on(&jail.state)).count();
    assert!(on > 80, "{on}");
}

#[test]
fn trees_of_administrators_are_read_as_fail2ban_does() {
    let Some(package) = Package::find() else {
        return;
    };
    for name in [
        "vps",
        "docker",
        "references",
        "brackets",
        "layers",
        "left-out",
        "includes",
        "tags",
        "values",
        "journal",
    ] {
        let home = tempfile::tempdir().unwrap();
        compare(&package, &with_ours(&package, name, home.path()));
    }
}

/// Fail2ban 1.0.2 does not know brackets with a value for one family and leaves that jail out, which later ones start.
#[test]
fn brackets_may_have_a_value_for_one_family() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let folder = with_ours(&package, "mail", home.path());
    let (tree, _) = read(&folder, &package.version());
    write_logs(&tree, folder.parent().unwrap());
    let (mut theirs, _) = package.dump(&folder);
    let mut ours = ours(&tree);
    for lines in [&mut theirs, &mut ours] {
        lines.retain(|line| !line.contains("dovecot"));
    }
    assert_eq!(ours, theirs);
    let mut jails = tree.jails.iter();
    let dovecot = jails.find(|jail| jail.name == "dovecot").unwrap();
    let State::On(dovecot) = &dovecot.state else {
        panic!("{:?}", dovecot.state);
    };
    let parameters = &dovecot.actions[0].parameters;
    assert_eq!(parameters.text("blocktype"), Some("drop"));
    let of_six = parameters.text("blocktype?family=inet6");
    assert_eq!(of_six, Some("reject with icmpv6 admin-prohibited"));
    assert_eq!(dovecot.options.text("findtime"), Some("1h+30m"));
}
