//! The one door in and the one door out.
//!
//! Order within one input: bans that are over are lifted first, then the input is heard. A record is
//! judged at its own time, so it makes no difference how records were cut into batches or how late they
//! were read: `replay` comes to the same bans as the daemon.

mod accounts;
mod adopting;
mod allowing;
mod banning;
mod besieged;
mod continuity;
mod deferring;
mod explaining;
mod guarding;
mod heard;
mod hearing;
mod naming;
mod recount;
mod unhindered;
mod vouching;
mod waiting;
mod watching;

pub use allowing::MOST_ALLOWED;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::HashMap;

use super::decision::{Allowance, AwaitedId, Ban, BanId, Decision, FailureId};
use super::explain::JailStatus;
use super::filter::session::Sessions;
use super::filter::{LineMemory, LinePattern, Outcome};
use super::host::HostName;
use super::input::Input;
use super::jail::accounts::{Account, Accounts, Directory};
use super::jail::escalation::Offences;
use super::jail::network::Networks;
use super::jail::siege::Siege;
use super::jail::{MOST_SUBJECTS, Windows};
use super::ledger::{Ledger, Standing};
use super::name::{ActionName, JailName, SourceName};
use super::policy::{AddressSet, JailPolicy, Policy};
use super::prefix::Prefix;
use super::subject::Subject;
use super::time::Timestamp;
use heard::Heard;
use waiting::Waiting;
use watching::Watch;

/// How often windows that nobody fills any more are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// So many orders to forget are kept for what the database will tell when it can be read, the newest ones; each takes
/// some 50 bytes, and only the administrator gives any.
const MOST_FORGOTTEN: usize = 10_000;

/// A record may come this much later than others that were logged when it was, and still finds all that it counts
/// with: the tail of a rotated file, or what a network held up.
const LATEST: Duration = Duration::from_secs(600);

/// Hears inputs and answers with decisions.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    /// Whether failures carry the text of their records.
    keeps_text: bool,
    /// The jails that use each filter, by their place, and for what.
    listeners: Vec<Vec<(usize, Outcome)>>,
    jails: Vec<JailState>,
    ledger: Ledger,
    /// Also of jails that are gone, which may come back.
    offences: HashMap<JailName, Offences>,
    /// Who is allowed for a time.
    allowed: BTreeMap<Prefix, Allowance>,
    guarded: AddressSet,
    /// Whom a jail would have banned, were they not guarded; until they are not.
    guarded_told: BTreeSet<(JailName, Prefix)>,
    /// In which jails and of whom the administrator has had earlier bans forgotten, while some of them could not be read
    /// yet.
    forgotten: Option<Vec<(JailName, Option<Subject>)>>,
    sessions: Sessions,
    /// What filters over whole lines remember.
    memory: LineMemory,
    /// The patterns that took too many steps, of which has been told.
    exceeded: BTreeSet<(JailName, LinePattern)>,
    directory: Directory,
    /// When somebody's time of grace is over.
    next_conviction: Option<Timestamp>,
    /// When it heard something first.
    began: Option<Timestamp>,
    /// When it heard something last.
    present: Timestamp,
    /// What waits for the addresses of names.
    unresolved: Waiting<HostName>,
    /// What waits for the word of a jail's program about an address.
    unvouched: Waiting<(JailName, IpAddr)>,
    next_failure: FailureId,
    next_ban: BanId,
    next_awaited: AwaitedId,
    /// Whether it has been told that no further ban has room; until one has.
    full_told: bool,
    heard: Heard,
    /// How far each source was heard: up to its newest record, or, where there was no more, up to the present.
    progress: HashMap<Option<SourceName>, Option<Timestamp>>,
    swept: Timestamp,
    /// When the end of a siege can be announced if nobody fails any more.
    next_calm: Option<Timestamp>,
    /// Whether bans are put into effect; nobody is kept out where they are only decided.
    acts: bool,
    /// Whether programs are asked whom they spare; nobody waits where they are not.
    asks: bool,
    /// What is seen of filters beside what they count, if anybody wants to know.
    watch: Option<Watch>,
}

/// What a jail has seen.
#[derive(Debug)]
struct JailState {
    windows: Windows<Subject, Option<Account>>,
    networks: Networks,
    accounts: Accounts,
    siege: Siege,
    future_told: bool,
    failures: u64,
    bans: u64,
    inherited: u64,
    /// Without those that `heard` holds.
    records: u64,
}

impl Default for JailState {
    fn default() -> Self {
        JailState {
            windows: Windows::bounded(MOST_SUBJECTS),
            networks: Networks::default(),
            accounts: Accounts::default(),
            siege: Siege::default(),
            future_told: false,
            failures: 0,
            bans: 0,
            inherited: 0,
            records: 0,
        }
    }
}

