//! An action at work in a network of its own, as the daemon runs it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use f2bd::action::file::ActionFile;
use f2bd::action::parameter::Given;
use f2bd::action::ports::{Ports, Protocol, Services};
use f2bd::action::{ActionJail, ActionSpec, Ending, InForce, Order, Report, worker};
use f2bd::engine::decision::BanId;
use f2bd::engine::input::Outcome;
use f2bd::engine::name::JailName;
use f2bd::engine::prefix::SubjectWidth;
use f2bd::engine::subject::Subject;
use f2bd::engine::time::Timestamp;

use super::netns::Netns;
use super::now;
use super::wait::DEADLINE;

/// A shipped action with parameters, each a text or a list in brackets.
pub fn action(name: &str, parameters: &[(&str, &str)]) -> ActionSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("actions/{name}.toml"));
    let file = ActionFile::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let given = |text: &str| match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(list) => Given::Many(list.split(' ').map(str::to_owned).collect()),
        None => Given::One(text.to_owned()),
    };
    let parameters: BTreeMap<_, _> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), given(value)))
        .collect();
    file.spec(name.parse().unwrap(), &parameters).unwrap()
}

/// A jail of these TCP ports, or of all ports.
pub fn jail(name: &str, ports: &[&str]) -> ActionJail {
    ActionJail {
        jail: name.parse().unwrap(),
        label: name.parse().unwrap(),
        ports: match ports.is_empty() {
            true => Ports::All,
            false => Ports::parse(ports, &Services::well_known()).unwrap(),
        },
        protocols: vec![Protocol::Tcp],
        width: SubjectWidth::DEFAULT,
    }
}

/// A ban that has so many seconds left.
pub fn ban(jail: &str, subject: &str, seconds: u64) -> InForce {
    InForce {
        ban: BanId(7),
        jail: jail.parse().unwrap(),
        subject: subject.parse().unwrap(),
        until: Some(later(seconds)),
        event: None,
    }
}

/// In so many seconds.
pub fn later(seconds: u64) -> Timestamp {
    now().after(std::time::Duration::from_secs(seconds))
}

/// The action on a thread of its own.
pub struct Guard {
    /// Where it takes orders.
    pub orders: Sender<Order>,
    /// What it has to say.
    pub reports: Receiver<Report>,
    thread: JoinHandle<()>,
}

impl Guard {
    /// One inside a namespace that has been told nothing yet.
    pub fn start(inside: &Netns, spec: ActionSpec) -> Guard {
        Guard::start_as(inside, spec, || ())
    }

    /// One whose thread has first become somebody else.
    pub fn start_as(inside: &Netns, spec: ActionSpec, become_somebody: fn()) -> Guard {
        let enter = inside.entrance();
        let ready = move || {
            enter();
            become_somebody();
        };
        Guard::after(ready, spec)
    }

    /// One where the test is, for an action that keeps to its own folder.
    pub fn here(spec: ActionSpec) -> Guard {
        Guard::after(|| (), spec)
    }

    fn after(ready: impl FnOnce() + Send + 'static, spec: ActionSpec) -> Guard {
        let (orders, received) = mpsc::channel();
        let (report, reports) = mpsc::channel();
        let thread = thread::spawn(move || {
            ready();
            worker::run(&spec, received, now, move |told| {
                // A test may fail before the worker ends.
                let _ = report.send(told);
            });
        });
        Guard {
            orders,
            reports,
            thread,
        }
    }

    /// What it says next.
    pub fn report(&self) -> Report {
        let report = self.reports.recv_timeout(DEADLINE);
        report.expect("a report in time")
    }

    /// What comes next of its orders.
    pub fn outcome(&self) -> Outcome {
        loop {
            match self.report() {
                Report::Outcome(outcome) => return outcome,
                Report::Trouble(why) => eprintln!("trouble: {why}"),
                Report::ForeignChange | Report::Works | Report::Complaint(_) => {}
            }
        }
    }

    /// What it complains of next.
    pub fn trouble(&self) -> String {
        loop {
            let report = self.reports.recv_timeout(DEADLINE);
            if let Report::Trouble(why) = report.expect("a report in time") {
                return why;
            }
        }
    }

    /// Tells it everything, and does not wait.
    pub fn order_reconcile(&self, jails: &[ActionJail], bans: &[InForce]) {
        self.orders
            .send(Order::Reconcile {
                jails: jails.to_vec(),
                bans: bans.to_vec(),
                complete: true,
            })
            .unwrap();
    }

    /// Tells it of a change, and does not wait.
    pub fn order_change(&self, bans: &[InForce], unbans: &[(JailName, Subject)]) {
        self.orders
            .send(Order::Change {
                bans: bans.to_vec(),
                unbans: unbans.to_vec(),
            })
            .unwrap();
    }

    /// Tells it everything, and waits until that is in effect.
    pub fn reconcile(&self, jails: &[ActionJail], bans: &[InForce]) {
        self.order_reconcile(jails, bans);
        let outcome = self.outcome();
        assert!(matches!(outcome, Outcome::Reconciled { .. }), "{outcome:?}");
    }

    /// Bans in the jail sshd, and waits until that is in effect.
    pub fn ban(&self, subjects: &[&str]) {
        let bans: Vec<_> = subjects
            .iter()
            .map(|subject| ban("sshd", subject, 600))
            .collect();
        self.order_change(&bans, &[]);
        self.must_apply(bans.len());
    }

    /// Lifts bans of the jail sshd, and waits until that is in effect.
    pub fn unban(&self, subjects: &[&str]) {
        let one = |subject: &&str| ("sshd".parse().unwrap(), subject.parse().unwrap());
        self.order_change(&[], &subjects.iter().map(one).collect::<Vec<_>>());
        self.must_apply(0);
    }

    /// Waits until a change with so many bans is in effect; what is mended meanwhile is no matter.
    pub fn must_apply(&self, bans: usize) {
        loop {
            match self.outcome() {
                Outcome::Reconciled { .. } => {}
                Outcome::Applied { bans: applied, .. } if applied.len() == bans => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Ends it; answers what it had still to say.
    pub fn stop(self, ending: Ending) -> Vec<Report> {
        self.orders.send(Order::Stop(ending)).unwrap();
        self.thread.join().unwrap();
        self.reports.try_iter().collect()
    }

    /// The end of a daemon that was killed: nobody says anything any more.
    pub fn die(self) {
        drop(self.orders);
        self.thread.join().unwrap();
    }
}

/// What a shell command does inside a namespace.
pub fn shell(inside: &Netns, command: &str) -> Output {
    inside
        .inside(|| Command::new("sh").args(["-c", command]).output())
        .unwrap()
}

/// What a shell command prints there; it must succeed.
pub fn said(inside: &Netns, command: &str) -> String {
    let output = shell(inside, command);
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether these programs are there; a loud word if one is not.
pub fn has(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found = Command::new("sh")
            .args([
                "-c",
                &format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}"),
            ])
            .output();
        found.is_ok_and(|found| found.status.success())
            || super::skipped::<()>(&format!("{program} is missing")).is_some()
    })
}
