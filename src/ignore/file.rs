//! What does a file list?
//!
//! One address, network, range or host name a line; what follows a `#` is for people. Foreign bytes: a line that
//! cannot be understood is told and left out, and all others hold.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

use super::word::Word;
use crate::engine::policy::{IgnoreRule, SetName};

/// A longer file is none that somebody writes. It is read again and again, so its length matters.
const LONGEST_FILE: u64 = 1 << 20;

/// How many networks a file may come to; each failure is held against them.
const MOST_NETWORKS: usize = 50_000;

/// So many mistakes of a file are told one by one.
const MOST_TOLD: usize = 10;

/// A file and what it listed last.
#[derive(Debug, Default)]
pub struct ListFile {
    /// What it said when it was understood last.
    understood: Option<Vec<u8>>,
    /// What it said since then, which may be half of what somebody is writing just now.
    seen: Option<Vec<u8>>,
    /// Why it could not be read last, which is told once.
    trouble: Option<String>,
    list: List,
}

/// What a text lists.
#[derive(Debug, Default)]
struct List {
    rules: Vec<IgnoreRule>,
    /// Names, each with its line.
    hosts: Vec<(Box<str>, usize)>,
    mistakes: Vec<String>,
}

/// What came of hearing what a file says.
#[derive(Debug, Default)]
pub struct Heard {
    /// Whether it lists something else now.
    pub is_new: bool,
    /// What is wrong, if that is new.
    pub mistakes: Vec<String>,
}

impl ListFile {
    /// Takes note of what the file says. A change counts when it is seen twice, so that nobody is missed for a moment
    /// while the file is being written; one that cannot be read keeps what it listed.
    pub fn hear(&mut self, path: &str, text: io::Result<Vec<u8>>) -> Heard {
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                let kept = match self.understood {
                    Some(_) => "what it listed before stays",
                    None => "it lists nobody",
                };
                let trouble = format!("{path} cannot be read: {error}; {kept}");
                let is_told = self.trouble.replace(trouble.clone()) == Some(trouble.clone());
                return Heard {
                    is_new: false,
                    mistakes: Vec::from_iter((!is_told).then_some(trouble)),
                };
            }
        };
        self.trouble = None;
        if self.understood.as_ref() == Some(&text) {
            self.seen = None;
            return Heard::default();
        }
        if self.understood.is_some() && self.seen.as_ref() != Some(&text) {
            self.seen = Some(text);
            return Heard::default();
        }
        self.list = List::parse(path, &text);
        self.understood = Some(text);
        self.seen = None;
        let mut mistakes = std::mem::take(&mut self.list.mistakes);
        if mistakes.len() > MOST_TOLD {
            let more = mistakes.len() - MOST_TOLD;
            mistakes.truncate(MOST_TOLD);
            mistakes.push(format!("{path}: {more} more lines are left out"));
        }
        Heard {
            is_new: true,
            mistakes,
        }
    }

    /// The networks that it lists.
    pub fn rules(&self) -> impl Iterator<Item = &IgnoreRule> {
        self.list.rules.iter()
    }

    /// The host names that it lists, each with its line.
    pub fn hosts(&self) -> impl Iterator<Item = (&Box<str>, usize)> {
        self.list.hosts.iter().map(|(name, line)| (name, *line))
    }
}

