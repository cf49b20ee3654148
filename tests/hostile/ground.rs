//! The daemon that suffers all of it, and how it is seen what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Instant;

use f2bd::control::client::Client;
use f2bd::control::protocol::{Reply, Request, SourceRow};
use rusqlite::{Connection, OpenFlags};

use super::case::{Case, Who};
use super::clock::Clock;
use super::{Itself, Kind, Letters, Way};
use crate::support::wait::until;
use crate::support::world::{Daemon, World};
use crate::syslog::tls::Authority;
use crate::trouble::TinyDisk;

/// Whom the daemon runs as: not root, for whom no permission can be withdrawn, and nobody whom another test is.
pub const USER: u32 = 65_531;

/// Where it hears syslog messages.
pub const PLAIN: &str = "127.0.0.1:5514";
pub const SECURE: &str = "127.0.0.1:6514";

/// Where there will be many files, on the small disk, since that is in memory.
pub const MANY: &str = "state/many";

/// Room for the database, and little more.
const DISK: &str = "24m";

const JAIL: &str = "maxretry = 1\nfindtime = \"1h\"\nbantime = \"1h\"\nignoreself = false\n\
    sources = [\"journal\", \"logs\", \"json\", \"little\", \"big\", \"gone\", \"many\", \"syslog\"]";

/// A daemon and all that it reads.
pub struct Ground {
    pub world: World,
    pub daemon: Daemon,
    pub authority: Authority,
    /// The daemon's database is on it.
    _disk: TinyDisk,
    store: Connection,
    pub clock: Clock,
    /// The lines of its log that have been looked at.
    seen: usize,
    /// What each source has lost so far.
    lost: BTreeMap<&'static str, [u64; 3]>,
}

