//! What does one file of Fail2ban say?
//!
//! In: a text. Out: its sections with their keys and values, each with its place, exactly as Python's reader of such files
//! understands them, or every mistake in it. Nothing is replaced in the values, and no other file is looked at.

use std::collections::HashSet;
use std::sync::Arc;

use super::options::{Options, Written, is_space, strip};
use crate::config::problem::{Place, Text};

/// The section whose values hold in all others.
pub const DEFAULT: &str = "DEFAULT";

/// What a file says.
#[derive(Debug, Default)]
pub struct IniFile {
    /// `[DEFAULT]`
    pub defaults: Options,
    /// All other sections in their order.
    pub sections: Vec<IniSection>,
}

/// One section of a file.
#[derive(Debug)]
pub struct IniSection {
    /// What stands in its brackets.
    pub name: String,
    /// Where they stand.
    pub place: Place,
    /// What it says.
    pub options: Options,
}

/// A line that cannot be understood.
#[derive(Debug)]
pub struct IniError {
    /// Where it is.
    pub place: Place,
    /// What is wrong with it.
    pub mistake: Mistake,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// A section is there for the second time.
    #[error("section [{0}] is in this file twice")]
    SectionTwice(String),
    /// So is a key.
    #[error("`{key}` is said twice in [{section}] of this file")]
    KeyTwice {
        /// The key.
        key: String,
        /// Its section.
        section: String,
    },
    /// The file does not begin with a section.
    #[error("this stands before the first [section]")]
    NoSection,
    /// The line has no key.
    #[error("this is neither `key = value` nor a [section]")]
    NoOption,
    /// Nor has this one, which may have been meant as a part of the value above it.
    #[error(
        "this is neither `key = value` nor a [section], and without a blank before it no further line of `{0}` above it"
    )]
    NotIndented(String),
    /// A section begins whose bracket is not closed.
    #[error("this section has no `]`")]
    Unclosed,
    /// An editor has put an invisible mark before the first line, which is therefore not what it seems.
    #[error(
        "an invisible byte order mark stands before this line: to Fail2ban, too, it is neither a [section] nor a comment"
    )]
    ByteOrderMark,
}

impl Mistake {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Mistake::SectionTwice(_) => "write all of it into one section",
            Mistake::KeyTwice { .. } => "remove one of them",
            Mistake::NoSection => "write a section such as [DEFAULT] above it",
            Mistake::NoOption => "write `key = value`, or begin a comment with #",
            Mistake::NotIndented(_) => {
                "write blanks before it if it belongs there, write `key = value`, or begin a comment with #"
            }
            Mistake::Unclosed => "write `]` behind its name",
            Mistake::ByteOrderMark => {
                "save the file as UTF-8 without BOM, or remove the mark: sed -i '1s/^\\xef\\xbb\\xbf//' FILE"
            }
        }
    }
}

/// What some editors begin a file with.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// So many mistakes of one file are told: what is no such file at all has one in each line.
const MOST_TOLD: usize = 20;

/// Reads a file.
///
/// # Errors
/// Lines that make it unusable.
pub fn parse(text: &Arc<Text>) -> Result<IniFile, Vec<IniError>> {
    let mut reader = Reader::default();
    for (offset, line) in lines(&text.content) {
        if let Err(mistake) = reader.take(text, offset, line) {
            let place = Place::at(text, offset + indent_bytes(line));
            // Of these, each of the other lines would be the same mistake, or another one for this one's sake.
            let ends = reader.section.is_none();
            if reader.mistakes.len() < MOST_TOLD {
                reader.mistakes.push(IniError { place, mistake });
            }
            if ends {
                break;
            }
        }
    }
    match reader.mistakes.is_empty() {
        true => Ok(reader.file.joined()),
        false => Err(reader.mistakes),
    }
}

/// The lines with their offsets; as in Python, any of the three line ends is one.
fn lines(content: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = content.get(at..).filter(|rest| !rest.is_empty())?;
        let begin = at;
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        at += length;
        let end = &content[at..];
        at += match end.starts_with("\r\n") {
            true => 2,
            false => usize::from(!end.is_empty()),
        };
        Some((begin, &content[begin..begin + length]))
    })
}

/// How many bytes of white space a line begins with.
fn indent_bytes(line: &str) -> usize {
    line.len() - line.trim_start_matches(is_space).len()
}

