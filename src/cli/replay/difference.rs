//! How is it told what other settings would have done?
//!
//! In: a comparison. Out: who would have been banned in addition, no longer, earlier or later, and who would have been
//! locked out by that.

use std::io::Write;

use serde::Serialize;

use super::comparison::{
    CHANGED, Comparison, Difference, Fate, LaterLogin, MOST_COMPARED, PRESENT, Treatment,
};
use super::left_out;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Clock, HEADING, Out, Table, counted, harmless, shown};
use crate::config::Change;
use crate::control::text;
use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// What was compared.
pub struct WhatIf<'c> {
    /// What the changed settings are.
    pub changes: &'c [Change],
    /// What is older was left out.
    pub start: Option<Timestamp>,
    /// Whether only failures were known, and no login.
    pub is_history: bool,
    /// How times are shown.
    pub clock: &'c Clock,
}

/// A line of `--json` for a subject over which the settings differ, a contract.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(with = "text")]
    difference: Difference,
    #[serde(with = "text")]
    jail: &'a JailName,
    #[serde(flatten, serialize_with = "text::subject::serialize")]
    subject: &'a Subject,
    present: Option<Told>,
    changed: Option<Told>,
    login: Option<LoginTold<'a>>,
}

/// What one of the settings did with a subject.
#[derive(Serialize)]
struct Told {
    bans: u32,
    #[serde(with = "text")]
    first: Timestamp,
    failures: usize,
    #[serde(with = "text::option")]
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct LoginTold<'a> {
    #[serde(with = "text")]
    time: Timestamp,
    user: Option<&'a str>,
    while_banned: bool,
}

/// The last line of `--json`, a contract.
#[derive(Serialize)]
struct Sum {
    set: Vec<String>,
    #[serde(with = "text::option")]
    since: Option<Timestamp>,
    present: SideSum,
    changed: SideSum,
    logins_known: bool,
}

/// What one of the settings did altogether.
#[derive(Serialize)]
struct SideSum {
    bans: u64,
    subjects: usize,
    failures: u64,
    kept_out: u64,
    not_compared: u64,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Difference::Additional => "additional",
            Difference::NoLonger => "no-longer",
            Difference::Earlier => "earlier",
            Difference::Later => "later",
            Difference::More => "more",
            Difference::Fewer => "fewer",
            Difference::Longer => "longer",
            Difference::Shorter => "shorter",
        })
    }
}

impl Difference {
    /// What stands above those whom it concerns.
    fn heading(self) -> &'static str {
        match self {
            Difference::Additional => "Banned in addition",
            Difference::NoLonger => "No longer banned",
            Difference::Earlier => "Banned earlier",
            Difference::Later => "Banned later",
            Difference::More => "Banned more often",
            Difference::Fewer => "Banned less often",
            Difference::Longer => "Banned for longer",
            Difference::Shorter => "Banned for less time",
        }
    }

    /// Whether it is to be told when each of the settings bans.
    fn has_two_moments(self) -> bool {
        matches!(
            self,
            Difference::Earlier | Difference::Later | Difference::More | Difference::Fewer
        )
    }

    /// Whether it is worth a line for everybody whom it concerns: a change of bantime concerns all.
    fn is_told_of_all(self) -> bool {
        !matches!(self, Difference::Longer | Difference::Shorter)
    }
}

type Row<'c> = (Difference, &'c JailName, &'c Subject, &'c Fate);

