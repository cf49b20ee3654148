//! In which order do things start, run and end?
//!
//! Start: settings, privileges, the socket (a second daemon is refused here), the database, then the driver's
//! thread, which starts workers and readers and says when the daemon is ready. The main thread keeps the
//! small tokio runtime that serves the socket, signals, timers and the watchdog; it decides nothing.

mod answer;
mod circumstances;
mod clock;
mod driver;
mod effect;
mod events;
mod fail2ban_log;
mod letter;
mod logger;
mod lookups;
pub mod memory;
mod notice;
mod notify;
mod outbox;
mod pid_file;
mod places;
mod reader;
mod reload;
mod sources;
pub mod takeover;
mod trial;
mod unwritten;
mod zone;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::circumstances::Circumstances;
use self::driver::{Audience, Driver};
use self::letter::{Letter, MOST_LETTERS};
use self::lookups::Lookups;
use self::memory::Memory;
use self::notify::{Announcement, Notifier};
use self::outbox::Outbox;
use self::pid_file::PidFile;
use self::places::{Clients, Places};
use self::reload::{ReloadError, Reloader, load, mistakes};
use self::sources::Sources;
use crate::action::{self, ActionError};
use crate::config::fail2ban::logging::Said;
use crate::config::files::main_file;
use crate::config::{self, Settings, Surroundings};
use crate::control::protocol::{Reply, Request};
use crate::control::{Question, server};
use crate::engine::Engine;
use crate::engine::jail::siege::SiegeRule;
use crate::engine::name::ActionName;
use crate::engine::policy::{AddressSet, Policy, SetName};
use crate::engine::time::Timestamp;
use crate::ignore;
use crate::ignore::command::MOST_WAITING;
use crate::ignore::watch::Tidings;

/// How many lines a follower may lag behind before it misses some.
const FOLLOW_BACKLOG: usize = 1_024;

/// How many questions may wait.
const MOST_QUESTIONS: usize = 16;

/// How soon the driver is asked again to look at what was due and is not done.
const TICK_AGAIN: Duration = Duration::from_secs(1);

/// A clock that is set, or a machine that slept, is noticed after this long at the latest.
const LONGEST_SLEEP: Duration = Duration::from_secs(600);

/// How the daemon is to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The configuration, if not the usual one.
    pub config: Option<PathBuf>,
    /// The control socket, if not the configured one.
    pub socket: Option<PathBuf>,
    /// The socket for Fail2ban's clients, if not the configured one.
    pub fail2ban_socket: Option<PathBuf>,
    /// The file with the number of the process, if not the configured one.
    pub pid_file: Option<PathBuf>,
    /// Where Fail2ban's log goes, if not where it is configured to.
    pub logging: Said,
    /// Decide and record, touch no firewall.
    pub dry_run: bool,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has mistakes, which have been reported.
    #[error("the configuration has mistakes")]
    Configuration,
    /// An action may not do what it is for.
    #[error(transparent)]
    Action(#[from] ActionError),
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
    let mut told = Vec::new();
    let settings = load(options, Surroundings::Report, &mut told)
        .settings
        .ok_or(StartError::Configuration)?;
    log::set_max_level(settings.daemon.log_level);
    if !options.dry_run {
        for (spec, _) in &settings.actions {
            match action::check(spec) {
                Ok(()) => {}
                Err(error @ ActionError::NotPermitted { .. }) => return Err(error.into()),
                // It can come while the daemon runs, for instance when a package is being replaced.
                Err(error @ ActionError::NoProgram { .. }) => log::warn!("{error}"),
            }
        }
    }
    let database = &settings.daemon.database;
    let tree = settings.tree.as_deref();
    if let Some(waiting) = config::fail2ban::state::waiting_for(database, tree) {
        log::info!("{}", waiting.told());
    }
    want_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(options, settings, told))
}

/// Log files and connections take descriptors, and must leave some to the firewall: asks for all that there may be.
fn want_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        log::debug!("no more than {:?} descriptors: {error}", limit.current);
    }
}

/// The longest window of any jail: how far back the past matters.
fn longest_findtime(policy: &Policy) -> Duration {
    policy
        .jails
        .iter()
        .flat_map(|jail| {
            let networks = jail.networks.iter().map(|rule| rule.findtime.0);
            let accounts = jail
                .accounts
                .map(|rule| rule.findtime.0.saturating_add(rule.grace));
            let siege = jail.siege.iter().map(SiegeRule::memory);
            let special = networks.chain(accounts).chain(siege);
            special.chain([jail.findtime.0])
        })
        .max()
        .unwrap_or_default()
}

