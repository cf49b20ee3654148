//! Facts about `journal`, shown from outside.
