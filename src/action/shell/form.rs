//! What does a data file of kind shell say?
//!
//! In: its section `[shell]` and the values of its parameters, of which those that are secret are put in for the tags of their
//! names, and no other. Out: a [`ShellSpec`]. Nothing is run here.

use serde::Deserialize;

use super::spec::{CommandSet, Commands, Confidential, ShellSpec};
use crate::action::parameter::{ParameterError, Value, Values};

/// The section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShellForm {
    /// The commands by their occasions, for both families or, with `ipv6`, for IPv4.
    commands: CommandSet,
    /// Those for IPv6, where they differ.
    #[serde(default)]
    ipv6: Option<CommandSet>,
    /// See [`ShellSpec`]; with commands that differ it is usual.
    #[serde(default)]
    start_on_demand: Option<bool>,
    #[serde(default)]
    repair_on_unban: bool,
    #[serde(default)]
    norestored: bool,
}

impl ShellForm {
    /// What it comes to.
    ///
    /// # Errors
    /// There is no `timeout`.
    pub fn spec(&self, values: &Values) -> Result<ShellSpec, ParameterError> {
        let secrets = values.iter().filter_map(|(name, value)| match value {
            Value::Secret(secret) => Some((name.to_owned(), Confidential::Kept(secret.clone()))),
            Value::Text(_) | Value::List(_) => None,
        });
        let commands = self.commands.clone();
        Ok(ShellSpec {
            start_on_demand: self.start_on_demand.unwrap_or(self.ipv6.is_some()),
            commands: match &self.ipv6 {
                None => Commands::Same(commands),
                Some(ipv6) => Commands::ByFamily {
                    ipv4: commands,
                    ipv6: ipv6.clone(),
                },
            },
            repair_on_unban: self.repair_on_unban,
            norestored: self.norestored,
            timeout: values.time("shell", "timeout")?,
            secrets: secrets.collect(),
        })
    }
}
