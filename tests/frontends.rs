//! Facts about actions that go through somebody else's firewall or list: firewalld, ufw and TCP wrappers, the real
//! programs, in networks and with files of their own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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
struct Scene {
    world: World,
    attackers: Netns,
}

impl Scene {
    fn new(action: &str) -> Option<Scene> {
        let cable = Cable::new()?;
        let jail = format!("actions = [{action:?}]\nport = [\"22\", \"8000:8100\"]\n");
        Some(Scene {
            world: World::on(cable.server, &jail, "")?,
            attackers: cable.attackers,
        })
    }

    fn ban(&self, subject: &str) {
        assert!(self.world.f2bd(&["ban", "sshd", subject]).status.success());
    }

    fn is_let_in(&self, from: &str, port: u16) -> bool {
        let server = match from.contains(':') {
            true => "2001:db8::1",
            false => "192.0.2.1",
        };
        let server = SocketAddr::new(server.parse().unwrap(), port);
        self.attackers.reaches(from, server)
    }

    fn must_be_out(&self, from: &str, port: u16) {
        until(&format!("{from} does not reach {port}"), || {
            (!self.is_let_in(from, port)).then_some(())
        });
    }

    fn must_be_in(&self, from: &str, port: u16) {
        until(&format!("{from} reaches {port}"), || {
            self.is_let_in(from, port).then_some(())
        });
    }
}

/// A firewalld, on a bus of its own.
struct Firewalld {
    bus: PathBuf,
    _daemons: [Running; 2],
}

impl Firewalld {
    fn start(scene: &Scene) -> Firewalld {
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
            _daemons: [Running::new(&mut command), broker],
        };
        until("firewalld runs", || {
            (firewalld.command(scene, &["--state"]).status().ok()?)
                .success()
                .then_some(())
        });
        firewalld
    }

    fn command(&self, scene: &Scene, arguments: &[&str]) -> Command {
        let mut command = scene.world.netns.command("firewall-cmd");
        let socket = self.bus.join("system_bus_socket");
        let address = format!("unix:path={}", socket.display());
        command
            .args(arguments)
            .env("DBUS_SYSTEM_BUS_ADDRESS", address)
            .stderr(Stdio::null());
        command
    }

    fn over(&self) -> [(&'static str, PathBuf); 1] {
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
    let _door = scene.world.netns.listen(22);
    let entries = |family: &str| {
        let set = format!("--ipset=f2bd-DROP-{family}");
        said(&mut firewalld.command(&scene, &[&set, "--get-entries"]))
    };
    let daemon = scene.world.start_over(&firewalld.over());
    scene.must_be_in("192.0.2.7", 22);
    scene.ban("192.0.2.7");
    scene.ban("2001:db8:0:7::/64");
    scene.must_be_out("192.0.2.7", 22);
    scene.must_be_out("2001:db8:0:7::7", 22);
    assert!(scene.is_let_in("192.0.2.8", 22), "nobody else is kept out");
    assert!(scene.is_let_in("2001:db8:0:8::8", 22));
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
fn rich_rules_of_firewalld_shut_the_ports_of_the_jail() {
    if !is_there("firewalld") || !is_there("dbus-daemon") {
        return skipped("firewalld or dbus-daemon is missing").unwrap_or_default();
    }
    let Some(scene) = Scene::new("firewalld-rich") else {
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
    let _doors = [22, 8080, 9000].map(|port| scene.world.netns.listen(port));
    let daemon = scene.world.start_over(&firewalld.over());
    scene.ban("192.0.2.7");
    scene.ban("2001:db8:0:7::/64");
    for from in ["192.0.2.7", "2001:db8:0:7::7"] {
        scene.must_be_out(from, 22);
        scene.must_be_out(from, 8080);
        assert!(scene.is_let_in(from, 9000), "no port of the jail");
    }
    assert!(scene.is_let_in("192.0.2.8", 22));
    assert!((firewalld.command(&scene, &["--reload"]).status().unwrap()).success());
    scene.must_be_in("192.0.2.7", 22);
    scene.must_be_out("192.0.2.7", 22);
    scene.world.f2bd(&["unban", "192.0.2.7"]);
    scene.must_be_in("192.0.2.7", 22);
    let rules = said(&mut firewalld.command(&scene, &["--zone=public", "--list-rich-rules"]));
    assert!(!rules.contains("192.0.2.7") && rules.contains("2001:db8:0:7::/64"));
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
    let _doors = [22, 8080, 9000].map(|port| scene.world.netns.listen(port));
    let daemon = scene.world.start_over(&[("/etc/ufw", etc.clone())]);
    scene.must_be_in("192.0.2.7", 22);
    scene.ban("192.0.2.7");
    scene.ban("2001:db8:0:7::/64");
    for from in ["192.0.2.7", "2001:db8:0:7::7"] {
        scene.must_be_out(from, 22);
        scene.must_be_out(from, 8080);
        assert!(scene.is_let_in(from, 9000), "no port of the jail");
    }
    assert!(scene.is_let_in("192.0.2.8", 22));
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
