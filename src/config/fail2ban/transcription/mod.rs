//! What would be written into f2bd.conf for a directory of Fail2ban's?
//!
//! In: a [`Tree`]. Out: the sections of an f2bd.conf that comes to the same, each value at the place it was written at in the
//! directory, and the filters of the jails. Whoever reads f2bd.conf reads these sections, and says what is wrong with them.
//!
//! `jail` is about counting and banning, `escalation` about longer bans, `ignoring` about who is spared, `listening` about logs
//! and journals, `filters` about patterns.

mod escalation;
mod filters;
mod ignoring;
pub(super) mod jail;
mod listening;
pub mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use log::LevelFilter;

use filters::Filters;
pub(super) use filters::zone;
pub use ignoring::plain_word;
use jail::Jail;
pub use listening::Needing;
pub(super) use listening::{alternatives, logs, reads_journal};
use values::{flag, table, text};

use super::Tree;
use super::action;
use super::files::place_of;
use super::jail::{State, TreeJail};
use super::logging::{AUTO, LogTarget};
use super::options::Options;
use crate::action::ActionSpec;
use crate::config::document::Table;
use crate::config::filter::FilterFile;
use crate::config::problem::{Place, Problems, Text};
use crate::control::fail2ban::threshold::Threshold;
use crate::engine::name::{FilterName, JailName};

/// What a directory comes to.
#[derive(Debug)]
pub struct Transcription {
    /// The directory, as a text without a word.
    pub text: Arc<Text>,
    /// The sections.
    pub table: Table,
    /// The filters of the jails; `None` for one that cannot be used, which has been reported.
    pub filters: BTreeMap<FilterName, Option<FilterFile>>,
    /// The actions that are not among the sections, each with where a jail names it.
    pub actions: Vec<(ActionSpec, Place)>,
    /// The jails that are enabled, or may be meant to be, also those that are left out.
    pub meant: BTreeSet<JailName>,
    /// Those that lack an action that they name, which is reported.
    pub weakened: BTreeSet<JailName>,
    /// What our own actions do otherwise than Fail2ban's, with the name of the jail.
    pub differences: Vec<(String, String)>,
}

/// The jails that need a log file where there is none, in their order: Fail2ban starts nothing with them.
pub fn without_logs(tree: &Tree, needing: Needing) -> impl Iterator<Item = &str> {
    let lacking = tree.jails.iter().filter(move |jail| match &jail.state {
        State::On(started) => {
            let own = jail.name.parse().ok().map(|name| Jail {
                name,
                place: &jail.place,
                started,
                daemon: &tree.daemon,
            });
            own.is_some_and(|own| !own.counts_bans()) && listening::lacks_logs(started, needing)
        }
        State::Off | State::Doubtful | State::LeftOut(_) => false,
    });
    lacking.map(|jail| jail.name.as_str())
}