/// The main thread's part: everything that waits for the world outside.
async fn serve(
    options: &RunOptions,
    mut settings: Settings,
    told_problems: Vec<config::Problem>,
) -> Result<(), StartError> {
    let clients = match options.fail2ban_socket {
        Some(_) => Clients::Needed,
        None => Clients::Wanted,
    };
    let places = Places::take(&settings.daemon, clients)?;
    let paths = places.paths();
    let pid_file = settings.daemon.pid_file.as_deref();
    let pid_file = pid_file.and_then(PidFile::write);
    if options.dry_run {
        log::warn!("this is a dry run: everything is decided and recorded, and nobody is kept out");
    }
    let now = clock::now();
    let (inbox, letters) = mpsc::channel(MOST_LETTERS);
    let (deadline, deadlines) = watch::channel(None);
    let (followers, _) = broadcast::channel(FOLLOW_BACKLOG);
    let (reports, told) = mpsc::unbounded_channel();
    let (announcements, announced) = watch::channel(Announcement::default());
    let (wanted, sets) = watch::channel(settings.policy.sets(settings.daemon.guard));
    let (tell, tidings) = mpsc::channel(MOST_LETTERS);
    // After a restart all who wait are asked about at once.
    let (failing, failed) = mpsc::channel(MOST_WAITING);
    let lists = std::mem::take(&mut settings.lists);
    let prepared = prepare(
        settings,
        options,
        now,
        inbox.clone(),
        reports,
        Audience {
            followers: followers.clone(),
            deadline,
            announcements,
            wanted,
            failing,
        },
    );
    let thread = std::thread::Builder::new().name("driver".to_owned());
    let begun = prepared.and_then(|driver| Ok(thread.spawn(move || driver.run(letters))?));
    let thread = match begun {
        Ok(thread) => thread,
        Err(error) => {
            places.give_back();
            return Err(error);
        }
    };
    let Places {
        listeners,
        alone: _alone,
    } = places;

    let wrong = mistakes(&told_problems);
    if !wrong.is_empty() && inbox.send(Letter::Mistakes(wrong)).await.is_err() {
        log::debug!("the driver has ended already");
    }
    let (questions, asked) = mpsc::channel(MOST_QUESTIONS);
    let reloader = Arc::new(Reloader {
        options: options.clone(),
        inbox: inbox.clone(),
        told: tokio::sync::Mutex::new(told_problems),
    });
    let notifier = Arc::new(Notifier::find());
    let (stop, stopped) = mpsc::channel(1);
    let served = listeners.into_iter().map(|listener| {
        tokio::spawn(server::serve(
            listener,
            questions.clone(),
            followers.clone(),
        ))
    });
    let served: Vec<_> = served.collect();
    let tasks = [
        tokio::spawn(forward_questions(
            asked,
            Arc::clone(&reloader),
            sets.clone(),
            stop,
        )),
        tokio::spawn(forward_reports(told, inbox.clone())),
        tokio::spawn(ignore::watch::watch(lists, sets, failed, tell)),
        tokio::spawn(forward_tidings(tidings, inbox.clone())),
        tokio::spawn(tick(deadlines, inbox.clone())),
        tokio::spawn({
            let notifier = Arc::clone(&notifier);
            async move { notifier.announce(announced).await }
        }),
        tokio::spawn(feed_watchdog(inbox.clone(), Arc::clone(&notifier))),
    ];
    wait_for_the_end(&reloader, stopped).await?;
    notifier.stopping().await;
    // The driver may be gone already; then there is nothing to tell it.
    let _ = inbox.send(Letter::Shutdown).await;
    let ended = tokio::task::spawn_blocking(move || thread.join()).await;
    // Whoever sees that nobody answers any more must not find it.
    drop(pid_file);
    for task in served.into_iter().chain(tasks) {
        task.abort();
    }
    for path in paths {
        if let Err(error) = std::fs::remove_file(&path) {
            log::warn!("cannot remove {}: {error}", path.display());
        }
    }
    match ended {
        Ok(Ok(())) => Ok(()),
        _ => Err(StartError::System(std::io::Error::other(
            "the driver has died",
        ))),
    }
}

/// Opens the database and puts the driver together.
fn prepare(
    settings: Settings,
    options: &RunOptions,
    now: Timestamp,
    inbox: mpsc::Sender<Letter>,
    reports: outbox::Reports,
    audience: Audience,
) -> Result<Driver, StartError> {
    let mut memory = Memory::open(settings.daemon.database.clone(), now)?;
    let config = main_file(options.config.as_deref());
    let config = std::path::absolute(&config).unwrap_or(config);
    let dry_run = options.dry_run;
    let (circumstances, policy) = Circumstances::new(settings, config, dry_run, now);
    let (remembered, cursors) = memory.remembered(now, longest_findtime(&policy));
    let lookups = Lookups::new(inbox.clone());
    let sources = Sources::new(inbox, cursors);
    let outbox = Outbox::new(reports, memory.knows_all());
    let mut engine = Engine::new(policy);
    engine.expect_words();
    if !dry_run {
        engine.expect_effect();
    }
    Ok(Driver::begin(
        circumstances,
        engine,
        memory,
        outbox,
        sources,
        lookups,
        audience,
        remembered,
    ))
}

