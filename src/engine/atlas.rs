//! Where in the world is an address, and who runs its network?
//!
//! In: the bytes of MaxMind databases, and addresses. Out: countries and network operators. Whatever the bytes are, an
//! answer takes no more than some hundred steps down a tree and a bounded record at its end; what makes no sense is
//! not known.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use foldhash::{HashMap, HashMapExt};
use maxminddb::{LookupResult, PathElement, Reader, WithinOptions};

use super::prefix::Prefix;

/// The most entries of a database that are looked through for a region. One of all cities has some million networks, those
/// of IPv4 under several names; the tree of a hostile file has no end.
const MOST_ENTRIES: usize = 32_000_000;

/// The most networks of a region: several times those of the largest country. Each takes some 100 bytes.
const MOST_NETWORKS: usize = 1_000_000;

/// 6to4 and Teredo: the addresses of IPv4 once more, by which nobody comes any longer.
const OLD_TUNNELS: [(Ipv6Addr, u8); 2] = [
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
];

/// The longest name of an operator that is told, in characters.
const LONGEST_NAME: usize = 80;

/// A country by its two letters of ISO 3166.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// The number of an autonomous system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(pub u32);

/// Who runs a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The number of the network.
    pub asn: Asn,
    /// The name, as the database has it.
    pub name: Option<Box<str>>,
}

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Where it is.
    pub country: Option<Country>,
    /// Who runs its network.
    pub operator: Option<Operator>,
}

/// The text is no country.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no country of two capital letters")]
pub struct CountryError(String);

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(text: &str) -> Result<Self, CountryError> {
        match text.as_bytes() {
            [first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => Ok(Country([*first, *second])),
            _ => Err(CountryError(text.to_owned())),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "{first}{second}")
    }
}

/// As people write it: `AS64500`.
impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

/// All addresses that are in one country or run by one operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// `country:DE`
    Country(Country),
    /// `asn:64500`
    Network(Asn),
}

/// The text is no region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// It begins like none.
    #[error("`{0}` is neither country:XX nor asn:NUMBER")]
    Shape(String),
    /// What it names is no country.
    #[error(transparent)]
    Country(#[from] CountryError),
}

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        let wrong = || RegionError::Shape(text.to_owned());
        match text.split_once(':') {
            Some(("country", code)) => Ok(Region::Country(code.parse()?)),
            Some(("asn", number)) => {
                let asn = number.parse().map_err(|_| wrong())?;
                Ok(Region::Network(Asn(asn)))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Region::Country(country) => write!(f, "country:{country}"),
            Region::Network(asn) => write!(f, "asn:{}", asn.0),
        }
    }
}

/// The networks of a region cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The database has too many.
    #[error("there are more than {MOST_ENTRIES} networks in the database")]
    Entries,
    /// The region has too many.
    #[error("it has more than {MOST_NETWORKS} networks")]
    Networks,
    /// The database is damaged.
    #[error(transparent)]
    Damaged(#[from] AtlasError),
}

/// The bytes are no database.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AtlasError(#[from] maxminddb::MaxMindDbError);

/// A database in the format of MaxMind, whole in memory.
#[derive(Debug)]
pub struct Tables(Reader<Vec<u8>>);

impl Tables {
    /// Takes the bytes of a file.
    ///
    /// # Errors
    /// They are no such database.
    pub fn new(bytes: Vec<u8>) -> Result<Self, AtlasError> {
        Ok(Tables(Reader::from_source(bytes)?))
    }

    fn country(&self, address: IpAddr) -> Option<Country> {
        country(&self.0.lookup(address).ok()?)
    }

    fn operator(&self, address: IpAddr) -> Option<Operator> {
        let found = self.0.lookup(address).ok()?;
        let asn = asn(&found)?;
        let name = [PathElement::Key("autonomous_system_organization")];
        let name = found.decode_path::<&str>(&name).ok().flatten();
        let short = |name: &str| name.chars().take(LONGEST_NAME).collect::<String>();
        Some(Operator {
            asn,
            name: name.map(|name| short(name).into()),
        })
    }

    /// The networks whose records are `wanted`.
    fn networks(
        &self,
        wanted: impl Fn(&LookupResult<'_, Vec<u8>>) -> bool,
    ) -> Result<Vec<Prefix>, ListError> {
        // With everything, so that each step of the walk is seen and counted.
        let options = WithinOptions::default()
            .include_aliased_networks()
            .include_networks_without_data();
        let mut networks = Vec::new();
        let tunnels = OLD_TUNNELS.map(|(address, width)| Prefix::network(address.into(), width));
        // Networks share their records.
        let mut known = HashMap::new();
        let all = self.0.networks(options).map_err(AtlasError::from)?;
        for (at, found) in all.enumerate() {
            if at >= MOST_ENTRIES {
                return Err(ListError::Entries);
            }
            let found = found.map_err(AtlasError::from)?;
            let Some(offset) = found.offset() else {
                continue;
            };
            let is_wanted = match known.get(&offset) {
                Some(is_wanted) => *is_wanted,
                None => {
                    let is_wanted = wanted(&found);
                    if known.len() < MOST_NETWORKS {
                        known.insert(offset, is_wanted);
                    }
                    is_wanted
                }
            };
            if !is_wanted {
                continue;
            }
            let network = found.network().map_err(AtlasError::from)?;
            let network = Prefix::network(network.ip(), network.prefix());
            if tunnels.iter().any(|tunnel| tunnel.holds(network)) {
                continue;
            }
            if networks.len() == MOST_NETWORKS {
                return Err(ListError::Networks);
            }
            networks.push(network);
        }
        Ok(networks)
    }
}

fn country(found: &LookupResult<'_, Vec<u8>>) -> Option<Country> {
    let path = [PathElement::Key("country"), PathElement::Key("iso_code")];
    found.decode_path::<&str>(&path).ok()??.parse().ok()
}

fn asn(found: &LookupResult<'_, Vec<u8>>) -> Option<Asn> {
    let path = [PathElement::Key("autonomous_system_number")];
    found.decode_path(&path).ok()?.map(Asn)
}

/// The databases there are.
#[derive(Debug, Default)]
pub struct Atlas {
    /// Of countries.
    pub countries: Option<Tables>,
    /// Of operators.
    pub operators: Option<Tables>,
}

impl Atlas {
    /// What is known of an address.
    pub fn find(&self, address: IpAddr) -> Whereabouts {
        let countries = self.countries.as_ref();
        let operators = self.operators.as_ref();
        Whereabouts {
            country: countries.and_then(|tables| tables.country(address)),
            operator: operators.and_then(|tables| tables.operator(address)),
        }
    }

    /// All networks of a region; none without a database.
    ///
    /// # Errors
    /// They cannot be told, or are too many.
    pub fn networks(&self, region: Region) -> Result<Vec<Prefix>, ListError> {
        let tables = match region {
            Region::Country(_) => &self.countries,
            Region::Network(_) => &self.operators,
        };
        let Some(tables) = tables else {
            return Ok(Vec::new());
        };
        tables.networks(|found| match region {
            Region::Country(wanted) => country(found) == Some(wanted),
            Region::Network(wanted) => asn(found) == Some(wanted),
        })
    }

    /// What is known of a whole subject: where its first and its last address agree.
    pub fn find_all(&self, subject: Prefix) -> Whereabouts {
        let first = self.find(subject.address());
        if subject.is_host() || first == Whereabouts::default() {
            return first;
        }
        let last = self.find(subject.last());
        Whereabouts {
            country: first.country.filter(|_| first.country == last.country),
            operator: match first.operator == last.operator {
                true => first.operator,
                false => None,
            },
        }
    }
}
