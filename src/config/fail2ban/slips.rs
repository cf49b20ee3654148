//! Which jails may be meant to run, although Fail2ban takes them for off?
//!
//! In: the merged files of jails, and what became of each jail. Out: jails that are off by a slip of the pen are doubtful, and
//! each slip is told. Whether such a jail has run before, only others know.

use std::collections::HashSet;

use super::Tree;
use super::ini::DEFAULT;
use super::jail::{JailError, State, TreeJail};
use super::merged::Merged;
use super::options::{Options, Written};
use super::traps;
use crate::config::problem::{Problems, nearest};
use crate::engine::name::JailName;

/// What starts a jail.
const ENABLED: &str = "enabled";

/// Has jails be doubtful that are off because a key that looks like `enabled` starts them.
pub fn doubt(merged: &Merged, jails: &mut [TreeJail], problems: &mut Problems) {
    let used = traps::referred_in(merged);
    let for_all = misspelt(merged.defaults(), &used);
    if let Some((key, value)) = for_all {
        let message = format!("`{key}` in [{DEFAULT}] is no option: it starts no jail");
        problems.warning(&value.place, message, format!("did you mean `{ENABLED}`?"));
    }
    let is_off = |jail: &&mut TreeJail| matches!(jail.state, State::Off);
    for jail in jails.iter_mut().filter(is_off) {
        let own = merged.section(&jail.name);
        let own_slip = own.and_then(|options| misspelt(options, &used));
        if let Some((key, value)) = own_slip {
            let message = format!(
                "`{key}` in [{}] is no option: the jail is off, as if it were not said",
                jail.name
            );
            problems.warning(&value.place, message, format!("did you mean `{ENABLED}`?"));
        }
        let has_say = own.is_some_and(|options| options.has(ENABLED));
        let slip = own_slip.or(for_all.filter(|_| !has_say));
        if slip.is_some_and(|(_, value)| !value.is_false()) {
            jail.state = State::Doubtful;
        }
    }
}

/// A key that was probably meant to be `enabled`.
fn misspelt<'o>(options: &'o Options, used: &HashSet<String>) -> Option<(&'o str, &'o Written)> {
    let is_slip = |key: &str| key != ENABLED && nearest(key, [ENABLED]).is_some();
    let mut keys = options.iter();
    keys.find(|(key, _)| is_slip(key) && !used.contains(*key))
}

/// Tells of sections that cannot be jails and are named almost as one that is off, or as the one that holds for all.
pub fn misspelt_sections(tree: &Tree, problems: &mut Problems) {
    let off = tree.jails.iter();
    let off = off.filter(|jail| matches!(jail.state, State::Off));
    let is_meant = |name: &&str| !tree.said_off.iter().any(|off| off.as_str() == *name);
    let off: Vec<_> = off
        .map(|jail| jail.name.as_str())
        .filter(is_meant)
        .collect();
    for jail in tree.jails.iter().filter(|jail| has_no_filter(jail)) {
        let meant = match is_default(&jail.name) {
            true => DEFAULT,
            false => match nearest(&jail.name, off.iter().copied()) {
                Some(meant) => meant,
                None => continue,
            },
        };
        let message = format!(
            "[{}] is no jail, since no filter is named so, and what it says does not hold for [{meant}]",
            jail.name
        );
        problems.warning(&jail.place, message, format!("did you mean [{meant}]?"));
    }
}

/// Whether there may be a section whose values were meant for all jails.
pub fn lacks_defaults(jails: &[TreeJail]) -> bool {
    let mut jails = jails.iter();
    jails.any(|jail| has_no_filter(jail) && is_default(&jail.name))
}

/// The jails that are off because their own sections say so.
pub fn said_off(merged: &Merged, jails: &[TreeJail]) -> Vec<JailName> {
    let off = jails.iter().filter(|jail| {
        let own = merged.section(&jail.name);
        matches!(jail.state, State::Off) && own.is_some_and(|options| options.has(ENABLED))
    });
    off.filter_map(|jail| jail.name.parse().ok()).collect()
}

/// Whether a jail is left out since there is no filter of its own name.
fn has_no_filter(jail: &TreeJail) -> bool {
    let State::LeftOut(JailError::Files { what, name, .. }) = &jail.state else {
        return false;
    };
    *what == "filter" && *name == jail.name
}

fn is_default(name: &str) -> bool {
    nearest(&name.to_uppercase(), [DEFAULT]).is_some()
}
