//! Facts about `config`, shown from outside.
