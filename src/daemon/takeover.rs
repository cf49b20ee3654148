//! How does a ban of another program become one of ours?
//!
//! In: bans as they are told. Out: what the engine made of each, and decisions to be remembered and carried out. A daemon that runs
//! takes them from the control socket; where none does, they go into its database, and it finds them there when it starts.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use super::clock;
use super::longest_findtime;
use crate::config::Settings;
use crate::control::protocol::{ForeignBan, TakenOver};
use crate::control::server::{self, Lock};
use crate::engine::decision::BanId;
use crate::engine::input::Adoption;
use crate::engine::record::kept::kept;
use crate::engine::subject::{Name, Subject};
use crate::engine::time::Timestamp;
use crate::engine::{Decision, Engine, Input};
use crate::store::{Store, StoreError};

/// What came of some bans.
#[derive(Debug, Default)]
pub struct Taken {
    /// What has become of each.
    pub rows: Vec<TakenOver>,
    /// What is to be remembered.
    pub decisions: Vec<Decision>,
    /// Which of them concern bans that are over.
    past: HashSet<BanId>,
}

impl Taken {
    /// What is to be carried out: nobody need hear of a ban that is over.
    pub fn orders(&self) -> Vec<Decision> {
        let is_order = |decision: &&Decision| match decision {
            Decision::Ban(ban) => !self.past.contains(&ban.id),
            Decision::Unban(unban) => !self.past.contains(&unban.ban),
            _ => false,
        };
        self.decisions.iter().filter(is_order).cloned().collect()
    }
}

/// Lets the engine hear of bans that `program` has made, the oldest first.
///
/// # Errors
/// The database cannot be asked which of them it knows.
pub fn take_over(
    engine: &mut Engine,
    store: &Store,
    now: Timestamp,
    program: &str,
    bans: &[ForeignBan],
) -> Result<Taken, StoreError> {
    let mut taken = Taken::default();
    for ban in bans {
        let adoption = match adoption(engine, program, ban) {
            Ok(adoption) => adoption,
            Err(why) => {
                taken.rows.push(why);
                continue;
            }
        };
        // Also one that somebody has lifted since.
        if store.has_ban(&adoption.jail, &adoption.subject, adoption.start)? {
            taken.rows.push(TakenOver::Known);
            continue;
        }
        let first = taken.decisions.len();
        engine.handle(now, Input::Adopt(adoption), &mut taken.decisions);
        let own = &taken.decisions[first..];
        let made = own.iter().find_map(|decision| match decision {
            Decision::Ban(made) if made.jail == ban.jail => Some(made.id),
            _ => None,
        });
        let is_over = |id| matches!(own.last(), Some(Decision::Unban(unban)) if unban.ban == id);
        taken.rows.push(match made {
            Some(id) if is_over(id) => {
                taken.past.insert(id);
                TakenOver::Past
            }
            Some(_) => TakenOver::InForce,
            None => TakenOver::Known,
        });
    }
    Ok(taken)
}

/// What the engine should hear of a ban, or why nothing.
fn adoption(engine: &Engine, program: &str, ban: &ForeignBan) -> Result<Adoption, TakenOver> {
    let mut jails = engine.policy().jails.iter();
    let policy = jails.find(|policy| policy.name == ban.jail);
    let policy = policy.ok_or(TakenOver::NoJail)?;
    let subject = match policy.named_by {
        Some(_) => Name::of(&ban.subject).map(Subject::Name),
        None => ban.subject.parse().ok(),
    };
    let mut subject = subject.ok_or(TakenOver::NoSubject)?;
    if let Some(network) = subject.network() {
        // Whoever is one subject to the jail is found again under that.
        let own = policy.width.subject(network.address());
        let network = if network.is_host() { own } else { network };
        subject = network.into();
        if policy.protects(network).is_some() {
            return Err(TakenOver::Ignored);
        }
        if engine.guards(network).is_some() {
            return Err(TakenOver::Guarded);
        }
    }
    if engine.ledger().is_full() {
        return Err(TakenOver::Full);
    }
    let failures = match ban.failures {
        0 => String::new(),
        1 => " (1 failure)".to_owned(),
        failures => format!(" ({failures} failures)"),
    };
    Ok(Adoption {
        jail: ban.jail.clone(),
        subject,
        start: ban.start,
        bantime: ban.bantime,
        offence: ban.offence,
        user: ban.user.as_deref().map(|user| kept(user).into()),
        lines: ban.lines.iter().map(|line| kept(line).into()).collect(),
        reason: kept(&format!("taken over from {program}{failures}")).into(),
    })
}

/// Why bans cannot be put into a database.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// A daemon has it, which should be asked instead.
    #[error("{0}; name the socket of the daemon that uses the database with --socket")]
    Served(server::BindError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The database of a daemon that does not run. None can start before this is dropped.
pub struct Resting {
    engine: Engine,
    store: Store,
    _alone: Option<Lock>,
}

impl Resting {
    /// Opens it, and makes it if there is none yet.
    ///
    /// # Errors
    /// A daemon runs after all, or the database cannot be read.
    pub fn open(settings: Settings) -> Result<Resting, TakeOverError> {
        let path = &settings.daemon.database;
        let alone = super::places::alone_with(path).map_err(TakeOverError::Served)?;
        let store = Store::open(path)?;
        let now = clock::now();
        let remembered = store.remembered(now, longest_findtime(&settings.policy))?;
        let mut engine = Engine::new(settings.policy);
        // What the daemon decides of it when it starts, it decides then.
        let mut decided = Vec::new();
        engine.handle(now, Input::Restore(remembered), &mut decided);
        give_to_the_daemon(path);
        Ok(Resting {
            engine,
            store,
            _alone: alone,
        })
    }

    /// Takes over some bans, all or none.
    ///
    /// # Errors
    /// None was taken.
    pub fn take_over(
        &mut self,
        program: &str,
        bans: &[ForeignBan],
    ) -> Result<Vec<TakenOver>, StoreError> {
        let now = clock::now();
        let taken = take_over(&mut self.engine, &self.store, now, program, bans)?;
        self.store.commit(now, &taken.decisions, None)?;
        Ok(taken.rows)
    }
}

/// Lets the files beside each other belong to whom their directory belongs: root may have made them for a daemon that runs as
/// another user. Where that is refused, they are of the right one or the daemon will say so.
fn give_to_the_daemon(database: &Path) {
    let Some(directory) = database.parent().and_then(|path| fs::metadata(path).ok()) else {
        return;
    };
    for ending in ["", "-wal", "-shm", ".lock"] {
        let mut path = database.as_os_str().to_owned();
        path.push(ending);
        if let Err(error) = chown(&path, Some(directory.uid()), Some(directory.gid())) {
            log::debug!("{}: {error}", path.display());
        }
    }
}
