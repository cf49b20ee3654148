//! A real systemd-journald, started by hand.
//!
//! Each one lives in a mount namespace of its own with an empty /run, so any number run beside each other
//! and beside the machine's own, with and without systemd as the first process. Its files and sockets are
//! in a directory of the test.

use std::fs;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Signal, kill_process};

use super::wait::until;

const PROGRAM: &str = "/lib/systemd/systemd-journald";

/// What the private mount namespace looks like. $1 is our directory, $2 the journal namespace or empty. A
/// container may have no machine id, without which no journald starts; then it sees an /etc of its own.
const STAGE: &str = r#"
set -e
if [ -n "$2" ]; then mkdir -p /run/log/journal; mount --bind /run/log/journal "$1/logs"; fi
mount -t tmpfs tmpfs /run
name=journal${2:+.$2}; conf=journald${2:+@$2}.conf.d
mkdir -p "/run/systemd/$name" /run/log/journal "/run/systemd/$conf"
mount --bind "$1/sockets" "/run/systemd/$name"
mount --bind "$1/logs" /run/log/journal
cp "$1/journald.conf" "/run/systemd/$conf/zz-test.conf"
if ! grep -Eqsx '[0-9a-f]{32}' /etc/machine-id; then
    if ! [ -d "$1/etc" ]; then
        mkdir "$1/etc"
        for file in passwd group nsswitch.conf ld.so.cache; do
            if [ -e "/etc/$file" ]; then cp "/etc/$file" "$1/etc"; fi
        done
        tr -d - < /proc/sys/kernel/random/uuid > "$1/etc/machine-id"
    fi
    mount --bind "$1/etc" /etc
fi
exec /lib/systemd/systemd-journald $2
"#;

/// Nothing is dropped for coming too fast, nothing comes from elsewhere, and a nearly full disk does
/// not matter.
const CONFIGURATION: &str = "[Journal]
Storage=volatile
RateLimitIntervalSec=0
RateLimitBurst=0
RuntimeMaxUse=1G
RuntimeKeepFree=1M
ForwardToSyslog=no
ForwardToKMsg=no
ForwardToConsole=no
ForwardToWall=no
ReadKMsg=no
Audit=no
";

/// Where a journal file tells its state, and that of one which is full and closed.
const STATE: usize = 16;
const ARCHIVED: u8 = 2;

/// A running journald; it and all it wrote are gone when this is dropped.
pub struct Journald {
    home: tempfile::TempDir,
    namespace: Option<String>,
    process: Child,
    socket: UnixDatagram,
}

impl Journald {
    /// One with a journal of its own in [`Journald::directory`]; `None`, and a word about it, where none
    /// can run.
    pub fn start() -> Option<Self> {
        Self::start_as(None)
    }

    /// One that serves a journal namespace of this machine.
    pub fn start_in_namespace(namespace: &str) -> Option<Self> {
        if namespace_files(namespace).is_none() {
            return skipped("this machine has no /etc/machine-id");
        }
        Self::start_as(Some(namespace))
    }

