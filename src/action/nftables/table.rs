//! Which table is an action's own?
//!
//! Its family and its name, as the kernel and nft tell tables apart. What is in it is the business of others.

use std::fmt;

use serde::Deserialize;

/// Where in the kernel a table's chains can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4 and IPv6, from the moment when the kernel looks for where a packet goes.
    #[default]
    Inet,
    /// Whatever comes in by a device, before all else.
    Netdev,
}

impl Family {
    /// `NFPROTO_INET` and `NFPROTO_NETDEV`.
    pub fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Netdev => 5,
        }
    }
}

/// As nft calls it.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Inet => "inet",
            Family::Netdev => "netdev",
        })
    }
}

/// A table of the packet filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its family; tables of different ones have nothing in common.
    pub family: Family,
    /// Its name.
    pub name: String,
}

/// As nft calls it: `inet f2bd`.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}
