//! What does the service manager hear?
//!
//! Nothing where there is none: all of this is silent without `NOTIFY_SOCKET`.

use std::time::Duration;

use sd_notify::NotifyState;

/// The daemon protects from now on.
pub fn ready() {
    tell(&[NotifyState::Ready]);
    log::info!("ready");
}

/// The daemon is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// The driver answers.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the service manager wants to hear [`alive`] at least; `None` if it does not ask.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("the service manager cannot be told: {error}");
    }
}
