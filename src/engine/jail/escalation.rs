//! Which offence is a ban, and how long does it last?
//!
//! In: the bans of a subject. Out: the number of the next one and its length. Who stays quiet long enough starts afresh.
//! Nothing here is left to chance, so that a replay comes to the same ends.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::HashMap;
use siphasher::sip::SipHasher13;

use super::super::subject::Subject;
use super::super::time::{BanTime, LONGEST_SPAN, Timestamp};

/// How many offenders are remembered in a jail; some 10 MB at the most.
pub const MOST_OFFENDERS: usize = 131_072;

/// Which part of them is forgotten at once when there are so many.
const FORGOTTEN_PART: usize = 8;

/// How bans of the same subject grow longer.
#[derive(Clone, Debug, PartialEq)]
pub struct Escalation {
    /// By how much.
    pub growth: Growth,
    /// The longest ban, but for its jitter, and for a first one that is longer.
    pub max: Option<Duration>,
    /// By how much longer it is, so that not all who were banned together come back together.
    pub jitter: Jitter,
    /// Who was quiet for so long since his last ban was over is a newcomer; `None` if nobody ever is.
    pub memory: Option<Duration>,
    /// Whose bans count.
    pub scope: Scope,
}

/// How much longer a ban is than the first one.
#[derive(Clone, Debug, PartialEq)]
pub enum Growth {
    /// So many times as long as the one before; at least 1.
    Factor(f64),
    /// So many times bantime: one number for each offence, the last one for all further ones. None is smaller than the one
    /// before it, and there is one.
    Multipliers(Box<[f64]>),
}

/// How much is added to a ban: a part of this, which is the same for a subject at any time, so that no ban is shorter than
/// the one before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Of the ban's own length, from 0 to 1.
    Share(f64),
    /// Of a span.
    Span(Duration),
    /// Of a span, and nothing to a first ban.
    Later(Duration),
}

/// Whose bans count as earlier offences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of the jail.
    Jail,
    /// Those of all jails of this scope.
    All,
}

impl Escalation {
    /// How long the ban lasts that is the nth `offence` of `subject`, if the first one lasts `bantime`.
    pub fn lasting(&self, bantime: BanTime, offence: u32, subject: &Subject) -> BanTime {
        let BanTime::For(first) = bantime else {
            return BanTime::Forever;
        };
        let earlier = offence.saturating_sub(1);
        let times = match &self.growth {
            Growth::Factor(factor) => factor.powf(f64::from(earlier)),
            Growth::Multipliers(list) => {
                let last = list.len().saturating_sub(1);
                let place = usize::try_from(earlier).map_or(last, |place| place.min(last));
                list.get(place).copied().unwrap_or(1.0)
            }
        };
        // Somebody may have changed how long the first one lasts.
        let most = self.max.unwrap_or(LONGEST_SPAN).max(first).as_secs_f64();
        let grown = (first.as_secs_f64() * times).min(most);
        let room = match self.jitter {
            Jitter::Share(share) => grown * share,
            Jitter::Later(_) if earlier == 0 => 0.0,
            Jitter::Span(span) | Jitter::Later(span) => span.as_secs_f64(),
        };
        let seconds = grown + room * lot(subject);
        let micros = (seconds * 1e6).round().min(LONGEST_SPAN.as_micros() as f64);
        BanTime::For(Duration::from_micros(micros as u64))
    }
}

