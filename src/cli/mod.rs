//! What does the person at the terminal want?
//!
//! In: the command line. Out: text, an exit code. [`args`] is what can be written; each command has a file of its
//! own beside it, and [`fail2ban`] is for those who call f2bd by another daemon's names. Nothing is decided here: the engine decides, the daemon acts, and this room prints.

mod actions;
mod advice;
pub mod args;
mod ban_list;
mod blocks;
mod check;
mod deaf;
mod discover;
mod explain;
pub mod fail2ban;
mod failure;
mod filters;
mod found;
pub mod hosts;
mod import;
mod learn;
mod logs;
mod matching;
mod output;
mod progress;
mod query;
mod replay;
mod report;
mod summary;
mod unfiltered;
mod writing;

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use self::args::{CalledAs, Command, CommandLine, Common, Shell};
use self::failure::{Exit, Failure};
use self::output::{Clock, counted};
use crate::config;
use crate::control::protocol::{Reply, Request};
use crate::control::server::BindError;
use crate::daemon::{self, RunOptions, StartError};
use crate::engine::record::report::{Outcome, Report};
use crate::store::StoreError;

/// Runs the command line.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().map(PathBuf::from);
    if let Some(code) = program.and_then(|program| fail2ban::called(&program, words)) {
        return code;
    }
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // If even this cannot be printed, nobody reads it.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                // If even this cannot be printed, nobody reads it.
                let _ = writeln!(std::io::stderr(), "f2bd: {}", failure.message);
            }
            failure.exit.into()
        }
    }
}

fn run(line: CommandLine) -> Result<(), Failure> {
    match perform(line) {
        // `f2bd bans | head` has seen enough.
        Err(failure) if failure.is_broken_pipe() => Ok(()),
        result => result,
    }
}

fn perform(CommandLine { common, command }: CommandLine) -> Result<(), Failure> {
    let config = common.config.as_deref();
    let clock = Clock::of(&common)?;
    match command {
        Command::Run { dry_run } => run_daemon(common, dry_run),
        Command::Check { json } => check::run(config, json, &clock),
        Command::Match(args) => matching::run(&args, &clock, config),
        Command::Filters { names, json } => filters::run(&names, json, config),
        Command::Actions { names, json } => actions::run(&names, json, config),
        Command::Replay(args) => replay::run(&args, &clock, config),
        Command::Status {
            deaf: true, json, ..
        } => deaf::status(&socket(&common)?, json, &clock),
        Command::Status { jail, json, .. } => query::status(&socket(&common)?, jail, json, &clock),
        Command::Discover(args) => discover::run(&args, &clock, config),
        Command::Bans {
            jail,
            format: Some(format),
            ..
        } => ban_list::print(&socket(&common)?, jail, format, &clock),
        Command::Bans { jail, json, .. } => query::bans(&socket(&common)?, jail, json, &clock),
        Command::History {
            ip,
            jail,
            limit,
            json,
        } => query::history(
            &socket(&common)?,
            ip,
            jail,
            usize::from(limit),
            json,
            &clock,
        ),
        Command::Explain { ip, json } => explain::run(&socket(&common)?, ip, json, &clock),
        Command::Follow { json } => query::follow(&socket(&common)?, json, &clock),
        Command::Ban {
            jail,
            ip,
            bantime,
            force,
            reason,
        } => {
            let request = Request::Ban {
                jail: jail.clone(),
                subject: ip.clone(),
                bantime,
                force,
                from: connected_from(),
                reason,
            };
            act(&common, request, |_, _| {
                format!("{} is banned by jail {jail}", output::typed(&ip))
            })
        }
        Command::Unban {
            ip,
            jail,
            all: _,
            forget,
            reason,
        } => {
            let request = Request::Unban {
                subject: ip.clone(),
                jail: jail.clone(),
                forget,
                reason,
            };
            act(&common, request, |changed, resumed| {
                let lifted = counted(changed, "ban");
                let forgotten = if forget {
                    ", and earlier ones forgotten"
                } else {
                    ""
                };
                let others = match resumed {
                    0 => String::new(),
                    1 => "; 1 of another host in the network goes on".to_owned(),
                    more => format!("; {more} of other hosts in the network go on"),
                };
                format!("{lifted} lifted{forgotten}{others}")
            })?;
            match ip {
                Some(subject) => explain::outlook(&socket(&common)?, subject),
                None => Ok(()),
            }
        }
        Command::Allow { ip: None, json, .. } => query::allowed(&socket(&common)?, json, &clock),
        Command::Allow {
            ip: Some(subject),
            end: true,
            ..
        } => act(&common, Request::Disallow { subject }, |_, _| {
            format!("{} is no longer allowed", subject.plain())
        }),
        Command::Allow {
            ip: Some(subject),
            span,
            ..
        } => {
            let seconds = span.as_secs();
            act(&common, Request::Allow { subject, seconds }, |lifted, _| {
                let (subject, span) = (subject.plain(), output::whole(span));
                format!(
                    "{subject} is allowed for {span}; {} lifted",
                    counted(lifted, "ban")
                )
            })
        }
        Command::Report {
            service,
            ip,
            user,
            detail,
            success,
            to,
        } => {
            let report = Report {
                service: service.into(),
                ip,
                user: user.map(Cow::from),
                outcome: if success {
                    Outcome::Success
                } else {
                    Outcome::Failure
                },
                detail: detail.map(Cow::from),
            };
            report::run(&report, to.or_else(|| config::report_socket(config)))
        }
        Command::Reload { confirm } => reload(&common, confirm, &clock),
        Command::Confirm => act(&common, Request::Confirm, |_, _| {
            "the configuration is confirmed".to_owned()
        }),
        Command::Flush => act(&common, Request::Flush, |_, _| {
            "what waited is written, the firewall is being put in order".to_owned()
        }),
        Command::Import(args) => import::run(&args, &common, &clock),
        Command::Completions { shell, name } => completions(shell, name),
    }
}

