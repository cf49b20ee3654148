//! Network namespaces of our own.
