//! What stands on the command line of `fail2ban-client` and `fail2ban-server`?
//!
//! In: words. Out: options and a command. Options end at the first word that is none, and long ones may be cut short, as
//! in Fail2ban; so clap, which does neither, is not asked.

use std::path::PathBuf;

/// What the options say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-c`: the configuration.
    pub conf: Option<PathBuf>,
    /// `-s`: the socket.
    pub socket: Option<PathBuf>,
    /// `-p`: the file with the number of the process.
    pub pid_file: Option<PathBuf>,
    /// `-f`: do not leave the terminal.
    pub foreground: bool,
    /// `-t`: only look whether the configuration is sound.
    pub test: bool,
    /// `-d` or `--dp`
    pub dump: Option<Dump>,
    /// `-i`
    pub interactive: bool,
    /// `--logtarget`, `--syslogsocket` and `--loglevel`
    pub logging: Logging,
    /// `--timeout`, as it was written.
    pub timeout: Option<String>,
    /// What is only told.
    pub told: Option<Told>,
    /// The command.
    pub command: Vec<String>,
}

/// What is said of the log, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// `--logtarget`
    pub target: Option<String>,
    /// `--syslogsocket`
    pub socket: Option<String>,
    /// `--loglevel`
    pub level: Option<String>,
}

impl Logging {
    /// What is said, by the keys of fail2ban.conf.
    pub fn said(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = [
            ("logtarget", &self.target),
            ("syslogsocket", &self.socket),
            ("loglevel", &self.level),
        ];
        let said = all.into_iter();
        said.filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}

/// How settings are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// One a line.
    Plain,
    /// So that people can read them.
    Pretty,
}

/// What is told without any daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// `-h`
    Help,
    /// `--version`
    Version,
    /// `-V`
    ShortVersion,
    /// `--str2sec`
    Seconds(String),
}

/// There is no such option, or it lacks its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option {0} not understood")]
pub struct OptionError(String);

/// An option, by the letter and the name that mean the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Conf,
    Socket,
    PidFile,
    Foreground,
    Background,
    Test,
    Dump,
    DumpPretty,
    Interactive,
    Timeout,
    LogTarget,
    SyslogSocket,
    LogLevel,
    Seconds,
    Help,
    Version,
    ShortVersion,
    /// Of no meaning here.
    Nothing,
}

use Known::*;

/// The letters, and whether they take a value.
const LETTERS: &[(&str, Known, bool)] = &[
    ("h", Help, false),
    ("c", Conf, true),
    ("s", Socket, true),
    ("p", PidFile, true),
    ("x", Nothing, false),
    ("f", Foreground, false),
    ("b", Background, false),
    ("d", Dump, false),
    ("t", Test, false),
    ("v", Nothing, false),
    ("i", Interactive, false),
    ("q", Nothing, false),
    ("V", ShortVersion, false),
];

/// The names, and whether they take a value.
const NAMES: &[(&str, Known, bool)] = &[
    ("loglevel", LogLevel, true),
    ("logtarget", LogTarget, true),
    ("syslogsocket", SyslogSocket, true),
    ("test", Test, false),
    ("async", Nothing, false),
    ("conf", Conf, true),
    ("pidfile", PidFile, true),
    ("pname", Nothing, true),
    ("socket", Socket, true),
    ("timeout", Timeout, true),
    ("str2sec", Seconds, true),
    ("help", Help, false),
    ("version", Version, false),
    ("dp", DumpPretty, false),
    ("dump-pretty", DumpPretty, false),
];

