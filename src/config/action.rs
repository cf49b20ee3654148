//! What does `[action.NAME]` say?
//!
//! In: the section, if there is one, and the data file it names. Out: an [`ActionSpec`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::daemon::named;
use super::document::{Kind, Table, Value};
use super::files::{self, Data, SearchPath};
use super::keys;
use super::problem::{Place, Problems, Text};
use super::section::{Section, unknown};
use super::surroundings::Surroundings;
use crate::action::file::ActionFile;
use crate::action::parameter::{Given, ParameterError};
use crate::action::secret::SecretError;
use crate::action::{self, ActionError, ActionKind, ActionSpec};
use crate::engine::filter::Capture;
use crate::engine::name::{ActionName, JailName};

/// Where a jail uses an action.
#[derive(Debug)]
pub struct ActionUse {
    /// The action.
    pub action: ActionName,
    /// Where it is named, or else the jail.
    pub place: Place,
    /// The jail.
    pub jail: JailName,
    /// What the action calls it.
    pub label: JailName,
    /// Whom it bans, if these are no addresses.
    pub by_names: Option<Capture>,
    /// Whether it is to do something about bans that do not work.
    pub is_wider: bool,
}

/// An action that can be used, whoever uses it.
#[derive(Debug)]
pub struct ListedAction {
    /// Its name.
    pub name: String,
    /// What its file says.
    pub file: ActionFile,
    /// The file.
    pub path: PathBuf,
}

/// The names of all actions there are.
pub fn names(config: Option<&Path>) -> Vec<String> {
    let search = SearchPath::beside(&files::main_file(config));
    search.names(Data::Action).into_iter().collect()
}

/// Reads one action file, by name; `None` if it has a mistake, which is noted in `problems`.
pub fn read_file(
    name: &str,
    config: Option<&Path>,
    problems: &mut Problems,
) -> Option<ListedAction> {
    let search = SearchPath::beside(&files::main_file(config));
    let text = search.find(Data::Action, name, problems)?;
    Some(ListedAction {
        name: name.to_owned(),
        file: parsed(&text, problems)?,
        path: text.path.clone(),
    })
}

/// What a file says, if it says it without a mistake.
fn parsed(text: &Arc<Text>, problems: &mut Problems) -> Option<ActionFile> {
    match ActionFile::parse(&text.content) {
        Ok(file) => Some(file),
        Err(error) => {
            let place = place_in_file(text, error.place(&text.content));
            problems.error(&place, error.to_string().trim(), error.remedy());
            None
        }
    }
}

/// Reads every action that is configured or used by a jail, beside those that are `given`. An action that cannot be used is
/// reported and left out.
pub fn read_all(
    table: Option<&Table>,
    given: Vec<(ActionSpec, Place)>,
    used: &[ActionUse],
    search: &SearchPath,
    surroundings: Surroundings,
    problems: &mut Problems,
) -> Vec<ActionSpec> {
    let mut specs = given;
    let mut known: Vec<_> = specs.iter().map(|(spec, _)| spec.name.clone()).collect();
    let entries = table.map(Table::entries).unwrap_or_default();
    // Those without a section first: of two that are in each other's way, the one with a section is to be changed.
    for ActionUse {
        action: name,
        place,
        ..
    } in used
    {
        let has_section = entries.iter().any(|entry| entry.key == name.as_str());
        if !has_section && !known.contains(name) {
            known.push(name.clone());
            if let Some(spec) = read(name, None, place, search, problems) {
                specs.push((spec, place.clone()));
            }
        }
    }
    for entry in entries {
        let section =
            named::<ActionName>("action", &entry.key, &entry.place, &entry.value, problems);
        if let Some((name, table)) = section
            && let Some(spec) = read(&name, Some(table), &entry.place, search, problems)
        {
            specs.push((spec, entry.place.clone()));
        }
    }
    specs.retain(|(spec, _)| used.iter().any(|one| one.action == spec.name));
    for one in used {
        let spec = specs.iter().find(|(spec, _)| spec.name == one.action);
        if let Some((spec, _)) = spec.filter(|(spec, _)| !spec.takes_names()) {
            check_names(&spec.name, one, problems);
        }
    }
    refuse_shared_labels(&specs, used, problems);
    warn_of_jails_that_only_tell(&specs, used, problems);
    refuse_wider_that_only_tell(&specs, used, problems);
    refuse_shared_places(&specs, problems);
    warn_of_open_lists(&specs, problems);
    if surroundings == Surroundings::Require {
        look_around(&specs, problems);
    }
    specs.into_iter().map(|(spec, _)| spec).collect()
}

