//! What is done about a ban, by how often its subject has offended?
//!
//! In: the number of an offence. Out: the actions that put its ban into effect, and how wide that is. How long it lasts
//! is decided in [`escalation`](super::escalation).

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::decision::Origin;
use super::super::ledger::Standing;
use super::super::name::ActionName;
use super::super::prefix::SubjectWidth;

/// What becomes of those whom an action concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They do not get through.
    KeepsOut,
    /// They get through, if slowly.
    LetsThrough,
    /// Somebody is told of them.
    Tells,
}

/// What is done from some offence on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// From which offence on, counted from 1.
    pub from: NonZeroU32,
    /// What puts its bans into effect.
    pub actions: Vec<ActionName>,
    /// How wide the network around the offender is that is banned in its place, if one is.
    pub network: Option<SubjectWidth>,
    /// Whether whoever is banned so still gets through, as all of its actions let him: then its failures count on, and
    /// its next offence takes the place of this one.
    pub lets_through: bool,
}

impl Response {
    /// What is done about every offence if nothing else is said.
    fn usual(actions: Vec<ActionName>) -> Self {
        Response {
            from: NonZeroU32::MIN,
            actions,
            network: None,
            lets_through: false,
        }
    }
}

/// What is done about bans that do not work: those whose subjects fail on and on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhindered {
    /// So long somebody may still fail by what he had begun, or what was logged late.
    pub grace: Duration,
    /// What puts the ban into effect from then on, beside the actions that have failed to.
    pub actions: Vec<ActionName>,
}

impl Default for Unhindered {
    fn default() -> Self {
        Unhindered {
            grace: Duration::from_secs(60),
            actions: Vec::new(),
        }
    }
}

/// What a jail does about its bans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responses {
    /// What is done before the first of the others.
    usual: Response,
    /// In the order of their offences.
    graded: Vec<Response>,
    /// Whether a usual action lets through whom it concerns.
    slows: bool,
    /// Which actions only tell of those whom they concern.
    tellers: Vec<ActionName>,
    /// And where that does not help.
    unhindered: Unhindered,
}

impl Responses {
    /// These `actions`, until one of the others takes their place.
    pub fn new(actions: Vec<ActionName>, mut graded: Vec<Response>) -> Self {
        graded.sort_by_key(|response| response.from);
        Responses {
            usual: Response::usual(actions),
            graded,
            slows: false,
            tellers: Vec::new(),
            unhindered: Unhindered::default(),
        }
    }

    /// The same with this for bans that do not work.
    pub fn with_unhindered(self, unhindered: Unhindered) -> Self {
        Responses { unhindered, ..self }
    }

    /// What is done about bans that do not work.
    pub fn unhindered(&self) -> &Unhindered {
        &self.unhindered
    }

    /// The actions that put a ban into effect.
    pub fn actions_of(&self, ban: &Standing) -> impl Iterator<Item = &ActionName> {
        let wider = ban.unhindered.then_some(&self.unhindered.actions);
        let response = self.to(ban.offence, ban.origin);
        response.actions.iter().chain(wider.into_iter().flatten())
    }

    /// The actions that keep out whom a ban concerns, or let him through more slowly.
    pub fn keepers_of(&self, ban: &Standing) -> impl Iterator<Item = &ActionName> {
        let actions = self.actions_of(ban);
        actions.filter(|action| !self.tellers.contains(action))
    }

    /// Takes note of what the actions do to those whom they concern. Where all offences are answered alike there is no
    /// next one to wait for.
    pub fn note(&mut self, effect: impl Fn(&ActionName) -> Effect) {
        let tells = |action: &&ActionName| effect(action) == Effect::Tells;
        self.tellers = self.actions().into_iter().filter(tells).cloned().collect();
        let lets_through = |action: &ActionName| effect(action) == Effect::LetsThrough;
        self.slows = self.usual.actions.iter().any(lets_through);
        if !self.are_graded() {
            return;
        }
        for response in std::iter::once(&mut self.usual).chain(&mut self.graded) {
            let mut acts = response
                .actions
                .iter()
                .filter(|action| !tells(action))
                .peekable();
            response.lets_through = acts.peek().is_some() && acts.all(lets_through);
        }
    }

