//! What do the actions of Fail2ban's jails come to?
//!
//! In: the actions of all jails, read and put together. Out: for each what f2bd does instead. Where its definition is one that
//! Fail2ban is known to ship, and one of our own does the same, that is a section of f2bd's own configuration ([`stock`]);
//! otherwise its commands are run as they are ([`commands`]). Which of ours can work beside one another, [`places`] says.
//! Nothing is run here.

pub mod commands;
mod known;
mod places;
mod stock;

use std::collections::BTreeSet;

use super::jail::TreeAction;
use crate::action::ActionSpec;
use crate::action::ports::{PortError, Ports as KnownPorts, Services};
use crate::config::document::Table;
use crate::config::problem::{Place, Problems};
use crate::engine::name::{ActionName, JailName};
use places::{Asked, Seats};
pub use stock::{Native, Ports, Said, Stock};

/// How Fail2ban's jail.conf says that all ports are meant.
pub const EVERY_PORT: &str = "0:65535";

/// How long the part of a name may be that says more than its number: names have at most 64 letters.
const LONGEST_STEM: usize = 58;

/// What all actions of a tree come to.
#[derive(Debug, Default)]
pub struct Actions {
    /// Those that f2bd has itself, each with where a jail names it first.
    pub natives: Vec<(ActionName, Native, Place)>,
    /// Those whose commands are run, each with where a jail names it.
    pub commands: Vec<(ActionSpec, Place)>,
    /// What was asked for, in the order of the jails and of their actions.
    pub uses: Vec<Use>,
}

impl Actions {
    /// The sections `[action.NAME]` of those that f2bd has itself.
    pub fn sections(&self) -> Table {
        let mut sections = Table::default();
        for (name, native, place) in &self.natives {
            sections.set(name.as_str(), native.section(place));
        }
        sections
    }

    /// Whether an action is one of ours that has a place of its own in the kernel, which knows nothing but addresses.
    pub fn bans_addresses_alone(&self, name: &ActionName) -> bool {
        let mut natives = self.natives.iter();
        natives.any(|(native, kind, _)| native == name && kind.place.is_some())
    }
}

/// What one action of one jail comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The jail, by Fail2ban's name.
    pub jail: String,
    /// Fail2ban's name of the action.
    pub action: String,
    /// f2bd's.
    pub name: ActionName,
    /// Where the jail names it.
    pub place: Place,
    /// What it calls the jail; `None` if that is its commands' own business.
    pub label: Option<JailName>,
    /// What it closes; `None` if that is its commands' own business.
    pub ports: Option<Ports>,
    /// What is otherwise than with Fail2ban's, in words.
    pub differs: Option<String>,
}

/// Says what the actions of these jails come to. What cannot be carried over is noted in `problems`.
pub fn carry<'t>(
    jails: impl IntoIterator<Item = (&'t str, &'t [TreeAction])>,
    problems: &mut Problems,
) -> Actions {
    let stock = Stock::known();
    let mut asked = Vec::new();
    let services = Services::of_this_system();
    for (jail, actions) in jails {
        for action in actions {
            let mut fit = stock.native(jail, action);
            let closed = fit.as_mut().and_then(|fit| fit.ports.as_mut());
            let is_sound = match closed {
                Some(closed) => closes(closed, jail, action, &services, problems),
                None => fit.is_some() || is_no_command(jail, action, problems),
            };
            if is_sound {
                asked.push(Asked { jail, action, fit });
            }
        }
    }
    places::settle(&mut asked);
    let mut actions = Actions::default();
    let mut names = Names::default();
    let mut seats = Seats::default();
    for Asked { jail, action, fit } in asked {
        let (name, label, ports, differs) = match fit {
            Some(fit) => {
                let new_name = || names.new_name(&action.file);
                let name = seats.seat(jail, &fit.native, &action.place, new_name);
                (name, Some(fit.label), fit.ports, fit.native.differs)
            }
            None => match run(jail, action, &stock, problems) {
                Some(spec) => {
                    let name = names.new_name(&format!("{jail}-{}", action.name));
                    let spec = spec.named(name.clone());
                    actions.commands.push((spec, action.place.clone()));
                    (name, None, None, None)
                }
                None => continue,
            },
        };
        actions.uses.push(Use {
            jail: jail.to_owned(),
            action: action.name.clone(),
            name,
            place: action.place.clone(),
            label,
            ports,
            differs,
        });
    }
    actions.natives = seats.natives();
    actions
}