    fn start_as(namespace: Option<&str>) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return skipped("a journald of our own needs root");
        }
        if !Path::new(PROGRAM).exists() {
            return skipped("there is no systemd-journald on this machine");
        }
        let home = tempfile::tempdir().expect("a directory");
        for part in ["logs", "sockets"] {
            fs::create_dir(home.path().join(part)).expect("a directory in ours");
        }
        fs::write(home.path().join("journald.conf"), CONFIGURATION).expect("a configuration");
        // As systemd-tmpfiles does it on an installed machine: the group may read what is created here.
        let logs = home.path().join("logs");
        run(Command::new("chgrp").arg("systemd-journal").arg(&logs));
        run(Command::new("chmod").arg("2750").arg(&logs));
        run(Command::new("chmod").arg("0711").arg(home.path()));
        let process = launch(home.path(), namespace);
        let socket = connect(home.path());
        let journald = Journald {
            home,
            namespace: namespace.map(str::to_owned),
            process,
            socket,
        };
        journald.log("journald", "the first message makes the first file");
        // Its file is there before anything can be read in it.
        until("journald writes", || {
            let mut last = Command::new("journalctl");
            last.arg("--directory").arg(journald.directory());
            let output = last
                .args(["--quiet", "--lines=1", "--output=cat"])
                .output()
                .ok()?;
            (output.status.success() && !output.stdout.is_empty()).then_some(())
        });
        Some(journald)
    }

    /// Where the journal's files are.
    pub fn directory(&self) -> PathBuf {
        match &self.namespace {
            Some(namespace) => namespace_files(namespace).expect("a machine id"),
            None => self.home.path().join("logs"),
        }
    }

    /// The sockets that programs know in /run/systemd/journal.
    pub fn sockets(&self) -> PathBuf {
        self.home.path().join("sockets")
    }

    /// The socket that programs know as /dev/log.
    pub fn dev_log(&self) -> PathBuf {
        self.home.path().join("sockets/dev-log")
    }

    /// The socket to which journald connects the standard output of services.
    pub fn stdout(&self) -> PathBuf {
        self.home.path().join("sockets/stdout")
    }

    /// Sends one entry; returns when journald has it in its queue.
    pub fn send(&self, fields: &[(&str, &[u8])]) {
        let entry = native(fields);
        match self.socket.send(&entry) {
            Ok(_) => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) =>
            {
                self.send_large(&entry);
            }
            Err(error) => panic!("journald took no entry: {error}"),
        }
    }

    /// Sends one message as `program`.
    pub fn log(&self, program: &str, message: &str) {
        self.send(&[
            ("SYSLOG_IDENTIFIER", program.as_bytes()),
            ("MESSAGE", message.as_bytes()),
        ]);
    }

    /// Makes journald begin new files; returns when it has.
    pub fn rotate(&self) {
        let before = self.archived();
        self.signal(Signal::USR2);
        until("journald rotates", || {
            (self.archived() > before).then_some(())
        });
    }

    /// Removes all files but the active ones.
    pub fn vacuum(&self) {
        // journald 252 is not done with a file when it has a new one. If that is removed meanwhile, it is cut
        // to nothing, and its readers die of that.
        until("journald has closed its old files", || {
            let open = |file: &PathBuf| {
                fs::read(file).is_ok_and(|bytes| bytes.get(STATE) != Some(&ARCHIVED))
            };
            (!self.files("@").iter().any(open)).then_some(())
        });
        // Both bounds are the smallest ones; what is active stays.
        run(Command::new("journalctl")
            .arg("--directory")
            .arg(self.directory())
            .args(["--vacuum-files=1", "--vacuum-time=1us"]));
        assert_eq!(self.archived(), 0, "vacuum leaves archived files");
    }

    /// Ends journald and starts it again on the same files.
    pub fn restart(&mut self) {
        self.signal(Signal::TERM);
        self.process.wait().expect("the end of journald");
        for socket in fs::read_dir(self.home.path().join("sockets")).expect("our directory") {
            fs::remove_file(socket.expect("an entry").path()).expect("a socket to remove");
        }
        self.process = launch(self.home.path(), self.namespace.as_deref());
        self.socket = connect(self.home.path());
    }

    /// How many files are full and closed.
    fn archived(&self) -> usize {
        self.files("@").len()
    }

    fn files(&self, with: &str) -> Vec<PathBuf> {
        let mut directories = vec![self.directory()];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for item in fs::read_dir(directory).into_iter().flatten().flatten() {
                if item.path().is_dir() {
                    directories.push(item.path());
                } else if item.file_name().to_string_lossy().contains(with) {
                    files.push(item.path());
                }
            }
        }
        files
    }

    /// What does not fit into a datagram goes into a sealed file of memory.
    fn send_large(&self, entry: &[u8]) {
        let memory = memfd_create("entry", MemfdFlags::ALLOW_SEALING).expect("a file of memory");
        let mut memory = fs::File::from(memory);
        memory.write_all(entry).expect("room in memory");
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        fcntl_add_seals(&memory, seals).expect("seals");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [memory.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(
            &self.socket,
            &[IoSlice::new(&[])],
            &mut control,
            SendFlags::empty(),
        )
        .expect("journald takes a file");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("journald runs");
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(files) = self.namespace.as_deref().and_then(namespace_files) {
            let _ = fs::remove_dir_all(files);
        }
    }
}

fn skipped<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "cannot test: {why}");
    eprintln!("SKIPPED: {why}");
    None
}

/// Where journald keeps the files of a namespace of this machine.
fn namespace_files(namespace: &str) -> Option<PathBuf> {
    let machine = fs::read_to_string("/etc/machine-id").ok()?;
    let machine = machine.trim();
    let known = machine.len() == 32 && machine.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = Path::new("/run/log/journal").join(format!("{machine}.{namespace}"));
    known.then_some(path)
}

fn launch(home: &Path, namespace: Option<&str>) -> Child {
    // `exec` all the way: the number of the child is that of journald.
    Command::new("unshare")
        .args(["--mount", "sh", "-c", STAGE, "journald"])
        .arg(home)
        .arg(namespace.unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("unshare, of util-linux")
}

fn connect(home: &Path) -> UnixDatagram {
    let path = home.join("sockets/socket");
    until("journald listens", || {
        let there =
            fs::metadata(&path).is_ok_and(|is| is.file_type().is_socket() && is.size() == 0);
        let socket = UnixDatagram::unbound().ok()?;
        (there && socket.connect(&path).is_ok()).then_some(socket)
    })
}

/// An entry in the journal's own protocol: a value with a line end in it is told with its length.
fn native(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut entry = Vec::new();
    for (name, value) in fields {
        entry.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            entry.push(b'\n');
            entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            entry.push(b'=');
        }
        entry.extend_from_slice(value);
        entry.push(b'\n');
    }
    entry
}

fn run(command: &mut Command) {
    let output = command.output().expect("a program of the base system");
    assert!(output.status.success(), "{command:?}: {output:?}");
}
