//! Why is a subject banned, or why not?
//!
//! Comes in: what the engine says of it. Goes out: that, with the rules, the patterns and the log lines behind it, as
//! far as the database has them.

use std::time::Duration;

use super::super::effect::Cause;
use super::{
    View, ban_row, failure_row, history_row, response_row, siege_row, whereabouts, with_store,
};
use crate::control::protocol::{
    ActionRow, Explanation, NextBanRow, PatternRow, PlaceRow, SiegeRow, VerdictRow,
};
use crate::engine::decision::{FailureId, Origin};
use crate::engine::explain::{Place, Verdict};
use crate::engine::ledger::Standing;
use crate::engine::name::JailName;
use crate::engine::policy::Counting;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::store::HistoryQuery;

/// How many verdicts an explanation has at most. A wide network may hold every ban, and each verdict is looked up
/// in the database while nobody is banned.
const MOST_VERDICTS: usize = 100;

/// How many of a subject's latest bans and failures an explanation shows.
const LATEST: usize = 10;

/// What each jail has to say of `subject`, and what the database knows of it.
pub fn explain(view: &View<'_>, subject: Subject) -> Explanation {
    let query = HistoryQuery {
        subject: Some(subject.clone()),
        jail: None,
        limit: LATEST,
    };
    let known = with_store(view, |store| {
        Ok((store.history(&query)?, store.failures_of(&subject, LATEST)?))
    });
    let behind = "the newest are not in the database yet, which cannot be written at the moment";
    let mut trouble = view.memory.wants_retry().then(|| behind.to_owned());
    let (history, failures) = known.unwrap_or_else(|message| {
        trouble = Some(message);
        (Vec::new(), Vec::new())
    });
    let mut verdicts = view.engine.explain(view.now, &subject);
    if verdicts.len() > MOST_VERDICTS {
        trouble = Some(format!(
            "{subject} concerns {} of bans and watches; these are the first",
            verdicts.len()
        ));
        verdicts.truncate(MOST_VERDICTS);
    }
    let verdicts = verdicts.into_iter().map(|verdict| {
        let (row, missing) = verdict_row(view, &subject, verdict);
        trouble = missing.or(trouble.take());
        row
    });
    let verdicts = verdicts.collect();
    let (country, operator) = whereabouts(view.engine, &subject);
    Explanation {
        subject,
        now: view.now,
        country,
        operator,
        verdicts,
        history: history
            .into_iter()
            .map(|row| history_row(view.engine, row))
            .collect(),
        failures: failures.into_iter().map(failure_row).collect(),
        trouble,
    }
}

/// The actions that are to put a ban into effect and do not work.
fn broken_actions(view: &View<'_>, jail: &JailName, ban: &Standing) -> Vec<ActionRow> {
    let policy = view.engine.policy();
    let broken = view
        .outbox
        .states()
        .filter(|(action, works, _)| !works && policy.puts_into_effect(action, jail, ban));
    let rows = broken.map(|(action, works, reason)| ActionRow {
        failed: None,
        action: action.to_string(),
        works,
        reason: reason.map(str::to_owned),
        is_replaced: false,
    });
    rows.collect()
}

