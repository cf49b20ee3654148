//! A private world for a whole f2bd: a network namespace, a journald of its own, a configuration, a database.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::journald::Journald;
use super::netns::Netns;
use super::wait::{DEADLINE, uninterrupted, until};

/// The binary under test.
pub const F2BD: &str = env!("CARGO_BIN_EXE_f2bd");

/// Copies the binary to a place where others can run it. Another program does that: were the copy open in this process,
/// another test's child might have it open too for a moment, and the kernel runs nothing that somebody writes to.
pub fn copy_program(to: &Path) {
    let copied = Command::new("cp").arg(F2BD).arg(to).status();
    assert!(copied.expect("cp").success());
}

/// What every world's configuration begins with: entries that the tests write count as sshd's.
const JAIL: &str = "[jail.sshd]\njournalmatch = [\"SYSLOG_IDENTIFIER=sshd\"]\n";

/// A world; everything in it is gone when it is dropped.
pub struct World {
    home: tempfile::TempDir,
    /// Its network.
    pub netns: Netns,
    /// Its journal.
    pub journald: Journald,
}

/// A running daemon; it is killed when dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    notify: UnixDatagram,
    started: Instant,
    /// From the start of the process to its word that it is ready.
    pub ready_after: Duration,
}

impl World {
    /// A world in which `[jail.sshd]` has these further lines; `None`, and a word about it, where none can be made.
    pub fn new(jail: &str) -> Option<World> {
        Self::with(jail, "")
    }

    /// A world with further lines at the end of the configuration.
    pub fn with(jail: &str, rest: &str) -> Option<World> {
        Self::on(Netns::new()?, jail, rest)
    }

    /// A world on a network that is there already.
    pub fn on(netns: Netns, jail: &str, rest: &str) -> Option<World> {
        let journald = Journald::start()?;
        let home = tempfile::tempdir().expect("a directory");
        let world = World {
            home,
            netns,
            journald,
        };
        world.configure(jail, rest);
        Some(world)
    }

    /// Writes the configuration anew.
    pub fn configure(&self, jail: &str, rest: &str) {
        self.configure_journal(&self.journald.directory(), jail, rest);
    }

    /// The same with another directory for the journal.
    pub fn configure_journal(&self, directory: &Path, jail: &str, rest: &str) {
        let text = format!(
            "[daemon]\ndatabase = {:?}\nsocket = {:?}\n\n[source.journal]\ntype = \"journal\"\ndirectory = {:?}\n\n{JAIL}{jail}\n{rest}\n",
            self.database(),
            self.socket(),
            directory,
        );
        fs::write(self.config(), text).expect("a configuration");
    }

    /// The configuration's path.
    pub fn config(&self) -> PathBuf {
        self.home.path().join("f2bd.conf")
    }

    /// The database's path.
    pub fn database(&self) -> PathBuf {
        self.home.path().join("state/f2bd.db")
    }

