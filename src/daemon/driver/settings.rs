//! Which settings are in force?
//!
//! In: a configuration that was read, or a change of one in force. Out: the engine, the actions and the sources go by it.
//! How a configuration is read is not known here.

use std::sync::Arc;
use std::time::Duration;

use super::Driver;
use crate::action::trace::Trace;
use crate::config::Settings;
use crate::config::amend::AmendError;
use crate::control::protocol::{DaemonChange, JailChange, Reply};
use crate::daemon::answer;
use crate::daemon::circumstances::Circumstances;
use crate::daemon::clock;
use crate::daemon::letter::{JailsLost, Rewriting};
use crate::daemon::notice::trouble_text;
use crate::daemon::trial::{Before, Trial};
use crate::engine::Input;
use crate::engine::name::JailName;
use crate::engine::policy::{AddressSet, Policy, SetName};
use crate::engine::time::Timestamp;

/// For how long a change of what is in force holds.
const UNTIL: &str = "that holds until the configuration is read again";

impl Driver {
    /// Has the engine know who would be locked out, if the settings want that.
    pub(super) fn guard(&mut self, now: Timestamp, guarded: AddressSet) {
        let addresses = match self.circumstances.guard {
            true => guarded,
            false => AddressSet::default(),
        };
        let set = SetName::Guarded;
        self.decide(now, Input::Ignore { set, addresses }, None);
    }

    /// Puts new settings in force, unless jails that run would end by them and nobody has asked for it. Whatever is read while
    /// a configuration is on trial is on trial itself: what comes back in the end is what was in force before all of them.
    ///
    /// # Errors
    /// All is as it was, which has been told.
    pub(super) fn obey(
        &mut self,
        now: Timestamp,
        settings: Settings,
        trial: Option<Duration>,
    ) -> Result<(), JailsLost> {
        let lost = self.engine.policy().lost_in(&settings.policy);
        if !lost.is_empty() {
            let lost = JailsLost(lost);
            let sentence = format!(
                "the new configuration is not taken and the old one stays in force: {lost}"
            );
            log::error!("{sentence}");
            self.told.tell_mistake(now, &sentence);
            return Err(lost);
        }
        let (circumstances, policy) = Circumstances::of(settings, &self.circumstances);
        if let Some(lasting) = trial {
            let before = match self.trial.take() {
                Some(trial) => trial.into_before(),
                None => Before {
                    circumstances: self.circumstances.clone(),
                    policy: self.engine.policy().clone(),
                },
            };
            self.trial = Some(Trial::begin(now, lasting, before));
        }
        self.restored = None;
        self.put_in_force(now, circumstances, policy);
        match &self.trial {
            Some(trial) => log::warn!(
                "the new configuration is in force, on trial: unless it is confirmed by {}, the one before it comes back",
                trial.until()
            ),
            None => log::info!("the new configuration is in force"),
        }
        Ok(())
    }

    /// Puts the settings in force once more, with one of a jail changed. The next configuration that is read knows nothing
    /// of it.
    pub(super) fn set(&mut self, now: Timestamp, jail: &JailName, change: &JailChange) -> Reply {
        let changed = self.circumstances.with(self.engine.policy(), jail, change);
        self.change(now, changed, &format!("[{jail}] somebody has set {change}"))
    }

    /// The same with settings that were read for that. What was read before another configuration came in force is none of it.
    pub(super) fn rewrite(&mut self, now: Timestamp, rewriting: Rewriting) -> Reply {
        let Rewriting {
            jail,
            change,
            before,
            settings,
            problems,
        } = rewriting;
        let tree = self.circumstances.tree.as_ref();
        if !tree.is_some_and(|tree| Arc::ptr_eq(tree, &before)) {
            return answer::overtaken();
        }
        let policy = self.engine.policy();
        // The change may bring out a mistake elsewhere, and what a jail needs may have gone since it was read.
        let lost = policy.lost_in(&settings.policy);
        if !lost.is_empty() {
            return answer::jails_lost(&JailsLost(lost), &problems);
        }
        let circumstances = &self.circumstances;
        let changed = circumstances.rewritten(policy, settings, &jail, &change);
        self.change(now, changed, &format!("[{jail}] somebody has set {change}"))
    }

    /// The same without a jail.
    pub(super) fn end_jail(&mut self, now: Timestamp, jail: &JailName) -> Reply {
        let policy = self.engine.policy();
        let runs = policy.jails.iter().any(|one| one.name == *jail);
        // Where a file cannot be read, any name may be that of a jail that is left out; bans tell which was one.
        let changed = match runs || self.engine.ledger().count_in(jail) > 0 {
            true => self.circumstances.without(policy, jail),
            false => Err(AmendError::Jail(jail.clone())),
        };
        self.change(now, changed, &format!("[{jail}] somebody has ended it"))
    }

