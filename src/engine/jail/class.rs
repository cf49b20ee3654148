//! Of whom is a jail less patient, or more?
//!
//! In: where an address is. Out: whether a class of them has a maxretry of its own.

use std::fmt;

use super::super::atlas::{Asn, Country, Whereabouts};
use super::super::policy::MaxRetry;

/// Addresses for which another maxretry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRule {
    /// They are in one of these countries; in any, if none is named.
    pub countries: Vec<Country>,
    /// Their network is one of these; any, if none is named.
    pub asns: Vec<Asn>,
    /// So many of their failures make a ban.
    pub maxretry: MaxRetry,
}

impl ClassRule {
    /// Whether an address belongs to it. Of one that is nowhere nobody knows that it does.
    pub fn holds(&self, whereabouts: &Whereabouts) -> bool {
        let in_country = || {
            let country = whereabouts.country.as_ref();
            country.is_some_and(|country| self.countries.contains(country))
        };
        let in_network = || {
            let operator = whereabouts.operator.as_ref();
            operator.is_some_and(|operator| self.asns.contains(&operator.asn))
        };
        (self.countries.is_empty() || in_country()) && (self.asns.is_empty() || in_network())
    }
}

/// `DE or FR, AS64500`.
impl fmt::Display for ClassRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let countries: Vec<_> = self.countries.iter().map(Country::to_string).collect();
        let asns: Vec<_> = self.asns.iter().map(Asn::to_string).collect();
        let parts = [countries.join(" or "), asns.join(" or ")];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join(", "))
    }
}
