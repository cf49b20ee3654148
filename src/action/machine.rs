//! What is this machine called, and what do its programs know?
//!
//! In: a question. Out: what one of them says, or a word for that it does not.

use std::time::Duration;

use super::exec::{self, Environment, Errand, ExecError};

/// How long a name may be looked up: a ban does not wait for the attacker's name server.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(3);

/// Our own name.
pub fn name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// Our own name with its domain, if it is known.
pub fn full_name() -> String {
    let said = say(&["hostname", "--fqdn"]);
    said.and_then(|said| said.split_whitespace().next().map(str::to_owned))
        .unwrap_or_else(name)
}

/// What a program says; nothing if it fails.
pub fn say(argv: &[&str]) -> Option<String> {
    match ask(argv, LOOKUP_DEADLINE) {
        Ok(said) => Some(said),
        Err(error) => {
            log::debug!("{error}");
            None
        }
    }
}

/// What a program says within a time.
///
/// # Errors
/// It fails, or is late.
pub fn ask(argv: &[&str], deadline: Duration) -> Result<String, ExecError> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let ended = exec::run(&Errand {
        argv: &argv,
        input: &[],
        deadline,
        accepts: &[0],
        environment: Environment::Bare,
    })?;
    Ok(String::from_utf8_lossy(&ended.output).into_owned())
}
