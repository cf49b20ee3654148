//! Countries and network operators: what databases tell, what is decided by it, and what a hostile one can do.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::process::Command;

use proptest::prelude::*;

use crate::support::mmdb::{Value, country, database, operator};
use crate::support::wait::until;
use crate::support::world::{F2BD, World};
use f2bd::engine::atlas::{Asn, Atlas, ListError, Region, Tables};
use f2bd::engine::prefix::Prefix;

fn atlas(countries: &[(&str, Value)], operators: &[(&str, Value)]) -> Atlas {
    let tables = |networks| Some(Tables::new(database(networks)).unwrap());
    Atlas {
        countries: tables(countries),
        operators: tables(operators),
    }
}

fn shown(atlas: &Atlas, subject: &str) -> String {
    let found = atlas.find_all(subject.parse().unwrap());
    let country = found.country.map(|country| country.to_string());
    let operator = found.operator.map(|operator| {
        let name = operator.name.unwrap_or_default();
        format!("{} {name}", operator.asn)
    });
    format!(
        "{} {}",
        country.unwrap_or_default(),
        operator.unwrap_or_default()
    )
}

#[test]
fn addresses_have_a_country_and_an_operator() {
    let atlas = atlas(
        &[
            ("192.0.2.0/24", country("DE")),
            ("192.0.2.128/25", country("FR")),
            ("2001:db8::/32", country("JP")),
            ("198.51.100.0/24", country("nowhere")),
        ],
        &[
            ("192.0.0.0/16", operator(64500, "Example Ltd")),
            ("2001:db8:7::/48", operator(4_294_967_295, &"x".repeat(200))),
            (
                "198.51.100.0/24",
                Value::Map(vec![("autonomous_system_number", country("DE"))]),
            ),
        ],
    );
    for (subject, expected) in [
        ("192.0.2.7", "DE AS64500 Example Ltd"),
        ("192.0.2.200", "FR AS64500 Example Ltd"),
        ("::ffff:192.0.2.200", "FR AS64500 Example Ltd"),
        ("192.0.2.0/25", "DE AS64500 Example Ltd"),
        ("192.0.2.0/24", " AS64500 Example Ltd"),
        ("192.0.0.0/8", " "),
        ("2001:db8:6::1", "JP "),
        (
            "2001:db8:7::/64",
            &format!("JP AS4294967295 {}", "x".repeat(80)),
        ),
        // Records that make no sense.
        ("198.51.100.7", " "),
        ("203.0.113.7", " "),
    ] {
        assert_eq!(shown(&atlas, subject), expected, "{subject}");
    }
    assert_eq!(shown(&Atlas::default(), "192.0.2.7"), " ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whoever writes the file can neither stop f2bd nor keep it busy.
    #[test]
    fn no_bytes_are_too_odd(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        front in prop::collection::vec(any::<u8>(), 0..40),
        addresses in prop::collection::vec(any::<u128>(), 1..8),
    ) {
        let mut bytes = database(&[
            ("192.0.2.0/24", country("DE")),
            ("0.0.0.0/1", operator(64500, "Example Ltd")),
            ("8000::/1", country("FR")),
        ]);
        if let Some(cut) = cut {
            bytes.drain(cut.index(bytes.len())..);
            bytes.splice(0..0, front);
        }
        for (place, byte) in changes {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        if let (Ok(countries), Ok(operators)) = (Tables::new(bytes.clone()), Tables::new(bytes)) {
            let atlas = Atlas { countries: Some(countries), operators: Some(operators) };
            for bits in addresses {
                let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
                atlas.find(address);
                atlas.find(IpAddr::V4(((bits >> 96) as u32).into()));
                atlas.find_all(Prefix::network(address, (bits % 129) as u8));
            }
            let _ = atlas.networks(Region::Country("DE".parse().unwrap()));
            let _ = atlas.networks(Region::Network(Asn(64500)));
        }
    }
}

proptest! {
    /// The networks of a region are all addresses that are found there, and no other.
    #[test]
    fn regions_are_what_is_found_in_them(
        networks in prop::collection::vec((0_u32..64, 26_u8..=32, any::<bool>(), 0..3_usize), 0..20),
        numbers in prop::collection::vec(0_u32..70, 1..50),
    ) {
        let codes = ["DE", "FR", "JP"];
        let address = |number: u32, wide: bool| match wide {
            true => IpAddr::V6(Ipv6Addr::from_bits(0x2a00 << 112 | u128::from(number))),
            false => IpAddr::from((0xc000_0200 | number).to_be_bytes()),
        };
        let mut networks: Vec<_> = networks.into_iter().map(|(number, width, wide, code)| {
            let width = if wide { width + 96 } else { width };
            (Prefix::network(address(number, wide), width), codes[code])
        }).collect();
        networks.sort_by_key(|(network, _)| network.width());
        let texts: Vec<_> = networks.iter().map(|(network, code)| (network.plain(), country(code))).collect();
        let texts: Vec<_> = texts.iter().map(|(network, value)| (network.as_str(), value.clone())).collect();
        let atlas = atlas(&texts, &[]);
        for code in codes {
            let region: Region = format!("country:{code}").parse().unwrap();
            let networks = atlas.networks(region).unwrap();
            for number in &numbers {
                for address in [address(*number, true), address(*number, false)] {
                    let found = atlas.find(address).country.map(|country| country.to_string());
                    let is_in = networks.iter().any(|network| network.contains(address));
                    prop_assert_eq!(is_in, found.as_deref() == Some(code), "{} {}", address, code);
                }
            }
        }
    }

    #[test]
    fn no_region_is_too_odd(word in "(country|asn)?:?.{0,12}") {
        if let Ok(region) = word.parse::<Region>() {
            prop_assert_eq!(region.to_string().parse(), Ok(region));
        }
    }
}

/// What is written to keep whoever lists the networks busy: of 128 nodes each leads to the next one twice.
#[test]
fn a_tree_that_is_no_tree_has_an_end() {
    let mut bytes = database(&[("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", country("DE"))]);
    let nodes = 128;
    for node in 0..nodes - 1_u32 {
        let at = node as usize * 8;
        bytes[at..at + 4].copy_from_slice(&(node + 1).to_be_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&(node + 1).to_be_bytes());
    }
    let atlas = Atlas {
        countries: Some(Tables::new(bytes).unwrap()),
        operators: None,
    };
    let error = atlas.networks("country:DE".parse().unwrap()).unwrap_err();
    assert!(matches!(error, ListError::Networks), "{error}");
}

#[test]
fn a_record_within_itself_ends() {
    // A map whose value is a pointer to the map.
    let mut bytes = database(&[("0.0.0.0/1", country("DE")), ("8000::/1", country("DE"))]);
    let start = bytes
        .windows(9)
        .position(|bytes| bytes == b"\xe1Gcountry")
        .unwrap();
    bytes[start + 9] = 1 << 5;
    bytes[start + 10] = 0;
    let atlas = Atlas {
        countries: Some(Tables::new(bytes).unwrap()),
        operators: None,
    };
    assert_eq!(shown(&atlas, "1.2.3.4"), " ");
}

const CLASSES: &str = "maxretry = 5\nbantime = \"1h\"\nignoreself = false\n\
    class = [{ country = [\"DE\", \"AT\"], maxretry = 2 }, { asn = [64500], maxretry = 1 }]";

#[test]
fn the_daemon_shows_where_who_is_banned_is_from() {
    let Some(world) = World::new("") else {
        return;
    };
    let [countries, operators] = ["countries", "operators"].map(|name| world.path().join(name));
    let configure = |jail: &str| {
        world.configure(jail, "");
        let config = fs::read_to_string(world.config()).unwrap();
        let named = format!("[daemon]\ncountry = {countries:?}\noperator = {operators:?}\n");
        fs::write(world.config(), config.replace("[daemon]\n", &named)).unwrap();
    };
    configure(CLASSES);
    let networks = [("198.51.100.0/24", operator(64500, "Example\u{1b} Ltd"))];
    fs::write(&operators, database(&networks)).unwrap();
    let daemon = world.start();
    let word = "countries cannot be read: No such file or directory";
    until("it is said that a database is not there", || {
        daemon.log().contains(word).then_some(())
    });
    let bans = "SELECT subject, failures FROM bans ORDER BY id";
    let until_banned = |expected: &str| {
        until(&format!("{expected:?} are banned"), || {
            (world.database().exists() && world.sql(bans) == expected).then_some(())
        });
    };
    world.attack("192.0.2.9", 2);
    world.attack("198.51.100.7", 1);
    until_banned("198.51.100.7|1");

    // What is there now is read by a reload.
    fs::write(&countries, database(&[("192.0.2.0/24", country("DE"))])).unwrap();
    assert!(world.f2bd(&["reload"]).status.success());
    let told = String::from_utf8(world.f2bd(&["explain", "192.0.2.9"]).stdout).unwrap();
    assert!(
        told.starts_with("192.0.2.9 is of DE.\n")
            && told.contains("2 failures within 10m make a ban, so 1 more would.")
            && told.contains("  It is of the class of DE or AT.\n"),
        "{told}"
    );
    world.attack("192.0.2.8", 2);
    until_banned("198.51.100.7|1\n192.0.2.8|2");
    let rows = world.json(&["bans"]);
    assert_eq!(rows[0]["operator"]["asn"], 64500);
    assert_eq!(rows[0]["operator"]["name"], "Example\\x1b Ltd");
    assert!(rows[0]["country"].is_null() && rows[1]["operator"].is_null());
    assert_eq!(rows[1]["country"], "DE");
    for command in ["bans", "history"] {
        let told = String::from_utf8(world.f2bd(&[command]).stdout).unwrap();
        assert!(
            told.lines().next().unwrap().ends_with("  FROM")
                && told.contains("  AS64500 Example\\x1b Ltd\n")
                && told.contains("  DE\n"),
            "{told}"
        );
        assert_eq!(world.json(&[command, "--jail", "sshd"]).len(), 2);
    }
    let history = world.json(&["history", "198.51.100.7"]).swap_remove(0);
    assert_eq!(history["operator"]["asn"], 64500);
    let explained = world.json(&["explain", "198.51.100.7"]).swap_remove(0);
    assert_eq!(explained["operator"]["asn"], 64500);
    assert_eq!(explained["verdicts"][0]["class"], "AS64500");
    assert_eq!(explained["verdicts"][0]["maxretry"], 1);

    // Whoever is ignored from now on is free, and no network is banned that he is in.
    let ignore = format!(
        "{CLASSES}\nignoreip = [\"country:DE\"]\nnetwork = {{ hosts = 2, maxretry = 2, ipv4 = 16 }}"
    );
    configure(&ignore);
    assert!(world.f2bd(&["reload"]).status.success());
    until("he is free", || {
        (world.json(&["bans"]).len() == 1).then_some(())
    });
    let told = String::from_utf8(world.f2bd(&["explain", "192.0.2.8"]).stdout).unwrap();
    assert!(
        told.contains("192.0.2.8 is never banned by jail sshd: ignoreip country:DE."),
        "{told}"
    );
    for subject in ["192.0.2.8", "192.0.0.0/8"] {
        assert_eq!(world.f2bd(&["ban", "sshd", subject]).status.code(), Some(1));
    }
    world.attack("192.0.1.1", 2);
    world.attack("192.0.1.2", 2);
    world.attack("198.51.7.7", 1);
    world.attack("198.51.7.8", 1);
    until("another network is banned", || {
        let bans = world.sql("SELECT ip FROM active_bans ORDER BY ip");
        (bans == "198.51.0.0/16").then_some(())
    });
    configure(CLASSES);

    // A broken one is told, and what it said is known no more.
    fs::write(&countries, "nothing").unwrap();
    assert!(world.f2bd(&["reload"]).status.success());
    let word = "countries is no MaxMind database";
    until("it is said that a database is broken", || {
        daemon.log().contains(word).then_some(())
    });
    let told = world.json(&["history", "192.0.2.8"]);
    assert!(told[0]["country"].is_null());
    daemon.stop();
}

#[test]
fn replay_judges_by_class_and_tries_others_out() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let networks = [
        ("192.0.2.0/26", country("DE")),
        ("192.0.2.64/26", country("FR")),
    ];
    fs::write(path("countries.mmdb"), database(&networks)).unwrap();
    let text = format!(
        "[daemon]\ncountry = {:?}\n[jail.sshd]\nignoreself = false\nmaxretry = 3\n\
         class = {{ country = [\"DE\"], maxretry = 1 }}\n",
        path("countries.mmdb")
    );
    fs::write(path("f2bd.conf"), text).unwrap();
    let line = |host: u8| {
        format!(
            "Feb 11 10:00:00 box sshd[{host}]: Failed password for jo from 192.0.2.{host} port 22 ssh2\n"
        )
    };
    fs::write(
        path("log"),
        [8, 72, 136].map(|host| line(host).repeat(2)).concat(),
    )
    .unwrap();
    let replay = |arguments: &[&str]| {
        let clock = ["--timezone", "UTC", "--now", "2026-03-01T00:00:00Z"];
        let mut command = Command::new(F2BD);
        command
            .arg("replay")
            .args(clock)
            .args(arguments)
            .arg("--config")
            .arg(path("f2bd.conf"));
        let output = command.arg(path("log")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = replay(&["--json"]);
    let banned = |told: &str| told.matches("\"decision\":\"ban\"").count();
    assert!(
        banned(&told) == 1 && told.contains("192.0.2.8/32"),
        "{told}"
    );
    let told = replay(&["--set", "class={country=[\"FR\"], maxretry=2}"]);
    assert!(
        told.contains("Banned in addition: 1\n") && told.contains("No longer banned: 1\n"),
        "{told}"
    );
}

#[test]
fn classes_are_named_as_they_are_meant() {
    let country = |code: &str| code.parse().unwrap();
    let class = f2bd::engine::jail::class::ClassRule {
        countries: vec![country("DE"), country("FR")],
        asns: vec![Asn(64500), Asn(64501)],
        maxretry: f2bd::engine::policy::MaxRetry(std::num::NonZeroU32::MIN),
    };
    assert_eq!(class.to_string(), "DE or FR, AS64500 or AS64501");
    let atlas = atlas(
        &[
            ("192.0.2.0/24", self::country("FR")),
            ("198.51.100.0/24", self::country("DE")),
        ],
        &[("192.0.2.0/25", operator(64501, "x"))],
    );
    let holds = |address: &str| class.holds(&atlas.find(address.parse().unwrap()));
    assert!(holds("192.0.2.7"));
    assert!(!holds("192.0.2.200"), "both, where both are named");
    assert!(!holds("198.51.100.7"));
    assert!(!holds("203.0.113.7"));
}
