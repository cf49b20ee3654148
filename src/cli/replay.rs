//! `f2bd replay`: what would the jails have done with old logs, by the present settings or by others?

mod comparison;
mod decisions;
mod difference;
mod logins;
mod past;

use std::io::{self, Write as _};
use std::path::Path;

use self::comparison::{CHANGED, Comparison, PRESENT};
use self::decisions::Decisions;
use self::difference::WhatIf;
use self::logins::Logins;
use self::past::{Entry, Past};
use super::args::ReplayArgs;
use super::failure::{Exit, Failure};
use super::logs::Understood;
use super::output::{Clock, counted};
use crate::config::{self, Problem, Settings, Severity};
use crate::engine::Decision;
use crate::engine::decision::Awaited;
use crate::engine::filter::Outcome;
use crate::engine::name::JailName;
use crate::engine::policy::Policy;
use crate::engine::replay::Replay;

/// Reads the logs and prints bans and unbans, or which of them other settings would have made.
///
/// # Errors
/// Nobody would have been banned, or the configuration or a log cannot be read.
pub fn run(args: &ReplayArgs, clock: &Clock, config: Option<&Path>) -> Result<(), Failure> {
    let mut changes = args.set.iter().enumerate();
    if let Some((_, twice)) =
        changes.find(|(at, change)| args.set[..*at].iter().any(|one| one.is_of_same_key(change)))
    {
        let message = format!("--set {twice}: this key is set twice, leave one out");
        return Err(Failure::new(Exit::Usage, message));
    }
    let (loaded, mut changed) = config::load_changed(config, &args.set);
    let Some(Settings {
        daemon,
        mut policy,
        sources,
        ..
    }) = loaded.settings
    else {
        return Err(failure(args, &loaded.problems));
    };
    for warning in blamed(args, &loaded.problems) {
        // If even this cannot be printed, nobody reads it.
        let _ = writeln!(io::stderr(), "f2bd: {}", warning.told());
    }
    if let Some(jail) = &args.jail {
        keep_only(jail, args, &mut policy)?;
        if let Some(changed) = &mut changed {
            keep_only(jail, args, changed)?;
        }
    }
    let by_program = policy.jails.iter().all(|jail| {
        let records = &policy.filters.spec(jail.filter).records;
        !records.programs.is_empty() || records.reports || records.bans
    });
    let past = Past {
        words: &args.logs,
        start: args.since.map(|since| since.moment(clock.now)),
        sources: &sources,
        database: daemon.database,
        prints_meanwhile: changed.is_none(),
        clock,
    };
    let (understood, somebody) = match changed {
        None => replay(policy, &past, args.json)?,
        Some(changed) => compare(policy, changed, &past, args)?,
    };
    if !somebody {
        return Err(understood.failure(by_program));
    }
    Ok(())
}

/// The problems of the configuration, or of the changes alone if these make it unusable.
fn failure(args: &ReplayArgs, problems: &[Problem]) -> Failure {
    let errors = |problem: &&Problem| problem.severity == Severity::Error;
    let of_changes = blamed(args, problems).filter(errors).count();
    if problems.iter().filter(errors).count() > of_changes {
        return Failure::of_problems(problems);
    }
    let lines: Vec<_> = blamed(args, problems).map(Problem::told).collect();
    Failure::new(Exit::Usage, lines.join("\n"))
}

/// The problems that the changes have made.
fn blamed<'p>(args: &ReplayArgs, problems: &'p [Problem]) -> impl Iterator<Item = &'p Problem> {
    problems
        .iter()
        .filter(|problem| args.set.iter().any(|change| change.is_blamed_by(problem)))
}

fn keep_only(jail: &JailName, args: &ReplayArgs, policy: &mut Policy) -> Result<(), Failure> {
    policy.jails.retain(|policy| policy.name == *jail);
    if policy.jails.is_empty() {
        let message = format!("no jail {jail} is enabled");
        return Err(Failure::new(Exit::NotSo, message));
    }
    let mut others = args.set.iter().filter_map(|change| change.jail());
    if let Some(other) = others.find(|other| *other != jail) {
        let message = format!("--set is for jail {other}, which --jail {jail} leaves out");
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(())
}

/// Prints what the jails would have done; tells whether that is anything.
fn replay(policy: Policy, past: &Past<'_>, json: bool) -> Result<(Understood, bool), Failure> {
    let mut printer = Decisions::new(json, past.clock);
    let sieve = policy.sieve_of_all();
    let mut replay = Replay::new([policy]);
    let mut decisions = [Vec::new()];
    let print = |[decisions]: &mut [Vec<Decision>; 1], printer: &mut Decisions<'_>| {
        let printed = decisions
            .iter()
            .try_for_each(|decision| printer.take(decision));
        decisions.clear();
        printed
    };
    let understood = past.tell(sieve.as_ref(), |entry| {
        match entry {
            Entry::Record(record) => replay.hear(*record, &mut decisions),
            Entry::Failure(failure) => replay.recount(failure, &mut decisions),
            Entry::TakenBack(failure) => replay.take_back(failure, &mut decisions),
            Entry::Pause => {
                replay.catch_up(&mut decisions);
                print(&mut decisions, &mut printer)?;
                return printer.flush();
            }
        }
        print(&mut decisions, &mut printer)
    })?;
    replay.finish(&mut decisions);
    print(&mut decisions, &mut printer)?;
    let [engine] = replay.engines();
    let somebody = printer.finish(&engine.jails(replay.now()))?;
    Ok((understood, somebody))
}

/// Prints which bans would have been others; tells whether there would have been any at all.
fn compare(
    policy: Policy,
    changed: Policy,
    past: &Past<'_>,
    args: &ReplayArgs,
) -> Result<(Understood, bool), Failure> {
    let logins = Logins::of(&policy)?;
    let sieve = policy.sieve_of_all();
    let mut comparison = Comparison::new(&policy);
    let mut replay = Replay::new([policy, changed]);
    let mut decisions = [Vec::new(), Vec::new()];
    let understood = past.tell(sieve.as_ref(), |entry| {
        match entry {
            // What is compared is told at the end.
            Entry::Pause => return Ok(()),
            Entry::Failure(failure) => replay.recount(failure, &mut decisions),
            Entry::TakenBack(failure) => replay.take_back(failure, &mut decisions),
            Entry::Record(record) => {
                if let Some(login) = logins.find(*record) {
                    // Whether he was banned then is known when all before it has been judged.
                    replay.catch_up(&mut decisions);
                    comparison.take(&mut decisions);
                    comparison.log_in(login);
                }
                replay.hear(*record, &mut decisions);
            }
        }
        comparison.take(&mut decisions);
        Ok(())
    })?;
    replay.finish(&mut decisions);
    comparison.take(&mut decisions);
    let what_if = WhatIf {
        changes: &args.set,
        start: past.start,
        is_history: past.is_history(),
        clock: past.clock,
    };
    what_if.print(&comparison, args.json)?;
    let [present, changed] = [PRESENT, CHANGED].map(|side| comparison.sums()[side].bans);
    Ok((understood, present + changed > 0))
}

/// Whether a failure is left out since the log gives its host by name alone, as a number.
fn by_name(awaited: &Awaited) -> u64 {
    u64::from(awaited.outcome == Outcome::Failure)
}

/// What people should know of those that are left out.
fn left_out(by_name: u64) -> Option<String> {
    let number = usize::try_from(by_name).unwrap_or(usize::MAX);
    let failures = counted(number, "failure");
    (number > 0).then(|| format!("Left out: {failures} of hosts that are known by name alone; a replay looks up no names."))
}
