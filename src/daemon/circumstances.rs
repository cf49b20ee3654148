//! What holds for the daemon beside its policy?
//!
//! In: settings, or a change of what holds. Out: what holds then. Nothing is put in force here.

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::LevelFilter;

use crate::action::{ActionJail, ActionSpec};
use crate::config::Settings;
use crate::config::amend::{self, AmendError};
use crate::config::fail2ban::Tree;
use crate::config::fail2ban::logging::{LogPlace, LogTarget, Logging, SyslogSocket};
use crate::control::protocol::{DaemonChange, JailChange, JailSettingsRow, TreeChange};
use crate::engine::name::JailName;
use crate::engine::policy::Policy;
use crate::engine::time::Timestamp;
use crate::source::SourceSpec;
use crate::store::Retention;

/// Under what the daemon runs: the settings in force, but for the policy, which is the engine's.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Where the configuration is read from.
    pub config: PathBuf,
    /// What is to be read.
    pub sources: Vec<SourceSpec>,
    /// How long history is kept.
    pub retention: Retention,
    /// Whether nobody is banned who would be locked out.
    pub guard: bool,
    /// Where history is kept.
    pub database: PathBuf,
    socket: PathBuf,
    fail2ban_socket: Option<PathBuf>,
    actions: Vec<(ActionSpec, Vec<ActionJail>)>,
    /// Where what happens is told in Fail2ban's words.
    pub logging: Logging,
    /// What is told of the settings of jails.
    pub rows: Vec<JailSettingsRow>,
    /// The directory of Fail2ban's from which it was read, with what somebody has changed since.
    pub tree: Option<Arc<Tree>>,
    /// What is otherwise than the files of the configuration say, since somebody has said so.
    pub set: BTreeSet<String>,
    dry_run: bool,
    /// When the daemon has begun.
    pub since: Timestamp,
    /// What the daemon tells of.
    pub log_level: LevelFilter,
}

impl Circumstances {
    /// Those of a daemon that starts now.
    pub fn new(
        settings: Settings,
        config: PathBuf,
        dry_run: bool,
        now: Timestamp,
    ) -> (Self, Policy) {
        let circumstances = Circumstances {
            config,
            sources: settings.sources,
            retention: settings.daemon.retention,
            guard: settings.daemon.guard,
            database: settings.daemon.database,
            socket: settings.daemon.socket,
            fail2ban_socket: settings.daemon.fail2ban_socket,
            actions: settings.actions,
            logging: settings.daemon.logging,
            rows: settings.rows,
            tree: settings.tree,
            set: BTreeSet::new(),
            dry_run,
            since: now,
            log_level: settings.daemon.log_level,
        };
        (circumstances, settings.policy)
    }

    /// Those after a reload. The database and the socket stay what they were at the start.
    pub fn of(settings: Settings, old: &Circumstances) -> (Self, Policy) {
        let (mut new, policy) =
            Circumstances::new(settings, old.config.clone(), old.dry_run, old.since);
        keep("database", &mut new.database, &old.database);
        keep("socket", &mut new.socket, &old.socket);
        if new.fail2ban_socket != old.fail2ban_socket {
            log::warn!(
                "the socket for Fail2ban's clients is still what it was; restart f2bd to change it"
            );
            new.fail2ban_socket.clone_from(&old.fail2ban_socket);
        }
        (new, policy)
    }

    /// The same, and the policy, with a setting of a jail changed.
    ///
    /// # Errors
    /// It cannot be so.
    pub fn with(
        &self,
        policy: &Policy,
        jail: &JailName,
        change: &JailChange,
    ) -> Result<(Self, Policy), AmendError> {
        let (mut new, mut policy) = (self.clone(), policy.clone());
        amend::amend(&mut policy, &mut new.rows, jail, change)?;
        new.set.insert(format!("{} of {jail}", change.key()));
        Ok((new, policy))
    }

    /// The same with settings that come of a change in the directory: what somebody has changed otherwise stays.
    ///
    /// # Errors
    /// The jail is not among them.
    pub fn rewritten(
        &self,
        in_force: &Policy,
        settings: Settings,
        jail: &JailName,
        change: &TreeChange,
    ) -> Result<(Self, Policy), AmendError> {
        let mut new = self.clone();
        let mut policy = settings.policy;
        new.sources = settings.sources;
        new.actions = settings.actions;
        new.rows = settings.rows;
        new.tree = settings.tree;
        amend::keep_ended(&mut policy, &mut new.rows, &mut new.actions, in_force);
        if !policy.jails.iter().any(|known| known.name == *jail) {
            return Err(AmendError::Jail(jail.clone()));
        }
        amend::carry_over(&mut policy, &mut new.rows, in_force);
        new.set.insert(format!("{} of {jail}", change.key()));
        Ok((new, policy))
    }

