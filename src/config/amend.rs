//! What does a jail do when somebody changes one of its settings, or ends it, while the daemon runs?
//!
//! In: the policy in force with what is told of its jails, and a change. Out: the same with that one change, or why
//! that cannot be. The words are those of a directory of Fail2ban's, since those who write such changes know no others. Nothing
//! is put in force here.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::fail2ban::logging::LogTargetError;
use super::fail2ban::time::{self, TimeError};
use super::fail2ban::transcription::plain_word;
use super::keys::MOST_RETRIES;
use super::rows;
use crate::action::{ActionJail, ActionSpec};
use crate::control::protocol::{JailChange, JailSettingsRow};
use crate::engine::name::JailName;
use crate::engine::policy::{IGNOREIP, IgnoreList, IgnoreRule, MaxRetry, SetName};
use crate::engine::policy::{JailPolicy, Policy};
use crate::engine::prefix::{Prefix, PrefixError};
use crate::engine::time::{BanTime, FindTime};
use crate::ignore::word::Word;

/// The most words of `ignoreip` that one jail takes from such changes, its own included: a script that adds an address each
/// minute and never takes one away would make every record dearer, for ever.
const MOST_WORDS: usize = 10_000;

/// Why a setting cannot be so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmendError {
    /// There is no such jail.
    #[error("no jail {0} is enabled")]
    Jail(JailName),
    /// It is no number of failures.
    #[error("`maxretry` cannot be {0}: write a number from 1 to {MOST_RETRIES}")]
    Retries(i64),
    /// It is no time.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// It is a time, though one in which nothing can happen.
    #[error("`{0}` cannot be nothing: write a time such as 10m")]
    NoTime(&'static str),
    /// It names nobody.
    #[error("{0}, nor a range, a host name or a path")]
    Nobody(#[from] PrefixError),
    /// Nothing can be told there.
    #[error("Failed to change log target: {0}")]
    LogTarget(#[from] LogTargetError),
    /// There is no directory for that file, or it is one itself.
    #[error("Failed to change log target: {} cannot be a file", .0.display())]
    NoFile(PathBuf),
    /// The system's log is not there.
    #[error("Failed to change log target: {} is no socket: start the system's log, or `set syslogsocket` to where it listens", .0.display())]
    NoSyslog(PathBuf),
    /// Nobody is spared because of it.
    #[error("list.remove(x): x not in list")]
    NotListed,
    /// There are as many as there can be.
    #[error("`ignoreip` has {MOST_WORDS} words already: write a network, or the path of a list")]
    TooMany,
}

/// Changes a setting of a jail. Without a word of it being put in force, nothing has changed where there is an error.
///
/// # Errors
/// It cannot be so.
pub fn amend(
    policy: &mut Policy,
    told: &mut [JailSettingsRow],
    jail: &JailName,
    change: &JailChange,
) -> Result<(), AmendError> {
    let mut jails = policy.jails.iter_mut();
    let unknown = || AmendError::Jail(jail.clone());
    let amended = jails.find(|one| one.name == *jail).ok_or_else(unknown)?;
    let row = told.iter_mut().find(|row| row.jail == *jail);
    set(amended, change)?;
    if let Some(row) = row {
        rows::follow(row, amended);
    }
    Ok(())
}

/// Takes a jail out, and actions that served no other. One that is left out by a mistake is not missed any longer.
///
/// # Errors
/// There is no such jail.
pub fn take_out(
    policy: &mut Policy,
    told: &mut Vec<JailSettingsRow>,
    actions: &mut Vec<(ActionSpec, Vec<ActionJail>)>,
    jail: &JailName,
) -> Result<(), AmendError> {
    let is_there = policy.jails.iter().any(|one| one.name == *jail);
    if !is_there && !policy.misses(jail) {
        return Err(AmendError::Jail(jail.clone()));
    }
    end(policy, told, actions, jail);
    Ok(())
}

fn end(
    policy: &mut Policy,
    told: &mut Vec<JailSettingsRow>,
    actions: &mut Vec<(ActionSpec, Vec<ActionJail>)>,
    jail: &JailName,
) {
    policy.jails.retain(|one| one.name != *jail);
    policy.left_out.end(jail);
    told.retain(|row| row.jail != *jail);
    for (_, served) in &mut *actions {
        served.retain(|one| one.jail != *jail);
    }
    actions.retain(|(_, served)| !served.is_empty());
}

/// Takes out of what was read anew the jails that somebody has ended since.
pub fn keep_ended(
    policy: &mut Policy,
    told: &mut Vec<JailSettingsRow>,
    actions: &mut Vec<(ActionSpec, Vec<ActionJail>)>,
    in_force: &Policy,
) {
    for jail in in_force.left_out.ended() {
        end(policy, told, actions, jail);
    }
}

/// Has jails that were read anew decide as those in force, as far as somebody may have changed what these decide: who failed too
/// often, how long he is banned and who is spared. Only whose `ignorecommand` is otherwise asks another one.
pub fn carry_over(policy: &mut Policy, told: &mut [JailSettingsRow], in_force: &Policy) {
    for jail in &mut policy.jails {
        let mut before = in_force.jails.iter();
        let Some(before) = before.find(|before| before.name == jail.name) else {
            continue;
        };
        let asks = jail.ignore.sets().map(|(set, _)| set.clone());
        let asks: Vec<_> = asks
            .filter(|set| matches!(set, SetName::Command(_)))
            .collect();
        jail.ignore = before.ignore.clone();
        let is_asked = |set: &SetName| matches!(set, SetName::Command(_)) && !asks.contains(set);
        jail.ignore.give_up(|_| false, is_asked);
        jail.ignore.extend(Vec::new(), asks.iter().cloned());
        jail.maxretry = before.maxretry;
        jail.findtime = before.findtime;
        jail.bantime = before.bantime;
        jail.is_idle = before.is_idle;
        if let Some(row) = told.iter_mut().find(|row| row.jail == jail.name) {
            rows::follow(row, jail);
        }
    }
}

fn set(jail: &mut JailPolicy, change: &JailChange) -> Result<(), AmendError> {
    match change {
        JailChange::Maxretry(retries) => {
            let number = u32::try_from(*retries).ok().and_then(NonZeroU32::new);
            let number = number.filter(|number| number.get() <= MOST_RETRIES);
            jail.maxretry = MaxRetry(number.ok_or(AmendError::Retries(*retries))?);
        }
        JailChange::Findtime(text) => {
            let span = span(text)?.filter(|span| !span.is_zero());
            jail.findtime = FindTime(span.ok_or(AmendError::NoTime("findtime"))?);
        }
        JailChange::Bantime(text) => {
            jail.bantime = match span(text)? {
                None => BanTime::Forever,
                Some(Duration::ZERO) => return Err(AmendError::NoTime("bantime")),
                Some(span) => BanTime::For(span),
            };
        }
        JailChange::Ignoreself(true) => jail.ignore.extend(Vec::new(), [SetName::Own]),
        JailChange::Ignoreself(false) => {
            // Whether there was anything to give up makes no difference.
            jail.ignore.give_up(|_| false, |set| *set == SetName::Own);
        }
        JailChange::Addignoreip(words) => {
            for word in words.iter().flat_map(|words| parted(words)) {
                spare(&mut jail.ignore, &plain_word(word))?;
            }
        }
        JailChange::Delignoreip(word) => spare_no_longer(&mut jail.ignore, &plain_word(word))?,
        JailChange::Idle(is_idle) => jail.is_idle = *is_idle,
    }
    Ok(())
}

/// Whole seconds, as Fail2ban takes them; `None` if they are less than nothing.
///
/// # Errors
/// The text is no time.
pub fn span(text: &str) -> Result<Option<Duration>, TimeError> {
    let span = time::seconds(text)?.duration();
    Ok(span.map(|span| Duration::from_secs(span.as_secs())))
}

/// The words of a list with commas or blanks between.
fn parted(words: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| c == ',' || c.is_whitespace();
    words.split(between).filter(|word| !word.is_empty())
}

fn spare(list: &mut IgnoreList, word: &str) -> Result<(), AmendError> {
    if list.stated().count() + list.sets().count() >= MOST_WORDS {
        return Err(AmendError::TooMany);
    }
    match Word::parse(word)? {
        Word::Networks(networks) => {
            let rule = |prefix| IgnoreRule {
                prefix,
                because: format!("{IGNOREIP} {word}").into(),
            };
            list.extend(networks.into_iter().map(rule).collect(), []);
        }
        Word::Set(set) => list.extend(Vec::new(), [set]),
    }
    Ok(())
}

fn spare_no_longer(list: &mut IgnoreList, word: &str) -> Result<(), AmendError> {
    let is_word = |rule: &IgnoreRule| {
        let said = rule.because.strip_prefix(IGNOREIP).map(str::trim_start);
        said.is_some_and(|said| said == word)
    };
    // However it was written, `10.0.0.0/8` is `10.1.2.3/8`.
    let prefix = word.parse::<Prefix>().ok();
    let set = match Word::parse(word) {
        Ok(Word::Set(set)) => Some(set),
        _ => None,
    };
    let given_up = list.give_up(
        |rule| is_word(rule) || prefix == Some(rule.prefix),
        |name| set.as_ref() == Some(name),
    );
    given_up.then_some(()).ok_or(AmendError::NotListed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(list: &IgnoreList) -> Vec<String> {
        rows::ignored(list)
    }

    #[test]
    fn who_is_spared_comes_and_goes() {
        let mut list = IgnoreList::default();
        for word in [
            "192.0.2.1",
            "10.1.2.3/8",
            "10.0.0.0/8",
            "home.example.org",
            "192.0.2.1",
        ] {
            spare(&mut list, word).expect(word);
        }
        assert_eq!(
            words(&list),
            ["192.0.2.1", "10.1.2.3/8", "home.example.org"]
        );
        assert!(
            list.covers("10.9.9.9".parse().expect("an address"))
                .is_some()
        );
        spare_no_longer(&mut list, "10.0.0.0/8").expect("it is listed");
        spare_no_longer(&mut list, "home.example.org").expect("it is listed");
        assert_eq!(
            spare_no_longer(&mut list, "10.0.0.0/8"),
            Err(AmendError::NotListed)
        );
        assert_eq!(words(&list), ["192.0.2.1"]);
        assert!(
            list.covers("10.9.9.9".parse().expect("an address"))
                .is_none()
        );
        spare(&mut list, "192.0.2.8-192.0.2.11").expect("a range");
        spare_no_longer(&mut list, "192.0.2.8-192.0.2.11").expect("it is listed");
        assert_eq!(words(&list), ["192.0.2.1"]);
        assert!(matches!(
            spare(&mut list, "foo/bar"),
            Err(AmendError::Nobody(_))
        ));
    }

    #[test]
    fn there_is_an_end_to_words() {
        let mut list = IgnoreList::default();
        let address = |number: usize| {
            let number = u32::try_from(number).expect("a small number");
            std::net::Ipv4Addr::from_bits(number).to_string()
        };
        for number in 0..MOST_WORDS {
            spare(&mut list, &address(number)).expect("room");
        }
        assert_eq!(
            spare(&mut list, &address(MOST_WORDS)),
            Err(AmendError::TooMany)
        );
    }

    proptest! {
        #[test]
        fn no_word_is_too_odd(word in "(?s)[0-9./:,-]{0,20}|.{0,60}") {
            let mut list = IgnoreList::default();
            for word in parted(&word) {
                let word = plain_word(word);
                if spare(&mut list, &word).is_ok() {
                    prop_assert!(spare_no_longer(&mut list, &word).is_ok(), "{}", word);
                }
            }
            let _ = span(&word);
        }
    }
}