/// Whether any port is left to close when those are gone that are none, each of which is noted. An action that named none would
/// close all of them.
fn closes(
    closed: &mut Ports,
    jail: &str,
    action: &TreeAction,
    services: &Services,
    problems: &mut Problems,
) -> bool {
    let said = action.combined.get("port");
    let said = said.or_else(|| action.parameters.get("port"));
    let place = said.map_or(&action.place, |said| &said.place);
    let mut wrong = Vec::new();
    closed.ports.retain(|word| {
        let known = KnownPorts::parse(&[word], services);
        let is_port = word == EVERY_PORT || known.is_ok();
        wrong.extend(known.err().filter(|_| !is_port));
        is_port
    });
    let is_left = !closed.ports.is_empty();
    for error in wrong {
        let error = match error {
            PortError::Unknown(word) => format!("there is no port `{word}`"),
            error => error.to_string(),
        };
        let remedy = "write numbers, ranges such as 9000:9100, or the names of services";
        let name = &action.name;
        match is_left {
            true => {
                let message = format!("jail `{jail}`: `port`: {error}; `{name}` closes the others");
                problems.warning(place, message, remedy);
            }
            false => {
                let message = format!(
                    "jail `{jail}`: `port`: {error}: the action `{name}` is not run, since without a port it would close every one"
                );
                problems.error(place, message, remedy);
            }
        }
    }
    is_left
}

/// Whether what the jail says of ports is nothing but ports to a shell, which is noted if it is not. What the action's own file
/// says is written by whom its commands are.
fn is_no_command(jail: &str, action: &TreeAction, problems: &mut Problems) -> bool {
    let Some(given) = action.parameters.get("port") else {
        return true;
    };
    let said = action.combined.get("port").unwrap_or(given);
    let init = action.files.section("Init");
    let is_of_file = init.and_then(|init| init.text("port")) == Some(&given.text);
    if is_of_file || said.text.chars().all(is_of_ports) {
        return true;
    }
    let message = format!(
        "jail `{jail}`: `port` cannot be `{}`: the action `{}` is not run, since its shell might not take all of that for ports",
        said.text, action.name
    );
    let remedy = "separate ports by commas, as in ssh,2222";
    problems.error(&said.place, message, remedy);
    false
}

/// Whether a character may be a part of ports that are handed to a shell: none of these means anything else to one.
fn is_of_ports(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ',' | ':' | '-' | '_' | ' ')
}

/// The commands of an action; `None` if there is no way, which is noted.
fn run(
    jail: &str,
    action: &TreeAction,
    stock: &Stock,
    problems: &mut Problems,
) -> Option<crate::action::shell::spec::ShellSpec> {
    if let Some(nearest) = stock.instead_of_python(&action.file) {
        let message = format!(
            "jail `{jail}`: the action `{}` is written in Python, which f2bd does not run",
            action.file
        );
        let remedy = format!("f2bd's own `{nearest}` is the nearest: see f2bd-action(5)");
        problems.error(&action.place, message, remedy);
        return None;
    }
    match commands::read(action, problems) {
        Ok(spec) => Some(spec),
        Err(error) => {
            problems.error(error.place(), error.to_string(), error.remedy());
            None
        }
    }
}

/// Names that are given once.
#[derive(Default)]
struct Names(BTreeSet<ActionName>);

impl Names {
    fn new_name(&mut self, wanted: &str) -> ActionName {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let stem: String = wanted
            .chars()
            .map(|c| if plain(c) { c } else { '-' })
            .skip_while(|c| !c.is_ascii_alphanumeric())
            .take(LONGEST_STEM)
            .collect();
        let stem = if stem.is_empty() {
            "action"
        } else {
            stem.as_str()
        };
        let mut name = stem.to_owned();
        let mut number = 1;
        loop {
            if let Ok(name) = name.parse::<ActionName>()
                && self.0.insert(name.clone())
            {
                return name;
            }
            number += 1;
            name = format!("{stem}-{number}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_of_ports;

    #[test]
    fn only_what_a_shell_takes_as_it_is_may_be_said_of_ports() {
        for good in ["ssh", "0:65535", "http, https", "9000-9100", "iso_tsap"] {
            assert!(good.chars().all(is_of_ports), "{good}");
        }
        for bad in [
            "ssh #x", "ssh;id", "$x", "`id`", "ssh\\", "ss*", "ss?", "{a,b}", "~", "a\tb", "a\nb",
            "!x", "[a]", "é",
        ] {
            assert!(!bad.chars().all(is_of_ports), "{bad}");
        }
    }
}
