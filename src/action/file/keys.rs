//! Which keys has a data file that an action of its sort makes no use of?
//!
//! What is written and never looked at would be taken for done. In: the text of a data file, and what sort of action it
//! describes. What the keys themselves say is not looked at here.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use toml::Spanned;

use super::super::usual::Kind;
use super::FileError;

/// Those that every action has.
const COMMON: [&str; 5] = ["kind", "title", "needs", "parameters", "sample"];

/// What matters for this question: what an action keeps and by what means, or that it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Tells of things.
    Teller,
    /// Keeps a table of the packet filter.
    Nftables,
    /// Serves the list of bans.
    Serve,
    /// Has a shell run commands.
    Shell,
    /// Keeps a file.
    File,
    /// Keeps something by programs or requests.
    Steps,
}

impl Sort {
    /// Of an action of this kind.
    pub fn new(kind: Kind, is_teller: bool) -> Sort {
        match kind {
            Kind::Nftables => Sort::Nftables,
            Kind::Serve => Sort::Serve,
            Kind::Shell => Sort::Shell,
            Kind::File => Sort::File,
            Kind::Mail => Sort::Teller,
            Kind::Exec | Kind::Http if is_teller => Sort::Teller,
            Kind::Exec | Kind::Http => Sort::Steps,
        }
    }

    /// Its keys beside the common ones.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Sort::Teller => &["tell", "reports", "family", "seconds"],
            Sort::Nftables => &["ruleset", "lets_through"],
            Sort::Serve => &[],
            Sort::Shell => &["shell", "lets_through"],
            Sort::File => &[
                "path",
                "content",
                "start",
                "after",
                "lets_through",
                "shared",
                "names",
                "expires",
                "disjoint",
                "seconds",
                "family",
                "destination",
            ],
            Sort::Steps => &[
                "start",
                "stop",
                "ban",
                "unban",
                "reconcile",
                "check",
                "list",
                "having",
                "lets_through",
                "shared",
                "names",
                "expires",
                "disjoint",
                "outranked",
                "place",
                "widths",
                "seconds",
                "family",
                "network",
                "destination",
            ],
        }
    }

    fn words(self) -> &'static str {
        match self {
            Sort::Teller => "that tells",
            Sort::Nftables => "of kind nftables",
            Sort::Serve => "of kind serve",
            Sort::Shell => "of kind shell",
            Sort::File => "of kind file",
            Sort::Steps => "that keeps bans by steps",
        }
    }
}

/// Whether an action of this sort makes use of every key of its file.
///
/// # Errors
/// The first one that it makes no use of, or `text` is no TOML.
pub fn check(text: &str, sort: Sort) -> Result<(), FileError> {
    let written: BTreeMap<Spanned<String>, IgnoredAny> = toml::from_str(text)?;
    let has_list = written.keys().any(|key| key.get_ref() == "list");
    let useless = written.keys().filter_map(|key| {
        let name = key.get_ref().as_str();
        let sort = match name {
            _ if COMMON.contains(&name) => return None,
            _ if !sort.keys().contains(&name) => sort.words(),
            "having" if !has_list => "without `list`",
            _ => return None,
        };
        Some((key.span().start, name, sort))
    });
    match useless.min() {
        None => Ok(()),
        Some((at, name, sort)) => Err(FileError::Useless {
            key: name.to_owned(),
            sort,
            at,
        }),
    }
}
