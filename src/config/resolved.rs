//! What does the configuration come to? The answer of `f2bd check --json`.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::jail::JailSettings;
use super::{Loaded, Problem, network};
use crate::control::text::seconds;
use crate::engine::jail::class::ClassRule;
use crate::engine::jail::escalation::{Escalation, Growth, Jitter, Scope};
use crate::engine::jail::network::NetworkRule;
use crate::engine::jail::siege::SiegeRule;
use crate::engine::prefix::Prefix;
use crate::engine::time::BanTime;

/// Jails with everything that holds for them, and all problems. Times are in seconds; -1 is for ever.
pub fn resolved(loaded: &Loaded) -> Value {
    let jails: serde_json::Map<String, Value> = loaded
        .jails
        .iter()
        .map(|(jail, patterns)| (jail.name.to_string(), describe(jail, patterns)))
        .collect();
    let problems: Vec<Value> = loaded.problems.iter().map(problem).collect();
    json!({ "jails": jails, "problems": problems })
}

fn describe(jail: &JailSettings, patterns: &Patterns) -> Value {
    // Several sets may hold an address.
    let mut seen = HashSet::new();
    let ignored = jail.ignore.rules().map(|rule| rule.prefix);
    let ignored = ignored.filter(|prefix| seen.insert(*prefix));
    let regions = jail.ignore.regions().map(|region| region.to_string());
    let matches = jail.journalmatch.to_string();
    let matches = matches.split(" + ").filter(|wanted| !wanted.is_empty());
    let paths = jail.logpath.iter().map(ToString::to_string);
    let mut resolved = json!({
        "enabled": jail.enabled,
        "filter": jail.filter.as_str(),
        "mode": jail.mode,
        "sources": jail.sources.iter().map(|source| source.as_str()).collect::<Vec<_>>(),
        "logpath": paths.collect::<Vec<_>>(),
        "journalmatch": matches.collect::<Vec<_>>(),
        "maxretry": jail.maxretry.0.get(),
        "findtime": seconds::as_json(BanTime::For(jail.findtime.0)),
        "bantime": seconds::as_json(jail.bantime),
        "ignoreip": ignored.map(Prefix::plain).chain(regions).collect::<Vec<_>>(),
        "failregex": patterns.failures,
        "ignoreregex": patterns.ignores,
        "actions": jail.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>(),
    });
    if let Some(escalation) = &jail.escalation {
        resolved["escalation"] = grown(escalation);
    }
    if !jail.networks.is_empty() {
        resolved["network"] = jail.networks.iter().map(self::network).collect();
    }
    if !jail.classes.is_empty() {
        resolved["class"] = jail.classes.iter().map(class).collect();
    }
    if let Some(rule) = &jail.siege {
        resolved["siege"] = siege(rule);
    }
    resolved
}

fn class(rule: &ClassRule) -> Value {
    let countries = rule.countries.iter().map(ToString::to_string);
    json!({
        "country": countries.collect::<Vec<_>>(),
        "asn": rule.asns.iter().map(|asn| asn.0).collect::<Vec<_>>(),
        "maxretry": rule.maxretry.0,
    })
}

fn siege(rule: &SiegeRule) -> Value {
    json!({
        "rate": rule.rate.to_string(),
        "maxretry": rule.maxretry.0,
        "calm": seconds::as_json(BanTime::For(rule.calm)),
    })
}

fn network(rule: &NetworkRule) -> Value {
    let (key, bits) = network::key_and_bits(rule.width);
    json!({
        key: bits,
        "hosts": rule.hosts,
        "maxretry": rule.maxretry.0,
        "findtime": seconds::as_json(BanTime::For(rule.findtime.0)),
    })
}

fn grown(escalation: &Escalation) -> Value {
    let span = |span: Duration| seconds::as_json(BanTime::For(span));
    let mut value = json!({
        "max": escalation.max.map(span),
        "jitter": match escalation.jitter {
            // Of a percentage no more digits than people write.
            Jitter::Share(share) => format!("{}%", (share * 1e8).round() / 1e6).into(),
            Jitter::Span(length) => span(length),
        },
        "memory": escalation.memory.map(span),
        "scope": match escalation.scope {
            Scope::Jail => "jail",
            Scope::All => "all",
        },
    });
    match &escalation.growth {
        Growth::Factor(factor) => value["factor"] = (*factor).into(),
        Growth::Multipliers(list) => value["multipliers"] = list.to_vec().into(),
    }
    value
}

/// The patterns of a jail's filter in its mode, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    /// What counts.
    pub failures: Vec<String>,
    /// What does not, though a pattern takes it.
    pub ignores: Vec<String>,
}

/// A problem as programs read it.
pub fn problem(problem: &Problem) -> Value {
    json!({
        "file": problem.file.display().to_string(),
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "remedy": problem.remedy,
        "severity": problem.severity.to_string(),
    })
}
