//! What does a TOML text say, and where does it say it?
//!
//! In: a text. Out: tables whose keys and values know their place. Values have no meaning yet; drop-ins are laid
//! over what came before, key by key.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problems, Text};
use crate::action::secret::Opened;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Value {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `"text"`
    Text(String),
    /// `5`
    Integer(i64),
    /// `1.5`
    Decimal(f64),
    /// `true`
    Flag(bool),
    /// `[…]`
    List(Vec<Value>),
    /// `{…}` or a section
    Table(Table),
    /// What is for nobody else to read: no text of f2bd's own says it.
    Secret(Opened),
    /// A date or a number too large: nothing that a setting could be.
    Other(&'static str),
}

/// Keys with their values, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
}

/// One key of a table.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// Its value.
    pub value: Value,
}

impl Value {
    /// Whether both say the same, wherever it is written.
    pub fn is_same(&self, other: &Value) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Text(one), Kind::Text(other)) => one == other,
            (Kind::Integer(one), Kind::Integer(other)) => one == other,
            (Kind::Decimal(one), Kind::Decimal(other)) => one.total_cmp(other).is_eq(),
            (Kind::Flag(one), Kind::Flag(other)) => one == other,
            (Kind::Secret(one), Kind::Secret(other)) => one == other,
            (Kind::List(one), Kind::List(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| one.is_same(other))
            }
            (Kind::Table(one), Kind::Table(other)) => {
                one.entries.len() == other.entries.len()
                    && one.entries.iter().all(|entry| {
                        let own = other.get(&entry.key);
                        own.is_some_and(|own| own.is_same(&entry.value))
                    })
            }
            _ => false,
        }
    }

    /// What kind of value it is, for a message.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Text(_) => "a text",
            Kind::Integer(_) => "a number",
            Kind::Decimal(_) => "a number with a fraction",
            Kind::Flag(_) => "true or false",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
            Kind::Secret(_) => "a secret",
            Kind::Other(name) => name,
        }
    }
}

impl Table {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    /// All keys, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Every place at which something of it is written.
    pub fn places(&self) -> Vec<&Place> {
        fn add<'v>(value: &'v Value, places: &mut Vec<&'v Place>) {
            places.push(&value.place);
            match &value.kind {
                Kind::Table(table) => places.extend(table.places()),
                Kind::List(items) => items.iter().for_each(|item| add(item, places)),
                _ => {}
            }
        }
        let mut places = Vec::new();
        for entry in &self.entries {
            places.push(&entry.place);
            add(&entry.value, &mut places);
        }
        places
    }

    /// The tables in this one.
    pub fn tables_mut(&mut self) -> impl Iterator<Item = (&str, &mut Table)> {
        self.entries
            .iter_mut()
            .filter_map(|entry| match &mut entry.value.kind {
                Kind::Table(table) => Some((entry.key.as_str(), table)),
                _ => None,
            })
    }

    /// Gives `key` this value, whatever it had.
    pub fn set(&mut self, key: &str, value: Value) {
        self.entries.retain(|entry| entry.key != key);
        self.entries.push(Entry {
            key: key.to_owned(),
            place: value.place.clone(),
            value,
        });
    }

    /// Gives `key` this value where it stands.
    pub fn replace(&mut self, key: &str, value: Value) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) {
            entry.value = value;
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|entry| entry.key != key);
    }

    /// Lays `upper` over this table: tables are merged key by key down to `depth` levels, anything else is
    /// replaced.
    pub fn overlay(&mut self, upper: Table, depth: usize) {
        for entry in upper.entries {
            let Some(old) = self.entries.iter_mut().find(|old| old.key == entry.key) else {
                self.entries.push(entry);
                continue;
            };
            match (&mut old.value.kind, entry.value.kind) {
                (Kind::Table(lower), Kind::Table(upper)) if depth > 0 => {
                    lower.overlay(upper, depth - 1);
                }
                (_, kind) => {
                    old.place = entry.place;
                    old.value = Value {
                        place: entry.value.place,
                        kind,
                    };
                }
            }
        }
    }
}

/// So many mistakes of one text are placed and told: what is no TOML at all has one in each line, and for each place all
/// before it is looked through.
const MOST_TOLD: usize = 20;

/// Reads a text; what is no TOML is reported, and the rest is read all the same.
pub fn parse(text: &Arc<Text>, problems: &mut Problems) -> Table {
    let (table, errors) = DeTable::parse_recoverable(&text.content);
    let mut broken = Vec::new();
    let beyond = errors.len().saturating_sub(MOST_TOLD);
    for (number, error) in errors.into_iter().enumerate() {
        let offset = error.span().map_or(0, |span| span.start);
        broken.push(offset);
        if number >= MOST_TOLD {
            if number == MOST_TOLD {
                problems.error(
                    &Place::at(text, offset),
                    format!("places that are not TOML: {beyond} more"),
                    "mend the others first",
                );
            }
            continue;
        }
        let place = Place::at(text, offset);
        let message = error.message().trim().replace('\n', ", ");
        problems.error(
            &place,
            format!("this is not TOML: {message}"),
            "texts stand in quotes, lists in [ ], sections begin with [NAME]",
        );
    }
    broken.sort_unstable();
    owned_table(text, table.into_inner(), &broken)
}

