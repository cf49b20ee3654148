//! Which addresses do hosts have?
//!
//! The system's resolver is asked, so that the hosts file and whatever else the machine is set up with count. It tells
//! no time to live, but it, or the server behind it, keeps an answer for as long: asking it again and again brings a
//! new address when the old one is over, and costs the world nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::engine::policy::SetName;

/// How often each name is asked for. Addresses that change are published with a time to live of a minute or more.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Each host name is asked for on a thread of its own; more would be a list of addresses.
pub const MOST_HOST_NAMES: usize = 64;

/// The addresses of a host.
pub type Answer = io::Result<Vec<IpAddr>>;

/// The names that are wanted.
#[derive(Debug, Default)]
pub struct Names {
    names: BTreeMap<Box<str>, Name>,
    /// Whether there were more than there may be, which is told once.
    too_many: bool,
}

#[derive(Debug)]
struct Name {
    /// A set that wants it.
    user: SetName,
    addresses: Vec<IpAddr>,
    state: State,
    /// Whether it could not be found when it was asked for last.
    is_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for then.
    Due(Instant),
    /// Somebody is asking.
    Asked,
}

impl Names {
    /// Wants these names and no others, of which those that stay are kept; a set that wants more than there may be, if
    /// that is new.
    pub fn want(
        &mut self,
        names: impl Iterator<Item = (Box<str>, SetName)>,
        now: Instant,
    ) -> Option<SetName> {
        let mut old = std::mem::take(&mut self.names);
        let mut surplus = None;
        for (name, user) in names {
            if self.names.contains_key(&name) {
                continue;
            }
            if self.names.len() == MOST_HOST_NAMES {
                surplus = Some(user);
                break;
            }
            let new = || Name {
                user,
                addresses: Vec::new(),
                state: State::Due(now),
                is_lost: false,
            };
            let known = old.remove(&name).unwrap_or_else(new);
            self.names.insert(name, known);
        }
        let is_told = std::mem::replace(&mut self.too_many, surplus.is_some());
        surplus.filter(|_| !is_told)
    }

    /// Lets all of them be asked for at once.
    pub fn hurry(&mut self, now: Instant) {
        for name in self.names.values_mut() {
            if let State::Due(due) = &mut name.state {
                *due = now;
            }
        }
    }

    /// The names to be asked for now; whoever takes them asks.
    pub fn due(&mut self, now: Instant) -> Vec<Box<str>> {
        let due = self
            .names
            .iter_mut()
            .filter(|(_, name)| matches!(name.state, State::Due(due) if due <= now));
        due.map(|(text, name)| {
            name.state = State::Asked;
            text.clone()
        })
        .collect()
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        let due = self.names.values().filter_map(|name| match name.state {
            State::Due(due) => Some(due),
            State::Asked => None,
        });
        due.min()
    }

    /// Takes note of an answer. Whether the name could be found before and cannot now; its addresses stay then, since
    /// whoever has them is innocent of that.
    pub fn hear(&mut self, name: &str, answer: Answer, now: Instant) -> bool {
        let Some(known) = self.names.get_mut(name) else {
            return false;
        };
        known.state = State::Due(now + ASK_EVERY);
        match answer {
            Ok(mut addresses) if !addresses.is_empty() => {
                addresses.sort_unstable();
                addresses.dedup();
                known.addresses = addresses;
                known.is_lost = false;
                false
            }
            _ => !std::mem::replace(&mut known.is_lost, true),
        }
    }

    /// Stops waiting for those that were asked for and have not answered; which these are.
    pub fn give_up(&mut self, now: Instant) -> Vec<Box<str>> {
        let asked = self
            .names
            .iter_mut()
            .filter(|(_, name)| name.state == State::Asked);
        asked
            .map(|(text, name)| {
                name.state = State::Due(now + ASK_EVERY);
                name.is_lost = true;
                text.clone()
            })
            .collect()
    }

    /// The addresses that a host had last.
    pub fn addresses(&self, name: &str) -> impl Iterator<Item = IpAddr> {
        let known = self.names.get(name);
        known
            .into_iter()
            .flat_map(|name| name.addresses.iter().copied())
    }

    /// A set that wants a name.
    pub fn user(&self, name: &str) -> SetName {
        let known = self.names.get(name).map(|name| name.user.clone());
        known.unwrap_or_else(|| SetName::Host(name.into()))
    }
}

/// Asks for the addresses of a host on a thread of its own, since the answer may take its time.
///
/// # Errors
/// There is no thread, and nobody asks.
pub fn ask(name: Box<str>, hear: impl FnOnce(Answer) + Send + 'static) -> io::Result<()> {
    let asking = Builder::new().name("resolve".to_owned());
    asking.spawn(move || {
        let addresses = (&*name, 0_u16).to_socket_addrs();
        hear(addresses.map(|list| list.map(|address| address.ip()).collect()));
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "home.example.org";

    fn wanted(names: &[&str]) -> Vec<(Box<str>, SetName)> {
        let one = |name: &&str| ((*name).into(), SetName::Host((*name).into()));
        names.iter().map(one).collect()
    }

    fn found(last: u8) -> Answer {
        Ok(vec![[192, 0, 2, last].into()])
    }

    fn addresses(names: &Names) -> Vec<IpAddr> {
        names.addresses(HOME).collect()
    }

    #[test]
    fn a_name_is_asked_for_again_and_one_that_is_lost_keeps_its_addresses() {
        let start = Instant::now();
        let mut names = Names::default();
        names.want(wanted(&[HOME]).into_iter(), start);
        assert_eq!(names.due(start), [HOME.into()]);
        assert_eq!(
            (names.due(start).len(), names.next()),
            (0, None),
            "asked once"
        );
        assert!(!names.hear(HOME, found(1), start));
        assert_eq!(names.next(), Some(start + ASK_EVERY));
        assert_eq!(names.due(start + ASK_EVERY / 2).len(), 0);
        let later = start + ASK_EVERY;
        assert_eq!(names.due(later), [HOME.into()]);
        assert!(names.hear(HOME, Ok(Vec::new()), later), "told once");
        assert!(!names.hear(HOME, Err(io::ErrorKind::NotFound.into()), later));
        assert_eq!(addresses(&names), [IpAddr::from([192, 0, 2, 1])]);
        assert!(!names.hear(HOME, found(2), later));
        assert_eq!(addresses(&names), [IpAddr::from([192, 0, 2, 2])]);
        assert!(names.hear(HOME, Ok(Vec::new()), later), "told anew");
    }

    #[test]
    fn names_that_stay_are_kept_and_more_than_there_may_be_are_told_once() {
        let start = Instant::now();
        let mut names = Names::default();
        names.want(wanted(&[HOME]).into_iter(), start);
        names.hear(HOME, found(1), start);
        let others: Vec<String> = (0..MOST_HOST_NAMES).map(|n| format!("h{n}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let all = [&[HOME], &others[..]].concat();
        assert!(names.want(wanted(&all).into_iter(), start).is_some());
        assert!(names.want(wanted(&all).into_iter(), start).is_none());
        assert_eq!(addresses(&names).len(), 1);
        assert_eq!(names.due(start).len(), MOST_HOST_NAMES - 1);
        names.want(wanted(&others).into_iter(), start);
        assert_eq!(addresses(&names).len(), 0, "nobody wants it");
        assert!(!names.hear(HOME, found(3), start), "a late answer");
        names.hurry(start);
        assert_eq!(names.next(), Some(start), "the one that had no room");
    }
}