/// Two jails by one name would take away from each other what they have put there.
fn refuse_shared_labels(
    specs: &[(ActionSpec, Place)],
    used: &[ActionUse],
    problems: &mut Problems,
) {
    for (at, one) in used.iter().enumerate() {
        let is_other = |other: &&ActionUse| {
            other.action == one.action && other.label == one.label && other.jail != one.jail
        };
        let spec = specs.iter().find(|(spec, _)| spec.name == one.action);
        let tells = spec.is_none_or(|(spec, _)| spec.teller().is_some());
        if let Some(other) = used[..at].iter().find(is_other).filter(|_| !tells) {
            let message = format!(
                "the action `{}` would call the jails `{}` and `{}` both `{}`",
                one.action, other.jail, one.jail, one.label
            );
            problems.error(&one.place, message, "write another `label`");
        }
    }
}

/// Who adds a mail to a jail may think that its usual actions stay.
fn warn_of_jails_that_only_tell(
    specs: &[(ActionSpec, Place)],
    used: &[ActionUse],
    problems: &mut Problems,
) {
    let tells = |one: &ActionUse| {
        let spec = specs.iter().find(|(spec, _)| spec.name == one.action);
        spec.is_some_and(|(spec, _)| spec.teller().is_some())
    };
    let mut jails: BTreeMap<&JailName, (&ActionUse, bool)> = BTreeMap::new();
    for one in used.iter().filter(|one| one.by_names.is_none()) {
        let entry = jails.entry(&one.jail).or_insert((one, true));
        entry.1 &= tells(one);
    }
    for (jail, (first, _)) in jails.into_iter().filter(|(_, (_, only))| *only) {
        let message = format!("jail `{jail}` only tells of its bans: nobody is kept out");
        let remedy = "add an action that keeps out to `actions`, such as \"nftables\"";
        problems.warning(&first.place, message, remedy);
    }
}

/// A ban that does not work is told as a notice; who only tells can do nothing more about it.
fn refuse_wider_that_only_tell(
    specs: &[(ActionSpec, Place)],
    used: &[ActionUse],
    problems: &mut Problems,
) {
    // Of those that a jail names twice, the wider ones come last.
    let mut wider = BTreeMap::new();
    for one in used.iter().filter(|one| one.is_wider) {
        wider.insert((&one.jail, &one.action), &one.place);
    }
    for ((jail, action), place) in wider {
        let spec = specs.iter().find(|(spec, _)| spec.name == *action);
        if spec.is_some_and(|(spec, _)| spec.teller().is_some()) {
            let message = format!(
                "the action `{action}` only tells, so it can do nothing about bans of jail `{jail}` that do not work"
            );
            let remedy = format!(
                "name one that keeps out; with on = [\"notice\"], `{action}` tells of them"
            );
            problems.error(place, message, remedy);
        }
    }
}

/// Warns of what is not there and may come yet: programs, and secrets.
fn look_around(specs: &[(ActionSpec, Place)], problems: &mut Problems) {
    for (spec, place) in specs {
        if let Err(error @ ActionError::NoProgram { .. }) = action::check(spec) {
            let remedy = format!(
                "until it is there, `{}` does not do what it should",
                spec.name
            );
            problems.warning(place, error.to_string(), remedy);
        }
        for secret in spec.secrets() {
            match secret.open() {
                // Credentials are there for the service alone.
                Ok(_) | Err(SecretError::NoCredentials { .. }) => {}
                Err(error) => {
                    let message = format!("the action `{}`: {error}", spec.name);
                    let remedy = "write the secret there, for the user that runs f2bd alone";
                    problems.warning(place, message, remedy);
                }
            }
        }
    }
}

/// Reports an action that could do nothing about whom a jail bans.
fn check_names(action: &ActionName, used: &ActionUse, problems: &mut Problems) {
    if let Some(capture) = used.by_names {
        let (jail, word) = (&used.jail, capture.word());
        let message = format!(
            "the action `{action}` can only ban addresses, and jail `{jail}` bans by subject = \"{word}\""
        );
        let remedy =
            "write actions = [], or an action whose file says names = true: see f2bd-action(5)";
        problems.error(&used.place, message, remedy);
    }
}

