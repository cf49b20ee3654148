//! What comes over sockets of this machine: syslog, reports, and those who talk to the control socket.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::case::{Case, Who};
use super::{Kind, LOG, Way, kind};
use crate::support::dice::Dice;
use crate::syslog::local::{NOBODY, say_as};

/// A message with a descriptor beside it.
fn with_descriptor(case: &Case<'_>, name: &str, message: &[u8]) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(case.home().join(name)).unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [socket.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(
        &socket,
        &[IoSlice::new(message)],
        &mut control,
        SendFlags::empty(),
    )
    .unwrap();
}

fn report(case: &Case<'_>, text: &str) {
    case.local("report.sock", text.as_bytes());
}

fn control(case: &Case<'_>) -> UnixStream {
    UnixStream::connect(case.ground.world.socket()).unwrap()
}

pub fn kinds() -> Vec<Kind> {
    vec![
        kind("unix: an empty datagram", Way::Unix, |case| {
            case.local("syslog.sock", b"")
        }),
        kind("unix: the pid of another process", Way::Unix, |case| {
            let path = case.home().join("syslog.sock");
            // As a socket unit may have it.
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
            say_as(NOBODY, &path, &case.message(Who::Itself));
        }),
        kind("unix: descriptors beside a message", Way::Unix, |case| {
            with_descriptor(case, "syslog.sock", case.message(Who::Itself).as_bytes());
        })
        .refuses(1),
        kind("report: not JSON", Way::Report, |case| {
            report(case, "Failed password")
        })
        .malformed(1)
        .says("not a report: it is no JSON object"),
        kind("report: an empty datagram", Way::Report, |case| {
            report(case, "")
        })
        .malformed(1),
        kind("report: 60,000 bytes", Way::Report, |case| {
            let ip = case.address(Who::Itself);
            let detail = "x".repeat(60_000);
            report(
                case,
                &format!(r#"{{"service":"shop","ip":"{ip}","detail":"{detail}"}}"#),
            );
        })
        .malformed(1),
        kind("report: nested 3,000 deep", Way::Report, |case| {
            report(case, &"[{\"a\":".repeat(3_000 / 2))
        })
        .malformed(1),
        kind("report: values of other types", Way::Report, |case| {
            let ip = case.address(Who::Itself);
            report(case, &format!(r#"{{"service":["shop"],"ip":"{ip}"}}"#));
            report(case, r#"{"service":"shop","ip":3232235521}"#);
            report(
                case,
                &format!(r#"{{"service":"shop","ip":"{ip}","outcome":true}}"#),
            );
        })
        .malformed(3),
        kind("report: a name for the address", Way::Report, |case| {
            report(case, r#"{"service":"shop","ip":"example.org"}"#);
        })
        .malformed(1),
        kind("report: a key too many", Way::Report, |case| {
            let ip = case.address(Who::Itself);
            report(
                case,
                &format!(r#"{{"service":"shop","ip":"{ip}","ip2":"{ip}"}}"#),
            );
        })
        .malformed(1),
        kind("report: a service that nobody knows", Way::Report, |case| {
            let ip = case.address(Who::Itself);
            report(case, &format!(r#"{{"service":"depot","ip":"{ip}"}}"#));
        }),
        kind("report: a user who may not report", Way::Report, |case| {
            let ip = case.address(Who::Itself);
            let text = format!(r#"{{"service":"shop","ip":"{ip}"}}"#);
            say_as(NOBODY, &case.home().join("report.sock"), &text);
        })
        .refuses(1)
        .says("uid 65534 may not report"),
        kind(
            "report: a service that its user may not report of",
            Way::Report,
            |case| {
                let ip = case.address(Who::Itself);
                let text = format!(r#"{{"service":"depot","ip":"{ip}"}}"#);
                say_as(33, &case.home().join("report.sock"), &text);
            },
        )
        .refuses(1)
        .says("uid 33 may not report"),
        kind("report: descriptors beside it", Way::Report, |case| {
            let ip = case.address(Who::Itself);
            let text = format!(r#"{{"service":"shop","ip":"{ip}"}}"#);
            with_descriptor(case, "report.sock", text.as_bytes());
        })
        .refuses(1),
        kind("control: noise", LOG, |case| {
            let mut dice = Dice::new(9);
            for _ in 0..50 {
                let noise: Vec<u8> = (0..dice.below(6_000))
                    .map(|_| dice.below(256) as u8)
                    .collect();
                // It may answer before it has heard all.
                let _ = control(case).write_all(&noise);
            }
        }),
        kind("control: a request of 1 MB", LOG, |case| {
            let _ = control(case).write_all(&[b'{'; 1 << 20]);
        }),
        kind("control: a hundred half requests, held open", LOG, |case| {
            let mut held: Vec<UnixStream> = (0..100).map(|_| control(case)).collect();
            for stream in &mut held {
                stream.write_all(b"{\"version\":1,").unwrap();
            }
            case.attacks(Who::Itself);
            case.must_count(Who::Itself);
            let answer = case.ground.world.json(&["status"]);
            assert_eq!(answer.len(), 1);
        })
        .bans(),
    ]
}
