//! Facts about `nftables`, shown from outside.
