//! A regular expression of Fail2ban's filters takes the same here as it does in Python.

mod generated;
mod python;
mod stock;

use std::collections::BTreeMap;

use f2bd::config::fail2ban::expression::{self, Hosts};
use f2bd::engine::filter::line::expression::LineExpression;
use proptest::prelude::*;
use serde::Deserialize;

/// Where the groups stand in a text that was taken, by their names; `None` where it was not.
type Found = Option<BTreeMap<String, Option<(usize, usize)>>>;

/// What Python answers to a search.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Taken {
    Error(String),
    Found(Vec<Found>),
}

/// The expression as it runs here.
fn compiled(text: &str, hosts: Hosts, multi_line: bool) -> Result<LineExpression, String> {
    let translated = expression::expression(text, hosts).map_err(|error| error.to_string())?;
    LineExpression::new(&translated.source, multi_line)
        .map_err(|error| format!("{} does not compile: {error}", translated.source))
}

/// What it takes of a text; the outer `None` is a limit that was reached.
fn found(expression: &LineExpression, text: &str) -> Option<Found> {
    let captures = expression.captures(text.as_bytes()).ok()?;
    Some(captures.map(|captures| {
        let place = |name: &str| captures.get(name).map(|range| (range.start, range.end));
        let named = expression.names();
        named.map(|name| (name.to_owned(), place(name))).collect()
    }))
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    })]

    #[test]
    fn no_text_makes_the_translator_stumble(
        text in r#"([a-z0-9 \\()\[\]{}|?*+.^$<>:=!#,&~é-]|\(\?P?<?|\(\?\(|\\[a-zA-Z0-9]|<[A-Z/-]+>|\(\?[a-z-]*:?){0,40}"#,
        multi_line: bool,
    ) {
        if let Ok(expression) = compiled(&text, Hosts::Named, multi_line) {
            let relaxed = expression.relaxed();
            prop_assert!(relaxed.properties().minimum_len().is_none_or(|least| least <= text.len() * 8));
            found(&expression, "a b 1.2.3.4 <x> [y] {z}");
        }
    }
}

#[test]
fn an_expression_that_explodes_is_told_and_costs_little() {
    let text = r"^(?:<F-USER>\w+</F-USER>|\w)+(?P<q>['x])(?P=q)<HOST>$";
    let expression = compiled(text, Hosts::Named, false).unwrap();
    assert!(!expression.is_linear());
    let line = format!("{}x'x'192.0.2.1 ", "a".repeat(200));
    assert!(expression.captures(line.as_bytes()).is_ok());
    let line = format!("{}''192.0.2.1 ''192.0.2.1", "a".repeat(200));
    assert!(expression.captures(line.as_bytes()).is_err());
}
