//! What is said of an action, as Fail2ban tells it?
//!
//! In: rows of the daemon. Out: which properties the object of Python would have. Their values may be secrets, and whoever may
//! ask the daemon need not know them, so nobody is told.

use super::{Answers, Failed};
use crate::control::fail2ban::command::Jail;
use crate::control::fail2ban::fault::Fault;
use crate::control::fail2ban::value::Value;
use crate::control::protocol::SaidAction;

/// What every action that runs commands has, whatever its files say.
const USUAL: [&str; 13] = [
    "ESCAPE_CRE",
    "ESCAPE_VN_CRE",
    "actionban",
    "actioncheck",
    "actionflush",
    "actionreban",
    "actionreload",
    "actionrepair",
    "actionstart",
    "actionstop",
    "actionunban",
    "banEpoch",
    "timeout",
];

impl<E> Answers<'_, E> {
    /// What a directory of Fail2ban's says of an action; `None` if there is no such directory. It must be an action of the jail.
    pub(super) fn action_of(
        &mut self,
        jail: &Jail,
        action: &str,
    ) -> Result<Option<SaidAction>, Failed<E>> {
        let row = self.jail(jail)?;
        let settings = self.jail_settings(jail)?;
        let mut said = settings.said_actions.into_iter();
        let said = said.find(|said| said.action == action);
        let is_own = settings.said.is_none() && row.actions.iter().any(|own| own == action);
        match said.is_some() || is_own {
            true => Ok(said),
            false => Err(Fault::Missing(format!("Invalid Action name: {action}")).into()),
        }
    }

    /// The names of the properties, in order; none of an action that is f2bd's own.
    pub(super) fn properties_of(&mut self, jail: &Jail, action: &str) -> Result<Value, Failed<E>> {
        let said = self.action_of(jail, action)?;
        let names = said.as_ref().map_or_else(Vec::new, properties);
        Ok(Value::texts(names))
    }

    /// One of them, which is not told, and where it can be read instead.
    pub(super) fn property_of<T>(
        &mut self,
        jail: &Jail,
        action: &str,
        property: &str,
    ) -> Result<T, Failed<E>> {
        let said = self.action_of(jail, action)?;
        let fault = match said {
            None => own(action, action, property),
            Some(SaidAction {
                instead: Some(instead),
                ..
            }) => own(action, &instead, property),
            Some(said) if !properties(&said).contains(&property) => Fault::NoProperty(format!(
                "'CommandAction' object has no attribute '{property}'"
            )),
            Some(_) => Fault::Refused(format!(
                "f2bd tells nobody who asks by a socket what an action is made of, for that may be a secret: `fail2ban-client -d` lists `{property}` of `{action}`"
            )),
        };
        Err(fault.into())
    }
}

fn properties(said: &SaidAction) -> Vec<&str> {
    if said.instead.is_some() {
        return Vec::new();
    }
    let own = said.properties.iter().map(String::as_str);
    let mut names: Vec<_> = own.chain(USUAL).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn own(action: &str, instead: &str, property: &str) -> Fault {
    Fault::Refused(format!(
        "`{action}` is an action of f2bd's own here, which has no `{property}`: `f2bd actions {instead}` tells of it"
    ))
}
