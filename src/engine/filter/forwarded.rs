//! For whom does a proxy speak?
//!
//! In: what a pattern took of `X-Forwarded-For`, or of `Forwarded` of RFC 7239, and whom the administrator trusts. Out:
//! the address that is to be counted. Each proxy adds the address from which it heard the request behind what that said
//! itself, so only the end is true: it is read from there, past proxies that are trusted, and never further. What a
//! client wrote stands before its own address, whatever it looks like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// So many addresses are looked at: no chain of proxies is as long, and a client may write as many as it likes.
pub const MOST_ENTRIES: usize = 32;

/// The nearest address that is not trusted. There is none if something else stands before it.
pub fn client(text: &str, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    for entry in text.rsplit(',').take(MOST_ENTRIES) {
        let entry = entry.trim_matches([' ', '\t']);
        let node = match entry.contains('=') {
            true => said_of_whom(entry)?,
            false => entry,
        };
        let address = address(node)?;
        if !is_trusted(address) {
            return Some(address);
        }
    }
    None
}

/// What `for` is in `for=192.0.2.7;proto=https`, of which there must be one. Logs write quotes in text of others as
/// `\"` or `\x22`, in all places alike. Other quotes and backslashes are not read: a name of a host that a client has
/// chosen must not end before the proxy has ended it.
fn said_of_whom(entry: &str) -> Option<&str> {
    let quotes = [r"\x22", r#"\""#];
    let quote = quotes.into_iter().find(|quote| entry.contains(quote));
    let quote = quote.unwrap_or("\"");
    let (mut node, mut rest) = (None, entry);
    loop {
        let (name, value) = rest.split_once('=')?;
        let (value, behind) = match value.strip_prefix(quote) {
            Some(quoted) => quoted.split_once(quote)?,
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if [name, value].iter().any(|text| text.contains(['"', '\\'])) {
            return None;
        }
        if name.trim().eq_ignore_ascii_case("for") && node.replace(value).is_some() {
            return None;
        }
        match behind.trim().strip_prefix(';') {
            Some(next) => rest = next,
            None if behind.trim().is_empty() => return node.map(str::trim),
            None => return None,
        }
    }
}

/// `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]` and `[2001:db8::7]:80`.
fn address(node: &str) -> Option<IpAddr> {
    let is_port = |text: &str| {
        (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let address = match node.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            let is_sound = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
            let address: Ipv6Addr = address.parse().ok().filter(|_| is_sound)?;
            IpAddr::V6(address)
        }
        None => match (node.parse(), node.split_once(':')) {
            (Ok(address), _) => address,
            (Err(_), Some((address, port))) if is_port(port) => {
                let address: Ipv4Addr = address.parse().ok()?;
                IpAddr::V4(address)
            }
            (Err(_), _) => return None,
        },
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Networks of documentation stand for clients, private ones for proxies.
    fn is_trusted(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address.is_private(),
            IpAddr::V6(address) => address.segments()[0] == 0xfd00,
        }
    }

    fn of(text: &str) -> Option<String> {
        client(text, is_trusted).map(|address| address.to_string())
    }

    #[test]
    fn the_nearest_that_is_not_trusted_is_the_one() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("198.51.100.1, 192.0.2.7", Some("192.0.2.7")),
            ("192.0.2.7,10.0.0.1 ,\t10.0.0.2", Some("192.0.2.7")),
            ("198.51.100.1, unknown, 10.0.0.1", None),
            ("192.0.2.7, 10.0.0.1, ", None),
            ("10.0.0.1", None),
            ("-", None),
            ("", None),
            ("192.0.2.7:4711", Some("192.0.2.7")),
            ("192.0.2.7:", None),
            ("192.0.2.7:123456", None),
            ("192.0.2.7x", None),
            ("2001:db8::7", Some("2001:db8::7")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("[2001:db8::7]:80, fd00::1", Some("2001:db8::7")),
            ("[2001:db8::7]80", None),
            ("[192.0.2.7]", None),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("::ffff:10.0.0.1", None),
        ] {
            assert_eq!(of(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_rfc_7239_says_is_read() {
        for (text, expected) in [
            ("for=192.0.2.7", Some("192.0.2.7")),
            ("For=\"192.0.2.7:80\"; Proto=https", Some("192.0.2.7")),
            (
                r#"by=203.0.113.43;FOR="[2001:db8::7]:80";host=example.org"#,
                Some("2001:db8::7"),
            ),
            (
                r#"for=198.51.100.1, for="192.0.2.7", for=10.0.0.1"#,
                Some("192.0.2.7"),
            ),
            (r"for=\x22[2001:db8::7]\x22;proto=http", Some("2001:db8::7")),
            (r#"for=\"[2001:db8::7]\";proto=http"#, Some("2001:db8::7")),
            (r#"for=192.0.2.7;host="a;b""#, Some("192.0.2.7")),
            ("for=unknown", None),
            ("for=_hidden", None),
            ("proto=https", None),
            ("for=192.0.2.7;for=192.0.2.8", None),
            ("for=192.0.2.7;", None),
            ("for=\"192.0.2.7", None),
        ] {
            assert_eq!(of(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_name_of_a_host_is_no_address() {
        // A client chose what stands between the quotes of `host`.
        for host in [
            "x, for=198.51.100.1",
            "x, for=198.51.100.1;a=",
            "x, for=198.51.100.1;a=b",
            r"x, for=198.51.100.1;a=\x22b",
            r#"x, for=198.51.100.1;a=\"b"#,
            r"x, for=198.51.100.1;a=\x22b\x22;c=",
            r#"x, for=198.51.100.1;a=\"b\";c="#,
            "x;for=198.51.100.1",
        ] {
            let text = format!("for=192.0.2.7;host=\"{host}\"");
            let found = of(&text);
            assert_ne!(found.as_deref(), Some("198.51.100.1"), "{text}");
        }
    }

    #[test]
    fn only_so_many_are_looked_at() {
        let chain = |proxies: usize| format!("192.0.2.7{}", ",10.0.0.1".repeat(proxies));
        assert!(of(&chain(MOST_ENTRIES - 1)).is_some());
        assert!(of(&chain(MOST_ENTRIES)).is_none());
    }

    fn entry() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<IpAddr>().prop_map(|address| address.to_string()),
            any::<Ipv4Addr>().prop_map(|address| format!("{address}:80")),
            any::<Ipv6Addr>().prop_map(|address| format!("for=\"[{address}]:80\"")),
            Just("10.0.0.1".to_owned()),
            Just("unknown".to_owned()),
            "[ -~]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn what_a_client_writes_does_not_matter(
            forged in prop::collection::vec(entry(), 0..6),
            address in any::<Ipv4Addr>().prop_filter("a client", |address| !address.is_private()),
            proxies in 0_usize..4,
        ) {
            let mut entries = forged;
            entries.push(address.to_string());
            entries.extend(std::iter::repeat_n("10.0.0.1".to_owned(), proxies));
            prop_assert_eq!(client(&entries.join(", "), is_trusted), Some(IpAddr::V4(address)));
        }

        #[test]
        fn nobody_who_is_trusted_is_found(entries in prop::collection::vec(entry(), 0..8)) {
            if let Some(address) = client(&entries.join(","), is_trusted) {
                prop_assert!(!is_trusted(address), "{}", address);
            }
        }

        #[test]
        fn any_text_is_read(text in "(?s).{0,200}|[for=\"\\\\x2,;:.\\[\\]0-9]{0,60}") {
            let _ = client(&text, is_trusted);
        }
    }
}
