//! How is the daemon asked and told?
