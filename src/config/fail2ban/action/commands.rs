//! Which commands are those of an action, when all is put in that is known before anybody is banned?
//!
//! In: the options and parameters of one action of a jail. Out: a [`ShellSpec`]. Whether they are run at all, or something of
//! our own does the same, is decided elsewhere.

use std::collections::HashSet;
use std::time::Duration;

use crate::action::shell::script::Script;
use crate::action::shell::spec::{CommandSet, Commands, Confidential, Occasion, ShellSpec};
use crate::config::fail2ban::jail::TreeAction;
use crate::config::fail2ban::merged::condition;
use crate::config::fail2ban::options::{Options, Written};
use crate::config::fail2ban::tags::{TagError, Tags};
use crate::config::fail2ban::time;
use crate::config::problem::Problems;

/// How long a command may take if nobody says otherwise.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// Tags whose values are lines of a log, which no parameter can be.
const OF_LINES: [&str; 3] = ["matches", "ipmatches", "ipjailmatches"];

/// A parameter that every action has by itself, whatever is said for it.
const OF_BANS: &str = "bantime";

/// What is in the names of parameters that are secret.
const SECRET: [&str; 5] = ["token", "key", "password", "passwd", "secret"];

/// The address families, as conditions of values.
pub const IPV4: &str = "family=inet4";

/// The other one.
pub const IPV6: &str = "family=inet6";

/// All that an action says for one family, with all tags put in whose values are known.
///
/// # Errors
/// The tags cannot be put in.
pub fn filled(action: &TreeAction, family: &str) -> Result<Options, TagError> {
    let mut all = action.options.clone();
    let parameters = action.parameters.iter();
    for (key, value) in parameters.filter(|(key, _)| *key != OF_BANS) {
        all.set(key, value.clone());
    }
    filled_in(all, family)
}

/// All that is said with the tags put in whose values are known for one family.
///
/// # Errors
/// The tags cannot be put in.
pub fn filled_in(mut all: Options, family: &str) -> Result<Options, TagError> {
    if let Some(value) = all.get("timeout").cloned() {
        let seconds = timeout(&value).unwrap_or(USUAL_TIMEOUT).as_secs();
        all.set("timeout", value.with(seconds.to_string()));
    }
    let tags = Tags {
        left: HashSet::from(OF_LINES),
        condition: family,
        elsewhere: &|_| Ok(None),
    };
    let put_in = tags.put_in(&all)?;
    let mut filled = Options::default();
    for (key, value) in put_in.iter().filter(|(key, _)| condition(key).is_none()) {
        filled.set(key, value.clone());
    }
    for (key, value) in put_in.iter() {
        if let Some((plain, of)) = condition(key)
            && of.strip_prefix('?') == Some(family)
        {
            filled.set(plain, value.clone());
        }
    }
    Ok(filled)
}

/// Whether anything that an action says differs by family.
fn differs(action: &TreeAction) -> bool {
    let all = action.options.iter().chain(action.parameters.iter());
    let mut keys = all.map(|(key, _)| key);
    keys.any(|key| condition(key).is_some_and(|(_, of)| of.starts_with("?family=")))
}

/// The commands of an action.
///
/// # Errors
/// The tags in them cannot be put in.
pub fn read(action: &TreeAction, problems: &mut Problems) -> Result<ShellSpec, TagError> {
    let differs = differs(action);
    let commands = match differs {
        true => Commands::ByFamily {
            ipv4: set(&filled(action, IPV4)?),
            ipv6: set(&filled(action, IPV6)?),
        },
        false => Commands::Same(set(&filled(action, "")?)),
    };
    let all = filled(action, IPV4)?;
    let flag = |key: &str| all.get(key).map(Written::is_true);
    let secrets = all.iter().filter(|(key, _)| is_secret(key));
    let timeout = all.get("timeout").map(|value| {
        timeout(value).unwrap_or_else(|| {
            let message = format!("`timeout` cannot be `{}`: 60 seconds are taken", value.text);
            problems.warning(&value.place, message, "write a number of seconds");
            USUAL_TIMEOUT
        })
    });
    let spec = ShellSpec {
        commands,
        start_on_demand: flag("actionstart_on_demand").unwrap_or(differs),
        repair_on_unban: flag("actionrepair_on_unban").unwrap_or_default(),
        norestored: flag("norestored").unwrap_or_default(),
        timeout: timeout.unwrap_or(USUAL_TIMEOUT),
        secrets: secrets
            .map(|(key, value)| (key.to_owned(), Confidential::Said(value.text.clone())))
            .collect(),
    };
    for tag in spec.never_known() {
        let name = &action.name;
        let (message, remedy) = match tag.strip_prefix("F-") {
            Some(_) => (
                format!("the action `{name}`: what `<{tag}>` stands for is not kept, it is empty"),
                "use <F-USER>, <F-ID>, <F-IP4> or <F-IP6>, or <matches> for the lines themselves",
            ),
            None => (
                format!("the action `{name}`: `<{tag}>` is not told to actions, it is 0"),
                "use <failures>, or ask `f2bd status` how many have failed",
            ),
        };
        problems.warning(&action.place, message, remedy);
    }
    Ok(spec)
}

/// Whether the parameter of this name is for nobody else to read.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRET.iter().any(|word| key.contains(word))
}

fn timeout(value: &Written) -> Option<Duration> {
    time::seconds(&value.text).ok()?.duration()
}

fn set(all: &Options) -> CommandSet {
    let commands = Occasion::ALL.into_iter().filter_map(|occasion| {
        let text = all.text(&format!("action{occasion}"))?;
        Some((occasion, Script::new(text)))
    });
    CommandSet::new(commands)
}
