//! What would the jails have done with old logs?
//!
//! The very same engine, with the records' own time as `now`. Several of them live side by side on one reading of the
//! logs, each with settings of its own, so that what they decide can be compared.

use super::core::Engine;
use super::decision::{Decision, Failure};
use super::input::Input;
use super::policy::Policy;
use super::record::{Batch, Record};
use super::time::Timestamp;

/// So many records are heard at once. What each input costs beside its records, as much as reading a line, is then too
/// little to be measured; with 512, what they lead to no longer fits into the caches of processor and allocator, and a
/// log of failures took a tenth longer.
const RECORDS_AT_ONCE: usize = 64;

/// So many bytes of records are heard at once, for logs of long lines.
const BYTES_AT_ONCE: usize = 64 * 1024;

/// Engines that live in their records' time.
#[derive(Debug)]
pub struct Replay<const ENGINES: usize> {
    engines: [Engine; ENGINES],
    now: Timestamp,
    /// What the engines have not heard yet.
    waiting: Batch,
}

impl<const ENGINES: usize> Replay<ENGINES> {
    /// Engines without history, one for each of the settings. Nobody stores what they decide, so they keep no text.
    pub fn new(policies: [Policy; ENGINES]) -> Self {
        Replay {
            engines: policies.map(Engine::without_text),
            now: Timestamp::from_micros(i64::MIN),
            waiting: Batch::default(),
        }
    }

    /// Takes one record. The engines hear it with others, and append to `out` what they decide, each to its own list.
    pub fn hear(&mut self, record: Record<'_>, out: &mut [Vec<Decision>; ENGINES]) {
        self.now = self.now.max(record.time);
        self.waiting.push(record);
        if self.waiting.len() >= RECORDS_AT_ONCE || self.waiting.bytes() >= BYTES_AT_ONCE {
            self.catch_up(out);
        }
    }

    /// Lets the engines hear whatever has been taken. Each record is judged at its own time.
    pub fn catch_up(&mut self, out: &mut [Vec<Decision>; ENGINES]) {
        if self.waiting.is_empty() {
            return;
        }
        for (engine, out) in self.engines.iter_mut().zip(out) {
            let input = Input::Records {
                source: None,
                batch: &self.waiting,
                more: true,
            };
            engine.handle(self.now, input, out);
            forgo_names(engine, self.now, out);
        }
        self.waiting.clear();
    }

    /// The same at the end of all logs: time goes on until nobody waits any more to be let in or banned.
    pub fn finish(&mut self, out: &mut [Vec<Decision>; ENGINES]) {
        self.catch_up(out);
        for (engine, out) in self.engines.iter_mut().zip(out) {
            while let Some(due) = engine.next_conviction().filter(|due| *due > self.now) {
                self.now = due;
                let nothing_more = Input::Records {
                    source: None,
                    batch: &self.waiting,
                    more: false,
                };
                engine.handle(due, nothing_more, out);
            }
        }
    }

    /// Lets the engines judge a failure that was found and stored when its record was new.
    pub fn recount(&mut self, failure: &Failure, out: &mut [Vec<Decision>; ENGINES]) {
        self.catch_up(out);
        self.now = self.now.max(failure.time);
        for (engine, out) in self.engines.iter_mut().zip(out) {
            engine.handle(self.now, Input::Recount(failure), out);
        }
    }

    /// The login comes that has taken back such a failure.
    pub fn take_back(&mut self, failure: &Failure, out: &mut [Vec<Decision>; ENGINES]) {
        for (engine, out) in self.engines.iter_mut().zip(out) {
            engine.handle(self.now, Input::TakeBack(failure), out);
        }
    }

    /// The engines, as of what they have heard.
    pub fn engines(&self) -> &[Engine; ENGINES] {
        &self.engines
    }

    /// The time of the newest record that was taken.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// Old logs are judged by what they say alone: who has had a name then nobody can tell, and a replay asks nobody.
fn forgo_names(engine: &mut Engine, now: Timestamp, out: &mut Vec<Decision>) {
    let hosts: Vec<_> = engine.awaited_hosts().cloned().collect();
    for host in hosts {
        let addresses = Vec::new();
        engine.handle(now, Input::Named { host, addresses }, out);
    }
}
