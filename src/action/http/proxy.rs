//! Through whom do requests go?
//!
//! Through a proxy that is named, or that the environment names as it does for other programs: `http_proxy`,
//! `https_proxy` and `all_proxy`, but to none of the hosts in `no_proxy`.

use std::env;
use std::fmt;
use std::str::FromStr;

use super::{HttpError, has_right_port};

/// A proxy: `http://host:port`, with a name and a password before the host if it wants them.
#[derive(Clone)]
pub struct Proxy(ureq::Proxy);

/// A text that is no proxy. It is not repeated: there may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is written http://host:port or https://host:port")]
pub struct ProxySyntax;

impl FromStr for Proxy {
    type Err = ProxySyntax;

    fn from_str(text: &str) -> Result<Proxy, ProxySyntax> {
        let proxy = ureq::Proxy::new(text.trim()).map_err(|_| ProxySyntax)?;
        if !has_right_port(proxy.uri()) {
            return Err(ProxySyntax);
        }
        // Others are known by name only, and fail when they are used.
        match proxy.protocol() {
            ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(Proxy(proxy)),
            _ => Err(ProxySyntax),
        }
    }
}

/// Shows no password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.0.host(), self.0.port())
    }
}

impl Proxy {
    pub(super) fn into_inner(self) -> ureq::Proxy {
        self.0
    }
}

/// The proxy that the environment names for addresses with this scheme.
pub(super) fn of_environment(scheme: &str) -> Result<Option<Proxy>, HttpError> {
    choose(scheme, |variable| {
        env::var(variable).ok().filter(|value| !value.is_empty())
    })
}

fn choose(
    scheme: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, HttpError> {
    let own = match scheme {
        "https" => ["https_proxy", "HTTPS_PROXY"],
        _ => ["http_proxy", "HTTP_PROXY"],
    };
    let variables = own.into_iter().chain(["all_proxy", "ALL_PROXY"]);
    let named = variables
        .filter_map(|variable| Some((variable, value(variable)?)))
        .next();
    let Some((variable, text)) = named else {
        return Ok(None);
    };
    let wrong = |error| HttpError::Proxy { variable, error };
    let Proxy(proxy) = text.parse().map_err(wrong)?;
    let mut builder = ureq::Proxy::builder(proxy.protocol())
        .host(proxy.host())
        .port(proxy.port());
    if let Some(name) = proxy.username() {
        builder = builder.username(name);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    let spared = value("no_proxy")
        .or_else(|| value("NO_PROXY"))
        .unwrap_or_default();
    for host in spared
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
    {
        builder = builder.no_proxy(host);
        // As everywhere else, a host stands for those below it too.
        if !host.starts_with(['*', '.']) {
            builder = builder.no_proxy(&format!(".{host}"));
        }
    }
    builder
        .build()
        .map(|proxy| Some(Proxy(proxy)))
        .map_err(|_| wrong(ProxySyntax))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, environment: &[(&str, &str)]) -> Option<String> {
        let value = |variable: &str| {
            let found = environment.iter().find(|(name, _)| *name == variable);
            found.map(|(_, value)| (*value).to_owned())
        };
        let (scheme, _) = url.split_once(':').expect("a scheme");
        let Proxy(proxy) = choose(scheme, value).expect("a proxy or none")?;
        let is_spared = proxy.is_no_proxy(&url.parse().expect("an address"));
        (!is_spared).then(|| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn the_environment_names_one_for_each_scheme() {
        let both = [
            ("http_proxy", "http://a:1"),
            ("https_proxy", "http://b:2"),
            ("ALL_PROXY", "http://c:3"),
        ];
        assert_eq!(chosen("http://x/", &both).as_deref(), Some("a:1"));
        assert_eq!(chosen("https://x/", &both).as_deref(), Some("b:2"));
        assert_eq!(chosen("https://x/", &both[..1]), None);
        assert_eq!(chosen("https://x/", &both[2..]).as_deref(), Some("c:3"));
        assert_eq!(chosen("https://x/", &[]), None);
    }

    #[test]
    fn some_hosts_are_spared() {
        let environment = [
            ("https_proxy", "http://a:1"),
            ("no_proxy", "localhost, example.org,.internal"),
        ];
        for spared in ["localhost", "example.org", "api.example.org", "x.internal"] {
            assert_eq!(
                chosen(&format!("https://{spared}/"), &environment),
                None,
                "{spared}"
            );
        }
        for other in ["example.com", "notexample.org"] {
            assert!(
                chosen(&format!("https://{other}/"), &environment).is_some(),
                "{other}"
            );
        }
    }

    #[test]
    fn no_password_is_shown() {
        let proxy: Proxy = "http://me:hunter2@proxy:3128".parse().expect("a proxy");
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy:3128)");
        for wrong in [
            "",
            "socks5://me:hunter2@proxy:1",
            "gopher://hunter2",
            "http://hunter2:x",
        ] {
            let error = wrong.parse::<Proxy>().expect_err(wrong);
            assert!(!format!("{error}{error:?}").contains("hunter2"));
        }
    }
}
