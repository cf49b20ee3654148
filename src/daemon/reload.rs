//! How is the configuration read, at the start, again, and with a change?
//!
//! Comes in: what the command line says. Goes out: settings, to the driver if it is a reload; what is wrong with them is
//! told. Nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::RunOptions;
use super::answer;
use super::letter::{JailsLost, Letter, Rewriting};
use crate::config::fail2ban::{Tree, is_tree};
use crate::config::files::main_file;
use crate::config::{self, Loaded, Severity, Surroundings};
use crate::control::protocol::{LONGEST_TRIAL, Reply, TreeChange};
use crate::engine::name::JailName;
use crate::engine::time::Timestamp;

/// Reads the configuration; what the command line says goes before it. `told` is what was wrong with it before.
pub fn load(
    options: &RunOptions,
    surroundings: Surroundings,
    told: &mut Vec<config::Problem>,
) -> Loaded {
    let path = options.config.as_deref();
    let mut loaded = config::load(path, surroundings);
    if let Some(settings) = &mut loaded.settings {
        if options.dry_run && is_tree(&main_file(path)) {
            // Fail2ban itself may be at work with it.
            settings.daemon.fail2ban_socket = None;
            settings.daemon.logging.target = None;
            settings.daemon.pid_file = None;
        }
        if let Some(socket) = &options.socket {
            settings.daemon.socket.clone_from(socket);
        }
        if let Some(socket) = &options.fail2ban_socket {
            settings.daemon.fail2ban_socket = Some(socket.clone());
        }
        settings.daemon.logging.overrule(&options.logging);
        if let Some(threshold) = &options.logging.threshold {
            settings.daemon.log_level = threshold.own();
        }
        if let Some(file) = &options.pid_file {
            settings.daemon.pid_file = Some(file.clone());
        }
    }
    report_problems(&loaded.problems, told);
    loaded
}

/// Tells what is wrong with the configuration, but for warnings that were told when it was read last.
fn report_problems(problems: &[config::Problem], told: &mut Vec<config::Problem>) {
    for problem in problems {
        match problem.severity {
            Severity::Error | Severity::LeftOut => log::error!("{}", problem.told()),
            Severity::Warning if told.contains(problem) => {}
            Severity::Warning => log::warn!("{}", problem.told()),
        }
    }
    *told = problems.to_vec();
}

/// What is told of the mistakes among the problems, which are more than warnings.
pub fn mistakes(problems: &[config::Problem]) -> Vec<String> {
    let problems = problems.iter();
    let mistakes = problems.filter(|problem| problem.severity != Severity::Warning);
    mistakes.map(config::Problem::told).collect()
}

/// Why a configuration that was read anew did not come in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It has mistakes.
    #[error("the new configuration has mistakes; the old one stays in force")]
    Mistakes(Vec<config::Problem>),
    /// By one of these mistakes jails that run would end.
    #[error("{0}; the old configuration stays in force")]
    Lost(JailsLost, Vec<config::Problem>),
    /// The driver is gone or goes.
    #[error("f2bd ends")]
    Ending,
}

/// Who reads the configuration anew.
pub struct Reloader {
    /// What the command line says.
    pub options: RunOptions,
    /// To the driver.
    pub inbox: mpsc::Sender<Letter>,
    /// What was wrong with the configuration when it was read last. Only one reads it at a time: the one that began
    /// first must not end last, with what was written before.
    pub told: tokio::sync::Mutex<Vec<config::Problem>>,
}

impl Reloader {
    /// Reads the configuration anew and puts it in force, on trial for so long if that is said, or returns what is wrong
    /// with it. Tells until when it has to be confirmed, if it has.
    pub async fn reload(
        self: &Arc<Self>,
        trial: Option<Duration>,
    ) -> Result<Option<Timestamp>, ReloadError> {
        let mut told = self.told.lock().await;
        // Reading may wait for files and for names to be resolved.
        let (reloader, mut before) = (Arc::clone(self), std::mem::take(&mut *told));
        let read = tokio::task::spawn_blocking(move || {
            let loaded = load(&reloader.options, Surroundings::Require, &mut before);
            (loaded, before)
        });
        let Ok((loaded, now)) = read.await else {
            return Err(ReloadError::Mistakes(Vec::new()));
        };
        *told = now;
        let mistakes = mistakes(&loaded.problems);
        if !mistakes.is_empty() && self.inbox.send(Letter::Mistakes(mistakes)).await.is_err() {
            return Err(ReloadError::Ending);
        }
        let Some(settings) = loaded.settings else {
            return Err(ReloadError::Mistakes(loaded.problems));
        };
        let (done, in_force) = oneshot::channel();
        let letter = Letter::Settings {
            settings: Box::new(settings),
            trial: trial.map(|trial| trial.min(LONGEST_TRIAL)),
            done,
        };
        if self.inbox.send(letter).await.is_err() {
            return Err(ReloadError::Ending);
        }
        match in_force.await {
            Ok(answer) => answer.map_err(|lost| ReloadError::Lost(lost, loaded.problems)),
            Err(_) => Err(ReloadError::Ending),
        }
    }

