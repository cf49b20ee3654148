//! What can a shell complete behind the names of Fail2ban's tools?
//!
//! Out: their command lines as far as clap can say them, for its completions; nobody parses with those of the client and the
//! server.

use clap::{Arg, Command, CommandFactory};

use super::args::{self, Spelling};
use super::regex::args::RegexArgs;
use crate::control::fail2ban::command;

/// What the client does by itself.
const OWN: [&str; 3] = ["start", "restart", "help"];

/// `fail2ban-client`
pub fn client() -> Command {
    tool("fail2ban-client")
}

/// `fail2ban-server`
pub fn server() -> Command {
    tool("fail2ban-server")
}

/// `fail2ban-regex`
pub fn regex() -> Command {
    RegexArgs::command()
}

fn tool(name: &'static str) -> Command {
    let options = args::options().map(|(spelling, takes_value)| {
        let arg = match spelling {
            Spelling::Letter(letter) => Arg::new(letter).short(letter.chars().next()),
            Spelling::Name(name) => Arg::new(name).long(name),
        };
        arg.num_args(usize::from(takes_value))
    });
    let names = OWN.into_iter().chain(command::NAMES);
    let commands = names.map(|name| match name {
        "get" => Command::new(name).subcommands(command::settings().map(Command::new)),
        "set" => Command::new(name).subcommands(command::SETTABLE.map(Command::new)),
        name => Command::new(name),
    });
    Command::new(name)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(options)
        .subcommands(commands)
}
