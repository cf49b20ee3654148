//! Facts about actions that go through somebody else's firewall or list: firewalld, ufw and TCP wrappers, the real
//! programs, in networks and with files of their own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::man::own_actions;
use crate::support::netns::{Cable, Netns};
use crate::support::skipped;
use crate::support::wait::until;
use crate::support::world::World;

/// A bus on which everybody may do everything.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=PATH</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"#;

/// A program that is killed when this is dropped.
struct Running(Child);

impl Running {
    fn new(command: &mut Command) -> Running {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Running(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_there(program: &str) -> bool {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin"];
    folders
        .iter()
        .any(|folder| Path::new(folder).join(program).exists())
}

/// A copy of a directory of the system, to be laid over it.
fn copy(directory: &str, to: &Path) -> PathBuf {
    let copied = Command::new("cp").args(["-a", directory]).arg(to).status();
    assert!(copied.unwrap().success());
    to.to_owned()
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a ban does, whoever carries it out.
pub struct Scene {
    pub world: World,
    pub attackers: Netns,
}

impl Scene {
    pub fn new(action: &str) -> Option<Scene> {
        let cable = Cable::new()?;
        let jail = format!("actions = [{action:?}]\nport = [\"22\", \"8000:8100\"]\n");
        Some(Scene {
            world: World::on(cable.server, &jail, "")?,
            attackers: cable.attackers,
        })
    }

    /// Takes whoever connects to the server, and hangs up.
    pub fn open_doors(&self, ports: &[u16]) {
        for port in ports {
            let door = self.world.netns.listen(*port);
            thread::spawn(move || door.incoming().for_each(drop));
        }
    }

    pub fn ban(&self, subject: &str) {
        assert!(self.world.f2bd(&["ban", "sshd", subject]).status.success());
    }

    pub fn is_let_in(&self, from: &str, port: u16) -> bool {
        let server = match from.contains(':') {
            true => "2001:db8::1",
            false => "192.0.2.1",
        };
        let server = SocketAddr::new(server.parse().unwrap(), port);
        self.attackers.reaches(from, server)
    }

    pub fn must_be_out(&self, from: &str, port: u16) {
        until(&format!("{from} does not reach {port}"), || {
            (!self.is_let_in(from, port)).then_some(())
        });
    }

    pub fn must_be_in(&self, from: &str, port: u16) {
        until(&format!("{from} reaches {port}"), || {
            self.is_let_in(from, port).then_some(())
        });
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.world.path().join("daemon.log"));
            eprintln!("the daemon said:\n{}", log.unwrap_or_default());
        }
    }
}

/// A firewalld, on a bus of its own.
pub struct Firewalld {
    bus: PathBuf,
    daemons: [Running; 2],
}

impl Firewalld {
    pub fn start(scene: &Scene) -> Firewalld {
        let home = scene.world.path();
        let bus = home.join("bus");
        fs::create_dir(&bus).unwrap();
        let socket = bus.join("system_bus_socket");
        let configuration = home.join("bus.conf");
        fs::write(
            &configuration,
            BUS.replace("PATH", &socket.display().to_string()),
        )
        .unwrap();
        let mut command = scene.world.netns.command("dbus-daemon");
        command.args(["--nofork", "--nopidfile"]);
        command.arg(format!("--config-file={}", configuration.display()));
        let broker = Running::new(&mut command);
        until("the bus is there", || socket.exists().then_some(()));
        let etc = copy("/etc/firewalld", &home.join("firewalld"));
        let mut command = scene.world.netns.command("unshare");
        let script = format!(
            "mount --bind {} /etc/firewalld && mount --bind {} /run/dbus && \
             exec firewalld --nofork --nopid --log-target console",
            etc.display(),
            bus.display()
        );
        command.args(["--mount", "sh", "-c", &script]);
        let firewalld = Firewalld {
            bus,
            daemons: [Running::new(&mut command), broker],
        };
        until("firewalld runs", || {
            (firewalld.command(scene, &["--state"]).status().ok()?)
                .success()
                .then_some(())
        });
        firewalld
    }

    pub fn command(&self, scene: &Scene, arguments: &[&str]) -> Command {
        let mut command = scene.world.netns.command("firewall-cmd");
        let socket = self.bus.join("system_bus_socket");
        let address = format!("unix:path={}", socket.display());
        command
            .args(arguments)
            .env("DBUS_SYSTEM_BUS_ADDRESS", address)
            .stderr(Stdio::null());
        command
    }

    /// Takes all rules away; firewalld does not notice, so that somebody else has brought them back when this returns.
    fn flush(scene: &Scene) {
        assert!(scene.world.nft(&["flush", "ruleset"]).status.success());
        until("firewalld's rules are back", || {
            (Firewalld::has_rules(scene)).then_some(())
        });
    }

    fn has_rules(scene: &Scene) -> bool {
        let chain = ["list", "chain", "inet", "firewalld", "filter_INPUT"];
        scene.world.nft(&chain).status.success()
    }

    /// Ends it, and leaves the bus.
    fn stop(&mut self) {
        let Running(firewalld) = &mut self.daemons[0];
        firewalld.kill().unwrap();
        firewalld.wait().unwrap();
    }

    pub fn over(&self) -> [(&'static str, PathBuf); 1] {
        [("/run/dbus", self.bus.clone())]
    }
}

#[test]
fn firewalld_keeps_banned_hosts_out_and_gets_back_what_a_reload_wipes() {
    if !is_there("firewalld") || !is_there("dbus-daemon") {
        return skipped("firewalld or dbus-daemon is missing").unwrap_or_default();
    }
    let Some(scene) = Scene::new("firewalld") else {
        return;
    };
    let firewalld = Firewalld::start(&scene);
    scene.open_doors(&[22]);
    let entries = |family: &str| {
        let set = format!("--ipset=f2bd-DROP-{family}");
        said(&mut firewalld.command(&scene, &[&set, "--get-entries"]))
    };
    let daemon = scene.world.start_over(&firewalld.over());
    scene.must_be_in("192.0.2.7", 22);
    scene.ban("192.0.2.7");
    scene.ban("2001:db8:0:7::/64");
    // While firewalld is reloaded for the first time, nobody gets in.
    until("the bans are there", || {
        let there = entries("ipv4") == "192.0.2.7\n" && entries("ipv6") == "2001:db8:0:7::/64\n";
        there.then_some(())
    });
    scene.must_be_in("192.0.2.8", 22);
    scene.must_be_in("2001:db8:0:8::8", 22);
    scene.must_be_out("192.0.2.7", 22);
    scene.must_be_out("2001:db8:0:7::7", 22);
    // firewalld refuses what overlaps; the wider one is enough.
    scene.ban("192.0.2.8");
    scene.must_be_out("192.0.2.8", 22);
    scene.ban("192.0.2.8/30");
    until("only the wider one is there", || {
        (entries("ipv4") == "192.0.2.7\n192.0.2.8/30\n").then_some(())
    });

    let reloaded = firewalld.command(&scene, &["--reload"]).status();
    assert!(reloaded.unwrap().success());
    daemon.says("firewalld: somebody else has changed what is in effect");
    scene.must_be_out("192.0.2.7", 22);
    scene.must_be_out("2001:db8:0:7::7", 22);
    Firewalld::flush(&scene);
    // While it is reloaded, nobody gets in.
    scene.must_be_in("2001:db8:0:8::8", 22);
    scene.must_be_out("192.0.2.7", 22);
    scene.must_be_out("2001:db8:0:7::7", 22);

    daemon.kill();
    let foreign = ["--ipset=f2bd-DROP-ipv4", "--add-entry=203.0.113.9"];
    assert!(
        (firewalld.command(&scene, &foreign).status().unwrap()).success(),
        "what an earlier run has left"
    );
    let daemon = scene.world.start_over(&firewalld.over());
    until("what is no ban is gone", || {
        (!entries("ipv4").contains("203.0.113.9")).then_some(())
    });
    scene.world.f2bd(&["unban", "192.0.2.7"]);
    scene.must_be_in("192.0.2.7", 22);
    assert!(!scene.is_let_in("192.0.2.8", 22));
    daemon.stop();
}

#[test]
fn a_firewalld_that_somebody_has_stopped_gets_no_table() {
    if !is_there("firewalld") || !is_there("dbus-daemon") {
        return skipped("firewalld or dbus-daemon is missing").unwrap_or_default();
    }
    for (action, asks) in [
        ("firewalld", "sh"),
        ("firewalld-rich", "sh"),
        ("firewalld-rich-log", "sh"),
        ("firewalld-ipset", "sh"),
        ("firewalld-direct", "sh"),
    ] {
        let Some(scene) = Scene::new(action) else {
            return;
        };
        let mut firewalld = Firewalld::start(&scene);
        firewalld.stop();
        assert!(scene.world.nft(&["flush", "ruleset"]).status.success());
        let daemon = scene.world.start_over(&firewalld.over());
        daemon.says(&format!("{action}: {asks} "));
        let tables = scene.world.nft(&["list", "tables"]).stdout;
        assert_eq!(String::from_utf8_lossy(&tables), "", "{action}");
        daemon.kill();
    }
}

#[test]
fn rich_rules_of_firewalld_shut_the_ports_of_the_jail() {
    rich_rules("firewalld-rich");
}

#[test]
fn rich_rules_of_firewalld_that_log_shut_the_ports_of_the_jail() {
    rich_rules("firewalld-rich-log");
}

fn rich_rules(action: &str) {
    if !is_there("firewalld") || !is_there("dbus-daemon") {
        return skipped("firewalld or dbus-daemon is missing").unwrap_or_default();
    }
    let Some(scene) = Scene::new(action) else {
        return;
    };
    let firewalld = Firewalld::start(&scene);
    for port in ["8080/tcp", "9000/tcp"] {
        let open = format!("--add-port={port}");
        assert!(
            (firewalld.command(&scene, &[&open]).status().unwrap()).success(),
            "{port}"
        );
    }
    scene.open_doors(&[22, 8080, 9000]);
    let daemon = scene.world.start_over(&firewalld.over());
    scene.ban("192.0.2.7");
    scene.ban("2001:db8:0:7::/64");
    for from in ["192.0.2.7", "2001:db8:0:7::7"] {
        scene.must_be_out(from, 22);
        scene.must_be_out(from, 8080);
        // It is no port of the jail.
        scene.must_be_in(from, 9000);
    }
    scene.must_be_in("192.0.2.8", 22);
    assert!((firewalld.command(&scene, &["--reload"]).status().unwrap()).success());
    daemon.says(&format!(
        "{action}: somebody else has changed what is in effect"
    ));
    scene.must_be_out("192.0.2.7", 22);
    Firewalld::flush(&scene);
    scene.must_be_in("192.0.2.8", 22);
    scene.must_be_out("192.0.2.7", 22);
    scene.world.f2bd(&["unban", "192.0.2.7"]);
    scene.must_be_in("192.0.2.7", 22);
    until("the rules are those of the other ban", || {
        let rules = said(&mut firewalld.command(&scene, &["--zone=public", "--list-rich-rules"]));
        (!rules.contains("192.0.2.7") && rules.contains("2001:db8:0:7::/64")).then_some(())
    });
    daemon.stop();
}

#[test]
fn direct_rules_of_firewalld_ask_sets_that_close_the_ports_of_the_jail() {
    direct_rules("firewalld-ipset");
}

#[test]
fn direct_rules_of_firewalld_close_the_ports_of_the_jail() {
    direct_rules("firewalld-direct");
}

fn direct_rules(action: &str) {
    if !is_there("firewalld") || !is_there("dbus-daemon") || !is_there("ipset") {
        return skipped("firewalld, dbus-daemon or ipset is missing").unwrap_or_default();
    }
    let Some(scene) = Scene::new(action) else {
        return;
    };
    let firewalld = Firewalld::start(&scene);
    for port in ["8080/tcp", "9000/tcp"] {
        let open = format!("--add-port={port}");
        assert!(
            (firewalld
                .command(&scene, &["--permanent", &open])
                .status()
                .unwrap())
            .success()
        );
    }
    assert!((firewalld.command(&scene, &["--reload"]).status().unwrap()).success());
    scene.open_doors(&[22, 8080, 9000]);
    let daemon = scene.world.start_over(&firewalld.over());
    scene.must_be_in("192.0.2.7", 22);
    scene.ban("192.0.2.7");
    scene.ban("2001:db8:0:7::/64");
    for from in ["192.0.2.7", "2001:db8:0:7::7"] {
        scene.must_be_out(from, 22);
        scene.must_be_out(from, 8080);
        // It is no port of the jail.
        scene.must_be_in(from, 9000);
    }
    scene.must_be_in("192.0.2.8", 22);
    assert!((firewalld.command(&scene, &["--reload"]).status().unwrap()).success());
    daemon.says(&format!(
        "{action}: somebody else has changed what is in effect"
    ));
    scene.must_be_out("192.0.2.7", 22);
    scene.must_be_out("2001:db8:0:7::7", 22);
    Firewalld::flush(&scene);
    scene.must_be_in("192.0.2.8", 22);
    scene.must_be_out("192.0.2.7", 22);
    scene.must_be_out("2001:db8:0:7::7", 22);
    daemon.kill();
    let daemon = scene.world.start_over(&firewalld.over());
    scene.world.f2bd(&["unban", "192.0.2.7"]);
    scene.must_be_in("192.0.2.7", 22);
    assert!(!scene.is_let_in("2001:db8:0:7::7", 22));
    daemon.stop();
    // Nobody wants it any more: rules and sets go.
    scene.world.configure("actions = []\n", "");
    let daemon = scene.world.start_over(&firewalld.over());
    until("the rules are gone", || {
        let rules = said(&mut firewalld.command(&scene, &["--direct", "--get-all-rules"]));
        rules.is_empty().then_some(())
    });
    until("the chains are gone", || {
        let chains = said(&mut firewalld.command(&scene, &["--direct", "--get-all-chains"]));
        chains.is_empty().then_some(())
    });
    until("the sets are gone", || {
        let mut ipset = scene.world.netns.command("ipset");
        said(ipset.args(["list", "-name"])).is_empty().then_some(())
    });
    scene.must_be_in("2001:db8:0:7::7", 22);
    daemon.stop();
}

#[test]
fn ufw_keeps_banned_hosts_from_the_ports_of_the_jail() {
    if !is_there("ufw") {
        return skipped("ufw is missing").unwrap_or_default();
    }
    let Some(scene) = Scene::new("ufw") else {
        return;
    };
    let etc = copy("/etc/ufw", &scene.world.path().join("ufw"));
    let ufw = |words: &str| {
        let script = format!(
            "mount --bind {} /etc/ufw && exec ufw {words}",
            etc.display()
        );
        let mut command = scene.world.netns.command("unshare");
        let output = command.args(["--mount", "sh", "-c", &script]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "ufw {words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for words in [
        "--force enable",
        "allow 22/tcp",
        "allow 8080/tcp",
        "allow 9000/tcp",
    ] {
        ufw(words);
    }
    scene.open_doors(&[22, 8080, 9000]);
    let daemon = scene.world.start_over(&[("/etc/ufw", etc.clone())]);
    scene.must_be_in("192.0.2.7", 22);
    scene.ban("192.0.2.7");
    scene.ban("2001:db8:0:7::/64");
    for from in ["192.0.2.7", "2001:db8:0:7::7"] {
        scene.must_be_out(from, 22);
        scene.must_be_out(from, 8080);
        // It is no port of the jail.
        scene.must_be_in(from, 9000);
    }
    scene.must_be_in("192.0.2.8", 22);
    ufw("reload");
    scene.must_be_out("192.0.2.7", 22);
    // Somebody takes a rule away, and somebody all of them.
    ufw("delete deny from 192.0.2.7 to any port 22 proto tcp");
    ufw("delete deny from 192.0.2.7 to any port 8000:8100 proto tcp");
    scene.must_be_out("192.0.2.7", 22);
    assert!(scene.world.nft(&["flush", "ruleset"]).status.success());
    scene.must_be_out("192.0.2.7", 22);
    scene.must_be_in("192.0.2.8", 22);

    daemon.kill();
    ufw("prepend deny from 203.0.113.9 to any port 22 proto tcp comment 'f2bd[sshd]'");
    let daemon = scene.world.start_over(&[("/etc/ufw", etc.clone())]);
    until("what is no ban is gone", || {
        (!ufw("status").contains("203.0.113.9")).then_some(())
    });
    scene.world.f2bd(&["unban", "192.0.2.7"]);
    scene.must_be_in("192.0.2.7", 22);
    assert!(ufw("status").contains("2001:db8:0:7::/64"));
    daemon.stop();
}

#[test]
fn tcp_wrappers_refuse_who_is_on_the_list() {
    if !is_there("tcpdmatch") {
        return skipped("tcpdmatch is missing").unwrap_or_default();
    }
    let Some(scene) = Scene::new("hostsdeny") else {
        return;
    };
    let home = scene.world.path();
    let list = home.join("list");
    let jail = "actions = [\"hostsdeny\"]\n";
    let action = format!("[action.hostsdeny]\npath = {list:?}\n");
    scene.world.configure(jail, &action);
    fs::write(
        home.join("hosts.deny"),
        format!("ALL: {}\n", list.display()),
    )
    .unwrap();
    fs::write(home.join("hosts.allow"), "").unwrap();
    let inetd = "ftp stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.ftpd\n";
    fs::write(home.join("inetd.conf"), inetd).unwrap();
    let is_denied = |address: &str| {
        let mut command = Command::new("tcpdmatch");
        command.current_dir(home).args(["-d", "-i", "inetd.conf"]);
        let answer = said(command.args(["in.ftpd", address]));
        assert!(answer.contains("access:"), "{answer}");
        answer.contains("denied")
    };
    let daemon = scene.world.start();
    let banned = [
        "192.0.2.7",
        "198.51.100.0/24",
        "2001:db8:7::/64",
        "2001:db8::7",
    ];
    for subject in banned {
        scene.ban(subject);
    }
    let in_list = ["192.0.2.7", "198.51.100.9", "2001:db8:7::1", "2001:db8::7"];
    for address in in_list {
        until(&format!("{address} is denied"), || {
            is_denied(address).then_some(())
        });
    }
    for address in ["192.0.2.8", "198.51.101.1", "2001:db8:8::1"] {
        assert!(!is_denied(address), "{address}");
    }
    fs::write(&list, "").unwrap();
    until("somebody else's change is undone", || {
        is_denied("192.0.2.7").then_some(())
    });
    scene.world.f2bd(&["unban", "192.0.2.7"]);
    until("who is free is not denied", || {
        (!is_denied("192.0.2.7")).then_some(())
    });
    daemon.stop();
}

#[test]
fn lines_of_hosts_deny_come_and_go_among_others() {
    let Some(scene) = Scene::new("hostsdeny-lines") else {
        return;
    };
    let file = scene.world.path().join("hosts.deny");
    let others = "# ours\nsshd: 198.51.100.9\nALL: 203.0.113.9\n";
    fs::write(&file, others).unwrap();
    let action = format!("[action.hostsdeny-lines]\nfile = {file:?}\non_stop = \"remove\"\n");
    let jail = "actions = [\"hostsdeny-lines\"]\n";
    scene.world.configure(jail, &action);
    let daemon = scene.world.start();
    let has = |line: &str| {
        let text = fs::read_to_string(&file).unwrap();
        text.lines().filter(|own| *own == line).count()
    };
    scene.ban("192.0.2.7");
    scene.ban("2001:db8:7::/64");
    let (four, six) = ("ALL: 192.0.2.7", "ALL: [2001:db8:7::]/64");
    until("both are there", || {
        (has(four) == 1 && has(six) == 1).then_some(())
    });
    fs::write(&file, others).unwrap();
    until("they are there again", || {
        (has(four) == 1 && has(six) == 1).then_some(())
    });
    scene.world.f2bd(&["unban", "2001:db8:7::/64"]);
    until("one is gone", || (has(six) == 0).then_some(()));
    assert_eq!(has(four), 1);
    daemon.stop();
    assert_eq!(fs::read_to_string(&file).unwrap(), others);
}

/// The last line of each head and the body of all requests, which are all answered.
fn requests(listener: TcpListener) -> Receiver<(String, String)> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                head += &std::mem::take(&mut line);
            }
            let mut lengths = head.lines().filter_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse().unwrap())
            });
            let mut body = vec![0; lengths.next().unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            if sender
                .send((head, String::from_utf8(body).unwrap()))
                .is_err()
            {
                return;
            }
        }
    });
    receiver
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn the_own_actions_of_the_manual_work_as_they_stand_there() {
    let Some(scene) = Scene::new("nftables") else {
        return;
    };
    let home = scene.world.path();
    let (bin, lib, actions) = (home.join("bin"), home.join("lib"), home.join("actions"));
    for folder in [&bin, &lib, &actions, &lib.join("f2bd")] {
        fs::create_dir(folder).unwrap();
    }
    let texts = own_actions();
    assert_eq!(texts.len(), 3);
    for (name, text) in ["door", "router", "proxy"].iter().zip(&texts) {
        fs::write(actions.join(format!("{name}.toml")), text).unwrap();
    }
    let calls = home.join("calls");
    for name in ["door", "proxy"] {
        let note = format!("#!/bin/sh\necho {name} \"$@\" >>{}\n", calls.display());
        script(&bin.join(name), &note);
    }
    let key = home.join("key");
    fs::write(&key, "sesame\n").unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let listener = scene
        .world
        .netns
        .inside(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}/list", listener.local_addr().unwrap());
    let requests = requests(listener);
    scene.world.configure(
        "actions = [\"door\", \"router\", \"proxy\"]\n",
        &format!(
            "[action.router]\nurl = {url:?}\nkey = \"file:{}\"\n",
            key.display()
        ),
    );
    let over = [("/usr/local/bin", bin), ("/var/lib", lib.clone())];
    let daemon = scene.world.start_over(&over);
    scene.ban("192.0.2.7");
    let list = lib.join("f2bd/proxy.deny");
    until("the door, the router and the proxy know", || {
        let (head, body) = requests.recv().unwrap();
        assert!(
            head.starts_with("PUT /list ") && head.contains("Bearer sesame"),
            "{head}"
        );
        (body == r#"{"addresses":["192.0.2.7"]}"#).then_some(())
    });
    let has =
        |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|all| all.contains(text));
    until("the door, the router and the proxy know", || {
        (has(&calls, "door shut 192.0.2.7\n") && has(&list, "192.0.2.7 # until 20")).then_some(())
    });
    scene.world.f2bd(&["unban", "192.0.2.7"]);
    until("all know that it is over", || {
        let is_open = has(&calls, "door open 192.0.2.7\n") && has(&calls, "proxy reload\n");
        (is_open && !has(&list, "192.0.2.7")).then_some(())
    });
    until("the router's list is empty", || {
        (requests.recv().unwrap().1 == r#"{"addresses":[]}"#).then_some(())
    });
    daemon.stop();
}
