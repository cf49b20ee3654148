//! Do letters tell whom Fail2ban's tell, and of the same?

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use f2bd::action::event::Event;
use f2bd::action::{Ending, Order};
use f2bd::config::Problems;
use f2bd::config::fail2ban::action::commands;
use f2bd::engine::name::JailName;

use super::super::package::Package;
use super::stock::{one_jail, read, spec_of};
use super::{Bench, ban, ban_of};
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

/// What both write of bans, each in turn: who is told, and the bodies of the letters.
fn letters(action: &str, said: &str, events: &[Event]) -> Option<[Vec<String>; 2]> {
    let package = Package::find()?;
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = all_letters(theirs.path());
    let own = format!("{action}[name=sshd, {said}, mailcmd='{program}']");
    let jail = one_jail(theirs.path(), "sshd", &own);
    let (asked, carried, problems) = read(&package, theirs.path(), &jail);
    assert!(carried.natives.is_empty(), "{problems:?}");
    let spec = commands::read(&asked[0], &mut Problems::default()).unwrap();
    let mut bench = Bench::with(|_| spec);
    bench.reconcile();
    let mut counts = Vec::new();
    for event in events {
        bench.ban(ban_of(event.subject.clone().unwrap(), |_| event.clone()));
        counts.push(of_bans(theirs.path()).len());
    }
    bench.stop();

    let jail = one_jail(ours.path(), "sshd", &format!("{action}[{said}]"));
    let (_, carried, problems) = read(&package, ours.path(), &jail);
    let (_, native, _) = carried
        .natives
        .first()
        .unwrap_or_else(|| panic!("{problems:?}"));
    let program = all_letters(ours.path());
    let mut others = vec![("sendmail", program.as_str())];
    if native.action.contains("whois") {
        others.push(("whois_program", "true"));
    }
    let guard = Guard::here(spec_of(native, &others));
    for (event, count) in events.iter().zip(counts) {
        guard.orders.send(Order::Tell(vec![event.clone()])).unwrap();
        until("as many letters are written", || {
            (of_bans(ours.path()).len() == count).then_some(())
        });
    }
    guard.stop(Ending::AsConfigured);
    Some([of_bans(theirs.path()), of_bans(ours.path())])
}

/// The letters that tell of bans: of the start and the end of jails ours say nothing.
fn of_bans(home: &Path) -> Vec<String> {
    let letters = fs::read_to_string(home.join("letters")).unwrap_or_default();
    let letters = letters.split_terminator('\0');
    let letters = letters.filter(|letter| letter.contains("192.0.2."));
    letters.map(str::to_owned).collect()
}

/// A script that stands for sendmail and keeps all letters.
fn all_letters(home: &Path) -> String {
    let (program, place) = (home.join("sendmail"), home.display());
    let script = format!(
        "#!/bin/sh\ncat >{place}/new; printf '\\0' >>{place}/new; cat {place}/new >>{place}/letters\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program.display().to_string()
}

/// Which of these words are in each of the letters.
fn words<'w>(letters: &[String], words: &[&'w str]) -> Vec<Vec<&'w str>> {
    let of = |letter: &String| {
        let words = words.iter().filter(|word| letter.contains(**word));
        words.copied().collect()
    };
    letters.iter().map(of).collect()
}

fn event(subject: &str, change: impl FnOnce(Event) -> Event) -> Event {
    let event = ban(subject).event.unwrap();
    let sentence = format!("[sshd] ban {subject} for 1h");
    change(Event {
        sentence,
        ..(*event).clone()
    })
}

#[test]
fn several_bans_are_told_in_one_letter() {
    let hosts = [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "192.0.2.5",
    ];
    let events = hosts.map(|host| event(host, |event| event));
    let buffer = tempfile::tempdir().unwrap();
    let said = format!("lines=2, tmpfile={}", buffer.path().join("x").display());
    let Some([theirs, ours]) = letters("sendmail-buffered", &said, &events) else {
        return;
    };
    let told = words(&theirs, &hosts);
    let pairs: [&[&str]; 3] = [&hosts[..2], &hosts[2..4], &hosts[4..]];
    assert_eq!(told, pairs, "what is left is told at the end");
    assert_eq!(words(&ours, &hosts), told, "{ours:?}");
    let is_known = |letter: &String| letter.contains("Subject: [Fail2Ban] ");
    assert!(ours.iter().chain(&theirs).all(is_known), "{ours:?}");
}

#[test]
fn letters_hold_lines_of_earlier_bans() {
    let (ftp, sshd): (JailName, JailName) = ("ftp".parse().unwrap(), "sshd".parse().unwrap());
    let history = [(ftp, "elsewhere"), (sshd, "here before")];
    let history = history.map(|(jail, line)| (jail, line.to_owned()));
    let events = [event("192.0.2.7", |event| Event {
        lines: vec!["only now".to_owned()],
        history: history.to_vec(),
        ..event
    })];
    for (action, held) in [
        (
            "sendmail-whois-ipmatches",
            &["elsewhere", "here before"][..],
        ),
        ("sendmail-whois-ipjailmatches", &["here before"]),
        ("sendmail-whois-matches", &["only now"]),
    ] {
        let Some([theirs, ours]) = letters(action, "dest=root", &events) else {
            return;
        };
        let lines = ["elsewhere", "here before", "only now", "banned 192.0.2.7"];
        let told = words(&theirs, &lines);
        assert_eq!(told.len(), 1, "{theirs:?}");
        assert_eq!(told[0][..held.len()], *held, "{action}");
        assert_eq!(words(&ours, &lines), told, "{action}: {ours:?}");
    }
}
