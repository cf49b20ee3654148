//! What may an action have left where it works, and how is that written down?
//!
//! An action whose configuration is gone can take its things away all the same: its data file, its parameters and its jails
//! say how. In: such a trace. Out: a text for a later run, and back. Parameters that are secret are only named in it, as
//! in the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file::{ActionFile, FileError};
use super::parameter::{Given, ParameterError};
use super::ports::{PortRange, Ports, Protocol, ProtocolError};
use super::{ActionJail, ActionSpec};
use crate::engine::name::NameError;
use crate::engine::prefix::SubjectWidth;

/// An action, and the jails for which it may have put something into effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The action.
    pub spec: ActionSpec,
    /// The jails.
    pub jails: Vec<ActionJail>,
}

/// A text that is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It is not of the form that it should have.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    /// The action was made of something else.
    #[error("it has no data file")]
    NoFile,
    /// A name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The data file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

#[derive(Serialize, Deserialize)]
struct Form {
    action: String,
    file: String,
    parameters: BTreeMap<String, Given>,
    jails: Vec<JailForm>,
}

#[derive(Serialize, Deserialize)]
struct JailForm {
    jail: String,
    /// The jail's name in traces of before there were labels.
    label: Option<String>,
    /// First and last of each range; none for all ports.
    ports: Option<Vec<(u16, u16)>>,
    protocols: Vec<String>,
    ipv4: u8,
    ipv6: u8,
}

impl Trace {
    /// As a text, the same for the same trace.
    ///
    /// # Errors
    /// The action was not made of a data file.
    pub fn to_text(&self) -> Result<String, TraceError> {
        let source = self.spec.source.as_ref().ok_or(TraceError::NoFile)?;
        let jails = self.jails.iter().map(|jail| JailForm {
            jail: jail.jail.to_string(),
            label: Some(jail.label.to_string()),
            ports: match &jail.ports {
                Ports::All => None,
                Ports::Some(ranges) => Some(
                    ranges
                        .iter()
                        .map(|range| (range.first, range.last))
                        .collect(),
                ),
            },
            protocols: jail.protocols.iter().map(Protocol::to_string).collect(),
            ipv4: jail.width.ipv4,
            ipv6: jail.width.ipv6,
        });
        let form = Form {
            action: self.spec.name.to_string(),
            file: source.file.to_string(),
            parameters: source.given.clone(),
            jails: jails.collect(),
        };
        Ok(serde_json::to_string(&form)?)
    }

    /// Reads it again.
    ///
    /// # Errors
    /// It is none, or one of an f2bd that knew other actions.
    pub fn parse(text: &str) -> Result<Trace, TraceError> {
        let form: Form = serde_json::from_str(text)?;
        let jails = form.jails.into_iter().map(|jail| {
            let protocols = jail.protocols.iter().map(|word| word.parse());
            Ok(ActionJail {
                label: jail.label.as_ref().unwrap_or(&jail.jail).parse()?,
                jail: jail.jail.parse()?,
                ports: jail.ports.map_or(Ports::All, |ranges| {
                    let ranges = ranges.into_iter();
                    Ports::Some(
                        ranges
                            .map(|(first, last)| PortRange { first, last })
                            .collect(),
                    )
                }),
                protocols: protocols.collect::<Result<_, ProtocolError>>()?,
                width: SubjectWidth {
                    ipv4: jail.ipv4.clamp(1, 32),
                    ipv6: jail.ipv6.clamp(1, 128),
                },
            })
        });
        let jails = jails.collect::<Result<_, TraceError>>()?;
        let file = ActionFile::parse(&form.file)?;
        let spec = file.spec(form.action.parse()?, &form.parameters)?;
        Ok(Trace { spec, jails })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trace(ranges: Vec<(u16, u16)>, chain: &str) -> Trace {
        let file =
            ActionFile::parse(include_str!("../../actions/ipset.toml")).expect("it is sound");
        let many = Given::Many(vec!["INPUT".to_owned(), "FORWARD".to_owned()]);
        let given = BTreeMap::from([
            ("chain".to_owned(), Given::One(chain.to_owned())),
            ("hooks".to_owned(), many),
        ]);
        let ranges = ranges
            .into_iter()
            .map(|(first, last)| PortRange { first, last });
        let jail = ActionJail {
            jail: "sshd".parse().expect("a name"),
            label: "SSH".parse().expect("a name"),
            ports: Ports::Some(ranges.collect()),
            protocols: vec![Protocol::Tcp, Protocol::Udp],
            width: SubjectWidth::DEFAULT,
        };
        let everywhere = ActionJail {
            ports: Ports::All,
            ..jail.clone()
        };
        Trace {
            spec: file
                .spec("fw".parse().expect("a name"), &given)
                .expect("they are allowed"),
            jails: vec![jail, everywhere],
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(ranges in proptest::collection::vec(any::<(u16, u16)>(), 1..4), chain in "[a-z]{1,7}") {
            let trace = trace(ranges, &chain);
            let text = trace.to_text().expect("a text");
            prop_assert_eq!(Trace::parse(&text).expect("a trace"), trace);
        }

        #[test]
        fn any_text_can_come(text in ".{0,200}", at in 0..9_000_usize) {
            prop_assert!(Trace::parse(&text).is_err());
            let mut text = trace(vec![(22, 22)], "f2bd").to_text().expect("a text").into_bytes();
            text.truncate(at);
            // Whatever comes of it, it comes back.
            let _ = Trace::parse(&String::from_utf8_lossy(&text));
        }
    }
}
