//! How is a ruleset loaded?
//!
//! By nft, in one transaction: it takes all of the text or nothing. There is no shell, and the text comes
//! through standard input. Elements of sets do not go this way.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How long nft may take. It needs milliseconds; on a machine that is out of breath some seconds. Much less than
/// the service manager's patience, since an action that ends is waited for.
const DEADLINE: Duration = Duration::from_secs(10);

/// How much of its complaint is told: the first lines name the cause, and it may repeat it for every rule.
const LONGEST_COMPLAINT: u64 = 600;

/// Why a ruleset was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be run.
    #[error("cannot run {program}: {error}")]
    Start {
        /// What was to be run.
        program: String,
        /// Why it was not.
        error: io::Error,
    },
    /// It ran, and did not do it.
    #[error("nft refuses the ruleset ({status}): {complaint}")]
    Refused {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        complaint: String,
    },
    /// It did not end.
    #[error("nft did not end within {} seconds", DEADLINE.as_secs())]
    Late,
}

/// Has nft load a text.
///
/// # Errors
/// Nothing of it was loaded.
pub fn load(program: &Path, text: &str) -> Result<(), ProgramError> {
    let start = |error| ProgramError::Start {
        program: program.display().to_string(),
        error,
    };
    // Files in memory: nft can neither keep us waiting while it reads, nor while it complains.
    let mut input = memory_file("f2bd-ruleset").map_err(start)?;
    input
        .write_all(text.as_bytes())
        .and_then(|()| input.rewind())
        .map_err(start)?;
    let mut output = memory_file("f2bd-complaint").map_err(start)?;
    let mut child = Command::new(program)
        .args(["-f", "-"])
        .env("LC_ALL", "C")
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(output.try_clone().map_err(start)?)
        .spawn()
        .map_err(start)?;
    match wait(&mut child).map_err(start)? {
        None => Err(ProgramError::Late),
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            let mut complaint = Vec::new();
            let read = output.rewind().and_then(|()| {
                (&output)
                    .take(LONGEST_COMPLAINT)
                    .read_to_end(&mut complaint)
            });
            let complaint = match read {
                Ok(_) => String::from_utf8_lossy(&complaint)
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
                Err(error) => error.to_string(),
            };
            Err(ProgramError::Refused { status, complaint })
        }
    }
}

/// Whether the program can be run.
pub fn is_there(program: &Path) -> bool {
    let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.components().count() > 1 {
        return runs(program);
    }
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|place| runs(&place.join(program))))
}

/// Waits for the end; `None` if it does not come in time, and then the child has been killed.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let deadline = Timespec {
        tv_sec: DEADLINE.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    // A signal may end the wait early; then the child is simply asked again.
    let ended = loop {
        match poll(
            &mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)],
            Some(&deadline),
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other? > 0,
        }
    };
    if !ended {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(ended.then_some(status))
}

fn memory_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
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
    }

    #[test]
    fn what_the_program_complains_about_is_told() {
        // `cat -f -` refuses its option.
        let error = load(Path::new("cat"), "text").expect_err("cat is no nft");
        assert!(
            matches!(&error, ProgramError::Refused { complaint, .. } if complaint.contains("option")),
            "{error}"
        );
        let error = load(Path::new("/no/such/nft"), "text").expect_err("it is not there");
        assert!(
            error.to_string().starts_with("cannot run /no/such/nft: "),
            "{error}"
        );
    }
}
