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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::action::ActionKind;
    use crate::action::file::ActionFile;
    use crate::action::parameter::Given;
    use crate::action::shell::spec::{Commands, Occasion};

    const FILE: &str = "kind = \"shell\"\ntitle = \"x\"\n[parameters.key]\ntype = \"secret\"\nabout = \"x\"\n[shell.commands]\nban = \"a <key>\"\n";

    #[test]
    fn a_file_has_commands_and_secrets() {
        let file = ActionFile::parse(FILE).expect("a file");
        let given = BTreeMap::from([("key".to_owned(), Given::One("file:/x".to_owned()))]);
        let spec = file.spec("own".parse().expect("a name"), &given);
        let spec = spec.expect("an action");
        assert_eq!(spec.place.as_deref(), Some("commands of own"));
        assert_eq!(spec.secrets().count(), 1);
        let ActionKind::Shell(shell) = spec.kind else {
            panic!("{:?}", spec.kind);
        };
        assert_eq!(shell.timeout.as_secs(), 60);
        assert!(!shell.start_on_demand);
        let Commands::Same(commands) = &shell.commands else {
            panic!("{:?}", shell.commands);
        };
        let ban = commands.on(Occasion::Ban).expect("a command");
        assert_eq!(ban.text(), "a <key>");
        let both = format!("{FILE}[shell.ipv6]\nban = \"b\"\n");
        let spec = ActionFile::parse(&both).expect("a file");
        let spec = spec.spec("own".parse().expect("a name"), &given);
        let spec = spec.expect("an action");
        assert!(spec.shell().is_some_and(|shell| shell.start_on_demand));
    }

    #[test]
    fn what_it_has_no_use_for_is_refused() {
        let refused = |text: &str| ActionFile::parse(text).expect_err("no file").to_string();
        let steps = FILE.replace(
            "[shell.commands]",
            "[[ban]]\nrun = [\"a\"]\n[shell.commands]",
        );
        assert!(
            refused(&steps).contains("no use of `ban`"),
            "{}",
            refused(&steps)
        );
        let word = FILE.replace("type = \"secret\"\n", "");
        assert!(refused(&word).contains("are secrets"), "{}", refused(&word));
        let other = FILE.replace("\"shell\"", "\"exec\"");
        assert!(
            refused(&other).contains("no use of `shell`"),
            "{}",
            refused(&other)
        );
        let none = FILE.split("[shell").next().unwrap_or_default();
        assert!(
            refused(none).contains("needs `[shell]`"),
            "{}",
            refused(none)
        );
        let unknown = FILE.replace("ban =", "bann =");
        assert!(refused(&unknown).contains("bann"), "{}", refused(&unknown));
    }
}
