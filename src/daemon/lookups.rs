//! Which addresses does a host have that a log knows by name alone?
//!
//! In: the hosts that the engine waits for. Out: letters with the addresses of each that confirm it: the system's
//! resolver knows them by that name, and knows that name by them. Asking may take its time, so that is done on threads
//! of their own. Attackers choose the names and run the servers that are asked, so few are asked for at a time, none is
//! waited for very long, and what was answered is remembered for a while. Nothing is lost here: the engine says again
//! whom it waits for until there is an answer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread::Builder;
use std::time::{Duration, Instant};

use nix::libc::{NI_NAMEREQD, NI_NUMERICSERV};
use tokio::sync::mpsc;

use super::letter::Letter;
use crate::engine::host::HostName;
use crate::engine::time::Timestamp;

/// How many hosts are asked for at once.
const MOST_ASKED: usize = 8;

/// How long an answer is waited for; then the host has no address.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many addresses of a host are asked for their names. A name that stands for more hosts stands for none.
const MOST_ADDRESSES: usize = 16;

/// How long an answer holds,
const FOUND_FOR: Duration = Duration::from_secs(300);

/// and how long that there is none: it may be there soon.
const LOST_FOR: Duration = Duration::from_secs(60);

/// How many answers are remembered: with names and addresses of full length some 7 MB.
const MOST_KEPT: usize = 10_000;

/// How many names are told of, where that is wanted; attackers decide how many there are.
const MOST_TOLD: usize = 1_000;

/// How soon it is tried again to ask when there was no thread to do it.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What is known of hosts, and what is being found out.
#[derive(Debug)]
pub struct Lookups {
    /// Where answers go.
    inbox: mpsc::Sender<Letter>,
    answers: BTreeMap<HostName, Answer>,
    asked: BTreeMap<HostName, Asked>,
    told: usize,
    /// When asking is tried again, if there was no thread.
    again: Option<Timestamp>,
}

#[derive(Debug)]
struct Answer {
    addresses: Vec<IpAddr>,
    until: Timestamp,
}

/// Somebody asks, also after nobody waits any more.
#[derive(Clone, Copy, Debug)]
struct Asked {
    until: Timestamp,
    is_waited_for: bool,
}

impl Lookups {
    /// Nothing is known yet.
    pub fn new(inbox: mpsc::Sender<Letter>) -> Self {
        Lookups {
            inbox,
            answers: BTreeMap::new(),
            asked: BTreeMap::new(),
            told: 0,
            again: None,
        }
    }

    /// What is known of a host.
    pub fn known(&self, host: &HostName, now: Timestamp) -> Option<&[IpAddr]> {
        let answer = self.answers.get(host).filter(|answer| answer.until > now);
        answer.map(|answer| &*answer.addresses)
    }

    /// Whether a further host could be asked for.
    pub fn has_room(&self) -> bool {
        self.asked.len() < MOST_ASKED
    }

    /// Asks for the first of these hosts that nobody asks for yet, as many as there is room for.
    pub fn ask<'h>(&mut self, hosts: impl IntoIterator<Item = &'h HostName>, now: Timestamp) {
        self.again = None;
        for host in hosts {
            if !self.has_room() {
                return;
            }
            if self.asked.contains_key(host) {
                continue;
            }
            let (asked, inbox) = (host.clone(), self.inbox.clone());
            let asking = Builder::new().name("lookup".to_owned()).spawn(move || {
                let addresses = confirmed(&asked, Instant::now() + PATIENCE);
                // Only when the daemon ends nobody wants to know.
                let _ = inbox.blocking_send(Letter::Named {
                    host: asked,
                    addresses,
                });
            });
            if let Err(error) = asking {
                log::debug!("no thread to look up a name: {error}");
                self.again = Some(now.after(ASK_AGAIN));
                return;
            }
            let asked = Asked {
                until: now.after(PATIENCE),
                is_waited_for: true,
            };
            self.asked.insert(host.clone(), asked);
        }
    }

    /// Takes note of an answer.
    pub fn hear(&mut self, host: &HostName, addresses: &[IpAddr], now: Timestamp) {
        self.asked.remove(host);
        self.keep(host, addresses, now);
    }

    /// A host that has been waited for too long, and is no more: it has no address for now.
    pub fn give_up(&mut self, now: Timestamp) -> Option<HostName> {
        let overdue = |asked: &Asked| asked.is_waited_for && asked.until <= now;
        let mut asked = self.asked.iter_mut();
        let (host, asked) = asked.find(|(_, asked)| overdue(asked))?;
        asked.is_waited_for = false;
        let host = host.clone();
        self.keep(&host, &[], now);
        Some(host)
    }

    /// When [`Lookups::give_up`] may have an answer, or asking is tried again.
    pub fn next(&self) -> Option<Timestamp> {
        let waited_for = self.asked.values().filter(|asked| asked.is_waited_for);
        waited_for.map(|asked| asked.until).chain(self.again).min()
    }

    /// Whether a name may be told of, and whether that was the last one.
    pub fn tells(&mut self) -> Option<bool> {
        self.told = (self.told + 1).min(MOST_TOLD + 1);
        (self.told <= MOST_TOLD).then_some(self.told == MOST_TOLD)
    }

    /// The clock was set: what was to hold until a certain time does no longer, and patience begins anew.
    pub fn begin_anew(&mut self, now: Timestamp) {
        self.answers.clear();
        self.again = self.again.map(|_| now);
        for asked in self.asked.values_mut() {
            asked.until = now.after(PATIENCE);
        }
    }

    fn keep(&mut self, host: &HostName, addresses: &[IpAddr], now: Timestamp) {
        let lasting = match addresses {
            [] => LOST_FOR,
            _ => FOUND_FOR,
        };
        if self.answers.len() >= MOST_KEPT && !self.answers.contains_key(host) {
            self.answers.retain(|_, answer| answer.until > now);
        }
        if self.answers.len() >= MOST_KEPT && !self.answers.contains_key(host) {
            let mut oldest = self.answers.iter();
            let oldest = oldest.by_ref().min_by_key(|(_, answer)| answer.until);
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                self.answers.remove(&oldest);
            }
        }
        let answer = Answer {
            addresses: addresses.to_vec(),
            until: now.after(lasting),
        };
        self.answers.insert(host.clone(), answer);
    }
}

