//! Whom does the unix socket believe?
//!
//! The kernel tells which process sent a message. Root, the user that runs f2bd and the owner of the socket's
//! file relay what others said, and may name whom they like. Anybody else speaks for himself: the number of the
//! record's process is the kernel's, and its program is marked with his, so that no filter takes it for the program
//! that he says it is. A filter that believes him names him with the program.

use crate::engine::record::Record;

/// Who may send to a socket that we make: our user and group. Whoever relays messages is root or is put into
/// the group; a socket unit can say otherwise.
pub const MODE: u32 = 0o660;

/// What stands before the program of a message whose sender speaks for himself, and his number.
const OWN: &str = "by-uid-";

/// The same of one who claims to be another process than he is.
const FORGED: &str = "forged-by-uid-";

/// Who sent a message, by the word of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: Option<u32>,
    uid: u32,
    relays: bool,
}

impl Process {
    /// The process of these numbers, which sent to a socket whose file belongs to `owner`.
    pub fn new(pid: i32, uid: u32, owner: u32) -> Process {
        let relays = [0, rustix::process::geteuid().as_raw(), owner];
        Process {
            // Zero is a process that cannot be seen from here.
            pid: u32::try_from(pid).ok().filter(|pid| *pid != 0),
            uid,
            relays: relays.contains(&uid),
        }
    }

    /// The user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The number of the process whose message this is.
    pub fn number_of(&self, record: &Record<'_>) -> Option<u32> {
        if self.relays { record.pid } else { self.pid }
    }

    /// The name to be recorded instead of the one that the message has.
    pub fn mark(&self, record: &Record<'_>) -> Option<String> {
        let is_forged = record.pid.is_some() && record.pid != self.pid;
        let mark = if is_forged { FORGED } else { OWN };
        (!self.relays).then(|| format!("{mark}{}:{}", self.uid, record.program))
    }
}
