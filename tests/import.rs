//! What f2bd takes over of Fail2ban: of a real one, with what it has banned.

mod state;
