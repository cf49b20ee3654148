//! Which files beside a log are older parts of it?
//!
//! Comes in: the path of a log. Goes out: its rotated files, opened, with how they begin. Only names and contents are
//! compared; what to do with them is decided in `follow`.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirEntryExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::packed::Packing;
use super::part::{Body, front_of};
use super::token::{Identity, LONGEST_HEAD};

/// Endings of packed files.
const PACKED: [&str; 3] = [".gz", ".xz", ".zst"];

/// Endings of packed files that cannot be read here.
const SEALED: [&str; 3] = [".bz2", ".lz4", ".Z"];

/// Words that stand for a number.
const WORDS: [&str; 4] = ["old", "bak", "prev", "orig"];

/// The highest number that is one; longer ones are dates.
const HIGHEST_NUMBER: u64 = 9999;

/// A file beside a log.
pub struct Candidate {
    /// Its path.
    pub path: PathBuf,
    /// What the system says of it.
    pub data: Metadata,
    /// How it begins, unpacked.
    pub front: Vec<u8>,
    /// What has packed it.
    pub packing: Option<Packing>,
    /// Whether its name is that of a rotated file; otherwise only its inode speaks for it.
    pub named: bool,
    number: u64,
    file: File,
}

impl Candidate {
    /// A file that is not packed, or is taken as it is.
    ///
    /// # Errors
    /// It cannot be read, or is no file.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_file() {
            return Err(ErrorKind::InvalidInput.into());
        }
        // Without waiting: what has come in its place this moment may not open at once.
        let nonblock = OFlags::NONBLOCK.bits();
        let flags = i32::try_from(nonblock).unwrap_or_default();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?;
        let data = file.metadata()?;
        if !data.is_file() {
            return Err(ErrorKind::InvalidInput.into());
        }
        // Else each look at a log that somebody writes to would write to the disk as well. Whoever neither owns the file
        // nor is root may not ask for it, and goes without.
        let _ = rustix::fs::fcntl_setfl(&file, OFlags::NONBLOCK | OFlags::NOATIME);
        Ok(Candidate {
            path: path.to_owned(),
            front: front_of(&file)?,
            data,
            packing: None,
            named: false,
            number: 0,
            file,
        })
    }

    fn unpacked(mut self) -> io::Result<Self> {
        self.packing = Packing::of(&self.front);
        if let Some(packing) = self.packing {
            self.front.clear();
            let packed = self.file.try_clone()?;
            packing
                .unpack(packed)?
                .take(LONGEST_HEAD as u64)
                .read_to_end(&mut self.front)?;
            io::Seek::rewind(&mut self.file)?;
        }
        Ok(self)
    }

    /// Which file it is.
    pub fn identity(&self) -> Identity {
        Identity::of(&self.data)
    }

    /// Its size, where that says how much it holds.
    pub fn size(&self) -> Option<u64> {
        self.packing.is_none().then_some(self.data.len())
    }

    /// When it was last written to, in nanoseconds.
    pub fn modified(&self) -> i64 {
        modified(&self.data)
    }

    /// What it holds, from `offset` on.
    ///
    /// # Errors
    /// It is packed and cannot be unpacked.
    pub fn into_body(self, offset: u64) -> io::Result<Body> {
        match self.packing {
            None => Ok(Body::Plain(self.file)),
            Some(packing) => {
                let bytes = packing.unpack(self.file)?;
                Ok(Body::Packed {
                    bytes,
                    skip: offset,
                })
            }
        }
    }

    /// Its file.
    pub fn into_file(self) -> File {
        self.file
    }
}

/// When a file was last written to, in nanoseconds.
pub fn modified(data: &Metadata) -> i64 {
    data.mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(data.mtime_nsec())
}

/// The rotated files of a log, oldest first.
pub struct Listing {
    /// The files.
    pub candidates: Vec<Candidate>,
    /// Whether there may be others: one that could not be opened, or is still being packed.
    pub unsure: bool,
}

