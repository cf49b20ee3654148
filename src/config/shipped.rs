//! Which data files are part of the program?
//!
//! The list of what stands in `filters` and `actions`, so that the program works without any file. What they say is read
//! elsewhere.

use crate::action::file;

/// A name, and the text of its file.
type Shipped = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../", $folder, "/", $name, ".toml")))),*]
    };
}

/// `actions/NAME.toml`
pub const ACTIONS: &[Shipped] = &[
    ("nftables-slow", file::NFTABLES_SLOW),
    ("nftables", file::NFTABLES),
];

/// `filters/NAME.toml`
pub const FILTERS: &[Shipped] = files! { "filters":
    "apache-fakegooglebot"
    "apache-modsecurity"
    "apache-pass"
    "arr"
    "asterisk"
    "bitwarden"
    "cockpit"
    "counter-strike"
    "cowrie"
    "dropbear"
    "ejabberd-auth"
    "emby"
    "freeswitch"
    "guacamole"
    "jellyfin"
    "mssql-auth"
    "murmur"
    "mysqld-auth"
    "nginx-bad-request"
    "nginx-botsearch"
    "nginx-forbidden"
    "nginx-http-auth"
    "nginx-limit-req"
    "owncloud"
    "pam-generic"
    "postfix"
    "proxmox"
    "qbittorrent"
    "recidive"
    "report"
    "routeros-auth"
    "screensharingd"
    "selinux-ssh"
    "sshd"
    "webmin-auth"
    "xinetd-fail"
    "xrdp"
    "znc-adminlog"
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_in_the_list() {
        for (folder, listed) in [("actions", ACTIONS), ("filters", FILTERS)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let entries = path.read_dir().expect("a folder");
            let mut files: Vec<_> = entries
                .map(|entry| entry.expect("an entry").file_name().into_string())
                .map(|name| name.expect("a name"))
                .collect();
            files.sort();
            let listed: Vec<_> = listed
                .iter()
                .map(|(name, _)| format!("{name}.toml"))
                .collect();
            assert_eq!(files, listed, "{folder}");
        }
    }
}
