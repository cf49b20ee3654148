//! Facts about actions that keep files, and about web servers that refuse whoever is in them: real servers, real clients,
//! with addresses of their own on the loopback device of a private network.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use f2bd::action::file::ActionFile;
use f2bd::action::parameter::Given;
use f2bd::action::ports::Ports;
use f2bd::action::{ActionJail, Ending, InForce, Order, Report, worker};
use f2bd::engine::decision::BanId;
use f2bd::engine::input::Outcome;
use f2bd::engine::prefix::SubjectWidth;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::netns::Netns;
use crate::support::wait::{DEADLINE, until};
use crate::support::{now, skipped};

/// Who is banned, as what, and who is not.
const HOST: &str = "127.0.0.7";
const IN_NETWORK: &str = "127.0.1.9";
const NETWORK: &str = "127.0.1.0/24";
const IN_IPV6_NETWORK: &str = "2001:db8:0:7::7";
const IPV6_NETWORK: &str = "2001:db8:0:7::/64";
const IPV6_HOST: &str = "2001:db8:0:6::6";
const OTHERS: [&str; 2] = ["127.0.0.8", "2001:db8:0:8::8"];

/// A proxy that web servers believe.
const PROXY: &str = "127.0.0.9";

/// A network with its clients, a folder for all files, and an action on a thread as the daemon runs it.
struct Stage {
    netns: Netns,
    home: TempDir,
    orders: Sender<Order>,
    reports: Receiver<Report>,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    /// With what these programs need; `None`, and a word about it, where one is missing.
    fn new(programs: &[&str]) -> Option<Stage> {
        for program in programs {
            if !["/usr/sbin", "/usr/bin"]
                .iter()
                .any(|folder| Path::new(folder).join(program).exists())
            {
                return skipped(&format!("{program} is missing"));
            }
        }
        let netns = Netns::new()?;
        for address in [IN_IPV6_NETWORK, IPV6_HOST, OTHERS[1]] {
            netns.add_address_to("lo", &format!("{address}/128"));
        }
        let home = tempfile::tempdir().unwrap();
        // Servers read their files as users of their own.
        fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Some(Stage {
            netns,
            home,
            orders: mpsc::channel().0,
            reports: mpsc::channel().1,
            thread: None,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// A program that runs this in the folder; its path.
    fn script(&self, name: &str, commands: &str) -> String {
        let home = self.home.path().display();
        self.write(name, &format!("#!/bin/sh\ncd {home} || exit\n{commands}\n"));
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).unwrap();
        self.text(name)
    }

    /// A reload, as a service manager does it: of a server that runs, and complete when `shows` says something else. A
    /// signal that comes in the middle of a reload may get lost.
    fn reload_by(&self, signal: &str, shows: &str) -> String {
        let commands = format!(
            "[ -e pid ] || exit 0\nbefore=$({shows})\nkill -{signal} $(cat pid)\n\
             while [ \"$({shows})\" = \"$before\" ]; do sleep 0.02; done"
        );
        self.script("systemctl", &commands)
    }

    /// Starts a shipped action, with nobody banned.
    fn act(&mut self, action: &str, given: &[(&str, &str)]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("actions");
        let text = fs::read_to_string(folder.join(format!("{action}.toml"))).unwrap();
        let given: BTreeMap<_, _> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Given::One((*value).to_owned())))
            .collect();
        let file = ActionFile::parse(&text).unwrap();
        let spec = file.spec(action.parse().unwrap(), &given).unwrap();
        let (orders, received) = mpsc::channel();
        let (report, reports) = mpsc::channel();
        let enter = self.netns.entrance();
        self.thread = Some(thread::spawn(move || {
            enter();
            worker::run(&spec, received, now, move |told| {
                // A test may fail before the worker ends.
                let _ = report.send(told);
            });
        }));
        (self.orders, self.reports) = (orders, reports);
        self.reconcile(&[]);
    }

    fn outcome(&self) -> Outcome {
        loop {
            if let Report::Outcome(outcome) = self.reports.recv_timeout(DEADLINE).unwrap() {
                return outcome;
            }
        }
    }