/// Answers what concerns the configuration, and passes on every other question; with one to ban somebody, who would be
/// locked out at this moment.
async fn forward_questions(
    mut asked: mpsc::Receiver<Question>,
    reloader: Arc<Reloader>,
    wanted: watch::Receiver<BTreeSet<SetName>>,
    stop: mpsc::Sender<()>,
) {
    while let Some(question) = asked.recv().await {
        if question.request == Request::Stop {
            log::info!("somebody asks f2bd to end");
            // Whoever asked may have gone.
            let _ = question.reply.send(answer::done(&[]));
            // If it is full, the end has been asked for already.
            let _ = stop.try_send(());
            continue;
        }
        if let Request::Reload { confirm } = question.request {
            let reloader = Arc::clone(&reloader);
            // Files may be where reading takes its time; other questions need not wait for them.
            tokio::spawn(async move {
                let reply = match reloader.reload(confirm.map(Duration::from_secs)).await {
                    Ok(confirm_by) => Reply::InForce { confirm_by },
                    Err(ReloadError::Mistakes(problems)) => answer::bad_configuration(&problems),
                    Err(ReloadError::Lost(lost, problems)) => answer::jails_lost(&lost, &problems),
                    Err(ReloadError::Ending) => answer::ending(),
                };
                // Whoever asked may have gone.
                let _ = question.reply.send(reply);
            });
            continue;
        }
        if let Request::Rewrite { jail, change } = question.request {
            let reloader = Arc::clone(&reloader);
            // It takes as long as a reload.
            tokio::spawn(async move {
                // Whoever asked may have gone.
                let _ = question.reply.send(reloader.rewrite(jail, change).await);
            });
            continue;
        }
        let is_ban = matches!(question.request, Request::Ban { .. });
        let guarded = match is_ban && wanted.borrow().contains(&SetName::Guarded) {
            true => tokio::task::spawn_blocking(ignore::guard::addresses).await,
            false => Ok(AddressSet::default()),
        };
        // Looking fails only when the daemon ends.
        let guarded = guarded.unwrap_or_default();
        let letter = Letter::Question { question, guarded };
        if reloader.inbox.send(letter).await.is_err() {
            return;
        }
    }
}

async fn forward_reports(
    mut told: mpsc::UnboundedReceiver<(outbox::WorkerId, ActionName, action::Report)>,
    inbox: mpsc::Sender<Letter>,
) {
    while let Some((worker, action, report)) = told.recv().await {
        let letter = Letter::Report {
            worker,
            action,
            report,
        };
        if inbox.send(letter).await.is_err() {
            return;
        }
    }
}

async fn forward_tidings(mut tidings: mpsc::Receiver<Tidings>, inbox: mpsc::Sender<Letter>) {
    while let Some(tidings) = tidings.recv().await {
        let letter = match tidings {
            Tidings::Holds { set, addresses } => Letter::Ignore { set, addresses },
            Tidings::Says {
                question: (program, address),
                is_spared,
            } => Letter::Word {
                program,
                address,
                is_spared,
            },
        };
        if inbox.send(letter).await.is_err() {
            return;
        }
    }
}

/// Sends a tick whenever the driver's deadline comes.
async fn tick(mut deadlines: watch::Receiver<Option<Timestamp>>, inbox: mpsc::Sender<Letter>) {
    loop {
        let due = *deadlines.borrow_and_update();
        let wait = due.map_or(LONGEST_SLEEP, |due| {
            due.since(clock::now()).min(LONGEST_SLEEP)
        });
        tokio::select! {
            () = tokio::time::sleep(wait) => {
                if due.is_some() && inbox.send(Letter::Tick).await.is_err() {
                    return;
                }
                // The driver sets a new deadline when it has dealt with the tick, if that has changed anything.
                if due.is_some_and(|due| due <= clock::now())
                    && let Ok(Err(_)) = tokio::time::timeout(TICK_AGAIN, deadlines.changed()).await
                {
                    return;
                }
            }
            changed = deadlines.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Tells the service manager that the driver lives, as often as it wants to hear it, and only if it does.
async fn feed_watchdog(inbox: mpsc::Sender<Letter>, notifier: Arc<Notifier>) {
    let Some(interval) = notify::watchdog() else {
        return;
    };
    loop {
        let (answer, answered) = oneshot::channel();
        if inbox.send(Letter::Heartbeat(answer)).await.is_err() || answered.await.is_err() {
            return;
        }
        notifier.alive().await;
        tokio::time::sleep(interval / 2).await;
    }
}

/// Waits for SIGTERM or SIGINT, or for somebody who asks for the end; SIGHUP reloads.
async fn wait_for_the_end(
    reloader: &Arc<Reloader>,
    mut stopped: mpsc::Receiver<()>,
) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut rotated = signal(SignalKind::user_defined1())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            Some(()) = stopped.recv() => return Ok(()),
            // Fail2ban opens its log anew then, and rotation sends it. Ours is looked at before each line.
            _ = rotated.recv() => {}
            // The driver ends by itself only when it has died.
            () = reloader.inbox.closed() => return Ok(()),
            _ = hangup.recv() => {
                let reloader = Arc::clone(reloader);
                tokio::spawn(async move {
                    if let Err(error) = reloader.reload(None).await {
                        log::error!("{error}");
                    }
                });
            }
        }
    }
}
