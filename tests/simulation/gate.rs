//! An f2bd before the sshd.
//!
//! Whoever is banned reaches the sshd no more, and the log says nothing of his tries. So the lines go to the engine one
//! by one, in their own time, each only if its host is not banned by then.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::net::IpAddr;

use super::day::{Class, Day, END};
use f2bd::config::{self, Surroundings};
use f2bd::engine::decision::{BanId, Decision, Notice};
use f2bd::engine::prefix::Prefix;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::replay::Replay;
use f2bd::engine::time::Timestamp;

/// What came of a day.
#[derive(Debug, Default)]
pub struct Judged {
    /// How many failures the filter found, for each address.
    pub failures: HashMap<IpAddr, usize>,
    /// Whoever was banned, and the bans of him that are in force, since each jail has its own.
    bans: HashMap<Prefix, Vec<InForce>>,
    /// How wide they are.
    widths: BTreeSet<u8>,
    /// How many passwords were never heard.
    kept_out: HashMap<IpAddr, usize>,
}

/// A ban that is not lifted.
#[derive(Debug)]
struct InForce {
    id: BanId,
    until: Option<Timestamp>,
}

/// What became of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// So many of its hosts were banned, themselves or with a network around them.
    pub banned: usize,
    /// So many of its passwords were never heard.
    pub kept_out: usize,
}

impl Judged {
    /// The day, with such a configuration.
    pub fn by(settings: &str, day: &Day) -> Judged {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f2bd.conf");
        fs::write(&path, settings).unwrap();
        let loaded = config::load(Some(&path), Surroundings::Ignore);
        let mut replay = Replay::new([loaded.settings.unwrap().policy]);
        let form = LineForm::in_zone(jiff::tz::TimeZone::UTC);
        let mut reader = LineReader::new(&form, END.parse().unwrap());
        let mut decisions = [Vec::new()];
        let mut judged = Judged::default();
        for line in day.log() {
            let record = reader.read(line.text.as_bytes()).unwrap().unwrap();
            if judged.is_banned(line.address, record.time) {
                *judged.kept_out.entry(line.address).or_default() += usize::from(line.is_password);
                continue;
            }
            replay.hear(record, &mut decisions);
            replay.catch_up(&mut decisions);
            for decision in decisions[0].drain(..) {
                judged.obey(decision);
            }
        }
        replay.finish(&mut decisions);
        for decision in decisions[0].drain(..) {
            judged.obey(decision);
        }
        judged
    }

    fn obey(&mut self, decision: Decision) {
        match &decision {
            Decision::Count(failure) => {
                *self.failures.entry(failure.address.unwrap()).or_default() += 1;
            }
            Decision::Ban(ban) => {
                let network = ban.subject.network().unwrap();
                self.widths.insert(network.width());
                let bans = self.bans.entry(network).or_default();
                bans.push(InForce {
                    id: ban.id,
                    until: ban.until(),
                });
            }
            Decision::Unban(unban) => {
                let network = unban.subject.network().unwrap();
                let bans = self.bans.get_mut(&network).unwrap();
                bans.retain(|ban| ban.id != unban.ban);
            }
            Decision::Clear(_) | Decision::Notice(Notice::Login { .. }) => {}
            Decision::Resume(_)
            | Decision::Await(_)
            | Decision::Ignore(_)
            | Decision::Answered(_)
            | Decision::Forgive(_)
            | Decision::Remark(_)
            | Decision::Allow(_)
            | Decision::Disallow(_)
            | Decision::Notice(_)
            | Decision::Sighted(_) => panic!("{decision:?}"),
        }
    }

    /// The subjects with an address that are or were banned.
    fn around(&self, address: IpAddr) -> impl Iterator<Item = &Vec<InForce>> {
        let widest = Prefix::host(address).width();
        let subjects = self
            .widths
            .range(..=widest)
            .map(move |width| Prefix::network(address, *width));
        subjects.filter_map(|subject| self.bans.get(&subject))
    }

    /// Whether no packet of his comes through.
    fn is_banned(&self, address: IpAddr, time: Timestamp) -> bool {
        let holds = |ban: &InForce| ban.until.is_none_or(|end| time < end);
        self.around(address).any(|bans| bans.iter().any(holds))
    }

    pub fn outcome(&self, class: &Class) -> Outcome {
        let mut outcome = Outcome {
            banned: 0,
            kept_out: 0,
        };
        for address in class.hosts.keys() {
            outcome.banned += usize::from(self.around(*address).next().is_some());
            outcome.kept_out += self.kept_out.get(address).copied().unwrap_or_default();
        }
        outcome
    }
}
