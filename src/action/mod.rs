//! How is the world made equal to the ledger?
