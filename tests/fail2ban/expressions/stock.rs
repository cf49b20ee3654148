//! The expressions of Fail2ban's own filters, on the lines that its own tests have for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use f2bd::config::fail2ban::expression::Hosts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::python::{self, Python};
use super::{Found, Taken, compiled, found};

/// Where the package has its configuration, and its lines.
const TREE: &str = "etc/fail2ban";
const LOGS: &str = "usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

/// What is said of the modes that filters have, and what else changes their expressions.
const MODES: [&str; 8] = [
    "",
    "normal",
    "ddos",
    "extra",
    "aggressive",
    "more",
    "auth",
    "errors",
];
const LOG_TYPES: [&str; 4] = ["file", "short", "journal", "rfc5424"];

/// All of a filter that is an expression.
#[derive(Clone, Debug, Deserialize)]
struct Expressions {
    failregex: Vec<String>,
    ignoreregex: Vec<String>,
    prefregex: Vec<String>,
    maxlines: Vec<usize>,
    datepattern: Vec<String>,
}

/// The options with which the sample log of a filter wants to be read, and those that many filters have.
fn options(log: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for mode in MODES {
        for kind in LOG_TYPES {
            all.push(match mode {
                "" => json!({"logtype": kind}),
                mode => json!({"mode": mode, "logtype": kind}),
            });
        }
    }
    for line in log.lines().filter(|line| line.starts_with('#')) {
        let line = line.trim_start_matches('#').trim_start();
        let Some(said) = line.strip_prefix("filterOptions:") else {
            continue;
        };
        match serde_json::from_str(said) {
            Ok(Value::Array(several)) => all.extend(several),
            Ok(one) => all.push(one),
            Err(error) => panic!("{said}: {error}"),
        }
    }
    all
}

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    expressions: BTreeSet<(String, bool)>,
    backtracking: BTreeSet<String>,
    refused_by_both: BTreeSet<String>,
    pairs: usize,
    hits: usize,
    limits: Vec<String>,
    differences: BTreeSet<String>,
}

impl Tally {
    /// Compares one expression on these texts; tells what Python found.
    fn compare(
        &mut self,
        python: &mut Python,
        expression: &str,
        multi_line: bool,
        texts: &[String],
    ) -> Vec<Found> {
        let question = json!({
            "question": "search as failregex", "expression": expression, "multi_line": multi_line,
            "names": true, "texts": texts,
        });
        let ours = compiled(expression, Hosts::Named, multi_line);
        let theirs = match (python.ask::<Taken>(&question), &ours) {
            (Taken::Found(theirs), _) => theirs,
            (Taken::Error(_), Err(_)) => {
                self.refused_by_both.insert(expression.to_owned());
                return Vec::new();
            }
            (Taken::Error(error), Ok(_)) => {
                self.differences
                    .insert(format!("{expression} in Python: {error}"));
                return Vec::new();
            }
        };
        match ours {
            Err(error) => {
                self.differences.insert(format!("{expression}: {error}"));
            }
            Ok(ours) => {
                self.expressions.insert((expression.to_owned(), multi_line));
                if !ours.is_linear() {
                    self.backtracking.insert(expression.to_owned());
                }
                for (text, theirs) in texts.iter().zip(&theirs) {
                    self.pairs += 1;
                    self.hits += usize::from(theirs.is_some());
                    match found(&ours, text) {
                        None => self.limits.push(format!("{expression} on {text}")),
                        Some(ours) if same(&ours, theirs) => {}
                        Some(ours) => {
                            self.differences.insert(format!(
                                "{expression}\n  on {text:?}\n  {ours:?}\n  but in Python {theirs:?}"
                            ));
                        }
                    }
                }
            }
        }
        theirs
    }
}

/// The same, but for how the groups of <SKIPLINES> are called.
fn same(ours: &Found, theirs: &Found) -> bool {
    let renamed = ours.as_ref().map(|ours| {
        let groups = ours.iter();
        let renamed = groups.map(|(name, place)| {
            let name = name.replace("skiplines_", "skiplines");
            (name, *place)
        });
        renamed.collect::<BTreeMap<_, _>>()
    });
    renamed == *theirs
}