/// What these files say now.
pub fn read_all(paths: Vec<Box<str>>) -> Vec<(Box<str>, io::Result<Vec<u8>>)> {
    let read = |path: Box<str>| {
        let text = read(&path);
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

fn read(path: &str) -> io::Result<Vec<u8>> {
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    // A pipe of that name must not hold us up.
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(nonblock).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut text = Vec::new();
    file.take(LONGEST_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_FILE {
        let message = format!("it has more than {LONGEST_FILE} bytes");
        return Err(io::Error::other(message));
    }
    Ok(text)
}

impl List {
    fn parse(path: &str, text: &[u8]) -> List {
        let mut list = List::default();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let number = at + 1;
            let line = String::from_utf8_lossy(line);
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let mistake = match Word::parse(line) {
                Ok(Word::Networks(networks)) => {
                    if list.rules.len() + networks.len() > MOST_NETWORKS {
                        list.mistakes.push(format!(
                            "{path}, line {number}: this and what follows is left out, since it comes to more than {MOST_NETWORKS} networks"
                        ));
                        break;
                    }
                    let because: Box<str> =
                        format!("ignoreip {path}, line {number}: {line}").into();
                    list.rules
                        .extend(networks.into_iter().map(|prefix| IgnoreRule {
                            prefix,
                            because: because.clone(),
                        }));
                    continue;
                }
                Ok(Word::Set(SetName::Host(name))) => {
                    list.hosts.push((name, number));
                    continue;
                }
                Ok(Word::Set(_)) => {
                    format!("`{line}` can be written in `ignoreip` only")
                }
                // Lines of a file that was meant to be another could be any text.
                Err(_) => format!(
                    "`{}` is neither an address, a network, a range nor a host name",
                    line.escape_debug().take(60).collect::<String>()
                ),
            };
            list.mistakes
                .push(format!("{path}, line {number}: {mistake}"));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn look(file: &mut ListFile, path: &str) -> Vec<String> {
        file.hear(path, read(path)).mistakes
    }

    fn listed(file: &ListFile) -> Vec<String> {
        file.rules().map(|rule| rule.prefix.plain()).collect()
    }

    #[test]
    fn a_list_is_read_line_by_line_and_mistakes_leave_the_others() {
        let text = b"# office\n192.0.2.7  # printer\n\n10.0.0.0/8\r\nhome.example.org\n192.0.2.300\nown\n/etc/hosts\n192.0.2.8-192.0.2.9\n\xff";
        let list = List::parse("/l", text);
        let prefixes: Vec<_> = list.rules.iter().map(|rule| rule.prefix.plain()).collect();
        assert_eq!(prefixes, ["192.0.2.7", "10.0.0.0/8", "192.0.2.8/31"]);
        assert_eq!(list.hosts, [("home.example.org".into(), 5)]);
        assert_eq!(*list.rules[0].because, *"ignoreip /l, line 2: 192.0.2.7");
        let lines: Vec<_> = list
            .mistakes
            .iter()
            .map(|mistake| mistake.split(':').next())
            .collect();
        let expected = [6, 7, 8, 10].map(|line| format!("/l, line {line}"));
        assert_eq!(lines, expected.each_ref().map(|line| Some(line.as_str())));
    }

    #[test]
    fn a_change_counts_when_it_has_settled_and_a_lost_file_keeps_its_list() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("list");
        let name = path.display().to_string();
        let mut file = ListFile::default();
        assert_eq!(
            look(&mut file, &name).len(),
            1,
            "it is missing, which is told"
        );
        assert_eq!(look(&mut file, &name).len(), 0, "once");
        fs::write(&path, "192.0.2.1\n").expect("a file");
        assert_eq!(look(&mut file, &name).len(), 0);
        assert_eq!(
            listed(&file),
            ["192.0.2.1"],
            "the first text counts at once"
        );
        fs::write(&path, "192.0.2.2\nx y\n").expect("a file");
        look(&mut file, &name);
        assert_eq!(listed(&file), ["192.0.2.1"]);
        assert_eq!(look(&mut file, &name).len(), 1, "the second line");
        assert_eq!(listed(&file), ["192.0.2.2"]);
        fs::remove_file(&path).expect("a file");
        assert!(look(&mut file, &name)[0].contains("stays"));
        assert_eq!(listed(&file), ["192.0.2.2"]);
        fs::create_dir(&path).expect("a directory");
        assert_eq!(look(&mut file, &name).len(), 1, "it is something else");
        assert_eq!(listed(&file), ["192.0.2.2"]);
    }

    #[test]
    fn a_list_is_bounded() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("list");
        let name = path.display().to_string();
        let lines: String = (0..=MOST_NETWORKS)
            .map(|n| format!("10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255))
            .collect();
        fs::write(&path, &lines).expect("a file");
        let mut file = ListFile::default();
        assert!(look(&mut file, &name)[0].contains("line 50001"));
        assert_eq!(file.rules().count(), MOST_NETWORKS);
        fs::write(&path, lines.repeat(2)).expect("a file");
        assert!(look(&mut file, &name)[0].contains("more than 1048576 bytes"));
        let pipe = home.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        let told = look(&mut ListFile::default(), &pipe.display().to_string());
        assert!(told[0].contains("no plain file"), "{told:?}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let lines = text.split(|byte| *byte == b'\n').count();
            let list = List::parse("/l", &text);
            prop_assert!(list.mistakes.len() + list.hosts.len() <= lines);
        }
    }
}
