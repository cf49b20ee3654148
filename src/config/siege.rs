//! What does `siege = { … }` say?
//!
//! In: the table of a jail over that of `[defaults]`. Out: a [`SiegeRule`]. What cannot be used is reported.

use std::num::NonZeroU32;
use std::time::Duration;

use super::keys::{self, MOST_RETRIES};
use super::problem::Problems;
use super::section::Section;
use crate::engine::jail::siege::{Rate, SiegeRule, Unit};
use crate::engine::policy::MaxRetry;

/// The word for a jail that is never under siege, where `[defaults]` say otherwise.
const NEVER: &str = "never";

/// When a jail is under siege; `None` if nothing is said, or that it never is.
pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<SiegeRule> {
    section.value("siege")?;
    let table = section.inner("siege", keys::SIEGE, problems);
    let maxretry = table.number("maxretry", 1, i64::from(MOST_RETRIES), problems);
    let maxretry = maxretry.and_then(|number| u32::try_from(number).ok());
    let calm = table.span("calm", problems);
    let rate = match table.text("rate", problems) {
        Some(NEVER) => return None,
        Some(_) => table.parsed("rate", problems),
        None => None,
    };
    Some(SiegeRule {
        rate: rate.unwrap_or(Rate {
            failures: NonZeroU32::new(50)?,
            per: Unit::Second,
        }),
        maxretry: MaxRetry(NonZeroU32::new(maxretry.unwrap_or(1))?),
        calm: calm.unwrap_or(Duration::from_secs(60)),
    })
}
