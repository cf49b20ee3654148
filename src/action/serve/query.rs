//! What does the query of a request ask for?
//!
//! Any bytes may come. Out of them come types of our own, or a word about what is wrong, which repeats nothing of the
//! query. What is not known is left out of account, since clients send more than concerns us.

use super::formats::Wishes;
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;

/// A query that cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A flag is neither on nor off.
    #[error("`{0}` is true, false or stands alone")]
    Flag(&'static str),
    /// No jail can have the name.
    #[error("`jail` is not the name of a jail")]
    Jail,
    /// Neither address nor network.
    #[error("`{0}` is neither an address nor a network")]
    Address(&'static str),
}

/// Which list is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Addresses of IPv4.
    pub ipv4: bool,
    /// Addresses of IPv6; if neither is said, both.
    pub ipv6: bool,
    /// How it is to be written.
    pub wishes: Wishes,
    /// One jail's bans only.
    pub jail: Option<JailName>,
}

impl ListQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// Something in it cannot be.
    pub fn parse(query: &str) -> Result<ListQuery, QueryError> {
        let mut wanted = ListQuery::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "ipv4" | "ipv4only" => wanted.ipv4 = flag("ipv4", &value)?,
                "ipv6" | "ipv6only" => wanted.ipv6 = flag("ipv6", &value)?,
                "aggregate" => wanted.wishes.aggregate = flag("aggregate", &value)?,
                "comment" => wanted.wishes.comment = flag("comment", &value)?,
                "jail" => wanted.jail = Some(value.parse().map_err(|_| QueryError::Jail)?),
                _ => {}
            }
        }
        Ok(wanted)
    }

    /// Whether a subject of this family is wanted.
    pub fn takes(&self, subject: Prefix) -> bool {
        match subject.address().is_ipv4() {
            true => self.ipv4 || !self.ipv6,
            false => self.ipv6 || !self.ipv4,
        }
    }
}

/// Whom decisions are wanted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whom {
    /// Everybody.
    #[default]
    All,
    /// Bans that hold this.
    Holding(Prefix),
    /// Bans that this holds.
    Within(Prefix),
    /// Something that f2bd knows nothing of.
    Nobody,
}

/// Which decisions a bouncer wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionQuery {
    /// It knows nothing yet.
    pub startup: bool,
    /// Whom it asks for.
    pub whom: Whom,
    /// Single addresses.
    pub hosts: bool,
    /// Networks.
    pub networks: bool,
    /// One of these is in the name of the jail, if there are any.
    pub containing: Vec<String>,
    /// None of these is.
    pub not_containing: Vec<String>,
}

