//! Sockets that systemd opens.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};

use super::local::{NOBODY, say_as};
use super::*;
use crate::support::skipped;

/// Where the child listens, and the directory in which it tells what it heard.
const ADDRESSES: &str = "F2BD_TEST_ADDRESSES";
const HOME: &str = "F2BD_TEST_HOME";

/// Started by systemd-socket-activate it hears one message, ends its listener, and hears three more with another
/// one when it is told to. Started by the test runner it does nothing.
#[test]
fn the_child_that_inherits() {
    let Ok(addresses) = std::env::var(ADDRESSES) else {
        return;
    };
    let home = std::env::var(HOME).unwrap();
    let home = Path::new(&home);
    let addresses: Vec<&str> = addresses.split(',').collect();
    for (count, go, done) in [(1, "go-1", "heard-1"), (3, "go-2", "heard-2")] {
        until("the test says go", || home.join(go).exists().then_some(()));
        let mut listening = Listening::on(&addresses);
        let records = listening.records(count);
        let text = records.iter().map(|record| {
            let pid = record.pid.map_or("-".to_owned(), |pid| pid.to_string());
            format!("{} {pid} {}\n", record.program, record.message())
        });
        let mut text: Vec<String> = text.collect();
        text.sort();
        listening.end();
        fs::write(home.join("part"), text.concat()).unwrap();
        fs::rename(home.join("part"), home.join(done)).unwrap();
    }
}

struct Activated {
    home: tempfile::TempDir,
    systemd: Child,
}

impl Activated {
    fn start(options: &[&str], addresses: &str) -> Option<Self> {
        if Command::new("systemd-socket-activate")
            .arg("--version")
            .output()
            .is_err()
        {
            return skipped("there is no systemd-socket-activate");
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let options = options
            .iter()
            .map(|option| option.replace("HOME", home.path().to_str().unwrap()));
        let addresses = addresses.replace("HOME", home.path().to_str().unwrap());
        let systemd = Command::new("systemd-socket-activate")
            .args(options)
            .arg(format!("--setenv={ADDRESSES}={addresses}"))
            .arg(format!("--setenv={HOME}={}", home.path().display()))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "syslog::activation::the_child_that_inherits"])
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Some(Activated { home, systemd })
    }

    fn go(&self, number: u32) {
        fs::write(self.home.path().join(format!("go-{number}")), "").unwrap();
    }

    fn heard(&self, number: u32) -> String {
        let path = self.home.path().join(format!("heard-{number}"));
        until("the child has heard what it was sent", || {
            fs::read_to_string(&path).ok()
        })
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.systemd.kill();
        let _ = self.systemd.wait();
    }
}

#[test]
fn datagrams_wait_in_the_socket_of_systemd() {
    if !rustix::process::geteuid().is_root() {
        let _: Option<()> = skipped("only root can be somebody else");
        return;
    }
    let address = free("127.0.0.1");
    let listen = format!("--listen={address}");
    let Some(activated) = Activated::start(
        &["--datagram", &listen, "--listen=HOME/socket"],
        &format!("udp://{address},unix://HOME/socket"),
    ) else {
        return;
    };
    let path = activated.home.path().join("socket");
    let local = UnixDatagram::unbound().unwrap();
    until("systemd has made the socket", || local.connect(&path).ok());
    // A relay that is not root is given the socket.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    chown(&path, Some(NOBODY), None).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    send_to_listener(&sender, address, b"<13>app[1]: before anybody listened");
    activated.go(1);
    assert_eq!(activated.heard(1), "app 1 before anybody listened\n");
    assert!(path.exists(), "what systemd made stays");
    sender.send(b"<13>app[2]: between two listeners").unwrap();
    say_as(NOBODY, &path, "<38>sshd[3]: of the owner");
    say_as(1, &path, "<38>sshd[4]: of somebody else");
    activated.go(2);
    let own = std::process::id();
    let mut expected = [
        "app 2 between two listeners\n".to_owned(),
        format!("forged-by-uid-1:sshd {own} of somebody else\n"),
        "sshd 3 of the owner\n".to_owned(),
    ];
    expected.sort();
    assert_eq!(activated.heard(2), expected.concat());
}

#[test]
fn connections_wait_in_the_socket_of_systemd() {
    let address = free("127.0.0.1");
    let listen = format!("--listen={address}");
    let Some(activated) = Activated::start(&[&listen], &format!("tcp://{address}")) else {
        return;
    };
    let send = |text: &str| {
        let mut stream = connect(address);
        stream.write_all(text.as_bytes()).unwrap();
    };
    send("<13>app[1]: first\n");
    activated.go(1);
    assert_eq!(activated.heard(1), "app 1 first\n");
    send("<13>app[2]: second\n<13>app[3]: third\n");
    send("<13>app[4]: fourth\n");
    activated.go(2);
    assert_eq!(
        activated.heard(2),
        "app 2 second\napp 3 third\napp 4 fourth\n"
    );
}
