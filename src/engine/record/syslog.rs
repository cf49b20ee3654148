//! Syslog lines into records.
