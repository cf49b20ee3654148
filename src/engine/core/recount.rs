//! What becomes of a failure that an earlier run has found?
//!
//! In: failures as the store keeps them. Out: what records would bring in their place. No filter is asked: its word
//! was heard when the record was new, and so was what its session had counted.

use std::borrow::Cow;

use super::Engine;
use super::hearing::Told;
use crate::engine::decision::{Decision, Failure};
use crate::engine::filter::{Capture, Found, Session};
use crate::engine::record::Record;
use crate::engine::subject::Name;
use crate::engine::time::Timestamp;

impl Engine {
    pub(super) fn recount(&mut self, now: Timestamp, failure: &Failure, out: &mut Vec<Decision>) {
        let Some(at) = self.place(&failure.jail) else {
            return;
        };
        // Its failures come of the bans that are decided anew.
        if self.policy.counts_bans(&self.policy.jails[at]) {
            return;
        }
        let line = failure.line.as_bytes();
        let own = failure.subject.name().map(Name::as_str);
        // What a session is known by is stored with its machine.
        let is_session = self.policy.jails[at].named_by == Some(Capture::Session);
        let session = own.filter(|_| is_session).or(failure.session.as_deref());
        let found = Found {
            pattern: failure.pattern,
            host: Cow::Borrowed(""),
            ip: failure.address,
            user: failure.user.as_deref().map(Cow::Borrowed),
            target: failure.target.as_deref().map(Cow::Borrowed),
            forwarded: None,
            session: session.map(|text| Session::Captured(text.into())),
            unless_counted: false,
            said: None,
            line,
        };
        let record = Record::bare(failure.time, line);
        let told = Told {
            source: None,
            record: &record,
            found: &found,
        };
        self.judge(now, at, told, out);
        self.progress.insert(None, Some(failure.time.min(now)));
    }
}
