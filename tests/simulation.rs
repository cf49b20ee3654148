//! A day of attacks and of people who mistype, with known truth: who is banned, and who is not?
//!
//! An sshd stands behind f2bd's own engine, once with the settings that it has without configuration, once with those
//! that f2bd.conf(5) recommends. The table of what became of whom is printed with `--nocapture`, and written
//! to `simulation.txt` in the directory for temporary files of the build, `target/tmp`.

mod attacks;
mod day;
mod gate;
mod people;
mod table;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::man;
use crate::support::dice::Dice;
use attacks::{BRUTE_FORCE, IPV4_NETWORK, IPV6_NETWORK, SLOW, SPRAYING};
use day::Day;
use gate::Judged;
use table::{Row, Table};

/// Nobody is banned for what he does in a day.
const OPEN: &str = "[jail.sshd]\nmaxretry = 1000\n";

/// Maxretry and findtime, as they are without a word about them.
const PLAIN: &str = "[jail.sshd]\n";

/// An address somewhere in the world, which is that of no real machine, hence not of this one either.
fn stranger(dice: &mut Dice) -> IpAddr {
    let number = dice.below(14 << 24) as u32;
    Ipv4Addr::from((241 << 24) + number).into()
}

#[test]
fn attackers_are_banned_and_people_are_not() {
    let mut dice = Dice::new(3);
    let mut day = Day::default();
    attacks::attack(&mut day, &mut dice);
    people::log_in(&mut day, &mut dice);

    let mut open = Judged::by(OPEN, &day);
    for class in &day.classes {
        for (address, host) in &class.hosts {
            let counted = open.failures.remove(address).unwrap_or(0);
            let name = class.name;
            assert_eq!(counted, host.wrong, "wrong passwords of {address}, {name}");
        }
    }
    assert!(open.failures.is_empty(), "{:?}", open.failures);

    let plain = Judged::by(PLAIN, &day);
    let recommended = Judged::by(&man::configuration("Recommended is"), &day);
    let rows = day.classes.iter();
    let rows = rows.map(|class| Row::new(class, &plain, &recommended));
    let table = Table(rows.collect());
    eprintln!("\n{table}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simulation.txt");
    fs::write(path, table.to_string()).unwrap();

    let brute_force = table.row(BRUTE_FORCE);
    assert_eq!(brute_force.plain.banned, brute_force.hosts);
    for unseen in [SLOW, SPRAYING, IPV4_NETWORK, IPV6_NETWORK] {
        let row = table.row(unseen);
        assert_eq!(row.plain.banned, 0, "no attack of its kind: {row:?}");
    }

    for found in [BRUTE_FORCE, SLOW, SPRAYING, IPV4_NETWORK, IPV6_NETWORK] {
        let row = table.row(found);
        assert_eq!(row.recommended.banned, row.hosts, "{row:?}");
    }
    // What a host can guess before its first ban, and between that and a longer one.
    let heard = brute_force.tries - brute_force.recommended.kept_out;
    assert!(heard <= 20 * brute_force.hosts, "{brute_force:?}");
    for row in table.honest() {
        assert_eq!(row.recommended.banned, 0, "{row:?}");
    }
}