/// A verdict with the log lines behind it, and why they are missing if they are.
fn verdict_row(view: &View<'_>, asked: &Subject, verdict: Verdict) -> (VerdictRow, Option<String>) {
    let whom = match &verdict.place {
        Place::Banned { subject, .. } | Place::Watched { subject, .. } => subject.network(),
        Place::Attacking { subject, .. } => Some(*subject),
        Place::Gathering { .. } | Place::Ignored { .. } | Place::Clear => asked.network(),
    };
    let (mut unhindered, mut broken) = (None, Vec::new());
    let (place, lines) = match verdict.place {
        Place::Banned { subject, ban, .. } => {
            if ban.unhindered {
                let why = with_store(view, |store| store.why_unhindered(ban.id));
                // Of a notice that is not kept any more it is still known that there was one.
                let why = why.ok().flatten();
                unhindered = Some(why.unwrap_or_else(|| Cause::Unknown.to_string()));
            }
            broken = broken_actions(view, &verdict.jail, &ban);
            let row = ban_row(view.engine, &verdict.jail, &subject, &ban);
            (
                PlaceRow::Banned { ban: row },
                with_store(view, |store| store.lines_of_ban(ban.id)),
            )
        }
        Place::Watched {
            subject,
            failures,
            oldest_leaves,
        } => {
            let failing = failures.len();
            let ids: Vec<FailureId> = failures.into_iter().map(|(_, id)| id).collect();
            let lines = with_store(view, |store| {
                // Failures of other jails lie between those of this one.
                let mut rows = store.failures_of(&subject, failing + 10 * LATEST)?;
                rows.retain(|row| ids.contains(&row.id));
                rows.reverse();
                Ok(rows)
            });
            (
                PlaceRow::Watched {
                    subject,
                    failing,
                    oldest_leaves,
                },
                lines,
            )
        }
        Place::Gathering {
            network,
            rule,
            hosts,
            failures,
        } => {
            let row = PlaceRow::Gathering {
                subject: network,
                hosts,
                wanted_hosts: rule.hosts.get(),
                failing: failures,
                wanted_failing: rule.maxretry.0.get(),
                within: rule.findtime.0.as_secs_f64(),
            };
            (row, Ok(Vec::new()))
        }
        Place::Attacking {
            subject,
            rule,
            hosts,
            due,
            failures,
        } => {
            let lines = with_store(view, |store| {
                let mut rows = store.failures_of(&subject.into(), 11 * LATEST)?;
                rows.retain(|row| failures.contains(&row.id));
                rows.reverse();
                Ok(rows)
            });
            let row = PlaceRow::Attacking {
                subject,
                hosts,
                wanted_hosts: rule.hosts.get(),
                within: rule.findtime.0.as_secs_f64(),
                due,
            };
            (row, lines)
        }
        Place::Ignored { because } => (
            PlaceRow::Ignored {
                because: because.into(),
            },
            Ok(Vec::new()),
        ),
        Place::Clear => (PlaceRow::Clear, Ok(Vec::new())),
    };
    let policy = view.engine.policy();
    let jail = policy.jails.iter().find(|jail| jail.name == verdict.jail);
    let spec = jail.map(|jail| policy.filters.spec(jail.filter));
    let (lines, trouble) = match lines {
        Ok(lines) => (lines, None),
        Err(message) => (Vec::new(), Some(message)),
    };
    let used = |number: u16| lines.iter().any(|line| line.pattern == number);
    let patterns = spec
        .into_iter()
        .flat_map(|spec| &spec.failures)
        .filter(|pattern| used(pattern.number));
    let patterns = patterns.map(|pattern| PatternRow {
        number: pattern.number,
        text: pattern.to_string(),
    });
    let address = whom.map(Prefix::address);
    let class = jail
        .zip(address)
        .and_then(|(jail, address)| policy.class(jail, address));
    let maxretry = jail.map_or(0, |jail| policy.maxretry(jail, address).0.get());
    let siege = siege_row(view, &verdict.jail);
    let next = verdict.next.map(|next| NextBanRow {
        network: verdict.instead,
        response: response_row(view.engine, &verdict.jail, next.offence, Origin::Failures),
        offence: next.offence,
        bantime: next.bantime,
    });
    let row = VerdictRow {
        filter: spec.map(|spec| spec.name.to_string()).unwrap_or_default(),
        maxretry,
        distinct: jail.is_some_and(|jail| jail.counting == Counting::Users),
        by: jail
            .and_then(|jail| jail.accounts)
            .map(|rule| rule.by.word().to_owned()),
        class: class.map(ToString::to_string),
        siege: siege.map(|siege| SiegeRow {
            maxretry: siege.maxretry.min(maxretry),
            ..siege
        }),
        findtime: jail
            .map_or(Duration::ZERO, |jail| jail.findtime.0)
            .as_secs_f64(),
        jail: verdict.jail,
        unhindered,
        broken,
        place,
        patterns: patterns.collect(),
        next,
        failures: lines.into_iter().map(failure_row).collect(),
    };
    (row, trouble)
}
