//! How well do the filters hear?
//!
//! In: the settings and what the database keeps. Out: a row for each filter in use.

use super::{View, refused, with_store};
use crate::control::health::HealthRow;
use crate::control::protocol::{Reply, Why};
use crate::engine::sighting::{health, lately};

pub(super) fn deaf(view: &View<'_>) -> Reply {
    match with_store(view, |store| store.sightings(lately(view.now))) {
        Ok(kept) => {
            let all = health(view.engine.policy(), &kept.sums, &kept.lines);
            let rows = all.into_iter().map(|one| HealthRow::of(one, view.now));
            Reply::Deaf {
                rows: rows.collect(),
            }
        }
        Err(message) => refused(Why::Unable, message),
    }
}
