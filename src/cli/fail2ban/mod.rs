//! Called as `fail2ban-client`, `fail2ban-server` or `fail2ban-regex`: what would those print?
//!
//! [`args`] reads their options, `control::fail2ban` understands their commands and finds the answers, [`formats`] and
//! [`table`] print them, [`dump`] lists a tree, [`starting`] begins and ends
//! daemons; [`regex`] is a tool of its own; [`completion`] is what shells can complete. Exit codes are theirs: 0, or 255 whatever went wrong.

mod args;
pub mod completion;
mod dump;
mod formats;
mod regex;
mod starting;
mod table;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::tz::TimeZone;

use self::args::{Dump, Options, Told};
use self::table::Letters;
use super::connected_from;
use crate::config::fail2ban::transcription::Needing;
use crate::config::fail2ban::{Tree, USUAL, VERSION, is_tree, time, transcription};
use crate::config::{self, Problems, Severity};
use crate::control::client::{Client, ClientError};
use crate::control::fail2ban::SPOKEN_VERSION;
use crate::control::fail2ban::answer::{Answers, Failed};
use crate::control::fail2ban::command;
use crate::control::fail2ban::fault::Fault;
use crate::control::fail2ban::line::{Form, Level, Line};
use crate::control::protocol::{Reply, Request};

/// The exit code of whatever went wrong.
const FAILED: u8 = 255;

/// A tool that has to do with the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    /// `fail2ban-client`
    Client,
    /// `fail2ban-server`
    Server,
}

impl Tool {
    /// The tool of this name.
    fn called(name: &str) -> Option<Tool> {
        match name {
            "fail2ban-client" => Some(Tool::Client),
            "fail2ban-server" => Some(Tool::Server),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Tool::Client => "fail2ban-client",
            Tool::Server => "fail2ban-server",
        }
    }
}

/// Why something was not done; it has been told.
struct NotDone;

/// Is the tool by whose file name the program was called, whatever directory it is in, with the words after its name;
/// `None` if it was called by another one.
pub fn called(program: &Path, words: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    Some(match program.file_name()?.to_str()? {
        "fail2ban-regex" => regex::main(words),
        name => main(Tool::called(name)?, words),
    })
}

/// The configuration for somebody who has Fail2ban's: the one that is named, or ours, or Fail2ban's if there is none of ours.
pub fn config_of(named: Option<&Path>) -> Option<PathBuf> {
    let ours = || config::files::main_file(None).exists();
    let tree = || Path::new(USUAL).is_dir();
    match named {
        Some(named) => Some(named.to_owned()),
        None if !ours() && tree() => Some(PathBuf::from(USUAL)),
        None => None,
    }
}

fn main(tool: Tool, words: impl Iterator<Item = OsString>) -> ExitCode {
    // What is no UTF-8 is no word of any command.
    let words = words.map(|word| word.to_string_lossy().into_owned());
    let done = match args::read(words) {
        Ok(options) => Session::new(tool, options).run(),
        Err(_) => {
            misunderstood();
            print(&usage(tool)).and(Err(NotDone))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(NotDone) => ExitCode::from(FAILED),
    }
}

/// Prints a text and the end of its last line. Whoever reads no further has seen enough.
fn print(text: &str) -> Result<(), NotDone> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(NotDone),
        _ => Ok(()),
    }
}

/// Tells on standard error what went wrong, in a line as Fail2ban's log has them.
fn complain(text: &str) {
    tell(Level::Error, text);
}