/// The lines of a log, without dates, and windows over them if the filter looks at several.
fn texts(python: &mut Python, log: &str, filter: &Expressions) -> Vec<String> {
    let lines: Vec<_> = log.lines().collect();
    let mut question = json!({
        "question": "without dates", "datepattern": filter.datepattern, "lines": lines,
    });
    let mut cut: Vec<String> = match python.ask::<Value>(&question) {
        Value::Array(cut) => serde_json::from_value(Value::Array(cut)).unwrap(),
        // The pattern of a date can be one that this version does not know.
        _ => {
            question["datepattern"] = json!([]);
            python.ask(&question)
        }
    };
    let most = filter.maxlines.last().copied().unwrap_or(1);
    if most > 1 {
        let wide = cut
            .windows(most)
            .chain(cut.windows(3))
            .chain(cut.windows(2));
        cut = wide
            .map(|lines| lines.join("\n"))
            .chain(cut.iter().cloned())
            .collect();
    }
    cut
}

/// What the groups of this name took of texts.
fn taken(texts: &[String], found: &[Found], name: &str) -> Vec<String> {
    let pairs = texts.iter().zip(found);
    let taken = pairs.filter_map(|(text, found)| {
        let (start, end) = found.as_ref()?.get(name).copied()??;
        Some(text[start..end].to_owned())
    });
    taken.collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn stock_expressions_take_what_they_take_in_fail2ban() {
    let Some(root) = python::package() else {
        return;
    };
    let Some(mut python) = Python::start(Some(&root)) else {
        return;
    };
    let tree = root.join(TREE);
    let names: Vec<String> = python.ask(&json!({"question": "filters", "tree": tree}));
    assert!(names.len() > 90, "too few filters: {names:?}");
    let mut tally = Tally::default();
    for name in &names {
        compare_filter(&mut python, &root, name, &mut tally);
    }
    let expressions = tally.expressions.len();
    assert!(
        tally.backtracking.len() * 8 < expressions,
        "too few are linear: {:?}",
        tally.backtracking
    );
    assert!(
        tally.refused_by_both.is_empty(),
        "{:?}",
        tally.refused_by_both
    );
    assert!(
        tally.pairs > 100_000 && tally.hits > 5000,
        "too little was compared"
    );
    assert!(tally.limits.is_empty(), "{:?}", tally.limits);
    let all: Vec<_> = tally.differences.iter().cloned().collect();
    assert!(
        all.is_empty(),
        "{} differences:\n{}",
        all.len(),
        all.join("\n")
    );
}

fn compare_filter(python: &mut Python, root: &Path, name: &str, tally: &mut Tally) {
    // Some filters are only parts of others, and have no log.
    let Ok(log) = fs::read_to_string(root.join(LOGS).join(name)) else {
        return;
    };
    let mut done = BTreeSet::new();
    for options in options(&log) {
        let question = json!({
            "question": "expressions", "tree": root.join(TREE), "filter": name, "options": options,
        });
        let answer: Value = python.ask(&question);
        let Ok(filter) = serde_json::from_value::<Expressions>(answer.clone()) else {
            panic!("{name} with {options}: {answer}");
        };
        let mut lines = None;
        let multi_line = filter.maxlines.last().is_some_and(|most| *most > 1);
        let mut contents = Vec::new();
        for prefregex in &filter.prefregex {
            let texts = lines.get_or_insert_with(|| texts(python, &log, &filter));
            let found = tally.compare(python, prefregex, false, texts);
            contents.extend(taken(texts, &found, "content"));
        }
        for expression in filter.failregex.iter().chain(&filter.ignoreregex) {
            if !done.insert((expression.clone(), contents.clone())) {
                continue;
            }
            let texts = lines.get_or_insert_with(|| texts(python, &log, &filter));
            let all: Vec<_> = contents.iter().chain(texts.iter()).cloned().collect();
            tally.compare(python, expression, multi_line, &all);
        }
    }
}
