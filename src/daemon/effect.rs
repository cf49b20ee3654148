//! Why does a ban not work?
//!
//! In: whose ban it is, what its actions shut, and what can be seen of this machine. Out: the likely cause with its
//! remedy, in words. The engine decides that a ban does not work; nothing here changes what is banned.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::action::ports::{Ports, Protocol};
use crate::action::sockets::Sockets;
use crate::action::{self, ActionJail, ActionKind, ActionSpec};
use crate::engine::name::ActionName;
use crate::engine::prefix::Prefix;

/// How long what was seen of the machine stays true: attackers cannot make it be looked at more often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// So many ports are named in a sentence.
const MOST_NAMED: usize = 8;

/// Beginnings of the names that container engines and virtual machines give their bridges.
const BRIDGES: &[&str] = &[
    "docker", "br-", "podman", "cni", "virbr", "lxcbr", "lxdbr", "incusbr",
];

/// Whether the kernel passes on packets that are for others.
const FORWARDING: &[&str] = &[
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv6/conf/all/forwarding",
];

/// The table of network devices.
const DEVICES: &str = "/proc/self/net/dev";

/// Where a ban could be gone around.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// What it listens to.
    pub sockets: Sockets,
    /// Whether it passes on packets that are for others.
    pub forwards: bool,
    /// A bridge to containers or virtual machines, if there is one.
    pub bridge: Option<String>,
}

/// What a jail's actions keep away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// These ports
    ports: Ports,
    /// of these protocols,
    protocols: Vec<Protocol>,
    /// also of packets that are only passed on.
    forwarded: bool,
    /// The first action that does not do its work.
    broken: Option<ActionName>,
    /// The first action whose rules may have others above them, if there is none that has not.
    outranked: Option<ActionName>,
}

/// Why a ban does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An action fails, which it has told itself.
    Broken(ActionName),
    /// The subject is connected to these ports, which its ban leaves open.
    Connected(Vec<u16>),
    /// The address is one of a private network.
    Private,
    /// Packets are passed on to where the service is, through this bridge if there is one.
    Forwarded(Option<String>),
    /// Somebody listens on these ports too, which the ban leaves open.
    OtherPorts(Vec<u16>),
    /// A rule above those of this action may let it in, if no proxy speaks for it.
    Outranked(ActionName),
    /// All is shut that the machine itself listens to.
    Proxy,
    /// Nothing can be said.
    Unknown,
}

/// Looks for causes.
#[derive(Debug, Default)]
pub struct Effect {
    seen: Option<(Instant, Machine)>,
}

impl Effect {
    /// Why the ban of `subject` does not work.
    pub fn cause(&mut self, subject: Option<Prefix>, reach: &Reach) -> Cause {
        let is_old = |(at, _): &(Instant, Machine)| at.elapsed() >= LOOK_EVERY;
        if self.seen.as_ref().is_none_or(is_old) {
            self.seen = match Machine::look() {
                Ok(machine) => Some((Instant::now(), machine)),
                Err(error) => {
                    log::debug!("cannot see why a ban does not work: {error}");
                    None
                }
            };
        }
        match (subject, &self.seen) {
            (Some(subject), Some((_, machine))) => find(subject, reach, machine),
            _ => Cause::Unknown,
        }
    }
}

impl Machine {
    fn look() -> io::Result<Machine> {
        let says_yes = |path: &&str| {
            let text = fs::read_to_string(Path::new(path));
            text.is_ok_and(|text| text.trim() != "0")
        };
        let devices = fs::read_to_string(DEVICES)?;
        let mut names = devices.lines().filter_map(|line| line.split_once(':'));
        let is_bridge = |name: &str| BRIDGES.iter().any(|start| name.starts_with(start));
        let bridge = names.find(|(name, _)| is_bridge(name.trim()));
        Ok(Machine {
            sockets: Sockets::look()?,
            forwards: FORWARDING.iter().any(says_yes),
            bridge: bridge.map(|(name, _)| name.trim().to_owned()),
        })
    }
}

