//! What do `port` and `protocol` say, of a jail or of one of its actions?
//!
//! In: a section. Out: what a banned host cannot reach. What cannot be used is reported.

use super::document::Kind;
use super::problem::Problems;
use super::section::Section;
use crate::action::ports::{PortError, Ports, Protocol, Services};

/// The ports, if they are said.
pub fn ports(section: &Section<'_>, services: &Services, problems: &mut Problems) -> Option<Ports> {
    let value = section.value("port")?;
    let before = problems.count();
    let words = section.words("port", problems)?;
    for (word, place) in &words {
        // Each by itself, so that every wrong one is told at its place.
        if let Err(error) = Ports::parse(&[word], services) {
            let message = match error {
                PortError::Unknown(word) => format!("`port`: there is no port `{word}`"),
                error => format!("`port`: {error}"),
            };
            section.complain("port", place, message, problems);
        }
    }
    let words: Vec<_> = words.into_iter().map(|(word, _)| word).collect();
    let ports = Ports::parse(&words, services).ok();
    if ports.is_none() && problems.count() == before {
        section.complain("port", &value.place, "`port` is empty".to_owned(), problems);
    }
    ports
}

/// The protocols; none if they are not said.
pub fn protocols(section: &Section<'_>, problems: &mut Problems) -> Vec<Protocol> {
    let Some(list) = section.parsed_list::<Protocol>("protocol", problems) else {
        return Vec::new();
    };
    if let (Some(value), true) = (section.value("protocol"), list.is_empty()) {
        let message = "`protocol` is empty".to_owned();
        // What could not be read has been reported already.
        if matches!(&value.kind, Kind::List(items) if items.is_empty()) {
            section.complain("protocol", &value.place, message, problems);
        }
    }
    list.into_iter().map(|(protocol, _)| protocol).collect()
}
