//! Whom does a program want to be spared?
//!
//! A program of the administrator's is asked about each address that fails, with the address as its last argument: it
//! ends with 0 if nobody must ban it. Attackers decide how many addresses there are, so few are asked about at a time, none
//! is waited for very long, and what was answered is remembered for a while.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::time::timeout;

use crate::engine::policy::SetName;

/// How long a program may take; then it has said no.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many programs run at once.
const MOST_RUNNING: usize = 4;

/// How many addresses wait: some 100 bytes each, as many as records may wait for a program's word. Of more, those that fail
/// again are asked about then.
pub const MOST_WAITING: usize = 4_096;

/// How long an answer holds.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// How many answers are remembered: some 100 bytes each. Of more, those that say no and are the oldest go.
const MOST_KEPT: usize = 10_000;

/// About whom which program is asked.
pub type Question = (SetName, IpAddr);

/// A wish that a program be asked.
#[derive(Clone, Debug)]
pub struct Asking {
    /// What.
    pub question: Question,
    /// Whether the address is banned already.
    pub is_banned: bool,
}

/// What programs have answered, and what they are to be asked.
#[derive(Debug, Default)]
pub struct Commands {
    answers: BTreeMap<Question, Answer>,
    waiting: VecDeque<Question>,
    asked: BTreeSet<Question>,
    /// Programs that could not be asked last, which is told once.
    failing: BTreeSet<SetName>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    spared: bool,
    until: Instant,
}

impl Commands {
    /// An address has failed: it is to be asked about, unless that is being found out, or known, which is the answer. Whoever
    /// is banned meanwhile comes first, and takes the place of another one if need be: he does not fail again.
    pub fn want(
        &mut self,
        Asking {
            question,
            is_banned,
        }: Asking,
        now: Instant,
    ) -> Option<(Question, bool)> {
        let known = self.answers.get(&question);
        if let Some(answer) = known.filter(|answer| answer.until > now) {
            return Some((question, answer.spared));
        }
        if self.asked.contains(&question) {
            return None;
        }
        // They differ in the address for the most part.
        let is_it = |(set, address): &Question| *address == question.1 && *set == question.0;
        let place = self.waiting.iter().position(is_it);
        if is_banned {
            match place {
                Some(place) => drop(self.waiting.remove(place)),
                None => self.waiting.truncate(MOST_WAITING - 1),
            }
            self.waiting.push_front(question);
        } else if place.is_none() && self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(question);
        }
        None
    }

    /// Whom to ask about now; whoever takes it asks.
    pub fn take(&mut self) -> Option<Question> {
        if self.asked.len() >= MOST_RUNNING {
            return None;
        }
        let question = self.waiting.pop_front()?;
        self.asked.insert(question.clone());
        Some(question)
    }

    /// Takes note of an answer; why there was none, if there was one before.
    pub fn hear(
        &mut self,
        question: Question,
        answer: io::Result<bool>,
        now: Instant,
    ) -> Option<io::Error> {
        self.asked.remove(&question);
        let (spared, error) = match answer {
            Ok(spared) => {
                self.failing.remove(&question.0);
                (spared, None)
            }
            Err(error) => {
                let is_new = self.failing.insert(question.0.clone());
                (false, Some(error).filter(|_| is_new))
            }
        };
        if self.answers.len() >= MOST_KEPT {
            let told_no = self.answers.iter().filter(|(_, answer)| !answer.spared);
            let oldest = told_no.min_by_key(|(_, answer)| answer.until);
            if let Some(oldest) = oldest.map(|(question, _)| question.clone()) {
                self.answers.remove(&oldest);
            }
        }
        if self.answers.len() < MOST_KEPT {
            let until = now + KEPT_FOR;
            self.answers.insert(question, Answer { spared, until });
        }
        error
    }

    /// Forgets answers that are too old; whether somebody is spared no longer.
    pub fn forget(&mut self, now: Instant) -> bool {
        let mut changed = false;
        self.answers.retain(|_, answer| {
            let holds = answer.until > now;
            changed |= answer.spared && !holds;
            holds
        });
        changed
    }

    /// Forgets programs that nobody wants to be asked.
    pub fn keep(&mut self, wanted: &BTreeSet<SetName>) {
        self.answers.retain(|(set, _), _| wanted.contains(set));
        self.waiting.retain(|(set, _)| wanted.contains(set));
        self.failing.retain(|set| wanted.contains(set));
    }

    /// Whom a program spares.
    pub fn spared(&self, set: &SetName) -> impl Iterator<Item = IpAddr> {
        let answers = self.answers.iter();
        let spared = answers.filter(move |((of, _), answer)| of == set && answer.spared);
        spared.map(|((_, address), _)| *address)
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }
}

