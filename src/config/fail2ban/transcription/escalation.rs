//! How do bans grow that Fail2ban would make longer?
//!
//! In: `bantime.increment` and what goes with it. Out: `escalation = { … }`. Of formulas, which are Python, the usual ones
//! are known; others are reported.

use std::time::Duration;

use super::super::options::{Written, strip};
use super::super::time;
use super::jail::{Jail, whole};
use super::values::{decimal, decimals, table, text};
use crate::config::document::Table;
use crate::config::problem::{Place, Problems};

/// From this offence on bans do not grow any more.
const MOST_DOUBLINGS: i32 = 20;

/// The largest and the smallest number of times.
const MOST_TIMES: f64 = 1_000_000.0;
const LEAST_TIMES: f64 = 0.001;

/// The usual formula, and the one that jail.conf gives as an example beside it, without blanks.
const DOUBLES: &str = "ban.Time*(1<<(ban.Countifban.Count<20else20))*banFactor";
const GROWS: &str = "ban.Time*math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)";

/// Writes it for a jail whose first ban lasts `bantime`; nothing grows beyond forever, until somebody changes that.
pub fn write(
    jail: &Jail<'_>,
    bantime: Option<Duration>,
    section: &mut Table,
    problems: &mut Problems,
) {
    let increment = jail.option("bantime.increment");
    let increment = increment.filter(|value| value.is_true());
    let place = increment.map_or(jail.place, |increment| &increment.place);
    let mut escalation = Table::default();
    // Also while nothing grows: what is wrong then would be found only when somebody has bans grow.
    growth(jail, place, &mut escalation, problems);
    let [max, room] = ["bantime.maxtime", "bantime.rndtime"].map(|key| {
        let written = jail.option(key)?;
        Some((jail.seconds(key, written, problems)?, &written.place))
    });
    if increment.is_none() {
        return;
    }
    if let Some(database) = jail
        .daemon
        .get("dbfile")
        .filter(|database| database.text == "None")
    {
        let message =
            "without a database, Fail2ban does not make bans longer: f2bd has one and does";
        problems.warning(
            &database.place,
            message,
            "remove bantime.increment, or name a database",
        );
    }
    if let Some((max, place)) = max {
        let bantime = bantime.unwrap_or_default();
        if max < bantime {
            let message = "`bantime.maxtime` is shorter than bantime, which is taken";
            problems.warning(place, message, "write a longer one, or a shorter bantime");
        }
        escalation.set("max", whole(max.max(bantime), place));
    }
    if let Some((room, place)) = room {
        // Of who was not banned before, Fail2ban looks nothing up.
        escalation.set("later_jitter", whole(room, place));
    }
    if jail.is_true("bantime.overalljails") {
        escalation.set("scope", text("all", place));
    }
    // So long does Fail2ban know of a ban that is over.
    let memory = jail.daemon.get("dbpurgeage");
    let known = memory.and_then(|written| jail.seconds("dbpurgeage", written, problems));
    let day = Duration::from_secs(86_400);
    let known = known.filter(|known| !known.is_zero()).unwrap_or(day);
    escalation.set(
        "memory",
        whole(known, memory.map_or(place, |written| &written.place)),
    );
    section.set("escalation", table(escalation, place));
}

/// How many times as long each ban is.
fn growth(jail: &Jail<'_>, place: &Place, escalation: &mut Table, problems: &mut Problems) {
    let factor = match jail.option("bantime.factor") {
        None => 1.0,
        Some(written) => times(&written.text).unwrap_or_else(|| {
            let message = format!("`bantime.factor` cannot be `{}`: 1 is taken", written.text);
            problems.warning(&written.place, message, "write a number such as 2");
            1.0
        }),
    };
    if let Some(written) = jail
        .option("bantime.multipliers")
        .filter(|written| !strip(&written.text).is_empty())
    {
        let list: Option<Vec<f64>> = strip(&written.text).split_whitespace().map(times).collect();
        match list {
            Some(list) => {
                let grown = by_list(&list, factor, written, problems);
                escalation.set("multipliers", decimals(&grown, &written.place));
                return;
            }
            None => {
                let message = "`bantime.multipliers` is no list of numbers: where bans grow, they are doubled";
                problems.warning(&written.place, message, "write numbers such as 1 2 4 8");
            }
        }
    } else if let Some(written) = jail.option("bantime.formula") {
        let formula: String = written.text.split_whitespace().collect();
        match formula.as_str() {
            DOUBLES => {}
            GROWS if (0.0..7.0).contains(&factor) => {
                escalation.set("factor", decimal(factor.exp(), &written.place));
                return;
            }
            _ => {
                let message = "`bantime.formula` is a program, which f2bd does not run: where bans grow, they are doubled instead";
                let remedy = "write bantime.multipliers, such as 1 2 4 8 16";
                problems.warning(&written.place, message, remedy);
            }
        }
    }
    let is_doubled = (factor - 1.0).abs() < f64::EPSILON;
    if is_doubled {
        escalation.set("factor", decimal(2.0, place));
        return;
    }
    let doubled =
        (1..=MOST_DOUBLINGS).map(|count| (factor * 2_f64.powi(count)).clamp(1.0, MOST_TIMES));
    let grown: Vec<_> = [1.0].into_iter().chain(doubled).collect();
    escalation.set("multipliers", decimals(&grown, place));
}

/// The first ban lasts bantime, whatever the list says; each further one has its number there, the last one for all others.
fn by_list(list: &[f64], factor: f64, written: &Written, problems: &mut Problems) -> Vec<f64> {
    let mut grown = vec![1.0];
    let mut is_cut = false;
    let further = if list.len() > 1 { &list[1..] } else { list };
    for number in further {
        let wanted = number * factor;
        let least = grown.last().copied().unwrap_or(LEAST_TIMES);
        let used = wanted.clamp(least, MOST_TIMES);
        is_cut |= used.total_cmp(&wanted).is_ne();
        grown.push(used);
    }
    if is_cut {
        let message = "`bantime.multipliers`: bans do not grow shorter in f2bd: a larger number before a smaller one counts";
        problems.warning(&written.place, message, "write a list that grows");
    }
    grown
}

/// A number, or arithmetic.
fn times(text: &str) -> Option<f64> {
    let number = match time::seconds(text).ok()? {
        time::Seconds::Whole(number) => number as f64,
        time::Seconds::Fraction(number) => number,
    };
    (number > 0.0).then_some(number)
}
