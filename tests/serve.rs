//! Facts about `serve`, shown from outside: with real clients, and the real programs that read its lists.

mod bouncers;
mod daemon;
mod hostile;
mod lists;
mod protocol;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use f2bd::action::file::{ActionFile, SERVE};
use f2bd::action::parameter::Given;
use f2bd::action::ports::Ports;
use f2bd::action::{ActionJail, ActionSpec, Ending, InForce, Order, Report, worker};
use f2bd::engine::decision::BanId;
use f2bd::engine::input::Outcome;
use f2bd::engine::prefix::SubjectWidth;
use serde_json::Value;

use crate::support::netns::Netns;
use crate::support::now;
use crate::support::wait::DEADLINE;

/// Where the action listens if nothing is said.
const HERE: &str = "http://127.0.0.1:8082";

/// The key of the tests.
const KEY: &str = "tell-nobody";

/// The action on a thread inside a namespace of its own, as the daemon runs it.
struct Board {
    netns: Netns,
    orders: Sender<Order>,
    reports: Receiver<Report>,
    thread: JoinHandle<()>,
    home: tempfile::TempDir,
}

/// An answer.
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Board {
    /// With one key, the shipped parameters and nobody banned; `None`, and a word about it, where none can be made.
    fn new() -> Option<Board> {
        Board::with(&[])
    }

    fn with(parameters: &[(&str, &str)]) -> Option<Board> {
        let netns = Netns::new()?;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        write_private(&path, KEY);
        let keys = Given::Many(vec![format!("file:{}", path.display())]);
        let mut given = BTreeMap::from([("keys".to_owned(), keys)]);
        for (name, value) in parameters {
            given.insert((*name).to_owned(), Given::One((*value).to_owned()));
        }
        let (orders, received) = mpsc::channel();
        let (report, reports) = mpsc::channel();
        let (enter, spec) = (netns.entrance(), spec(&given));
        let thread = thread::spawn(move || {
            enter();
            worker::run(&spec, received, now, move |told| {
                // A test may fail before the worker ends.
                let _ = report.send(told);
            });
        });
        let board = Board {
            netns,
            orders,
            reports,
            thread,
            home,
        };
        board.reconcile(&[]);
        Some(board)
    }

    fn outcome(&self) -> Outcome {
        loop {
            let report = self.reports.recv_timeout(DEADLINE);
            match report.expect("a report in time") {
                Report::Outcome(outcome) => return outcome,
                Report::ForeignChange => panic!("nobody else can change anything"),
                // Words for people, beside what the outcome says.
                Report::Trouble(_) | Report::Works | Report::Complaint(_) => {}
            }
        }
    }

    fn reconcile(&self, bans: &[InForce]) {
        let jails = ["nginx", "sshd"].map(|name| ActionJail {
            jail: name.parse().unwrap(),
            label: name.parse().unwrap(),
            ports: Ports::All,
            protocols: Vec::new(),
            width: SubjectWidth::DEFAULT,
        });
        let order = Order::Reconcile {
            jails: jails.to_vec(),
            bans: bans.to_vec(),
            complete: true,
        };
        self.orders.send(order).unwrap();
        assert!(matches!(self.outcome(), Outcome::Reconciled { .. }));
    }

    fn ban(&self, bans: &[InForce]) {
        self.change(bans, &[]);
    }

    fn unban(&self, jail: &str, subject: &str) {
        self.change(&[], &[(jail, subject)]);
    }

    fn change(&self, bans: &[InForce], unbans: &[(&str, &str)]) {
        let unbans = unbans
            .iter()
            .map(|(jail, subject)| (jail.parse().unwrap(), subject.parse().unwrap()));
        let order = Order::Change {
            bans: bans.to_vec(),
            unbans: unbans.collect(),
        };
        self.orders.send(order).unwrap();
        assert!(matches!(self.outcome(), Outcome::Applied { .. }));
    }

    /// What curl gets of a path, with further arguments.
    fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let mut command = self.netns.command("curl");
        command.args(["--silent", "--show-error", "--include", "--max-time", "20"]);
        let output = command
            .args(arguments)
            .arg(format!("{HERE}{path}"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (headers, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{path}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        Answer {
            status: headers.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: headers.to_owned(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.curl(path, &[])
    }

    /// What a bouncer with the key gets.
    fn bouncer(&self, path: &str) -> Answer {
        self.curl(path, &["--header", &format!("X-Api-Key: {KEY}")])
    }

    /// A list as a file.
    fn file(&self, path: &str) -> std::path::PathBuf {
        let file = self.home.path().join("list");
        std::fs::write(&file, self.get(path).body).unwrap();
        file
    }

    fn stop(self) {
        self.orders.send(Order::Stop(Ending::AsConfigured)).unwrap();
        self.thread.join().unwrap();
    }
}

fn spec(given: &BTreeMap<String, Given>) -> ActionSpec {
    let file = ActionFile::parse(SERVE).unwrap();
    file.spec("serve".parse().unwrap(), given).unwrap()
}

fn write_private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A ban that ends in so many seconds, or never.
fn ban(jail: &str, subject: &str, seconds: Option<u64>) -> InForce {
    InForce {
        ban: BanId(1),
        jail: jail.parse().unwrap(),
        subject: subject.parse().unwrap(),
        until: seconds.map(|seconds| now().after(std::time::Duration::from_secs(seconds))),
        event: None,
    }
}

/// One of each sort.
fn some_bans() -> Vec<InForce> {
    vec![
        ban("sshd", "192.0.2.7", Some(3600)),
        ban("nginx", "192.0.2.7", Some(600)),
        ban("nginx", "198.51.100.0/24", Some(5_000_000)),
        ban("sshd", "198.51.100.9", None),
        ban("sshd", "2001:db8:0:7::/64", Some(3600)),
        ban("sshd", "2001:db8::1/128", None),
    ]
}

/// Runs a program in the board's namespace; what it prints, or says.
fn run(board: &Board, program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command: Command = board.netns.command(program);
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}
