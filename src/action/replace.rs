//! How is the content of one file replaced?
//!
//! At once: whoever reads the file sees the old content or the new one, never a part. Nothing here knows what the file is
//! for.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// How many symbolic links may follow one another: as many as the kernel allows.
const MOST_LINKS: usize = 40;

/// What everybody may do with a new file: servers read it as other users.
const NEW_FILE: u32 = 0o644;

/// What everybody may do with a new folder.
const NEW_FOLDER: u32 = 0o755;

/// Makes a file hold just this, and answers whether it did not already.
///
/// A file that was there keeps its permissions and its owner, and a symbolic link keeps pointing to it. If only the last
/// folder is missing, it is made.
///
/// # Errors
/// The file is as it was.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<bool> {
    let path = target(path)?;
    if fs::read(&path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        DirBuilder::new().mode(NEW_FOLDER).create(folder)?;
        // The process may be one that keeps all it makes to itself.
        fs::set_permissions(folder, Permissions::from_mode(NEW_FOLDER))?;
    }
    let old = match fs::metadata(&path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let made = write_new(&beside, content, old.as_ref()).and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = made {
        // What is wrong has been found already; a disk that is full wants the space back.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(true)
}

/// Where a path leads to in the end, also if there is nothing yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            // One that is relative begins in the folder of the link.
            Ok(link) => path = path.parent().unwrap_or(Path::new("/")).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn write_new(path: &Path, content: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    // What is left of an earlier run, or what somebody else has put there: it is not followed anywhere.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    if let Some(old) = old {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    let mode = old.map_or(NEW_FILE, |old| old.mode() & 0o7777);
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").mode() & 0o7777
    }

    #[test]
    fn what_is_that_already_is_left_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("folder/list");
        assert!(replace(&path, b"one").expect("the last folder is made"));
        assert_eq!(mode(&path), NEW_FILE);
        assert_eq!(mode(&home.path().join("folder")), NEW_FOLDER);
        let number = fs::metadata(&path).expect("a file").ino();
        assert!(!replace(&path, b"one").expect("nothing to do"));
        assert_eq!(fs::metadata(&path).expect("a file").ino(), number);
        assert!(replace(&path, b"").expect("it is writable"));
        assert_eq!(fs::read(&path).expect("a file"), b"");
        let too_deep = home.path().join("a/b/list");
        assert!(replace(&too_deep, b"").is_err(), "no tree is grown");
    }

    #[test]
    fn links_permissions_and_owners_stay() {
        let home = tempfile::tempdir().expect("a folder");
        let (path, link) = (home.path().join("list"), home.path().join("link"));
        let middle = home.path().join("middle");
        symlink("middle", &link).expect("a link");
        symlink(&path, &middle).expect("a link");
        assert!(replace(&link, b"one").expect("where it leads nothing is yet"));
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("ours");
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            chown(&path, Some(65_534), Some(65_534)).expect("root can");
        }
        assert!(replace(&link, b"two").expect("it is writable"));
        assert_eq!(fs::read_link(&link).expect("a link"), Path::new("middle"));
        assert_eq!(fs::read_link(&middle).expect("a link"), path);
        assert_eq!(fs::read(&path).expect("a file"), b"two");
        assert_eq!(mode(&path), 0o640);
        if is_root {
            assert_eq!(fs::metadata(&path).expect("a file").uid(), 65_534);
        }
        symlink("round", home.path().join("round")).expect("a link");
        assert!(replace(&home.path().join("round"), b"").is_err());
    }

    #[test]
    fn nothing_is_left_beside_it() {
        let home = tempfile::tempdir().expect("a folder");
        let (path, victim) = (home.path().join("list"), home.path().join("victim"));
        fs::write(&victim, "precious").expect("a file");
        symlink(&victim, home.path().join("list.new")).expect("a link");
        assert!(replace(&path, b"one").expect("the link is taken away"));
        assert_eq!(fs::read(&victim).expect("a file"), b"precious");
        // What cannot be replaced.
        fs::create_dir(home.path().join("taken")).expect("a folder");
        assert!(replace(&home.path().join("taken"), b"").is_err());
        let mut left: Vec<_> = home
            .path()
            .read_dir()
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["list", "taken", "victim"]);
    }
}