impl Engine {
    /// An engine that has heard nothing yet.
    pub fn new(policy: Policy) -> Self {
        Engine {
            keeps_text: true,
            ..Engine::without_text(policy)
        }
    }

    /// The same for whoever only wants to know whom it bans: its failures come without line, user and session, which to
    /// copy costs more than to judge them.
    pub fn without_text(policy: Policy) -> Self {
        let jails = policy.jails.iter().map(|_| JailState::default()).collect();
        Engine {
            listeners: listeners(&policy),
            policy,
            keeps_text: false,
            jails,
            ledger: Ledger::default(),
            offences: HashMap::default(),
            allowed: BTreeMap::new(),
            guarded: AddressSet::default(),
            guarded_told: BTreeSet::new(),
            forgotten: None,
            sessions: Sessions::default(),
            memory: LineMemory::default(),
            exceeded: BTreeSet::new(),
            directory: Directory::default(),
            next_conviction: None,
            began: None,
            present: Timestamp::default(),
            unresolved: Waiting::default(),
            unvouched: Waiting::default(),
            next_failure: FailureId(1),
            next_ban: BanId(1),
            next_awaited: AwaitedId(1),
            full_told: false,
            heard: Heard::default(),
            progress: HashMap::default(),
            swept: Timestamp::default(),
            next_calm: None,
            acts: false,
            asks: false,
            watch: None,
        }
    }