fn read(
    name: &ActionName,
    table: Option<&Table>,
    place: &Place,
    search: &SearchPath,
    problems: &mut Problems,
) -> Option<ActionSpec> {
    let file_name = match table.and_then(|table| table.get("use")) {
        Some(_) => Section::new(table, keys::ACTION).text("use", problems)?,
        None => name.as_str(),
    };
    let before = problems.count();
    let Some(text) = search.find(Data::Action, file_name, problems) else {
        if problems.count() == before {
            let known = search.names(Data::Action);
            unknown(
                "action",
                file_name,
                "",
                known.iter().map(String::as_str),
                place,
                problems,
            );
        }
        return None;
    };
    let file = parsed(&text, problems)?;
    for (number, sample) in file.samples.iter().enumerate() {
        if let Err(error) = sample.check(&file) {
            let message = error.to_string();
            problems.error(
                &place_in_file(&text, file.place_of_sample(number)),
                message.trim(),
                "correct the sample, or what it is a sample of",
            );
        }
    }
    let before = problems.count();
    let mut given = parameters(table, problems);
    let entries = table.map(Table::entries).unwrap_or_default();
    let mut told = Vec::new();
    // One mistake after the other is taken out, so that all are told.
    loop {
        let error = match file.spec(name.clone(), &given) {
            Ok(spec) => return (problems.count() == before).then_some(spec),
            Err(error) => error,
        };
        let own = |key: &str| entries.iter().find(|entry| entry.key == key);
        let key = match &error {
            ParameterError::Unknown { name: key, known } => {
                let context = format!("in [action.{name}]");
                let known = known.iter().map(String::as_str).chain(["use"]);
                let place = own(key).map_or(place, |entry| &entry.place);
                unknown("key", key, &context, known, place, problems);
                key
            }
            ParameterError::Value {
                name: key,
                value,
                wanted,
            } => {
                let place = own(key).map_or(place, |entry| &entry.value.place);
                let message = format!("`{key}` cannot be `{value}`");
                problems.error(place, message, format!("write {wanted}"));
                key
            }
            // It is set, though wrongly.
            ParameterError::Unset { name: key, .. } if told.contains(key) => return None,
            ParameterError::Missing { .. } | ParameterError::Unset { .. } => {
                problems.error(place, error.to_string(), "see f2bd-action(5)");
                return None;
            }
        };
        // If the section does not say it, the file does, and there is no more to find.
        given.remove(key)?;
        told.push(key.clone());
    }
}

fn place_in_file(text: &Arc<Text>, offset: Option<usize>) -> Place {
    offset.map_or_else(|| Place::whole(text), |offset| Place::at(text, offset))
}

/// Everything that is set beside `use`. Parameters are texts; a number or a flag may stand without quotes.
fn parameters(table: Option<&Table>, problems: &mut Problems) -> BTreeMap<String, Given> {
    let mut given = BTreeMap::new();
    for entry in table.map(Table::entries).unwrap_or_default() {
        if keys::ACTION.iter().any(|key| key.name == entry.key) {
            continue;
        }
        let value = match &entry.value.kind {
            Kind::List(items) => items
                .iter()
                .map(text)
                .collect::<Option<_>>()
                .map(Given::Many),
            Kind::Secret(secret) => Some(Given::Secret(secret.clone())),
            _ => text(&entry.value).map(Given::One),
        };
        match value {
            Some(value) => {
                given.insert(entry.key.clone(), value);
            }
            None => {
                let message = format!("`{}` cannot be {}", entry.key, entry.value.kind_name());
                problems.error(&entry.value.place, message, "write a text");
            }
        }
    }
    given
}

fn text(value: &Value) -> Option<String> {
    match &value.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Integer(number) => Some(number.to_string()),
        Kind::Flag(flag) => Some(flag.to_string()),
        Kind::List(_) | Kind::Table(_) | Kind::Decimal(_) | Kind::Secret(_) | Kind::Other(_) => {
            None
        }
    }
}

/// Two actions in one place would take away from each other what they have put there.
fn refuse_shared_places(specs: &[(ActionSpec, Place)], problems: &mut Problems) {
    for (at, (spec, place)) in specs.iter().enumerate() {
        let others = specs[..at]
            .iter()
            .filter(|(other, _)| spec.shares_place_with(other));
        for (other, _) in others {
            let what = spec.place.as_deref().unwrap_or_default();
            let message = format!(
                "the actions `{}` and `{}` use the same {what}",
                other.name, spec.name
            );
            let remedy = format!("set something else in [action.{}]", spec.name);
            problems.error(place, message, remedy);
        }
    }
}

/// A ban list tells who attacks a machine, and what it thinks of whom.
fn warn_of_open_lists(specs: &[(ActionSpec, Place)], problems: &mut Problems) {
    for (spec, place) in specs {
        if let ActionKind::Serve(serve) = &spec.kind
            && let Some(socket) = serve.open_to_others()
        {
            problems.warning(
                place,
                format!(
                    "everybody who reaches {socket} can read the bans of `{}`",
                    spec.name
                ),
                format!(
                    "listen on 127.0.0.1, or set `keys` and `open_lists = false` in [action.{}]",
                    spec.name
                ),
            );
        }
    }
}
