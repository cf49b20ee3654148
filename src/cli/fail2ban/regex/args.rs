//! What can stand on the command line of `fail2ban-regex`?
//!
//! Its options stand anywhere, and long ones may be cut short. What is only for those who look for mistakes in Python is
//! taken and answered with a word.

use std::path::PathBuf;

use clap::{ArgAction, Parser};

use crate::source::file::Encoding;

/// Try a filter of Fail2ban's on a log
#[derive(Debug, Parser)]
#[command(
    name = "fail2ban-regex",
    override_usage = "fail2ban-regex [OPTIONS] <LOG> <REGEX> [IGNOREREGEX]",
    after_help = AFTER_HELP,
    disable_version_flag = true,
    infer_long_args = true,
    args_override_self = true
)]
pub struct RegexArgs {
    /// The directory with filter.d
    #[arg(short, long, value_name = "DIR", default_value = "/etc/fail2ban")]
    pub config: PathBuf,
    /// How dates are written, instead of what the filter says
    #[arg(short, long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub datepattern: Option<String>,
    /// The zone of dates that do not tell theirs: UTC+0200, Europe/Berlin
    #[arg(long, value_name = "ZONE", visible_alias = "TZ")]
    pub timezone: Option<String>,
    /// The encoding of the log
    #[arg(short, long)]
    pub encoding: Option<Encoding>,
    /// Do not ask for the addresses of names
    #[arg(short, long)]
    pub raw: bool,
    /// `no`: a host is an address only; `raw`: as --raw
    #[arg(long, value_name = "yes|warn|no|raw")]
    pub usedns: Option<String>,
    /// How many lines are looked at together, and how many lines are listed
    #[arg(short = 'L', long, value_name = "LINES", default_value_t = 0)]
    pub maxlines: u16,
    /// What is read of the journal, instead of what the filter says
    #[arg(short = 'm', long, value_name = "MATCHES", allow_hyphen_values = true)]
    pub journalmatch: Option<String>,
    /// Taken, and of no effect
    #[arg(short, long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Tell of everything that was found
    #[arg(short, action = ArgAction::Count)]
    pub verbose: u8,
    /// The same by a number, from 0 to 4
    #[arg(long = "verbosity", value_name = "NUMBER")]
    pub verbosity: Option<u8>,
    /// The same as -v
    #[arg(long = "verbose", hide = true)]
    pub is_verbose: bool,
    /// For the inside of Fail2ban's dates; of no effect
    #[arg(long, visible_alias = "VD")]
    pub verbose_date: bool,
    /// For a web site that knows Python; of no effect
    #[arg(short = 'D', long)]
    pub debuggex: bool,
    /// Ask no other expression about a line when one has taken it
    #[arg(long)]
    pub no_check_all: bool,
    /// Print only this of each failure: row, id, ip, msg, user or another group, or a text with <ip>, <F-USER>, <msg>...
    #[arg(short, long, value_name = "TOKEN", allow_hyphen_values = true)]
    out: Option<String>,
    /// With --out, print the lines that are no failures
    #[arg(short, long)]
    pub invert: bool,
    /// Do not list lines that no expression takes
    #[arg(long)]
    pub print_no_missed: bool,
    /// Do not list lines that are ignored
    #[arg(long)]
    pub print_no_ignored: bool,
    /// List all lines that are failures
    #[arg(long)]
    pub print_all_matched: bool,
    /// List all lines that no expression takes
    #[arg(long)]
    pub print_all_missed: bool,
    /// List all lines that are ignored
    #[arg(long)]
    pub print_all_ignored: bool,
    /// For mistakes in Python; of no effect
    #[arg(short = 't', long)]
    pub log_traceback: bool,
    /// For mistakes in Python; of no effect
    #[arg(long)]
    pub full_traceback: bool,
    /// Tell the version as programs want it
    #[arg(short = 'V')]
    pub short_version: bool,
    /// Tell the version
    #[arg(long)]
    pub version: bool,
    /// The log, the expression, and what is ignored
    #[arg(hide = true)]
    pub operands: Vec<String>,
}

