//! Does `trusted` go with the filter?
//!
//! In: a jail over `[defaults]`, and its filter. Out: what would go uncounted, or blame the wrong one, is reported.
//! Whom `trusted` names is read in [`ignore`](super::ignore).

use super::document::Kind;
use super::problem::Problems;
use super::section::Section;
use crate::engine::filter::FilterSpec;

/// Warns of proxies that say for whom they speak in vain, and of a filter that asks what nobody is believed.
pub fn check(section: &Section<'_>, spec: &FilterSpec, problems: &mut Problems) {
    if section.says("trusted")
        && let Some(value) = section.value("trusted")
        && !matches!(&value.kind, Kind::List(none) if none.is_empty())
        && !spec.names_forwarded()
    {
        problems.warning(
            &value.place,
            "`trusted`: the filter takes nothing of what proxies say, so that nothing of their clients counts",
            "choose a filter whose patterns have <forwarded>, or name them in `ignoreip`",
        );
    }
    if section.value("trusted").is_none()
        && spec.names_forwarded()
        && let Some(value) = section.value("filter")
    {
        problems.warning(
            &value.place,
            "the filter takes what proxies say, and none is believed: they are banned for their clients",
            "name them, such as trusted = [\"10.0.0.0/24\"]",
        );
    }
}
