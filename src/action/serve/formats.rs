//! How is a ban list written for those who read it?
//!
//! Pure: in go the bans and the time, out come lines, one after the other, so that nobody has to hold the whole text.
//! What is written is made of networks, times and the names of jails; nothing of it was ever in a log.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Serialize;

use super::super::nftables::elements::{self, Element};
use super::listing::Listed;
use crate::engine::prefix::Prefix;
use crate::engine::time::Timestamp;

/// The longest timeout that a set of ipset can have, in seconds. What ends later is given this, and more with the next
/// list.
const LONGEST_IPSET_TIMEOUT: u64 = 2_147_483;

/// The table that a list for nft fills.
const NFT_TABLE: &str = "f2bd_list";

/// How many bans a set of ipset may hold. It cannot be changed later, so it is more than there will be.
const MOST_IPSET: usize = 1_048_576;

/// What a list is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One address or network a line.
    Text,
    /// One object a ban.
    Json,
    /// What `nft -f` reads.
    Nft,
    /// What `ipset restore` reads.
    Ipset,
    /// A map of HAProxy: network and jail.
    Haproxy,
}

/// The formats with their names.
pub const FORMATS: [(&str, Format); 5] = [
    ("text", Format::Text),
    ("json", Format::Json),
    ("nft", Format::Nft),
    ("ipset", Format::Ipset),
    ("haproxy", Format::Haproxy),
];

/// There is no such format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is none of text, json, nft, ipset and haproxy")]
pub struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Format, FormatError> {
        let found = FORMATS.iter().find(|(name, _)| *name == text);
        found.map(|(_, format)| *format).ok_or(FormatError)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = FORMATS.iter().find(|(_, format)| format == self);
        f.write_str(own.map_or("", |(name, _)| name))
    }
}

impl Format {
    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Text | Format::Nft | Format::Ipset | Format::Haproxy => {
                "text/plain; charset=utf-8"
            }
        }
    }

    /// Whether it tells how much is left of each ban, so that the same list is written otherwise a second later.
    pub fn counts_down(self) -> bool {
        matches!(self, Format::Nft | Format::Ipset)
    }
}

/// The lines of a list, one after the other.
pub type Lines = Box<dyn Iterator<Item = String> + Send>;

/// What may be wished of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Of plain text: the fewest networks that hold all who are banned and nobody else.
    pub aggregate: bool,
    /// A first line that tells the time and the number of bans, where the format knows comments.
    pub comment: bool,
}

/// Writes the bans, which are in the order of their addresses.
pub fn write(format: Format, bans: Vec<Listed>, now: Timestamp, wishes: Wishes) -> Lines {
    let comment = (wishes.comment && format != Format::Json)
        .then(|| format!("# f2bd: {} banned at {now}\n", bans.len()));
    Box::new(comment.into_iter().chain(body(format, bans, now, wishes)))
}

fn body(format: Format, bans: Vec<Listed>, now: Timestamp, wishes: Wishes) -> Lines {
    match format {
        Format::Text if wishes.aggregate => aggregated(&bans),
        Format::Text => Box::new(
            bans.into_iter()
                .map(|ban| format!("{}\n", ban.subject.plain())),
        ),
        Format::Json => json_list(bans.into_iter().map(|ban| JsonBan::of(&ban))),
        Format::Nft => nft(&bans, now),
        Format::Ipset => ipset(bans, now),
        Format::Haproxy => Box::new(
            bans.into_iter()
                .map(|ban| format!("{} {}\n", ban.subject.plain(), ban.jail)),
        ),
    }
}

/// The fewest networks that hold all who are banned and nobody else, one a line.
fn aggregated(bans: &[Listed]) -> Lines {
    let networks: Vec<IpNet> = bans.iter().filter_map(|ban| network(ban.subject)).collect();
    let networks = IpNet::aggregate(&networks).into_iter();
    let subjects = networks.map(|net| Prefix::network(net.addr(), net.prefix_len()));
    Box::new(subjects.map(|subject| format!("{}\n", subject.plain())))
}

/// A JSON list with one element a line.
pub fn json_list<T: Serialize>(elements: impl Iterator<Item = T> + Send + 'static) -> Lines {
    let mut mark = "[\n";
    let lines = elements
        // A struct of texts and numbers can always be written.
        .filter_map(|element| serde_json::to_string(&element).ok())
        .map(move |element| format!("{}{element}", std::mem::replace(&mut mark, ",\n")));
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return Box::new(std::iter::once("[]\n".to_owned()));
    }
    Box::new(lines.chain(std::iter::once("\n]\n".to_owned())))
}

#[derive(Serialize)]
struct JsonBan {
    subject: String,
    jail: String,
    until: Option<String>,
}

