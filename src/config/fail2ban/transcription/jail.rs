//! What is `[jail.NAME]` for a jail of Fail2ban's?
//!
//! Here: how many failures in what time, how long a ban, what it closes. What cannot be said in f2bd's words is reported, and
//! without what is needed the jail is left out.

use std::path::Path;
use std::time::Duration;

use super::super::action::{Actions, EVERY_PORT, Ports as ClosedPorts};
use super::super::jail::Started;
use super::super::options::{Options, Written, whole_number};
use super::super::time::{self, Seconds};
use super::filters::Filters;
use super::values::{flag, list, number, table, text, texts};
use super::{escalation, ignoring, listening};
use crate::action::ports::Protocol;
use crate::config::document::{Table, Value};
use crate::config::keys::MOST_RETRIES;
use crate::config::problem::{Place, Problems};
use crate::config::subject;
use crate::engine::filter::{Capture, FilterSpec};
use crate::engine::name::JailName;
use crate::source::file::FileGlob;

/// How many failures make a ban, how long they are counted together and how long a ban lasts, if nobody says anything.
const USUAL_RETRIES: i64 = 3;
const USUAL_SPAN: i64 = 600;

/// The filter of bans, here and there.
pub(in crate::config::fail2ban) const RECIDIVE: &str = "recidive";

/// Fail2ban's own log, unless it is told of another one.
const USUAL_LOG: &str = "/var/log/fail2ban.log";

/// The key that says by what somebody is known who is banned.
const SUBJECT: &str = "subject";

/// What to do about an F-ID that nobody can ban.
const ONE_OF_BOTH: &str = "nothing need be done if every F-ID is an address; or give names a filter and a jail of their own, with commands that can ban them";

/// A jail on the way.
pub struct Jail<'t> {
    /// Its name.
    pub name: JailName,
    /// Where it begins.
    pub place: &'t Place,
    /// What it says.
    pub started: &'t Started,
    /// What fail2ban.conf says.
    pub daemon: &'t Options,
}