    /// Hears one input and appends what should be remembered and done.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Decision>) {
        self.began.get_or_insert(now);
        self.present = now;
        // Records have times of their own.
        if !matches!(input, Input::Records { .. }) {
            self.expire(now, out);
        }
        match input {
            Input::Records {
                source,
                batch,
                more,
            } => {
                self.hear_records(now, source, batch, out);
                self.note_progress(now, source, batch, more);
            }
            Input::Recount(failure) => self.recount(now, failure, out),
            Input::TakeBack(failure) => self.take_back(failure),
            Input::Named { host, addresses } => self.hear_addresses(now, &host, &addresses, out),
            Input::Word {
                program,
                address,
                is_spared,
            } => self.hear_word(now, &program, address, is_spared, out),
            Input::Tick => {}
            Input::Ban {
                jail,
                subject,
                bantime,
                reason,
            } => self.ban_by_hand(now, jail, subject, bantime, reason, out),
            Input::Adopt(adoption) => self.adopt(now, adoption, out),
            Input::Unban {
                jail,
                subject,
                forget,
                reason,
            } => {
                self.unban_by_hand(now, jail.as_ref(), subject.as_ref(), reason, out);
                if forget {
                    self.forgive(jail.as_ref(), subject.as_ref(), out);
                }
            }
            Input::Allow { subject, span } => self.allow(now, subject, now.after(span), out),
            Input::Disallow { subject } => self.disallow(now, subject, out),
            Input::Ignore { set, addresses } => self.ignore(now, &set, &addresses, out),
            Input::Restore(remembered) => self.restore(now, remembered, out),
            Input::Outcome(outcome) => self.ledger.hear(&outcome),
            Input::Policy(policy) => self.obey(now, *policy, out),
        }
        self.give_up_words(now, out);
        self.convict_all(now, out);
        self.expire(now, out);
        self.calm(now, out);
        self.end_allowances(now, out);
        // A clock that was set back must not put it off.
        if now < self.swept || now >= self.swept.after(SWEEP_EVERY) {
            self.swept = now;
            self.sweep(now);
            self.tell_deaf(now, out);
        }
    }

    /// When [`Input::Tick`] is due; `None` if time alone changes nothing.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let watching = self.jails.iter().any(|jail| {
            !jail.windows.is_empty() || !jail.networks.is_empty() || !jail.accounts.is_empty()
        });
        let sweep = watching.then(|| self.swept.after(SWEEP_EVERY));
        let allowed = self.allowed.values().map(|one| one.until).min();
        let ends = [self.ledger.next_end(), allowed];
        let lost = self.next_word_lost();
        let others = [self.next_conviction, self.next_calm, sweep, lost];
        ends.into_iter().chain(others).flatten().min()
    }

    /// When somebody is banned unless he is let in before.
    pub fn next_conviction(&self) -> Option<Timestamp> {
        self.next_conviction
    }

    /// The settings in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a ban is in effect, by all the actions that its jail has for it.
    pub fn is_in_effect(&self, jail: &JailName, ban: &Standing) -> bool {
        let by = self.policy.keepers_of(jail, ban);
        self.ledger.in_effect(ban.id, by)
    }

    /// The actions that have to put a ban into effect.
    fn keepers_of(&self, ban: &Ban) -> Vec<ActionName> {
        let by = self.policy.keepers_of(&ban.jail, &Standing::of(ban));
        by.cloned().collect()
    }

    /// Who is banned.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How the jails are doing, in the order of the configuration.
    pub fn jails(&self, now: Timestamp) -> Vec<JailStatus> {
        let pairs = self.policy.jails.iter().zip(&self.jails);
        pairs
            .map(|(policy, state)| {
                let (watched, failing) = state.windows.sums(now, policy.findtime.0);
                JailStatus {
                    jail: policy.name.clone(),
                    watched,
                    failing,
                    unresolved: self.unresolved.count_of(&policy.name),
                    banned: self.ledger.count_in(&policy.name),
                    unhindered: self
                        .ledger
                        .unhindered_in(&policy.name, now.before(policy.findtime.0)),
                    failures: state.failures,
                    bans: state.bans,
                    inherited: state.inherited,
                    records: state.records + self.heard.by(policy),
                }
            })
            .collect()
    }

    /// Gives each jail what it has heard until now.
    fn sum_up(&mut self) {
        let heard = std::mem::take(&mut self.heard);
        for (policy, state) in self.policy.jails.iter().zip(&mut self.jails) {
            state.records += heard.by(policy);
        }
    }

    /// How far all sources of a jail were heard.
    fn heard_until(&self, jail: &JailPolicy, now: Timestamp) -> Timestamp {
        if let Some(replayed) = self.progress.get(&None) {
            return replayed.unwrap_or(now).min(now);
        }
        // Bans come from wherever other jails listen.
        let jails = self.policy.jails.iter();
        let counted = jails.filter(|other| match self.policy.counts_bans(jail) {
            true => true,
            false => other.name == jail.name,
        });
        let sources = counted.flat_map(|jail| &jail.sources);
        let heard = sources.map(|source| self.source_heard_until(source, now));
        heard.min().unwrap_or(now).min(now)
    }

    /// The same of one source. One that has told nothing since the start is not waited for very long.
    fn source_heard_until(&self, source: &SourceName, now: Timestamp) -> Timestamp {
        match self.progress.get(&Some(source.clone())) {
            Some(progress) => progress.unwrap_or(now),
            None if self.began.is_some_and(|began| began.after(LATEST) <= now) => now,
            None => Timestamp::from_micros(i64::MIN),
        }
    }

    /// Forgets windows that no record to come can fill. Sources may lag behind, so what counts is not the
    /// present but how far each of them has been read, and since when a record waits to be judged.
    fn sweep(&mut self, now: Timestamp) {
        // Bans come from wherever other jails listen.
        let all = self.policy.jails.iter().flat_map(|jail| &jail.sources);
        let all: Vec<SourceName> = all.cloned().collect();
        for (policy, state) in self.policy.jails.iter().zip(&mut self.jails) {
            // A source that has not been heard yet may have records of any age.
            let heard = |source: &SourceName| {
                let progress = self.progress.get(&Some(source.clone()))?;
                Some(progress.unwrap_or(now).before(LATEST))
            };
            let replayed = self.progress.get(&None).copied().flatten();
            let far = match replayed {
                Some(newest) => Some(newest),
                None if self.policy.counts_bans(policy) => all.iter().map(heard).min().flatten(),
                None => policy.sources.iter().map(heard).min().flatten(),
            };
            let unresolved = self.unresolved.oldest_of(&policy.name);
            let waiting = [unresolved, self.unvouched.oldest_of(&policy.name)];
            if let Some(far) = far.map(|far| waiting.into_iter().flatten().fold(far, Ord::min)) {
                state.windows.forget_stale(far, policy.findtime);
                state.networks.forget_stale(far, &policy.networks);
                state.accounts.forget_stale(far, policy.accounts);
            }
        }
    }
}

/// Which jails listen to which filter.
fn listeners(policy: &Policy) -> Vec<Vec<(usize, Outcome)>> {
    let mut listeners = vec![Vec::new(); policy.filters.len()];
    for (at, jail) in policy.jails.iter().enumerate() {
        listeners[usize::from(jail.filter.0)].push((at, Outcome::Failure));
        if let Some(logins) = jail.logins {
            listeners[usize::from(logins.0)].push((at, Outcome::Success));
        }
    }
    listeners
}

/// Whether a failure may still help to ban its subject: neither that nor a network around it was banned since.
fn is_open(
    jail: &JailPolicy,
    offences: Option<&Offences>,
    subject: &Subject,
    failed: Timestamp,
) -> bool {
    let may_count = |banned: &Subject| {
        let last = offences.and_then(|offences| offences.last(banned));
        last.is_none_or(|last| last.start < failed)
    };
    let address = subject.network().map(Prefix::address);
    let networks = address.into_iter();
    let mut networks = networks.flat_map(|address| jail.networks_around(address));
    may_count(subject) && networks.all(|network| may_count(&network.into()))
}

#[cfg(test)]
mod tests;
