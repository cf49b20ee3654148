//! A reader and an engine with a clock of their own, which can be set.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use f2bd::engine::record::Batch;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::time::Timestamp;
use f2bd::engine::{Decision, Engine, Input};
use jiff::tz::TimeZone;

/// The reader of a log and the engine, with a clock of their own.
pub struct Clock {
    reader: LineReader,
    engine: Engine,
    now: Timestamp,
    /// How often somebody was banned at the time.
    bans: BTreeMap<IpAddr, usize>,
}

impl Clock {
    /// With the jails of a configuration, in Central Europe.
    pub fn new(config: &Path) -> Self {
        let loaded = f2bd::config::load(Some(config), f2bd::config::Surroundings::Ignore);
        let settings = loaded
            .settings
            .unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let now = moment("2026-02-12T12:00:00Z");
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        Clock {
            reader: LineReader::new(&LineForm::in_zone(zone), now),
            engine: Engine::new(settings.policy),
            now,
            bans: BTreeMap::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets it, forth or back.
    pub fn set(&mut self, now: &str) {
        self.now = moment(now);
        self.reader.set_now(self.now);
    }

    /// When a line was written.
    pub fn time(&mut self, line: &str) -> Timestamp {
        self.reader.read(line.as_bytes()).unwrap().unwrap().time
    }

    /// Hears a line.
    pub fn read(&mut self, line: &str) {
        let mut batch = Batch::default();
        batch.push(self.reader.read(line.as_bytes()).unwrap().unwrap());
        let input = Input::Records {
            source: None,
            batch: &batch,
            more: false,
        };
        let mut decisions = Vec::new();
        self.engine.handle(self.now, input, &mut decisions);
        for decision in decisions {
            if let Decision::Ban(ban) = decision
                && ban.until() > Some(self.now)
            {
                let network = ban.subject.network().unwrap();
                *self.bans.entry(network.address()).or_default() += 1;
            }
        }
    }

    pub fn count(&self, address: IpAddr) -> usize {
        self.bans.get(&address).copied().unwrap_or_default()
    }
}

pub fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}
