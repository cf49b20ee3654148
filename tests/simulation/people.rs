//! People who log in, and mistype.
//!
//! Each of them gets the password wrong at one login of the day at least, and logs in then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::day::{Class, Connection, Day, HOUR, Intent, MINUTE};
use super::stranger;
use crate::support::dice::Dice;

/// How many there are.
const ALL: u16 = 500;

/// Who shares an address with others,
const BEHIND_NAT: u16 = 20;

/// who has an address of his own in the network of a campus,
const ON_CAMPUS: u16 = 40;

/// and who is a customer of a provider that serves them all from one /48.
const OF_PROVIDER: u16 = 40;

const NAT: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 1);
const CAMPUS: Ipv4Addr = Ipv4Addr::new(240, 0, 1, 0);

/// The account of one of them.
pub fn account(number: u16) -> String {
    format!("jo{number}")
}

/// Whether there is such an account.
pub fn have_account(name: &str) -> bool {
    name == "root"
        || name
            .strip_prefix("jo")
            .is_some_and(|number| number.parse::<u16>().is_ok_and(|number| number < ALL))
}

/// Writes what they do.
pub fn log_in(day: &mut Day, dice: &mut Dice) {
    let at_home = ALL - BEHIND_NAT - ON_CAMPUS - OF_PROVIDER;
    let mut first = 0;
    let mut place = |name, count, address: fn(u16, &mut Dice) -> IpAddr| {
        let mut class = Class::new(name, Intent::Honest);
        for number in 0..count {
            let address = address(number, dice);
            one_of_them(day, &mut class, address, &account(first + number), dice);
        }
        first += count;
        day.classes.push(class);
    };
    place("people at home", at_home, |_, dice| stranger(dice));
    place("people behind one address", BEHIND_NAT, |_, _| NAT.into());
    place("people of one /24", ON_CAMPUS, |number, _| {
        Ipv4Addr::from(CAMPUS.to_bits() + 1 + u32::from(number)).into()
    });
    place("people of one /48", OF_PROVIDER, |number, _| {
        // Each customer has a /56.
        Ipv6Addr::new(0x2001, 0xdb8, 1, number << 8, 0, 0, 0, 7).into()
    });
}

fn one_of_them(day: &mut Day, class: &mut Class, address: IpAddr, account: &str, dice: &mut Dice) {
    let logins = 1 + dice.below(4);
    let sleepy = dice.below(logins);
    // Most come in the morning, at about nine.
    let first = 7 * HOUR + up_to(2 * HOUR, dice) + up_to(2 * HOUR, dice);
    for login in 0..logins {
        let later = if login == 0 {
            0
        } else {
            up_to(11 * HOUR, dice)
        };
        let wrong = match (login == sleepy, dice.below(100)) {
            (true, 0..70) => 1,
            (true, 70..90) => 2,
            (true, _) => 3,
            (false, 0..8) => 1,
            (false, 8..11) => 2,
            (false, 11) => 3,
            (false, _) => 0,
        };
        let mut connect = |second, wrong, is_let_in| {
            let connection = Connection {
                second,
                address,
                account,
                wrong,
                is_let_in,
            };
            day.connect(class, connection);
        };
        let second = first + later;
        // The client of OpenSSH asks three times; the fourth time is another connection.
        connect(second, wrong, wrong < 3);
        if wrong == 3 {
            connect(second + MINUTE, 0, true);
        }
    }
}

fn up_to(bound: u32, dice: &mut Dice) -> u32 {
    u32::try_from(dice.below(bound.into())).unwrap()
}
