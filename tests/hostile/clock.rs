//! A reader and an engine with a clock of their own, which can be set.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use f2bd::engine::record::Batch;
use f2bd::engine::record::line::{Format, LineForm, LineReader, Malformed};
use f2bd::engine::time::Timestamp;
use f2bd::engine::{Decision, Engine, Input};
use jiff::tz::TimeZone;

/// The reader of a log and the engine, with a clock of their own.
pub struct Clock {
    reader: LineReader,
    /// Of a log whose lines are objects of JSON.
    objects: LineReader,
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
        let text = LineForm::in_zone(zone);
        let objects = LineForm {
            format: Format::Json(Default::default()),
            ..text.clone()
        };
        Clock {
            reader: LineReader::new(&text, now),
            objects: LineReader::new(&objects, now),
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
        self.hear(&batch);
    }

    /// Hears an object; answers whether the line is one.
    pub fn read_object(&mut self, line: &str) -> bool {
        let mut batch = Batch::default();
        match self.objects.read(line.as_bytes()) {
            Ok(record) => batch.push(record.unwrap()),
            Err(Malformed) => return false,
        }
        self.hear(&batch);
        true
    }

    fn hear(&mut self, batch: &Batch) {
        let input = Input::Records {
            source: None,
            batch,
            more: false,
        };
        let mut decisions = Vec::new();
        self.engine.handle(self.now, input, &mut decisions);
        for decision in decisions {
            if let Decision::Ban(ban) = decision
                && ban.until() > Some(self.now)
            {
                *self.bans.entry(ban.subject.address()).or_default() += 1;
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