fn tell(level: Level, text: &str) {
    let line = Line {
        time: jiff::Timestamp::now().into(),
        zone: &TimeZone::system(),
        logger: "fail2ban",
        process: std::process::id(),
        level,
        form: Form::default(),
        text,
    };
    // If even this cannot be printed, nobody reads it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Tells that the options make no sense: Fail2ban has no log yet by then, so the line is bare.
fn misunderstood() {
    // If even this cannot be printed, nobody reads it.
    let _ = writeln!(io::stderr(), "Init of command line failed");
}

/// One run of a tool.
struct Session {
    tool: Tool,
    options: Options,
    letters: Letters,
}

impl Session {
    fn new(tool: Tool, options: Options) -> Self {
        Session {
            tool,
            options,
            letters: Letters::of_locale(),
        }
    }

    fn run(&self) -> Result<(), NotDone> {
        match &self.options.told {
            Some(Told::Help) => return print(&usage(self.tool)),
            Some(Told::ShortVersion) => return print(SPOKEN_VERSION),
            Some(Told::Version) => {
                let own = env!("CARGO_PKG_VERSION");
                return print(&format!(
                    "Fail2Ban v{SPOKEN_VERSION}\n\nIts commands and formats are spoken here by f2bd {own}."
                ));
            }
            Some(Told::Seconds(text)) => return seconds(text),
            None => {}
        }
        if let Some(dump) = self.options.dump {
            self.dump(dump)?;
            if !self.options.test {
                return Ok(());
            }
        }
        if self.options.test {
            let is_whole = |loaded: &config::Loaded| {
                let mut problems = loaded.problems.iter();
                loaded.settings.is_some() && problems.all(|one| one.severity == Severity::Warning)
            };
            let is_whole = is_whole(&self.load());
            if !self.has_logs(None, Needing::AlsoIfSwitched) || !is_whole {
                complain("ERROR: test configuration failed");
                return Err(NotDone);
            }
            if self.options.command.is_empty() {
                return print("OK: configuration test is successful");
            }
        }
        match (self.options.command.as_slice(), self.tool) {
            (words, _) if self.options.interactive => self.converse(words),
            ([], Tool::Server) => self.start(),
            ([], Tool::Client) => print(&usage(self.tool)).and(Err(NotDone)),
            (words, _) => self.obey(words),
        }
    }

    /// The configuration: the one that is named, or that of the daemon that answers, or the usual one.
    fn config(&self) -> Option<PathBuf> {
        let running = || match self.options.conf {
            None => self.config_in_force(),
            Some(_) => None,
        };
        running().or_else(|| self.usual_config())
    }

    /// The configuration that is named, or ours, or Fail2ban's if there is none of ours.
    fn usual_config(&self) -> Option<PathBuf> {
        config_of(self.options.conf.as_deref())
    }

    /// The configuration of the daemon that answers.
    fn config_in_force(&self) -> Option<PathBuf> {
        // Who cannot ask it takes what is usual, and is told where that is wrong.
        let socket = match &self.options.socket {
            Some(named) => named.clone(),
            None => config::socket(self.usual_config().as_deref()).ok()?,
        };
        match Client::ask(&socket, Request::Status { jail: None }).ok()? {
            Reply::Status(status) => {
                let path = PathBuf::from(status.configuration.path);
                path.exists().then_some(path)
            }
            _ => None,
        }
    }

    /// Reads the configuration and tells what is wrong with it; nothing if that keeps it from being used.
    fn load(&self) -> config::Loaded {
        let loaded = config::load_and_prove(self.config().as_deref());
        for problem in &loaded.problems {
            let level = match problem.severity {
                Severity::Warning => Level::Warning,
                Severity::LeftOut | Severity::Error => Level::Error,
            };
            tell(level, &problem.to_string());
        }
        loaded
    }

    /// Whether every jail of a tree, or this one, has a log where it needs one; tells of the first that has none, as Fail2ban
    /// does, which starts and reloads nothing then. f2bd waits for the log.
    fn has_logs(&self, jail: Option<&str>, needing: Needing) -> bool {
        let Some(folder) = self.config().filter(|folder| is_tree(folder)) else {
            return true;
        };
        // What is wrong with it has been told.
        let Some(tree) = Tree::read(&folder, VERSION, &mut Problems::default()) else {
            return true;
        };
        let mut lacking = transcription::without_logs(&tree, needing);
        let lacking = lacking.find(|lacking| jail.is_none_or(|jail| jail == *lacking));
        if let Some(jail) = lacking {
            complain(&format!(
                "Failed during configuration: Have not found any log file for {jail} jail"
            ));
        }
        lacking.is_none()
    }

    /// Does what a command says.
    fn obey(&self, words: &[String]) -> Result<(), NotDone> {
        let texts: Vec<_> = words.iter().map(String::as_str).collect();
        match texts.as_slice() {
            ["start"] => self.start(),
            ["stop"] => self.stop(),
            ["restart"] => self.restart(),
            ["help"] => print(&usage(self.tool)),
            ["reload", rest @ ..] => {
                // A slip may cost a jail and still be no error of the daemon's, whose log nobody may be looking at.
                self.load();
                let mut jails = rest.iter().filter(|word| !word.starts_with("--"));
                match self.has_logs(jails.next().copied(), Needing::OnlyFiles) {
                    true => self.ask(words),
                    false => Err(NotDone),
                }
            }
            _ => self.ask(words),
        }
    }

    /// Has a daemon answer, and prints that.
    fn ask(&self, words: &[String]) -> Result<(), NotDone> {
        let socket = self.socket()?;
        let zone = TimeZone::system();
        let answered = command::understand(words.iter().cloned())
            .map_err(Failed::Fault)
            .and_then(|command| {
                Answers {
                    ask: &mut |request| Client::ask(&socket, request),
                    zone: &zone,
                    from: connected_from(),
                    complain: &mut |text| complain(&text),
                }
                .answer(command)
            });
        match answered {
            Ok(value) => print(&formats::text(words, &value, self.letters)),
            Err(Failed::Fault(fault)) => {
                complain(&format!("NOK: {}", fault.arguments()));
                self.print_fault(&fault)
            }
            Err(Failed::Daemon(error)) => {
                self.tell(&socket, &error);
                Err(NotDone)
            }
        }
    }

    fn print_fault(&self, fault: &Fault) -> Result<(), NotDone> {
        print(&fault.to_string()).and(Err(NotDone))
    }

    /// The socket that is named, or configured, or usual.
    fn socket(&self) -> Result<PathBuf, NotDone> {
        if let Some(named) = &self.options.socket {
            return Ok(named.clone());
        }
        config::socket(self.usual_config().as_deref()).map_err(|problems| {
            for problem in problems {
                complain(&problem.to_string());
            }
            NotDone
        })
    }

    /// Tells why nobody answers.
    fn tell(&self, socket: &Path, error: &ClientError) {
        let path = socket.display();
        match error {
            ClientError::Unreachable { .. } if !socket.exists() => complain(&format!(
                "Failed to access socket path: {path}. Is fail2ban running?"
            )),
            ClientError::Unreachable { error, .. } => complain(&format!(
                "[{error}] Unable to contact server. Is it running?"
            )),
            ClientError::Denied(_) => complain(&format!(
                "Permission denied to socket: {path}, (you must be root)"
            )),
            other => complain(&other.to_string()),
        }
    }

    /// Obeys line after line, until one says that it is the last.
    fn converse(&self, first: &[String]) -> Result<(), NotDone> {
        if !first.is_empty() {
            self.obey(first)?;
        }
        let own = env!("CARGO_PKG_VERSION");
        print(&format!(
            "Fail2Ban v{SPOKEN_VERSION}, as f2bd {own} speaks it: write a command, or \"exit\"\n"
        ))?;
        let mut lines = io::stdin().lock().lines();
        loop {
            let mut out = io::stdout().lock();
            // Whoever cannot see the prompt has no use for it.
            let _ = out.write_all(b"fail2ban> ").and_then(|()| out.flush());
            drop(out);
            let Some(Ok(line)) = lines.next() else {
                return print("");
            };
            // As a shell does, so that a pattern can have blanks.
            let Some(words) = shlex::split(&line) else {
                complain("No closing quotation");
                continue;
            };
            match words.first().map(String::as_str) {
                None => {}
                Some("exit" | "quit") => return Ok(()),
                // What went wrong with one of them has been told, and the next one may be well.
                Some(_) => drop(self.obey(&words)),
            }
        }
    }
}

fn seconds(text: &str) -> Result<(), NotDone> {
    match time::seconds(text) {
        Ok(seconds) => print(&seconds.to_string()),
        Err(error) => {
            misunderstood();
            print(&format!("ERROR: {error}")).and(Err(NotDone))
        }
    }
}

fn usage(tool: Tool) -> String {
    let command = match tool {
        Tool::Client => " COMMAND",
        Tool::Server => " [COMMAND]",
    };
    format!(
        "Usage: {} [OPTIONS]{command}

f2bd understands the commands of Fail2ban {SPOKEN_VERSION} and answers in its formats.

Options:
    -c, --conf DIR       the configuration: an f2bd.conf, its directory, or a tree of Fail2ban
    -s, --socket FILE    the socket
    -p, --pidfile FILE   where the server writes the number of its process
    -f                   start the server in the foreground
    -b                   start the server in the background (this is usual)
    -t, --test           look whether the configuration is sound
    -d, --dp             list the settings, --dp for people
    -i                   read commands from standard input
    --timeout TIME       how long to wait for a server that starts
    --str2sec TIME       tell a time in seconds
    -V, --version        tell the version, -V as programs want it
    -h, --help           tell this
    --logtarget TARGET   where the server that is started tells what happens: a file, SYSLOG,
                         SYSTEMD-JOURNAL, STDOUT, SYSOUT or STDERR
    --loglevel LEVEL     how much of it
    --syslogsocket FILE  where syslog listens, or auto
    -x -v -q --pname --async
                         taken, and of no effect

Commands:
    start, restart, reload [--unban] [--if-exists] [JAIL], stop [--all|JAIL]
    ping, version, echo TEXT, status [--all|JAIL] [basic|short|cymru|stats], stats, banned [IP...]
    unban --all, unban IP..., set JAIL banip IP..., set JAIL unbanip [--report-absent] IP...
    get loglevel, logtarget, syslogsocket, dbfile, dbpurgeage; flushlogs
    set loglevel LEVEL, set logtarget TARGET, set syslogsocket FILE, set dbpurgeage TIME
    set JAIL addignoreip IP..., delignoreip IP, ignoreself true|false, bantime TIME, findtime TIME,
        maxretry NUMBER: at once, and until the configuration is read again
    set JAIL, of a directory of Fail2ban's, addlogpath FILE, dellogpath FILE,
        addfailregex REGEX, delfailregex NUMBER,
        addignoreregex REGEX, delignoreregex NUMBER, addjournalmatch TERM..., deljournalmatch TERM...,
        usedns, prefregex, datepattern, maxlines, logencoding, logtimezone, ignorecommand,
        bantime.increment, .factor, .formula, .multipliers, .maxtime, .rndtime, .overalljails VALUE
    get JAIL banned [IP...], banip [SEPARATOR|--with-time], logpath, logencoding, journalmatch,
        ignoreself, ignoreip, ignorecommand, ignorecache, prefregex, failregex, ignoreregex,
        datepattern, logtimezone, maxlines, usedns, findtime, bantime, bantime.increment...,
        maxretry, maxmatches, actions, actionproperties ACTION, actionmethods ACTION

See f2bd(8).",
        tool.name()
    )
}