impl Reach {
    /// What these actions shut together, of each of which is known whether it works.
    pub fn of<'a>(
        jail: &ActionJail,
        actions: impl IntoIterator<Item = (&'a ActionSpec, bool)>,
    ) -> Reach {
        let mut reach = Reach {
            ports: jail.ports.clone(),
            protocols: jail.protocols.clone(),
            forwarded: false,
            broken: None,
            outranked: None,
        };
        let mut is_sure = false;
        for (spec, works) in actions {
            if spec.closes_all() {
                reach.ports = Ports::All;
            }
            reach.forwarded |= spec.sees_forwarded();
            if !works {
                reach.broken.get_or_insert(spec.name.clone());
            }
            if spec.may_be_outranked() {
                reach.outranked.get_or_insert(spec.name.clone());
            }
            is_sure |= spec.effect == action::Effect::KeepsOut
                && matches!(spec.kind, ActionKind::Nftables(_));
        }
        // What a chain of nftables drops, no other can let in.
        if is_sure {
            reach.outranked = None;
        }
        reach
    }
}

/// The most likely cause: first what is seen happening, then what is usual.
fn find(subject: Prefix, reach: &Reach, machine: &Machine) -> Cause {
    if let Some(action) = &reach.broken {
        return Cause::Broken(action.clone());
    }
    let Reach {
        ports, protocols, ..
    } = reach;
    let sockets = &machine.sockets;
    let connected = sockets.others_of(subject, ports, protocols);
    if !connected.is_empty() {
        return Cause::Connected(connected);
    }
    if is_private(subject.address()) {
        return Cause::Private;
    }
    let is_local = *ports == Ports::All || sockets.any_listens(ports, protocols);
    if machine.forwards && !reach.forwarded && !is_local {
        return Cause::Forwarded(machine.bridge.clone());
    }
    let others = sockets.others(ports, protocols);
    if !others.is_empty() {
        return Cause::OtherPorts(others);
    }
    if machine.forwards && !reach.forwarded && machine.bridge.is_some() {
        return Cause::Forwarded(machine.bridge.clone());
    }
    match &reach.outranked {
        Some(action) if is_local => Cause::Outranked(action.clone()),
        _ => Cause::Proxy,
    }
}

/// Whether nobody outside has such an address.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private() || address.is_loopback() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local()
        }
    }
}

/// `80`, `80 and 443`, `80, 443 and 2222`; the first ones.
fn listed(ports: &[u16]) -> String {
    let mut words: Vec<String> = ports.iter().map(u16::to_string).collect();
    if words.len() > MOST_NAMED {
        words.truncate(MOST_NAMED);
        words.push("others".to_owned());
    }
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

fn port_or_ports(ports: &[u16]) -> &'static str {
    match ports {
        [_] => "port",
        _ => "ports",
    }
}

/// As it goes on behind `fails on though it is banned: `.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Broken(action) => write!(
                f,
                "the action {action} does not work at present, the log says why"
            ),
            Cause::Connected(ports) => write!(
                f,
                "it is connected to {} {}, which the jail does not shut; write it into `port` if the service listens there",
                port_or_ports(ports),
                listed(ports)
            ),
            Cause::Private => f.write_str(
                "it is an address of a private network, perhaps that of a proxy or of a container's gateway; have the service log whom that speaks for, and name it in `trusted` if the filter takes <forwarded>, or else in `ignoreip`",
            ),
            Cause::Forwarded(bridge) => {
                f.write_str("its packets may be passed on, to a container or another host")?;
                if let Some(bridge) = bridge {
                    write!(f, ", through {bridge}")?;
                }
                f.write_str(
                    ", where rules for packets to this machine do not see them; use an action with the hook forward",
                )
            }
            Cause::OtherPorts(ports) => write!(
                f,
                "{} {} of this machine {} open, which the jail does not shut; if the service listens there too, write that into `port`",
                port_or_ports(ports),
                listed(ports),
                match ports.as_slice() {
                    [_] => "is",
                    _ => "are",
                }
            ),
            Cause::Outranked(action) => write!(
                f,
                "a rule above those of the action {action} may let it in, see the order in which the firewall lists them; or else a proxy may speak for it, see f2bd(8)"
            ),
            Cause::Proxy => f.write_str(
                "all is shut here that it could reach by itself, so that a proxy may speak for it, see f2bd(8); ban it by an action that tells the proxy",
            ),
            Cause::Unknown => {
                f.write_str("no cause is seen; f2bd(8) says under `Bans that do not work` where to look")
            }
        }
    }
}

#[cfg(test)]
mod tests;
