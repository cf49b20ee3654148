//! Where in the world is an address, and who runs its network?
//!
//! In: the bytes of MaxMind databases, and addresses. Out: countries and network operators. Whatever the bytes are, an
//! answer takes no more than some hundred steps down a tree and a bounded record at its end; what makes no sense is
//! not known.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use maxminddb::{PathElement, Reader};

use super::prefix::Prefix;

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
        let path = [PathElement::Key("country"), PathElement::Key("iso_code")];
        let found = self.0.lookup(address).ok()?;
        found.decode_path::<&str>(&path).ok()??.parse().ok()
    }

    fn operator(&self, address: IpAddr) -> Option<Operator> {
        let found = self.0.lookup(address).ok()?;
        let number = [PathElement::Key("autonomous_system_number")];
        let asn = Asn(found.decode_path(&number).ok()??);
        let name = [PathElement::Key("autonomous_system_organization")];
        let name = found.decode_path::<&str>(&name).ok().flatten();
        let short = |name: &str| name.chars().take(LONGEST_NAME).collect::<String>();
        Some(Operator {
            asn,
            name: name.map(|name| short(name).into()),
        })
    }
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