/// Lists the files that are rotated ones of one of the `paths`, which mean the same file, by their names, or by one of
/// the `inodes`. Only those that `wanted` asks for are opened.
pub fn list(paths: &[&Path], inodes: &[u64], wanted: impl Fn(&Metadata) -> bool) -> Listing {
    let mut listing = Listing {
        candidates: Vec::new(),
        unsure: false,
    };
    let entries = paths.iter().flat_map(|path| {
        let names = path.parent().zip(path.file_name());
        names.into_iter().flat_map(|(directory, own)| {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            entries.map(move |entry| (own, entry))
        })
    });
    for (own, entry) in entries {
        let name = entry.file_name();
        let number = number_of(own, &name);
        if paths.contains(&&*entry.path()) || (number.is_none() && !inodes.contains(&entry.ino())) {
            continue;
        }
        // Both paths may be in one directory.
        let mut listed = listing.candidates.iter_mut();
        if let Some(known) = listed.find(|file| file.path == entry.path()) {
            known.named |= number.is_some();
            continue;
        }
        let opened = entry.metadata().and_then(|data| {
            if !data.is_file() || !(inodes.contains(&data.ino()) || wanted(&data)) {
                return Ok(None);
            }
            let file = Candidate::open(&entry.path())?.unpacked()?;
            if is_packed(&name) && file.packing.is_none() {
                // It has no first bytes yet, or is packed by something else.
                return Err(ErrorKind::UnexpectedEof.into());
            }
            Ok(Some(file))
        });
        match opened {
            Ok(Some(candidate)) => listing.candidates.push(Candidate {
                named: number.is_some(),
                number: number.unwrap_or_default(),
                ..candidate
            }),
            Ok(None) => {}
            Err(_) => listing.unsure = true,
        }
    }
    // Of files of one moment, which a coarse clock makes, the higher number is the older one.
    let order = |candidate: &Candidate| (candidate.modified(), u64::MAX - candidate.number);
    listing.candidates.sort_by_key(order);
    listing
}

/// The paths of the rotated files of `path`, by their names alone, that were written to at `since` or later, in
/// nanoseconds; oldest first.
pub fn written_since(path: &Path, since: i64) -> Vec<PathBuf> {
    let (Some(directory), Some(own)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let rotated = entries.filter_map(|entry| {
        let number = number_of(own, &entry.file_name())?;
        let data = entry.metadata().ok()?;
        let is_wanted = data.is_file() && modified(&data) >= since;
        is_wanted.then(|| (modified(&data), u64::MAX - number, entry.path()))
    });
    let mut rotated: Vec<_> = rotated.collect();
    rotated.sort();
    rotated.into_iter().map(|(.., path)| path).collect()
}

/// Whether there is a rotated file of `path`, or one with one of the `inodes`, beside it.
pub fn has_files(path: &Path, inodes: &[u64]) -> bool {
    let (Some(directory), Some(own)) = (path.parent(), path.file_name()) else {
        return false;
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files = entries.map(|entry| (entry.file_name(), entry.ino()));
    files.any(|(name, inode)| is_rotated(own, &name) || inodes.contains(&inode))
}

/// Whether a log of this name is never written to: it was packed.
pub fn is_packed(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let mut endings = PACKED.iter().chain(&SEALED);
    endings.any(|ending| name.ends_with(ending.as_bytes()))
}

/// Whether `name` is that of a rotated file of the log `own`.
pub fn is_rotated(own: &OsStr, name: &OsStr) -> bool {
    number_of(own, name).is_some()
}

/// The number in the name of a rotated file; 0 if it has a date or a word.
fn number_of(own: &OsStr, name: &OsStr) -> Option<u64> {
    let (own, whole) = (own.to_str()?, name.to_str()?);
    let unpacked = PACKED.iter().find_map(|ending| whole.strip_suffix(ending));
    let name = unpacked.unwrap_or(whole);
    if name == own {
        return unpacked.map(|_| 0);
    }
    // logrotate's `extension` puts the number before the ending.
    let (stem, ending) = own.rsplit_once('.').unwrap_or((own, ""));
    let inside = || {
        name.strip_prefix(stem)?
            .strip_suffix(ending)?
            .strip_suffix('.')
    };
    name.strip_prefix(own)
        .and_then(number)
        .or_else(|| inside().and_then(number))
}

/// `.1`, `-20261121`, `-2026-11-21_10:00`, `.old`.
fn number(text: &str) -> Option<u64> {
    let text = text.strip_prefix(['.', '-', '_'])?;
    if WORDS.contains(&text) {
        return Some(0);
    }
    let plain =
        |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | ':' | 'T' | '+' | 'Z');
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(plain) {
        return None;
    }
    let number = text.parse().ok().filter(|number| *number <= HIGHEST_NUMBER);
    Some(number.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_known_by_their_names() {
        let rotated = |own: &str, name: &str| is_rotated(own.as_ref(), name.as_ref());
        for name in [
            "access.log.1",
            "access.log.12.gz",
            "access.log-20261121",
            "access.log-20261121-1763719200.xz",
            "access-20261121.log",
            "access.1.log.zst",
            "access.log.old",
            "access.log.gz",
        ] {
            assert!(rotated("access.log", name), "{name}");
        }
        for name in [
            "access.log",
            "access.log.json",
            "access.log.d1",
            "access.logs",
            "access2.log",
            "error.log.1",
            "access-ssl.log",
            "access.log.",
        ] {
            assert!(!rotated("access.log", name), "{name}");
        }
        assert!(rotated("syslog", "syslog.1") && rotated("syslog", "syslog-20261121.gz"));
    }
}
