//! Bans that do not work: a real sshd, real clients, the kernel's own word.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::netns::{Cable, Netns};
use crate::support::skipped;
use crate::support::wait::until;
use crate::support::world::{F2BD, World};

const JAIL: &str = "port = [\"ssh\"]\nmaxretry = 3\nfindtime = \"1h\"\nbantime = \"1h\"\n\
    unhindered = { actions = [\"nftables-all\"], grace = \"1s\" }";

const ALL: &str =
    "[action.nftables-all]\nuse = \"nftables\"\ntable = \"f2bd_all\"\nports = \"all\"\n";

const ATTACKER: &str = "192.0.2.7";

/// How sshd begins: it wants a directory in /run, which is not there everywhere.
const STAGE: &str = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \"$0\" \"$@\"";

/// A real sshd that listens on two ports; killed when dropped.
struct Sshd(Child);

impl Sshd {
    /// One in a namespace of the network, with its files in `home`.
    fn start(netns: &Netns, home: &Path) -> Option<Sshd> {
        const PROGRAM: &str = "/usr/sbin/sshd";
        for (program, question) in [(PROGRAM, "-?"), ("sshpass", "-V"), ("ssh", "-V")] {
            if Command::new(program).arg(question).output().is_err() {
                return skipped(&format!("{program} is missing"));
            }
        }
        let key = home.join("host_key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        let config = home.join("sshd_config");
        let text = format!(
            "Port 22\nPort 2222\nHostKey {}\nPidFile none\nUsePAM no\nPasswordAuthentication yes\n\
             MaxStartups 100\nUseDNS no\n",
            key.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = netns.command("unshare");
        // Its children, which wait for whoever was cut off, end with it.
        command.args(["--pid", "--fork", "--kill-child"]);
        command.args(["--mount", "sh", "-c", STAGE, PROGRAM, "-D", "-e", "-f"]);
        command.arg(&config).stdin(Stdio::null());
        Some(Sshd(command.stderr(Stdio::piped()).spawn().unwrap()))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One wrong password. A client whose packets are dropped in the middle of it would wait for minutes.
fn mistype(attackers: &Netns, port: u16) {
    let options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "PreferredAuthentications=password",
        "NumberOfPasswordPrompts=1",
        "ConnectTimeout=1",
    ];
    let mut command = attackers.command("timeout");
    command.args(["3", "sshpass", "-p", "wrong"]);
    command.args(["ssh", "-b", ATTACKER, "-p", &port.to_string()]);
    command.args(options.iter().flat_map(|option| ["-o", *option]));
    command.arg("root@192.0.2.1");
    let command = command.stdin(Stdio::null()).stderr(Stdio::null());
    assert!(
        !command.status().unwrap().success(),
        "nobody has this password"
    );
}

/// Whether a table of the kernel holds the attacker.
fn holds(world: &World, table: &str) -> bool {
    let listing = world.nft(&["list", "table", "inet", table]).stdout;
    String::from_utf8_lossy(&listing).contains(&format!("{ATTACKER} timeout"))
}

fn unhindered(world: &World) -> u64 {
    let status = &world.json(&["status"])[0];
    status["jails"][0]["unhindered"].as_u64().unwrap()
}

#[test]
fn a_service_that_listens_on_another_port_too_is_found_and_shut() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let Some(world) = World::on(server, JAIL, ALL) else {
        return;
    };
    let Some(mut sshd) = Sshd::start(&world.netns, world.path()) else {
        return;
    };
    let said = BufReader::new(sshd.0.stderr.take().unwrap());
    thread::scope(|scope| {
        // Where there is no syslog, what sshd says goes into the journal by hand.
        scope.spawn(|| {
            for line in said.lines().map_while(Result::ok) {
                world.log("sshd", line.trim_end());
            }
        });
        go_around_and_be_shut_out(&world, &attackers);
        // Only then does the other thread end.
        drop(sshd);
    });
}

fn go_around_and_be_shut_out(world: &World, attackers: &Netns) {
    let [ssh, other] = [22, 2222].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
    attackers.must_reach(ATTACKER, other);
    let daemon = world.start();
    let heard = world.path().join("followed");
    let mut follow = Command::new(F2BD)
        .args(["--socket".as_ref(), world.socket().as_os_str()])
        .args(["follow", "--json"])
        .stdout(File::create(&heard).unwrap())
        .spawn()
        .unwrap();
    until("the attacker is banned", || {
        mistype(attackers, 22);
        holds(world, "f2bd").then_some(())
    });
    assert!(!attackers.reaches(ATTACKER, ssh), "its port is shut");
    assert_eq!(unhindered(world), 0);

    let open = attackers.connect(ATTACKER, other).unwrap();
    let cause = "it is connected to port 2222, which the jail does not shut";
    let told = format!("[sshd] {ATTACKER} fails on though it is banned: {cause}");
    until("the ban is told not to work", || {
        mistype(attackers, 2222);
        daemon.log().contains(&told).then_some(())
    });
    until("the wider action has it", || {
        holds(world, "f2bd_all").then_some(())
    });
    assert!(!attackers.reaches(ATTACKER, other), "now all is shut");
    assert!(attackers.reaches("192.0.2.8", other), "to nobody else");
    drop(open);
    assert_eq!(unhindered(world), 1);
    let explained = world.f2bd(&["explain", ATTACKER]).stdout;
    let explained = String::from_utf8(explained).unwrap();
    assert!(explained.contains(cause), "{explained}");
    let status = String::from_utf8(world.f2bd(&["status"]).stdout).unwrap();
    assert!(
        status.contains("Jail sshd: 1 ban does not work"),
        "{status}"
    );
    until("followers hear of it", || {
        fs::read_to_string(&heard)
            .unwrap()
            .contains(&told)
            .then_some(())
    });
    follow.kill().unwrap();
    follow.wait().unwrap();
    let kept = "SELECT ip FROM notice_history WHERE kind = 'unhindered' AND detail LIKE '%2222%'";
    assert_eq!(world.sql(kept), ATTACKER);
    assert_eq!(daemon.said("fails on though it is banned"), 1);

    daemon.kill();
    let gone = world.nft(&["delete", "table", "inet", "f2bd_all"]);
    assert!(gone.status.success());
    assert!(attackers.reaches(ATTACKER, other));
    let daemon = world.start();
    assert!(holds(world, "f2bd_all"), "it is ready, and remembers");
    assert!(!attackers.reaches(ATTACKER, other));
    assert_eq!(unhindered(world), 1);

    assert!(world.f2bd(&["unban", ATTACKER]).status.success());
    until("it is free everywhere", || {
        (!holds(world, "f2bd") && !holds(world, "f2bd_all")).then_some(())
    });
    attackers.must_reach(ATTACKER, other);
    assert_eq!(unhindered(world), 0);
    daemon.stop();
}

#[test]
fn what_is_passed_on_to_a_container_is_said() {
    let Some(world) = World::with(JAIL, ALL) else {
        return;
    };
    let forward = "/proc/sys/net/ipv4/ip_forward";
    world.netns.inside(|| fs::write(forward, "1").unwrap());
    let mut bridge = world.netns.command("ip");
    bridge.args(["link", "add", "docker0", "type", "bridge"]);
    assert!(bridge.status().unwrap().success());
    // Of another service: the port of the jail is served elsewhere.
    let _other = world.netns.listen(8080);
    let daemon = world.start();
    until("the ban is told not to work", || {
        world.attack("198.51.100.7", 1);
        let log = daemon.log();
        log.contains("198.51.100.7 fails on though it is banned: its packets may be passed on, to a container or another host, through docker0")
            .then_some(())
    });
    daemon.stop();
}

/// Has somebody fail until it is told why his ban does not work.
fn must_tell(world: &World, address: &str, cause: &str) {
    let told = format!("{address} fails on though it is banned: {cause}");
    let log = world.path().join("daemon.log");
    until(&told, || {
        world.attack(address, 1);
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.contains(&told).then_some(())
    });
}

#[test]
fn a_rule_above_those_of_the_action_is_said() {
    let Some(cable) = Cable::new() else { return };
    let jail =
        "port = [\"ssh\"]\nactions = [\"ipset\"]\nmaxretry = 3\nunhindered = { grace = \"1s\" }\n";
    let Some(world) = World::on(cable.server, jail, "") else {
        return;
    };
    let iptables = |words: &[&str]| {
        let output = world.netns.command("iptables").args(words).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !iptables(&["-S"]) || world.netns.command("ipset").output().is_err() {
        return skipped("iptables or ipset is missing").unwrap_or_default();
    }
    let ssh = world.netns.listen(22);
    thread::spawn(move || ssh.incoming().for_each(drop));
    let daemon = world.start();
    world.attack(ATTACKER, 3);
    let door: SocketAddr = "192.0.2.1:22".parse().unwrap();
    until("he is out", || {
        (!cable.attackers.reaches(ATTACKER, door)).then_some(())
    });
    let above = ["-I", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"];
    assert!(iptables(&above));
    assert!(cable.attackers.reaches(ATTACKER, door), "he is in again");
    must_tell(
        &world,
        ATTACKER,
        "a rule above those of the action ipset may let it in",
    );
    daemon.stop();
}

#[test]
fn proxies_are_said() {
    let jail = "port = [\"ssh\"]\nmaxretry = 3\nunhindered = { grace = \"1s\" }\n";
    let Some(world) = World::new(jail) else {
        return;
    };
    let _ssh = world.netns.listen(22);
    let daemon = world.start();
    must_tell(
        &world,
        "198.51.100.7",
        "all is shut here that it could reach by itself, so that a proxy may speak for it",
    );
    must_tell(
        &world,
        "10.1.2.3",
        "it is an address of a private network, perhaps that of a proxy",
    );
    daemon.stop();
}
