//! Which ways of writing a moment are known without being told?
//!
//! Out: all known [`Form`]s. The one that reads most of what stands at a place is taken, of several that read as
//! much the first; so of the two orders of day and month the first here is the one that is assumed.

use std::sync::LazyLock;

use super::format::{TimeFormat, TimeFormatError};

/// A format, and what is looked at before it is tried.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub format: TimeFormat,
    pub heads_syslog: bool,
    /// Whether it cannot be where no clock with a colon follows soon.
    pub has_clock: bool,
    /// Whether it begins with the numbers of a day and a month, which another form may read in the other order.
    pub is_of_numbers: bool,
    first: FirstBytes,
}

/// A set of ASCII bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FirstBytes(u128);

impl FirstBytes {
    pub fn contains(self, byte: u8) -> bool {
        byte.is_ascii() && self.0 >> byte & 1 == 1
    }

    /// The bytes that one of `forms` can begin with.
    pub fn of(forms: &[Form]) -> Self {
        FirstBytes(forms.iter().fold(0, |all, form| all | form.first.0))
    }
}

impl Form {
    /// A format that was told, of which nothing is known.
    pub fn told(format: TimeFormat) -> Self {
        let begins = format.first_bytes();
        let bytes = (0..128_u8).filter(|byte| begins(*byte));
        Form {
            first: FirstBytes(bytes.fold(0, |all, byte| all | 1 << byte)),
            heads_syslog: format.heads_syslog(),
            has_clock: false,
            is_of_numbers: format.begins_with_day_and_month(),
            format,
        }
    }

    fn known(format: TimeFormat) -> Self {
        Form {
            has_clock: format.has_clock(),
            ..Form::told(format)
        }
    }

    /// Whether a date of this form can begin with `byte`.
    pub fn begins_with(&self, byte: u8) -> bool {
        self.first.contains(byte)
    }
}

/// All forms that are found without being told.
pub(super) static KNOWN: LazyLock<Box<[Form]>> = LazyLock::new(|| {
    let known = |text: &String| TimeFormat::known(text).map(Form::known);
    let mut forms: Vec<Form> = texts()
        .iter()
        .map(known)
        .collect::<Result<_, _>>()
        .expect("the table holds formats only");
    let any_zone = || -> Result<Form, TimeFormatError> { Ok(Form::known(SHORT_FULL.parse()?)) };
    forms.push(any_zone().expect("journalctl's form is a format"));
    forms.into()
});

/// `journalctl -o short-full`, which names every zone.
const SHORT_FULL: &str = "%a %Y-%0m-%0d %0H:%M:%S%.f %Z";

/// No zone or one right behind; an offset apart; an abbreviation that is known.
const ZONES: [&str; 3] = ["%?z", " %z", " %Z"];

fn texts() -> Vec<String> {
    let clock = "%H:%M:%S%.f";
    let mut texts = Vec::new();
    for sep in ["-", "/", "."] {
        for (join, zone) in pairs(&["T", " "], &ZONES) {
            texts.push(format!("%Y{sep}%0m{sep}%0d{join}{clock}{zone}"));
        }
    }
    for day in ["", "%a "] {
        for (order, zone) in pairs(&["%b %d %Y", "%b %d, %Y", "%d %b %Y"], &ZONES) {
            texts.push(format!("{day}{order} {clock}{zone}"));
        }
        for zone in ["", " %z", " %Z"] {
            texts.push(format!("{day}%b %d {clock}{zone}"));
            texts.push(format!("{day}%b %d {clock}{zone} %Y"));
        }
        for (zone, year) in pairs(&["%Z", "%z"], &["", " %Y"]) {
            texts.push(format!("{zone} {day}%b %d {clock}{year}"));
        }
        texts.push(format!("{day}%b %d, %Y %I:%M:%S %p"));
    }
    for zone in ZONES {
        texts.push(format!("%a, %d %b %Y {clock}{zone}"));
        for (sep, join) in pairs(&["/", "-"], &[":", " ", ""]) {
            texts.push(format!("%d{sep}%b{sep}%Y{join}{clock}{zone}"));
        }
    }
    texts.push(format!("%d-%b-%Y {clock} %Q"));
    for (sep, year) in pairs(&["/", "-"], &["%Y", "%y"]) {
        for zone in ZONES {
            texts.push(format!("%d{sep}%m{sep}{year} {clock}{zone}"));
            texts.push(format!("%m{sep}%d{sep}{year} {clock}{zone}"));
            // cPanel.
            texts.push(format!("%m{sep}%d{sep}{year}:{clock}{zone}"));
            texts.push(format!("%d{sep}%m{sep}{year}:{clock}{zone}"));
        }
        texts.push(format!("%m{sep}%d{sep}{year} %I:%M:%S %p"));
        texts.push(format!("%d{sep}%m{sep}{year} %I:%M:%S %p"));
    }
    texts.push(format!("%d.%m.%Y {clock}"));
    texts.push(format!("<%m/%d/%y@{clock}>"));
    // MySQL, whose hours have a blank for the 0.
    texts.push(format!("%y%0m%0d {clock}"));
    // ASSP.
    texts.push(format!("%b-%d-%y {clock}"));
    for (join, time) in pairs(&["T", " "], &["%0H%M%S%.f", "%0H:%M:%S%.f"]) {
        texts.push(format!("%Y%0m%0d{join}{time}%?z"));
    }
    texts.extend(
        [
            "^%s%.f",
            "[%s%.f]",
            "audit(%s%.f:",
            "^TAI64N",
            // A clock alone is too little, unless it is set apart.
            "^%0H:%M:%S%.f ",
            "^%0H:%M:%S%.f]",
        ]
        .map(str::to_owned),
    );
    texts
}

fn pairs<'t>(first: &[&'t str], second: &[&'t str]) -> Vec<(&'t str, &'t str)> {
    let with = |a: &&'t str| {
        let a = *a;
        second.iter().map(move |b| (a, *b)).collect::<Vec<_>>()
    };
    first.iter().flat_map(with).collect()
}