impl DecisionQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// Something in it cannot be.
    pub fn parse(query: &str) -> Result<DecisionQuery, QueryError> {
        let mut wanted = DecisionQuery {
            startup: false,
            whom: Whom::All,
            hosts: true,
            networks: true,
            containing: Vec::new(),
            not_containing: Vec::new(),
        };
        let mut subject = None;
        let mut contains = true;
        let mut is_known = true;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let mut words = value.split(',').filter(|word| !word.is_empty());
            match &*key {
                "startup" => wanted.startup = flag("startup", &value)?,
                "contains" => contains = flag("contains", &value)?,
                "ip" => subject = Some(network("ip", &value)?),
                "range" => subject = Some(network("range", &value)?),
                // Countries, networks of operators, sessions: what bouncers ask for by name is not ours.
                "value" => match value.parse() {
                    Ok(network) => subject = Some(network),
                    Err(_) => is_known = false,
                },
                "scope" | "scopes" if !value.is_empty() => {
                    let has =
                        |scope: &str| words.clone().any(|word| word.eq_ignore_ascii_case(scope));
                    wanted.hosts = has(HOST);
                    wanted.networks = has(NETWORK);
                }
                "type" if !value.is_empty() => is_known &= value.eq_ignore_ascii_case(BAN),
                "origins" if !value.is_empty() => is_known &= words.any(|word| word == ORIGIN),
                "scenarios_containing" => wanted.containing = words.map(str::to_owned).collect(),
                "scenarios_not_containing" => {
                    wanted.not_containing = words.map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        wanted.whom = match subject {
            _ if !is_known => Whom::Nobody,
            None => Whom::All,
            Some(subject) if contains => Whom::Holding(subject),
            Some(subject) => Whom::Within(subject),
        };
        Ok(wanted)
    }

    /// Whether anything about this subject is wanted.
    pub fn concerns(&self, subject: Prefix) -> bool {
        let scope = if subject.is_host() {
            self.hosts
        } else {
            self.networks
        };
        scope && self.whom != Whom::Nobody
    }

    /// Whether a ban of this jail is wanted.
    pub fn takes(&self, subject: Prefix, jail: &JailName) -> bool {
        let has = |word: &String| jail.as_str().contains(word.as_str());
        self.concerns(subject)
            && (self.containing.is_empty() || self.containing.iter().any(has))
            && !self.not_containing.iter().any(has)
    }
}

/// The scope of a single address.
pub const HOST: &str = "Ip";

/// The scope of a network.
pub const NETWORK: &str = "Range";

/// The one type of decision.
pub const BAN: &str = "ban";

/// Where decisions come from.
pub const ORIGIN: &str = "f2bd";

fn flag(name: &'static str, value: &str) -> Result<bool, QueryError> {
    match value {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(QueryError::Flag(name)),
    }
}

fn network(name: &'static str, value: &str) -> Result<Prefix, QueryError> {
    value.parse().map_err(|_| QueryError::Address(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decisions(query: &str) -> DecisionQuery {
        DecisionQuery::parse(query).expect("a query")
    }

    fn net(text: &str) -> Prefix {
        text.parse().expect("a network")
    }

    #[test]
    fn lists_are_asked_for_by_flags() {
        let all = ListQuery::parse("").expect("a query");
        assert!(all.takes(net("192.0.2.7")) && all.takes(net("2001:db8::1")));
        let ipv4 = ListQuery::parse("ipv4&aggregate=false&nosort&comment=1").expect("a query");
        assert!(ipv4.takes(net("192.0.2.7")) && !ipv4.takes(net("2001:db8::1")));
        assert!(ipv4.wishes.comment && !ipv4.wishes.aggregate);
        let jail = ListQuery::parse("jail=nginx%2Dauth&ipv4only")
            .expect("a query")
            .jail;
        assert_eq!(jail, "nginx-auth".parse().ok());
        assert_eq!(ListQuery::parse("jail=a%0ab"), Err(QueryError::Jail));
        assert_eq!(ListQuery::parse("ipv6=yes"), Err(QueryError::Flag("ipv6")));
    }

    #[test]
    fn decisions_are_asked_for_as_bouncers_do() {
        for (query, whom) in [
            ("", Whom::All),
            ("ip=192.0.2.7", Whom::Holding(net("192.0.2.7"))),
            ("ip=%3A%3Affff%3A192.0.2.7", Whom::Holding(net("192.0.2.7"))),
            (
                "range=192.0.2.0%2F24&contains=false",
                Whom::Within(net("192.0.2.0/24")),
            ),
            (
                "scope=ip&value=192.0.2.7&type=ban",
                Whom::Holding(net("192.0.2.7")),
            ),
            ("scope=country&value=FR", Whom::Nobody),
            ("type=captcha", Whom::Nobody),
            ("origins=lists,crowdsec", Whom::Nobody),
            ("origins=lists,f2bd&additional_pull=false", Whom::All),
        ] {
            assert_eq!(decisions(query).whom, whom, "{query}");
        }
        let jail: JailName = "sshd".parse().expect("a name");
        for (query, host, network) in [
            ("", true, true),
            ("scopes=ip,range", true, true),
            ("scopes=IP", true, false),
            ("scopes=range", false, true),
            ("scope=AS", false, false),
            ("scenarios_containing=ssh,http", true, true),
            ("scenarios_containing=http", false, false),
            ("scenarios_not_containing=ssh", false, false),
        ] {
            let wanted = decisions(query);
            assert_eq!(wanted.takes(net("192.0.2.7"), &jail), host, "{query}");
            assert_eq!(wanted.takes(net("192.0.2.0/24"), &jail), network, "{query}");
        }
        assert_eq!(
            DecisionQuery::parse("ip=mallory"),
            Err(QueryError::Address("ip"))
        );
        assert!(decisions("startup=true").startup);
    }

    proptest! {
        #[test]
        fn no_query_is_too_strange(
            query in "([a-z46]{2,10}|jail|ip|range|scope|value|startup|contains|.)(=|&|%|,|.){0,3}.{0,12}"
        ) {
            if let Ok(wanted) = ListQuery::parse(&query) {
                prop_assert!(wanted.takes(net("192.0.2.7")) || wanted.takes(net("2001:db8::1")));
            }
            if let Ok(wanted) = DecisionQuery::parse(&query) {
                let jail = "sshd".parse().expect("a name");
                let takes = wanted.takes(net("192.0.2.7"), &jail);
                prop_assert!(!takes || wanted.hosts);
            }
        }

        #[test]
        fn a_network_is_asked_for_as_it_is_written(bits: u32, width in 0..=32_u8) {
            let network = Prefix::network(std::net::IpAddr::from(bits.to_be_bytes()), width);
            let query: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("range", &network.to_string())
                .finish();
            prop_assert_eq!(decisions(&query).whom, Whom::Holding(network));
        }
    }
}
