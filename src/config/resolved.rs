//! What does the configuration come to? The answer of `f2bd check --json`.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::jail::JailSettings;
use super::{Loaded, Problem, network, subject};
use crate::control::text::seconds;
use crate::engine::filter::Capture;
use crate::engine::filter::LineRules;
use crate::engine::jail::accounts::AccountRule;
use crate::engine::jail::class::ClassRule;
use crate::engine::jail::escalation::{Escalation, Growth, Jitter, Scope};
use crate::engine::jail::network::NetworkRule;
use crate::engine::jail::response::{Response, Unhindered};
use crate::engine::jail::siege::SiegeRule;
use crate::engine::policy::{IgnoreList, UseDns};
use crate::engine::prefix::{Prefix, SubjectWidth};
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
        "subject": jail.named_by.map_or(subject::IP, Capture::word),
        "maxretry": jail.maxretry.0.get(),
        "findtime": seconds::as_json(BanTime::For(jail.findtime.0)),
        "bantime": seconds::as_json(jail.bantime),
        "ignoreip": held(&jail.ignore),
        "trusted": held(&jail.trusted),
        "failregex": patterns.failures,
        "ignoreregex": patterns.ignores,
        "actions": jail.responses.actions().iter().map(|action| action.as_str()).collect::<Vec<_>>(),
    });
    if let Some(escalation) = &jail.escalation {
        resolved["escalation"] = grown(escalation);
    }
    if !jail.networks.is_empty() {
        resolved["network"] = jail.networks.iter().map(self::network).collect();
    }
    if let Some(rule) = &jail.accounts {
        resolved["distributed"] = distributed(rule);
    }
    if !jail.classes.is_empty() {
        resolved["class"] = jail.classes.iter().map(class).collect();
    }
    if jail.usedns != UseDns::No {
        resolved["usedns"] = jail.usedns.to_string().into();
    }
    if jail.responses.are_graded() {
        resolved["response"] = jail.responses.all().map(response).collect();
    }
    let rule = jail.responses.unhindered();
    if *rule != Unhindered::default() {
        resolved["unhindered"] = unhindered(rule);
    }
    if let Some(rule) = &jail.siege {
        resolved["siege"] = siege(rule);
    }
    resolved
}

/// Whom a list names.
fn held(list: &IgnoreList) -> Vec<String> {
    // Several sets may hold an address.
    let mut seen = HashSet::new();
    let prefixes = list.rules().map(|rule| rule.prefix);
    let prefixes = prefixes.filter(|prefix| seen.insert(*prefix));
    let regions = list.regions().map(|region| region.to_string());
    prefixes.map(Prefix::plain).chain(regions).collect()
}

fn distributed(rule: &AccountRule) -> Value {
    let span = |span: Duration| seconds::as_json(BanTime::For(span));
    json!({
        "by": rule.by.word(),
        "hosts": rule.hosts,
        "findtime": span(rule.findtime.0),
        "grace": span(rule.grace),
    })
}

fn class(rule: &ClassRule) -> Value {
    let countries = rule.countries.iter().map(ToString::to_string);
    json!({
        "country": countries.collect::<Vec<_>>(),
        "asn": rule.asns.iter().map(|asn| asn.0).collect::<Vec<_>>(),
        "maxretry": rule.maxretry.0,
    })
}

fn response(response: &Response) -> Value {
    let actions = response.actions.iter().map(|action| action.as_str());
    let network = |width: SubjectWidth| json!({ "ipv4": width.ipv4, "ipv6": width.ipv6 });
    json!({
        "from": response.from,
        "actions": actions.collect::<Vec<_>>(),
        "network": response.network.map(network),
        "lets_through": response.lets_through,
    })
}

fn unhindered(rule: &Unhindered) -> Value {
    let actions = rule.actions.iter().map(|action| action.as_str());
    json!({
        "actions": actions.collect::<Vec<_>>(),
        "grace": seconds::as_json(BanTime::For(rule.grace)),
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
            Jitter::Later(_) => "0%".into(),
        },
        "memory": escalation.memory.map(span),
        "scope": match escalation.scope {
            Scope::Jail => "jail",
            Scope::All => "all",
        },
    });
    if let Jitter::Later(length) = escalation.jitter {
        value["later_jitter"] = span(length);
    }
    match &escalation.growth {
        Growth::Factor(factor) => value["factor"] = (*factor).into(),
        Growth::Multipliers(list) => value["multipliers"] = list.to_vec().into(),
    }
    value
}

/// The patterns of a jail's filter in its mode, as they are written.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// What counts.
    pub failures: Vec<String>,
    /// What does not, though a pattern takes it.
    pub ignores: Vec<String>,
    /// What a filter over whole lines says beside them.
    pub lines: Option<LineRules>,
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
