//! What do the sets hold from moment to moment?
//!
//! A task of the daemon, which answers with a set's whole content whenever it has become another one.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use super::command::{Asking, Question};
use super::own::Listener;
use super::{Lists, Trouble, command, file, guard, names};
use crate::engine::policy::{AddressSet, SetName};

/// How often files are looked at. They are small, and a change of one is read twice before it counts.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked who would be locked out: nobody logs in and is banned for what another does within less.
const GUARD_EVERY: Duration = Duration::from_secs(5);

/// What whoever watches has to tell.
#[derive(Debug)]
pub enum Tidings {
    /// A set of addresses holds something else now.
    Holds {
        /// Which set.
        set: SetName,
        /// All that it holds.
        addresses: AddressSet,
    },
    /// A program was asked: whatever comes of it for its set was told before.
    Says {
        /// What it was asked.
        question: Question,
        /// Whether it spares the address.
        is_spared: bool,
    },
}

/// Keeps an eye on the sets that are `wanted` and tells of changes, until nobody wants to hear of them any more. Begins
/// with what is known of them, and tells all of it once, and again whenever other sets are wanted. `failing` are those
/// whom a program should be asked about.
pub async fn watch(
    mut lists: Lists,
    mut wanted: watch::Receiver<BTreeSet<SetName>>,
    mut failing: mpsc::Receiver<Asking>,
    tell: mpsc::Sender<Tidings>,
) {
    // It listens before the addresses are listed, lest one that comes in between be missed.
    let mut listener = match Listener::new() {
        Ok(listener) => Some(listener),
        Err(error) => {
            log::warn!("this machine's own addresses are followed no further: {error}");
            None
        }
    };
    // What was known before is what has names in the settings.
    lists.wanted = wanted.borrow_and_update().clone();
    lists.look_at_own();
    look_at_guarded(&mut lists).await;
    let (mut look, mut guard) = (interval(LOOK_EVERY), interval(GUARD_EVERY));
    let (answer, mut answers) = mpsc::channel(names::MOST_HOST_NAMES);
    let mut told: BTreeMap<SetName, AddressSet> = BTreeMap::new();
    let mut programs = JoinSet::new();
    let mut said: Vec<(Question, bool)> = Vec::new();
    lists.changed = true;
    loop {
        let sets = std::mem::take(&mut lists.changed).then_some(&lists.wanted);
        for set in sets.into_iter().flatten() {
            let addresses = lists.addresses(set);
            if told.get(set) != Some(&addresses) {
                told.insert(set.clone(), addresses.clone());
                let set = set.clone();
                if tell.send(Tidings::Holds { set, addresses }).await.is_err() {
                    return;
                }
            }
        }
        for (question, is_spared) in said.drain(..) {
            let says = Tidings::Says {
                question,
                is_spared,
            };
            if tell.send(says).await.is_err() {
                return;
            }
        }
        for name in lists.names.due(Instant::now()) {
            let (answer, asked) = (answer.clone(), name.clone());
            let asking = names::ask(name.clone(), move |addresses| {
                // The daemon may be ending.
                let _ = answer.blocking_send((asked, addresses));
            });
            if let Err(error) = asking {
                report(lists.hear(&name, Err(error), Instant::now()));
            }
        }
        while let Some((set, address)) = lists.commands.take() {
            programs.spawn(async move {
                let answer = match &set {
                    SetName::Command(words) => command::ask(words, address).await,
                    _ => Ok(false),
                };
                ((set, address), answer)
            });
        }
        let due = lists.names.next();
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                told.clear();
                let sets = wanted.borrow_and_update().clone();
                report(lists.want(sets, Instant::now()));
                lists.look_at_own();
                look_at_files(&mut lists).await;
                look_at_guarded(&mut lists).await;
            }
            Some((name, addresses)) = answers.recv() => {
                report(lists.hear(&name, addresses, Instant::now()));
            }
            Some(asking) = failing.recv() => said.extend(lists.commands.want(asking, Instant::now())),
            Some(Ok((question, answer))) = programs.join_next(), if !programs.is_empty() => {
                let is_spared = matches!(answer, Ok(true));
                said.push((question.clone(), is_spared));
                report(lists.hear_command(question, answer, Instant::now()));
            }
            () = until(due) => {}
            _ = look.tick(), if !lists.files.is_empty() || !lists.commands.is_empty() => {
                lists.changed |= lists.commands.forget(Instant::now());
                look_at_files(&mut lists).await;
            }
            _ = guard.tick(), if lists.wanted.contains(&SetName::Guarded) => {
                look_at_guarded(&mut lists).await;
            }
            heard = hear(listener.as_ref()) => {
                if let Err(error) = heard {
                    log::warn!("this machine's own addresses are followed no further: {error}");
                    listener = None;
                }
                lists.look_at_own();
            }
        }
    }
}

/// Files may be where reading takes its time; nobody else should wait for it.
async fn look_at_files(lists: &mut Lists) {
    if lists.files.is_empty() {
        return;
    }
    let paths: Vec<_> = lists.files.keys().cloned().collect();
    let texts = tokio::task::spawn_blocking(|| file::read_all(paths)).await;
    // It fails only when the daemon ends.
    report(lists.hear_files(texts.unwrap_or_default()));
}

async fn look_at_guarded(lists: &mut Lists) {
    if lists.wanted.contains(&SetName::Guarded) {
        let guarded = tokio::task::spawn_blocking(guard::addresses).await;
        // It fails only when the daemon ends.
        lists.guarded = guarded.unwrap_or_default();
        lists.changed = true;
    }
}

/// A clock that forgets what it has missed.
fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => pending().await,
    }
}

async fn hear(listener: Option<&Listener>) -> std::io::Result<()> {
    match listener {
        Some(listener) => listener.hear().await,
        None => pending().await,
    }
}

fn report(troubles: impl IntoIterator<Item = Trouble>) {
    for trouble in troubles {
        log::warn!("{}", trouble.message);
    }
}
