//! What is there only once, and which daemon has it?
//!
//! The sockets and the database. They are taken before anything else is begun: whoever is refused one has touched nothing. If
//! nothing comes of it, nothing is left that was not there before.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

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

impl Places {
    /// Takes all of them.
    ///
    /// # Errors
    /// Somebody else has one, or the system refuses a socket.
    pub fn take(daemon: &DaemonSettings) -> Result<Places, BindError> {
        let mut places = Places {
            listeners: Vec::new(),
            alone: None,
        };
        match places.take_each(daemon) {
            Ok(()) => Ok(places),
            Err(error) => {
                places.give_back();
                Err(error)
            }
        }
    }

    fn take_each(&mut self, daemon: &DaemonSettings) -> Result<(), BindError> {
        let own = [(Some(&daemon.socket), Speech::Own)];
        let theirs = [(daemon.fail2ban_socket.as_ref(), Speech::Fail2ban)];
        for (path, speech) in own.into_iter().chain(theirs) {
            if let Some(path) = path {
                self.listeners.push(server::bind(path, speech)?);
            }
        }
        self.alone = alone_with(&daemon.database)?;
        Ok(())
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