impl WhatIf<'_> {
    /// Prints it.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print(&self, comparison: &Comparison, json: bool) -> Result<(), Failure> {
        let mut out = output::stdout();
        let differences = comparison.differences();
        if json {
            for row in &differences {
                write_json(&mut out, &line(row))?;
            }
            write_json(&mut out, &self.sum(comparison))?;
        } else {
            for rows in differences.chunk_by(|one, next| one.0 == next.0) {
                self.print_kind(&mut out, rows)?;
            }
            self.print_sums(&mut out, comparison)?;
            self.print_words(&mut out, comparison, &differences)?;
        }
        out.flush()?;
        Ok(())
    }

    fn print_kind(&self, out: &mut Out, rows: &[Row<'_>]) -> Result<(), Failure> {
        let Some((difference, ..)) = rows.first() else {
            return Ok(());
        };
        write!(out, "{HEADING}{}: {}", difference.heading(), rows.len())?;
        // Those who logged in stand first.
        let logins = rows.partition_point(|(.., fate)| fate.login.is_some());
        let rows = match difference.is_told_of_all() {
            true => rows,
            false => &rows[..logins],
        };
        if !difference.is_told_of_all() && logins > 0 {
            write!(out, ", of whom logged in later")?;
        }
        writeln!(out, "{HEADING:#}")?;
        let mut headings = vec!["IP", "JAIL", "FIRST BAN"];
        headings.extend(match difference.has_two_moments() {
            true => ["PRESENTLY", "BANS"],
            false => ["FAILURES", "BANS"],
        });
        headings.extend((logins > 0).then_some("LOGGED IN LATER"));
        let mut table = Table::new(&headings);
        for row in rows {
            table.row(self.cells(row).into_iter().take(headings.len()));
        }
        table.print(out)?;
        writeln!(out)?;
        Ok(())
    }

    fn cells(&self, (difference, jail, subject, fate): &Row<'_>) -> [String; 6] {
        let [present, changed] = fate.treatments;
        let both = present.zip(changed);
        let [what, bans] = match both.filter(|_| difference.has_two_moments()) {
            Some((present, changed)) => {
                [self.clock.show(present.first), instead(&changed, &present)]
            }
            None => {
                let number = |of: fn(Treatment) -> String| changed.or(present).map(of);
                let failures = number(|one| one.failures.to_string());
                let bans = number(|one| one.bans.to_string());
                [failures, bans].map(Option::unwrap_or_default)
            }
        };
        let login = fate.login.as_ref().map(|login| self.told(login));
        [
            shown(subject),
            jail.to_string(),
            self.clock.show(fate.first()),
            what,
            bans,
            login.unwrap_or_default(),
        ]
    }

    fn told(&self, login: &LaterLogin) -> String {
        let user = match login.user.as_deref() {
            Some(user) => format!("as `{}` ", harmless(user)),
            None => String::new(),
        };
        let banned = if login.while_banned {
            ", while banned"
        } else {
            ""
        };
        format!("{user}at {}{banned}", self.clock.show(login.time))
    }

    fn print_sums(&self, out: &mut Out, comparison: &Comparison) -> Result<(), Failure> {
        let mut table = Table::new(&["SETTINGS", "BANS", "ADDRESSES", "FAILURES", "KEPT OUT"]);
        let changes: Vec<_> = self.changes.iter().map(ToString::to_string).collect();
        for (side, name) in [(PRESENT, "present"), (CHANGED, &*changes.join(", "))] {
            let sums = comparison.sums()[side];
            table.row([
                harmless(name),
                sums.bans.to_string(),
                comparison.subjects(side).to_string(),
                sums.failures.to_string(),
                sums.kept_out.to_string(),
            ]);
        }
        table.print(out)?;
        Ok(())
    }

    /// What the numbers mean for people who log in here.
    fn print_words(
        &self,
        out: &mut Out,
        comparison: &Comparison,
        differences: &[Row<'_>],
    ) -> Result<(), Failure> {
        if comparison.sums().iter().all(|sums| sums.bans == 0) {
            writeln!(out, "Nobody would have been banned.")?;
        } else if differences.is_empty() {
            writeln!(out, "No ban would have been another.")?;
        }
        if let Some(left_out) = left_out(comparison.sums()[PRESENT].by_name) {
            writeln!(out, "{left_out}")?;
        }
        let beyond = comparison.beyond();
        if beyond != [0, 0] {
            writeln!(
                out,
                "Not compared, beyond the first {MOST_COMPARED} addresses: {} presently, {} with the change.",
                counted_bans(beyond[PRESENT]),
                counted_bans(beyond[CHANGED]),
            )?;
        }
        if self.is_history {
            let words =
                "The history holds failures alone: whether anybody logged in later is not known.";
            writeln!(out, "{words}")?;
            return Ok(());
        }
        let logins = || {
            differences
                .iter()
                .filter_map(|(.., fate)| fate.login.as_ref())
        };
        let locked_out = logins().filter(|login| login.while_banned).count();
        if logins().next().is_some() {
            writeln!(
                out,
                "{HEADING}{} of these addresses logged in later, {locked_out} while banned: locked out.{HEADING:#}",
                logins().count(),
            )?;
        }
        Ok(())
    }

    fn sum(&self, comparison: &Comparison) -> Sum {
        let side = |side: usize| {
            let sums = comparison.sums()[side];
            SideSum {
                bans: sums.bans,
                subjects: comparison.subjects(side),
                failures: sums.failures,
                kept_out: sums.kept_out,
                not_compared: comparison.beyond()[side],
            }
        };
        Sum {
            set: self.changes.iter().map(ToString::to_string).collect(),
            since: self.start,
            present: side(PRESENT),
            changed: side(CHANGED),
            logins_known: !self.is_history,
        }
    }
}

/// `1 forever instead of 3 for 10m`; how long only if that differs.
fn instead(changed: &Treatment, present: &Treatment) -> String {
    let told = |one: &Treatment| match changed.bantime == present.bantime {
        true => one.bans.to_string(),
        false => format!("{} {}", one.bans, one.bantime.lasting()),
    };
    format!("{} instead of {}", told(changed), told(present))
}

fn counted_bans(number: u64) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), "ban")
}

fn line<'c>(&(difference, jail, subject, fate): &Row<'c>) -> Line<'c> {
    let told = |treatment: Option<Treatment>| {
        treatment.map(|treatment| Told {
            bans: treatment.bans,
            first: treatment.first,
            failures: treatment.failures,
            until: treatment.until,
        })
    };
    Line {
        difference,
        jail,
        subject,
        present: told(fate.treatments[PRESENT]),
        changed: told(fate.treatments[CHANGED]),
        login: fate.login.as_ref().map(|login| LoginTold {
            time: login.time,
            user: login.user.as_deref(),
            while_banned: login.while_banned,
        }),
    }
}

fn write_json(out: &mut Out, value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