/// Asks a program about an address.
///
/// # Errors
/// It cannot be run, or has not ended in time.
pub async fn ask(words: &[Box<str>], address: IpAddr) -> io::Result<bool> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(false);
    };
    let mut child = Command::new(&**program)
        .args(arguments.iter().map(|word| &**word))
        .arg(address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // So that what it has started ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    match timeout(PATIENCE, child.wait()).await {
        Ok(status) => Ok(status?.success()),
        Err(_) => {
            if let Some(group) = group {
                // It may have ended just now.
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait().await?;
            let message = format!("it has not ended within {} seconds", PATIENCE.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(question: Question) -> Asking {
        let is_banned = false;
        Asking {
            question,
            is_banned,
        }
    }

    fn question(number: u32) -> Question {
        let set = SetName::Command(["/bin/x".into()].into());
        (set, std::net::Ipv4Addr::from(number).into())
    }

    fn asked(commands: &mut Commands) -> usize {
        std::iter::from_fn(|| commands.take()).count()
    }

    #[test]
    fn each_address_is_asked_about_once_in_a_while() {
        let start = Instant::now();
        let mut commands = Commands::default();
        for _ in 0..3 {
            commands.want(failed(question(1)), start);
        }
        assert_eq!(commands.take(), Some(question(1)));
        commands.want(failed(question(1)), start);
        assert_eq!(commands.take(), None, "it is being asked about");
        assert!(commands.hear(question(1), Ok(true), start).is_none());
        let set = question(1).0;
        assert_eq!(commands.spared(&set).count(), 1);
        let known = Some((question(1), true));
        assert_eq!(commands.want(failed(question(1)), start), known);
        assert_eq!(commands.take(), None);
        let later = start + KEPT_FOR;
        assert!(!commands.forget(start) && commands.forget(later));
        assert_eq!(commands.spared(&set).count(), 0);
        commands.want(failed(question(1)), later);
        assert_eq!(commands.take(), Some(question(1)));
        let broken = || Err(io::ErrorKind::NotFound.into());
        assert!(commands.hear(question(1), broken(), later).is_some());
        assert!(
            commands.hear(question(2), broken(), later).is_none(),
            "told once"
        );
        commands.keep(&BTreeSet::new());
        assert!(commands.is_empty());
    }

    #[test]
    fn attackers_can_keep_few_programs_busy() {
        let start = Instant::now();
        let mut commands = Commands::default();
        for number in 0..5_000 {
            commands.want(failed(question(number)), start);
        }
        assert_eq!(commands.waiting.len(), MOST_WAITING);
        let banned = |number| Asking {
            question: question(number),
            is_banned: true,
        };
        for number in [4_999, 7] {
            commands.want(banned(number), start);
            assert_eq!(commands.waiting.front(), Some(&question(number)));
        }
        assert_eq!(commands.waiting.len(), MOST_WAITING);
        assert_eq!(asked(&mut commands), MOST_RUNNING);
        for number in 0..MOST_KEPT as u32 + 10 {
            let answer = Ok(number < 5);
            commands.hear(question(number), answer, start + Duration::from_millis(1));
        }
        assert_eq!(commands.answers.len(), MOST_KEPT);
        assert_eq!(
            commands.spared(&question(0).0).count(),
            5,
            "yes outlasts no"
        );
        assert_eq!(asked(&mut commands), MOST_RUNNING);
    }
}
