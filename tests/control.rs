//! Facts about `control`, shown from outside.
