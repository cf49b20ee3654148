//! Which bans would have been others?
//!
//! In: the decisions that two settings give on one reading of the logs, and who was let in meanwhile. Out: of each
//! subject, what became of it by either. Nothing is printed here.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use super::by_name;
use super::logins::Login;
use crate::engine::Decision;
use crate::engine::decision::Ban;
use crate::engine::filter::Capture;
use crate::engine::jail::MOST_SUBJECTS;
use crate::engine::name::JailName;
use crate::engine::policy::Policy;
use crate::engine::prefix::{Prefix, SubjectWidth};
use crate::engine::subject::{Name, Subject};
use crate::engine::time::{BanTime, Timestamp};

/// The place of what the present settings give.
pub const PRESENT: usize = 0;
/// The place of what the changed settings give.
pub const CHANGED: usize = 1;

/// So many subjects are compared, over all jails, as many as a jail watches at once: some 30 MB at the most. Bans of
/// further ones are counted and nothing more.
pub const MOST_COMPARED: usize = MOST_SUBJECTS;

/// So many letters of an account's name are kept.
const LONGEST_USER: usize = 64;

/// What one of the settings did altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Bans.
    pub bans: u64,
    /// Failures of who was not banned then.
    pub failures: u64,
    /// Failures of who was: they would not have come through.
    pub kept_out: u64,
    /// Failures that are left out, of hosts that the logs give by name alone.
    pub by_name: u64,
}

/// What one of the settings did with a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// How often it was banned.
    pub bans: u32,
    /// When for the first time.
    pub first: Timestamp,
    /// The failures that made the first ban.
    pub failures: usize,
    /// When the latest ban began.
    latest: Timestamp,
    /// How long that lasts.
    pub bantime: BanTime,
    /// When that is to end, if it is.
    pub until: Option<Timestamp>,
}

impl Treatment {
    fn covers(&self, time: Timestamp) -> bool {
        self.latest <= time && self.until.is_none_or(|until| time < until)
    }
}

/// A login of a subject that the present settings would have let in, and the changed ones have banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaterLogin {
    /// When.
    pub time: Timestamp,
    /// As whom.
    pub user: Option<Box<str>>,
    /// Whether the ban was still in force: he would have been locked out.
    pub while_banned: bool,
}

/// What became of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// By each of the settings; `None` if they did not ban it.
    pub treatments: [Option<Treatment>; 2],
    /// The first login after a ban that only the changed settings have made; one that would have failed, if there is
    /// any.
    pub login: Option<LaterLogin>,
}

/// How the two settings differ over a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Only the changed ones ban it.
    Additional,
    /// Only the present ones ban it.
    NoLonger,
    /// The changed ones ban it for the first time before the present ones.
    Earlier,
    /// After them.
    Later,
    /// At the same moment, and more often.
    More,
    /// At the same moment, and less often.
    Fewer,
    /// At the same moment and as often, and for longer.
    Longer,
    /// At the same moment and as often, and for less time.
    Shorter,
}

impl Fate {
    /// How the two settings differ.
    pub fn difference(&self) -> Option<Difference> {
        let (present, changed) = match self.treatments {
            [None, None] => return None,
            [None, Some(_)] => return Some(Difference::Additional),
            [Some(_), None] => return Some(Difference::NoLonger),
            [Some(present), Some(changed)] => (present, changed),
        };
        let end = |treatment: Treatment| treatment.until.map_or(i64::MAX, Timestamp::as_micros);
        let differences = [
            (
                changed.first.cmp(&present.first),
                [Difference::Earlier, Difference::Later],
            ),
            (
                changed.bans.cmp(&present.bans),
                [Difference::Fewer, Difference::More],
            ),
            (
                end(changed).cmp(&end(present)),
                [Difference::Shorter, Difference::Longer],
            ),
        ];
        differences
            .into_iter()
            .find_map(|(order, [less, greater])| match order {
                Ordering::Less => Some(less),
                Ordering::Equal => None,
                Ordering::Greater => Some(greater),
            })
    }

    /// The first ban, by the changed settings if they make one.
    pub fn first(&self) -> Timestamp {
        let [present, changed] = self.treatments;
        changed
            .or(present)
            .map(|treatment| treatment.first)
            .unwrap_or_default()
    }

    fn log_in(&mut self, login: &Login) {
        let [present, changed] = self.treatments;
        let covers = |treatment: &Treatment| treatment.covers(login.time);
        let while_banned = changed.as_ref().is_some_and(covers);
        let is_news = match (&changed, &present) {
            (Some(changed), None) => changed.first <= login.time,
            (Some(_), Some(present)) => while_banned && !present.covers(login.time),
            (None, _) => false,
        };
        let is_better = match &self.login {
            None => true,
            Some(known) => while_banned && !known.while_banned,
        };
        if is_news && is_better {
            self.login = Some(LaterLogin {
                time: login.time,
                user: login.user.as_deref().map(shortened),
                while_banned,
            });
        }
    }
}