/// Says in f2bd's words what a tree says.
pub fn transcribe(tree: &Tree, problems: &mut Problems) -> Transcription {
    let place = place_of(&tree.folder);
    let mut filters = Filters::default();
    let (mut read, mut sources) = (Vec::new(), Table::default());
    let is_meant = |jail: &&TreeJail| !matches!(jail.state, State::Off);
    let meant = tree.jails.iter().filter(is_meant);
    // Nobody is banned under what cannot be a name.
    let meant = meant.filter_map(|jail| jail.name.parse().ok()).collect();
    let mut weakened = BTreeSet::new();
    for jail in &tree.jails {
        let started = match &jail.state {
            State::Off | State::Doubtful => continue,
            State::On(started) => started,
            State::LeftOut(error) => {
                let message = format!("jail `{}` does not start: {error}", jail.name);
                problems.left_out(error.place(), message, error.remedy());
                continue;
            }
        };
        let Ok(name) = jail.name.parse::<JailName>() else {
            let message = format!("jail `{}` does not start: that cannot be a name", jail.name);
            let remedy =
                "use 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit";
            problems.left_out(&jail.place, message, remedy);
            continue;
        };
        let before = problems.count();
        let jail = Jail {
            name,
            place: &jail.place,
            started,
            daemon: &tree.daemon,
        };
        let section = jail.section(&mut filters, &mut sources, problems);
        problems.leave_out(before);
        read.extend(section.map(|section| (jail, section)));
    }
    let before = problems.count();
    let named = read.iter();
    let named = named.map(|(jail, _)| (jail.name.as_str(), jail.started.actions.as_slice()));
    let actions = action::carry(named, problems);
    let mut jails = Table::default();
    for (jail, mut section) in read {
        if !jail.closing(&actions, &mut section, problems) {
            weakened.insert(jail.name.clone());
        }
        jails.set(jail.name.as_str(), table(section, jail.place));
    }
    problems.leave_out(before);
    let differences = actions.uses.iter().filter_map(|one| {
        let differs = one.differs.as_ref()?;
        let told = format!("the action `{}` is f2bd's own: {differs}", one.action);
        Some((one.jail.clone(), told))
    });
    let differences = differences.collect();
    let mut all = Table::default();
    all.set("daemon", table(daemon(&tree.daemon, problems), &place));
    all.set("source", table(sources, &place));
    all.set("defaults", table(defaults(&place), &place));
    all.set("jail", table(jails, &place));
    all.set("action", table(actions.sections(), &place));
    Transcription {
        text: Arc::clone(place.text()),
        table: all,
        filters: filters.files,
        actions: actions.commands,
        meant,
        weakened,
        differences,
    }
}

/// `[daemon]`. Those who ask Fail2ban's socket, read its log or look for its process find them where they were. The database
/// is f2bd's own, and history is kept as it usually keeps it: what Fail2ban forgets earlier is said with each jail.
fn daemon(options: &Options, problems: &mut Problems) -> Table {
    let mut section = Table::default();
    let path = |key: &str| options.get(key).filter(|path| path.text.starts_with('/'));
    if let Some(path) = path("socket") {
        section.set("fail2ban_socket", text(&path.text, &path.place));
    }
    logging(options, &mut section, problems);
    if let Some(path) = path("pidfile") {
        section.set("pid_file", text(&path.text, &path.place));
    }
    section
}

/// What is told in its words, and where. What cannot be a target, or a level, is told of: an administrator who has it would
/// look for the lines in vain.
fn logging(options: &Options, section: &mut Table, problems: &mut Problems) {
    if let Some(level) = options.get("loglevel") {
        match level.text.parse::<Threshold>() {
            Ok(threshold) => {
                let own = match threshold.own() {
                    LevelFilter::Off | LevelFilter::Error => "error",
                    LevelFilter::Warn => "warning",
                    LevelFilter::Info => "info",
                    LevelFilter::Debug | LevelFilter::Trace => "debug",
                };
                section.set("log_level", text(own, &level.place));
                let word = threshold.to_string();
                section.set("fail2ban_log_level", text(&word, &level.place));
            }
            Err(error) => {
                let message = format!("`loglevel`: {error}: INFO is taken");
                let remedy = "write ERROR, WARNING, NOTICE, INFO or DEBUG";
                problems.warning(&level.place, message, remedy);
            }
        }
    }
    if let Some(target) = options.get("logtarget") {
        let place = &target.place;
        match LogTarget::parse(&target.text) {
            Ok(_) => section.set("fail2ban_log", text(&target.text, place)),
            Err(error) => {
                let message = format!("`logtarget`: {error}; nothing is told in Fail2ban's form");
                let remedy = "write an absolute path, or SYSLOG; what happens is also in f2bd's own log, on standard error";
                problems.warning(place, message, remedy);
            }
        }
    }
    if let Some(socket) = options
        .get("syslogsocket")
        .filter(|socket| socket.text != AUTO)
    {
        section.set("fail2ban_syslog_socket", text(&socket.text, &socket.place));
    }
}

/// `[defaults]`: what Fail2ban does and f2bd would do otherwise.
fn defaults(place: &Place) -> Table {
    let mut prefix = Table::default();
    for (family, width) in [("ipv4", 32), ("ipv6", 128)] {
        prefix.set(family, values::number(width, place));
    }
    let mut section = Table::default();
    section.set("prefix", table(prefix, place));
    section.set("ignoreself", flag(true, place));
    section
}