const AFTER_HELP: &str = "LOG:
  a log file; `-` for standard input; `systemd-journal`, or `systemd-journal[journalpath=DIR]`;
  or else a line of text, or several
REGEX:
  the name of a filter, with options if need be (`sshd[mode=aggressive]`), the path of one in a
  directory filter.d, or else a failregex
IGNOREREGEX:
  an ignoreregex

See f2bd(8).";

impl RegexArgs {
    /// What is printed of each failure, if not a report of all; an empty word asks for that one, too.
    pub fn out(&self) -> Option<&str> {
        self.out.as_deref().filter(|word| !word.is_empty())
    }

    /// Whether all is told.
    pub fn tells_all(&self) -> bool {
        self.is_verbose || self.verbosity.unwrap_or(self.verbose) > 0
    }

    /// How many lines are listed unless all are.
    pub fn listed(&self) -> usize {
        match self.maxlines {
            0 => MOST_LISTED,
            lines => usize::from(lines),
        }
    }

    /// What cannot be meant together.
    pub fn contradictions(&self) -> Vec<&'static str> {
        let pairs = [
            (
                self.print_no_missed && self.print_all_missed,
                "ERROR: --print-no-missed and --print-all-missed are mutually exclusive.",
            ),
            (
                self.print_no_ignored && self.print_all_ignored,
                "ERROR: --print-no-ignored and --print-all-ignored are mutually exclusive.",
            ),
            (
                !matches!(self.operands.len(), 2 | 3),
                "ERROR: provide both <LOG> and <REGEX>.",
            ),
        ];
        let wrong = pairs.into_iter().filter(|(is_wrong, _)| *is_wrong);
        wrong.map(|(_, text)| text).collect()
    }

    /// The options that mean something to Python alone, with what to do instead.
    pub fn of_python(&self) -> Vec<&'static str> {
        let all = [
            (
                self.debuggex,
                "--debuggex is for expressions of Python; `f2bd match --explain` shows f2bd's",
            ),
            (
                self.log_traceback || self.full_traceback,
                "--log-traceback and --full-traceback are for Python; f2bd has no tracebacks",
            ),
            (
                self.verbose_date,
                "--verbose-date is for the inside of Fail2ban's dates; -v lists the patterns of f2bd's",
            ),
        ];
        let asked = all.into_iter().filter(|(is_asked, _)| *is_asked);
        asked.map(|(_, text)| text).collect()
    }
}

/// How many lines are listed if nothing is said.
const MOST_LISTED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> RegexArgs {
        RegexArgs::try_parse_from([&["fail2ban-regex"], words].concat()).expect("options")
    }

    #[test]
    fn options_stand_anywhere_and_may_be_short() {
        let args = read(&[
            "log",
            "-vv",
            "sshd",
            "--print-all-mi",
            "--TZ=UTC",
            "-o",
            "row",
        ]);
        assert!(args.tells_all() && args.print_all_missed);
        assert_eq!(args.timezone.as_deref(), Some("UTC"));
        assert_eq!(args.out(), Some("row"));
        assert_eq!(read(&["log", "x", "-o", ""]).out(), None);
        assert_eq!(args.operands, ["log", "sshd"]);
        assert!(args.contradictions().is_empty());
        assert!(!read(&["log", "x", "-v", "--verbosity", "0"]).tells_all());
        assert_eq!(read(&["-L5", "a", "b"]).listed(), 5);
        assert_eq!(read(&["log"]).contradictions().len(), 1);
        let odd = read(&["a", "b", "-Dt", "--print-no-m", "--print-all-missed"]);
        assert_eq!((odd.of_python().len(), odd.contradictions().len()), (2, 1));
        let unknown = RegexArgs::try_parse_from(["fail2ban-regex", "--nonsense"]);
        assert!(unknown.is_err());
    }
}
