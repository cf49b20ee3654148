//! In which order do things start, run and end?
//!
//! Start: settings, privileges, the socket (a second daemon is refused here), the database, then the driver's
//! thread, which starts workers and readers and says when the daemon is ready. The main thread keeps the
//! small tokio runtime that serves the socket, signals, timers and the watchdog; it decides nothing.

mod answer;
mod clock;
mod driver;
mod letter;
mod logger;
pub mod memory;
mod notify;
mod outbox;
mod sources;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::answer::Circumstances;
use self::driver::Driver;
use self::letter::{Letter, MOST_LETTERS};
use self::memory::Memory;
use self::outbox::Outbox;
use self::sources::Sources;
use crate::action;
use crate::config::{self, Loaded, Severity, Settings};
use crate::control::protocol::{Reply, Request};
use crate::control::{Question, server};
use crate::engine::policy::Policy;
use crate::engine::time::Timestamp;
use crate::engine::{Engine, input::Remembered};

/// How many lines a follower may lag behind before it misses some.
const FOLLOW_BACKLOG: usize = 1_024;

/// How many questions may wait.
const MOST_QUESTIONS: usize = 16;

/// A clock that is set, or a machine that slept, is noticed after this long at the latest.
const LONGEST_SLEEP: Duration = Duration::from_secs(600);

/// How the daemon is to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The configuration, if not the usual one.
    pub config: Option<PathBuf>,
    /// The control socket, if not the configured one.
    pub socket: Option<PathBuf>,
    /// Decide and record, touch no firewall.
    pub dry_run: bool,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has mistakes, which have been reported.
    #[error("the configuration has mistakes")]
    Configuration,
    /// Something that only a privileged process may do.
    #[error("{0}")]
    Privilege(String),
    /// Another daemon serves the socket, or the socket cannot be made.
    #[error(transparent)]
    Socket(#[from] server::BindError),
    /// The database belongs to a newer f2bd.
    #[error(transparent)]
    Database(#[from] crate::store::StoreError),
    /// The system refused a thread, a timer or a signal.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Runs until a signal ends it.
///
/// # Errors
/// The daemon could not start; everything has been reported but the error itself.
pub fn run(options: &RunOptions) -> Result<(), StartError> {
    logger::start(log::LevelFilter::Info);
    let settings = load(options.config.as_deref())?;
    log::set_max_level(settings.daemon.log_level);
    if !options.dry_run {
        for spec in &settings.actions {
            action::check(spec).map_err(|error| StartError::Privilege(error.to_string()))?;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options, settings))
}

/// The longest window of any jail: how far back the past matters.
fn longest_findtime(policy: &Policy) -> Duration {
    policy.jails.iter().map(|jail| jail.findtime.0).max().unwrap_or_default()
}

fn load(path: Option<&Path>) -> Result<Settings, StartError> {
    let Loaded { settings, problems } = config::load(path);
    for problem in &problems {
        match problem.severity {
            Severity::Error => log::error!("{problem}"),
            Severity::Warning => log::warn!("{problem}"),
        }
    }
    settings.ok_or(StartError::Configuration)
}
