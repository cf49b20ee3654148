//! Waiting for a fact, never for time to pass.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// How long a fact may take before the test fails; generous, since machines under test are busy.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks `fact` again and again until it answers; panics with `what` at the deadline.
pub fn until<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = fact() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reads from a socket that waits with a time limit. The end of a child process, anybody's, can interrupt such a
/// wait; that tells nothing of the socket.
pub fn uninterrupted<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
