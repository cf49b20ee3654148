//! What does `subject` say?
//!
//! In: a jail over `[defaults]`, and its filter. Out: by which capture it knows whom it bans, or that it is by
//! addresses. What goes with addresses alone is reported where a jail asks for it, and left out where `[defaults]` do.

use super::problem::{Place, Problems};
use super::section::Section;
use crate::engine::filter::{Capture, FilterSpec};
use crate::engine::name::FilterName;
use crate::engine::policy::Counting;

/// The word for addresses.
pub const IP: &str = "ip";

/// What only addresses can be counted by.
const OF_ADDRESSES: [&str; 3] = ["network", "distributed", "prefix"];

/// By which capture a jail knows whom it bans; `None` if it is by his address.
pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Capture> {
    let word = section.text("subject", problems)?;
    let capture = Capture::ALL
        .into_iter()
        .find(|capture| capture.word() == word);
    if let (None, Some(value)) = (capture, section.value("subject").filter(|_| word != IP)) {
        let message = format!("`subject` cannot be `{word}`");
        section.complain("subject", &value.place, message, problems);
    }
    capture
}

/// Whether failures for different users can be counted: not of somebody who is one.
pub fn counting(
    section: &Section<'_>,
    named_by: Option<Capture>,
    counting: Counting,
    problems: &mut Problems,
) -> Counting {
    if named_by != Some(Capture::User) || counting != Counting::Users {
        return counting;
    }
    if let Some(value) = section
        .value("distinct")
        .filter(|_| section.says("distinct"))
    {
        let message = "`distinct`: a user is no more than one user";
        problems.error(
            &value.place,
            message,
            "remove it, or write subject = \"ip\"",
        );
    }
    Counting::Failures
}

/// Reports what goes with addresses alone.
pub fn check_keys(section: &Section<'_>, capture: Capture, problems: &mut Problems) {
    for key in OF_ADDRESSES {
        if let Some(value) = section.value(key).filter(|_| section.says(key)) {
            let message = format!(
                "`{key}` is about addresses, and subject = \"{}\" bans none",
                capture.word()
            );
            let remedy = "remove it, or write subject = \"ip\"";
            problems.error(&value.place, message, remedy);
        }
    }
}

/// Reports a filter that finds nobody who could be banned.
pub fn check_filter(
    section: &Section<'_>,
    capture: Capture,
    spec: &FilterSpec,
    problems: &mut Problems,
) {
    // A jail of bans counts those of jails that ban the like.
    if spec.captures(capture) || spec.records.bans {
        return;
    }
    if let Some(value) = section.value("subject") {
        let word = capture.word();
        let message = format!("`subject`: no pattern of the filter has <{word}>");
        let remedy = format!("choose a filter whose patterns have <{word}>, or remove `subject`");
        problems.error(&value.place, message, &remedy);
    }
}

/// Reports a filter that knows no addresses, to a jail that bans by these.
pub fn check_addresses(
    section: &Section<'_>,
    filter: &FilterName,
    place: &Place,
    spec: &FilterSpec,
    problems: &mut Problems,
) {
    // What another program's filter takes for whoever is banned may be an address.
    let may_be = spec.lines.is_some() && spec.captures(Capture::Target);
    if spec.names_addresses() || may_be || spec.failures.is_empty() {
        return;
    }
    let place = section.value("filter").map_or(place, |value| &value.place);
    let message = format!("no pattern of the filter `{filter}` has <ip> or <host>");
    let remedy = "write subject = \"user\", \"target\" or \"session\", or choose another filter";
    problems.error(place, message, remedy);
}
