//! Two daemons that read the same log: f2bd, and Fail2ban itself, which says what is right.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fail2ban::package::Package;
use crate::support::wait::until;
use crate::support::world::F2BD;

/// What both are to do.
const JAILS: &str = "[DEFAULT]
maxretry = 3
findtime = 1h
bantime = 1h
ignoreself = false
ignoreip = 203.0.113.0/24 198.51.100.200
usedns = no
ignorecommand =
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
    log: File,
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
        let package = Package::find()?;
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let path = |name: &str| at(name).display().to_string();
        let log = File::create(at("auth.log")).unwrap();
        for directory in ["etc/filter.d", "etc/action.d", "filters"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        let named = |text: &str| text.replace("LOG", &path("auth.log"));
        let server = format!(
            "[Definition]\nloglevel = INFO\nlogtarget = {}\nsyslogsocket = auto\nsocket = {}\npidfile = {}\ndbfile = {}\ndbmaxmatches = 10\ndbpurgeage = 1d\n",
            path("theirs.log"),
            path("theirs.sock"),
            path("theirs.pid"),
            path("theirs.sqlite3"),
        );
        let own = format!(
            "[daemon]\ndatabase = {:?}\nsocket = {:?}\nkeep_bans = \"1d\"\n{further}\n{}",
            at("f2bd.db"),
            at("control.sock"),
            named(SETTINGS)
        )
        .replace("HOME", &home.path().display().to_string());
        for (name, text) in [
            ("etc/fail2ban.conf", server),
            ("etc/jail.conf", named(JAILS)),
            (
                "etc/filter.d/sshd.conf",
                "[Definition]\nfailregex = ^ \\S+ guest: refused <HOST>$\n".to_owned(),
            ),
            (
                "etc/action.d/dummy.conf",
                "[Definition]\nactionban = true\nactionunban = true\n".to_owned(),
            ),
            ("f2bd.conf", own),
            ("filters/guest.toml", FILTER.to_owned()),
        ] {
            fs::write(at(name), text).unwrap();
        }
        symlink(F2BD, at("fail2ban-client")).unwrap();
        symlink(F2BD, at("fail2ban-server")).unwrap();
        let told = File::create(at("daemon.log")).unwrap();
        let own = daemon(&home, told);
        let mut pair = Pair {
            home,
            package,
            own,
            log,
        };
        assert_eq!(pair.theirs(&["start"]).out, "Server ready\n");
        until("f2bd answers or ends", || {
            let ended = pair.own.try_wait().unwrap();
            let told = || fs::read_to_string(pair.path("daemon.log")).unwrap();
            assert_eq!(ended, None, "{}", told());
            (pair.ours(&["ping"]).code == Some(0)).then_some(())
        });
        Some(pair)
    }

    /// Ends both and begins both anew.
    pub fn restart_both(&mut self) {
        assert_eq!(self.theirs(&["restart"]).code, Some(0));
        assert_eq!(self.ours(&["stop"]).code, Some(0));
        self.own.wait().unwrap();
        let told = File::create(self.path("daemon-again.log")).unwrap();
        self.own = daemon(&self.home, told);
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
        command.arg("-c").arg(self.path("f2bd.conf")).args(words);
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
        command.arg("-s").arg(self.path("fail2ban.sock"));
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
        let mut input: Vec<_> = commands.iter().map(|words| words.join(" ")).collect();
        input.push("exit\n".to_owned());
        let (input, mut answers) = (input.join("\n"), Vec::new());
        let mut theirs = self.package.program("usr/bin/fail2ban-client");
        theirs.arg("-c").arg(self.path("etc"));
        let mut ours = Command::new(self.path("fail2ban-client"));
        ours.arg("-c").arg(self.path("f2bd.conf"));
        for mut command in [ours, theirs] {
            command.arg("-i").stdin(Stdio::piped());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(input.as_bytes()).unwrap();
            drop(stdin);
            let said = Said::of(&child.wait_with_output().unwrap());
            assert_eq!(said.code, Some(0), "{said:?}");
            let out: Vec<_> = said.out.split("fail2ban> ").map(str::to_owned).collect();
            answers.push((out, said.err));
        }
        let [(ours, our_err), (theirs, their_err)] = &answers[..] else {
            unreachable!("two were asked");
        };
        for (number, words) in commands.iter().enumerate() {
            assert_eq!(ours.get(number + 1), theirs.get(number + 1), "{words:?}");
        }
        assert_eq!(our_err, their_err);
    }

    /// Logs that guests were refused, at this moment.
    pub fn refuse(&mut self, guests: &[&str]) {
        let zone = TimeZone::system();
        for guest in guests {
            let now = Timestamp::now().to_zoned(zone.clone());
            let time = now.strftime("%b %e %H:%M:%S");
            writeln!(self.log, "{time} host guest: refused {guest}").unwrap();
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

/// f2bd, on its way.
fn daemon(home: &tempfile::TempDir, told: File) -> Child {
    Command::new(F2BD)
        .args(["run", "--dry-run", "--config"])
        .arg(home.path().join("f2bd.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(told)
        .spawn()
        .unwrap()
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.theirs(&["stop"]);
        let _ = self.own.kill();
        let _ = self.own.wait();
    }
}
