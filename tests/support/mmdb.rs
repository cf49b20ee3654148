//! Small databases in the format of MaxMind, written by its public specification.

use f2bd::engine::prefix::Prefix;
use std::net::IpAddr;

/// A value of a record.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text of at most 255 bytes.
    Text(String),
    /// A number of 32 bits.
    Number(u32),
    /// A number of 16 bits that fits into 8.
    Small(u8),
    /// The number 1 in 64 bits.
    One,
    /// A list of nothing.
    EmptyList,
    /// Names with values, at most 28.
    Map(Vec<(&'static str, Value)>),
}

/// A record of a country.
pub fn country(code: &str) -> Value {
    let code = Value::Text(code.to_owned());
    Value::Map(vec![("country", Value::Map(vec![("iso_code", code)]))])
}

/// A record of an operator.
pub fn operator(asn: u32, name: &str) -> Value {
    Value::Map(vec![
        ("autonomous_system_number", Value::Number(asn)),
        (
            "autonomous_system_organization",
            Value::Text(name.to_owned()),
        ),
    ])
}

/// What a record of the tree says.
#[derive(Clone, Copy)]
enum Side {
    Nothing,
    Node(usize),
    Data(usize),
}

/// The bytes of a database with these networks; a narrow one stands behind the wide one around it.
pub fn database(networks: &[(&str, Value)]) -> Vec<u8> {
    let mut tree = vec![[Side::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let network: Prefix = network.parse().expect("a network");
        let side = Side::Data(data.len());
        write(value, &mut data);
        // An IPv4 network is one of the first 2^32 addresses.
        let (bits, width) = match network.address() {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 96 + network.width()),
            IpAddr::V6(address) => (address.to_bits(), network.width()),
        };
        let mut node = 0;
        for depth in 0..width {
            let bit = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == width {
                tree[node][bit] = side;
                break;
            }
            node = match tree[node][bit] {
                Side::Node(next) => next,
                around => {
                    tree.push([around; 2]);
                    tree[node][bit] = Side::Node(tree.len() - 1);
                    tree.len() - 1
                }
            };
        }
    }
    let mut bytes = Vec::new();
    for side in tree.iter().flatten() {
        let record = match side {
            Side::Nothing => tree.len(),
            Side::Node(node) => *node,
            Side::Data(offset) => tree.len() + 16 + offset,
        };
        bytes.extend_from_slice(&(record as u32).to_be_bytes());
    }
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Small(2)),
        ("binary_format_minor_version", Value::Small(0)),
        ("build_epoch", Value::One),
        ("database_type", Value::Text("Test".to_owned())),
        ("description", Value::Map(Vec::new())),
        ("ip_version", Value::Small(6)),
        ("languages", Value::EmptyList),
        ("node_count", Value::Number(tree.len() as u32)),
        ("record_size", Value::Small(32)),
    ]);
    write(&metadata, &mut bytes);
    bytes
}

fn write(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Text(value) => text(value, bytes),
        Value::Number(number) => {
            bytes.push(6 << 5 | 4);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Value::Small(number) => bytes.extend_from_slice(&[5 << 5 | 1, *number]),
        // Types beyond 7 stand in a byte of their own.
        Value::One => bytes.extend_from_slice(&[1, 9 - 7, 1]),
        Value::EmptyList => bytes.extend_from_slice(&[0, 11 - 7]),
        Value::Map(entries) => {
            assert!(entries.len() < 29);
            bytes.push(7 << 5 | entries.len() as u8);
            for (name, value) in entries {
                text(name, bytes);
                write(value, bytes);
            }
        }
    }
}

fn text(text: &str, bytes: &mut Vec<u8>) {
    match u8::try_from(text.len()).expect("a short text") {
        short @ 0..29 => bytes.push(2 << 5 | short),
        long => bytes.extend_from_slice(&[2 << 5 | 29, long - 29]),
    }
    bytes.extend_from_slice(text.as_bytes());
}
