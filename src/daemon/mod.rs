//! In which order do things start, run and end?

pub mod memory;
