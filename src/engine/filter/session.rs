//! Sessions: which records belong together.
