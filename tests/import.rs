//! What f2bd takes over of Fail2ban: of a real one, with its own files and what it has banned.

mod alternatives;
mod covering;
mod directory;
mod state;
