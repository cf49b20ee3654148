//! Is what f2bd does instead of firewalld's stock actions the same, as firewalld, the kernel and an attacker see it?

use std::collections::BTreeSet;
use std::net::SocketAddr;

use f2bd::config::fail2ban::action::commands::{IPV4, IPV6, filled};
use f2bd::config::fail2ban::action::{EVERY_PORT, Said};
use rustix::io::Errno;

use super::super::package::Package;
use super::stock::{one_jail, read};
use crate::frontends::{Firewalld, Scene};
use crate::support::guard::{has, said};
use crate::support::skipped;
use crate::support::wait::until;

/// Who is banned, and where he wants to go.
const BANNED: [(&str, &str); 2] = [
    ("192.0.2.7", "192.0.2.1:22"),
    ("2001:db8:0:7::7", "[2001:db8::1]:22"),
];

/// How those are turned away. Whose host is shut out as a whole gets no answer by IPv6 to where this machine is, sooner or later.
fn answers(scene: &Scene, closes_all: bool) -> Vec<Option<Errno>> {
    let to = |address: &str| address.parse::<SocketAddr>().unwrap();
    let all = BANNED
        .iter()
        .filter(|(from, _)| !closes_all || !from.contains(':'));
    all.map(|(from, address)| scene.attackers.refusal(from, to(address)))
        .collect()
}

/// What firewall-cmd says to this.
fn shown(scene: &Scene, firewalld: &Firewalld, words: &[&str]) -> String {
    let output = firewalld.command(scene, words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The sets and chains there are.
fn names(scene: &Scene, firewalld: &Firewalld) -> BTreeSet<String> {
    let sets = said(&scene.world.netns, "ipset list -n");
    let chains = shown(scene, firewalld, &["--direct", "--get-all-chains"]);
    let names = sets.lines().chain(chains.lines());
    names.map(str::to_owned).collect()
}

/// What firewalld has been told besides.
fn rules(scene: &Scene, firewalld: &Firewalld) -> String {
    let direct = shown(scene, firewalld, &["--direct", "--get-all-rules"]);
    direct + &shown(scene, firewalld, &["--list-rich-rules"])
}

/// Whether who is banned gets to a port that the jail does not name.
fn other_port(scene: &Scene, is_in: bool) {
    match is_in {
        true => scene.must_be_in("192.0.2.7", 9000),
        false => scene.must_be_out("192.0.2.7", 9000),
    }
}

fn lives_the_same(action: &str) {
    if !has(&["firewalld", "dbus-daemon", "ipset", "iptables"]) {
        return skipped("firewalld, dbus-daemon, ipset or iptables is missing").unwrap_or_default();
    }
    let Some(package) = Package::find() else {
        return;
    };
    let (Some(theirs), Some(ours)) = (Scene::new("firewalld"), Scene::new("firewalld")) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let jail = one_jail(home.path(), "sshd", action);
    let (asked, carried, problems) = read(&package, home.path(), &jail);
    let (_, native, _) = carried
        .natives
        .first()
        .unwrap_or_else(|| panic!("{problems:?}"));

    let firewalld = Firewalld::start(&theirs);
    theirs.open_doors(&[22, 9000]);
    for ((address, _), family) in BANNED.iter().zip([IPV4, IPV6]) {
        let all = filled(&asked[0], family).unwrap();
        for part in ["actionstart", "actionban"] {
            let script = all.text(part).unwrap_or_default().replace("<ip>", address);
            let bus = theirs.world.path().join("bus/system_bus_socket");
            let mut shell = theirs.world.netns.command("sh");
            shell.env(
                "DBUS_SYSTEM_BUS_ADDRESS",
                format!("unix:path={}", bus.display()),
            );
            let output = shell.args(["-c", &script]).output().unwrap();
            assert!(output.status.success(), "{script}: {output:?}");
        }
        theirs.must_be_out(address, 22);
    }
    let closes_all = action.contains("allports");
    let answers_of_theirs = answers(&theirs, closes_all);
    let names_of_theirs = names(&theirs, &firewalld);
    let zone = ["--add-port=9000/tcp"];
    assert!(
        firewalld
            .command(&theirs, &zone)
            .status()
            .unwrap()
            .success()
    );
    other_port(&theirs, !closes_all);

    let firewalld = Firewalld::start(&ours);
    assert!(firewalld.command(&ours, &zone).status().unwrap().success());
    let was = rules(&ours, &firewalld);
    ours.open_doors(&[22, 9000]);
    let parameters = native.parameters.iter().map(|(name, value)| match value {
        Said::One(value) => format!("{name} = {value:?}\n"),
        other => panic!("{other:?}"),
    });
    let section: String = parameters.collect();
    let closed = carried.uses[0].ports.as_ref();
    let port = match closed.is_some_and(|closed| closed.ports == [EVERY_PORT]) {
        true => "port = [\"all\"]\n",
        false => "port = [\"22\"]\n",
    };
    let jail = format!("actions = [{0:?}]\n{port}", native.action);
    ours.world
        .configure(&jail, &format!("[action.{}]\n{section}", native.action));
    let daemon = ours.world.start_over(&firewalld.over());
    for (address, _) in BANNED {
        ours.ban(address);
        ours.must_be_out(address, 22);
    }
    assert_eq!(answers(&ours, closes_all), answers_of_theirs);
    assert_eq!(names(&ours, &firewalld), names_of_theirs);
    other_port(&ours, !closes_all);
    ours.must_be_in("192.0.2.8", 22);
    assert!(
        firewalld
            .command(&ours, &["--reload"])
            .status()
            .unwrap()
            .success()
    );
    ours.must_be_out("192.0.2.7", 22);
    assert!(ours.world.f2bd(&["unban", "192.0.2.7"]).status.success());
    ours.must_be_in("192.0.2.7", 22);
    ours.must_be_out("2001:db8:0:7::7", 22);
    daemon.stop();
    until("nothing is left", || {
        (rules(&ours, &firewalld) == was && names(&ours, &firewalld).is_empty()).then_some(())
    });
}

#[test]
fn sets_and_direct_rules_live_the_same() {
    lives_the_same("firewallcmd-ipset[port=ssh]");
}

#[test]
fn rich_rules_live_the_same() {
    lives_the_same("firewallcmd-rich-rules[port=ssh]");
}

#[test]
fn direct_rules_for_what_is_opened_live_the_same() {
    lives_the_same("firewallcmd-multiport[port=ssh]");
}

#[test]
fn direct_rules_for_all_ports_live_the_same() {
    lives_the_same("firewallcmd-allports[blocktype=DROP]");
}

#[test]
fn sets_for_all_ports_live_the_same() {
    lives_the_same("firewallcmd-ipset[actiontype=<allports>]");
}

#[test]
fn rich_rules_that_log_live_the_same() {
    lives_the_same("firewallcmd-rich-logging[port=ssh, rate=9, level=notice]");
}