/// What has fallen to a subject, from 0 to 1. It need not be secret: whoever waits for the end of his ban sees it anyhow.
fn lot(subject: &Subject) -> f64 {
    let mut hasher = SipHasher13::new();
    match subject {
        Subject::Network(network) => {
            match network.address() {
                IpAddr::V4(address) => hasher.write(&address.octets()),
                IpAddr::V6(address) => hasher.write(&address.octets()),
            }
            hasher.write_u8(network.width());
        }
        Subject::Name(name) => name.hash(&mut hasher),
    }
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The last ban of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offence {
    /// Which one it was, counted from 1; 0 if it is forgotten.
    pub number: u32,
    /// When it began.
    pub start: Timestamp,
    /// When it was over, or will be; `None` if it lasts forever.
    pub end: Option<Timestamp>,
}

/// Who was banned before in a jail.
#[derive(Debug, Default)]
pub struct Offences {
    last: HashMap<Subject, Offence>,
}

impl Offences {
    /// Which offence a ban of `subject` is that begins at `start`.
    pub fn next(&self, subject: &Subject, start: Timestamp, memory: Option<Duration>) -> u32 {
        let is_remembered = |last: &&Offence| match (last.end, memory) {
            (Some(end), Some(memory)) => start.since(end) <= memory,
            _ => true,
        };
        let last = self.last.get(subject).filter(is_remembered);
        last.map_or(1, |last| last.number.saturating_add(1))
    }

    /// This subject, as it was written when it was banned first.
    pub fn key(&self, subject: &Subject) -> Option<&Subject> {
        let known = self.last.get_key_value(subject);
        known.map(|(subject, _)| subject)
    }

    /// The last ban of a subject, also one that was forgiven.
    pub fn last(&self, subject: &Subject) -> Option<&Offence> {
        self.last.get(subject)
    }

    /// Remembers the last ban of a subject.
    pub fn note(&mut self, subject: Subject, offence: Offence) {
        if !self.last.contains_key(&subject) {
            self.make_room();
        }
        self.last.insert(subject, offence);
    }

    /// Notes that a ban was over earlier than it was to be.
    pub fn ended(&mut self, subject: &Subject, time: Timestamp) {
        if let Some(last) = self.last.get_mut(subject) {
            last.end = Some(time);
        }
    }

    /// Whether somebody who shares an address with `subject`, or is of that name, has offended.
    pub fn has(&self, subject: &Subject) -> bool {
        let mut last = self.last.iter();
        last.any(|(other, last)| last.number > 0 && other.overlaps(subject))
    }

    /// Whoever shares an address with `subject` or is of that name, or everybody, is a newcomer again; answers who that
    /// is. When the last ban was is still known: what it has paid for does not count again.
    pub fn forgive(&mut self, subject: Option<&Subject>) -> Vec<Subject> {
        let is_meant = |other: &Subject| subject.is_none_or(|subject| other.overlaps(subject));
        let mut forgiven = Vec::new();
        for (other, last) in &mut self.last {
            if last.number > 0 && is_meant(other) {
                last.number = 0;
                forgiven.push(other.clone());
            }
        }
        forgiven.sort_unstable();
        forgiven
    }

    /// Keeps the memory bounded: who was banned least often, longest ago, is forgotten first.
    fn make_room(&mut self) {
        if self.last.len() < MOST_OFFENDERS {
            return;
        }
        let rank = |(subject, last): (&Subject, &Offence)| {
            (last.number, last.end.is_none(), last.end, subject.clone())
        };
        let mut ranks: Vec<_> = self.last.iter().map(rank).collect();
        let part = MOST_OFFENDERS / FORGOTTEN_PART;
        ranks.select_nth_unstable(part - 1);
        for (.., subject) in &ranks[..part] {
            self.last.remove(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::prefix::Prefix;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn subject(number: u32) -> Subject {
        Prefix::host(std::net::Ipv4Addr::from(number).into()).into()
    }

    fn escalation(growth: Growth) -> Escalation {
        Escalation {
            growth,
            max: None,
            jitter: Jitter::Share(0.0),
            memory: None,
            scope: Scope::Jail,
        }
    }

    fn hours(escalation: &Escalation, offences: std::ops::RangeInclusive<u32>) -> Vec<f64> {
        let lasting = |offence| match escalation.lasting(BanTime::For(HOUR), offence, &subject(1)) {
            BanTime::For(span) => span.as_secs_f64() / 3600.0,
            BanTime::Forever => f64::INFINITY,
        };
        offences.map(lasting).collect()
    }

    #[test]
    fn bans_grow_by_a_factor_or_by_a_list_up_to_a_maximum() {
        let doubled = escalation(Growth::Factor(2.0));
        assert_eq!(hours(&doubled, 1..=4), [1.0, 2.0, 4.0, 8.0]);
        let list = escalation(Growth::Multipliers([1.0, 5.0, 30.0].into()));
        assert_eq!(hours(&list, 1..=5), [1.0, 5.0, 30.0, 30.0, 30.0]);
        let most = Escalation {
            max: Some(3 * HOUR),
            ..doubled
        };
        assert_eq!(hours(&most, 1..=3), [1.0, 2.0, 3.0]);
        assert_eq!(hours(&most, u32::MAX..=u32::MAX), [3.0]);
        let longer = most.lasting(BanTime::For(5 * HOUR), 2, &subject(1));
        assert_eq!(longer, BanTime::For(5 * HOUR));
        let forever = most.lasting(BanTime::Forever, 2, &subject(1));
        assert_eq!(forever, BanTime::Forever);
    }

    #[test]
    fn without_a_maximum_a_ban_ends_all_the_same() {
        let doubled = escalation(Growth::Factor(2.0));
        let last = doubled.lasting(BanTime::For(HOUR), u32::MAX, &subject(1));
        assert_eq!(last, BanTime::For(LONGEST_SPAN));
    }

    #[test]
    fn jitter_lies_between_nothing_and_all_of_it() {
        let jitter = |jitter| Escalation {
            jitter,
            ..escalation(Growth::Factor(1.0))
        };
        for (escalation, most) in [
            (jitter(Jitter::Share(0.1)), HOUR / 10),
            (jitter(Jitter::Span(HOUR)), HOUR),
        ] {
            let lots = (0..100).map(|number| {
                match escalation.lasting(BanTime::For(HOUR), 1, &subject(number)) {
                    BanTime::For(span) => span - HOUR,
                    BanTime::Forever => Duration::MAX,
                }
            });
            let lots: Vec<_> = lots.collect();
            assert!(lots.iter().all(|lot| *lot <= most));
            assert!(lots.iter().any(|lot| *lot < most / 5));
            assert!(lots.iter().any(|lot| *lot > most / 5 * 4));
        }
        let later = jitter(Jitter::Later(HOUR));
        assert_eq!(hours(&later, 1..=1), [1.0]);
        assert_eq!(
            hours(&later, 2..=2),
            hours(&jitter(Jitter::Span(HOUR)), 2..=2)
        );
    }

    #[test]
    fn who_stays_quiet_long_enough_starts_afresh() {
        let at = |hours: i64| Timestamp::from_micros(hours * 3_600_000_000);
        let mut offences = Offences::default();
        let memory = Some(10 * HOUR);
        assert_eq!(offences.next(&subject(1), at(0), memory), 1);
        let first = Offence {
            number: 1,
            start: at(0),
            end: Some(at(5)),
        };
        offences.note(subject(1), first);
        assert_eq!(offences.next(&subject(1), at(15), memory), 2);
        assert_eq!(offences.next(&subject(1), at(16), memory), 1);
        assert_eq!(offences.next(&subject(1), at(16), None), 2);
        assert_eq!(
            offences.next(&subject(2), at(6), memory),
            1,
            "somebody else"
        );
        offences.ended(&subject(1), at(2));
        assert_eq!(offences.next(&subject(1), at(13), memory), 1);
        assert_eq!(offences.next(&subject(1), at(3), memory), 2);
        assert_eq!(offences.forgive(Some(&subject(1))), [subject(1)]);
        assert_eq!(offences.next(&subject(1), at(3), memory), 1);
        assert!(offences.forgive(None).is_empty());
    }

    #[test]
    fn the_worst_offenders_are_remembered_longest() {
        let mut offences = Offences::default();
        let end = Some(Timestamp::default());
        let offence = |number| Offence {
            number,
            start: Timestamp::default(),
            end,
        };
        offences.note(subject(0), offence(2));
        for number in 1..=MOST_OFFENDERS as u32 {
            offences.note(subject(number), offence(1));
        }
        assert!(offences.last.len() <= MOST_OFFENDERS);
        assert!(offences.last.contains_key(&subject(0)));
        assert!(!offences.last.contains_key(&subject(1)));
    }

    proptest! {
        #[test]
        fn no_ban_is_shorter_than_the_one_before_it(
            factor in 1.0_f64..9.0,
            steps in proptest::collection::vec(0.0_f64..5.0, 1..6),
            by_list in any::<bool>(),
            max in proptest::option::of(1_u64..100_000),
            share in 0.0_f64..=1.0,
            bantime in 1_u64..100_000,
            number in any::<u32>(),
        ) {
            let mut sum = 0.0;
            let list = steps.iter().map(|step| { sum += step; sum });
            let growth = match by_list {
                true => Growth::Multipliers(list.collect()),
                false => Growth::Factor(factor),
            };
            let escalation = Escalation {
                max: max.map(Duration::from_secs),
                jitter: Jitter::Share(share),
                ..escalation(growth)
            };
            let bantime = BanTime::For(Duration::from_secs(bantime));
            let bans: Vec<_> = (1..40).map(|offence| escalation.lasting(bantime, offence, &subject(number))).collect();
            prop_assert!(bans.is_sorted(), "{bans:?}");
        }
    }
}
