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

/// The most streams of which it is known where reading would go on: far more than are read at a time. Whoever may make
/// files where f2bd looks for logs decides how many there ever are.
const MOST_STREAMS: usize = 4096;

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
            told: false,
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
    /// How often in a row reading has ended before there was a record.
    failures: u32,
    /// Whether that it has ended was told, and not yet that it goes on.
    told: bool,
}

impl Reader {
    fn pass_on(&mut self, delivery: Delivery) -> ControlFlow<()> {
        // Before anything else: what comes now may be another trouble.
        if std::mem::take(&mut self.told) {
            let source = self.source.clone();
            self.send(Delivery::Trouble(Trouble::Recovered { source }))?;
        }
        if let Delivery::Records {
            stream,
            batch,
            cursor,
            ..
        } = &delivery
        {
            if !batch.is_empty() {
                self.failures = 0;
            }
            if let Some(cursor) = cursor {
                self.cursors.insert(stream.clone(), cursor.clone());
                self.bound();
            }
        }
        self.send(delivery)
    }

    /// Forgets the streams that have been silent longest, when there are too many.
    fn bound(&mut self) {
        if self.cursors.len() <= MOST_STREAMS {
            return;
        }
        let mut times: Vec<_> = self.cursors.values().map(|cursor| cursor.time).collect();
        let (_, middle, _) = times.select_nth_unstable(MOST_STREAMS / 2);
        let middle = *middle;
        self.cursors.retain(|_, cursor| cursor.time > middle);
    }

    /// Counts a failure, and tells of it unless that was done and nothing has come since.
    fn failed(&mut self, reason: String) -> ControlFlow<()> {
        self.failures = self.failures.saturating_add(1);
        if std::mem::replace(&mut self.told, true) {
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
    use crate::engine::record::Batch;
    use crate::engine::time::Timestamp;
    use crate::source::Losses;

    #[test]
    fn pauses_grow_and_stay_bearable() {
        let pauses = [1, 2, 3, 6, 7, u32::MAX].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60]);
    }

    fn reader(inbox: Sender<Letter>) -> Reader {
        Reader {
            source: "files".parse().expect("a name"),
            cursors: BTreeMap::new(),
            generation: 1,
            inbox,
            failures: 0,
            told: false,
        }
    }

    fn records(part: &str, time: i64) -> Delivery {
        let source = "files".parse().expect("a name");
        Delivery::Records {
            stream: Stream {
                source,
                part: part.into(),
            },
            batch: Batch::default(),
            cursor: Some(Cursor {
                token: String::new(),
                time: Timestamp::from_micros(time),
            }),
            losses: Losses::default(),
            more: false,
        }
    }

    #[test]
    fn what_cannot_be_read_after_a_new_beginning_stays_told() {
        let (inbox, mut letters) = tokio::sync::mpsc::channel(16);
        let mut reader = reader(inbox);
        let unreadable = |reason: &str| Trouble::Unreadable {
            source: "files".parse().expect("a name"),
            reason: reason.to_owned(),
        };
        assert!(reader.failed("no descriptors".to_owned()).is_continue());
        assert!(reader.failed("no descriptors".to_owned()).is_continue());
        let trouble = Delivery::Trouble(unreadable("no permission"));
        assert!(reader.pass_on(trouble).is_continue());
        assert!(reader.pass_on(records("", 0)).is_continue());
        assert_eq!(reader.failures, 2, "nothing was read");
        let mut told = Vec::new();
        while let Ok(letter) = letters.try_recv() {
            if let Letter::Delivery {
                delivery: Delivery::Trouble(trouble),
                ..
            } = letter
            {
                told.push(trouble);
            }
        }
        let recovered = Trouble::Recovered {
            source: "files".parse().expect("a name"),
        };
        let expected = [
            unreadable("no descriptors"),
            recovered,
            unreadable("no permission"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn streams_that_are_long_over_are_forgotten() {
        let (inbox, mut letters) = tokio::sync::mpsc::channel(1);
        let mut reader = reader(inbox);
        for number in 0..3 * MOST_STREAMS {
            let time = i64::try_from(number).expect("a time");
            assert!(
                reader
                    .pass_on(records(&format!("/x/{number}"), time))
                    .is_continue()
            );
            assert!(letters.try_recv().is_ok());
            assert!(reader.cursors.len() <= MOST_STREAMS);
        }
        let last = format!("/x/{}", 3 * MOST_STREAMS - 1);
        assert!(reader.cursors.keys().any(|stream| *stream.part == *last));
    }
}
