//! What can be written on the command line?
//!
//! The one definition from which parsing, help and completions are made, and against which f2bd(8) is held.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::action::serve::formats::Format;
use crate::config::Change;
use crate::control::protocol::LONGEST_ALLOWANCE;
use crate::control::protocol::LONGEST_TRIAL;
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::record::date::TimeFormat;
use crate::engine::record::kept::LONGEST_TEXT;
use crate::engine::time::{BanTime, Timestamp, parse_span};
use crate::source::file::Encoding;

/// Reads a machine's logs, recognises the hosts that attack it and bans them with the firewall for a while.
#[derive(Debug, Parser)]
#[command(name = "f2bd", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 not so (not banned, nothing matched); 64 usage; 66 no such input; \
69 daemon not reachable; 70 our fault; 74 input or output; 77 not permitted; 78 bad configuration.\n\
See f2bd(8), f2bd.conf(5), f2bd-filter(5), f2bd-action(5) and f2bd-store(5)."
)]
pub struct CommandLine {
    /// Options of all commands.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// The f2bd.conf to read, or the directory it is in
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// The control socket of the daemon
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// The moment from which logs without a year are dated, instead of the present
    #[arg(long, global = true, value_name = "RFC3339")]
    pub now: Option<Timestamp>,
    /// The time zone of logs without one, and of times shown; for instance Europe/Berlin or UTC
    #[arg(long, global = true, value_name = "TZ")]
    pub timezone: Option<String>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground
    Run {
        /// Decide and record, but leave the firewall alone
        #[arg(long)]
        dry_run: bool,
    },
    /// Read the whole configuration and tell every problem in it
    Check {
        /// Print the resolved configuration as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the filters there are, or tell what some of them need
    Filters {
        /// Only these, with all there is to know of them
        #[arg(value_name = "FILTER")]
        names: Vec<String>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// List the actions there are, or tell what can be set of some of them
    Actions {
        /// Only these, with all there is to know of them
        #[arg(value_name = "ACTION")]
        names: Vec<String>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show which lines of logs a filter counts
    Match(MatchArgs),
    /// Show what the jails would have done with old logs, in the logs' own time
    Replay(ReplayArgs),
    /// Look through this machine's logs, and propose the jails that would protect it
    Discover(DiscoverArgs),
    /// Show how the daemon and its jails are doing
    Status {
        /// Only this jail, with its bans
        jail: Option<JailName>,
        /// How well the filters hear instead: what their patterns take, and lines that look like failures but are not known
        #[arg(long, conflicts_with = "jail")]
        deaf: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List who is banned
    Bans {
        /// Only bans of this jail
        #[arg(long, value_name = "JAIL")]
        jail: Option<JailName>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
        /// Print a list for others: text, json, nft, ipset or haproxy
        #[arg(long, value_name = "FORMAT", conflicts_with = "json")]
        format: Option<Format>,
    },
    /// List the bans of the past, the newest first
    History {
        /// Only bans that concern this address, network or name
        ip: Option<String>,
        /// Only bans of this jail
        #[arg(long, value_name = "JAIL")]
        jail: Option<JailName>,
        /// At most so many
        #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=5000))]
        limit: u16,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Tell why an address is banned, or why not
    Explain {
        /// An address or network, or a name that a jail bans
        ip: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ban an address or network
    Ban {
        /// The jail that bans
        jail: JailName,
        /// An address or network; a name if the jail bans names
        ip: String,
        /// For how long, such as 1h or forever; as the jail does if not said
        #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
        bantime: Option<BanTime>,
        /// Ban even whoever would be locked out: who is logged in, a gateway, a resolver, yourself
        #[arg(long)]
        force: bool,
        /// Why; it is kept with the ban
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },
    /// Lift bans
    Unban {
        /// An address or network, bans that share an address with it are lifted; or a name that a jail bans
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ip: Option<String>,
        /// Only bans of this jail
        #[arg(long, value_name = "JAIL")]
        jail: Option<JailName>,
        /// Lift all bans
        #[arg(long)]
        all: bool,
        /// Forget earlier bans too: the next one is as long as a first one
        #[arg(long)]
        forget: bool,
        /// Why; it is kept with the bans that are lifted
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },
    /// Allow an address or network for a time, whatever it does
    Allow {
        /// An address or network; without one, who is allowed is listed
        ip: Option<Prefix>,
        /// For how long
        #[arg(long = "for", value_name = "TIME", value_parser = allowing, default_value = "1h")]
        span: Duration,
        /// Allow it no longer
        #[arg(long, requires = "ip", conflicts_with = "span")]
        end: bool,
        /// Print the list as one JSON object a line
        #[arg(long, conflicts_with = "ip")]
        json: bool,
    },
    /// Report a failure on behalf of a service, for scripts
    Report {
        /// The service, as jails name it
        service: String,
        /// The address that failed
        ip: IpAddr,
        /// The account it tried
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// What people should know of it
        #[arg(long, value_name = "TEXT")]
        detail: Option<String>,
        /// Report a success, which counts for nobody and against nobody
        #[arg(long)]
        success: bool,
        /// The socket of the source of reports, instead of the configured one
        #[arg(long, value_name = "PATH")]
        to: Option<PathBuf>,
    },
    /// Have the daemon read its configuration anew
    Reload {
        /// Go back to the one before unless it is confirmed within this time, such as 60s
        #[arg(long, value_name = "TIME", value_parser = trial)]
        confirm: Option<Duration>,
    },
    /// Keep the configuration that was put in force with `reload --confirm`
    Confirm,
    /// Have the daemon write what waits to be written, and put the firewall in order
    Flush,
    /// Show failures, bans and unbans as they happen
    Follow {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Take over what this machine's Fail2ban has
    Import(ImportArgs),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
        /// Under which name f2bd is called
        #[arg(default_value = "f2bd")]
        name: CalledAs,
    },
}

/// A time that a ban can last.
fn lasting(text: &str) -> Result<BanTime, String> {
    match text.parse() {
        Ok(BanTime::For(span)) if span.is_zero() => Err("a ban lasts some time".to_owned()),
        Ok(bantime) => Ok(bantime),
        Err(error) => Err(error.to_string()),
    }
}

/// A reason that is kept whole.
fn reason(text: &str) -> Result<String, String> {
    match text.len() {
        _ if text.trim().is_empty() => Err("write a reason, or leave it out".to_owned()),
        length if length > LONGEST_TEXT => Err(format!("write {LONGEST_TEXT} bytes at the most")),
        _ => Ok(text.to_owned()),
    }
}

/// A time for which somebody can be allowed.
fn allowing(text: &str) -> Result<Duration, String> {
    match parse_span(text) {
        Ok(span) if !(1..=LONGEST_ALLOWANCE).contains(&span.as_secs()) => Err(
            "write a second or more, and a year or less; whoever is never to be banned belongs into `ignoreip`"
                .to_owned(),
        ),
        Ok(span) => Ok(span),
        Err(error) => Err(format!(
            "{error}; whoever is never to be banned belongs into `ignoreip`"
        )),
    }
}

/// A time that a configuration can be on trial.
fn trial(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    match span.as_secs() > 0 && span <= LONGEST_TRIAL {
        true => Ok(span),
        false => Err("write a time from 1s to 1d".to_owned()),
    }
}

/// What to match.
#[derive(Debug, Args)]
#[command(
    override_usage = "f2bd match [OPTIONS] FILTER LOG...\n       f2bd match [OPTIONS] --all LOG...\n       f2bd match [OPTIONS] --learn LOG LINE"
)]
pub struct MatchArgs {
    /// A filter's name or file (not with --all), then log files; `-` is standard input, `journal` this machine's
    /// journal, `journal:DIR` that of a directory
    #[arg(required = true, value_name = "FILTER LOG")]
    pub operands: Vec<String>,
    /// Try every filter there is
    #[arg(long)]
    pub all: bool,
    /// Propose a filter for a line of a log: its number, or text that stands in it
    #[arg(long, conflicts_with_all = ["all", "mode", "counted", "missed", "explain", "summary"])]
    pub learn: bool,
    /// The filter's mode
    #[arg(long, value_name = "MODE", conflicts_with = "all")]
    pub mode: Option<String>,
    /// How the lines of the logs are written; found out if not said
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<LogFormat>,
    /// How the dates in the logs are written, with the letters of strftime(3); may be given several times
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Vec<TimeFormat>,
    /// The encoding of the logs, if it is not UTF-8
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<Encoding>,
    /// Print each line that counts, instead of a summary
    #[arg(long)]
    pub counted: bool,
    /// Print the lines that no pattern takes: those that look like failures, or all
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "failures", conflicts_with = "counted")]
    pub missed: Option<Missed>,
    /// Print the whole patterns, also those that take nothing; with --counted, message and pattern below each line
    #[arg(long)]
    pub explain: bool,
    /// Print one JSON object for each line that counts
    #[arg(long)]
    pub json: bool,
    /// Print the summary, with --json too, as one object
    #[arg(long, conflicts_with_all = ["counted", "missed"])]
    pub summary: bool,
}

/// Which of the lines that no pattern takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Missed {
    /// Those that look like failures
    Failures,
    /// All
    All,
}

/// What to replay.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Only this jail
    #[arg(long, value_name = "JAIL")]
    pub jail: Option<JailName>,
    /// Tell what would be decided otherwise if a setting were this, such as maxretry, in all jails or in one; may be
    /// given several times
    #[arg(long, value_name = "[JAIL.]KEY=VALUE")]
    pub set: Vec<Change>,
    /// Only records since then: a time ago such as 30d, or a moment such as 2026-02-12T14:10:21Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Log files; `-` is standard input, `journal` this machine's journal, `journal:DIR` that of a directory, `history`
    /// the failures that the daemon has stored
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<String>,
}

