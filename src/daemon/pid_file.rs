//! Where do scripts and monitors find the daemon's process?
//!
//! In: a path. Out: a file with the number of the process and the end of a line, for as long as the daemon runs. A file of a
//! daemon that was killed is written anew. Without it everything is protected as well, so that it cannot be written is told
//! and no more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file that goes when this does.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes it, with the directory that it is in; nothing if that cannot be.
    pub fn write(path: &Path) -> Option<PidFile> {
        let text = format!("{}\n", std::process::id());
        match written(path, &text) {
            Ok(()) => Some(PidFile {
                path: path.to_owned(),
                text,
            }),
            Err(error) => {
                let path = path.display();
                log::error!("cannot write the pid file {path}: {error}");
                None
            }
        }
    }
}

fn written(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text)
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody may have put another one there, or named no file at all: that is not ours to remove.
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|there| there.is_file())
            && fs::read_to_string(&self.path).is_ok_and(|text| text == self.text);
        if !is_ours {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display();
            log::warn!("cannot remove the pid file {path}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_is_removed() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("run/pid");
        for (stale, later, remains) in [
            (None, None, false),
            (Some("1\n"), None, false),
            (None, Some("1\n"), true),
        ] {
            if let Some(stale) = stale {
                fs::write(&path, stale).expect("a stale file");
            }
            let file = PidFile::write(&path).expect("a file");
            let text = fs::read_to_string(&path).expect("a file");
            assert_eq!(text, format!("{}\n", std::process::id()));
            if let Some(later) = later {
                fs::write(&path, later).expect("another file");
            }
            drop(file);
            assert_eq!(path.exists(), remains, "{stale:?} {later:?}");
        }
        drop(PidFile::write(Path::new("/dev/null")));
        assert!(Path::new("/dev/null").exists());
    }
}
