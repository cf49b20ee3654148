//! Real bouncers, as they are released.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::daemon::keys;
use super::{Board, KEY, ban, run};
use crate::support::netns::Netns;
use crate::support::skipped;
use crate::support::wait::until;
use crate::support::world::World;

/// Has the firewall bouncer keep tables of its own.
const NFTABLES: &str = "mode: nftables\ndisable_ipv6: false\ndeny_action: DROP\nnftables:\n  \
    ipv4:\n    enabled: true\n    set-only: false\n    table: crowdsec\n    chain: crowdsec-chain\n  \
    ipv6:\n    enabled: true\n    set-only: false\n    table: crowdsec6\n    chain: crowdsec6-chain\n";

/// A running bouncer; it is killed when dropped.
struct Bouncer {
    child: Child,
    log: PathBuf,
}

impl Bouncer {
    fn start(netns: &Netns, home: &Path, name: &str, config: &str) -> Option<Bouncer> {
        let program = unpacked(name)?;
        let path = home.join("bouncer.yaml");
        let log = home.join("bouncer.log");
        let common = format!(
            "update_frequency: 1s\ndaemonize: false\nlog_mode: stdout\nlog_level: debug\n\
             api_url: http://127.0.0.1:8082/\napi_key: {KEY}\nprometheus:\n  enabled: false\n"
        );
        fs::write(&path, common + config).unwrap();
        let output = fs::File::create(&log).unwrap();
        let mut command: Command = netns.command(program.to_str().unwrap());
        command.arg("-c").arg(&path).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let child = command.spawn().unwrap();
        Some(Bouncer { child, log })
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "the bouncer said: {}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
    }
}

impl Board {
    /// A bouncer beside it.
    fn bouncer_of(&self, name: &str, config: &str) -> Option<Bouncer> {
        Bouncer::start(&self.netns, self.home.path(), name, config)
    }
}

fn unpacked(name: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let mut places = [target.join("bouncers"), PathBuf::from("/")].into_iter();
    let found =
        places.find_map(|root| Some(root.join("usr/bin").join(name)).filter(|path| path.exists()));
    found.or_else(|| skipped(&format!("there is no {name}; contrib/test.sh fetches it")))
}

#[test]
fn the_firewall_bouncer_bans_with_nftables() {
    let Some(board) = Board::new() else { return };
    board.ban(&[
        ban("sshd", "192.0.2.7", Some(3600)),
        ban("sshd", "2001:db8::7/128", Some(3600)),
    ]);
    let Some(_bouncer) = board.bouncer_of("crowdsec-firewall-bouncer", NFTABLES) else {
        return;
    };
    let kernel = || run(&board, "nft", &["list", "ruleset"]).unwrap();
    let holds = |words: &str| until(words, || kernel().contains(words).then_some(()));
    holds("192.0.2.7 timeout");
    holds("2001:db8::7 timeout");
    board.ban(&[ban("nginx", "192.0.2.8", None)]);
    holds("192.0.2.8 timeout");
    board.unban("sshd", "192.0.2.7");
    until("the ban ends", || {
        (!kernel().contains("192.0.2.7 ")).then_some(())
    });
    assert!(kernel().contains("192.0.2.8 timeout"));
    board.stop();
}

#[test]
fn the_firewall_bouncer_lifts_what_was_lifted_before_a_crash() {
    let jail = "actions = [\"serve\"]";
    let Some(world) = World::new(jail) else {
        return;
    };
    world.configure(jail, &keys(&world));
    let daemon = world.start();
    let does = |words: &[&str]| assert!(world.f2bd(words).status.success(), "{words:?}");
    for host in ["192.0.2.7", "192.0.2.8", "2001:db8::7"] {
        does(&["ban", "sshd", host, "--for", "1h"]);
    }
    let bouncer = Bouncer::start(
        &world.netns,
        world.path(),
        "crowdsec-firewall-bouncer",
        NFTABLES,
    );
    let Some(bouncer) = bouncer else {
        return;
    };
    let keeps_out = |host: &str| until(host, || world.kernel_bans(host).then_some(()));
    for host in ["192.0.2.7", "192.0.2.8", "2001:db8::7"] {
        keeps_out(host);
    }
    // It hears of nothing as long as it stands still.
    bouncer.signal(Signal::STOP);
    does(&["unban", "192.0.2.7"]);
    does(&["unban", "2001:db8::7"]);
    does(&["ban", "sshd", "192.0.2.9", "--for", "1h"]);
    daemon.kill();
    let daemon = world.start();
    bouncer.signal(Signal::CONT);
    keeps_out("192.0.2.9");
    let lets_in = |host: &str| until(host, || (!world.kernel_bans(host)).then_some(()));
    lets_in("192.0.2.7");
    lets_in("2001:db8::7");
    assert!(world.kernel_bans("192.0.2.8"));
    daemon.stop();
}

#[test]
fn the_firewall_bouncer_bans_networks_with_ipset() {
    let Some(board) = Board::new() else { return };
    if run(&board, "ipset", &["version"]).is_err() {
        skipped::<()>("ipset is missing");
        return;
    }
    for (set, family) in [
        ("crowdsec-blacklists", "inet"),
        ("crowdsec6-blacklists", "inet6"),
    ] {
        let words = [
            "create", set, "hash:net", "family", family, "timeout", "300",
        ];
        run(&board, "ipset", &words).unwrap();
    }
    board.ban(&[
        ban("sshd", "192.0.2.0/24", None),
        ban("sshd", "2001:db8:0:7::/64", Some(3600)),
    ]);
    let config = "mode: ipset\ndisable_ipv6: false\ndeny_action: DROP\n\
        blacklists_ipv4: crowdsec-blacklists\nblacklists_ipv6: crowdsec6-blacklists\n";
    let Some(_bouncer) = board.bouncer_of("crowdsec-firewall-bouncer", config) else {
        return;
    };
    let holds = |set: &str, address: &str| run(&board, "ipset", &["test", set, address]).is_ok();
    until("the network is banned", || {
        holds("crowdsec-blacklists", "192.0.2.77").then_some(())
    });
    until("that of IPv6 too", || {
        holds("crowdsec6-blacklists", "2001:db8:0:7::7").then_some(())
    });
    board.unban("sshd", "2001:db8:0:7::/64");
    until("it is free", || {
        (!holds("crowdsec6-blacklists", "2001:db8:0:7::7")).then_some(())
    });
    assert!(holds("crowdsec-blacklists", "192.0.2.77"));
    board.stop();
}

#[test]
fn the_custom_bouncer_runs_its_script() {
    let Some(board) = Board::new() else { return };
    let (script, said) = (
        board.home.path().join("script"),
        board.home.path().join("said"),
    );
    let text = format!("#!/bin/sh\necho \"$1 $2 $3 $4\" >> {}\n", said.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    board.ban(&[ban("sshd", "192.0.2.7", Some(3600))]);
    let config = format!(
        "bin_path: {}\nfeed_via_stdin: false\ncache_retention_duration: 10s\n",
        script.display()
    );
    let Some(_bouncer) = board.bouncer_of("crowdsec-custom-bouncer", &config) else {
        return;
    };
    let says = |begin: &str| {
        until(begin, || {
            let said = fs::read_to_string(&said).unwrap_or_default();
            said.lines()
                .find(|line| line.starts_with(begin))
                .map(str::to_owned)
        })
    };
    assert!(
        says("add 192.0.2.7 ").ends_with(" sshd"),
        "{}",
        says("add 192.0.2.7 ")
    );
    board.unban("sshd", "192.0.2.7");
    says("del 192.0.2.7 ");
    board.stop();
}
