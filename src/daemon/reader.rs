//! Who keeps a source being read?
//!
//! One thread a source. When reading ends though nobody asked for it, as for lack of descriptors or memory, it is begun
//! again behind the last records that were handed on. The others do not notice.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

use super::letter::Letter;
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::name::SourceName;
use crate::source::{self, Delivery, SourceSpec, Start, Trouble};

/// How soon a source that could not be read at all is tried again; each pause is twice the last one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often a reader that waits looks whether it is still wanted: it has no means to wait for that, perhaps.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Has a source read on a thread of its own, from `start` on, as `wanted` says and until `stopped` says otherwise.
///
/// # Errors
/// There is no thread to be had.
pub fn spawn(
    wanted: watch::Receiver<SourceSpec>,
    start: Start,
    generation: u64,
    inbox: Sender<Letter>,
    stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let source = wanted.borrow().name().clone();
    let name = format!("source-{source}");
    std::thread::Builder::new().name(name).spawn(move || {
        let mut reader = Reader {
            source,
            cursors: start.cursors.into_iter().collect(),
            generation,
            inbox,
            failures: 0,
        };
        loop {
            let start = Start {
                cursors: reader.cursors.clone().into_iter().collect(),
                since: start.since,
            };
            let deliver = |delivery| reader.pass_on(delivery);
            let Err(error) = source::run(wanted.clone(), start, deliver, stopped.clone()) else {
                // Nobody wants it any more.
                return;
            };
            if reader.failed(error.to_string()).is_break() || !pause(reader.failures, &stopped) {
                return;
            }
        }
    })?;
    Ok(())
}

struct Reader {
    source: SourceName,
    /// Where reading would go on.
    cursors: BTreeMap<Stream, Cursor>,
    generation: u64,
    inbox: Sender<Letter>,
    /// How often in a row reading has ended before there was anything.
    failures: u32,
}

impl Reader {
    fn pass_on(&mut self, delivery: Delivery) -> ControlFlow<()> {
        if let Delivery::Records { stream, cursor, .. } = &delivery {
            if let Some(cursor) = cursor {
                self.cursors.insert(stream.clone(), cursor.clone());
            }
            if std::mem::take(&mut self.failures) > 0 {
                let source = self.source.clone();
                self.send(Delivery::Trouble(Trouble::Recovered { source }))?;
            }
        }
        self.send(delivery)
    }

    /// Counts a failure, and tells of the first one.
    fn failed(&mut self, reason: String) -> ControlFlow<()> {
        self.failures = self.failures.saturating_add(1);
        if self.failures > 1 {
            return ControlFlow::Continue(());
        }
        let source = self.source.clone();
        self.send(Delivery::Trouble(Trouble::Unreadable { source, reason }))
    }

    fn send(&self, delivery: Delivery) -> ControlFlow<()> {
        let generation = self.generation;
        let letter = Letter::Delivery {
            generation,
            delivery,
        };
        match self.inbox.blocking_send(letter) {
            Ok(()) => ControlFlow::Continue(()),
            // The driver has ended.
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// How long to wait after so many failures in a row.
fn pause_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

/// Waits before the next try; whether there is to be one.
fn pause(failures: u32, stopped: &watch::Receiver<bool>) -> bool {
    let end = Instant::now() + pause_after(failures);
    loop {
        if *stopped.borrow() || stopped.has_changed().is_err() {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bearable() {
        let pauses = [1, 2, 3, 6, 7, u32::MAX].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60]);
    }
}