    /// Has a jail of a directory of Fail2ban's do as if that said otherwise. Its files are not read again: what somebody has
    /// written meanwhile is for a reload.
    pub async fn rewrite(self: &Arc<Self>, jail: JailName, change: TreeChange) -> Reply {
        // One after the other, and none while a reload reads.
        let _turn = self.told.lock().await;
        let (answer, in_force) = oneshot::channel();
        if self.inbox.send(Letter::Tree(answer)).await.is_err() {
            return answer::overtaken();
        }
        // The driver answers unless the daemon is ending.
        let Some(before) = in_force.await.unwrap_or_default() else {
            return answer::no_tree(&change);
        };
        let read = tokio::task::spawn_blocking(move || rewritten(before, jail, change)).await;
        let rewriting = match read {
            Ok(Ok(rewriting)) => Box::new(rewriting),
            Ok(Err(reply)) => return reply,
            Err(_) => return answer::overtaken(),
        };
        let (done, replied) = oneshot::channel();
        let letter = Letter::Rewritten { rewriting, done };
        if self.inbox.send(letter).await.is_err() {
            return answer::overtaken();
        }
        replied.await.unwrap_or_else(|_| answer::overtaken())
    }
}

/// What comes of a change, or the reply if nothing does.
fn rewritten(before: Arc<Tree>, jail: JailName, change: TreeChange) -> Result<Rewriting, Reply> {
    let overlaid = match before.with(&jail, &change) {
        Ok(Some(overlaid)) => overlaid,
        // It is so already.
        Ok(None) => return Err(answer::done(&[])),
        Err(error) => return Err(answer::not_written(&error)),
    };
    let Loaded {
        settings, problems, ..
    } = config::load_tree(&overlaid.tree);
    let mut blamed = problems.iter().filter(|one| overlaid.is_blamed_by(one));
    if let Some(problem) = blamed.next() {
        return Err(answer::not_meant(problem));
    }
    let settings = settings.ok_or_else(|| answer::bad_configuration(&problems))?;
    Ok(Rewriting {
        jail,
        change,
        before,
        settings,
        problems,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::config::fail2ban::logging::Said;

    #[test]
    fn a_dry_run_leaves_a_log_and_a_socket_to_fail2ban() {
        let home = tempfile::tempdir().expect("a directory");
        let own = home.path().join("own.sock");
        fs::write(home.path().join("jail.conf"), "[DEFAULT]\n").expect("a tree");
        let said = "[Definition]\nlogtarget = /var/log/theirs\nsocket = /run/theirs\n";
        fs::write(home.path().join("fail2ban.conf"), said).expect("a tree");
        let read = |dry_run, socket: Option<&PathBuf>| {
            let options = RunOptions {
                config: Some(home.path().to_owned()),
                socket: None,
                fail2ban_socket: socket.cloned(),
                pid_file: None,
                logging: Said::default(),
                dry_run,
            };
            let loaded = load(&options, Surroundings::Report, &mut Vec::new());
            let daemon = loaded.settings.expect("a good tree").daemon;
            let target = daemon.logging.target;
            let target = target.map(|target| PathBuf::from(target.name()));
            (target, daemon.fail2ban_socket)
        };
        let theirs = ["/var/log/theirs", "/run/theirs"].map(PathBuf::from);
        let [log, socket] = theirs.map(Some);
        assert_eq!(read(false, None), (log, socket));
        assert_eq!(read(true, None), (None, None));
        assert_eq!(read(true, Some(&own)), (None, Some(own.clone())));
    }

    #[tokio::test]
    async fn a_reload_without_a_driver_is_not_said_to_be_in_force() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("f2bd.conf");
        fs::write(&file, "[source.journal]\nenabled = false\n").expect("a configuration");
        let (inbox, driver) = mpsc::channel(1);
        drop(driver);
        let reloader = Arc::new(Reloader {
            options: RunOptions {
                config: Some(file),
                socket: None,
                fail2ban_socket: None,
                pid_file: None,
                logging: Said::default(),
                dry_run: false,
            },
            inbox,
            told: tokio::sync::Mutex::default(),
        });
        let reloaded = reloader.reload(None).await;
        assert!(matches!(reloaded, Err(ReloadError::Ending)), "{reloaded:?}");
    }
}
