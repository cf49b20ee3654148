//! How is one program run?
//!
//! Without a shell, mostly in an environment that says next to nothing, for so long and no longer. What it reads comes from
//! memory, so that it cannot keep us waiting; of what it says so much is kept, and the rest is thrown away. Nothing
//! here knows what the program is for.
//!
//! A process list shows arguments to everybody on the machine: what is secret goes through the input.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::said::one_line;

/// How much output is kept, in bytes. Lists of bans are read from it: 200,000 of the longest addresses with what a
/// firewall writes around each.
pub const MOST_OUTPUT: usize = 16 * 1024 * 1024;

/// How much of its complaint is told: the first lines name the cause, and it may repeat it for every rule.
const LONGEST_COMPLAINT: usize = 600;

/// How much is read at once: what a pipe holds if nobody has asked for more.
const CHUNK: usize = 64 * 1024;

/// How much is read after the end: more than a pipe can hold, and an end to what a grandchild may still write.
const MOST_LEFT_BEHIND: usize = 2 * 1024 * 1024;

/// How long a program that is late has to clean up: what a script needs to take its lock away.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Where the tools of administrators are, which not every service has in its path.
const TOOLS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// One run of a program.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// The program, by its path or by a name that is looked up in PATH, and its arguments.
    pub argv: &'a [String],
    /// What it reads.
    pub input: &'a [u8],
    /// How long it may take; then it is killed, with what it has started.
    pub deadline: Duration,
    /// The exit codes that are success; no others are.
    pub accepts: &'a [i32],
    /// What it finds in its environment.
    pub environment: Environment<'a>,
}

/// What a program finds in its environment, beside a PATH that has the places of administrators' tools.
#[derive(Clone, Copy, Debug)]
pub enum Environment<'a> {
    /// Next to nothing.
    Bare,
    /// All that we have, and these variables.
    Ours(&'a [(String, String)]),
}

/// How a program ended that did what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to its standard output: the first [`MOST_OUTPUT`] bytes.
    pub output: Vec<u8>,
    /// Whether it wrote more.
    pub cut: bool,
}

/// Why a program did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It cannot be run.
    #[error("cannot run {program}: {error}")]
    Start {
        /// What was to be run.
        program: String,
        /// Why it was not.
        error: io::Error,
    },
    /// It ran, and did not do it.
    #[error("{program} failed ({status}){}{complaint}", if complaint.is_empty() { "" } else { ": " })]
    Refused {
        /// What was run.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said, on one line.
        complaint: String,
    },
    /// It did not end.
    #[error("{program} did not end within {seconds} seconds")]
    Late {
        /// What was run.
        program: String,
        /// How long it had.
        seconds: u64,
    },
}

/// Runs a program and waits for its end.
///
/// What it started and left behind is not waited for. If it did not end in time, all of that is killed.
///
/// # Errors
/// It cannot be run, or ended with a code that is not accepted or by a signal, or it did not end in time.
pub fn run(errand: &Errand) -> Result<Ended, ExecError> {
    let program = errand.argv.first().cloned().unwrap_or_default();
    let mut output = Stream::new(MOST_OUTPUT);
    let mut complaint = Stream::new(LONGEST_COMPLAINT);
    let ended = start(errand).and_then(|mut child| {
        let ended = attend(&mut child, [&mut output, &mut complaint], errand.deadline);
        if !matches!(ended, Ok(true)) {
            end(&mut child)?;
        }
        let status = child.wait()?;
        Ok(ended?.then_some(status))
    });
    let status = match ended {
        Err(error) => return Err(ExecError::Start { program, error }),
        Ok(None) => {
            let seconds = errand.deadline.as_secs();
            return Err(ExecError::Late { program, seconds });
        }
        Ok(Some(status)) => status,
    };
    match status.code() {
        Some(code) if errand.accepts.contains(&code) => Ok(Ended {
            code,
            output: output.kept,
            cut: output.cut,
        }),
        _ => {
            // Some programs complain where others answer.
            let mut said = one_line(&complaint.kept, LONGEST_COMPLAINT);
            if said.is_empty() {
                said = one_line(&output.kept, LONGEST_COMPLAINT);
            }
            Err(ExecError::Refused {
                program,
                status,
                complaint: said,
            })
        }
    }
}

/// Whether the program can be run.
pub fn is_there(program: &Path) -> bool {
    find(program).is_some()
}

/// Where a program is: where its path says, or if it is a name, in the first place of [`path`] that has it.
fn find(program: &Path) -> Option<PathBuf> {
    let runs = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.components().count() > 1 {
        return Some(program.to_owned()).filter(runs);
    }
    env::split_paths(&path())
        .map(|place| place.join(program))
        .find(runs)
}

/// Our PATH, and after it the places of administrators' tools that are not in it.
fn path() -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let tools = TOOLS.iter().map(PathBuf::from);
    let mut places: Vec<PathBuf> = Vec::new();
    for place in env::split_paths(&own).chain(tools) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    // They come from such a list, so they can be joined to one.
    env::join_paths(places).unwrap_or(own)
}

