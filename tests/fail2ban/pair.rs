//! Two daemons that read the same log: f2bd, and Fail2ban itself, which says what is right.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fail2ban::package::{Package, copy};
use crate::support::netns::Netns;
use crate::support::wait::until;
use crate::support::world::F2BD;

/// How Fail2ban's daemon runs.
const SERVER: &str = "[Definition]
loglevel = INFO
logtarget = HOME/theirs.log
syslogsocket = auto
socket = HOME/theirs.sock
pidfile = HOME/theirs.pid
dbfile = HOME/theirs.sqlite3
dbmaxmatches = 10
dbpurgeage = 1d
";

/// How ours does where it has such a directory.
const OWN: &str = "[Definition]
logtarget = HOME/own.log
socket = HOME/own.sock
";

/// What both are to do.
const JAILS: &str = "[DEFAULT]
maxretry = 3
findtime = 1h
bantime = 1h
ignoreself = false
ignoreip = 203.0.113.0/24 198.51.100.200
usedns = no
ignorecommand =
maxmatches = %(maxretry)s
backend = polling
filter = sshd
logpath = LOG
action = dummy
[sshd]
enabled = true
[lasting]
enabled = true
bantime = -1
";

/// The same for f2bd.
const SETTINGS: &str = "[source.auth]
type = \"file\"
path = [\"LOG\"]
[defaults]
maxretry = 3
findtime = \"1h\"
bantime = \"1h\"
ignoreself = false
prefix = { ipv6 = 128 }
ignoreip = [\"203.0.113.0/24\", \"198.51.100.200\"]
[jail.sshd]
filter = \"guest\"
sources = [\"auth\"]
[jail.lasting]
filter = \"guest\"
sources = [\"auth\"]
bantime = \"forever\"
";

/// What f2bd recognises.
const FILTER: &str = r#"title = "A guest"
[records]
program = ["guest"]
[[failure]]
pattern = '^refused <ip>$'
"#;

/// Two daemons; they are killed when dropped.
pub struct Pair {
    home: tempfile::TempDir,
    package: Package,
    own: Child,
    /// How our client finds ours.
    found_by: Vec<String>,
    log: File,
    /// Where ours runs, if not here.
    _netns: Option<Netns>,
}

/// What a command came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained of, without dates and numbers of processes.
    pub err: String,
}

impl Said {
    fn of(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let complaint = |line: &str| match line.split_once("]: ") {
            Some((_, said)) => said.to_owned(),
            None => line.to_owned(),
        };
        let err = text(&output.stderr);
        // It misses a key that is newer than it is.
        let lines = err.lines().filter(|line| !line.contains("allowipv6"));
        let lines: Vec<_> = lines.map(complaint).collect();
        Said {
            code: output.status.code(),
            out: text(&output.stdout),
            err: lines.join("\n"),
        }
    }
}

impl Pair {
    /// Both, when they answer; `None`, and a word about it, where there is no Fail2ban. Further lines are for the daemon of
    /// f2bd.
    pub fn start(further: &str) -> Option<Pair> {
        let (package, home, log) = laid_out()?;
        let at = |name: &str| home.path().join(name);
        let own = format!(
            "[daemon]\ndatabase = {:?}\nsocket = {:?}\nkeep_bans = \"1d\"\n{further}\n{SETTINGS}",
            at("f2bd.db"),
            at("control.sock"),
        );
        let own = here(&own, home.path());
        fs::create_dir(at("filters")).unwrap();
        fs::write(at("f2bd.conf"), own).unwrap();
        fs::write(at("filters/guest.toml"), FILTER).unwrap();
        let mut own = Command::new(F2BD);
        own.args(["run", "--dry-run", "--config"])
            .arg(at("f2bd.conf"));
        let found_by = ["-c".to_owned(), at("f2bd.conf").display().to_string()];
        Some(Pair::of(home, package, log, own, found_by.to_vec(), None))
    }

    /// The same where both run from directories that say the same; `None` also where that needs rights that nobody has.
    pub fn of_trees() -> Option<Pair> {
        let netns = Netns::new()?;
        let (package, home, log) = laid_out()?;
        let at = |name: &str| home.path().join(name);
        copy(&at("etc"), &at("own"), home.path());
        fs::write(at("own/fail2ban.conf"), here(OWN, home.path())).unwrap();
        // Its database and its socket are in the system's places, which are others there.
        let script = format!(
            "set -e; mount -t tmpfs none /run; mkdir -p /var/lib/f2bd; mount -t tmpfs none /var/lib/f2bd; exec {F2BD} run --config {}",
            at("own").display()
        );
        let mut own = netns.command("unshare");
        own.args(["--mount", "sh", "-c", &script]);
        let found_by = ["-s".to_owned(), at("own.sock").display().to_string()];
        Some(Pair::of(
            home,
            package,
            log,
            own,
            found_by.to_vec(),
            Some(netns),
        ))
    }

    /// Both started, when they answer.
    fn of(
        home: tempfile::TempDir,
        package: Package,
        log: File,
        mut own: Command,
        found_by: Vec<String>,
        netns: Option<Netns>,
    ) -> Pair {
        let at = |name: &str| home.path().join(name);
        symlink(F2BD, at("fail2ban-client")).unwrap();
        symlink(F2BD, at("fail2ban-server")).unwrap();
        let told = File::create(at("daemon.log")).unwrap();
        let own = own
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(told)
            .spawn()
            .unwrap();
        let mut pair = Pair {
            home,
            package,
            own,
            found_by,
            log,
            _netns: netns,
        };
        assert_eq!(pair.theirs(&["start"]).out, "Server ready\n");
        until("f2bd answers or ends", || {
            let ended = pair.own.try_wait().unwrap();
            let told = || fs::read_to_string(pair.path("daemon.log")).unwrap();
            assert_eq!(ended, None, "{}", told());
            (pair.ours(&["ping"]).code == Some(0)).then_some(())
        });
        pair
    }

    /// Ends both and begins both anew.
    pub fn restart_both(&mut self) {
        assert_eq!(self.theirs(&["restart"]).code, Some(0));
        assert_eq!(self.ours(&["stop"]).code, Some(0));
        self.own.wait().unwrap();
        let told = File::create(self.path("daemon-again.log")).unwrap();
        self.own = Command::new(F2BD)
            .args(["run", "--dry-run", "--config"])
            .arg(self.path("f2bd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(told)
            .spawn()
            .unwrap();
        until("f2bd answers again", || {
            (self.ours(&["ping"]).code == Some(0)).then_some(())
        });
    }

    /// A file of theirs or ours.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The process of f2bd.
    pub fn own(&mut self) -> &mut Child {
        &mut self.own
    }

    /// What f2bd says when it is called as `fail2ban-client`.
    pub fn ours(&self, words: &[&str]) -> Said {
        let mut command = Command::new(self.path("fail2ban-client"));
        command.args(&self.found_by).args(words);
        Said::of(&command.output().unwrap())
    }

    /// What Fail2ban's own client says of its own server.
    pub fn theirs(&self, words: &[&str]) -> Said {
        let mut command = self.package.program("usr/bin/fail2ban-client");
        command.arg("-c").arg(self.path("etc")).args(words);
        Said::of(&command.output().unwrap())
    }

    /// What Fail2ban's own client says of f2bd, through the socket for it.
    pub fn across(&self, words: &[&str]) -> Said {
        let mut command = self.package.program("usr/bin/fail2ban-client");
        command.arg("-c").arg(self.path("etc"));
        let sockets = ["fail2ban.sock", "own.sock"].map(|name| self.path(name));
        let socket = sockets.iter().find(|socket| socket.exists());
        command.arg("-s").arg(socket.expect("the socket"));
        Said::of(&command.args(words).output().unwrap())
    }

    /// What a program of the package says.
    pub fn program(&self, program: &str, words: &[&str]) -> Said {
        Said::of(&self.package.program(program).args(words).output().unwrap())
    }

    /// The package.
    pub fn package(&self) -> &Package {
        &self.package
    }

    /// Has both answer commands one after the other, each read from standard input, and holds the answers against each
    /// other.
    pub fn compare(&self, commands: &[&[&str]]) {
        let (our_err, their_err) = self.compare_as(commands, str::to_owned);
        assert_eq!(our_err, their_err);
    }

    /// The same of answers in which something was left out; what both complain of.
    pub fn compare_as(
        &self,
        commands: &[&[&str]],
        without: impl Fn(&str) -> String,
    ) -> (String, String) {
        let mut input: Vec<_> = commands.iter().map(|words| words.join(" ")).collect();
        input.push("exit\n".to_owned());
        let (input, mut answers) = (input.join("\n"), Vec::new());
        let mut theirs = self.package.program("usr/bin/fail2ban-client");
        theirs.arg("-c").arg(self.path("etc"));
        let mut ours = Command::new(self.path("fail2ban-client"));
        ours.args(&self.found_by);
        for mut command in [ours, theirs] {
            command.arg("-i").stdin(Stdio::piped());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(input.as_bytes()).unwrap();
            drop(stdin);
            let said = Said::of(&child.wait_with_output().unwrap());
            assert_eq!(said.code, Some(0), "{said:?}");
            let out: Vec<_> = said.out.split("fail2ban> ").map(&without).collect();
            answers.push((out, said.err));
        }
        let Some(((theirs, their_err), (ours, our_err))) = answers.pop().zip(answers.pop()) else {
            unreachable!("two were asked");
        };
        for (number, words) in commands.iter().enumerate() {
            assert_eq!(ours.get(number + 1), theirs.get(number + 1), "{words:?}");
        }
        (our_err, their_err)
    }

    /// Logs that guests were refused, at this moment.
    pub fn refuse(&mut self, guests: &[&str]) {
        for guest in guests {
            write(&mut self.log, &format!("refused {guest}"));
        }
    }

    /// Logs so often, at this moment and in another file, what befell a guest.
    pub fn tell(&self, file: &str, what: &str, times: usize) {
        let path = self.path(file);
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        for _ in 0..times {
            write(&mut log, what);
        }
    }

    /// Waits until both say the same, which holds these words, and tells it.
    pub fn agree(&self, words: &[&str], expected: &str) -> String {
        until(&format!("{words:?} tells {expected}"), || {
            let (ours, theirs) = (self.ours(words), self.theirs(words));
            (ours == theirs && ours.out.contains(expected)).then_some(ours.out)
        })
    }
}

/// Logs it, at this moment.
fn write(log: &mut File, what: &str) {
    let now = Timestamp::now().to_zoned(TimeZone::system());
    let time = now.strftime("%b %e %H:%M:%S");
    writeln!(log, "{time} host guest: {what}").unwrap();
}

/// A text with the places in the home.
fn here(text: &str, home: &Path) -> String {
    let log = home.join("auth.log").display().to_string();
    let text = text.replace("LOG", &log);
    text.replace("HOME", &home.display().to_string())
}

/// What both need before they start: the package, its directory in a home, and the log.
fn laid_out() -> Option<(Package, tempfile::TempDir, File)> {
    let package = Package::find()?;
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let log = File::create(at("auth.log")).unwrap();
    for directory in ["etc/filter.d", "etc/action.d"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    for (name, text) in [
        ("etc/fail2ban.conf", SERVER),
        ("etc/jail.conf", JAILS),
        (
            "etc/filter.d/sshd.conf",
            "[Definition]\nfailregex = ^ \\S+ guest: refused <HOST>$\n",
        ),
        (
            "etc/action.d/dummy.conf",
            "[Definition]\nactionban = true\nactionunban = true\n",
        ),
    ] {
        fs::write(at(name), here(text, home.path())).unwrap();
    }
    Some((package, home, log))
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.theirs(&["stop"]);
        let _ = self.own.kill();
        let _ = self.own.wait();
    }
}