    /// The same with a setting of the daemon, which no jail, source or action has to hear of.
    pub(super) fn set_daemon(&mut self, now: Timestamp, change: &DaemonChange) -> Reply {
        self.circumstances = match self.circumstances.with_daemon(change) {
            Ok(circumstances) => circumstances,
            Err(error) => return answer::not_so(&error),
        };
        self.tell_as_set(now);
        log::info!("somebody has set {change}; {UNTIL}");
        answer::done(&[])
    }

    fn change(
        &mut self,
        now: Timestamp,
        changed: Result<(Circumstances, Policy), AmendError>,
        what: &str,
    ) -> Reply {
        match changed {
            Ok((circumstances, policy)) => {
                self.put_in_force(now, circumstances, policy);
                log::info!("{what}; {UNTIL}");
                answer::done(&[])
            }
            Err(error) => answer::not_so(&error),
        }
    }

    /// Has both logs tell what they are to.
    fn tell_as_set(&mut self, now: Timestamp) {
        log::set_max_level(self.circumstances.log_level);
        self.told
            .go_on(now, &self.circumstances.logging, self.engine.policy());
    }

    fn put_in_force(&mut self, now: Timestamp, circumstances: Circumstances, policy: Policy) {
        let since = now.before(crate::daemon::longest_findtime(&policy));
        let wanted = policy.sets(circumstances.guard);
        self.circumstances = circumstances;
        self.commands = policy.commands();
        self.decide(now, Input::Policy(Box::new(policy)), None);
        self.tell_as_set(now);
        if !self.circumstances.guard {
            self.guard(now, AddressSet::default());
        }
        // Only now can the engine take what they hold.
        self.audience.wanted.send_replace(wanted);
        self.ask_programs_anew();
        self.start_work(since);
    }

    /// Ends the trial well.
    pub(super) fn confirm(&mut self) -> Reply {
        if self.trial.take().is_none() {
            return answer::nothing_to_confirm(self.restored);
        }
        log::info!("the configuration is confirmed");
        answer::done(&[])
    }

    /// Ends the trial badly.
    pub(super) fn go_back(&mut self, now: Timestamp) {
        let Some(trial) = self.trial.take() else {
            return;
        };
        let Before {
            circumstances,
            policy,
        } = trial.into_before();
        self.put_in_force(now, circumstances, policy);
        self.restored = Some(now);
        log::warn!(
            "the new configuration was not confirmed: the one before it is in force again, whatever its files say now"
        );
    }

    /// Starts the workers and readers that the settings ask for, and ends those they do not.
    pub(super) fn start_work(&mut self, since: Timestamp) {
        self.employ();
        self.start_reading(since);
    }

    /// Has the actions of the settings work, and those before them take away what they have left.
    pub(super) fn employ(&mut self) {
        let now = clock::now();
        self.inherit(now);
        // Written before anything is done: what is in effect and nobody remembers stays for ever.
        let actions = self.circumstances.actions().iter();
        let keepers = actions.filter(|(spec, _)| spec.teller().is_none());
        let about_to = keepers.cloned().map(|(spec, jails)| Trace { spec, jails });
        self.remember_effects(now, about_to.collect());
        if let Err(error) =
            self.outbox
                .employ(self.circumstances.actions(), &self.engine, &self.memory)
        {
            log::error!("cannot start an action's thread: {error}");
        }
    }

    /// Once: what actions of an earlier run may have left.
    fn inherit(&mut self, now: Timestamp) {
        if self.has_inherited || self.circumstances.is_dry_run() {
            return;
        }
        let Some(texts) = self.memory.effects(now) else {
            return;
        };
        let traces = texts.iter().filter_map(|text| {
            let trace = Trace::parse(text);
            let told = trace.inspect_err(|error| {
                log::warn!("what an action of an earlier run has left is not known: {error}");
            });
            told.ok()
        });
        self.outbox.inherit(traces.collect());
        self.has_inherited = true;
    }

    /// Writes down what actions may have put into effect, also what they are `about_to`.
    pub(super) fn remember_effects(&mut self, now: Timestamp, about_to: Vec<Trace>) {
        // What is written there has not been read.
        if !self.has_inherited {
            return;
        }
        let mut traces = self.outbox.in_effect();
        traces.extend(about_to);
        let of_files = traces.iter().filter(|trace| trace.spec.source.is_some());
        let texts = of_files.filter_map(|trace| {
            let text = trace.to_text();
            let told = text.inspect_err(|error| log::error!("{}: {error}", trace.spec.name));
            Some((trace.spec.name.to_string(), told.ok()?))
        });
        let mut effects: Vec<_> = texts.collect();
        effects.sort();
        effects.dedup();
        self.memory.remember_effects(now, effects);
    }

    pub(super) fn start_reading(&mut self, since: Timestamp) {
        for trouble in self.sources.follow(&self.circumstances.sources, since) {
            let (level, sentence) = trouble_text(&trouble);
            log::log!(level, "{sentence}");
        }
    }
}
