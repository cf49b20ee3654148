//! Who may ask, and how far has he come?
//!
//! A bouncer is known by its key, its address and what it calls itself; for each is remembered what it knows already.
//! Whoever is not remembered is told everything, which costs time and nothing else.

use std::collections::HashMap;
use std::net::IpAddr;

use subtle::ConstantTimeEq;

use super::super::secret::{Opened, Secret, SecretError};
use super::listing::Position;

/// How many bouncers are remembered: more than any machine has. Beyond that, whoever has not asked for longest is
/// forgotten and told everything anew.
const MOST_BOUNCERS: usize = 256;

/// How much of what a bouncer calls itself tells it from others.
const LONGEST_NAME: usize = 120;

/// The keys, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Opened>);

/// The number of a key in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyNumber(usize);

impl Keys {
    /// Reads them; of those that cannot be read the first is told, and the others are good.
    pub fn read(secrets: &[Secret]) -> (Keys, Option<SecretError>) {
        let mut trouble = None;
        let mut keys = Vec::new();
        for secret in secrets {
            match secret.open() {
                Ok(key) => keys.push(key),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        (Keys(keys), trouble)
    }

    /// Which key this is. How long that takes tells nobody how much of it is right.
    pub fn find(&self, text: &[u8]) -> Option<KeyNumber> {
        let mut found = None;
        for (number, key) in self.0.iter().enumerate() {
            if bool::from(key.reveal().as_bytes().ct_eq(text)) {
                found = Some(KeyNumber(number));
            }
        }
        found
    }
}

/// A bouncer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bouncer {
    key: KeyNumber,
    address: IpAddr,
    /// What it calls itself. Nothing depends on it but whether two that share a key are told apart.
    name: Vec<u8>,
}

impl Bouncer {
    /// Who asks with this key from this address.
    pub fn new(key: KeyNumber, address: IpAddr, name: &[u8]) -> Bouncer {
        Bouncer {
            key,
            address,
            name: name[..name.len().min(LONGEST_NAME)].to_vec(),
        }
    }
}

/// What the bouncers know.
#[derive(Debug, Default)]
pub struct Bouncers {
    known: HashMap<Bouncer, Known>,
    asked: u64,
}

#[derive(Debug)]
struct Known {
    position: Position,
    asked: u64,
}

impl Bouncers {
    /// Up to where it knows everything; `None` if nobody knows.
    pub fn position(&mut self, bouncer: &Bouncer) -> Option<Position> {
        self.asked += 1;
        let known = self.known.get_mut(bouncer)?;
        known.asked = self.asked;
        Some(known.position)
    }

    /// It knows everything up to there.
    pub fn told(&mut self, bouncer: Bouncer, position: Position) {
        self.asked += 1;
        if self.known.len() >= MOST_BOUNCERS && !self.known.contains_key(&bouncer) {
            let longest_silent = self.known.iter().min_by_key(|(_, known)| known.asked);
            if let Some(silent) = longest_silent.map(|(silent, _)| silent.clone()) {
                self.known.remove(&silent);
            }
        }
        let asked = self.asked;
        self.known.insert(bouncer, Known { position, asked });
    }

    /// It knows nothing.
    pub fn forget(&mut self, bouncer: &Bouncer) {
        self.known.remove(bouncer);
    }

    /// Nobody knows anything: other keys have their numbers now.
    pub fn forget_all(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn whoever_asks_is_remembered_and_others_are_forgotten() {
        let key = KeyNumber(0);
        let bouncer =
            |number: u32| Bouncer::new(key, Ipv4Addr::from_bits(number).into(), b"curl/8");
        let mut bouncers = Bouncers::default();
        bouncers.told(bouncer(0), Position(7));
        for number in 1..2_000 {
            assert_eq!(
                bouncers.position(&bouncer(0)),
                Some(Position(7)),
                "it asks on"
            );
            bouncers.told(bouncer(number), Position(1));
            assert!(bouncers.known.len() <= MOST_BOUNCERS);
        }
        assert_eq!(bouncers.position(&bouncer(1)), None, "it did not");
        let other = Bouncer::new(key, Ipv4Addr::from_bits(0).into(), b"Traefik");
        assert_eq!(bouncers.position(&other), None, "it is another");
        bouncers.forget(&bouncer(0));
        assert_eq!(bouncers.position(&bouncer(0)), None);
    }
}
