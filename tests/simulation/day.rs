//! A day of an sshd: its log, and the truth about whoever came.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::people;

pub const MINUTE: u32 = 60;
pub const HOUR: u32 = 60 * MINUTE;
pub const DAY: u32 = 24 * HOUR;

/// When it is over.
pub const END: &str = "2026-02-13T00:00:00Z";

/// So long somebody types a password.
const TYPING: u32 = 5;

/// What its hosts came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    Hostile,
    Honest,
}

/// Hosts of one kind.
#[derive(Debug)]
pub struct Class {
    pub name: &'static str,
    pub intent: Intent,
    pub hosts: BTreeMap<IpAddr, Host>,
}

/// What one host did.
#[derive(Debug, Default)]
pub struct Host {
    /// So many passwords it gave, right or wrong.
    pub tries: usize,
    /// So many of them were wrong.
    pub wrong: usize,
}

impl Class {
    pub fn new(name: &'static str, intent: Intent) -> Self {
        let hosts = BTreeMap::new();
        Class {
            name,
            intent,
            hosts,
        }
    }
}

/// One connection to the sshd.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The second of the day at which the first password is given.
    pub second: u32,
    pub address: IpAddr,
    pub account: &'a str,
    /// So many wrong passwords,
    pub wrong: u32,
    /// and perhaps a right one behind them.
    pub is_let_in: bool,
}

/// A line of the log.
#[derive(Debug)]
pub struct Line {
    second: u32,
    pub text: String,
    /// Whose it is.
    pub address: IpAddr,
    /// Whether it tells what became of a password.
    pub is_password: bool,
}

/// A day of an sshd.
#[derive(Debug, Default)]
pub struct Day {
    lines: Vec<Line>,
    connections: u32,
    pub classes: Vec<Class>,
}

impl Day {
    /// A host of `class` connects.
    pub fn connect(&mut self, class: &mut Class, connection: Connection<'_>) {
        let Connection {
            second,
            address,
            account,
            wrong,
            is_let_in,
        } = connection;
        let (pid, port) = (1_000 + self.connections, 30_000 + self.connections % 30_000);
        self.connections += 1;
        let host = class.hosts.entry(address).or_default();
        let mut process = Process {
            second,
            pid,
            address,
            log: &mut self.lines,
        };

        let is_known = people::have_account(account);
        let (invalid, kind, user) = match is_known {
            true => ("", "authenticating", format!("  user={account}")),
            false => ("invalid user ", "invalid", String::new()),
        };
        let failure = format!("logname= uid=0 euid=0 tty=ssh ruser= rhost={address}{user}");
        if !is_known {
            process.says(&format!(
                "Invalid user {account} from {address} port {port}"
            ));
        }
        for number in 0..wrong {
            if number == 0 {
                process.says(&format!(
                    "pam_unix(sshd:auth): authentication failure; {failure}"
                ));
            }
            host.tries += 1;
            host.wrong += 1;
            process.judges(&format!(
                "Failed password for {invalid}{account} from {address} port {port} ssh2"
            ));
            process.second += TYPING;
        }
        if is_let_in {
            host.tries += 1;
            process.judges(&format!(
                "Accepted password for {account} from {address} port {port} ssh2"
            ));
            process.says(&format!(
                "pam_unix(sshd:session): session opened for user {account}(uid=1000) by (uid=0)"
            ));
        } else {
            process.says(&format!(
                "Connection closed by {kind} user {account} {address} port {port} [preauth]"
            ));
            if wrong > 1 {
                let more = wrong - 1;
                let plural = if more == 1 { "" } else { "s" };
                process.says(&format!(
                    "PAM {more} more authentication failure{plural}; {failure}"
                ));
            }
        }
    }

    /// Its log, in the order of time.
    pub fn log(&self) -> Vec<&Line> {
        let mut log: Vec<_> = self.lines.iter().collect();
        log.sort_by_key(|line| line.second);
        log
    }
}

/// What one process of sshd writes.
struct Process<'d> {
    second: u32,
    pid: u32,
    address: IpAddr,
    log: &'d mut Vec<Line>,
}

impl Process<'_> {
    fn says(&mut self, message: &str) {
        self.write(message, false);
    }

    fn judges(&mut self, message: &str) {
        self.write(message, true);
    }

    fn write(&mut self, message: &str, is_password: bool) {
        assert!(self.second < DAY, "{message}");
        let (hour, minute) = (self.second / HOUR, self.second / MINUTE % 60);
        let (second, pid) = (self.second % MINUTE, self.pid);
        self.log.push(Line {
            second: self.second,
            text: format!("Feb 12 {hour:02}:{minute:02}:{second:02} box sshd[{pid}]: {message}"),
            address: self.address,
            is_password,
        });
    }
}
