//! Facts about `man`, shown from outside.
