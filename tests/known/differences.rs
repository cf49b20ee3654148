//! What is counted otherwise on purpose, and why? The lists are read here; whether they are true is shown elsewhere.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A difference that is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    pub service: String,
    /// What stands in the lines.
    pub holds: String,
    /// How many lines of the annotated logs differ for this reason.
    #[serde(default)]
    pub lines: usize,
    /// For the reader of the list, and of the report of an import.
    pub why: String,
    /// The mode of the filter in which the lines count.
    pub mode: Option<String>,
    /// The filter that counts the lines.
    pub filter: Option<String>,
    /// What stands in the next line of the log, which is about the same attempt and counts for the same host.
    pub by: Option<String>,
    /// The message that the process writes next, which counts for the host `{host}`.
    pub next: Option<String>,
    /// Who is counted instead; nobody, if it is not said.
    pub blames: Option<String>,
    /// The proxy that is counted instead, unless a jail trusts it.
    pub trusted: Option<String>,
}

/// All of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    pub difference: Vec<Difference>,
    /// The services of which less than is asked for is really counted: how many failures, of how many.
    #[serde(default)]
    pub below: BTreeMap<String, String>,
}

impl Differences {
    /// The list of the annotated logs.
    pub fn read() -> Differences {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/known/differences.toml");
        Differences::parse(&std::fs::read_to_string(path).unwrap())
    }

    /// Another list.
    pub fn parse(list: &str) -> Differences {
        toml::from_str(list).unwrap()
    }

    /// The same, and those of another list.
    pub fn and(mut self, others: Differences) -> Differences {
        self.difference.extend(others.difference);
        self
    }

    /// Why some filter counts this line otherwise.
    pub fn whys<'d>(&'d self, line: &'d str) -> impl Iterator<Item = &'d str> {
        let all = self.difference.iter();
        let all = all.filter(move |one| line.contains(&one.holds));
        all.map(|one| one.why.as_str())
    }

    /// What is meant of this line of a service.
    pub fn find(&self, service: &str, line: &str) -> Option<&Difference> {
        let mut of_service = self.difference.iter().filter(|one| one.service == service);
        of_service.find(|one| line.contains(&one.holds))
    }
}
