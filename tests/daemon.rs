//! Facts about `daemon`, shown from outside.
