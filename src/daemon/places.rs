//! What is there only once, and which daemon has it?
//!
//! The sockets and the database. They are taken before anything else is begun: whoever is refused one has touched nothing. If
//! nothing comes of it, nothing is left that was not there before.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::config::DaemonSettings;
use crate::control::server::{self, BindError, Listener, Lock, Speech};

/// What a daemon has for itself.
#[derive(Debug)]
pub struct Places {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// The database; nothing if the disk refuses to say so.
    pub alone: Option<Lock>,
}

/// Whether Fail2ban's clients must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// If the system allows it.
    Wanted,
    /// The command line names their socket.
    Needed,
}

impl Places {
    /// Takes all of them. The daemon protects without a socket for Fail2ban's clients too: that the system refuses it is told,
    /// and no more, unless `clients` are what it was started for.
    ///
    /// # Errors
    /// Somebody else has one, or the system refuses a socket that there must be.
    pub fn take(daemon: &DaemonSettings, clients: Clients) -> Result<Places, BindError> {
        let mut places = Places {
            listeners: Vec::new(),
            alone: None,
        };
        match places.take_each(daemon, clients) {
            Ok(()) => Ok(places),
            Err(error) => {
                places.give_back();
                Err(error)
            }
        }
    }

    fn take_each(&mut self, daemon: &DaemonSettings, clients: Clients) -> Result<(), BindError> {
        self.listeners
            .push(server::bind(&daemon.socket, Speech::Own)?);
        if let Some(path) = &daemon.fail2ban_socket {
            match (server::bind(path, Speech::Fail2ban), clients) {
                (Ok(listener), _) => self.listeners.push(listener),
                (Err(error @ BindError::System { .. }), Clients::Wanted) => log::error!(
                    "{error}; Fail2ban's clients are not answered: see fail2ban_socket in f2bd.conf(5), or remove it, and restart f2bd"
                ),
                (Err(error), _) => return Err(error),
            }
        }
        self.alone = alone_with(&daemon.database)?;
        Ok(())
    }

    /// The sockets that are served.
    pub fn paths(&self) -> Vec<PathBuf> {
        let paths = self.listeners.iter().map(Listener::path);
        paths.map(Path::to_owned).collect()
    }

    /// Leaves nothing that was not there before.
    pub fn give_back(self) {
        for listener in self.listeners {
            listener.undo();
        }
        if let Some(lock) = self.alone {
            lock.undo();
        }
    }
}

/// Keeps a second daemon away from the database, whatever socket it has. What the disk refuses must not keep the
/// first one from protecting.
pub fn alone_with(database: &Path) -> Result<Option<Lock>, BindError> {
    if let Some(directory) = database.parent() {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(directory);
        if let Err(error) = made {
            log::debug!("cannot make {}: {error}", directory.display());
        }
    }
    match server::lock(database) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ (BindError::Served(_) | BindError::Foreign(_))) => Err(error),
        Err(error @ BindError::System { .. }) => {
            log::debug!("{error}");
            Ok(None)
        }
    }
}