impl Jail<'_> {
    /// The value of an option.
    pub fn option(&self, key: &str) -> Option<&Written> {
        self.started.options.get(key)
    }

    /// Whether an option is true.
    pub fn is_true(&self, key: &str) -> bool {
        self.option(key).is_some_and(Written::is_true)
    }

    /// Its section; `None` if it has to be left out, which is reported.
    pub fn section(
        &self,
        filters: &mut Filters,
        sources: &mut Table,
        problems: &mut Problems,
    ) -> Option<Table> {
        let mut section = Table::default();
        section.set("enabled", flag(true, self.place));
        let counts_bans = self.counts_bans();
        let spec = match counts_bans {
            true => None,
            false => filters.add(self, &mut section, problems),
        };
        self.counting(&mut section, problems);
        let bantime = self.bantime(problems);
        section.set("bantime", bantime.0);
        escalation::write(self, bantime.1, &mut section, problems);
        ignoring::write(self, &mut section, problems);
        if counts_bans {
            section.set("filter", text(RECIDIVE, self.place));
            return Some(section);
        }
        let listens = listening::write(self, &mut section, sources, problems);
        let spec = spec?;
        if spec.captures(Capture::Target) {
            self.naming(&spec, &mut section, problems);
        }
        let word = self.usedns(problems);
        if spec.names_hosts() {
            section.set("usedns", word);
        }
        listens.then_some(section)
    }

    /// By what it knows whom it bans, if its filter has an `F-ID`.
    fn naming(&self, spec: &FilterSpec, section: &mut Table, problems: &mut Problems) {
        if !spec.names_addresses() {
            section.set(SUBJECT, text(Capture::Target.word(), self.place));
            return;
        }
        let message = format!(
            "jail `{}` bans addresses, also where a line has an F-ID: one that is no address counts for nothing in a line without an address",
            self.name
        );
        problems.warning(self.filter_place(), message, ONE_OF_BOTH);
    }

    /// Where it says which filter it has.
    fn filter_place(&self) -> &Place {
        let filter = self.option("filter");
        filter.map_or(self.place, |filter| &filter.place)
    }

    /// Has it ban addresses, if it has an action that can ban nothing else. An F-ID may be one.
    fn addressing(&self, actions: &Actions, section: &mut Table, problems: &mut Problems) {
        let mut uses = actions.uses.iter();
        let firewall = uses
            .find(|one| one.jail == self.name.as_str() && actions.bans_addresses_alone(&one.name));
        if let (Some(firewall), Some(_)) = (firewall, section.get(SUBJECT)) {
            section.set(SUBJECT, text(subject::IP, self.place));
            let message = format!(
                "jail `{}`: the action `{}` can only ban addresses, so an F-ID that is none counts for nothing",
                self.name, firewall.action
            );
            problems.warning(&firewall.place, message, ONE_OF_BOTH);
        }
    }

    /// Whether it counts the bans of other jails, for which Fail2ban reads its own log. f2bd knows of its bans.
    pub(super) fn counts_bans(&self) -> bool {
        let filter = self.started.filter.as_ref();
        filter.is_some_and(|filter| filter.name == RECIDIVE)
            && !self.started.options.has("failregex")
            && self.reads_own_log()
    }

    /// Whether what it reads is the log of this very daemon, and not that of another machine.
    fn reads_own_log(&self) -> bool {
        let backend = self.option("backend");
        let target = self
            .daemon
            .get("logtarget")
            .map(|target| target.text.as_str());
        let own = Path::new(target.unwrap_or(USUAL_LOG));
        let is_own = |path: &str| path.parse::<FileGlob>().is_ok_and(|glob| glob.matches(own));
        let Some(paths) = self.option("logpath") else {
            return true;
        };
        !own.is_absolute()
            || backend.is_some_and(|backend| backend.text.starts_with("systemd"))
            || listening::logs(paths).any(is_own)
    }

    fn counting(&self, section: &mut Table, problems: &mut Problems) {
        let retries = self.option("maxretry").map_or_else(
            || number(USUAL_RETRIES, self.place),
            |written| {
                let most = i64::from(MOST_RETRIES);
                let retries = whole_number(&written.text);
                let used = retries.unwrap_or(USUAL_RETRIES).clamp(1, most);
                let remedy = format!("write a number from 1 to {most}, and nothing behind it");
                match retries {
                    None => {
                        let message = format!(
                            "`maxretry` is no number: `{}`: Fail2ban would not start, {used} is taken instead",
                            written.text
                        );
                        problems.error(&written.place, message, remedy);
                    }
                    Some(retries) if retries != used => {
                        let message = format!("`maxretry` cannot be {retries}: {used} is taken");
                        problems.warning(&written.place, message, remedy);
                    }
                    Some(_) => {}
                }
                number(used, &written.place)
            },
        );
        section.set("maxretry", retries);
        let findtime = match self.option("findtime") {
            None => number(USUAL_SPAN, self.place),
            Some(written) => match self.seconds("findtime", written, problems) {
                Some(span) if !span.is_zero() => whole(span, &written.place),
                Some(_) => {
                    let message = "`findtime` cannot be nothing: 10m is taken";
                    problems.warning(&written.place, message, "write a time such as 10m");
                    number(USUAL_SPAN, &written.place)
                }
                None => number(USUAL_SPAN, &written.place),
            },
        };
        section.set("findtime", findtime);
    }

    /// How long a ban lasts; `None` is forever.
    fn bantime(&self, problems: &mut Problems) -> (Value, Option<Duration>) {
        let usual = Duration::from_secs(USUAL_SPAN.unsigned_abs());
        let Some(written) = self.option("bantime") else {
            return (whole(usual, self.place), Some(usual));
        };
        match time::seconds(&written.text) {
            Ok(Seconds::Whole(..=-1)) => (text("forever", &written.place), None),
            Ok(Seconds::Fraction(seconds)) if seconds < 0.0 => {
                (text("forever", &written.place), None)
            }
            _ => {
                let span = match self.seconds("bantime", written, problems) {
                    Some(Duration::ZERO) => {
                        let message = "`bantime` cannot be nothing: 10m is taken";
                        problems.warning(&written.place, message, "write a time such as 10m");
                        usual
                    }
                    span => span.unwrap_or(usual),
                };
                (whole(span, &written.place), Some(span))
            }
        }
    }

    /// A span of time; what is none is reported.
    pub fn seconds(
        &self,
        key: &str,
        written: &Written,
        problems: &mut Problems,
    ) -> Option<Duration> {
        let seconds = time::seconds(&written.text);
        let message = match seconds.as_ref().map(|seconds| seconds.duration()) {
            Ok(Some(span)) => {
                if written.text.contains('#') {
                    let message = format!("`{key}`: what stands behind # is part of the value");
                    let remedy = "write comments into lines of their own, or behind a semicolon";
                    problems.warning(&written.place, message, remedy);
                }
                return Some(span);
            }
            Ok(None) => format!("`{key}` cannot be less than nothing"),
            Err(error) => format!("`{key}` is no time: {error}"),
        };
        // Without these there is no jail.
        let taken = match key {
            "findtime" | "bantime" => "; 10m is taken instead",
            _ => "",
        };
        let message = format!("{message}{taken}");
        problems.error(&written.place, message, "write a time such as 10m or 1d12h");
        None
    }

    fn usedns(&self, problems: &mut Problems) -> Value {
        let options = self.started.filter_options();
        let Some(written) = options.get("usedns") else {
            return text("warn", self.place);
        };
        let word = written.text.to_lowercase();
        let word = match word.as_str() {
            word @ ("yes" | "warn" | "no") => word,
            other => {
                let message = match other {
                    "raw" => "`usedns`: names that are not looked up are banned by nobody",
                    _ => "`usedns` is none of its words: `no` is taken",
                };
                problems.warning(&written.place, message, "write yes, warn or no");
                "no"
            }
        };
        text(word, &written.place)
    }

    /// What a ban closes, and by what: what most actions close stands in the jail's section, what one calls or closes
    /// otherwise beside its name. False if one of its actions is not left, which is reported.
    pub fn closing(&self, actions: &Actions, section: &mut Table, problems: &mut Problems) -> bool {
        self.addressing(actions, section, problems);
        let uses = actions.uses.iter();
        let uses: Vec<_> = uses.filter(|one| one.jail == self.name.as_str()).collect();
        if let (true, Some(first)) = (uses.is_empty(), self.started.actions.first()) {
            let message = format!(
                "jail `{}` has no action left: its bans have no effect, nobody is shut out",
                self.name
            );
            let remedy = "give it an action that f2bd has or can run: see f2bd-action(5)";
            problems.error(&first.place, message, remedy);
        }
        let place = self
            .option("action")
            .map_or(self.place, |action| &action.place);
        let usual = uses.iter().find_map(|one| one.ports.as_ref());
        let named = uses.iter().map(|one| {
            let mut own = Table::default();
            own.set("action", text(one.name.as_str(), place));
            if let Some(label) = one.label.as_ref().filter(|label| **label != self.name) {
                own.set("label", text(label.as_str(), place));
            }
            if let Some(ports) = one.ports.as_ref().filter(|ports| Some(*ports) != usual) {
                close(ports, place, &mut own);
            }
            match own.entries() {
                [only] => only.value.clone(),
                _ => table(own, place),
            }
        });
        section.set("actions", list(named.collect(), place));
        if let Some(ports) = usual {
            close(ports, place, section);
        }
        uses.len() == self.started.actions.len()
    }
}

/// Says what is closed.
fn close(closed: &ClosedPorts, place: &Place, section: &mut Table) {
    let ports = closed.ports.iter().map(|word| match word.as_str() {
        EVERY_PORT => "all",
        word => word,
    });
    section.set("port", texts(ports, place));
    let known = closed.protocols.iter().map(String::as_str);
    let known: Vec<_> = known
        .filter(|word| word.parse::<Protocol>().is_ok())
        .collect();
    if !known.is_empty() {
        section.set("protocol", texts(known, place));
    }
}

/// A span in whole seconds, of which there is one at least.
pub fn whole(span: Duration, place: &Place) -> Value {
    let seconds = span.as_secs_f64().round().max(1.0);
    number(seconds as i64, place)
}
