//! Whom must no jail ban, lest somebody be locked out?
//!
//! Those who are logged in from elsewhere, the routers that all else is reached by, and the servers of names. They are
//! looked up in what the system writes of itself; what is not there guards nobody, and is no trouble.

use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use rustix::process::{Pid, test_kill_process};

use crate::engine::policy::{AddressSet, IgnoreRule};
use crate::engine::prefix::Prefix;

/// Where systemd-logind keeps a file for each session.
const SESSIONS: &str = "/run/systemd/sessions";

/// Where others note who is logged in.
const UTMP: &str = "/run/utmp";

/// Servers of names, as programs know them and as systemd-resolved does.
const RESOLVERS: &[&str] = &["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Routes come with the default ones first. A router of the internet has a million, of which no more is read.
const ROUTES: &[&str] = &["/proc/self/net/route", "/proc/self/net/ipv6_route"];

/// How much of each file is read: what concerns us is short, or comes first.
const MOST_BYTES: u64 = 256 * 1024;

/// How many sessions are looked at.
const MOST_SESSIONS: usize = 4_096;

/// All of them at this moment.
pub fn addresses() -> AddressSet {
    let rule = |(address, because): (IpAddr, String)| IgnoreRule {
        prefix: Prefix::host(address),
        because: because.into(),
    };
    let mut guarded: Vec<_> = sessions(Path::new(SESSIONS)).map(rule).collect();
    let logged_in = logins(&read(Path::new(UTMP)), record::SIZE, record::ADDRESS);
    guarded.extend(logged_in.into_iter().map(rule));
    for path in ROUTES {
        let text = read(Path::new(path));
        let table = String::from_utf8_lossy(&text);
        let because = "it is a default gateway of this machine".to_owned();
        guarded.extend(gateways(&table).map(|address| rule((address, because.clone()))));
    }
    for path in RESOLVERS {
        let text = read(Path::new(path));
        let text = String::from_utf8_lossy(&text);
        let because = "this machine asks it for names".to_owned();
        guarded.extend(resolvers(&text).map(|address| rule((address, because.clone()))));
    }
    // Own addresses are `ignoreself`'s to name.
    guarded.retain(|rule| !is_local(rule.prefix.address()));
    AddressSet::new(guarded)
}

fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// The beginning of a file; nothing if it cannot be read.
fn read(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    // What could be read is better than nothing.
    let _ = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text));
    text
}

/// The sessions of systemd-logind that are not about to end.
fn sessions(directory: &Path) -> impl Iterator<Item = (IpAddr, String)> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    // Beside each file there may be a pipe.
    let files = files.filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()));
    files
        .take(MOST_SESSIONS)
        .filter_map(|file| session(&String::from_utf8_lossy(&read(&file.path()))))
}

fn session(text: &str) -> Option<(IpAddr, String)> {
    let field = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    if field("STATE") == Some("closing") {
        return None;
    }
    let address = address(field("REMOTE_HOST")?)?;
    let user = field("USER").unwrap_or("somebody");
    Some((address, format!("{user} is logged in from it")))
}

/// An address, perhaps with the interface that it is reached by.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.split('%').next()?;
    text.parse().ok()
}

/// How the C library lays out a record of utmp(5), which depends on the machine.
mod record {
    /// What a whole one has; a `long` and two times are wider on this machine than on others.
    #[cfg(target_arch = "aarch64")]
    pub const SIZE: usize = 400;
    /// Where the address is.
    #[cfg(target_arch = "aarch64")]
    pub const ADDRESS: usize = 360;
    /// What a whole one has.
    #[cfg(not(target_arch = "aarch64"))]
    pub const SIZE: usize = 384;
    /// Where the address is.
    #[cfg(not(target_arch = "aarch64"))]
    pub const ADDRESS: usize = 348;
}

/// `USER_PROCESS`: a record of somebody who is logged in.
const LOGGED_IN: i16 = 7;

/// Who is logged in according to utmp(5), with records of `size` bytes that have the address `at` this place.
fn logins(utmp: &[u8], size: usize, at: usize) -> Vec<(IpAddr, String)> {
    let is_alive = |pid: i32| {
        Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    };
    let mut found = Vec::new();
    for entry in utmp.chunks_exact(size) {
        let kind = i16::from_ne_bytes([entry[0], entry[1]]);
        let pid = i32::from_ne_bytes([entry[4], entry[5], entry[6], entry[7]]);
        if kind != LOGGED_IN || pid <= 0 || !is_alive(pid) {
            continue;
        }
        let mut octets = [0; 16];
        octets.copy_from_slice(&entry[at..at + 16]);
        let address = match octets {
            [a, b, c, d, rest @ ..] if rest == [0; 12] => Ipv4Addr::new(a, b, c, d).into(),
            octets => IpAddr::V6(Ipv6Addr::from(octets)),
        };
        let user = entry[44..76].split(|byte| *byte == 0).next();
        let user = String::from_utf8_lossy(user.unwrap_or_default()).into_owned();
        found.push((address, format!("{user} is logged in from it")));
    }
    found
}

