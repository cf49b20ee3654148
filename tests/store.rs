//! Facts about `store`, shown from outside.