impl Ground {
    /// `None`, and a word about it, where none can be made.
    pub fn new() -> Option<Self> {
        let world = World::new("")?;
        // All that the test itself starts and opens is in the same network.
        world.netns.enter();
        let authority = Authority::new();
        for name in ["logs", "json", "little", "big", "gone"] {
            fs::create_dir(world.path().join(name)).unwrap();
        }
        let disk = TinyDisk::mount(world.database().parent().unwrap(), DISK)?;
        fs::create_dir(world.path().join(MANY)).unwrap();
        world.open_to_everybody();
        for path in [world.path(), world.database().parent().unwrap()] {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
        authority.open_to_everybody();
        world.configure(JAIL, &sources(world.path(), &authority, ""));
        let clock = Clock::new(&world.config());
        let daemon = world.start_as(USER);
        let store = Connection::open_with_flags(
            world.database(),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        );
        Some(Ground {
            world,
            daemon,
            authority,
            _disk: disk,
            store: store.unwrap(),
            clock,
            seen: 0,
            lost: BTreeMap::new(),
        })
    }

    /// Lets one kind happen between two attacks, and tells what became of it.
    pub fn suffers(&mut self, number: usize, kind: &Kind) -> String {
        let began = Instant::now();
        let path = log_of(&self.world, number, kind.way);
        let mut case = Case::new(self, number, kind.way, path);
        case.attacks(Who::Before);
        (kind.bad)(&mut case);
        case.attacks(Who::After);
        case.must_count(Who::Before);
        case.must_count(Who::After);
        let took = began.elapsed();
        match kind.itself {
            Itself::Nothing => assert_eq!(case.count(Who::Itself), 0, "{}", kind.name),
            // It may be in another log than the one behind it.
            Itself::Past | Itself::Banned => case.must_count(Who::Itself),
        }
        let mut outcome = match kind.itself {
            Itself::Nothing => "both attacks are counted".to_owned(),
            Itself::Past => "both attacks are counted, and one long ago".to_owned(),
            Itself::Banned => "all three attacks are counted".to_owned(),
        };
        self.must_have_lost(kind);
        for (lost, what) in kind.lost.iter().zip(["cut", "refused", "malformed"]) {
            if *lost > 0 {
                outcome.push_str(&format!(", {lost} {what}"));
            }
        }
        for line in self.must_have_said(kind) {
            outcome.push_str(&format!(", said \"{line}\""));
        }
        if took.as_millis() >= 100 {
            outcome.push_str(&format!(" ({} ms)", took.as_millis()));
        }
        outcome
    }

    /// Waits until what was lost is counted, and nothing else.
    fn must_have_lost(&mut self, kind: &Kind) {
        let Some(name) = source_of(kind.way) else {
            return;
        };
        let lost = self.lost.entry(name).or_default();
        for (all, more) in lost.iter_mut().zip(kind.lost) {
            *all += more;
        }
        let expected = *lost;
        let mut told = [0; 3];
        let what = format!("{}: {name} has lost {expected:?}", kind.name);
        until(&what, || {
            told = losses(&self.status(name));
            (told == expected || told.iter().zip(expected).any(|(a, b)| *a > b)).then_some(())
        });
        assert_eq!(told, expected, "{what}");
    }

    /// What was said by way of complaint since the kind before this one.
    fn must_have_said(&mut self, kind: &Kind) -> Vec<String> {
        if let Some(words) = kind.said {
            self.must_say(words);
        }
        let said = self.complaints();
        self.seen += said.len();
        let wanted = |line: &&String| kind.said.is_some_and(|words| line.contains(words));
        let count = said.iter().filter(wanted).count();
        assert!(count <= 1, "{}: said more than once: {said:?}", kind.name);
        let other = said
            .iter()
            .find(|line| !wanted(line) && line.starts_with("error: "));
        assert_eq!(other, None, "{}: no other error is said", kind.name);
        said
    }

    /// What it has complained of since the kind before this one.
    fn complaints(&self) -> Vec<String> {
        let log = self.daemon.log();
        complaints(&log)
            .skip(self.seen)
            .map(str::to_owned)
            .collect()
    }

    /// Waits until it complains of something.
    pub fn must_say(&self, words: &str) {
        until(&format!("it says `{words}`"), || {
            let said = self.complaints();
            said.iter().any(|line| line.contains(words)).then_some(())
        });
    }

    /// Ends it all: it runs as if nothing had been, no attack counts more than once, and each has become a ban.
    pub fn must_stand(mut self, table: &[Kind]) {
        let log = self.daemon.log();
        let mut said = BTreeSet::new();
        for line in complaints(&log) {
            assert!(said.insert(line), "said again: {line}");
        }
        for words in table.iter().filter_map(|kind| kind.said) {
            let says = |kind: &&Kind| kind.said.is_some_and(|said| said.contains(words));
            let once = table.iter().filter(says).count();
            assert_eq!(log.matches(words).count(), once, "`{words}` is said once");
        }
        assert!(!log.contains("panicked"), "{log}");
        let mut due = BTreeSet::new();
        let on_the_ground = |(_, kind): &(usize, &Kind)| kind.way != Way::Clock;
        for (number, kind) in table.iter().enumerate().filter(on_the_ground) {
            for (who, expected) in [
                (Who::Before, Itself::Banned),
                (Who::Itself, kind.itself),
                (Who::After, Itself::Banned),
            ] {
                let address = who.address(number);
                let count = usize::from(expected != Itself::Nothing);
                assert_eq!(self.count(address), count, "{}: {who:?}", kind.name);
                if expected == Itself::Banned {
                    due.insert(address);
                }
            }
        }
        let mut banned = BTreeSet::new();
        until("all are kept out", || {
            banned = self.banned();
            due.is_subset(&banned).then_some(())
        });
        let others = Vec::from_iter(banned.difference(&due));
        assert!(others.is_empty(), "nobody else is: {others:?}");
        self.daemon.signal(rustix::process::Signal::TERM);
        assert_eq!(self.daemon.exit_code(), Some(0));
    }

    /// Who is kept out by the kernel.
    fn banned(&self) -> BTreeSet<IpAddr> {
        let rules = self.world.nft(&["list", "ruleset"]).stdout;
        let rules = String::from_utf8(rules).unwrap();
        let words = rules.split(|c: char| c.is_whitespace() || c == ',');
        // Nobody here has another kind of address, but rules have masks of it.
        let address = |word: &str| word.parse::<Ipv4Addr>().ok();
        words.filter_map(address).map(IpAddr::from).collect()
    }

    /// How often an address was counted.
    pub fn count(&self, address: IpAddr) -> usize {
        let count: Result<i64, _> = self.store.query_row(
            "SELECT count(*) FROM failures WHERE address = ?1",
            [address.to_string()],
            |row| row.get(0),
        );
        usize::try_from(count.unwrap()).unwrap()
    }

    pub fn status(&self, source: &str) -> SourceRow {
        let reply = Client::ask(&self.world.socket(), Request::Status { jail: None }).unwrap();
        let Reply::Status(status) = reply else {
            panic!("not a status: {reply:?}");
        };
        let mut sources = status.sources.into_iter();
        sources.find(|row| row.source == source).unwrap()
    }

    /// Starts the reader of a log source anew, by a change of its zone.
    pub fn reopen_logs(&self, zone: &str) {
        let zone = format!("timezone = \"{zone}\"");
        let text = sources(self.world.path(), &self.authority, &zone);
        self.world.configure(JAIL, &text);
        let reloaded = self.world.f2bd(&["reload"]);
        assert!(reloaded.status.success(), "{reloaded:?}");
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.daemon.log();
            let last = log.lines().rev().take(20).collect::<Vec<_>>();
            eprintln!(
                "the daemon said last, the newest first:\n{}",
                last.join("\n")
            );
        }
    }
}