/// The gateways of default routes, in the kernel's table of either family.
fn gateways(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let gateway = match words[..] {
            // IPv6: destination, its width, source, its width, next hop.
            [to, "00", _, _, hop, ..] if to.len() == 32 && hop.len() == 32 => {
                IpAddr::V6(Ipv6Addr::from_bits(u128::from_str_radix(hop, 16).ok()?))
            }
            // IPv4: interface, destination, gateway, flags, ..., mask; numbers are as they lie in memory.
            [_, "00000000", hop, _, _, _, _, "00000000", ..] => {
                Ipv4Addr::from(u32::from_str_radix(hop, 16).ok()?.to_ne_bytes()).into()
            }
            _ => return None,
        };
        Some(gateway)
    })
}

/// The servers that a resolv.conf(5) names.
fn resolvers(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let key = words.next();
        key.filter(|key| *key == "nameserver")
            .and_then(|_| address(words.next()?))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_session_guards_whom_it_comes_from_until_it_closes() {
        let text = "# private\nUID=1000\nUSER=jo\nACTIVE=1\nSTATE=active\nREMOTE=1\nREMOTE_HOST=198.51.100.7\nSERVICE=sshd\n";
        let because = "jo is logged in from it".to_owned();
        assert_eq!(session(text), Some(([198, 51, 100, 7].into(), because)));
        assert_eq!(session(&text.replace("active", "closing")), None);
        assert_eq!(session(&text.replace("198.51.100.7", "a.example")), None);
        assert_eq!(session("USER=jo\nSTATE=active\n"), None, "at the machine");
        let link = session("REMOTE_HOST=fe80::1%eth0\n").map(|(address, _)| address);
        assert_eq!(link, "fe80::1".parse().ok());
    }

    /// A record as glibc writes it on most machines.
    fn login(kind: i16, pid: i32, user: &str, address: [u8; 16]) -> Vec<u8> {
        let mut entry = vec![0; 384];
        entry[..2].copy_from_slice(&kind.to_ne_bytes());
        entry[4..8].copy_from_slice(&pid.to_ne_bytes());
        entry[44..44 + user.len()].copy_from_slice(user.as_bytes());
        entry[348..364].copy_from_slice(&address);
        entry
    }

    #[test]
    fn a_login_guards_while_its_process_lives() {
        let own = std::process::id().cast_signed();
        let mut host = [0; 16];
        host[..4].copy_from_slice(&[198, 51, 100, 7]);
        let wide: Ipv6Addr = "2001:db8::7".parse().expect("an address");
        let utmp = [
            login(LOGGED_IN, own, "jo", host),
            login(LOGGED_IN, i32::MAX, "gone", host),
            login(8, own, "ended", host),
            login(LOGGED_IN, own, "al", wide.octets()),
            vec![0; 10],
        ]
        .concat();
        let expected = [
            (
                IpAddr::from([198, 51, 100, 7]),
                "jo is logged in from it".to_owned(),
            ),
            (wide.into(), "al is logged in from it".to_owned()),
        ];
        assert_eq!(logins(&utmp, 384, 348), expected);
    }

    #[test]
    fn gateways_are_those_of_default_routes() {
        let gateway = u32::from_ne_bytes([192, 0, 2, 7]);
        let ipv4 = format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t{gateway:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        let found: Vec<_> = gateways(&ipv4).collect();
        assert_eq!(found, [IpAddr::from([192, 0, 2, 7])]);
        let (none, hop) = ("0".repeat(32), "fe800000000000000000000000000001");
        let ipv6 = format!(
            "{none} 00 {none} 00 {hop} 00000400 00000001 00000000 00000003 eth0\n\
             fe800000000000000000000000000000 40 {none} 00 {none} 00000100 00000001 00000000 00000001 eth0\n"
        );
        let found: Vec<_> = gateways(&ipv6).collect();
        assert_eq!(found, ["fe80::1".parse::<IpAddr>().expect("an address")]);
    }

    #[test]
    fn resolvers_are_those_that_are_named() {
        let text = "# nameserver 192.0.2.1\nsearch example.org\nnameserver 192.0.2.53\n  nameserver fe80::1%2 x\nnameserver\n";
        let found: Vec<_> = resolvers(text).map(|address| address.to_string()).collect();
        assert_eq!(found, ["192.0.2.53", "fe80::1"]);
    }

    proptest! {
        #[test]
        fn nothing_that_a_file_says_is_too_odd(
            bytes in prop::collection::vec(any::<u8>(), 0..2_000),
            text in "(?s)(nameserver|REMOTE_HOST=|[0-9a-f]{8,32}|00|[ \t\n]|.){0,60}",
        ) {
            prop_assert!(logins(&bytes, 384, 348).len() <= bytes.len() / 384);
            let lines = text.lines().count();
            prop_assert!(gateways(&text).count() <= lines && resolvers(&text).count() <= lines);
            let _ = session(&text);
        }
    }
}
