//! Facts about names that look like addresses: in the database neither is ever taken for the other.

use super::{HOUR, MINUTE, at, ban, home, shell, subject};
use f2bd::engine::Decision;
use f2bd::engine::decision::{Ban, Notice};
use f2bd::engine::subject::{Name, Subject};
use f2bd::engine::time::BanTime;
use f2bd::store::Store;

/// The address's ban, and later that of a user who calls himself like it, in the same jail.
fn likes() -> (Ban, Ban) {
    let address = Ban {
        offence: 7,
        ..ban(1, 0, "192.0.2.1", BanTime::For(HOUR), &[])
    };
    let name = Ban {
        subject: Subject::Name(Name::of("192.0.2.1").unwrap()),
        ..ban(2, 10, "192.0.2.1", BanTime::For(HOUR), &[])
    };
    (address, name)
}

#[test]
fn a_name_does_not_hide_the_offences_of_an_address() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let (address, name) = likes();
    let batch = [address.clone(), name.clone()].map(Decision::Ban);
    store.commit(at(10), &batch, None).unwrap();
    let offences = store.remembered(at(11), HOUR).unwrap().offences;
    let of = |subject: &Subject| {
        let mut found = offences.iter().filter(|(_, whose, _)| whose == subject);
        found.next().map(|(_, _, offence)| offence.number)
    };
    assert_eq!(of(&address.subject), Some(7));
    assert_eq!(of(&name.subject), Some(1));
    let Some(told) = shell(&path, "SELECT bancount FROM bips ORDER BY bancount") else {
        return;
    };
    assert_eq!(told, "1\n7\n");
}

#[test]
fn a_name_has_not_the_bans_of_an_address() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let (address, name) = likes();
    let batch = [Decision::Ban(name.clone())];
    store.commit(at(10), &batch, None).unwrap();
    let has = |whose: &Subject| store.has_ban(&name.jail, whose, name.start).unwrap();
    assert!(has(&name.subject));
    assert!(!has(&address.subject));
}

#[test]
fn a_ban_that_does_not_work_says_nothing_of_another() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let (address, name) = likes();
    let batch = [
        Decision::Ban(address.clone()),
        Decision::Ban(name.clone()),
        Decision::Notice(Notice::Unhindered {
            ban: address.clone(),
            time: at(20),
            wider: Vec::new(),
            cause: Some("port 2222 is open".into()),
        }),
    ];
    store.commit(at(20), &batch, None).unwrap();
    let remembered = store.remembered(at(20).after(MINUTE), HOUR).unwrap();
    assert_eq!(
        *remembered.unhindered,
        [(address.jail, subject("192.0.2.1"), at(20))]
    );
    let told = store.why_unhindered(address.id).unwrap();
    assert_eq!(told.as_deref(), Some("port 2222 is open"));
    assert_eq!(store.why_unhindered(name.id).unwrap(), None);
}
