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
    ("serve", file::SERVE),
];

/// `filters/NAME.toml`
pub const FILTERS: &[Shipped] = files! { "filters":
    "3proxy"
    "adguardhome"
    "apache-auth"
    "apache-badbots"
    "apache-botsearch"
    "apache-fakegooglebot"
    "apache-modsecurity"
    "apache-nohome"
    "apache-noscript"
    "apache-overflows"
    "apache-pass"
    "apache-shellshock"
    "arr"
    "assp"
    "asterisk"
    "audiobookshelf"
    "authelia"
    "authentik"
    "baikal"
    "bitwarden"
    "bookstack"
    "caddy"
    "calibre-web"
    "centreon"
    "cockpit"
    "coraza"
    "couchdb"
    "counter-strike"
    "courier-auth"
    "courier-smtp"
    "cowrie"
    "cpanel"
    "cyrus-imap"
    "deluge"
    "directadmin"
    "dolibarr"
    "domino-smtp"
    "dovecot"
    "dropbear"
    "drupal-auth"
    "ejabberd-auth"
    "elasticsearch"
    "emby"
    "envoy"
    "exim-spam"
    "exim"
    "filterlog"
    "firefly-iii"
    "freeswitch"
    "freshrss"
    "frigate"
    "froxlor-auth"
    "ghost"
    "gitea"
    "gitlab"
    "glpi"
    "gotify"
    "grafana"
    "groupoffice"
    "gssftpd"
    "guacamole"
    "haproxy-http-auth"
    "haraka"
    "harbor"
    "hestiacp"
    "hmailserver"
    "home-assistant"
    "horde"
    "iis"
    "immich"
    "ispconfig"
    "jellyfin"
    "jellyseerr"
    "joomla"
    "kamailio"
    "kanboard"
    "kerio"
    "keycloak"
    "kibana"
    "komga"
    "lighttpd-auth"
    "linkding"
    "mailcow"
    "mailman"
    "mailu"
    "matrix-synapse"
    "mattermost"
    "mealie"
    "meshcentral"
    "minecraft"
    "miniflux"
    "mod-evasive"
    "modoboa"
    "mongodb-auth"
    "monit"
    "monitorix"
    "moodle"
    "mosquitto"
    "mssql-auth"
    "murmur"
    "mysqld-auth"
    "nagios"
    "named-refused"
    "navidrome"
    "nextcloud"
    "nexus"
    "nginx-bad-request"
    "nginx-botsearch"
    "nginx-forbidden"
    "nginx-http-auth"
    "nginx-limit-req"
    "nginx-proxy-manager"
    "nsd"
    "ntfy"
    "nzbget"
    "octoprint"
    "odoo"
    "ombi"
    "openhab"
    "opensearch"
    "openvpn"
    "openwebmail"
    "opnsense"
    "oracleims"
    "owncloud"
    "pam-generic"
    "paperless-ngx"
    "peertube"
    "perdition"
    "php-url-fopen"
    "phpmyadmin-syslog"
    "plesk"
    "portscan"
    "portsentry"
    "postfix"
    "postgresql"
    "powerdns"
    "proftpd"
    "prosody"
    "proxmox"
    "pure-ftpd"
    "qbittorrent"
    "qmail"
    "rabbitmq"
    "radicale"
    "recidive"
    "report"
    "rocketchat"
    "roundcube-auth"
    "routeros-auth"
    "rspamd"
    "sabnzbd"
    "samba"
    "scanlogd"
    "screensharingd"
    "seafile"
    "selinux-ssh"
    "sendmail-auth"
    "sendmail-reject"
    "sftpgo"
    "sieve"
    "snappymail"
    "softethervpn"
    "sogo-auth"
    "solid-pop3d"
    "sonarqube"
    "squid"
    "squirrelmail"
    "sshd"
    "stalwart"
    "stirling-pdf"
    "strongswan"
    "stunnel"
    "sudo"
    "suhosin"
    "suricata"
    "syncthing"
    "synology"
    "teamspeak"
    "teleport"
    "tine20"
    "tomcat"
    "traccar"
    "traefik-auth"
    "trilium"
    "truenas"
    "uptime-kuma"
    "uwimap-auth"
    "vault"
    "vaultwarden"
    "vsftpd"
    "web-attacks"
    "webmin-auth"
    "wireguard"
    "wordpress"
    "wp-fail2ban"
    "wuftpd"
    "xinetd-fail"
    "xrdp"
    "zimbra"
    "znc-adminlog"
    "zoneminder"
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