impl JsonBan {
    fn of(ban: &Listed) -> JsonBan {
        JsonBan {
            subject: ban.subject.to_string(),
            jail: ban.jail.to_string(),
            until: ban.until.map(|until| until.to_string()),
        }
    }
}

fn network(subject: Prefix) -> Option<IpNet> {
    IpNet::new(subject.address(), subject.width()).ok()
}

/// Fills two sets, all of it in one transaction.
fn nft(bans: &[Listed], now: Timestamp) -> Lines {
    let mut lines: Vec<Lines> = vec![single(format!("add table inet {NFT_TABLE}\n"))];
    for (set, kind, is_own) in [
        ("ipv4", "ipv4_addr", IpAddr::is_ipv4 as fn(&IpAddr) -> bool),
        ("ipv6", "ipv6_addr", IpAddr::is_ipv6),
    ] {
        lines.push(single(format!(
            "add set inet {NFT_TABLE} {set} {{ type {kind}; flags interval,timeout; }}\nflush set inet {NFT_TABLE} {set}\n"
        )));
        let own = bans.iter().filter(|ban| is_own(&ban.subject.address()));
        let elements = elements::of_networks(own.map(|ban| (ban.subject, ban.until)), now);
        if !elements.is_empty() {
            lines.push(single(format!("add element inet {NFT_TABLE} {set} {{\n")));
            lines.push(Box::new(intervals(elements)));
            lines.push(single("}\n".to_owned()));
        }
    }
    Box::new(lines.into_iter().flatten())
}

fn single(text: String) -> Lines {
    Box::new(std::iter::once(text))
}

/// The elements as nft writes them, each interval with both its ends.
fn intervals(elements: Vec<Element>) -> impl Iterator<Item = String> {
    let mut elements = elements.into_iter().peekable();
    std::iter::from_fn(move || {
        let begin = elements.find(|element| !element.closes)?;
        let last = match elements.peek() {
            Some(next) => before(next.key),
            None => match begin.key {
                IpAddr::V4(_) => IpAddr::from([0xff; 4]),
                IpAddr::V6(_) => IpAddr::from([0xff; 16]),
            },
        };
        let timeout = begin.timeout.map(|left| {
            let seconds = left.get().div_ceil(1_000);
            format!(" timeout {seconds}s")
        });
        let timeout = timeout.unwrap_or_default();
        Some(if last == begin.key {
            format!("{}{timeout},\n", begin.key)
        } else {
            format!("{}-{last}{timeout},\n", begin.key)
        })
    })
}

/// The address before one that is not the first.
fn before(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits().wrapping_sub(1)).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits().wrapping_sub(1)).into()),
    }
}

/// Fills two sets beside those in use and exchanges them, so that nobody gets through in between.
fn ipset(bans: Vec<Listed>, now: Timestamp) -> Lines {
    let mut lines = String::new();
    for (set, family) in [("f2bd4", "inet"), ("f2bd6", "inet6")] {
        for name in [set.to_owned(), format!("{set}-next")] {
            lines += &format!(
                "create {name} hash:net family {family} maxelem {MOST_IPSET} timeout 0 -exist\n"
            );
        }
        lines += &format!("flush {set}-next\n");
    }
    let elements = bans.into_iter().filter_map(move |ban| {
        let set = if ban.subject.address().is_ipv4() {
            "f2bd4-next"
        } else {
            "f2bd6-next"
        };
        // 0 is without end.
        let timeout = match ban.until {
            None => 0,
            Some(until) => match seconds_left(until, now) {
                0 => return None,
                left => left.min(LONGEST_IPSET_TIMEOUT),
            },
        };
        let lines = halves(ban.subject)
            .into_iter()
            .map(|network| format!("add {set} {} timeout {timeout} -exist\n", network.plain()));
        Some(lines.collect())
    });
    let exchange = ["f2bd4", "f2bd6"]
        .map(|set| format!("swap {set}-next {set}\ndestroy {set}-next\n"))
        .concat();
    Box::new(single(lines).chain(elements).chain(single(exchange)))
}

/// Everything, which ipset does not take as one network, in two; all else as it is.
fn halves(subject: Prefix) -> Vec<Prefix> {
    if subject.width() > 0 {
        return vec![subject];
    }
    let upper: IpAddr = match subject.address() {
        IpAddr::V4(_) => IpAddr::from([128, 0, 0, 0]),
        IpAddr::V6(_) => IpAddr::from([0x8000, 0, 0, 0, 0, 0, 0, 0]),
    };
    vec![
        Prefix::network(subject.address(), 1),
        Prefix::network(upper, 1),
    ]
}