/// Where the person at the terminal comes from, if by ssh.
fn connected_from() -> Option<IpAddr> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    let address = connection.split([' ', '%']).next()?;
    address.parse().ok()
}

/// The socket that is named, or configured, or usual.
fn socket(common: &Common) -> Result<PathBuf, Failure> {
    if let Some(named) = &common.socket {
        return Ok(named.clone());
    }
    let (socket, mistakes) = config::socket_as_told(common.config.as_deref())
        .map_err(|problems| Failure::of_problems(&problems))?;
    if !mistakes.is_empty() {
        // If even this cannot be printed, nobody reads it.
        let mut told = std::io::stderr().lock();
        for mistake in mistakes {
            let _ = writeln!(told, "f2bd: {}", mistake.told());
        }
        let socket = socket.display();
        let _ = writeln!(
            told,
            "f2bd: asking at {socket} all the same; --socket names another one"
        );
    }
    Ok(socket)
}

/// Has the daemon do something and says what came of it.
fn act(
    common: &Common,
    request: Request,
    tell: impl FnOnce(usize, usize) -> String,
) -> Result<(), Failure> {
    let Reply::Done { changed, resumed } = query::ask(&socket(common)?, request)? else {
        return Err(query::strange());
    };
    let mut out = output::stdout();
    writeln!(out, "{}", tell(changed, resumed))?;
    out.flush()?;
    Ok(())
}

/// Has the daemon read its configuration anew, and says what is left to do.
fn reload(common: &Common, confirm: Option<Duration>, clock: &Clock) -> Result<(), Failure> {
    let request = Request::Reload {
        confirm: confirm.map(|span| span.as_secs()),
    };
    let Reply::InForce { confirm_by } = query::ask(&socket(common)?, request)? else {
        return Err(query::strange());
    };
    let mut out = output::stdout();
    match confirm_by {
        None => writeln!(out, "the new configuration is in force")?,
        Some(time) => writeln!(
            out,
            "the new configuration is in force, on trial: see whether you can still log in, and confirm it\n\
             with `f2bd confirm` by {}, or the one before it comes back",
            clock.show(time)
        )?,
    }
    out.flush()?;
    Ok(())
}

fn run_daemon(common: Common, dry_run: bool) -> Result<(), Failure> {
    let options = RunOptions {
        config: common.config,
        socket: common.socket,
        fail2ban_socket: None,
        pid_file: None,
        logging: Default::default(),
        dry_run,
    };
    daemon::run(&options).map_err(|error| {
        let exit = match &error {
            StartError::Configuration => Exit::BadConfiguration,
            StartError::Action(_) => Exit::NotPermitted,
            StartError::Socket(BindError::Served(_) | BindError::Foreign(_)) => Exit::NotSo,
            StartError::Socket(BindError::System { error, .. })
                if error.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::NotPermitted
            }
            StartError::Socket(BindError::System { .. }) => Exit::Io,
            StartError::Database(StoreError::Newer { .. }) => Exit::BadConfiguration,
            StartError::Database(_) => Exit::Io,
            StartError::System(_) => Exit::Software,
        };
        // The daemon's log is the terminal, or the journal that reads it.
        log::error!("{error}");
        Failure::silent(exit)
    })
}

fn completions(shell: Shell, name: CalledAs) -> Result<(), Failure> {
    use clap_complete::aot::{Bash, Fish, Generator, Zsh, generate};

    fn print(shell: impl Generator, mut command: clap::Command) -> Vec<u8> {
        let (name, mut script) = (command.get_name().to_owned(), Vec::new());
        generate(shell, &mut command, name, &mut script);
        script
    }
    let command = match name {
        CalledAs::F2bd => CommandLine::command(),
        CalledAs::Fail2banClient => fail2ban::completion::client(),
        CalledAs::Fail2banServer => fail2ban::completion::server(),
        CalledAs::Fail2banRegex => fail2ban::completion::regex(),
    };
    let script = match shell {
        Shell::Bash => print(Bash, command),
        Shell::Zsh => print(Zsh, command),
        Shell::Fish => print(Fish, command),
    };
    let mut out = output::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}
