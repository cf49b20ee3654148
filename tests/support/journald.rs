//! A real systemd-journald, started by hand.
