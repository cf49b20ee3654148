//! Which options do jails, filters and actions of Fail2ban's have?

/// What kind of value an option has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// Any text.
    Text,
    /// True or false.
    Flag,
    /// A whole number.
    Number,
}

use OptionKind::{Flag, Number, Text};

/// The options of a filter, in the order in which Fail2ban looks at them.
pub const FILTER_OPTIONS: &[(&str, OptionKind)] = &[
    ("usedns", Text),
    ("prefregex", Text),
    ("ignoreregex", Text),
    ("failregex", Text),
    ("maxlines", Number),
    ("datepattern", Text),
    ("journalmatch", Text),
];

/// The options of a jail alone.
pub const JAIL_OPTIONS: &[(&str, OptionKind)] = &[
    ("enabled", Flag),
    ("backend", Text),
    ("maxretry", Number),
    ("maxmatches", Number),
    ("findtime", Text),
    ("bantime", Text),
    ("bantime.increment", Flag),
    ("bantime.factor", Text),
    ("bantime.formula", Text),
    ("bantime.multipliers", Text),
    ("bantime.maxtime", Text),
    ("bantime.rndtime", Text),
    ("bantime.overalljails", Flag),
    ("ignorecommand", Text),
    ("ignoreself", Flag),
    ("ignoreip", Text),
    ("ignorecache", Text),
    ("filter", Text),
    ("logtimezone", Text),
    ("logencoding", Text),
    ("logpath", Text),
    ("skip_if_nologs", Flag),
    ("systemd_if_nologs", Flag),
    ("action", Text),
];

/// The options of an action.
pub const ACTION_OPTIONS: &[(&str, OptionKind)] = &[
    ("actionstart", Text),
    ("actionstart_on_demand", Flag),
    ("actionstop", Text),
    ("actionflush", Text),
    ("actionreload", Text),
    ("actioncheck", Text),
    ("actionrepair", Text),
    ("actionrepair_on_unban", Flag),
    ("actionban", Text),
    ("actionprolong", Text),
    ("actionreban", Text),
    ("actionunban", Text),
    ("norestored", Flag),
];
