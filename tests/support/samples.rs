//! Packages of other programs, which the tests read and none of which is in this tree.

use std::path::{Path, PathBuf};

use super::skipped;

/// Where the packages are unpacked, or installed, that bring `path`.
pub fn root(path: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let mut places = [target.join("samples"), PathBuf::from("/")].into_iter();
    let found = places.find(|root| root.join(path).exists());
    found.or_else(|| skipped("there is no package of fail2ban; contrib/test.sh fetches it"))
}
