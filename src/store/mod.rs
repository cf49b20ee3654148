//! What has been decided, and where did the sources stand?
