//! Facts about slips in a directory of Fail2ban's: they end no ban that is in force.

use std::fs;
use std::process::Command;

use super::package::Package;
use super::run::Daemon;
use crate::support::netns::Netns;
use crate::support::wait::until;

/// Two jails with stock filters and actions, and one with a filter of the administrator's.
const JAILS: &str = "[DEFAULT]
banaction = nftables-multiport
ignoreself = false
backend = polling
bantime = 1h
[sshd]
enabled = true
logpath = HOME/auth.log
[web]
enabled = true
filter = nginx-http-auth
port = http
logpath = HOME/auth.log
[own]
enabled = true
logpath = HOME/auth.log
";

const LETTERS: &str = "[Definition]
actionstart = echo begins >> HOME/letters
actionstop = echo ends >> HOME/letters
actionban = echo <ip> >> HOME/letters
";

const FILTER: &str = "[Definition]
failregex = ^ denied <ADDR>$
";

/// Each ends the work of one jail or of all, and is in a line of its own.
const SLIPS: [(&str, &str); 18] = [
    ("nftables-multiport", "nftables-multiprot"),
    ("[sshd]", "[sshd]\nfilter = shsd"),
    ("[sshd]", "[sshd]\nbackend = systmed"),
    ("[sshd]", "[sshd]\naction = %(action_mlw)s%(nobody)s"),
    ("ignoreself", "action = %(nobody)s\nignoreself"),
    ("[sshd]", "[sshd]\nport = sssh"),
    ("[sshd]", "[sshd]\nport = ssh;2222"),
    // The letters are left, and keep nobody out.
    ("[sshd]", "[sshd]\naction = %(action_mwl)s\nport = sssh"),
    (
        "[sshd]",
        "[sshd]\naction = nobody.py\n sendmail-whois[name=sshd]",
    ),
    // So are those that the administrator's own commands send.
    (
        "[sshd]",
        "[sshd]\naction = %(action_)s\n letters\nport = sssh",
    ),
    ("enabled = true", "enabled = ture"),
    ("enabled = true", "enabled = true # for now"),
    ("enabled = true", "enabeld = true"),
    ("[sshd]\nenabled = true", "enabeld = true\n[sshd]"),
    ("[sshd]", "[shsd]"),
    (
        "[sshd]\nenabled = true",
        "[DEFUALT]\nenabled = true\n[sshd]",
    ),
    (
        "[sshd]\nenabled = true",
        "[INCLUDES]\nafter = ours.conf\n[sshd]",
    ),
    // Nothing else is known of this one.
    ("[own]", "[onw]"),
];

