//! What does `escalation = { … }` say?
//!
//! In: the table of a jail over that of `[defaults]`. Out: an [`Escalation`]. What cannot be used is reported.

use super::document::{Kind, Value};
use super::keys;
use super::problem::Problems;
use super::section::Section;
use crate::engine::jail::escalation::{Escalation, Growth, Jitter, Scope};
use crate::engine::time::{BanTime, Span, parse_span};

/// The largest `factor`.
const MOST_TIMES: f64 = 1_000.0;

/// The smallest and the largest of `multipliers`: from a second to eleven days, or from a day to a minute and a half.
const MULTIPLIERS: (f64, f64) = (0.001, 1_000_000.0);

/// How bans grow that last `bantime` at first; `None` if nothing is said.
pub fn read(
    section: &Section<'_>,
    bantime: BanTime,
    problems: &mut Problems,
) -> Option<Escalation> {
    section.value("escalation")?;
    let table = section.inner("escalation", keys::ESCALATION, problems);
    let escalation = Escalation {
        growth: growth(&table, problems),
        max: table.span("max", problems),
        jitter: jitter(&table, problems).unwrap_or(Jitter::Share(0.0)),
        memory: table.span("memory", problems),
        scope: scope(&table, problems).unwrap_or(Scope::Jail),
    };
    if let (Some(max), BanTime::For(first), Some(value)) =
        (escalation.max, bantime, table.value("max"))
        && max < first
    {
        let message = format!("`max` is shorter than bantime, {}", Span(first));
        problems.error(
            &value.place,
            message,
            "write a longer one, or a shorter bantime",
        );
    }
    Some(escalation)
}

/// By a list if there is one; a factor beside it says nothing.
fn growth(table: &Section<'_>, problems: &mut Problems) -> Growth {
    let doubled = Growth::Factor(2.0);
    if let (Some(_), Some(factor)) = (table.value("multipliers"), table.value("factor"))
        && table.says("multipliers") == table.says("factor")
    {
        let message = "`factor` and `multipliers` both say how bans grow";
        problems.error(&factor.place, message, "remove one of them");
        return doubled;
    }
    let by_list = table.value("multipliers").filter(|_| !table.says("factor"));
    if let Some(value) = by_list {
        return multipliers(table, value, problems).unwrap_or(doubled);
    }
    let Some(value) = table.value("factor") else {
        return doubled;
    };
    match number(value) {
        Some(factor) if (1.0..=MOST_TIMES).contains(&factor) => Growth::Factor(factor),
        Some(factor) => {
            let message = format!("`factor` cannot be {factor}");
            table.complain("factor", &value.place, message, problems);
            doubled
        }
        None => {
            table.refuse("factor", value, problems);
            doubled
        }
    }
}

fn multipliers(table: &Section<'_>, value: &Value, problems: &mut Problems) -> Option<Growth> {
    let Kind::List(items) = &value.kind else {
        table.refuse("multipliers", value, problems);
        return None;
    };
    let mut list: Vec<f64> = Vec::with_capacity(items.len());
    for item in items {
        let Some(number) = number(item) else {
            table.refuse("multipliers", item, problems);
            return None;
        };
        let least = list.last().copied().unwrap_or(MULTIPLIERS.0);
        if !(least..=MULTIPLIERS.1).contains(&number) {
            let message = format!("`multipliers` cannot have {number} here");
            table.complain("multipliers", &item.place, message, problems);
            return None;
        }
        list.push(number);
    }
    if list.is_empty() {
        let message = "`multipliers` is empty".to_owned();
        table.complain("multipliers", &value.place, message, problems);
        return None;
    }
    Some(Growth::Multipliers(list.into()))
}

fn number(value: &Value) -> Option<f64> {
    match value.kind {
        Kind::Integer(number) => Some(number as f64),
        Kind::Decimal(number) => Some(number),
        _ => None,
    }
}

fn jitter(table: &Section<'_>, problems: &mut Problems) -> Option<Jitter> {
    if let Some(written) = table.value("later_jitter") {
        if table.value("jitter").is_some() && table.says("jitter") == table.says("later_jitter") {
            let message = "`jitter` and `later_jitter` both say by how much bans are longer";
            problems.error(&written.place, message, "remove one of them");
        }
        if !table.says("jitter") || table.says("later_jitter") {
            return table.span("later_jitter", problems).map(Jitter::Later);
        }
    }
    let text = table.span_text("jitter", problems)?;
    let share = text.trim().strip_suffix('%').map(str::trim);
    let jitter = match share {
        Some(share) => {
            let percent = share.parse::<f64>().ok();
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
            percent.map(|percent| Jitter::Share(percent / 100.0))
        }
        None => parse_span(&text).ok().map(Jitter::Span),
    };
    if jitter.is_none()
        && let Some(value) = table.value("jitter")
    {
        let message = format!("`jitter` cannot be `{text}`");
        table.complain("jitter", &value.place, message, problems);
    }
    jitter
}

fn scope(table: &Section<'_>, problems: &mut Problems) -> Option<Scope> {
    match table.text("scope", problems)? {
        "jail" => Some(Scope::Jail),
        "all" => Some(Scope::All),
        other => {
            let value = table.value("scope")?;
            let message = format!("`scope` cannot be `{other}`");
            table.complain("scope", &value.place, message, problems);
            None
        }
    }
}
