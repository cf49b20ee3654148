//! Those who guess passwords, each kind in its own way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::day::{Class, Connection, DAY, Day, HOUR, Intent, MINUTE};
use super::{people, stranger};
use crate::support::dice::Dice;

pub const BRUTE_FORCE: &str = "brute force by single hosts";
pub const SLOW: &str = "slow brute force";
pub const SPRAYING: &str = "password spraying";
pub const IPV4_NETWORK: &str = "a /24 that rotates its hosts";
pub const IPV6_NETWORK: &str = "a /48 that rotates its /64s";

/// What everybody guesses first.
const USUAL_ACCOUNTS: [&str; 10] = [
    "root", "admin", "test", "oracle", "postgres", "ubuntu", "git", "ftpuser", "pi", "deploy",
];

/// Writes what they do.
pub fn attack(day: &mut Day, dice: &mut Dice) {
    for (name, kind) in [
        (BRUTE_FORCE, brute_force as fn(&mut Attack<'_>)),
        (SLOW, slow_brute_force),
        (SPRAYING, spraying),
        (IPV4_NETWORK, ipv4_network),
        (IPV6_NETWORK, ipv6_network),
    ] {
        let mut class = Class::new(name, Intent::Hostile);
        kind(&mut Attack {
            day,
            class: &mut class,
            dice,
        });
        day.classes.push(class);
    }
}

/// A kind of attack while it is written.
struct Attack<'a> {
    day: &'a mut Day,
    class: &'a mut Class,
    dice: &'a mut Dice,
}

impl Attack<'_> {
    fn guess(&mut self, second: u32, address: IpAddr, account: &str) {
        let connection = Connection {
            second,
            address,
            account,
            wrong: 1,
            is_let_in: false,
        };
        self.day.connect(self.class, connection);
    }

    fn usual_account(&mut self) -> &'static str {
        USUAL_ACCOUNTS[self.dice.below(USUAL_ACCOUNTS.len() as u64) as usize]
    }

    fn between(&mut self, least: u32, most: u32) -> u32 {
        least + self.dice.below(u64::from(most - least)) as u32
    }

    /// From the morning to the evening, each time from the next of the addresses.
    fn rotate(&mut self, addresses: &[IpAddr], every: u32) {
        let mut addresses = addresses.iter().cycle();
        let mut second = HOUR;
        while second < 23 * HOUR {
            let account = self.usual_account();
            self.guess(second, *addresses.next().unwrap(), account);
            second += self.between(every / 2, every * 3 / 2);
        }
    }
}

/// Twenty hosts, of which each guesses the password of root for three or four hours.
fn brute_force(attack: &mut Attack<'_>) {
    for _ in 0..20 {
        let address = stranger(attack.dice);
        let mut second = attack.between(0, 19 * HOUR);
        for _ in 0..300 {
            attack.guess(second, address, "root");
            second += attack.between(20, 70);
        }
    }
}

/// Twenty hosts, of which each makes three to six tries an hour, all day.
fn slow_brute_force(attack: &mut Attack<'_>) {
    for _ in 0..20 {
        let address = stranger(attack.dice);
        let mut second = attack.between(0, HOUR);
        while second < DAY - MINUTE {
            let account = attack.usual_account();
            attack.guess(second, address, account);
            second += attack.between(10 * MINUTE, 20 * MINUTE);
        }
    }
}

/// Two thousand hosts, of which each tries the same few passwords on three accounts, some of them of people.
fn spraying(attack: &mut Attack<'_>) {
    let people = (0..30).map(|number| people::account(number * 16));
    let accounts = people.chain(USUAL_ACCOUNTS.map(str::to_owned));
    let mut accounts = accounts.collect::<Vec<_>>().into_iter().cycle();
    for _ in 0..2_000 {
        let address = stranger(attack.dice);
        for account in accounts.by_ref().take(3) {
            let second = attack.between(0, DAY - MINUTE);
            attack.guess(second, address, &account);
        }
    }
}

/// Every host of a network comes once in three hours.
fn ipv4_network(attack: &mut Attack<'_>) {
    let addresses = (1..255).map(|host| Ipv4Addr::new(240, 66, 6, host).into());
    attack.rotate(&addresses.collect::<Vec<_>>(), 45);
}

/// Each try comes from a network of its own, which is used again after some hours.
fn ipv6_network(attack: &mut Attack<'_>) {
    let addresses = (0..500).map(|number| {
        let host = attack.dice.below(1 << 16) as u16;
        Ipv6Addr::new(0x2001, 0xdb8, 0x666, number * 131, 0, 0, 0, host).into()
    });
    let addresses: Vec<_> = addresses.collect();
    attack.rotate(&addresses, 45);
}
