//! Samples: lines that prove a pattern.