    /// The same without a jail.
    ///
    /// # Errors
    /// There is no such jail.
    pub fn without(&self, policy: &Policy, jail: &JailName) -> Result<(Self, Policy), AmendError> {
        let (mut new, mut policy) = (self.clone(), policy.clone());
        amend::take_out(&mut policy, &mut new.rows, &mut new.actions, jail)?;
        new.set.insert(format!("enabled of {jail}"));
        Ok((new, policy))
    }

    /// The same with a setting of the daemon changed.
    ///
    /// # Errors
    /// It cannot be so.
    pub fn with_daemon(&self, change: &DaemonChange) -> Result<Self, AmendError> {
        let mut new = self.clone();
        match change {
            DaemonChange::KeepBans(text) => {
                let span = amend::span(text)?.filter(|span| !span.is_zero());
                new.retention.history = span.ok_or(AmendError::NoTime("keep_bans"))?;
            }
            DaemonChange::LogLevel(threshold) => {
                new.log_level = threshold.own();
                new.logging.threshold = threshold.clone();
            }
            DaemonChange::Fail2banLog(text) => {
                let target = LogTarget::parse(text)?;
                for unmet in &target.unmet {
                    log::warn!("the log in Fail2ban's form: {unmet}");
                }
                new.logging.target = Some(target);
                prove(&new.logging)?;
            }
            DaemonChange::SyslogSocket(word) => {
                new.logging.socket = SyslogSocket::named(word);
                prove(&new.logging)?;
            }
        }
        new.set.insert(change.key().to_owned());
        Ok(new)
    }

    /// Whether everything is only decided.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The actions to run, each for its jails: none in a dry run.
    pub fn actions(&self) -> &[(ActionSpec, Vec<ActionJail>)] {
        if self.dry_run { &[] } else { &self.actions }
    }
}

/// Looks whether lines could get there, without opening it.
fn prove(logging: &Logging) -> Result<(), AmendError> {
    match logging.target.as_ref().map(|target| &target.place) {
        Some(LogPlace::File(path)) => {
            let folder = path.parent();
            match folder.is_some_and(Path::is_dir) && !path.is_dir() {
                true => Ok(()),
                false => Err(AmendError::NoFile(path.clone())),
            }
        }
        Some(LogPlace::Syslog(_)) => {
            let path = logging.syslog();
            let is_socket = path.metadata().is_ok_and(|is| is.file_type().is_socket());
            match is_socket {
                true => Ok(()),
                false => Err(AmendError::NoSyslog(path.to_owned())),
            }
        }
        _ => Ok(()),
    }
}

/// Keeps a path that a running daemon cannot change, and says so.
fn keep(what: &str, new: &mut PathBuf, old: &PathBuf) {
    if new != old {
        log::warn!(
            "the {what} is still {}; restart f2bd to use {}",
            old.display(),
            new.display()
        );
        new.clone_from(old);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{self, Surroundings};

    const JAILS: &str = "[DEFAULT]
backend = polling
filter = sshd
[sshd]
enabled = true
logpath = /var/log/sshd.log
[late]
enabled = true
";

    /// What a directory comes to whose jail `late` says this as well.
    fn settings(said: &str) -> Settings {
        let home = tempfile::tempdir().expect("a directory");
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("filter.d")).expect("a directory");
        let filter = "[Definition]\nfailregex = ^x <HOST>$\n";
        fs::write(at("filter.d/sshd.conf"), filter).expect("a filter");
        fs::write(at("jail.conf"), format!("{JAILS}{said}\n")).expect("jails");
        let loaded = config::load(Some(home.path()), Surroundings::Ignore);
        loaded.settings.expect("a good tree")
    }

    #[test]
    fn a_change_of_one_jail_ends_no_other_for_which_bans_wait() {
        let [sshd, late] = ["sshd", "late"].map(|name| name.parse::<JailName>().expect("a name"));
        let change = TreeChange::Addfailregex("y".to_owned());
        let broken = settings("");
        assert!(broken.policy.misses(&late));
        let start =
            |settings| Circumstances::new(settings, PathBuf::new(), true, Timestamp::default());
        let (before, in_force) = start(broken);
        let whole = || settings("logpath = /var/log/late.log");
        let names = |policy: &Policy| -> Vec<_> {
            let jails = policy.jails.iter();
            jails.map(|jail| jail.name.to_string()).collect()
        };

        // What it lacked has come since.
        let rewritten = before.rewritten(&in_force, whole(), &sshd, &change);
        let (_, policy) = rewritten.expect("a change");
        assert_eq!(names(&policy), ["sshd", "late"]);

        // Somebody has ended it, and so it stays.
        let (ended, in_force) = before.without(&in_force, &late).expect("an end");
        let rewritten = ended.rewritten(&in_force, whole(), &sshd, &change);
        let (_, policy) = rewritten.expect("a change");
        assert_eq!(names(&policy), ["sshd"]);
        assert!(!policy.misses(&late));
    }
}
