//! What does a value of one of Fail2ban's parameters come to?
//!
//! In: the value for either family. Out: parameters of ours, and what is closed; nothing if it is not sure that they are the
//! same. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Said;
use crate::action::secret::Opened;

/// The domain of addressees that have none: whoever takes the letter knows them.
const HERE: &str = "@localhost";

/// The domain of senders that have none: this machine's name.
const OURS: &str = "@<host>";

/// How Fail2ban says the name of this machine.
const OUR_NAME: &str = "<fq-hostname>";

/// What becomes of a parameter.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Rule {
    /// It is one of ours, as it is, if it is a plain word.
    To {
        to: String,
        /// What stands before it.
        #[serde(default)]
        behind: String,
    },
    /// It is one of ours, any text.
    Text { text: String },
    /// It is one of ours, any text but a command of a shell, for which ours has a default of its own.
    Known { known: String },
    /// It is one of ours, and for nobody else to read.
    Secret {
        secret: String,
        /// What comes with it.
        #[serde(default)]
        gives: BTreeMap<String, String>,
    },
    /// It is one of ours, a mailbox, which has a domain.
    Mailbox { mailbox: String },
    /// It is one of ours, a mailbox that names its domain.
    Address { address: String },
    /// It is one of ours, a list of mailboxes.
    Mailboxes { mailboxes: String },
    /// It may say one of these, or anything if there are none: then it says what is closed, or nothing that matters.
    Cases(Vec<Case>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it says, for IPv4; `<key>` in it is what another parameter says.
    ipv4: String,
    /// What it says for IPv6, if that is not the same.
    ipv6: Option<String>,
    /// What that comes to.
    #[serde(default)]
    gives: BTreeMap<String, String>,
    /// What is closed then.
    closes: Option<Closes>,
}

/// What an action closes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Closes {
    /// The ports of its parameter.
    Ports,
    /// All ports of its protocols.
    All,
}

/// What a value comes to.
pub struct Comes {
    /// Parameters of ours.
    pub parameters: BTreeMap<String, Said>,
    /// What is closed then, if that is said.
    pub closes: Option<Closes>,
}

/// Parameters that are what is written.
pub fn plainly(gives: &BTreeMap<String, String>) -> BTreeMap<String, Said> {
    let gives = gives.clone().into_iter();
    gives
        .map(|(name, value)| (name, Said::One(value)))
        .collect()
}

impl Rule {
    /// Whether it makes no difference what is said.
    pub fn says_nothing(&self) -> bool {
        matches!(self, Rule::Cases(cases) if cases.is_empty())
    }

    /// What comes of the values for IPv4 and IPv6; `filled` says, for each, what is written for a case.
    pub fn comes_to(
        &self,
        four: &str,
        six: &str,
        filled: &[impl Fn(&str) -> String; 2],
    ) -> Option<Comes> {
        if let Rule::Cases(cases) = self {
            let case = cases.iter().find(|case| {
                let of_ipv6 = case.ipv6.as_ref().unwrap_or(&case.ipv4);
                filled[0](&case.ipv4) == four && filled[1](of_ipv6) == six
            })?;
            return Some(Comes {
                parameters: plainly(&case.gives),
                closes: case.closes,
            });
        }
        let mut parameters = BTreeMap::new();
        let (name, value) = match self {
            // None of ours differs by family.
            _ if four != six => return None,
            Rule::To { to, behind } => {
                let whole = format!("{behind}{four}");
                (to, one(four, is_word).map(|_| Said::One(whole))?)
            }
            Rule::Known { .. } if four.contains(['`', '$']) => {
                return Some(Comes {
                    parameters,
                    closes: None,
                });
            }
            Rule::Known { known } => (known, one(four, is_text)?),
            Rule::Text { text } => (text, one(four, is_text)?),
            Rule::Secret { secret, gives } => {
                parameters = plainly(gives);
                (secret, Said::Secret(Opened::of(four).ok()?))
            }
            Rule::Mailbox { mailbox } => (mailbox, Said::One(mailbox_of(four, OURS)?)),
            Rule::Address { address } => {
                let own = mailbox_of(four, OURS)?;
                (address, one(&own, is_text)?)
            }
            Rule::Mailboxes { mailboxes } => {
                let all = four.split(',').map(|own| mailbox_of(own.trim(), HERE));
                (mailboxes, Said::Many(all.collect::<Option<_>>()?))
            }
            Rule::Cases(_) => return None,
        };
        parameters.insert(name.clone(), value);
        Some(Comes {
            parameters,
            closes: None,
        })
    }
}

fn one(text: &str, fits: impl Fn(&str) -> bool) -> Option<Said> {
    fits(text).then(|| Said::One(text.to_owned()))
}

/// A mailbox as ours are written, with `here` for a domain if it has none; `None` if it is none that is sure to be the same.
fn mailbox_of(said: &str, here: &str) -> Option<String> {
    let said = match said.split_once('@') {
        None => format!("{said}{here}"),
        Some((name, OUR_NAME)) => format!("{name}{OURS}"),
        Some(_) => said.to_owned(),
    };
    let is_mailbox =
        |(name, domain): (&str, &str)| is_word(name) && (domain == "<host>" || is_word(domain));
    said.split_once('@').is_some_and(is_mailbox).then_some(said)
}

/// Whether it is something, on one line and without what stands for something else.
fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_control() || c == '<')
}

/// Whether a value is the same to a program as to a shell.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+".contains(c);
    !text.is_empty() && text.chars().all(plain)
}