fn shortened(user: &str) -> Box<str> {
    user.chars().take(LONGEST_USER).collect::<String>().into()
}

/// Two settings side by side.
#[derive(Debug)]
pub struct Comparison {
    fates: HashMap<(JailName, Subject), Fate>,
    sums: [Sums; 2],
    /// Bans of subjects that had no room.
    beyond: [u64; 2],
    /// By what each jail knows whom it bans: by a capture, or by so much of an address.
    jails: Vec<(JailName, Option<Capture>, SubjectWidth)>,
}

impl Comparison {
    /// Nothing has happened yet.
    pub fn new(policy: &Policy) -> Self {
        let jails = policy.jails.iter();
        Comparison {
            fates: HashMap::new(),
            sums: Default::default(),
            beyond: Default::default(),
            jails: jails
                .map(|jail| (jail.name.clone(), jail.named_by, jail.width))
                .collect(),
        }
    }

    /// Takes what was decided by the present settings and by the changed ones.
    pub fn take(&mut self, decisions: &mut [Vec<Decision>; 2]) {
        for (side, decisions) in decisions.iter_mut().enumerate() {
            for decision in decisions.drain(..) {
                match decision {
                    Decision::Ban(ban) => self.ban(side, ban),
                    Decision::Count(failure) if failure.counted => self.sums[side].failures += 1,
                    Decision::Count(_) => self.sums[side].kept_out += 1,
                    Decision::Await(awaited) => self.sums[side].by_name += by_name(&awaited),
                    Decision::Unban(_)
                    | Decision::Ignore(_)
                    | Decision::Answered(_)
                    | Decision::Forgive(_)
                    | Decision::Remark(_)
                    | Decision::Allow(_)
                    | Decision::Disallow(_)
                    | Decision::Clear(_)
                    | Decision::Resume(_)
                    | Decision::Notice(_)
                    | Decision::Sighted(_) => {}
                }
            }
        }
    }

    fn ban(&mut self, side: usize, ban: Ban) {
        self.sums[side].bans += 1;
        let (latest, until) = (ban.start, ban.until());
        let failures = ban.evidence.len();
        let key = (ban.jail, ban.subject);
        if self.fates.len() >= MOST_COMPARED && !self.fates.contains_key(&key) {
            self.beyond[side] += 1;
            return;
        }
        let treatment = &mut self.fates.entry(key).or_default().treatments[side];
        let before = treatment.filter(|before| before.first <= latest);
        *treatment = Some(Treatment {
            bans: treatment.map_or(0, |before| before.bans).saturating_add(1),
            first: before.map_or(latest, |before| before.first),
            failures: before.map_or(failures, |before| before.failures),
            latest,
            bantime: ban.bantime,
            until,
        });
    }

    /// Takes a login, after everything that was decided before it.
    pub fn log_in(&mut self, login: Login) {
        for (jail, named_by, width) in &self.jails {
            let subjects: BTreeSet<Subject> = match named_by {
                None => {
                    let wide = width.subject(login.address);
                    // A host of a network that may not be banned is a subject of its own.
                    [wide, Prefix::host(login.address)]
                        .map(Subject::from)
                        .into()
                }
                Some(Capture::User) => {
                    let user = login.user.as_deref().and_then(Name::of);
                    user.map(Subject::Name).into_iter().collect()
                }
                Some(Capture::Target | Capture::Session) => BTreeSet::new(),
            };
            for subject in subjects {
                if let Some(fate) = self.fates.get_mut(&(jail.clone(), subject)) {
                    fate.log_in(&login);
                }
            }
        }
    }

    /// What each of the settings did.
    pub fn sums(&self) -> [Sums; 2] {
        self.sums
    }

    /// Bans of subjects that were too many to be compared.
    pub fn beyond(&self) -> [u64; 2] {
        self.beyond
    }

    /// How many subjects were banned, of those that are compared.
    pub fn subjects(&self, side: usize) -> usize {
        let fates = self.fates.values();
        fates.filter(|fate| fate.treatments[side].is_some()).count()
    }

    /// Those over which the settings differ, kind by kind: those who logged in later, then the others, in the order of
    /// their bans.
    pub fn differences(&self) -> Vec<(Difference, &JailName, &Subject, &Fate)> {
        let fates = self.fates.iter();
        let differences = fates
            .filter_map(|((jail, subject), fate)| Some((fate.difference()?, jail, subject, fate)));
        let mut differences: Vec<_> = differences.collect();
        differences.sort_by_key(|(difference, jail, subject, fate)| {
            (
                *difference,
                fate.login.is_none(),
                fate.first(),
                *jail,
                *subject,
            )
        });
        differences
    }
}