/// Where the reader is.
#[derive(Default)]
struct Reader {
    file: IniFile,
    mistakes: Vec<IniError>,
    /// What was said, since nothing may be said twice.
    said: HashSet<(String, String)>,
    named: HashSet<String>,
    section: Option<At>,
    /// The key whose value the next line may belong to.
    key: Option<String>,
    /// How far in that key stands, in characters.
    indent: usize,
}

/// A section that is being read.
enum At {
    Defaults,
    Section(usize),
}

impl Reader {
    fn take(&mut self, text: &Arc<Text>, offset: usize, line: &str) -> Result<(), Mistake> {
        let is_comment = strip(line).starts_with(['#', ';']);
        let comment = if is_comment { Some(0) } else { comment(line) };
        let value = strip(&line[..comment.unwrap_or(line.len())]);
        if value.is_empty() {
            if comment.is_none() {
                self.go_on("");
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|c| is_space(*c)).count();
        if indent > self.indent && self.go_on(value) {
            return Ok(());
        }
        self.indent = indent;
        let place = Place::at(text, offset + indent_bytes(line));
        if let Some(name) = section_name(value) {
            return self.begin(name, place);
        }
        let Some(section) = &self.section else {
            return Err(match value.chars().next() {
                Some(BYTE_ORDER_MARK) if offset == 0 => Mistake::ByteOrderMark,
                Some('[') if !value.contains(']') => Mistake::Unclosed,
                _ => Mistake::NoSection,
            });
        };
        let (key, said) = match (value.split_once(['=', ':']), &self.key) {
            (Some(both), _) => both,
            (None, _) if value.starts_with('[') && !value.contains(']') => {
                return Err(Mistake::Unclosed);
            }
            (None, Some(above)) => return Err(Mistake::NotIndented(above.clone())),
            (None, None) => return Err(Mistake::NoOption),
        };
        let key = strip(key).to_lowercase();
        if key.is_empty() {
            self.key = None;
            return Err(Mistake::NoOption);
        }
        let (name, options) = match section {
            At::Defaults => (DEFAULT, &mut self.file.defaults),
            At::Section(at) => {
                let section = &mut self.file.sections[*at];
                (section.name.as_str(), &mut section.options)
            }
        };
        if !self.said.insert((name.to_owned(), key.clone())) {
            return Err(Mistake::KeyTwice {
                key,
                section: name.to_owned(),
            });
        }
        options.set(key.as_str(), Written::new(strip(said), &place));
        self.key = Some(key);
        Ok(())
    }

    /// Adds a line to the value above it, if there is one.
    fn go_on(&mut self, line: &str) -> bool {
        let options = match &self.section {
            None => return false,
            Some(At::Defaults) => &mut self.file.defaults,
            Some(At::Section(at)) => &mut self.file.sections[*at].options,
        };
        let value = self.key.as_ref().and_then(|key| options.get_mut(key));
        value
            .map(|value| {
                value.text.push('\n');
                value.text.push_str(line);
            })
            .is_some()
    }

    fn begin(&mut self, name: &str, place: Place) -> Result<(), Mistake> {
        self.key = None;
        if name == DEFAULT {
            self.section = Some(At::Defaults);
            return Ok(());
        }
        if !self.named.insert(name.to_owned()) {
            return Err(Mistake::SectionTwice(name.to_owned()));
        }
        self.section = Some(At::Section(self.file.sections.len()));
        self.file.sections.push(IniSection {
            name: name.to_owned(),
            place,
            options: Options::default(),
        });
        Ok(())
    }
}

impl IniFile {
    /// With values that end where their last word does.
    fn joined(mut self) -> Self {
        let sections = self.sections.iter_mut().map(|section| &mut section.options);
        for options in sections.chain([&mut self.defaults]) {
            for value in options.values_mut() {
                let length = value.text.trim_end_matches(is_space).len();
                value.text.truncate(length);
            }
        }
        self
    }
}

/// Where a comment behind a value begins: only a semicolon begins one, and only behind white space.
fn comment(line: &str) -> Option<usize> {
    let mut before = None;
    for (at, c) in line.char_indices() {
        if c == ';' && before.is_none_or(is_space) {
            return Some(at);
        }
        before = Some(c);
    }
    None
}

/// What stands between the first bracket and the last one; what follows that is not looked at.
fn section_name(value: &str) -> Option<&str> {
    let (name, _) = value.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests;