fn start(errand: &Errand) -> io::Result<Child> {
    let not_found = |why| io::Error::new(io::ErrorKind::NotFound, why);
    let (program, arguments) = errand
        .argv
        .split_first()
        .ok_or_else(|| not_found("no program is named"))?;
    let name = Path::new(program);
    let found = find(name).ok_or_else(|| match name.components().count() {
        0 | 1 => not_found("it is not in PATH; install it, or give its whole path"),
        _ => not_found("there is no such program; install it, or correct the path"),
    })?;
    // A file in memory: the program cannot keep us waiting by not reading it.
    let mut input = File::from(memfd_create("f2bd-input", MemfdFlags::CLOEXEC)?);
    input.write_all(errand.input)?;
    input.rewind()?;
    let mut command = Command::new(found);
    match errand.environment {
        Environment::Bare => {
            let home = env::var_os("HOME").map(|home| ("HOME", home));
            command.env_clear().env("LC_ALL", "C").envs(home);
        }
        Environment::Ours(more) => {
            let more = more.iter().map(|(name, value)| (name, value));
            command.envs(more);
        }
    }
    command
        .args(arguments)
        .env("PATH", path())
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // So that what it has started can be ended with it.
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => not_found("the interpreter that it names is not there"),
            _ => error,
        })
}

/// Ends a program that has not ended, and what it has started: it is asked to end first, so that it may clean up.
fn end(child: &mut Child) -> io::Result<()> {
    let group = Pid::from_child(child);
    let send = |signal| match kill_process_group(group, signal) {
        // It has moved to another group.
        Err(Errno::SRCH) => Ok(()),
        other => other,
    };
    send(Signal::TERM)?;
    let process = pidfd_open(group, PidfdFlags::empty())?;
    step(&process, &mut [], LAST_WORDS)?;
    send(Signal::KILL)?;
    child.kill()
}

/// What comes through a pipe.
struct Stream {
    kept: Vec<u8>,
    most: usize,
    cut: bool,
    pipe: Option<File>,
}

impl Stream {
    fn new(most: usize) -> Stream {
        Stream {
            kept: Vec::new(),
            most,
            cut: false,
            pipe: None,
        }
    }

    /// Takes what has come, and returns how many bytes it was; nothing means that nothing more will come.
    fn take(&mut self) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else {
            return Ok(0);
        };
        let mut chunk = [0; CHUNK];
        let count = retry_on_intr(|| rustix::io::read(pipe, &mut chunk))?;
        if count == 0 {
            self.pipe = None;
        }
        let kept = count.min(self.most - self.kept.len());
        self.kept.extend_from_slice(&chunk[..kept]);
        self.cut |= kept < count;
        Ok(count)
    }
}

/// Reads what a program writes until it ends, and returns whether it has ended in time.
fn attend(
    child: &mut Child,
    mut streams: [&mut Stream; 2],
    deadline: Duration,
) -> io::Result<bool> {
    let begin = Instant::now();
    streams[0].pipe = child.stdout.take().map(|pipe| OwnedFd::from(pipe).into());
    streams[1].pipe = child.stderr.take().map(|pipe| OwnedFd::from(pipe).into());
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        if step(&process, &mut streams, left)?.ended {
            break;
        }
    }
    // What it wrote last is in the pipes; whether somebody still holds them is not waited for.
    let mut left_behind = 0;
    while left_behind < MOST_LEFT_BEHIND {
        match step(&process, &mut streams, Duration::ZERO)?.taken {
            0 => break,
            taken => left_behind += taken,
        }
    }
    Ok(true)
}

/// What has happened.
struct Step {
    /// The program has ended.
    ended: bool,
    /// So many bytes were read.
    taken: usize,
}

/// Waits, but not for longer than `patience`, until the program writes or ends, and reads what it wrote.
fn step(process: &OwnedFd, streams: &mut [&mut Stream], patience: Duration) -> io::Result<Step> {
    // A time that the kernel has no number for is for ever.
    let patience = Timespec::try_from(patience).ok();
    let mut asked = vec![PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    for stream in streams.iter() {
        if let Some(pipe) = &stream.pipe {
            asked.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        }
    }
    // Signals come when they like, and tell nothing of the program.
    retry_on_intr(|| poll(&mut asked, patience.as_ref()))?;
    let mut ready = asked.iter().map(|fd| !fd.revents().is_empty());
    let ended = ready.next().unwrap_or_default();
    let ready: Vec<bool> = ready.collect();
    let open = streams.iter_mut().filter(|stream| stream.pipe.is_some());
    let mut taken = 0;
    for (stream, ready) in open.zip(ready) {
        if ready {
            taken += stream.take()?;
        }
    }
    Ok(Step { ended, taken })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_path_or_where_it_is_said_to_be() {
        assert!(is_there(Path::new("sh")));
        assert!(is_there(Path::new("/bin/sh")));
        assert!(!is_there(Path::new("no-such-program")));
        assert!(!is_there(Path::new("/bin")));
        assert!(!is_there(Path::new("/etc/passwd")));
        assert!(!is_there(Path::new("")));
    }

    #[test]
    fn the_path_has_the_places_of_tools_once() {
        let path = path();
        for tools in TOOLS {
            let places = env::split_paths(&path).filter(|place| place == Path::new(tools));
            assert_eq!(places.count(), 1, "{tools} in {path:?}");
        }
    }
}
