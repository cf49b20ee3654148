//! Messages over a unix socket.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

use super::*;
use crate::support::skipped;

struct Place {
    _home: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = home.path().join("syslog.sock");
        Place { _home: home, path }
    }

    fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }
}

fn connected(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::unbound().unwrap();
    until("the socket is listened on", || socket.connect(path).ok());
    socket
}

/// The user `nobody`.
pub const NOBODY: u32 = 65_534;

/// Says something as another user, in the name of this very process.
pub fn say_as(user: u32, path: &Path, message: &str) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let user = Uid::from_raw(user);
            set_thread_res_uid(user, user, user).unwrap();
            connected(path).send(message.as_bytes()).unwrap();
        });
    });
}

#[test]
fn its_file_is_for_its_group_and_goes_with_it() {
    let place = Place::new();
    // What is left of a listener that was killed.
    drop(UnixDatagram::bind(&place.path).unwrap());
    let mut listening = Listening::on(&[&place.address()]);
    let socket = connected(&place.path);
    let file = fs::symlink_metadata(&place.path).unwrap();
    assert!(file.file_type().is_socket());
    // It can be reached a moment before all are allowed to; at no moment is more allowed.
    until("it is for its owner and its group", || {
        let file = fs::symlink_metadata(&place.path).unwrap();
        let mode = file.permissions().mode() & 0o777;
        assert_eq!(mode & !0o660, 0, "{mode:o}");
        (mode == 0o660).then_some(())
    });
    socket
        .send(b"<38>Feb 12 14:10:21 sshd[42]: Failed x")
        .unwrap();
    let record = listening.one();
    assert_eq!(
        (record.host.as_str(), record.program.as_str()),
        ("", "sshd")
    );
    assert_eq!(
        (record.pid, record.message().as_str()),
        (Some(42), "Failed x")
    );
    listening.end();
    assert!(!place.path.exists());
    // One that is not ours any more stays.
    let listening = Listening::on(&[&place.address()]);
    drop(connected(&place.path));
    fs::remove_file(&place.path).unwrap();
    fs::write(&place.path, "another").unwrap();
    listening.end();
    assert_eq!(fs::read_to_string(&place.path).unwrap(), "another");
}

#[test]
fn what_has_its_name_and_is_no_dead_socket_is_left_alone() {
    let place = Place::new();
    let other = place.path.with_extension("other");
    let told = |expected: &str| {
        let listening = Listening::on(&[&place.address()]);
        let Trouble::Unreadable { reason, .. } = listening.trouble() else {
            panic!("no trouble");
        };
        assert!(reason.contains(expected), "{reason}");
        listening
    };
    fs::write(&place.path, "precious").unwrap();
    told("something else of that name").end();
    assert_eq!(fs::read_to_string(&place.path).unwrap(), "precious");
    fs::remove_file(&place.path).unwrap();
    symlink(&other, &place.path).unwrap();
    told("something else of that name").end();
    assert!(!other.exists(), "a link is not followed");
    fs::remove_file(&place.path).unwrap();
    let living = UnixDatagram::bind(&place.path).unwrap();
    let mut listening = told("another process listens there");
    drop(living);
    assert!(matches!(listening.trouble(), Trouble::Recovered { .. }));
    connected(&place.path).send(b"<13>hello").unwrap();
    assert_eq!(listening.one().message(), "hello");
    listening.end();
}

#[test]
fn who_is_not_trusted_speaks_for_himself() {
    if !rustix::process::geteuid().is_root() {
        let _: Option<()> = skipped("only root can be somebody else");
        return;
    }
    let place = Place::new();
    let mut listening = Listening::on(&[&place.address()]);
    connected(&place.path).send(b"<13>ready").unwrap();
    listening.one();
    // As a socket unit may have it.
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o666)).unwrap();
    let own = std::process::id();
    for (speaker, claimed, recorded) in [
        // Its own number, or none: the kernel's.
        (
            NOBODY,
            format!("app[{own}]"),
            ("by-uid-65534:app", Some(own)),
        ),
        (NOBODY, "app".to_owned(), ("by-uid-65534:app", Some(own))),
        // Another one.
        (
            NOBODY,
            "sshd[1]".to_owned(),
            ("forged-by-uid-65534:sshd", Some(own)),
        ),
        // Root relays what others say.
        (0, "sshd[1]".to_owned(), ("sshd", Some(1))),
        (0, "sshd".to_owned(), ("sshd", None)),
    ] {
        let message = format!("<38>Feb 12 14:10:21 {claimed}: Failed");
        say_as(speaker, &place.path, &message);
        let record = listening.one();
        assert_eq!((record.program.as_str(), record.pid), recorded, "{message}");
        assert_eq!(record.message(), "Failed");
    }
    listening.end();
}

#[test]
fn descriptors_do_not_come_in() {
    let place = Place::new();
    let mut listening = Listening::on(&[&place.address()]);
    let socket = connected(&place.path);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [socket.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let message = [IoSlice::new(b"<13>take this")];
    sendmsg(&socket, &message, &mut control, SendFlags::empty()).unwrap();
    listening.must_lose(refused(1));
    socket.send(b"<13>hello").unwrap();
    assert_eq!(listening.one().message(), "hello");
    let ours = |entry: std::io::Result<fs::DirEntry>| {
        let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        let own = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        target == own
    };
    let copies = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| ours(entry).then_some(()));
    assert_eq!(copies.count(), 1, "the listener holds what was sent along");
    listening.end();
}

#[test]
fn a_fast_sender_waits_and_loses_nothing() {
    let place = Place::new();
    let mut listening = Listening::on(&[&place.address()]);
    let socket = connected(&place.path);
    let count = 50_000;
    let sender = std::thread::spawn(move || {
        for number in 0..count {
            socket.send(format!("<13>{number}").as_bytes()).unwrap();
        }
    });
    let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(listening.messages(count), expected);
    sender.join().unwrap();
    listening.end();
}
