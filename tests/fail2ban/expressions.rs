//! A regular expression of Fail2ban's filters takes the same here as it does in Python.
//!
//! What differs on purpose, and is kept out of what is generated:
//! - A character beyond ASCII is as many bytes, of which `.`, a class that excludes something or `\w` takes each by itself; so
//!   it counts more often in `.{3}`. Without regard to case, no letter of ASCII is alike to one beyond it.
//! - How often something that takes nothing is repeated, which shows in what its groups take.
//! - The empty text has no place within a word in Python, and so nothing that `\B` takes.
//! - No newline stands at the end of a line, so no `\s` or `[^x]` can take one there.

mod generated;
mod python;
mod stock;

use std::collections::BTreeMap;

use f2bd::config::fail2ban::expression::{self, Hosts};
use f2bd::engine::expression::LineExpression;
use proptest::prelude::*;
use python::Python;
use serde::Deserialize;
use serde_json::json;

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
        named.map(|name| (name.to_string(), place(name))).collect()
    }))
}

/// Asserts that these expressions, with their tags, take of texts what they take in Fail2ban.
fn assert_same(expressions: &[&str], texts: &[&str], hosts: Hosts) {
    let Some(root) = python::package() else {
        return;
    };
    let Some(mut python) = Python::start(Some(&root)) else {
        return;
    };
    for expression in expressions {
        let question = json!({
            "question": "search as failregex", "expression": expression, "multi_line": false,
            "names": hosts == Hosts::Named, "texts": texts,
        });
        match python.ask(&question) {
            Taken::Error(error) => panic!("{expression} in Python: {error}"),
            Taken::Found(theirs) => {
                let ours = compiled(expression, hosts, false).unwrap();
                for (text, theirs) in texts.iter().zip(theirs) {
                    let ours = found(&ours, text);
                    assert_eq!(ours, Some(theirs), "{expression} on {text:?}");
                }
            }
        }
    }
}

#[test]
fn tags_take_what_they_take_in_fail2ban() {
    let expressions = [
        "^<HOST>$",
        "^<HOST>: x$",
        "<HOST>",
        "from <HOST> port",
        "^<ADDR>$",
        "<ADDR>",
        "^<ADDR>: x",
        "^<IP4>$",
        "^<IP6>$",
        "<IP6>",
        "^<IP6>: x",
        "<F-IP4/>",
        "<F-IP6/>",
        "<F-ADDR/>",
        "^<DNS>$",
        "<F-DNS/>",
        "^<SUBNET>$",
        "<SUBNET>",
        "<F-SUBNET/>",
        "^<ADDR>/<CIDR>$",
        "<F-CIDR/> <F-ID/>",
        "^<F-ID>[^:]+</F-ID>: <F-PORT/>",
        "<F-USER>x</F-USER>|<F-ALT_USER_1>\\S+</F-ALT_USER_1> </F-X><HOST>",
        "<F-TUPLE_X>a</F-TUPLE_X><F-TUPLE_X_1>1</F-TUPLE_X_1>|<HOST>",
        "<F-MLFID>x</F-MLFID><F-NOFAIL>:?</F-NOFAIL><F-CONTENT>.*</F-CONTENT>$",
        "(?i)<HOST>(?: PORT)?((?i) X)?$",
    ];
    let texts = [
        "192.0.2.1",
        "[192.0.2.1]",
        "[192.0.2.1",
        "::ffff:192.0.2.1",
        "[::ffff:192.0.2.1]: x",
        "::fffffff:192.0.2.1",
        "1234.1.2.3",
        "300.1.2.34567",
        "192.0.2.1.5",
        "2001:db8::1",
        "[2001:db8::1]",
        "2001:db8::",
        "2001:db8::: x",
        "2001:db8:::: x",
        "::1",
        "::",
        ":",
        "1::",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8:",
        "12345::1",
        "1:2",
        "fe80::1%eth0",
        "example.com",
        "host-1.example.com: x",
        "-a^_b.",
        "from example.com port",
        "from 192.0.2.1 port 22",
        "from ::1 port 22",
        "192.0.2.0/24",
        "[2001:db8::/32]",
        "192.0.2.0/",
        "x</F-X>192.0.2.1",
        "a</F-X>192.0.2.1",
        "10 x: smtp",
        "x:a1",
        "x: ",
        "",
        " 192.0.2.1 Port x",
        "bücher.example",
    ];
    assert_same(&expressions, &texts, Hosts::Named);
    let without_names = expressions.map(|text| text.replace("<DNS>", "<ADDR>"));
    let without_names: Vec<_> = without_names.iter().map(String::as_str).collect();
    assert_same(&without_names, &texts, Hosts::Addresses);
}

#[test]
fn characters_beyond_ascii_are_what_they_are_in_python() {
    let expressions = [
        "^é+$",
        "caf[é]",
        "^[é-ü]{2}$",
        "^[aé]+x?$",
        "^[^é]+$",
        "(?i)^É+$",
        "^(?i:[É])$",
        "^(?i:[À-Ü]x)",
        "^(?-i:É)$",
        r"^\w+$",
    ];
    let texts = [
        "é", "éé", "É", "ü", "üx", "xé", "éx", "é x", "café", "caféx", "a", "ax", "日本", "日",
        "é.ü", "x", "äx ü", "éü", "ü é ü",
    ];
    assert_same(&expressions, &texts, Hosts::Named);
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
