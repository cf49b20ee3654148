//! What would the jails have done with old logs?
//!
//! The very same engine, with the records' own time as `now`.

use super::core::Engine;
use super::decision::Decision;
use super::input::Input;
use super::policy::Policy;
use super::record::{Batch, Record};
use super::time::Timestamp;

/// An engine that lives in its records' time.
#[derive(Debug)]
pub struct Replay {
    engine: Engine,
    now: Timestamp,
    batch: Batch,
}

impl Replay {
    /// An engine without history.
    pub fn new(policy: Policy) -> Self {
        Replay {
            engine: Engine::new(policy),
            now: Timestamp::from_micros(i64::MIN),
            batch: Batch::default(),
        }
    }

    /// Hears one record. Its time becomes the present unless a later record was heard before.
    pub fn hear(&mut self, record: Record<'_>, out: &mut Vec<Decision>) {
        self.now = self.now.max(record.time);
        self.batch.clear();
        self.batch.push(record);
        self.engine.handle(
            self.now,
            Input::Records {
                source: None,
                batch: &self.batch,
                more: true,
            },
            out,
        );
    }

    /// The engine at the last record's time.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The last record's time.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}