    /// The control socket's path.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("control.sock")
    }

    /// A directory that lasts as long as the world.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// The daemon, in this world's network, when it says that it is ready.
    pub fn start(&self) -> Daemon {
        self.launch(&[], &[], &[]).wait_ready()
    }

    /// The daemon with further arguments and environment, when it is ready.
    pub fn start_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Daemon {
        self.launch(&[], arguments, environment).wait_ready()
    }

    /// The daemon as soon as its process exists.
    pub fn start_unready(&self) -> Daemon {
        self.launch(&[], &[], &[])
    }

    /// The same with further arguments.
    pub fn start_unready_with(&self, arguments: &[&str]) -> Daemon {
        self.launch(&[], arguments, &[])
    }

    /// Starts it as `user`, who may read the journal and change the firewall and nothing else.
    pub fn start_as(&self, user: u32) -> Daemon {
        let binary = self.public_binary().display().to_string();
        let through = [
            "setpriv",
            &format!("--reuid={user}"),
            &format!("--regid={user}"),
            "--groups=systemd-journal",
            "--inh-caps=-all,+net_admin",
            "--ambient-caps=-all,+net_admin",
            "--bounding-set=-all,+net_admin",
            "--no-new-privs",
            "--",
            &binary,
        ];
        self.launch(&through, &[], &[]).wait_ready()
    }

    /// Starts it where these files of the system say something else.
    pub fn start_with_files(&self, files: &[(&str, &str)]) -> Daemon {
        let copies: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(number, (path, content))| {
                let copy = self.path().join(format!("file-{number}"));
                fs::write(&copy, content).expect("a file");
                (*path, copy)
            })
            .collect();
        self.start_over(&copies)
    }

    /// Starts it where these files and directories lie over those of the system.
    pub fn start_over(&self, copies: &[(&str, PathBuf)]) -> Daemon {
        let mut script = String::from("set -e\n");
        for (path, copy) in copies {
            script += &format!("mount --bind {} {path}\n", copy.display());
        }
        script += "exec \"$0\" \"$@\"";
        let through = ["unshare", "--mount", "sh", "-c", &script, F2BD];
        self.launch(&through, &[], &[]).wait_ready()
    }

    /// Lets the user nobody own and everybody enter this world's directory.
    pub fn open_to_everybody(&self) {
        let nobody = Some(65_534);
        std::os::unix::fs::chown(self.path(), nobody, nobody).expect("root can");
        fs::set_permissions(self.path(), PermissionsExt::from_mode(0o755)).expect("root can");
    }

    /// A copy of the binary that everybody can reach and run.
    pub fn public_binary(&self) -> PathBuf {
        let path = self.path().join("f2bd");
        copy_program(&path);
        path
    }

    fn launch(&self, through: &[&str], arguments: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let path = self.home.path().join("notify");
        // The socket of the daemon before.
        let _ = fs::remove_file(&path);
        let notify = UnixDatagram::bind(&path).expect("a socket");
        // The daemon may run as somebody else.
        fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).expect("a mode");
        notify.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let log = self.home.path().join("daemon.log");
        let output = fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let words: Vec<&str> = if through.is_empty() {
            vec![F2BD]
        } else {
            through.to_vec()
        };
        let mut command = self.netns.command(words[0]);
        command
            .args(&words[1..])
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .args(arguments);
        command
            .env("NOTIFY_SOCKET", &path)
            .envs(environment.iter().copied());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output);
        let started = Instant::now();
        let child = command.spawn().expect("the daemon");
        Daemon {
            child,
            log,
            notify,
            started,
            ready_after: Duration::ZERO,
        }
    }

    /// Runs f2bd's command line against this world's daemon.
    pub fn f2bd(&self, arguments: &[&str]) -> Output {
        Command::new(F2BD)
            .arg("--socket")
            .arg(self.socket())
            .args(arguments)
            .output()
            .expect("f2bd")
    }

    /// What f2bd prints as JSON, one value a line.
    pub fn json(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let output = self.f2bd(&[arguments, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
            .collect()
    }

    /// What the sqlite3 shell prints for a query.
    pub fn sql(&self, query: &str) -> String {
        let output = Command::new("sqlite3")
            .arg(self.database())
            .arg(query)
            .output()
            .expect("sqlite3");
        assert!(
            output.status.success(),
            "{query}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    /// What nft prints in this world's network.
    pub fn nft(&self, arguments: &[&str]) -> Output {
        self.netns
            .command("nft")
            .args(arguments)
            .output()
            .expect("nft")
    }

    /// Whether the kernel's sets hold `address`.
    pub fn kernel_bans(&self, address: &str) -> bool {
        let listing = self.nft(&["list", "ruleset"]).stdout;
        let listing = String::from_utf8_lossy(&listing).into_owned();
        listing
            .split(|c: char| c.is_whitespace() || c == ',')
            .any(|word| word == address)
    }

    /// A message of a program.
    pub fn log(&self, program: &str, message: &str) {
        self.journald.log(program, message);
    }

    /// A wrong password of `user` from `address`, as sshd logs it.
    pub fn mistype(&self, address: &str, user: &str) {
        let message = format!("Failed password for {user} from {address} port 40000 ssh2");
        self.journald.log("sshd", &message);
    }

    /// The right password.
    pub fn log_in(&self, address: &str, user: &str) {
        let message = format!("Accepted password for {user} from {address} port 40000 ssh2");
        self.journald.log("sshd", &message);
    }

    /// `count` wrong passwords from `address`, as sshd logs them.
    pub fn attack(&self, address: &str, count: usize) {
        for attempt in 0..count {
            let message = format!(
                "Failed password for root from {address} port {} ssh2",
                40_000 + attempt
            );
            self.journald.log("sshd", &message);
        }
    }
}

impl Daemon {
    fn wait_ready(mut self) -> Self {
        self.tells("READY=1");
        self.ready_after = self.started.elapsed();
        self
    }

    /// Waits until it tells the service manager something.
    pub fn tells(&self, words: &str) {
        let mut buffer = [0; 4096];
        loop {
            let length = match uninterrupted(|| self.notify.recv(&mut buffer)) {
                Ok(length) => length,
                Err(error) => panic!(
                    "the daemon does not tell `{words}`: {error}; it said:\n{}",
                    self.log()
                ),
            };
            let told = String::from_utf8_lossy(&buffer[..length]);
            if told.lines().any(|line| line == words) {
                return;
            }
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said so far, and daemons before it in the same world.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said something.
    pub fn says(&self, words: &str) {
        let end = Instant::now() + DEADLINE;
        while !self.log().contains(words) {
            let log = self.log();
            assert!(
                Instant::now() < end,
                "the daemon does not say `{words}`, but:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the daemon runs");
    }

    /// How often it has said something.
    pub fn said(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("the daemon runs");
        self.child.wait().expect("its end");
    }

    /// Waits for its end and tells its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        until("the daemon ends", || {
            self.child.try_wait().expect("a child")
        })
        .code()
    }

    /// Ends it in order.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.exit_code(), Some(0), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
