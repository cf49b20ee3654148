//! Is what f2bd does instead of ufw's stock action the same, as ufw and an attacker see it?

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;

use super::super::package::Package;
use super::super::run::Daemon;
use crate::support::guard::has;
use crate::support::netns::{Cable, Netns};
use crate::support::wait::until;

const JAIL: &str = "[sshd]
enabled = true
filter =
failregex = ^<HOST> x$
backend = polling
logpath = HOME/log
action = ufw
";

/// ufw with a configuration of its own, in which ssh is allowed.
struct Ufw<'n> {
    server: &'n Netns,
    etc: PathBuf,
}

impl Ufw<'_> {
    fn enabled<'n>(server: &'n Netns, home: &Path) -> Ufw<'n> {
        let etc = home.join("ufw");
        let copied = Command::new("cp")
            .args(["-a", "/etc/ufw"])
            .arg(&etc)
            .status();
        assert!(copied.unwrap().success());
        let ufw = Ufw { server, etc };
        ufw.say("--force enable");
        ufw.say("allow 22/tcp");
        ufw
    }

    fn say(&self, words: &str) -> String {
        let etc = self.etc.display();
        let script = format!("mount --bind {etc} /etc/ufw && exec ufw {words}");
        let mut command = self.server.command("unshare");
        let output = command.args(["--mount", "sh", "-c", &script]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "ufw {words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its rules about an address, in their order, each with its comment.
    fn rules(&self, address: &str) -> Vec<(String, String)> {
        let status = self.say("status");
        let lines = status.lines().filter(|line| line.contains(address));
        lines
            .map(|line| {
                let (rule, comment) = line.split_once('#').unwrap_or((line, ""));
                let words: Vec<&str> = rule.split_whitespace().collect();
                (words.join(" "), comment.trim().to_owned())
            })
            .collect()
    }
}

/// How who is banned is answered.
fn answers(attackers: &Netns) -> [Option<Errno>; 2] {
    let (ssh, ssh6) = ("192.0.2.1:22", "[2001:db8::1]:22");
    [("192.0.2.7", ssh), ("2001:db8:0:7::7", ssh6)].map(|(from, to)| {
        let to: SocketAddr = to.parse().unwrap();
        attackers.refusal(from, to)
    })
}

#[test]
fn ufw_lives_the_same() {
    let (Some(package), Some(cable), Some(other)) = (Package::find(), Cable::new(), Cable::new())
    else {
        return;
    };
    if !has(&["ufw", "iptables", "ip6tables"]) {
        return;
    }
    let banned = ["192.0.2.7", "2001:db8:0:7::7"];
    let home = tempfile::tempdir().unwrap();
    let theirs = Ufw::enabled(&other.server, home.path());
    let _ssh = other.server.listen(22);
    for address in banned {
        let comment = "by Fail2Ban after 5 attempts against sshd";
        theirs.say(&format!(
            "prepend reject from {address} to any comment '{comment}'"
        ));
    }

    let home = tempfile::tempdir().unwrap();
    let ours = Ufw::enabled(&cable.server, home.path());
    let _ssh = cable.server.listen(22);
    package.copy_to(&home.path().join("fail2ban"), home.path());
    let jail = JAIL.replace("HOME", &home.path().display().to_string());
    fs::write(home.path().join("fail2ban/jail.local"), jail).unwrap();
    fs::write(home.path().join("log"), "").unwrap();
    let over = [("/etc/ufw", ours.etc.as_path())];
    let daemon = Daemon::start(&cable.server, home.path(), &over);
    for address in banned {
        daemon.client(&["set", "sshd", "banip", address]);
        until("the rule is there", || {
            (!ours.rules(address).is_empty()).then_some(())
        });
        let ([(rule, comment)], [(other, named)]) =
            (&ours.rules(address)[..], &theirs.rules(address)[..])
        else {
            panic!("{:?}, {:?}", ours.rules(address), theirs.rules(address));
        };
        assert_eq!(rule, other);
        assert!(comment.starts_with("by Fail2Ban") && named.starts_with("by Fail2Ban"));
    }
    assert_eq!(answers(&cable.attackers), answers(&other.attackers));
    daemon.client(&["set", "sshd", "unbanip", "192.0.2.7"]);
    until("the rule is gone", || {
        ours.rules("192.0.2.7").is_empty().then_some(())
    });
    cable
        .attackers
        .must_reach("192.0.2.7", "192.0.2.1:22".parse().unwrap());
    assert_eq!(ours.rules("2001:db8:0:7::7").len(), 1);
}
