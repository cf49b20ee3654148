//! What does the service manager hear?
//!
//! Nothing where there is none: all of this is silent without `NOTIFY_SOCKET`. Nobody waits for the service
//! manager either: it may be busy for seconds, and a datagram to it blocks once ten of them are unread.

use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::UnixDatagram;
use tokio::sync::watch;

/// How long the end may be held up by a service manager that does not listen.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What the driver has to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Whether the daemon protects.
    pub ready: bool,
    /// How it is doing; `None` until that is known.
    pub status: Option<Status>,
}

/// How the daemon is doing: one line for `systemctl status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// How many jails there are.
    pub jails: usize,
    /// How many bans are in force.
    pub bans: usize,
    /// Whether an action does not work.
    pub is_action_broken: bool,
    /// Whether the database is behind.
    pub is_behind: bool,
    /// Whether the configuration is on trial.
    pub is_on_trial: bool,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jails: {}, bans: {}", self.jails, self.bans)?;
        for (is_so, what) in [
            (self.is_action_broken, "an action does not work"),
            (self.is_behind, "the database is behind"),
            (self.is_on_trial, "the configuration is on trial"),
        ] {
            if is_so {
                write!(f, ", {what}")?;
            }
        }
        Ok(())
    }
}

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// Finds the service manager. Call it inside the runtime.
    pub fn find() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|address| {
            let connected = connect(address.as_bytes());
            connected
                .map_err(|error| log::warn!("the service manager cannot be told anything: {error}"))
                .ok()
        });
        Notifier { socket }
    }

    /// Tells what the driver announces, the newest only.
    pub async fn announce(&self, mut announcements: watch::Receiver<Announcement>) {
        let mut told = Announcement::default();
        loop {
            let news = *announcements.borrow_and_update();
            if news.ready && !told.ready {
                self.tell(NotifyState::Ready).await;
            }
            if let Some(status) = news.status.filter(|_| news.status != told.status) {
                self.tell(NotifyState::Status(&status.to_string())).await;
            }
            told = news;
            if announcements.changed().await.is_err() {
                return;
            }
        }
    }

    /// The driver answers.
    pub async fn alive(&self) {
        self.tell(NotifyState::Watchdog).await;
    }

    /// The daemon is about to end.
    pub async fn stopping(&self) {
        // It ends all the same.
        let _ = tokio::time::timeout(LAST_WORD, self.tell(NotifyState::Stopping)).await;
    }

    async fn tell(&self, state: NotifyState<'_>) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.to_string().as_bytes()).await
        {
            log::debug!("the service manager cannot be told: {error}");
        }
    }
}

/// How often the service manager wants to hear [`Notifier::alive`] at least; `None` if it does not ask.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// `@` begins a name that is in no directory.
fn connect(address: &[u8]) -> std::io::Result<UnixDatagram> {
    let address = match address.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(address))?,
    };
    let socket = StdDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}
