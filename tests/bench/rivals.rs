//! Whom is f2bd measured against, and how is each of them asked to look through a log?
//!
//! Only what is installed is run; nothing is installed here: packages of rivals start daemons that touch the firewall.

use std::path::{Path, PathBuf};

use f2bd::config;

/// What all of them look for, in logs of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// f2bd's filter, fail2ban's too.
    pub filter: &'static str,
    /// Its log, in a word.
    pub log: &'static str,
    /// Whether that is the access log of a web server, or one of the system.
    pub is_web: bool,
    /// What stands before the message in a line, as a regular expression.
    pub prefix: &'static str,
    /// How fail2ban-rs reads the dates.
    pub dates: &'static str,
    /// What fail2ban-rs looks for, as its `gen-config` writes it.
    pub patterns: &'static [&'static str],
}

/// sshd in a log of the system.
pub const SSHD: Service = Service {
    filter: "sshd",
    log: "auth",
    is_web: false,
    prefix: r" sshd(?:-session|-auth)?\[[0-9]+\]: ",
    dates: "syslog",
    patterns: &[
        r"sshd\[\d+\]: Failed password for .* from <HOST> port \d+",
        r"sshd\[\d+\]: Invalid user .* from <HOST> port \d+",
        r"sshd\[\d+\]: Connection closed by authenticating user .* <HOST> port \d+",
        r"sshd\[\d+\]: Disconnected from authenticating user .* <HOST> port \d+",
    ],
};

/// Searches for what is not there, in the access log of a web server.
pub const BOTSEARCH: Service = Service {
    filter: "nginx-botsearch",
    log: "nginx",
    is_web: true,
    prefix: "^",
    dates: "common",
    patterns: &[r#"<HOST> .* "(GET|POST) /(wp-login|xmlrpc|wp-admin|\.env|phpmyadmin|admin)"#],
};

/// Somebody to be measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// Fail2ban's own tool for trying filters.
    Fail2banRegex,
    /// sshguard's parser of lines.
    Sshguard,
    /// fail2ban-rs, which analyses a log without banning.
    Fail2banRs,
    /// ripgrep, which counts the lines that any of f2bd's patterns takes, and does nothing else.
    Ripgrep,
    /// The same without the addresses: of each pattern the side that tells, which is faster and may find more.
    RipgrepSides,
}

