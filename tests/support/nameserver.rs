//! A server of names that knows what a test tells it, and answers when the test says so. It speaks the real protocol,
//! but is no real server: it knows addresses of IPv4 and names of addresses, and nothing else.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::netns::Netns;

/// Types of records.
const ADDRESS: [u8; 2] = [0, 1];
const POINTER: [u8; 2] = [0, 12];

/// A server on port 53 of the loopback address of a network.
pub struct NameServer {
    shared: Arc<(Mutex<Zone>, Condvar)>,
}

#[derive(Default)]
struct Zone {
    /// Of each name, also that of an address in `in-addr.arpa`, the data of its records.
    records: BTreeMap<String, Vec<Vec<u8>>>,
    is_silent: bool,
    /// What it was asked for.
    asked: Vec<String>,
}

impl NameServer {
    /// Starts one that knows nothing. It ends with the tests, which are one process.
    pub fn start(netns: &Netns) -> NameServer {
        let socket = netns.datagrams("127.0.0.1:53".parse().unwrap());
        let shared = Arc::new((Mutex::new(Zone::default()), Condvar::new()));
        let zone = Arc::clone(&shared);
        thread::spawn(move || {
            let (zone, changed) = &*zone;
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let query = &query[..length];
                let mut known = zone.lock().unwrap();
                known.asked.push(name_in(query));
                let known = changed.wait_while(known, |zone| zone.is_silent).unwrap();
                let answer = answer(query, &known.records);
                // Whoever asked may have lost his patience.
                let _ = socket.send_to(&answer, from);
            }
        });
        NameServer { shared }
    }

    /// Knows these addresses of a name from now on; of none, that there is no such name.
    pub fn knows(&self, name: &str, addresses: &[&str]) {
        let data = addresses
            .iter()
            .map(|text| text.parse::<Ipv4Addr>().unwrap());
        self.set(
            name,
            data.map(|address| address.octets().to_vec()).collect(),
        );
    }

    /// Knows the name of an address from now on.
    pub fn knows_name_of(&self, address: &str, name: &str) {
        let [a, b, c, d] = address.parse::<Ipv4Addr>().unwrap().octets();
        let mut data = Vec::new();
        for part in name.split('.') {
            data.push(u8::try_from(part.len()).unwrap());
            data.extend(part.bytes());
        }
        data.push(0);
        self.set(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"), vec![data]);
    }

    /// Keeps its answers back until it [`NameServer::speaks`].
    pub fn is_silent(&self) {
        self.shared.0.lock().unwrap().is_silent = true;
    }

    /// Answers all that it was asked.
    pub fn speaks(&self) {
        self.shared.0.lock().unwrap().is_silent = false;
        self.shared.1.notify_all();
    }

    /// How often it was asked for a name.
    pub fn was_asked_for(&self, name: &str) -> usize {
        let zone = self.shared.0.lock().unwrap();
        zone.asked.iter().filter(|asked| *asked == name).count()
    }

    fn set(&self, name: &str, data: Vec<Vec<u8>>) {
        let mut zone = self.shared.0.lock().unwrap();
        match data.is_empty() {
            true => drop(zone.records.remove(name)),
            false => drop(zone.records.insert(name.to_owned(), data)),
        }
    }
}

/// The name that is asked for.
fn name_in(query: &[u8]) -> String {
    let mut parts = Vec::new();
    let mut rest = &query[12..];
    while rest[0] != 0 {
        let (part, after) = rest[1..].split_at(usize::from(rest[0]));
        parts.push(String::from_utf8(part.to_vec()).unwrap().to_lowercase());
        rest = after;
    }
    parts.join(".")
}

/// The question again, with the records of that type, to hold for a minute; or that there is no such name.
fn answer(query: &[u8], records: &BTreeMap<String, Vec<Vec<u8>>>) -> Vec<u8> {
    let name = name_in(query);
    let question = &query[12..12 + name.len() + 2 + 4];
    let wanted = &question[question.len() - 4..question.len() - 2];
    let known = records.get(&name);
    let own = match name.ends_with(".in-addr.arpa") {
        true => POINTER,
        false => ADDRESS,
    };
    let found = known.into_iter().flatten().filter(|_| wanted == own);
    let found: Vec<_> = found.collect();
    let code = if known.is_some() { 0x80 } else { 0x83 };
    let mut answer = vec![query[0], query[1], 0x85, code, 0, 1];
    answer.extend([0, u8::try_from(found.len()).unwrap(), 0, 0, 0, 0]);
    answer.extend(question);
    for data in found {
        answer.extend([0xc0, 12]);
        answer.extend(own);
        answer.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
        answer.extend(data);
    }
    answer
}
