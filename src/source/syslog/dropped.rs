//! How many messages has the kernel dropped on a UDP socket, where no message comes to tell?
//!
//! It tells its count with each message, and so with the next one that finds room. Behind the end of a flood there may be
//! none for long; then its table of sockets has the count.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;

use rustix::fs::fstat;

/// The tables of the thread's own network: one for each family.
const TABLES: [&str; 2] = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];

/// Where the inode stands in a line of a table, and how far behind it the number of dropped messages.
const INODE: usize = 9;
const DROPS_BEHIND: usize = 2;

/// The count since the socket was opened; it begins again behind the last number. `None` if no table has the socket.
///
/// # Errors
/// The tables cannot be read.
pub fn on(socket: &impl AsFd) -> io::Result<Option<u32>> {
    let inode = fstat(socket)?.st_ino;
    for table in TABLES {
        let table = match File::open(table) {
            Ok(table) => table,
            // A system without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // Line by line, since everybody on the machine can open many sockets.
        for line in BufReader::new(table).lines() {
            if let Some(drops) = drops_in(&line?, inode) {
                return Ok(Some(drops));
            }
        }
    }
    Ok(None)
}

/// The count in a line of a table, if it is that of the socket.
fn drops_in(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_ascii_whitespace();
    let is_its = words.nth(INODE)?.parse() == Ok(inode);
    words.nth(DROPS_BEHIND)?.parse().ok().filter(|_| is_its)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_known_by_its_inode() {
        let head = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
        let line = "  987: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 4294967295";
        assert_eq!(drops_in(line, 4711), Some(u32::MAX));
        for (line, inode) in [(line, 987), (head, 4711), ("", 4711), (&line[..100], 4711)] {
            assert_eq!(drops_in(line, inode), None, "{line}");
        }
    }

    #[test]
    fn a_socket_of_each_family_is_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A system may have no IPv6.
            let Ok(socket) = std::net::UdpSocket::bind(address) else {
                continue;
            };
            assert_eq!(on(&socket).expect("the tables"), Some(0), "{address}");
        }
        let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        assert_eq!(on(&other).expect("the tables"), None);
    }
}