    /// Whether a ban keeps out, whatever its number.
    pub fn always_keep_out(&self) -> bool {
        let is_done = |response: &Response| {
            let mut actions = response.actions.iter();
            actions.any(|action| !self.tellers.contains(action)) && !response.lets_through
        };
        !self.slows && self.all().all(is_done)
    }

    /// What is done about a ban. The administrator's own is meant in earnest, whatever its number: it is answered by
    /// the last one that keeps out.
    pub fn to(&self, offence: u32, origin: Origin) -> &Response {
        self.graded[..self.rank(offence, origin)]
            .last()
            .unwrap_or(&self.usual)
    }

    /// How severe the response to a ban is, compared with others of the jail.
    pub fn rank(&self, offence: u32, origin: Origin) -> usize {
        match origin {
            Origin::Manual => {
                let last = self.graded.iter().rposition(|one| !one.lets_through);
                last.map_or(self.graded.len(), |last| last + 1)
            }
            _ => self
                .graded
                .partition_point(|response| response.from.get() <= offence),
        }
    }

    /// Whether there is more than one.
    pub fn are_graded(&self) -> bool {
        self.all().nth(1).is_some()
    }

    /// Each of them that is ever given, in the order of their offences.
    pub fn all(&self) -> impl Iterator<Item = &Response> {
        let is_first = |response: &&Response| response.from == NonZeroU32::MIN;
        let usual = match self.graded.first().filter(is_first) {
            Some(_) => None,
            None => Some(&self.usual),
        };
        usual.into_iter().chain(&self.graded)
    }

    /// How wide the networks are that are banned in place of offenders.
    pub fn widths(&self) -> impl Iterator<Item = SubjectWidth> {
        self.graded.iter().filter_map(|response| response.network)
    }

    /// All actions of the jail, each once.
    pub fn actions(&self) -> Vec<&ActionName> {
        let mut actions: Vec<&ActionName> = Vec::new();
        let usual = self.all().flat_map(|response| &response.actions);
        for action in usual.chain(&self.unhindered.actions) {
            if !actions.contains(&action) {
                actions.push(action);
            }
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(actions: &[&str]) -> Vec<ActionName> {
        let parse = |name: &&str| name.parse().expect("a name");
        actions.iter().map(parse).collect()
    }

    fn from(offence: u32, actions: &[&str]) -> Response {
        Response {
            from: NonZeroU32::new(offence).expect("counted from 1"),
            ..Response::usual(names(actions))
        }
    }

    #[test]
    fn the_last_one_that_has_begun_holds() {
        let responses = Responses::new(
            names(&["usual"]),
            vec![from(5, &["all", "mail"]), from(2, &["ports", "mail"])],
        );
        let to = |offence| responses.to(offence, Origin::Failures).actions.clone();
        assert_eq!(to(1), names(&["usual"]));
        assert_eq!(to(2), names(&["ports", "mail"]));
        assert_eq!(to(4), names(&["ports", "mail"]));
        assert_eq!(to(u32::MAX), names(&["all", "mail"]));
        let by_hand = &responses.to(1, Origin::Manual).actions;
        assert_eq!(*by_hand, names(&["all", "mail"]), "in earnest");
        let all = names(&["usual", "ports", "mail", "all"]);
        assert_eq!(responses.actions(), all.iter().collect::<Vec<_>>());
    }

    #[test]
    fn actions_that_are_never_used_are_none_of_the_jail() {
        let responses = Responses::new(names(&["usual"]), vec![from(1, &["slow"])]);
        assert_eq!(
            responses.actions(),
            names(&["slow"]).iter().collect::<Vec<_>>()
        );
        let plain = Responses::new(names(&["usual"]), Vec::new());
        assert_eq!(plain.to(7, Origin::Manual).actions, names(&["usual"]));
    }
}
