//! What can be set of every action of a kind, whatever its file declares?
//!
//! A file that declares such a parameter itself changes no more than its default.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::parameter::{Given, Parameter, Parameters, Sort};

/// The kinds of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Keeps a table of the packet filter.
    Nftables,
    /// Serves the list of bans.
    Serve,
    /// Runs programs.
    Exec,
    /// Sends requests.
    Http,
    /// Posts letters.
    Mail,
    /// Keeps a file.
    File,
    /// Has a shell run commands.
    Shell,
}

/// What an action keeps that does not say so itself: something else for other values of its own parameters, which are
/// not of the `usual` ones: those say how an action works, and not on what.
pub fn own_place(
    title: &str,
    declared: &Parameters,
    usual: &[(&'static str, Parameter)],
) -> String {
    let is_usual = |name: &str| usual.iter().any(|(usual, _)| *usual == name);
    let own = declared.iter().filter(|(name, _)| !is_usual(name));
    own.fold(format!("`{title}`"), |place, (name, _)| {
        format!("{place} <{name}>")
    })
}

fn parameter(sort: Sort, default: &str, about: &str) -> Parameter {
    Parameter {
        sort,
        choices: BTreeMap::new(),
        list: false,
        default: Some(Given::One(default.to_owned())),
        about: about.to_owned(),
    }
}

fn choice(words: &[&str], default: &str, about: &str) -> Parameter {
    let words = words
        .iter()
        .map(|word| ((*word).to_owned(), (*word).to_owned()));
    Parameter {
        choices: words.collect(),
        ..parameter(Sort::Choice, default, about)
    }
}

/// What can be set of every action that keeps something; a data file may declare another default.
pub fn of_keepers(kind: Kind, has_destination: bool) -> Vec<(&'static str, Parameter)> {
    let mut usual = vec![
        (
            "timeout",
            parameter(Sort::Time, "10s", "How long each step may take."),
        ),
        (
            "check_every",
            parameter(
                Sort::Time,
                "1s",
                "How often is looked whether somebody else has changed what is in effect; 0s for never.",
            ),
        ),
        (
            "pause",
            parameter(
                Sort::Time,
                "0s",
                "Changes that come sooner than this after one another are made together.",
            ),
        ),
        (
            "on_stop",
            choice(
                &["keep", "remove"],
                "keep",
                "What becomes of what is in effect when the daemon ends: keep, or remove.",
            ),
        ),
    ];
    if has_destination {
        usual.push((
            "ports",
            choice(
                &["jail", "all"],
                "jail",
                "What a banned host cannot reach: the ports of the jail, or all.",
            ),
        ));
    }
    usual.extend(of_means(kind));
    usual
}

/// What can be set of every action that has a shell run commands.
pub fn of_shells() -> Vec<(&'static str, Parameter)> {
    vec![(
        "timeout",
        parameter(Sort::Time, "60s", "How long each command may take."),
    )]
}

/// What can be set of every action that tells.
pub fn of_tellers(kind: Kind) -> Vec<(&'static str, Parameter)> {
    let on = Parameter {
        list: true,
        default: Some(Given::Many(vec!["ban".to_owned()])),
        ..parameter(
            Sort::Word,
            "",
            "Of what it tells: ban, unban, start, stop, siege, notice and error.",
        )
    };
    let mut usual = vec![
        (
            "timeout",
            parameter(Sort::Time, "30s", "How long each step may take."),
        ),
        ("on", on),
        (
            "every",
            parameter(
                Sort::Time,
                "0s",
                "How long is gathered for one message; 0s for a message at once.",
            ),
        ),
        (
            "gather",
            parameter(
                Sort::Number,
                "1",
                "How many are gathered for one message at least, but at the end; at most 10000.",
            ),
        ),
        (
            "restored",
            parameter(
                Sort::Flag,
                "false",
                "Whether bans that an earlier run has made are told again at the start.",
            ),
        ),
    ];
    usual.extend(of_means(kind));
    usual
}

fn of_means(kind: Kind) -> Vec<(&'static str, Parameter)> {
    let authority = || {
        parameter(
            Sort::Path,
            "",
            "A file with the only certificate authorities that are believed; the machine's own if empty.",
        )
    };
    match kind {
        Kind::Http => vec![
            (
                "proxy",
                parameter(
                    Sort::Url,
                    "",
                    "The proxy, http://HOST:PORT; the one of the environment if empty.",
                ),
            ),
            ("authority", authority()),
        ],
        Kind::Mail => vec![
            (
                "sendmail",
                parameter(
                    Sort::Program,
                    "sendmail",
                    "The program that takes letters, if there is no `server`.",
                ),
            ),
            (
                "server",
                parameter(
                    Sort::Word,
                    "",
                    "The mail server; the program `sendmail` takes letters if empty.",
                ),
            ),
            (
                "port",
                parameter(Sort::Number, "587", "The port of the mail server."),
            ),
            (
                "security",
                choice(
                    &["none", "starttls", "tls"],
                    "starttls",
                    "How the connection to the mail server is secured: starttls, tls or none.",
                ),
            ),
            (
                "user",
                parameter(
                    Sort::Text,
                    "",
                    "Whom the mail server knows us as; nobody if empty.",
                ),
            ),
            (
                "password",
                parameter(Sort::Secret, "", "The password of `user`."),
            ),
            ("authority", authority()),
        ],
        Kind::Nftables | Kind::Serve | Kind::Exec | Kind::File | Kind::Shell => Vec::new(),
    }
}
