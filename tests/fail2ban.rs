//! Facts about what is taken over from Fail2ban: it is asked what it makes of the same, where it is there.
//!
//! Debian's package fail2ban is unpacked for the tests and runs from there; nothing of it is in this tree.

mod actions;
mod clients;
mod dates;
mod expressions;
mod log;
mod pair;
mod socket;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::skipped;

/// Where the package has its code.
const CODE: &str = "usr/lib/python3/dist-packages";

/// The root of the unpacked package, or of this machine if it is installed; a word about it where there is none.
pub fn package() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let mut places = [target.join("samples"), PathBuf::from("/")].into_iter();
    let found = places.find(|root| root.join(CODE).join("fail2ban").is_dir());
    found.or_else(|| skipped("there is no fail2ban; contrib/test.sh fetches it"))
}

/// A program of the package that Python runs.
pub fn python(root: &Path, program: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", root.join(CODE));
    command.arg(root.join(program));
    command
}