/// What is left of a ban in seconds, rounded up, so that nobody is let go early.
pub fn seconds_left(until: Timestamp, now: Timestamp) -> u64 {
    let left = until.since(now);
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::super::listing::Position;
    use super::*;

    fn bans(bans: &[(&str, Option<i64>)]) -> Vec<Listed> {
        let listed = bans.iter().map(|(subject, until)| Listed {
            subject: subject.parse().expect("a subject"),
            jail: "sshd".parse().expect("a name"),
            until: until.map(|second| Timestamp::from_micros(second * 1_000_000)),
            number: Position(1),
        });
        listed.collect()
    }

    fn written(format: Format, list: &[(&str, Option<i64>)], wishes: Wishes) -> String {
        write(format, bans(list), Timestamp::from_micros(0), wishes).collect()
    }

    #[test]
    fn every_format_has_its_name() {
        for (name, format) in FORMATS {
            assert_eq!(name.parse(), Ok(format));
            assert_eq!(format.to_string(), name);
        }
        assert_eq!("xml".parse::<Format>(), Err(FormatError));
    }

    #[test]
    fn a_list_is_written_as_its_reader_wants() {
        let list = [
            ("192.0.2.0/24", Some(3600)),
            ("192.0.2.7", Some(7200)),
            ("198.51.100.1", None),
            ("2001:db8::/64", Some(90)),
        ];
        let plain = |format| written(format, &list, Wishes::default());
        assert_eq!(
            plain(Format::Text),
            "192.0.2.0/24\n192.0.2.7\n198.51.100.1\n2001:db8::/64\n"
        );
        assert_eq!(
            plain(Format::Haproxy).lines().last(),
            Some("2001:db8::/64 sshd")
        );
        assert_eq!(
            plain(Format::Nft),
            "add table inet f2bd_list\n\
            add set inet f2bd_list ipv4 { type ipv4_addr; flags interval,timeout; }\n\
            flush set inet f2bd_list ipv4\n\
            add element inet f2bd_list ipv4 {\n\
            192.0.2.0-192.0.2.6 timeout 3600s,\n\
            192.0.2.7 timeout 7200s,\n\
            192.0.2.8-192.0.2.255 timeout 3600s,\n\
            198.51.100.1,\n\
            }\n\
            add set inet f2bd_list ipv6 { type ipv6_addr; flags interval,timeout; }\n\
            flush set inet f2bd_list ipv6\n\
            add element inet f2bd_list ipv6 {\n\
            2001:db8::-2001:db8::ffff:ffff:ffff:ffff timeout 90s,\n\
            }\n"
        );
        let ipset = plain(Format::Ipset);
        assert!(
            ipset.contains("\nadd f2bd4-next 198.51.100.1 timeout 0 -exist\n"),
            "{ipset}"
        );
        assert!(
            ipset.contains("\nadd f2bd6-next 2001:db8::/64 timeout 90 -exist\n"),
            "{ipset}"
        );
        assert_eq!(
            plain(Format::Json).lines().nth(3),
            Some(r#"{"subject":"198.51.100.1/32","jail":"sshd","until":null},"#)
        );
        for list in [&list[..], &[]] {
            let json = written(Format::Json, list, Wishes::default());
            let json: Vec<serde_json::Value> = serde_json::from_str(&json).expect("JSON");
            assert_eq!(json.len(), list.len());
        }
    }

    #[test]
    fn what_is_wished_is_done() {
        let list = [
            ("192.0.2.0/25", Some(9)),
            ("192.0.2.128/25", None),
            ("192.0.2.200", None),
        ];
        let wishes = Wishes {
            aggregate: true,
            comment: true,
        };
        assert_eq!(
            written(Format::Text, &list, wishes),
            "# f2bd: 3 banned at 1970-01-01T00:00:00Z\n192.0.2.0/24\n"
        );
        assert!(written(Format::Json, &list, wishes).starts_with('['));
    }

    #[test]
    fn ends_of_what_is_banned_are_kept() {
        let all = [("0.0.0.0/0", Some(3_000_000)), ("255.255.255.255", None)];
        let ipset = written(Format::Ipset, &all, Wishes::default());
        assert!(
            ipset.contains("add f2bd4-next 0.0.0.0/1 timeout 2147483 "),
            "{ipset}"
        );
        assert!(
            ipset.contains("add f2bd4-next 128.0.0.0/1 timeout 2147483 "),
            "{ipset}"
        );
        let nft = written(Format::Nft, &all, Wishes::default());
        assert!(
            nft.contains("\n0.0.0.0-255.255.255.254 timeout 3000000s,\n255.255.255.255,\n"),
            "{nft}"
        );
        assert_eq!(
            seconds_left(Timestamp::from_micros(1), Timestamp::from_micros(0)),
            1
        );
    }
}
