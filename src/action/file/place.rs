//! Where in a data file is what is wrong with it?
//!
//! In: the text of a data file and a mistake that was found in what it says. Out: how many bytes from the beginning whoever
//! corrects it should look. What is wrong, and what to do about it, is known elsewhere.

use std::cmp::Reverse;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FileError;
use crate::action::nftables::ruleset::TemplateError;
use crate::action::parameter::{DeclarationError, ParameterError};
use crate::action::step::StepError;
use crate::action::vocabulary::VocabularyError;

/// One step down into a file.
#[derive(Clone, Copy)]
enum Down<'n> {
    /// What has this key.
    Key(&'n str),
    /// What has this number in a list, from 0.
    Number(usize),
}

use Down::{Key, Number};

/// Something that is written there.
struct Spot<'d> {
    /// Where its key stands, or where it stands itself if it has none.
    begin: usize,
    value: &'d Spanned<DeValue<'d>>,
}

/// Where the mistake is; nothing if it is nowhere in particular.
pub fn of(text: &str, error: &FileError) -> Option<usize> {
    let whole = match error {
        FileError::Form(error) => return error.span().map(|span| span.start),
        FileError::Useless { at, .. } => return Some(*at),
        _ => DeTable::parse(text).ok()?,
    };
    let whole = whole.get_ref();
    let at = |path: &[Down<'_>]| descend(whole, path).map(|spot| spot.begin);
    let said = |part: &str, error| of_text(text, &descend(whole, &[Key(part)])?, error);
    let found = match error {
        FileError::Form(_) | FileError::Useless { .. } => None,
        FileError::Template(error) => match error {
            TemplateError::Unknown {
                part, placeholder, ..
            } => {
                let spot = descend(whole, &[Key("ruleset"), Key(part)]);
                spot.map(|spot| placeholder_in(text, &spot, "", placeholder).unwrap_or(spot.begin))
            }
            TemplateError::Missing { part, .. } => at(&[Key("ruleset"), Key(part)]),
        },
        FileError::Declaration(error) => match error {
            DeclarationError::Name(name)
            | DeclarationError::Choices(name)
            | DeclarationError::Secrets(name) => at(&[Key("parameters"), Key(name)]),
            DeclarationError::Default(error) => of_default(whole, error),
        },
        FileError::Parameter(error) => of_default(whole, error),
        FileError::Step {
            part,
            number,
            error,
        } => {
            let step = descend(whole, &[Key(part), Number(*number)]);
            step.map(|step| of_step(text, &step, error))
        }
        FileError::Text { part, error } => said(part, error),
        FileError::Shape { key, .. } => at(&[Key(key)]),
    };
    found.or_else(|| at(&[Key("kind")]))
}

/// Where a sample begins, by its number from 0.
pub fn of_sample(text: &str, number: usize) -> Option<usize> {
    let whole = DeTable::parse(text).ok()?;
    let sample = descend(whole.get_ref(), &[Key("sample"), Number(number)])?;
    Some(sample.begin)
}

/// What lies at the end of a path, or as far as the path goes; nothing if it does not even begin.
fn descend<'d>(whole: &'d DeTable<'d>, path: &[Down<'_>]) -> Option<Spot<'d>> {
    let (Key(first), rest) = path.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    let mut spot = entry(whole, first)?;
    for down in rest {
        let next = match (spot.value.get_ref(), *down) {
            (DeValue::Table(table), Key(key)) => entry(table, key),
            (DeValue::Array(items), Number(number)) => items.get(number).map(|value| Spot {
                begin: value.span().start,
                value,
            }),
            _ => None,
        };
        match next {
            Some(next) => spot = next,
            None => break,
        }
    }
    Some(spot)
}

fn entry<'d>(table: &'d DeTable<'d>, wanted: &str) -> Option<Spot<'d>> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == wanted)?;
    Some(Spot {
        begin: key.span().start,
        value,
    })
}

fn of_default(whole: &DeTable<'_>, error: &ParameterError) -> Option<usize> {
    let name = match error {
        ParameterError::Unknown { name, .. }
        | ParameterError::Unset { name, .. }
        | ParameterError::Value { name, .. } => name.as_str(),
        ParameterError::Missing { name, .. } => name,
    };
    let spot = descend(whole, &[Key("parameters"), Key(name), Key("default")])?;
    Some(spot.begin)
}

fn of_step(text: &str, step: &Spot<'_>, error: &StepError) -> usize {
    let under = |path: &[Down<'_>]| match step.value.get_ref() {
        DeValue::Table(table) => descend(table, path).map(|spot| spot.begin),
        _ => None,
    };
    let found = match error {
        StepError::Kind | StepError::Bodies => None,
        StepError::Foreign(key) => under(&[Key(key)]),
        StepError::Program => under(&[Key("run")]),
        StepError::Header(name) => under(&[Key("headers"), Key(name)]),
        StepError::Part => under(&[Key("part")]),
        StepError::Lookup => under(&[Key("lookup")]),
        StepError::Text(error) => of_text(text, step, error),
        StepError::Json => under(&[Key("json")]),
    };
    found.unwrap_or(step.begin)
}

fn of_text(text: &str, spot: &Spot<'_>, error: &VocabularyError) -> Option<usize> {
    let found = match error {
        VocabularyError::Unknown {
            placeholder,
            text: said,
            ..
        }
        | VocabularyError::Misplaced {
            placeholder,
            text: said,
            ..
        } => placeholder_in(text, spot, said, placeholder),
        VocabularyError::Word(name) => key_in(spot.value, name),
    };
    Some(found.unwrap_or(spot.begin))
}

/// Where a placeholder stands in the text `said`, which stands somewhere in `spot`.
fn placeholder_in(text: &str, spot: &Spot<'_>, said: &str, placeholder: &str) -> Option<usize> {
    let placeholder = format!("<{placeholder}>");
    let mut texts = Vec::new();
    texts_in(spot.value, &mut texts);
    let holds = |text: &str| text.contains(said) && text.contains(&placeholder);
    let (span, _) = texts
        .into_iter()
        .filter(|(_, text)| holds(text))
        .min_by_key(|(span, text)| (Reverse(*text == said), span.start))?;
    let written = text.get(span.clone())?;
    // With escapes in it, it is written otherwise than it is said.
    let line = written.find(said).unwrap_or_default();
    let within = written.get(line..)?.find(&placeholder)?;
    Some(span.start + line + within)
}

/// All texts below a value, with their places.
fn texts_in<'d>(
    value: &'d Spanned<DeValue<'d>>,
    found: &mut Vec<(std::ops::Range<usize>, &'d str)>,
) {
    match value.get_ref() {
        DeValue::String(text) => found.push((value.span(), text)),
        DeValue::Array(items) => items.iter().for_each(|item| texts_in(item, found)),
        DeValue::Table(table) => table.values().for_each(|item| texts_in(item, found)),
        _ => {}
    }
}

/// Where a key stands below a value: the first of that name.
fn key_in(value: &Spanned<DeValue<'_>>, wanted: &str) -> Option<usize> {
    let DeValue::Table(table) = value.get_ref() else {
        return None;
    };
    let keys = table.iter().filter_map(|(key, value)| {
        let own = (key.get_ref() == wanted).then(|| key.span().start);
        own.or_else(|| key_in(value, wanted))
    });
    keys.min()
}
