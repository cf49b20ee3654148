//! Dates as logs write them.
