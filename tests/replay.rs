//! Facts about `replay`, shown from outside.
