//! What a file system can do to logs and the database.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

use super::case::{Case, Who, append};
use super::ground::{MANY, USER};
use super::{Kind, LOG, kind};
use crate::support::wait::until;

/// Puts something in the place of the kind's own log, until it has been complained of.
fn in_its_place(case: &Case<'_>, complaint: &str, place: impl FnOnce(&Path)) {
    moved_away(case);
    place(&case.path);
    case.must_say(complaint);
    fs::remove_file(&case.path)
        .or_else(|_| fs::remove_dir(&case.path))
        .unwrap();
}

/// Moves the kind's own log away, when all of it has been read.
fn moved_away(case: &Case<'_>) {
    case.must_count(Who::Before);
    fs::rename(&case.path, case.path.with_extension("old")).unwrap();
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Another log for the attack in the midst, of this name.
fn named(case: &Case<'_>, name: &[u8]) {
    let path = case.path.with_file_name(OsStr::from_bytes(name));
    append(&path, (case.line(Who::Itself) + "\n").as_bytes());
}

/// Moves the kind's own log to a source of its own.
fn in_source(case: &mut Case<'_>, path: &str) {
    case.must_count(Who::Before);
    case.path = case.home().join(path);
}

/// A database that has been written to for a while has room of its own for some time, so this comes first.
pub fn full_disk() -> Kind {
    kind("no room for the database", LOG, |case| {
        case.must_count(Who::Before);
        let ballast = case.ground.world.database().with_file_name("ballast");
        fs::write(&ballast, vec![1; 32 << 20]).unwrap_err();
        case.attacks(Who::Itself);
        let address = case.address(Who::Itself).to_string();
        until("he is banned all the same", || {
            case.ground.world.kernel_bans(&address).then_some(())
        });
        case.must_say("disk is full");
        fs::remove_file(&ballast).unwrap();
        case.must_count(Who::Itself);
    })
    .bans()
    .says("disk is full")
}

pub fn kinds() -> Vec<Kind> {
    vec![
        kind("a link to itself in the log's place", LOG, |case| {
            in_its_place(case, "evels of symbolic links", |path| {
                symlink(path, path).unwrap()
            });
        })
        .says("evels of symbolic links"),
        kind("a link to nothing in the log's place", LOG, |case| {
            moved_away(case);
            symlink(case.path.with_extension("nothing"), &case.path).unwrap();
            // Another log shows that it has been looked at.
            named(case, b"beside-a-dangling-link.log");
            case.must_count(Who::Itself);
            fs::remove_file(&case.path).unwrap();
        })
        .bans(),
        kind("a directory in the log's place", LOG, |case| {
            in_its_place(case, "is a directory", |path| fs::create_dir(path).unwrap());
        })
        .says("is a directory"),
        kind("a pipe in the log's place", LOG, |case| {
            in_its_place(case, "is a pipe or socket", |path| {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            });
        })
        .says("is a pipe or socket"),
        kind("a socket in the log's place", LOG, |case| {
            in_its_place(case, "is a pipe or socket", |path| {
                drop(UnixListener::bind(path).unwrap())
            });
        })
        .says("is a pipe or socket"),
        kind("an endless device in the log's place", LOG, |case| {
            in_its_place(case, "is a device", |path| {
                symlink("/dev/zero", path).unwrap()
            });
        })
        .says("is a device"),
        kind("a directory that vanishes and returns", LOG, |case| {
            in_source(case, "gone/app.log");
            named(case, b"app.log");
            case.must_count(Who::Itself);
            let directory = case.home().join("gone");
            fs::remove_dir_all(&directory).unwrap();
            case.must_say("there is no directory");
            fs::create_dir(&directory).unwrap();
        })
        .bans()
        .says("there is no directory"),
        kind(
            "permission withdrawn while it runs, and given back",
            LOG,
            |case| {
                moved_away(case);
                case.write("\n");
                permit(&case.path, 0);
                case.must_say("x.log: let the user");
                case.write(&(case.line(Who::Itself) + "\n"));
                permit(&case.path, 0o644);
            },
        )
        .bans()
        .says("x.log: let the user"),
        kind(
            "permission withdrawn for the whole directory",
            LOG,
            |case| {
                in_source(case, "gone/app.log");
                let directory = case.home().join("gone");
                permit(&directory, 0);
                case.must_say("gone/app.log: let the user");
                named(case, b"app.log");
                permit(&directory, 0o755);
            },
        )
        .bans()
        .says("gone/app.log: let the user"),
        kind("a log that is removed and made anew", LOG, |case| {
            case.must_count(Who::Before);
            fs::remove_file(&case.path).unwrap();
        }),
        kind("a log that is cut to nothing in mid-line", LOG, |case| {
            case.write("half a li");
            case.must_count(Who::Before);
            fs::write(&case.path, "").unwrap();
        }),
        kind("a log with another name too", LOG, |case| {
            case.must_count(Who::Before);
            fs::hard_link(&case.path, case.path.with_file_name("hard.log")).unwrap();
            symlink(&case.path, case.path.with_file_name("soft.log")).unwrap();
        }),
        kind("a log with a line end in its name", LOG, |case| {
            named(case, b"two\nlines.log")
        })
        .bans(),
        // It is no name that a configuration could have, and not read.
        kind("a log whose name has no encoding", LOG, |case| {
            named(case, b"\xff\xfe.log")
        }),
        kind("10,000 files that match", LOG, |case| {
            in_source(case, &format!("{MANY}/a.log"));
            named(case, b"a.log");
            case.must_count(Who::Itself);
            for number in 0..10_000 {
                let path = case.path.with_file_name(format!("b{number}x.log"));
                fs::File::create(path).unwrap();
            }
            case.must_say("more than 256 files match");
        })
        .bans()
        .says("more than 256 files match"),
        kind("inotify refused", LOG, |case| {
            case.must_count(Who::Before);
            let (sender, full) = mpsc::channel();
            let (done, wait) = mpsc::channel::<()>();
            // One instance too many for the daemon's user, and none is left.
            std::thread::spawn(move || {
                let user = rustix::process::Uid::from_raw(USER);
                rustix::thread::set_thread_res_uid(user, user, user).unwrap();
                let mut instances = Vec::new();
                while let Ok(instance) = inotify::Inotify::init() {
                    instances.push(instance);
                }
                sender.send(()).unwrap();
                let _ = wait.recv();
            });
            full.recv().unwrap();
            case.ground.reopen_logs("+01:00");
            until("it looks by itself", || {
                let log = case.ground.daemon.log();
                log.contains("inotify is refused").then_some(())
            });
            case.attacks(Who::Itself);
            case.must_count(Who::Itself);
            drop(done);
        })
        .bans(),
    ]
}
