//! Which options of a jail of Fail2ban's have one value and can be given another while the daemon runs?
//!
//! In: a name as its files have it. Out: one of a closed set. What an option's value means is not known here.

use std::fmt;
use std::str::FromStr;

/// An option of a jail of Fail2ban's that has one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeOption {
    /// `usedns`
    UseDns,
    /// `prefregex`
    PrefRegex,
    /// `maxlines`
    MaxLines,
    /// `datepattern`
    DatePattern,
    /// `logtimezone`
    LogTimeZone,
    /// `logencoding`
    LogEncoding,
    /// `ignorecommand`
    IgnoreCommand,
    /// One of those that say how bans grow.
    Growth(GrowthOption),
}

/// An option that says how bans grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrowthOption {
    /// `bantime.increment`
    Increment,
    /// `bantime.factor`
    Factor,
    /// `bantime.formula`
    Formula,
    /// `bantime.multipliers`
    Multipliers,
    /// `bantime.maxtime`
    MaxTime,
    /// `bantime.rndtime`
    RandomTime,
    /// `bantime.overalljails`
    OverAllJails,
}

/// It is no option, or none that can be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no option that can be changed is called `{0}`")]
pub struct NoOption(String);

impl TreeOption {
    /// Those that do not say how bans grow.
    const PLAIN: [TreeOption; 7] = [
        TreeOption::UseDns,
        TreeOption::PrefRegex,
        TreeOption::MaxLines,
        TreeOption::DatePattern,
        TreeOption::LogTimeZone,
        TreeOption::LogEncoding,
        TreeOption::IgnoreCommand,
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = TreeOption> {
        let growth = GrowthOption::ALL.into_iter().map(TreeOption::Growth);
        Self::PLAIN.into_iter().chain(growth)
    }

    /// Its name in the files.
    pub fn name(self) -> &'static str {
        match self {
            TreeOption::UseDns => "usedns",
            TreeOption::PrefRegex => "prefregex",
            TreeOption::MaxLines => "maxlines",
            TreeOption::DatePattern => "datepattern",
            TreeOption::LogTimeZone => "logtimezone",
            TreeOption::LogEncoding => "logencoding",
            TreeOption::IgnoreCommand => "ignorecommand",
            TreeOption::Growth(option) => option.name(),
        }
    }
}

impl GrowthOption {
    /// All of them.
    pub const ALL: [GrowthOption; 7] = [
        GrowthOption::Increment,
        GrowthOption::Factor,
        GrowthOption::Formula,
        GrowthOption::Multipliers,
        GrowthOption::MaxTime,
        GrowthOption::RandomTime,
        GrowthOption::OverAllJails,
    ];

    fn name(self) -> &'static str {
        match self {
            GrowthOption::Increment => "bantime.increment",
            GrowthOption::Factor => "bantime.factor",
            GrowthOption::Formula => "bantime.formula",
            GrowthOption::Multipliers => "bantime.multipliers",
            GrowthOption::MaxTime => "bantime.maxtime",
            GrowthOption::RandomTime => "bantime.rndtime",
            GrowthOption::OverAllJails => "bantime.overalljails",
        }
    }
}

impl FromStr for TreeOption {
    type Err = NoOption;

    fn from_str(word: &str) -> Result<Self, NoOption> {
        let known = Self::all().find(|known| known.name() == word);
        known.ok_or_else(|| NoOption(word.to_owned()))
    }
}

/// Its name.
impl fmt::Display for TreeOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