/// The addresses of a host that confirm it, as far as that is known by `deadline`.
fn confirmed(host: &HostName, deadline: Instant) -> Vec<IpAddr> {
    let Ok(found) = (host.as_str(), 0).to_socket_addrs() else {
        return Vec::new();
    };
    let mut addresses: Vec<_> = found.map(|found| found.ip().to_canonical()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MOST_ADDRESSES);
    addresses
        .retain(|address| Instant::now() < deadline && name_of(*address).as_ref() == Some(host));
    addresses
}

/// The name by which the system knows an address.
fn name_of(address: IpAddr) -> Option<HostName> {
    let flags = NI_NAMEREQD | NI_NUMERICSERV;
    let (name, _) = dns_lookup::getnameinfo(&SocketAddr::new(address, 0), flags).ok()?;
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: usize) -> HostName {
        format!("h{number}.example.org").parse().expect("a name")
    }

    fn lookups() -> (Lookups, mpsc::Receiver<Letter>) {
        let (inbox, letters) = mpsc::channel(16);
        (Lookups::new(inbox), letters)
    }

    #[test]
    fn an_answer_is_remembered_for_a_while() {
        let (start, (mut lookups, _letters)) = (Timestamp::default(), lookups());
        let address = IpAddr::from([192, 0, 2, 1]);
        lookups.hear(&host(1), &[address], start);
        lookups.hear(&host(2), &[], start);
        let before = |span: Duration| start.after(span - Duration::from_millis(1));
        assert_eq!(
            lookups.known(&host(1), before(FOUND_FOR)),
            Some(&[address][..])
        );
        assert_eq!(lookups.known(&host(1), start.after(FOUND_FOR)), None);
        assert_eq!(lookups.known(&host(2), before(LOST_FOR)), Some(&[][..]));
        assert_eq!(lookups.known(&host(2), start.after(LOST_FOR)), None);
        assert_eq!(lookups.known(&host(3), start), None);
    }

    #[test]
    fn few_are_asked_for_at_once_and_none_is_waited_for_very_long() {
        let (start, (mut lookups, _letters)) = (Timestamp::default(), lookups());
        let hosts: Vec<_> = (0..20).map(host).collect();
        lookups.ask(&hosts, start);
        lookups.ask(&hosts, start);
        let asked: Vec<_> = lookups.asked.keys().cloned().collect();
        assert_eq!(asked, hosts[..MOST_ASKED], "the first ones");
        assert!(!lookups.has_room());
        assert_eq!(lookups.next(), Some(start.after(PATIENCE)));
        assert_eq!(lookups.give_up(start), None);
        let late = start.after(PATIENCE);
        let given_up: Vec<_> = std::iter::from_fn(|| lookups.give_up(late)).collect();
        assert_eq!(given_up, asked);
        assert_eq!(
            (lookups.next(), lookups.has_room()),
            (None, false),
            "they still ask"
        );
        assert_eq!(lookups.known(&asked[0], late), Some(&[][..]));
        let address = IpAddr::from([192, 0, 2, 1]);
        lookups.hear(&asked[0], &[address], late);
        assert_eq!(
            lookups.known(&asked[0], late),
            Some(&[address][..]),
            "better late than never"
        );
        assert!(lookups.has_room());
        lookups.ask(&hosts[19..], late);
        lookups.begin_anew(start);
        assert_eq!(
            lookups.next(),
            Some(start.after(PATIENCE)),
            "by a clock that was set"
        );
        assert_eq!(lookups.known(&asked[0], start), None);
    }

    #[test]
    fn attackers_fill_no_memory_and_no_log() {
        let (start, (mut lookups, _letters)) = (Timestamp::default(), lookups());
        for number in 0..MOST_KEPT + 10 {
            lookups.hear(
                &host(number),
                &[],
                start.after(Duration::from_millis(number as u64)),
            );
        }
        assert_eq!(lookups.answers.len(), MOST_KEPT);
        assert_eq!(lookups.known(&host(9), start), None, "the oldest go");
        assert!(lookups.known(&host(10), start).is_some());
        let told: Vec<_> = (0..2 * MOST_TOLD).filter_map(|_| lookups.tells()).collect();
        assert_eq!(told.len(), MOST_TOLD);
        assert_eq!(told.iter().position(|last| *last), Some(MOST_TOLD - 1));
    }
}
