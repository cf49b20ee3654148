//! Facts about `filters`, shown from outside.
