//! Which services that people run have no filter of their own, and why?
//!
//! In: the name of a service. Out: the reason, and what helps instead. f2bd-filter(5) lists the same names.

/// Names of a service, as they may be asked for, and what there is to say of it.
type Service = (&'static [&'static str], &'static str);

const SERVICES: &[Service] = &[
    (
        &["baserow"],
        "what it logs of failed logins is not documented; behind a web server, `web-login` counts them",
    ),
    (
        &["dante", "danted", "sockd"],
        "its log has address and port in one, as 192.0.2.7.4242, which only a filter over whole lines can read: see \
         `[lines]` in f2bd-filter(5)",
    ),
    (
        &["filebrowser"],
        "its log has paths of clients as they are, line ends too, and the address that any client claims to have; \
         behind a web server, `web-login` counts its refused logins",
    ),
    (
        &["joplin", "joplin-server"],
        "its log has no addresses; behind a web server, `web-login` counts its refused logins",
    ),
    (
        &["lemonldap", "lemonldap-ng", "llng"],
        "its lines of wrong passwords have the name, but no address",
    ),
    (
        &["magento"],
        "it logs no failed logins, and answers them as it answers others, so that the web server's log does not tell",
    ),
    (
        &["mailenable"],
        "its log has text of clients as it is, so that they could write whole lines",
    ),
    (
        &["n8n"],
        "its events of failed logins have the name, but no address; behind a web server, `web-login` counts them",
    ),
    (
        &["photoprism"],
        "it keeps failed logins in its database; behind a web server, `web-login` counts them",
    ),
    (
        &["pi-hole", "pihole", "pihole-ftl"],
        "it logs addresses of logins only in debugging (debug.api); behind a web server, `web-login` counts those \
         that are refused",
    ),
    (
        &["portainer"],
        "its log has no addresses; behind a web server, `web-login` counts its refused logins",
    ),
    (
        &["pterodactyl", "pterodactyl-wings", "wings"],
        "the log of its SFTP server has names of clients as they are, line ends too, so that they could write whole \
         lines",
    ),
    (
        &["slapd", "openldap"],
        "its line of a failure has no address, and only that of the connection does; a filter over whole lines ties \
         them together: f2bd-filter(5) has one as an example",
    ),
    (
        &["technitium", "technitium-dns"],
        "its log has names of clients as they are, line ends too, so that they could write whole lines",
    ),
    (
        &["unifi", "unifi-network"],
        "what it logs of failed logins is not documented; behind a web server, `web-login` counts them",
    ),
];

/// Why there is no filter for what is called so; `None` if nothing is known of it.
pub fn reason(name: &str) -> Option<&'static str> {
    let mut services = SERVICES.iter();
    let (_, reason) = services.find(|(names, _)| names.contains(&name))?;
    Some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn no_service_of_these_has_a_filter_and_the_manual_names_each() {
        let manual = include_str!("../../man/f2bd-filter.5");
        let filters = config::filter_names(None);
        for (names, _) in SERVICES {
            for name in *names {
                assert!(!filters.iter().any(|filter| filter == name), "{name}");
            }
            let first = names.first().expect("a name");
            let listed = manual.lines().any(|line| line == format!(".It Li {first}"));
            assert!(listed, "{first} is not in f2bd-filter(5)");
        }
        assert!(reason("pihole").is_some_and(|reason| reason.contains("debug.api")));
        assert_eq!(reason("sshd"), None);
    }
}
