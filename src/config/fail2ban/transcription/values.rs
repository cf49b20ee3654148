//! How is a value put as if it had been written into f2bd.conf?

use crate::config::document::{Kind, Table, Value};
use crate::config::problem::Place;

fn value(kind: Kind, place: &Place) -> Value {
    Value {
        place: place.clone(),
        kind,
    }
}

/// A text.
pub fn text(text: &str, place: &Place) -> Value {
    value(Kind::Text(text.to_owned()), place)
}

/// A list of texts.
pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>, place: &Place) -> Value {
    let items = texts.into_iter().map(|item| text(item, place)).collect();
    value(Kind::List(items), place)
}

/// A list.
pub fn list(items: Vec<Value>, place: &Place) -> Value {
    value(Kind::List(items), place)
}

/// A whole number.
pub fn number(number: i64, place: &Place) -> Value {
    value(Kind::Integer(number), place)
}

/// A list of numbers.
pub fn decimals(numbers: &[f64], place: &Place) -> Value {
    let items = numbers.iter();
    let items = items.map(|number| value(Kind::Decimal(*number), place));
    value(Kind::List(items.collect()), place)
}

/// A number with a fraction.
pub fn decimal(number: f64, place: &Place) -> Value {
    value(Kind::Decimal(number), place)
}

/// True or false.
pub fn flag(flag: bool, place: &Place) -> Value {
    value(Kind::Flag(flag), place)
}

/// A table, or a section.
pub fn table(table: Table, place: &Place) -> Value {
    value(Kind::Table(table), place)
}