/// The table without the values that begin with a mistake: the parser fills in texts for them, and complaints
/// about these would only confuse.
fn owned_table(text: &Arc<Text>, table: DeTable<'_>, broken: &[usize]) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .filter(|(_, value)| broken.binary_search(&value.span().start).is_err())
        .map(|(key, value)| Entry {
            place: Place::at(text, key.span().start),
            key: key.into_inner().into_owned(),
            value: owned(text, value, broken),
        })
        .collect();
    // The parser sorts keys by name; people expect the order in which they wrote them.
    entries.sort_by_key(|entry| entry.place.offset());
    Table { entries }
}

fn owned(text: &Arc<Text>, value: Spanned<DeValue<'_>>, broken: &[usize]) -> Value {
    let place = Place::at(text, value.span().start);
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Kind::Other("so large a number"), Kind::Integer),
        DeValue::Boolean(flag) => Kind::Flag(flag),
        DeValue::Array(values) => {
            let values = values.into_iter();
            Kind::List(values.map(|value| owned(text, value, broken)).collect())
        }
        DeValue::Table(table) => Kind::Table(owned_table(text, table, broken)),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or(Kind::Other("such a number"), Kind::Decimal),
        DeValue::Datetime(_) => Kind::Other("a date"),
    };
    Value { place, kind }
}

/// The longest file that is read: a hundred times what the largest shipped one has.
const LONGEST_FILE: u64 = 4 << 20;

/// Reads a file; bytes that are no text are reported at their place.
pub fn read(path: &Path, problems: &mut Problems) -> Option<Arc<Text>> {
    problems.reading(path);
    let mut bytes = Vec::new();
    let file = File::open(path).map(|file| file.take(LONGEST_FILE + 1));
    let bytes = match file.and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > LONGEST_FILE => {
            let message = format!("is larger than {} MiB", LONGEST_FILE >> 20);
            problems.unreadable(
                path,
                message,
                "name a file that is written by people, not a log",
            );
            return None;
        }
        Ok(_) => bytes,
        Err(error) => {
            let remedy = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "create it as f2bd.conf(5) says, or name another one with --config"
                }
                std::io::ErrorKind::PermissionDenied => {
                    "make it readable for the user that runs f2bd"
                }
                _ => "look at the file system",
            };
            problems.unreadable(path, format!("cannot be read: {error}"), remedy);
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(content) => Some(Arc::new(Text {
            path: path.to_owned(),
            content,
        })),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let content = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let text = Arc::new(Text {
                path: path.to_owned(),
                content,
            });
            problems.error(
                &Place::at(&text, offset),
                "this is not UTF-8",
                "save the file in UTF-8",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(content: &str) -> (Table, usize) {
        let mut problems = Problems::default();
        let text = Arc::new(Text {
            path: "x".into(),
            content: content.to_owned(),
        });
        let table = parse(&text, &mut problems);
        (table, problems.count())
    }

    #[test]
    fn a_log_has_few_problems() {
        let (_, problems) = table(&"Feb 12 14:10:21 www sshd[1]: nothing\n".repeat(10_000));
        assert_eq!(problems, MOST_TOLD + 1);
    }

    #[test]
    fn drop_ins_are_laid_over_key_by_key() {
        let (mut lower, _) = table("[jail.a]\nx = 1\nl = [1]\n[jail.b]\n");
        let (upper, _) = table("[jail.c]\n[jail.a]\nl = [2, 3]\ny = 2\n");
        lower.overlay(upper, 2);
        let Some(Value {
            kind: Kind::Table(jails),
            ..
        }) = lower.get("jail")
        else {
            panic!("no jails");
        };
        let names: Vec<_> = jails
            .entries()
            .iter()
            .map(|entry| entry.key.as_str())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
        let Kind::Table(a) = &jails.entries()[0].value.kind else {
            panic!("no table");
        };
        let keys: Vec<_> = a.entries().iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["x", "l", "y"]);
        assert!(
            matches!(a.get("l"), Some(Value { kind: Kind::List(list), .. }) if list.len() == 2)
        );
    }

    #[test]
    fn mistakes_are_all_found_and_the_rest_is_read() {
        let (table, problems) = table("a = \nb = 1\nc = = 2\nd = \"x\"\n");
        assert!(problems >= 2, "{problems}");
        assert!(table.get("b").is_some() && table.get("d").is_some());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(content in "(?s).{0,200}") {
            table(&content);
        }

        #[test]
        fn no_toml_is_too_odd(words in proptest::collection::vec("(\\[jail\\.[a-z\"]?\\]|\\n|=|[a-z]|\"|'''|[0-9]{1,25}|\\{|\\}|,|#|\\.)", 0..40)) {
            table(&words.concat());
        }
    }
}