#[test]
fn a_slip_ends_no_ban() {
    let (Some(package), Some(netns)) = (Package::find(), Netns::new()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let jails = JAILS.replace("HOME", &home.path().display().to_string());
    package.copy_to(&at("fail2ban"), home.path());
    let write = |text: &str| fs::write(at("fail2ban/jail.local"), text).unwrap();
    write(&jails);
    fs::write(at("fail2ban/filter.d/own.conf"), FILTER).unwrap();
    let letters = LETTERS.replace("HOME", &home.path().display().to_string());
    fs::write(at("fail2ban/action.d/letters.conf"), letters).unwrap();
    fs::write(at("auth.log"), "").unwrap();
    fs::create_dir(at("database")).unwrap();
    let database = at("database");
    let kept = [("/var/lib/f2bd", database.as_path())];
    let keeps_out = |address: &str| {
        let set = netns.nft(&["list", "set", "inet", "f2b-table", "addr-set-sshd"]);
        set.is_ok_and(|set| set.contains(address))
    };
    let shut_out = || keeps_out("192.0.2.7");
    let reload = || {
        let mut client = Command::new(at("fail2ban-client"));
        client.arg("-c").arg(at("fail2ban"));
        client.arg("-s").arg(at("fail2ban.sock")).arg("reload");
        let output = client.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let lasts = |daemon: &Daemon<'_>| {
        let bans = daemon.client(&["get", "sshd", "banip", "--with-time"]);
        let own = bans.lines().find(|line| line.starts_with("192.0.2.7 "));
        own.map(str::to_owned)
    };
    // The firewall is told of one thing after the other.
    let is_still_out = |daemon: &Daemon<'_>| {
        let other = "198.51.100.9";
        assert_eq!(daemon.client(&["set", "sshd", "banip", other]), "1\n");
        until("another one is shut out", || keeps_out(other).then_some(()));
        assert_eq!(daemon.client(&["set", "sshd", "unbanip", other]), "1\n");
        until("he is let in", || (!keeps_out(other)).then_some(()));
        shut_out()
    };

    let daemon = Daemon::start(&netns, home.path(), &kept);
    assert_eq!(daemon.client(&["set", "sshd", "banip", "192.0.2.7"]), "1\n");
    until("it is shut out", || shut_out().then_some(()));
    let until_when = lasts(&daemon);
    assert!(until_when.is_some());
    let running = daemon.client(&["status"]);
    for (good, slip) in SLIPS {
        write(&jails.replacen(good, slip, 1));
        let (code, said) = reload();
        assert_eq!(code, Some(255), "{slip}: {said}");
        assert!(said.contains("jail.local:"), "{slip}: {said}");
        assert_eq!(daemon.client(&["status"]), running, "{slip}");
        assert_eq!(lasts(&daemon), until_when, "{slip}");
        assert!(is_still_out(&daemon), "{slip}");
    }
    let mut no_text = jails.clone().into_bytes();
    no_text.extend(b"# caf\xe9\n");
    fs::write(at("fail2ban/jail.local"), &no_text).unwrap();
    let (code, said) = reload();
    assert_eq!(code, Some(255), "{said}");
    let lost = said.lines().find(|line| line.contains("any more: "));
    assert!(lost.is_some_and(|line| line.contains("sshd")), "{said}");
    assert_eq!(daemon.client(&["status"]), running);
    assert_eq!(lasts(&daemon), until_when);
    assert!(is_still_out(&daemon));
    let log = until("the log says so", || {
        let log = fs::read_to_string(at("fail2ban.log")).ok()?;
        log.contains("old one stays in force").then_some(log)
    });
    assert!(log.contains("ERROR") && log.contains("systmed"), "{log}");
    drop(daemon);

    // Nobody can refuse a start; the bans wait for their jail.
    write(&jails.replacen("[sshd]", "[sshd]\nfilter = shsd", 1));
    let daemon = Daemon::start(&netns, home.path(), &kept);
    assert!(
        daemon
            .client(&["status"])
            .contains("Jail list:\town, web\n")
    );
    // A mistake that has cost nobody anything since is no reason against another change.
    let (code, said) = reload();
    assert_eq!(code, Some(0), "{said}");
    write(&jails);
    let (code, said) = reload();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(lasts(&daemon), until_when);
    until("it is shut out again", || shut_out().then_some(()));
    drop(daemon);

    write(&jails.replacen("[sshd]", "[sshd]\nbackend = systmed", 1));
    drop(Daemon::start(&netns, home.path(), &kept));
    write(&jails);
    let daemon = Daemon::start(&netns, home.path(), &kept);
    assert_eq!(lasts(&daemon), until_when);
    until("it is shut out after another start", || {
        shut_out().then_some(())
    });

    drop(daemon);

    // Nor does a file that is no text end bans at a start: they wait for its jails.
    fs::write(at("fail2ban/jail.local"), &no_text).unwrap();
    let daemon = Daemon::start(&netns, home.path(), &kept);
    // It may have other jails, and still none that nobody has heard of.
    let unknown = daemon.client(&["stop", "nobody"]);
    assert!(unknown.contains("does not exist"), "{unknown}");
    drop(daemon);
    write(&jails);
    let daemon = Daemon::start(&netns, home.path(), &kept);
    assert_eq!(lasts(&daemon), until_when);

    // Whoever wants it ends it.
    write(&jails.replacen("[sshd]\nenabled = true", "[sshd]\nenabled = false", 1));
    let (code, said) = reload();
    assert_eq!(code, Some(0), "{said}");
    until("it is let in", || (!shut_out()).then_some(()));
    write(&jails);
    assert_eq!(reload().0, Some(0));
    assert_eq!(lasts(&daemon), None);

    // Whoever ends a jail that does not run ends the bans that wait for it.
    let mut daemon = daemon;
    for ended in ["sshd", "--all"] {
        assert_eq!(daemon.client(&["set", "sshd", "banip", "192.0.2.7"]), "1\n");
        drop(daemon);
        write(&jails.replacen("[sshd]", "[sshd]\nfilter = shsd", 1));
        daemon = Daemon::start(&netns, home.path(), &kept);
        let unknown = daemon.client(&["stop", "nobody"]);
        assert!(unknown.contains("does not exist"), "{unknown}");
        assert_eq!(daemon.client(&["stop", ended]), "Jail stopped\n");
        write(&jails);
        assert_eq!(reload().0, Some(0));
        assert_eq!(lasts(&daemon), None, "{ended}");
    }
}
