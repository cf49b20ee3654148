//! How are jails doing, as Fail2ban tells it?
//!
//! In: rows of the daemon. Out: titles with what is theirs, in Fail2ban's words and order.

use std::collections::BTreeSet;

use super::bans::who;
use super::{Answers, Failed, strange};
use crate::control::fail2ban::command::Flavor;
use crate::control::fail2ban::files;
use crate::control::fail2ban::value::Value;
use crate::control::protocol::{BanRow, JailRow, JailSettingsRow, Status};

impl<E> Answers<'_, E> {
    pub(super) fn status_of(
        &mut self,
        row: &JailRow,
        settings: &JailSettingsRow,
        flavor: Flavor,
    ) -> Result<Value, Failed<E>> {
        if flavor == Flavor::Statistics {
            return Ok(counted(row, settings));
        }
        let mut filter = vec![
            Value::titled("Currently failed", Value::count(row.watched)),
            Value::titled("Total failed", Value::count(row.failures)),
        ];
        filter.push(match reads_journal(settings) {
            true => Value::titled("Journal matches", Value::texts([&*settings.journalmatch])),
            false => Value::titled("File list", Value::texts(files::there(&settings.logpath))),
        });
        let mut actions = vec![
            Value::titled("Currently banned", Value::count(row.banned)),
            Value::titled("Total banned", Value::count(total(row))),
        ];
        if matches!(flavor, Flavor::Basic | Flavor::Whereabouts) {
            let bans = self.bans_by_end(&row.jail)?;
            let list = Value::texts(bans.iter().map(who));
            actions[0] = Value::titled("Currently banned", Value::count(bans.len()));
            actions.push(Value::titled("Banned IP list", list));
            if flavor == Flavor::Whereabouts {
                actions.extend(self.whereabouts(&bans));
            }
        }
        Ok(Value::List(vec![
            Value::titled("Filter", Value::List(filter)),
            Value::titled("Actions", Value::List(actions)),
        ]))
    }

    /// Where the banned are, as far as f2bd's own databases tell. Fail2ban asks a stranger, and writes this word where it
    /// cannot.
    fn whereabouts(&mut self, bans: &[BanRow]) -> Vec<Value> {
        let known = |values: BTreeSet<String>| match values.is_empty() {
            true => Value::texts(["error"]),
            false => Value::texts(values),
        };
        let operators = bans.iter().filter_map(|ban| ban.operator.as_ref());
        let operators = operators.map(|operator| operator.asn.to_string()).collect();
        let countries = bans.iter().filter_map(|ban| ban.country.clone()).collect();
        let lists = [
            ("Banned ASN list", known(operators)),
            ("Banned Country list", known(countries)),
            ("Banned RIR list", known(BTreeSet::new())),
        ];
        (self.complain)(
            "f2bd asks no stranger whose addresses it bans: networks and countries are told by the databases that `operator` and `country` in its configuration name, registries by none"
                .to_owned(),
        );
        let lists = lists.into_iter();
        lists
            .map(|(title, list)| Value::titled(title, list))
            .collect()
    }

    pub(super) fn status_of_all(&mut self, flavor: Flavor) -> Result<Value, Failed<E>> {
        let status = self.status(None)?;
        let mut entries = Vec::new();
        for (row, settings) in self.rows(&status)? {
            let value = self.status_of(row, &settings, flavor)?;
            entries.push((row.jail.to_string(), value));
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let Value::List(mut all) = summary(&status) else {
            return Err(strange());
        };
        all.push(Value::Map(entries));
        Ok(Value::List(all))
    }

    pub(super) fn statistics(&mut self) -> Result<Value, Failed<E>> {
        let status = self.status(None)?;
        let rows = self.rows(&status)?;
        let rows = rows.iter();
        let entries = rows.map(|(row, settings)| (row.jail.to_string(), counted(row, settings)));
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Value::Map(entries))
    }

    /// All jails with what is configured of them.
    fn rows<'s>(
        &mut self,
        status: &'s Status,
    ) -> Result<Vec<(&'s JailRow, JailSettingsRow)>, Failed<E>> {
        let settings = self.settings(None)?.jails;
        let jails = status.jails.iter();
        // A reload may have come in between.
        let both = jails.filter_map(|row| {
            let mut all = settings.iter();
            let own = all.find(|settings| settings.jail == row.jail)?;
            Some((row, own.clone()))
        });
        Ok(both.collect())
    }
}

/// All bans of a jail. Fail2ban takes those of an earlier run for bans of this one.
fn total(row: &JailRow) -> u64 {
    row.bans + row.inherited
}

/// The jails by name.
pub(super) fn summary(status: &Status) -> Value {
    let mut jails: Vec<_> = status.jails.iter().map(|row| row.jail.as_str()).collect();
    jails.sort_unstable();
    Value::List(vec![
        Value::titled("Number of jail", Value::count(jails.len())),
        Value::titled("Jail list", jails.join(", ").into()),
    ])
}

/// Backend, failures, bans.
fn counted(row: &JailRow, settings: &JailSettingsRow) -> Value {
    let pair =
        |current: usize, total: u64| Value::Tuple(vec![Value::count(current), Value::count(total)]);
    // Their word for whoever is told of changes of files.
    let backend = match reads_journal(settings) {
        true => "systemd",
        false => "pyinotify",
    };
    Value::List(vec![
        backend.into(),
        pair(row.watched, row.failures),
        pair(row.banned, total(row)),
    ])
}

/// Whether a jail is shown with what it wants of a journal. Fail2ban's listen to either that or files.
pub(super) fn reads_journal(settings: &JailSettingsRow) -> bool {
    settings.logpath.is_empty() && !settings.journalmatch.is_empty()
}
