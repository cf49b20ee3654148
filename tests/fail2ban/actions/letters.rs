//! Do letters tell whom Fail2ban's tell, and of the same?

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use f2bd::action::event::Event;
use f2bd::action::{Ending, Order};
use f2bd::config::Problems;
use f2bd::config::fail2ban::action::commands;

use super::super::package::Package;
use super::stock::{one_jail, read, spec_of};
use super::{Bench, ban};
use crate::support::guard::Guard;
use crate::support::wait::until;

/// Who is told of what.
#[derive(Debug, PartialEq)]
struct Letter {
    arguments: BTreeSet<String>,
    subject: String,
    /// Whom it comes from, without a name.
    from: String,
    to: String,
    names_address: bool,
    names_failures: bool,
}

/// A script that stands for sendmail, since a real one would deliver: it keeps the last letter.
fn sendmail(home: &Path) -> String {
    let (program, place) = (home.join("sendmail"), home.display());
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >{place}/arguments\ncat >{place}/new && mv {place}/new {place}/letter\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program.display().to_string()
}

/// The last letter.
fn told(home: &Path) -> Letter {
    let letter = until("the letter is there", || {
        fs::read_to_string(home.join("letter")).ok()
    });
    let arguments = fs::read_to_string(home.join("arguments")).unwrap();
    let header = |name: &str| {
        let mut lines = letter.lines().map(str::trim);
        let line = lines
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("{letter}"));
        line.trim().to_owned()
    };
    let from = header("From:");
    let address = from
        .rsplit_once('<')
        .map(|(_, rest)| rest.trim_end_matches('>').to_owned());
    let (_, body) = letter.split_once("\n\n").unwrap();
    // How a program is told that no options follow is its own business.
    let plain = |word: &&str| !matches!(*word, "-i" | "--");
    Letter {
        arguments: arguments.lines().filter(plain).map(str::to_owned).collect(),
        // What this machine is called stands behind it, with its domain or without.
        subject: header("Subject:")
            .split(" from ")
            .next()
            .unwrap()
            .to_owned(),
        from: address.unwrap_or(from),
        to: header("To:"),
        names_address: body.contains("192.0.2.7"),
        names_failures: body.contains('5'),
    }
}

#[test]
fn letters_of_sendmail_tell_the_same() {
    let Some(package) = Package::find() else {
        return;
    };
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let said = "name=sshd, sender=me@example.org, dest=you@example.org, sendername=Us";
    let program = sendmail(theirs.path());
    let own = format!("sendmail[{said}, mailcmd='{program} -f <sender> <dest>']");
    let jail = one_jail(theirs.path(), "sshd", &own);
    let (asked, carried, problems) = read(&package, theirs.path(), &jail);
    assert!(carried.natives.is_empty(), "{problems:?}");
    let spec = commands::read(&asked[0], &mut Problems::default()).unwrap();
    let mut bench = Bench::with(|_| spec);
    bench.reconcile();
    bench.ban(ban("192.0.2.7"));
    let theirs = told(theirs.path());
    bench.stop();

    let jail = one_jail(ours.path(), "sshd", &format!("sendmail[{said}]"));
    let (_, carried, _) = read(&package, ours.path(), &jail);
    let (_, native, _) = carried.natives.first().unwrap();
    let guard = Guard::here(spec_of(native, &[("sendmail", &sendmail(ours.path()))]));
    let event = ban("192.0.2.7").event.unwrap();
    let event = Event {
        sentence: "[sshd] ban 192.0.2.7 for 1h".to_owned(),
        ..(*event).clone()
    };
    guard.orders.send(Order::Tell(vec![event])).unwrap();
    let ours = told(ours.path());
    guard.stop(Ending::AsConfigured);
    assert_eq!(ours.subject, "[Fail2Ban] sshd: banned 192.0.2.7");
    assert!(ours.names_address);
    assert_eq!(ours, theirs);
}