/// What to look through.
#[derive(Debug, Args)]
pub struct DiscoverArgs {
    /// Only records since then: a time ago such as 30d, or a moment such as 2026-02-12T14:10:21Z. The last 7 days if no
    /// log is named, and all there is in logs that are
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Log files, instead of this machine's journal and of the files that filters name; `-` is standard input, `journal`
    /// this machine's journal, `journal:DIR` that of a directory
    #[arg(value_name = "LOG")]
    pub logs: Vec<String>,
}

/// What to take over.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The directory of Fail2ban, such as /etc/fail2ban, to be converted
    #[arg(required_unless_present = "state", value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// The directory for f2bd, such as /etc/f2bd; without one it is only told what would come of it
    #[arg(short, long, value_name = "OUT", requires = "directory")]
    pub output: Option<PathBuf>,
    /// Write over files that are there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Whom Fail2ban keeps out, and has kept out before, by its database
    #[arg(long, value_name = "DATABASE", num_args = 0..=1, default_missing_value = "/var/lib/fail2ban/fail2ban.sqlite3", conflicts_with = "directory")]
    pub state: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Where old logs begin to matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long before the present.
    Ago(Duration),
    /// At this moment.
    Moment(Timestamp),
}

impl Since {
    /// The moment.
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Since::Ago(span) => now.before(span),
            Since::Moment(moment) => moment,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ago = parse_span(text).map(Since::Ago);
        ago.or_else(|_| text.parse().map(Since::Moment))
            .map_err(|_| {
                "write a time ago such as 30d, or a moment such as 2026-02-12T14:10:21Z".to_owned()
            })
    }
}

/// How the lines of a log are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// Plain text
    Text,
    /// An object of JSON
    Json,
    /// What container engines of Kubernetes write
    Cri,
}

/// A name under which f2bd is called.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CalledAs {
    /// Its own
    F2bd,
    /// The client of Fail2ban's server
    Fail2banClient,
    /// Fail2ban's server
    Fail2banServer,
    /// The tool that tries filters
    Fail2banRegex,
}

/// A shell that has completions.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}
