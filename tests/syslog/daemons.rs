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

/// A daemon that reads a local socket and sends what comes to us.
struct Daemon {
    home: tempfile::TempDir,
    process: Child,
}

impl Daemon {
    fn rsyslog(forward: &str) -> Option<Self> {
        let program = sender("rsyslogd")?;
        let home = tempfile::tempdir().unwrap();
        let configuration = format!(
            "global(workDirectory=\"{home}\" net.enableDNS=\"off\")
             module(load=\"imuxsock\" SysSock.Use=\"off\")
             input(type=\"imuxsock\" Socket=\"{home}/in\" RateLimit.Interval=\"0\")
             {forward}",
            home = home.path().display(),
        );
        let configuration = in_file(home.path(), &configuration);
        let mut command = program.command();
        command.arg("-n").arg("-f").arg(configuration);
        command.arg("-i").arg(home.path().join("pid"));
        if let Some(modules) = program.library("rsyslog") {
            command.arg("-M").arg(modules);
        }
        Some(Self::start(home, command))
    }

    fn syslog_ng(forward: &str) -> Option<Self> {
        let program = sender("syslog-ng")?;
        let home = tempfile::tempdir().unwrap();
        let configuration = format!(
            "@version: current
             options {{ stats-freq(0); use-dns(no); keep-hostname(yes); }};
             source s_src {{ unix-dgram(\"{home}/in\"); }};
             {forward}",
            home = home.path().display(),
        );
        let configuration = in_file(home.path(), &configuration);
        let mut command = program.command();
        command.args(["--foreground", "--stderr", "--no-caps", "--cfgfile"]);
        command.arg(configuration);
        for (option, name) in [
            ("--pidfile", "pid"),
            ("--control", "control"),
            ("--persist-file", "persist"),
        ] {
            command.arg(option).arg(home.path().join(name));
        }
        Some(Self::start(home, command))
    }

    fn start(home: tempfile::TempDir, mut command: Command) -> Self {
        let log = fs::File::create(home.path().join("log")).unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Daemon { home, process }
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

fn sender(name: &str) -> Option<Program> {
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
            let libraries = ["", "syslog-ng"]
                .iter()
                .filter_map(|name| self.library(name));
            let libraries: Vec<PathBuf> = libraries.collect();
            command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
            command.env("SYSLOGNG_PREFIX", home.join("usr"));
        }
        command
    }
}

fn in_file(home: &Path, text: &str) -> PathBuf {
    let path = home.join("configuration");
    fs::write(&path, text).unwrap();
    path
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
fn must_come(mut listening: Listening, daemon: &Daemon) {
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

fn unix(home: &tempfile::TempDir) -> (Listening, String) {
    let path = home.path().join("syslog.sock");
    let listening = Listening::on(&[&format!("unix://{}", path.display())]);
    until("the socket is there", || path.exists().then_some(()));
    (listening, path.to_str().unwrap().to_owned())
}

fn tls(authority: &Authority) -> (Listening, SocketAddr) {
    let address = free("127.0.0.1");
    let mut spec = spec(&[&format!("tls://{address}")]);
    spec.tls = Some(authority.spec());
    let listening = Listening::start(spec);
    (listening, address)
}

#[test]
fn rsyslog_over_a_unix_socket() {
    let home = tempfile::tempdir().unwrap();
    let (listening, path) = unix(&home);
    let forward = snippet("rsyslog/f2bd.conf", &[("/run/f2bd/syslog.sock", &path)]);
    let Some(daemon) = Daemon::rsyslog(&forward) else {
        return;
    };
    must_come(listening, &daemon);
}

#[test]
fn rsyslog_over_udp() {
    let address = free("127.0.0.1");
    let listening = Listening::on(&[&format!("udp://{address}")]);
    let port = format!("port=\"{}\"", address.port());
    let forward = snippet(
        "rsyslog/f2bd.conf",
        &[
            ("#*.* action", "*.* action"),
            ("port=\"5514\"", &port),
            ("auth,authpriv.*", "#auth,authpriv.*"),
        ],
    );
    let Some(daemon) = Daemon::rsyslog(&forward) else {
        return;
    };
    must_come(listening, &daemon);
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
        let Some(daemon) = Daemon::rsyslog(&forward) else {
            return;
        };
        must_come(listening, &daemon);
    }
}

#[test]
fn rsyslog_over_tls() {
    let authority = Authority::new();
    let (listening, address) = tls(&authority);
    let (ca, certificate, key) = (
        authority.path("ca.crt"),
        authority.path("client.crt"),
        authority.path("client.key"),
    );
    let port = format!("port=\"{}\"", address.port());
    let forward = snippet(
        "rsyslog/f2bd-remote.conf",
        &[
            ("/etc/rsyslog.d/f2bd-ca.crt", ca.to_str().unwrap()),
            (
                "/etc/rsyslog.d/f2bd-client.crt",
                certificate.to_str().unwrap(),
            ),
            ("/etc/rsyslog.d/f2bd-client.key", key.to_str().unwrap()),
            ("target=\"f2bd.example\"", "target=\"127.0.0.1\""),
            ("port=\"6514\"", &port),
        ],
    );
    let Some(daemon) = Daemon::rsyslog(&forward) else {
        return;
    };
    must_come(listening, &daemon);
}

#[test]
fn syslog_ng_over_a_unix_socket() {
    let home = tempfile::tempdir().unwrap();
    let (listening, path) = unix(&home);
    let forward = snippet("syslog-ng/f2bd.conf", &[("/run/f2bd/syslog.sock", &path)]);
    let Some(daemon) = Daemon::syslog_ng(&forward) else {
        return;
    };
    must_come(listening, &daemon);
}

#[test]
fn syslog_ng_over_udp() {
    let address = free("127.0.0.1");
    let listening = Listening::on(&[&format!("udp://{address}")]);
    let port = format!("port({})", address.port());
    let forward = snippet(
        "syslog-ng/f2bd.conf",
        &[
            (
                "\ndestination d_f2bd {\n    unix-dgram(\"/run/f2bd/syslog.sock\" ts-format(iso));\n};\n",
                "\n",
            ),
            ("#destination d_f2bd", "destination d_f2bd"),
            ("port(5514)", &port),
        ],
    );
    let Some(daemon) = Daemon::syslog_ng(&forward) else {
        return;
    };
    must_come(listening, &daemon);
}

#[test]
fn syslog_ng_over_tls() {
    let authority = Authority::new();
    let (listening, address) = tls(&authority);
    let (ca, certificate, key) = (
        authority.path("ca.crt"),
        authority.path("client.crt"),
        authority.path("client.key"),
    );
    let port = format!("port({})", address.port());
    let forward = snippet(
        "syslog-ng/f2bd-remote.conf",
        &[
            ("/etc/syslog-ng/f2bd-ca.crt", ca.to_str().unwrap()),
            (
                "/etc/syslog-ng/f2bd-client.crt",
                certificate.to_str().unwrap(),
            ),
            ("/etc/syslog-ng/f2bd-client.key", key.to_str().unwrap()),
            ("syslog(\"f2bd.example\"", "syslog(\"127.0.0.1\""),
            ("port(6514)", &port),
        ],
    );
    let Some(daemon) = Daemon::syslog_ng(&forward) else {
        return;
    };
    must_come(listening, &daemon);
}