impl Rival {
    /// All of them.
    pub const ALL: [Rival; 5] = [
        Rival::Fail2banRegex,
        Rival::Sshguard,
        Rival::Fail2banRs,
        Rival::Ripgrep,
        Rival::RipgrepSides,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Rival::Fail2banRegex => "fail2ban-regex",
            Rival::Sshguard => "sshguard's parser",
            Rival::Fail2banRs => "fail2ban-rs dry-run",
            Rival::Ripgrep => "ripgrep -c, whole patterns",
            Rival::RipgrepSides => "ripgrep -c, without addresses",
        }
    }

    /// How it is installed by somebody who wants it.
    pub fn remedy(self) -> &'static str {
        match self {
            Rival::Fail2banRegex => "apt-get install fail2ban",
            Rival::Sshguard => "apt-get install sshguard",
            Rival::Fail2banRs => "cargo install fail2ban-rs",
            Rival::Ripgrep | Rival::RipgrepSides => "apt-get install ripgrep",
        }
    }

    /// Whether it is so slow that it sees the beginning of a log only.
    pub fn is_slow(self) -> bool {
        self == Rival::Fail2banRegex
    }

    /// Where it is on this machine.
    pub fn program(self) -> Option<PathBuf> {
        let (name, elsewhere): (_, &[&str]) = match self {
            Rival::Fail2banRegex => ("fail2ban-regex", &[]),
            // Only sshguard itself runs it, so it is in no PATH.
            Rival::Sshguard => (
                "sshg-parser",
                &[
                    "/usr/libexec/sshguard",
                    "/usr/lib/sshguard",
                    "/usr/libexec",
                    "/usr/local/libexec",
                ],
            ),
            Rival::Fail2banRs => ("fail2ban-rs", &[]),
            Rival::Ripgrep | Rival::RipgrepSides => ("rg", &[]),
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let cargo = std::env::home_dir().map(|home| home.join(".cargo/bin"));
        std::env::split_paths(&path)
            .chain(elsewhere.iter().map(PathBuf::from))
            .chain(cargo)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    }

    /// How it is told to look for `service` in `log`; what it must find for that is written into `home`.
    pub fn command(
        self,
        program: &Path,
        service: &Service,
        log: &Path,
        home: &Path,
    ) -> Vec<String> {
        let (program, log) = (program.display().to_string(), log.display().to_string());
        match self {
            Rival::Fail2banRegex => vec![program, log, service.filter.to_owned()],
            Rival::Sshguard => vec![program],
            Rival::Fail2banRs => {
                let path = home.join("fail2ban-rs.toml");
                let jail = format!(
                    "[global]\n\n[jail.{}]\nlog_path = {log:?}\ndate_format = {:?}\nfilter = {:#?}\n",
                    service.filter, service.dates, service.patterns
                );
                std::fs::write(&path, jail).unwrap();
                let config = path.display().to_string();
                let words = [
                    "dry-run",
                    "--config",
                    &config,
                    "--jail",
                    service.filter,
                    &log,
                ];
                [&[program.as_str()], &words[..]]
                    .concat()
                    .iter()
                    .map(|word| (*word).to_owned())
                    .collect()
            }
            Rival::Ripgrep | Rival::RipgrepSides => {
                let words = ["--no-config", "--no-unicode", "--count", "--regexp"];
                let mut command = vec![program];
                command.extend(words.map(str::to_owned));
                command.extend([alternation(service, self == Rival::Ripgrep), log]);
                command
            }
        }
    }

    /// Whether the log is its standard input.
    pub fn reads_input(self) -> bool {
        self == Rival::Sshguard
    }

    /// How many lines it took for failures, by what it says.
    pub fn counted(self, output: &str) -> u64 {
        let number = |before: &str| {
            let (_, rest) = output.split_once(before).unwrap_or_default();
            let digits = rest.trim_start();
            let end = digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len());
            digits[..end].parse().unwrap_or(0)
        };
        match self {
            Rival::Fail2banRegex => number(" ignored, "),
            Rival::Sshguard => output.lines().count() as u64,
            Rival::Fail2banRs => number("Matches:"),
            Rival::Ripgrep | Rival::RipgrepSides => output.trim().parse().unwrap_or(0),
        }
    }
}

/// f2bd's own patterns, as one regular expression over lines; or the sides of their addresses.
fn alternation(service: &Service, whole: bool) -> String {
    let spec = config::filter(service.filter, None, None);
    let patterns = spec.unwrap().failures;
    let placeholders = [
        ("<ip>", "[0-9A-Fa-f:.]+"),
        ("<user>", ".*"),
        ("<text>", ".*"),
        ("<word>", "[^ ]+"),
        ("<port>", "[0-9]{1,5}"),
    ];
    // In an access log all that tells stands behind the address, in a log of the system before it.
    let (prefix, behind) = match (whole, service.is_web) {
        (true, _) => (service.prefix, None),
        (false, is_web) => (if is_web { "" } else { service.prefix }, Some(is_web)),
    };
    let expression = |text: &str| {
        let text = text.strip_prefix('^').unwrap();
        // To go on to the end of a line that is found already helps nobody.
        let text = text.strip_suffix("<text>").unwrap_or(text);
        let sides = text.split_once("<ip>").unwrap();
        let text = match behind {
            None => text,
            Some(true) => sides.1,
            Some(false) => sides.0,
        };
        placeholders
            .iter()
            .fold(text.to_owned(), |text, (name, stands_for)| {
                text.replace(name, stands_for)
            })
    };
    let expressions: Vec<_> = patterns
        .iter()
        .map(|pattern| expression(&pattern.text))
        .collect();
    format!("{prefix}(?:{})", expressions.join("|"))
}
