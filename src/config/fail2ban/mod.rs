//! What does an administrator of Fail2ban have written, and what does it come to?
//!
//! In: a directory such as /etc/fail2ban. Out: a [`Tree`] of its jails as Fail2ban would start them, each value with the place
//! it was written at. Nothing is started here, and nothing below this room knows that such a directory was read.
//!
//! `ini` reads one file, `files` finds those that belong together, `merged` lays them over each other, `interpolation` puts in
//! what values refer to, `brackets` and `tags` what stands in these, `definition` and `jail` put jails together; `time` reads
//! times; `expression` translates the regular expressions of filters, `filter` and `action` say what these come to; `stream` is
//! the tree in the words of Fail2ban's own server, `transcription` in those of f2bd.conf; `traps` tells what Fail2ban does not,
//! `slips` by which of them jails are off.
//!
//! `import` writes all of that as files of f2bd's. `shown` is how a jail is told, `single` one filter without a jail, `trial` one
//! that somebody tries on a log, `overlay` what somebody changes while the daemon runs, `state` whom a Fail2ban keeps out, by
//! its database; `logging` where Fail2ban's log goes; `digest` is by what texts are known again, `stock` which filters are
//! Fail2ban's own.

pub mod action;
pub mod brackets;
pub mod date;
mod definition;
pub mod digest;
pub mod expression;
pub mod files;
pub mod filter;
pub mod import;
pub mod ini;
pub mod interpolation;
pub mod jail;
pub mod logging;
pub mod merged;
pub mod options;
pub mod overlay;
pub mod shown;
pub mod single;
mod slips;
pub mod state;
pub mod stock;
pub mod stream;
pub mod tags;
pub mod time;
pub mod transcription;
mod traps;
pub mod trial;

use std::path::{Path, PathBuf};

use files::{Files, FilesError, INCLUDES};
use interpolation::InterpolationError;
use jail::{JailsReader, Started, State, TreeJail};
use options::{Options, Written};

use crate::config::problem::Problems;
use crate::control::fail2ban::SPOKEN_VERSION;
use crate::engine::name::JailName;

pub use files::is_tree;

/// The Fail2ban whose configuration is understood, for those who ask.
pub const VERSION: &str = SPOKEN_VERSION;

/// Where Fail2ban's own is.
pub const USUAL: &str = "/etc/fail2ban";

/// The options of fail2ban.conf.
const DAEMON_OPTIONS: &[&str] = &[
    "loglevel",
    "logtarget",
    "syslogsocket",
    "socket",
    "pidfile",
    "allowipv6",
    "dbfile",
    "dbmaxmatches",
    "dbpurgeage",
];

/// What a directory says.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The directory.
    pub folder: PathBuf,
    /// `[Definition]` of fail2ban.conf, as far as it is said.
    pub daemon: Options,
    /// `[Thread]` of it.
    pub threads: Options,
    /// All jails, in the order in which Fail2ban starts them.
    pub jails: Vec<TreeJail>,
    /// Jails that are off because their own sections say so.
    pub said_off: Vec<JailName>,
    /// Whether a part of what is said of jails has no effect, in which there may be others: a file was passed over, or is
    /// not where it is looked for.
    pub lacks_parts: bool,
}

impl Tree {
    /// What a jail is started with, if it is.
    pub fn started(&self, jail: &JailName) -> Option<&Started> {
        let mut jails = self.jails.iter();
        match &jails.find(|one| one.name == jail.as_str())?.state {
            State::On(started) => Some(started),
            State::Off | State::Doubtful | State::LeftOut(_) => None,
        }
    }

    /// Reads a directory. `None` if Fail2ban would not start at all; what is wrong, with the directory or with single jails, is
    /// noted in `problems`.
    pub fn read(folder: &Path, version: &str, problems: &mut Problems) -> Option<Tree> {
        let (daemon, threads) = daemon(&mut Files::of(folder), problems)?;
        let mut files = Files::of(folder);
        let mut merged = match files.read("jail", problems) {
            Ok(merged) => merged,
            Err(FilesError::Missing) => {
                let remedy = "name a directory of Fail2ban such as /etc/fail2ban";
                problems.unreadable(
                    &folder.join("jail.conf"),
                    "there is no such file, nor a jail.local".to_owned(),
                    remedy,
                );
                return None;
            }
            Err(FilesError::Broken) => return None,
        };
        let lacks_files = files.has_gaps();
        let path = folder.to_string_lossy();
        let place = files::place_of(folder);
        for (key, value) in [
            ("fail2ban_version", version),
            ("fail2ban_confpath", path.trim_end_matches('/')),
        ] {
            merged.defaults_mut().set(key, Written::new(value, &place));
        }
        let names: Vec<_> = merged
            .sections()
            .filter(|(name, _)| *name != INCLUDES)
            .map(|(name, place)| (name.to_owned(), place.clone()))
            .collect();
        let before = problems.count();
        let mut reader = JailsReader::new(&mut files);
        let mut jails = Vec::new();
        for (name, place) in names {
            let read = reader.read(&name, &place, &mut merged, problems);
            let state = read.unwrap_or_else(State::LeftOut);
            jails.push(TreeJail { name, place, state });
        }
        slips::doubt(&merged, &mut jails, problems);
        // What is wrong with a filter or an action concerns its jails alone.
        problems.leave_out(before);
        let on = jails
            .iter()
            .filter(|jail| matches!(jail.state, State::On(_)));
        let on: Vec<_> = on.map(|jail| jail.name.as_str()).collect();
        traps::unknown_keys(&merged, &on, problems);
        traps::open_secrets(&jails, problems);
        let tree = Tree {
            folder: folder.to_owned(),
            daemon,
            threads,
            said_off: slips::said_off(&merged, &jails),
            lacks_parts: lacks_files || slips::lacks_defaults(&jails),
            jails,
        };
        slips::misspelt_sections(&tree, problems);
        Some(tree)
    }
}

/// The options of fail2ban.conf.
fn daemon(files: &mut Files, problems: &mut Problems) -> Option<(Options, Options)> {
    let merged = match files.read("fail2ban", problems) {
        Ok(merged) => merged,
        // Everything has a usual value.
        Err(FilesError::Missing) => return Some((Options::default(), Options::default())),
        Err(FilesError::Broken) => return None,
    };
    let section = |name: &str, keys: &[&str]| -> Result<Options, InterpolationError> {
        let mut options = Options::default();
        for key in keys {
            if let Some(value) = merged.get(name, key, &Options::default())? {
                options.set(*key, value);
            }
        }
        Ok(options)
    };
    let read = section("Definition", DAEMON_OPTIONS)
        .and_then(|daemon| Ok((daemon, section("Thread", &["stacksize"])?)));
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            let mistake = error.mistake;
            problems.error(&error.place, mistake.to_string(), mistake.remedy());
            None
        }
    }
}
