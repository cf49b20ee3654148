//! What rsyslog and syslog-ng send with the snippets of contrib: as many messages as they were given, each once.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::tls::Authority;
use super::*;
use crate::support::skipped;

const COUNT: usize = 5_000;

/// A kind of daemon that reads a local socket and sends what comes to us.
struct Sender {
    program: &'static str,
    /// How it is started. `HOME` is a directory of its own, here and further down.
    options: &'static [&'static str],
    /// The option that names its modules, if it is not installed.
    modules: Option<(&'static str, &'static str)>,
    /// Where it gets messages from.
    input: &'static str,
    /// Where its snippets are in contrib, and where they say that its files are.
    snippets: &'static str,
    files: &'static str,
    /// What is changed in a snippet to send over UDP.
    over_udp: &'static [(&'static str, &'static str)],
    /// How a snippet names the machine that runs f2bd, and how this one.
    target: (&'static str, &'static str),
}

const RSYSLOG: Sender = Sender {
    program: "rsyslogd",
    options: &["-n", "-f", "HOME/configuration", "-i", "HOME/pid"],
    modules: Some(("-M", "rsyslog")),
    input: "global(workDirectory=\"HOME\" net.enableDNS=\"off\")
        module(load=\"imuxsock\" SysSock.Use=\"off\")
        input(type=\"imuxsock\" Socket=\"HOME/in\" RateLimit.Interval=\"0\")",
    snippets: "rsyslog",
    files: "/etc/rsyslog.d",
    over_udp: &[
        ("#*.* action", "*.* action"),
        ("auth,authpriv.*", "#auth,authpriv.*"),
    ],
    target: ("target=\"f2bd.example\"", "target=\"127.0.0.1\""),
};

const SYSLOG_NG: Sender = Sender {
    program: "syslog-ng",
    options: &[
        "--foreground",
        "--stderr",
        "--no-caps",
        "--cfgfile=HOME/configuration",
        "--pidfile=HOME/pid",
        "--control=HOME/control",
        "--persist-file=HOME/persist",
    ],
    modules: None,
    input: "@version: current
        options { stats-freq(0); use-dns(no); keep-hostname(yes); };
        source s_src { unix-dgram(\"HOME/in\"); };",
    snippets: "syslog-ng",
    files: "/etc/syslog-ng",
    over_udp: &[
        (
            "\ndestination d_f2bd {\n    unix-dgram(\"/run/f2bd/syslog.sock\" ts-format(iso));\n};\n",
            "\n",
        ),
        ("#destination d_f2bd", "destination d_f2bd"),
    ],
    target: ("syslog(\"f2bd.example\"", "syslog(\"127.0.0.1\""),
};

/// A daemon that runs.
struct Daemon {
    home: tempfile::TempDir,
    process: Child,
}

impl Daemon {
    fn start(sender: &Sender, forward: &str) -> Option<Self> {
        let program = program(sender.program)?;
        let home = tempfile::tempdir().unwrap();
        let here = |text: &str| text.replace("HOME", home.path().to_str().unwrap());
        let configuration = format!("{}\n{forward}", here(sender.input));
        fs::write(home.path().join("configuration"), configuration).unwrap();
        let mut command = program.command();
        command.args(sender.options.iter().map(|option| here(option)));
        if let Some((option, name)) = sender.modules
            && let Some(modules) = program.library(name)
        {
            command.arg(option).arg(modules);
        }
        let log = fs::File::create(home.path().join("log")).unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Some(Daemon { home, process })
    }

    /// Gives it messages as sshd would.
    fn feed(&self) {
        let socket = UnixDatagram::unbound().unwrap();
        until("the daemon listens", || {
            socket.connect(self.home.path().join("in")).ok()
        });
        // A daemon that takes no more is told by the one who waits for what it sends.
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        for number in 0..COUNT {
            let stamp = jiff::Zoned::now().strftime("%b %e %T").to_string();
            let message = format!("<38>{stamp} sshd[42]: message {number} \u{e9}");
            socket.send(message.as_bytes()).unwrap();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            eprintln!("the daemon said: {log}");
        }
    }
}

/// A program that is installed, or unpacked by contrib/test.sh, since one of them keeps the other one out.
struct Program {
    path: PathBuf,
    home: Option<PathBuf>,
}

fn program(name: &str) -> Option<Program> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let home = target.join("senders");
    let unpacked = home.join("usr/sbin").join(name);
    if unpacked.exists() {
        return Some(Program {
            path: unpacked,
            home: Some(home),
        });
    }
    let path = Path::new("/usr/sbin").join(name);
    if path.exists() {
        return Some(Program { path, home: None });
    }
    skipped(&format!("there is no {name}; contrib/test.sh fetches it"))
}

impl Program {
    /// A directory among the unpacked libraries; none if the program is installed.
    fn library(&self, name: &str) -> Option<PathBuf> {
        let home = self.home.as_ref()?.join("usr/lib");
        let places = fs::read_dir(&home)
            .unwrap()
            .map(|place| place.unwrap().path());
        let places = places.chain([home.clone()]).map(|place| place.join(name));
        places.into_iter().find(|place| {
            let mut files = fs::read_dir(place).into_iter().flatten().flatten();
            files.any(|file| file.path().to_string_lossy().contains(".so"))
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Some(home) = &self.home {
            // In which order a directory names what is in it, nobody knows.
            let places = ["usr/lib", "lib"].map(|place| fs::read_dir(home.join(place)));
            let places = places.into_iter().flatten().flatten();
            let places = places.map(|place| place.unwrap().path());
            let mut libraries: Vec<PathBuf> = places.collect();
            libraries.extend(self.library("syslog-ng"));
            command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
            command.env("SYSLOGNG_PREFIX", home.join("usr"));
        }
        command
    }
}

/// A snippet of contrib, with other addresses and files.
fn snippet(path: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(path);
    let mut text = fs::read_to_string(path).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{old} is not in the snippet");
        text = text.replace(old, new);
    }
    text
}

/// What comes is what the daemon was given.
fn must_come(mut listening: Listening, sender: &Sender, forward: &str) {
    let Some(daemon) = Daemon::start(sender, forward) else {
        return;
    };
    let message = |number| format!("message {number} \u{e9}");
    let mut missing: BTreeSet<String> = (0..COUNT).map(message).collect();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    std::thread::scope(|scope| {
        // We take what comes meanwhile: a daemon that can send nothing takes nothing.
        scope.spawn(|| daemon.feed());
        while !missing.is_empty() {
            for record in listening.some() {
                // The daemons speak of themselves too.
                if record.program != "sshd" {
                    continue;
                }
                let is_new = missing.remove(&record.message());
                assert!(is_new, "twice, or changed: {record:?}");
                assert_eq!((record.pid, record.host.as_str()), (Some(42), host.trim()));
                let age = crate::support::now().since(record.time);
                assert!(age < DEADLINE, "{record:?}");
            }
        }
    });
    assert_eq!(listening.losses, Losses::default());
    listening.end();
}

fn over_unix(sender: &Sender) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("syslog.sock");
    let path = path.to_str().unwrap();
    let listening = Listening::on(&[&format!("unix://{path}")]);
    until("the socket is there", || {
        Path::new(path).exists().then_some(())
    });
    let name = format!("{}/f2bd.conf", sender.snippets);
    let forward = snippet(&name, &[("/run/f2bd/syslog.sock", path)]);
    must_come(listening, sender, &forward);
}

fn over_udp(sender: &Sender) {
    let address = free("127.0.0.1");
    let listening = Listening::on(&[&format!("udp://{address}")]);
    let port = address.port().to_string();
    let changes = [sender.over_udp, &[("5514", &port)]].concat();
    let forward = snippet(&format!("{}/f2bd.conf", sender.snippets), &changes);
    must_come(listening, sender, &forward);
}

fn over_tls(sender: &Sender) {
    let address = free("127.0.0.1");
    let authority = Authority::new();
    let mut spec = spec(&[&format!("tls://{address}")]);
    spec.tls = Some(authority.spec());
    let listening = Listening::start(spec);
    let port = address.port().to_string();
    let files = ["ca.crt", "client.crt", "client.key"].map(|name| {
        let ours = authority.path(name).to_str().unwrap().to_owned();
        (format!("{}/f2bd-{name}", sender.files), ours)
    });
    let files = files
        .iter()
        .map(|(theirs, ours)| (theirs.as_str(), ours.as_str()));
    let changes: Vec<_> = files.chain([sender.target, ("6514", &port)]).collect();
    let forward = snippet(&format!("{}/f2bd-remote.conf", sender.snippets), &changes);
    must_come(listening, sender, &forward);
}

#[test]
fn rsyslog_over_a_unix_socket() {
    over_unix(&RSYSLOG);
}

#[test]
fn rsyslog_over_udp() {
    over_udp(&RSYSLOG);
}

#[test]
fn rsyslog_over_tcp() {
    for framing in ["octet-counted", "traditional"] {
        let address = free("127.0.0.1");
        let listening = Listening::on(&[&format!("tcp://{address}")]);
        let port = address.port();
        let forward = format!(
            "*.* action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\"
             TCP_Framing=\"{framing}\" template=\"RSYSLOG_ForwardFormat\" action.resumeRetryCount=\"-1\"
             action.resumeInterval=\"1\")"
        );
        must_come(listening, &RSYSLOG, &forward);
    }
}

#[test]
fn rsyslog_over_tls() {
    over_tls(&RSYSLOG);
}

#[test]
fn syslog_ng_over_a_unix_socket() {
    over_unix(&SYSLOG_NG);
}

#[test]
fn syslog_ng_over_udp() {
    over_udp(&SYSLOG_NG);
}

#[test]
fn syslog_ng_over_tls() {
    over_tls(&SYSLOG_NG);
}