/// Reads a command line without its first word.
///
/// # Errors
/// There is an option that nobody knows.
pub fn read(words: impl IntoIterator<Item = String>) -> Result<Options, OptionError> {
    let mut options = Options::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        } else if let Some(name) = word.strip_prefix("--") {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let (known, takes_value) = named(name)?;
            let value = match (takes_value, value) {
                (true, None) => Some(words.next().ok_or_else(|| unknown(&word))?),
                (false, Some(_)) => return Err(unknown(&word)),
                (_, value) => value,
            };
            options.note(known, value.unwrap_or_default());
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            for (at, letter) in letters.char_indices() {
                let known = LETTERS
                    .iter()
                    .find(|(known, _, _)| known.starts_with(letter));
                let (_, known, takes_value) = known.ok_or_else(|| unknown(&word))?;
                if !takes_value {
                    options.note(*known, String::new());
                    continue;
                }
                let value = match &letters[at + letter.len_utf8()..] {
                    "" => words.next().ok_or_else(|| unknown(&word))?,
                    rest => rest.to_owned(),
                };
                options.note(*known, value);
                break;
            }
        } else {
            options.command.push(word);
            break;
        }
    }
    options.command.extend(words);
    Ok(options)
}

/// All options, for a shell: letters and names, and whether they take a value.
pub fn options() -> impl Iterator<Item = (Spelling, bool)> {
    let letters = LETTERS.iter();
    let letters = letters.map(|(letter, _, takes_value)| (Spelling::Letter(letter), *takes_value));
    let names = NAMES.iter();
    let names = names.map(|(name, _, takes_value)| (Spelling::Name(name), *takes_value));
    letters.chain(names)
}

/// How an option is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `-t`
    Letter(&'static str),
    /// `--test`
    Name(&'static str),
}

fn unknown(word: &str) -> OptionError {
    OptionError(word.to_owned())
}

/// An option by its name, or by a beginning that no other one has.
fn named(name: &str) -> Result<(Known, bool), OptionError> {
    let exact = NAMES.iter().find(|(known, _, _)| *known == name);
    let mut beginning = NAMES.iter().filter(|(known, _, _)| known.starts_with(name));
    let found = match (exact, beginning.next(), beginning.next()) {
        (Some(exact), _, _) => exact,
        (None, Some(only), None) => only,
        _ => return Err(OptionError(format!("--{name}"))),
    };
    Ok((found.1, found.2))
}

impl Options {
    fn note(&mut self, known: Known, value: String) {
        match known {
            Conf => self.conf = Some(value.into()),
            Socket => self.socket = Some(value.into()),
            PidFile => self.pid_file = Some(value.into()),
            Foreground => self.foreground = true,
            Background => self.foreground = false,
            Test => self.test = true,
            Known::Dump => self.dump = Some(self::Dump::Plain),
            DumpPretty => self.dump = Some(self::Dump::Pretty),
            Interactive => self.interactive = true,
            Timeout => self.timeout = Some(value),
            LogTarget => self.logging.target = Some(value),
            SyslogSocket => self.logging.socket = Some(value),
            LogLevel => self.logging.level = Some(value),
            Seconds => self.tell(Told::Seconds(value)),
            Help => self.tell(Told::Help),
            Version => self.tell(Told::Version),
            ShortVersion => self.tell(Told::ShortVersion),
            Nothing => {}
        }
    }

    /// The first of them counts.
    fn tell(&mut self, told: Told) {
        self.told.get_or_insert(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(text: &str) -> Result<Options, OptionError> {
        read(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_end_at_the_command() {
        let options =
            read_words("-xf -c/etc/x --sock=/s --pidfile=/p --timeout 5 -vvq status --all -h");
        let options = options.expect("options");
        assert_eq!(options.conf, Some("/etc/x".into()));
        assert_eq!(options.socket, Some("/s".into()));
        assert!(options.foreground);
        assert_eq!(options.timeout.as_deref(), Some("5"));
        assert_eq!(options.told, None);
        assert_eq!(options.command, ["status", "--all", "-h"]);
        let options = read_words("-p/one").expect("options");
        assert_eq!(options.pid_file, Some("/one".into()));
        let options = read_words("--str2sec 1d12h -V").expect("options");
        assert_eq!(options.told, Some(Told::Seconds("1d12h".to_owned())));
        assert_eq!(
            read_words("--dp").expect("options").dump,
            Some(super::Dump::Pretty)
        );
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        for text in [
            "-z",
            "--nonsense",
            "-c",
            "--conf",
            "--test=1",
            "--p",
            "--log",
        ] {
            assert!(read_words(text).is_err(), "{text}");
        }
    }
}
