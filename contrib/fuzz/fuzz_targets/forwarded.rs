//! Whatever a client writes, a proxy speaks for the address that it has added, and never for one that is trusted.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use f2bd::engine::filter::forwarded::client;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let is_trusted = |address: IpAddr| address.is_loopback();
    assert!(client(text, is_trusted).is_none_or(|address| !is_trusted(address)));
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let added = format!("{text}, {address}, ::1");
    assert_eq!(client(&added, is_trusted), Some(address));
});
