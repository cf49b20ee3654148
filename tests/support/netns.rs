//! Network namespaces of our own.
//!
//! Two of them with a cable between them are a server and its attackers. Threads of the test move into a
//! namespace, and what they start or open there stays there; the machine's own namespace is never touched.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::skipped;
use super::wait::{DEADLINE, until};

/// How long a connection may take before the host counts as unreachable. The first packet is sent again
/// after a second; one that is answered at all is answered in microseconds.
const SILENCE: Duration = Duration::from_millis(400);

/// A network namespace, gone when this is dropped.
pub struct Netns {
    name: String,
}

impl Netns {
    /// A new one with only a loopback device; `None`, and a word about it, where none can be made.
    pub fn new() -> Option<Netns> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            return skipped("network namespaces need root");
        }
        for (program, question) in [("ip", "-V"), ("nft", "--version")] {
            if Command::new(program).arg(question).output().is_err() {
                return skipped(&format!("{program} is missing"));
            }
        }
        let name = format!(
            "f2bd-test-{}-{}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed)
        );
        let made = ip(&["netns", "add", &name]);
        if !made.status.success() {
            return skipped(&String::from_utf8_lossy(&made.stderr));
        }
        let namespace = Netns { name };
        namespace.ip("link set lo up");
        Some(namespace)
    }

    /// By which ip(8) knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Moves the calling thread in.
    pub fn enter(&self) {
        enter(&self.name);
    }

    /// A function that moves the thread that calls it in.
    pub fn entrance(&self) -> impl FnOnce() + Send + 'static {
        let name = self.name.clone();
        move || enter(&name)
    }

    /// Does something inside, on a thread of its own.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter();
                work()
            });
            thread.join().unwrap()
        })
    }

    /// A program that will run inside.
    pub fn command(&self, program: &str) -> Command {
        // By its path, since a test may give the program another PATH.
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&paths).map(|folder| folder.join("ip"));
        let mut command = Command::new(places.find(|path| path.exists()).unwrap());
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs nft inside and answers what it prints.
    pub fn nft(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.inside(|| Command::new("nft").args(arguments).output().unwrap());
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8(output.stderr).unwrap())
        }
    }

    /// Gives the inside another address.
    pub fn add_address(&self, address: &str) {
        self.add_address_to("cable", address);
    }

    /// Gives a device of the inside another address.
    pub fn add_address_to(&self, device: &str, address: &str) {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!("addr add {address} dev {device} {nodad}"));
    }

    /// Takes one away.
    pub fn remove_address_from(&self, device: &str, address: &str) {
        self.ip(&format!("addr del {address} dev {device}"));
    }

    /// Lets everything that is not near go by this gateway.
    pub fn route_by(&self, gateway: &str) {
        self.ip(&format!("route add default via {gateway}"));
    }

    /// Listens inside for connections on all addresses.
    pub fn listen(&self, port: u16) -> TcpListener {
        self.inside(|| TcpListener::bind(("::", port)).unwrap())
    }

    /// Opens a socket for datagrams inside.
    pub fn datagrams(&self, address: SocketAddr) -> UdpSocket {
        self.inside(|| UdpSocket::bind(address).unwrap())
    }

    /// Connects from an address inside.
    pub fn connect(&self, from: &str, to: SocketAddr) -> Result<TcpStream, std::io::Error> {
        self.connect_within(SILENCE, from, to)
    }

    /// The error that answers a connection from an address inside. One of ICMP counts only when it answers the second
    /// packet, since the socket is busy while it sends the first.
    pub fn refusal(&self, from: &str, to: SocketAddr) -> Option<Errno> {
        let answer = self.connect_within(DEADLINE, from, to);
        answer.err().and_then(|error| Errno::from_io_error(&error))
    }

    fn connect_within(
        &self,
        patience: Duration,
        from: &str,
        to: SocketAddr,
    ) -> Result<TcpStream, std::io::Error> {
        let from: IpAddr = from.parse().unwrap();
        let family = if from.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        loop {
            let socket = self.inside(|| socket(family, SocketType::STREAM, None).unwrap());
            set_socket_timeout(&socket, Timeout::Send, Some(patience)).unwrap();
            bind(&socket, &SocketAddr::new(from, 0)).unwrap();
            match connect(&socket, &to) {
                Ok(()) => return Ok(TcpStream::from(socket)),
                // The end of a child process can interrupt any thread that waits with a time limit.
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether a connection from an address inside comes about.
    pub fn reaches(&self, from: &str, to: SocketAddr) -> bool {
        self.connect(from, to).is_ok()
    }

    /// Waits until one does.
    pub fn must_reach(&self, from: &str, to: SocketAddr) {
        until(&format!("{from} reaches {to}"), || {
            self.reaches(from, to).then_some(())
        });
    }

    /// Has ip(8) do something to it.
    pub fn ip(&self, words: &str) {
        let mut arguments = vec!["-n", &self.name];
        arguments.extend(words.split_whitespace());
        let output = ip(&arguments);
        assert!(
            output.status.success(),
            "ip {words}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}

/// A server and the network of its attackers, with a cable between them.
pub struct Cable {
    /// 192.0.2.1/24 and 2001:db8::1/32.
    pub server: Netns,
    /// 192.0.2.7, 192.0.2.8, 2001:db8:0:7::7 and 2001:db8:0:8::8.
    pub attackers: Netns,
}

impl Cable {
    /// A new one; `None`, and a word about it, where none can be made.
    pub fn new() -> Option<Cable> {
        let (server, attackers) = (Netns::new()?, Netns::new()?);
        server.ip(&format!(
            "link add cable type veth peer name cable netns {}",
            attackers.name
        ));
        for end in [&server, &attackers] {
            end.ip("link set cable up");
        }
        for address in ["192.0.2.1/24", "2001:db8::1/32"] {
            server.add_address(address);
        }
        for address in [
            "192.0.2.7/24",
            "192.0.2.8/24",
            "2001:db8:0:7::7/32",
            "2001:db8:0:8::8/32",
        ] {
            attackers.add_address(address);
        }
        Some(Cable { server, attackers })
    }
}

fn enter(name: &str) {
    let namespace = File::open(format!("/run/netns/{name}")).unwrap();
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn ip(arguments: &[&str]) -> Output {
    Command::new("ip").args(arguments).output().unwrap()
}
