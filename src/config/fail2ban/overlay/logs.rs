//! Which log files does a jail read when somebody changes that?
//!
//! As in the files, a path may have wildcards; one that comes by such a change is that of one file. No log is opened here.

use std::fs;
use std::io;
use std::path::Path;

use super::{Laid, OverlayError};
use crate::config::fail2ban::stream::there;
use crate::config::fail2ban::transcription::logs;
use crate::control::fail2ban::value::Value;

impl Laid<'_> {
    /// The logs, perhaps with wildcards.
    fn logs(&self) -> Vec<String> {
        let paths = self.started.options.get("logpath");
        let paths = paths.into_iter().flat_map(logs);
        paths.map(str::to_owned).collect()
    }

    pub(super) fn add_log(&mut self, path: &str) -> Result<bool, OverlayError> {
        self.needs_files()?;
        if !path.starts_with('/') || path.contains(['*', '?', '[', ']', '\n']) {
            return Err(OverlayError::NoPath);
        }
        readable(path)?;
        let mut logs = self.logs();
        let is_there = |log: &String| log == path || there(log).iter().any(|file| file == path);
        if logs.iter().any(is_there) {
            return Ok(false);
        }
        logs.push(path.to_owned());
        self.say("logpath", &logs)?;
        Ok(true)
    }

    /// Of a path with wildcards the other files stay, and none is added that comes to be there.
    pub(super) fn remove_log(&mut self, path: &str) -> Result<bool, OverlayError> {
        self.needs_files()?;
        let (mut left, mut is_found) = (Vec::new(), false);
        for log in self.logs() {
            let files = there(&log);
            if log == path {
                is_found = true;
            } else if files.iter().any(|file| file == path) {
                is_found = true;
                left.extend(files.into_iter().filter(|file| file != path));
            } else {
                left.push(log);
            }
        }
        if !is_found {
            return Ok(false);
        }
        if left.is_empty() {
            return Err(self.last("logpath"));
        }
        self.say("logpath", &left)?;
        Ok(true)
    }
}

/// Whether a log can be read.
fn readable(path: &str) -> Result<(), OverlayError> {
    let python = |number: i32, text: &str| {
        OverlayError::Log(format!("[Errno {number}] {text}: {}", Value::from(path)))
    };
    // Nothing is opened: of a pipe that would wait.
    match fs::metadata(Path::new(path)) {
        Ok(data) if data.is_dir() => Err(python(21, "Is a directory")),
        Ok(data) if !data.is_file() => Err(OverlayError::NoPath),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(python(2, "No such file or directory"))
        }
        Err(error) => Err(OverlayError::Log(format!("{path}: {error}"))),
    }
}
