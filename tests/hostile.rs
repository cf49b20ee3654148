//! Everything bad that f2bd may be given to read: one table, and what became of each kind.
//!
//! All kinds meet one daemon, one after the other. Around each of them somebody attacks, in the same log or over the
//! same socket: each attack must be counted, once, and become a ban; what was lost must be counted as lost; and what
//! is said, is said once. With `--nocapture` the table is printed.

mod case;
mod clock;
mod dates;
mod files;
mod ground;
mod lines;
mod local;
mod matching;
mod network;

use case::Case;
use ground::Ground;

/// Where the attacks come in, before and behind what is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The kind's own log, in these letters.
    Log(Letters),
    /// The kind's own log of objects of JSON.
    Json,
    /// A datagram of syslog.
    Udp,
    /// A connection of syslog for each attack.
    Tcp,
    /// The same with TLS.
    Tls,
    /// A datagram of syslog on this machine.
    Unix,
    /// What an application reports.
    Report,
    /// A reader and an engine whose clock the kind sets, since the daemon's is the machine's.
    Clock,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letters {
    Utf8,
    /// With a byte order mark.
    Utf8Marked,
    /// The lower byte first; without a mark the configuration tells.
    Little {
        marked: bool,
    },
    /// The higher one first.
    Big {
        marked: bool,
    },
}

const LOG: Way = Way::Log(Letters::Utf8);

/// One kind of bad input.
struct Kind {
    name: &'static str,
    way: Way,
    /// What is done between the attacks; a third attack may be part of it.
    bad: fn(&mut Case<'_>),
    /// What must have become of that one.
    itself: Itself,
    /// How many records must have been counted as cut, refused and malformed.
    lost: [u64; 3],
    /// What must have been said, once.
    said: Option<&'static str>,
}

/// What becomes of an attack in the midst of what is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Itself {
    /// There is none, or it cannot be read, or must not be believed.
    Nothing,
    /// It is counted where it belongs, in the past.
    Past,
    /// It is counted, and a ban.
    Banned,
}

fn kind(name: &'static str, way: Way, bad: fn(&mut Case<'_>)) -> Kind {
    Kind {
        name,
        way,
        bad,
        itself: Itself::Nothing,
        lost: [0; 3],
        said: None,
    }
}

impl Kind {
    /// The attack in the midst can be read, and so it is a ban.
    fn bans(self) -> Self {
        Kind {
            itself: Itself::Banned,
            ..self
        }
    }

    /// It can be read, and was long ago.
    fn past(self) -> Self {
        Kind {
            itself: Itself::Past,
            ..self
        }
    }

    fn cuts(mut self, count: u64) -> Self {
        self.lost[0] = count;
        self
    }

    fn refuses(mut self, count: u64) -> Self {
        self.lost[1] = count;
        self
    }

    fn malformed(mut self, count: u64) -> Self {
        self.lost[2] = count;
        self
    }

    fn says(self, words: &'static str) -> Self {
        Kind {
            said: Some(words),
            ..self
        }
    }
}

fn table() -> Vec<Kind> {
    let mut table = vec![files::full_disk()];
    table.extend(lines::kinds());
    table.extend(dates::kinds());
    table.extend(network::kinds());
    table.extend(local::kinds());
    table.extend(files::kinds());
    table
}

#[test]
fn nothing_bad_stops_it_or_costs_what_can_be_read() {
    let Some(mut ground) = Ground::new() else {
        return;
    };
    let table = table();
    assert!(table.len() >= 40);
    for (number, kind) in table.iter().enumerate() {
        eprint!("{:<56} ", kind.name);
        eprintln!("{}", ground.suffers(number, kind));
    }
    ground.must_stand(&table);
}