/// All that is read, from `home`; `logs` is said of the source of that name beside its path.
fn sources(home: &Path, authority: &Authority, logs: &str) -> String {
    let home = home.display();
    let [certificate, key, client_ca] = ["server.crt", "server.key", "ca.crt"]
        .map(|name| authority.path(name).display().to_string());
    format!(
        r#"
[source.logs]
type = "file"
path = ["{home}/logs/*.log"]
{logs}

[source.json]
type = "file"
path = ["{home}/json/*.log"]
format = "json"

[source.little]
type = "file"
path = ["{home}/little/*.log"]
encoding = "utf-16le"

[source.big]
type = "file"
path = ["{home}/big/*.log"]
encoding = "utf-16be"

[source.gone]
type = "file"
path = ["{home}/gone/app.log"]

[source.many]
type = "file"
path = ["{home}/{MANY}/*.log"]

[source.syslog]
type = "syslog"
listen = ["udp://{PLAIN}", "tcp://{PLAIN}", "tls://{SECURE}", "unix://{home}/syslog.sock"]
allow = ["127.0.0.0/29"]
certificate = "{certificate}"
key = "{key}"
client_ca = "{client_ca}"

[source.report]
type = "report"
socket = "{home}/report.sock"
allow = [{{ uid = [33], service = ["shop"] }}]

[jail.shop]
filter = "report"
maxretry = 1
ignoreself = false
"#
    )
}

/// Which source's losses a kind shows in.
fn source_of(way: Way) -> Option<&'static str> {
    Some(match way {
        Way::Log(Letters::Little { marked: false }) => "little",
        Way::Log(Letters::Big { marked: false }) => "big",
        Way::Log(_) => "logs",
        Way::Json => "json",
        Way::Udp | Way::Tcp | Way::Tls | Way::Unix => "syslog",
        Way::Report => "report",
        Way::Clock => return None,
    })
}

fn log_of(world: &World, number: usize, way: Way) -> PathBuf {
    let directory = match way {
        Way::Log(Letters::Little { marked: false }) => "little",
        Way::Log(Letters::Big { marked: false }) => "big",
        Way::Json => "json",
        _ => "logs",
    };
    world.path().join(format!("{directory}/kind{number}x.log"))
}

fn losses(row: &SourceRow) -> [u64; 3] {
    assert_eq!(row.dropped, 0);
    [row.cut, row.refused, row.malformed]
}

/// What a log tells of trouble, without the times.
fn complaints(log: &str) -> impl Iterator<Item = &str> {
    let texts = log.lines().filter_map(|line| Some(line.split_once(' ')?.1));
    texts.filter(|text| text.starts_with("error: ") || text.starts_with("warning: "))
}
