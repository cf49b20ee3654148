//! Which services that people run have no filter of their own, and why?
//!
//! In: the name of a service. Out: the reason, and what helps instead. The answers are data, in `unfiltered.toml`;
//! f2bd-filter(5) lists the same names.

use serde::Deserialize;

/// What has no filter.
const UNFILTERED: &str = include_str!("unfiltered.toml");

/// All that is known.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unfiltered {
    service: Vec<Service>,
}

/// One service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    /// As it may be asked for.
    names: Vec<String>,
    /// What there is to say of it.
    why: String,
}

fn services() -> Vec<Service> {
    let known: Result<Unfiltered, _> = toml::from_str(UNFILTERED);
    let known = known.unwrap_or_else(|error| {
        // It is a part of the program, and a test reads it.
        log::error!("which services have no filter is not known: {error}");
        Unfiltered::default()
    });
    known.service
}

/// Why there is no filter for what is called so; `None` if nothing is known of it.
pub fn reason(name: &str) -> Option<String> {
    let mut services = services().into_iter();
    let found = services.find(|service| service.names.iter().any(|one| one == name))?;
    Some(found.why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn no_service_of_these_has_a_filter_and_the_manual_names_each() {
        let manual = include_str!("../../man/f2bd-filter.5");
        let filters = config::filter_names(None);
        assert!(!services().is_empty());
        for Service { names, .. } in services() {
            for name in &names {
                assert!(!filters.contains(name), "{name}");
            }
            let first = names.first().expect("a name");
            let listed = manual.lines().any(|line| line == format!(".It Li {first}"));
            assert!(listed, "{first} is not in f2bd-filter(5)");
        }
        assert!(reason("pihole").is_some_and(|reason| reason.contains("debug.api")));
        assert_eq!(reason("sshd"), None);
    }
}