    fn reconcile(&self, subjects: &[&str]) {
        let order = Order::Reconcile {
            jails: vec![ActionJail {
                jail: "web".parse().unwrap(),
                label: "web".parse().unwrap(),
                ports: Ports::All,
                protocols: Vec::new(),
                width: SubjectWidth::DEFAULT,
            }],
            bans: bans(subjects),
            complete: true,
        };
        self.orders.send(order).unwrap();
    }

    fn change(&self, banned: &[&str], unbanned: &[&str]) {
        let unbans = unbanned
            .iter()
            .map(|subject| ("web".parse().unwrap(), subject.parse().unwrap()));
        let order = Order::Change {
            bans: bans(banned),
            unbans: unbans.collect(),
        };
        self.orders.send(order).unwrap();
    }

    fn end(&mut self, ending: Ending) {
        self.orders.send(Order::Stop(ending)).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }

    /// A server, when it serves somebody.
    fn serve(&self, program: &str, arguments: &[&str]) -> Server {
        let mut command = self.netns.command(program);
        command.args(arguments).env("HOME", self.home.path());
        command.current_dir(self.home.path()).stdin(Stdio::null());
        let log = fs::File::create(self.path("server.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let server = Server(command.spawn().unwrap());
        self.becomes(OTHERS[0], "200");
        self.write("pid", &server.0.id().to_string());
        server
    }

    /// What a client is answered; `000` is no answer.
    fn asks(&self, client: &str, arguments: &[&str]) -> String {
        let url = match client.contains(':') {
            true => "http://[::1]/",
            false => "http://127.0.0.1/",
        };
        let mut command = self.netns.command("curl");
        command.args(["--silent", "--max-time", "5", "--output", "/dev/null"]);
        command.args(["--write-out", "%{http_code}", "--interface", client, url]);
        let output = command.args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn becomes(&self, client: &str, answer: &str) {
        until(&format!("{client} gets {answer}"), || {
            (self.asks(client, &[]) == answer).then_some(())
        });
    }

    /// Whoever is banned is refused like this, for as long as he is, whatever somebody does to what refuses him.
    fn refuses_the_banned(&mut self, refusal: &str, disturb: impl Fn(&Stage)) {
        let everybody = [HOST, IN_NETWORK, IN_IPV6_NETWORK, IPV6_HOST];
        for client in everybody.iter().chain(&OTHERS) {
            assert_eq!(self.asks(client, &[]), "200", "{client} is not banned");
        }
        self.change(
            &[HOST, NETWORK, IPV6_NETWORK, &format!("{IPV6_HOST}/128")],
            &[],
        );
        for client in everybody {
            self.becomes(client, refusal);
        }
        for client in OTHERS {
            assert_eq!(self.asks(client, &[]), "200", "{client} is somebody else");
        }
        self.change(&[], &[HOST, &format!("{IPV6_HOST}/128")]);
        for client in [HOST, IPV6_HOST] {
            self.becomes(client, "200");
        }
        disturb(self);
        for client in [IN_NETWORK, IN_IPV6_NETWORK] {
            self.becomes(client, refusal);
        }
        self.end(Ending::Remove);
        for client in everybody {
            self.becomes(client, "200");
        }
    }
}

/// A server; it ends in order when dropped, with its children.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

fn bans(subjects: &[&str]) -> Vec<InForce> {
    let bans = subjects.iter().map(|subject| InForce {
        ban: BanId(1),
        jail: "web".parse().unwrap(),
        subject: subject.parse().unwrap(),
        until: None,
        event: None,
    });
    bans.collect()
}

#[test]
fn nginx_refuses_the_banned() {
    let Some(mut stage) = Stage::new(&["nginx", "curl"]) else {
        return;
    };
    let (conf, path) = (stage.text("nginx.conf"), stage.text("conf.d/f2bd.conf"));
    let commands = format!("[ -e pid ] || exit 0\nexec nginx -c {conf} \"$@\"");
    let nginx = stage.script("nginx", &commands);
    stage.act(
        "nginx",
        &[("path", &path), ("nginx", &nginx), ("pause", "0s")],
    );
    stage.outcome();
    let home = stage.home.path().display();
    let text = format!(
        "daemon off; pid {home}/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
         include {home}/conf.d/*.conf;\nclient_body_temp_path {home}/b;\nproxy_temp_path {home}/p;\n\
         fastcgi_temp_path {home}/f;\nuwsgi_temp_path {home}/u;\nscgi_temp_path {home}/s;\n\
         set_real_ip_from {PROXY};\nreal_ip_header X-Forwarded-For;\n\
         server {{\nlisten 80; listen [::]:80;\nif ($f2bd_banned) {{ return 403; }}\n\
         location / {{ return 200 served; }}\n}}\n}}\n"
    );
    stage.write("nginx.conf", &text);
    let _server = stage.serve("nginx", &["-c", &conf]);
    stage.refuses_the_banned("403", |stage| {
        for client in ["127.0.1.77", IN_IPV6_NETWORK] {
            let header = format!("X-Forwarded-For: {client}");
            assert_eq!(stage.asks(PROXY, &["--header", &header]), "403");
        }
        let ours = fs::read_to_string(&path).unwrap();
        fs::write(&path, "geo $f2bd_banned { default 0; }").unwrap();
        until("the file is repaired", || {
            (fs::read_to_string(&path).unwrap() == ours).then_some(())
        });
    });
}

const APACHE: &str = "
ServerName test
Listen 80
PidFile HOME/apache.pid
User www-data
Group www-data
ErrorLog HOME/error.log
DocumentRoot HOME/www
RemoteIPHeader X-Forwarded-For
RemoteIPTrustedProxy 127.0.0.9
<Directory />
Require all denied
</Directory>
<Location />
Require all granted
</Location>
";

/// The configuration of an Apache, with further lines.
fn apache(stage: &Stage, lines: &str) -> Vec<String> {
    let modules = [
        "mpm_event",
        "authz_core",
        "authz_host",
        "remoteip",
        "rewrite",
        "dir",
    ];
    let modules: String = modules
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let home = stage.home.path().display().to_string();
    let text = format!("ServerRoot {home}\n{modules}{APACHE}{lines}\n");
    stage.write("apache.conf", &text.replace("HOME", &home));
    fs::create_dir(stage.path("www")).unwrap();
    stage.write("www/index.html", "served");
    ["-D", "FOREGROUND", "-f", &stage.text("apache.conf")]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn apache_refuses_the_banned_whatever_a_location_allows() {
    let Some(mut stage) = Stage::new(&["apache2", "curl"]) else {
        return;
    };
    let (path, systemctl) = (
        stage.text("f2bd.conf"),
        stage.reload_by("USR1", "grep -c resuming error.log"),
    );
    let given = [("path", &*path), ("systemctl", &systemctl), ("pause", "0s")];
    stage.act("apache", &given);
    stage.outcome();
    let arguments = apache(&stage, &format!("Include {path}"));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let _server = stage.serve("apache2", &arguments);
    stage.refuses_the_banned("403", |stage| {
        let header = format!("X-Forwarded-For: {IN_IPV6_NETWORK}");
        assert_eq!(stage.asks(PROXY, &["--header", &header]), "403");
        fs::remove_file(&path).unwrap();
        until("the file is there again", || path_is_there(&path));
    });
}

fn path_is_there(path: &str) -> Option<()> {
    Path::new(path).exists().then_some(())
}

#[test]
fn apache_looks_into_the_map_without_a_reload() {
    let Some(mut stage) = Stage::new(&["apache2", "curl"]) else {
        return;
    };
    let path = stage.text("f2bd.map");
    stage.act("apache-rewritemap", &[("path", &path)]);
    stage.outcome();
    let lines = format!(
        "RewriteMap f2bd txt:{path}\nRewriteEngine on\nRewriteCond ${{f2bd:%{{REMOTE_ADDR}}}} =banned\n\
         RewriteRule ^ - [F]"
    );
    let arguments = apache(&stage, &lines);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let _server = stage.serve("apache2", &arguments);
    let ipv6 = format!("{IPV6_HOST}/128");
    stage.change(&[HOST, &ipv6], &[]);
    for client in [HOST, IPV6_HOST] {
        stage.becomes(client, "403");
    }
    for client in OTHERS {
        assert_eq!(stage.asks(client, &[]), "200", "{client} is somebody else");
    }
    stage.change(&[], &[HOST]);
    stage.becomes(HOST, "200");
    assert_eq!(stage.asks(IPV6_HOST, &[]), "403");
}

/// The configuration of an HAProxy with a socket.
fn haproxy(stage: &Stage) -> [String; 3] {
    let home = stage.home.path().display();
    let text = format!(
        "global\nstats socket {home}/admin.sock level admin\ndefaults\nmode http\ntimeout client 5s\n\
         timeout server 5s\ntimeout connect 5s\nfrontend web\nbind 0.0.0.0:80\nbind [::]:80 v6only\n\
         http-request deny if {{ src -f {home}/f2bd.acl }}\n\
         http-request return status 200 content-type text/plain string served\n"
    );
    stage.write("haproxy.cfg", &text);
    ["-W".to_owned(), "-f".to_owned(), stage.text("haproxy.cfg")]
}

#[test]
fn haproxy_refuses_the_banned_after_reloads() {
    let Some(mut stage) = Stage::new(&["haproxy", "curl"]) else {
        return;
    };
    let (path, systemctl) = (
        stage.text("f2bd.acl"),
        stage.reload_by("USR2", "pgrep -n -P $(cat pid)"),
    );
    let given = [("path", &*path), ("systemctl", &systemctl), ("pause", "0s")];
    stage.act("haproxy", &given);
    stage.outcome();
    let arguments = haproxy(&stage);
    let _server = stage.serve("haproxy", &arguments.each_ref().map(String::as_str));
    stage.refuses_the_banned("403", |_| {
        fs::remove_file(&path).unwrap();
        until("the file is there again", || path_is_there(&path));
    });
}

#[test]
fn haproxy_refuses_the_banned_by_its_socket_also_after_it_has_forgotten_them() {
    let Some(mut stage) = Stage::new(&["haproxy", "socat", "curl"]) else {
        return;
    };
    let (socket, list) = (stage.text("admin.sock"), stage.text("f2bd.acl"));
    stage.write("f2bd.acl", "");
    let arguments = haproxy(&stage);
    let server = stage.serve("haproxy", &arguments.each_ref().map(String::as_str));
    stage.act("haproxy-socket", &[("socket", &socket), ("list", &list)]);
    stage.outcome();
    let pid = Pid::from_child(&server.0);
    stage.refuses_the_banned("403", |stage| {
        kill_process(pid, Signal::USR2).unwrap();
        stage.becomes(IN_NETWORK, "200");
    });
}

#[test]
fn what_haproxy_refuses_to_do_is_a_failure() {
    let Some(mut stage) = Stage::new(&["haproxy", "socat", "curl"]) else {
        return;
    };
    stage.write("f2bd.acl", "");
    let arguments = haproxy(&stage);
    let _server = stage.serve("haproxy", &arguments.each_ref().map(String::as_str));
    let (socket, list) = (stage.text("admin.sock"), stage.text("another.acl"));
    stage.act("haproxy-socket", &[("socket", &socket), ("list", &list)]);
    assert!(matches!(stage.outcome(), Outcome::Broken { .. }));
}

#[test]
fn caddy_ends_the_connections_of_the_banned() {
    let Some(mut stage) = Stage::new(&["caddy", "curl"]) else {
        return;
    };
    let (path, caddyfile) = (stage.text("f2bd.caddy"), stage.text("Caddyfile"));
    let caddy = stage.script("caddy", "[ -e pid ] || exit 0\nexec caddy \"$@\"");
    let given = [
        ("path", &*path),
        ("caddyfile", &caddyfile),
        ("caddy", &caddy),
        ("matcher", "remote_ip"),
        ("pause", "0s"),
    ];
    stage.act("caddy", &given);
    stage.outcome();
    // A site that answers all requests before `abort` would have its turn.
    let text = format!(
        "{{\norder abort first\nauto_https off\n}}\nhttp://:80 {{\nimport {path}\nhandle /* {{\nrespond served\n}}\n}}\n"
    );
    stage.write("Caddyfile", &text);
    let _server = stage.serve("caddy", &["run", "--config", &caddyfile]);
    stage.refuses_the_banned("000", |_| {
        fs::write(&path, "").unwrap();
        until("the file is repaired", || {
            fs::read_to_string(&path)
                .unwrap()
                .contains(NETWORK)
                .then_some(())
        });
    });
}

#[test]
fn what_follows_a_change_is_done_once_and_tried_again_until_it_is_done() {
    let Some(mut stage) = Stage::new(&[]) else {
        return;
    };
    let path = stage.text("lists/banned");
    let run = stage.script(
        "run",
        "if [ -e refuses ]; then echo no >>calls; exit 1; fi\ncat lists/banned >>calls\necho . >>calls",
    );
    // An earlier run has come so far, and was killed.
    fs::create_dir(stage.path("lists")).unwrap();
    fs::write(&path, "").unwrap();
    let given = [("path", &*path), ("run", &run)];
    stage.act("list-file", &given);
    stage.outcome();
    let calls = |stage: &Stage| fs::read_to_string(stage.path("calls")).unwrap();
    assert_eq!(
        calls(&stage),
        ".\n",
        "the reader may have missed an earlier run"
    );
    stage.change(&[HOST, NETWORK], &[]);
    stage.outcome();
    stage.reconcile(&[NETWORK, HOST]);
    stage.outcome();
    assert_eq!(
        calls(&stage),
        ".\n127.0.0.7\n127.0.1.0/24\n.\n",
        "what changes nothing is no change"
    );
    stage.write("calls", "");
    stage.write("refuses", "");
    stage.change(&[], &[HOST]);
    assert!(matches!(stage.outcome(), Outcome::Broken { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.1.0/24\n");
    fs::remove_file(stage.path("refuses")).unwrap();
    stage.write("calls", "");
    assert!(matches!(stage.outcome(), Outcome::Reconciled { .. }));
    assert_eq!(calls(&stage), "127.0.1.0/24\n.\n");
    stage.end(Ending::AsConfigured);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "127.0.1.0/24\n",
        "it is kept"
    );
}

#[test]
fn a_flood_of_bans_is_one_change() {
    let Some(mut stage) = Stage::new(&[]) else {
        return;
    };
    let path = stage.text("banned");
    let run = stage.script("run", "echo . >>calls");
    stage.act(
        "list-file",
        &[("path", &path), ("run", &run), ("pause", "3s")],
    );
    stage.outcome();
    for number in 1..=200 {
        stage.change(&[&format!("192.0.2.{number}")], &[]);
        // Orders that come at the same time would go together anyway.
        thread::sleep(Duration::from_millis(2));
    }
    until("all are in the file", || {
        (fs::read_to_string(&path).unwrap().lines().count() == 200).then_some(())
    });
    stage.end(Ending::AsConfigured);
    let calls = fs::read_to_string(stage.path("calls")).unwrap();
    // The start, and the flood; on a machine that is slower than the pause one more.
    assert!(calls.lines().count() <= 3, "{calls}");
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    let Some(mut stage) = Stage::new(&[]) else {
        return;
    };
    let disk = stage.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |arguments: &[&str]| {
        let made = Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(&disk)
            .status();
        made.is_ok_and(|status| status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs"]) {
        skipped::<()>("no file system can be mounted");
        return;
    }
    let path = stage.text("disk/banned");
    stage.act("list-file", &[("path", &path)]);
    stage.outcome();
    stage.change(&[HOST], &[]);
    stage.outcome();
    let ballast = vec![0; 56 * 1024];
    fs::write(disk.join("ballast"), ballast).unwrap();
    let many: Vec<_> = (0..1000)
        .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    stage.change(&many, &[]);
    let broken = matches!(stage.outcome(), Outcome::Broken { .. });
    let held = fs::read_to_string(&path).unwrap();
    let left = disk.join("banned.new").exists();
    fs::remove_file(disk.join("ballast")).unwrap();
    let repaired = matches!(stage.outcome(), Outcome::Reconciled { .. });
    let lines = fs::read_to_string(&path).unwrap().lines().count();
    stage.end(Ending::AsConfigured);
    assert!(mount(&["umount"]));
    assert!(broken && repaired && !left);
    assert_eq!((held.as_str(), lines), ("127.0.0.7\n", 1001));
}
