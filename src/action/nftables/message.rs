//! What do the kernel's packet filter and we say to each other?
//!
//! Pure: netlink messages of nf_tables as bytes, and bytes taken apart again. Only what the daemon does while it
//! runs is here, that is set elements; tables, sets and rules are made through nft. Bytes that make no sense end
//! a message, they never end the daemon.
//!
//! A message is a header of 16 bytes, one of 4 (family, version, subsystem) and attributes: length, type, value,
//! padded to 4 bytes. Netlink's own numbers are in the machine's byte order, those of nf_tables in network order.

use std::net::IpAddr;

use super::elements::Element;
use super::table::Table;

/// How many elements go into one message: the attribute around them counts its length in 16 bits, and an
/// element takes at most 48 bytes.
const ELEMENTS_PER_MESSAGE: usize = 1_000;

/// `NFNL_SUBSYS_NFTABLES`, the high byte of all message types but those of batches.
const SUBSYSTEM: u16 = 10;

const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;
/// The type of an attribute without its flags.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
const NEW_SET: u16 = SUBSYSTEM << 8 | 9;
const GET_SET: u16 = SUBSYSTEM << 8 | 10;
const NEW_GENERATION: u16 = SUBSYSTEM << 8 | 15;
const GET_GENERATION: u16 = SUBSYSTEM << 8 | 16;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
/// In a reply: the listing was overtaken by a change.
const INTERRUPTED: u16 = 0x10;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;

/// The first attribute of a chain, a set and a list of elements, and of the messages about them.
const TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const ELEMENT_LIST_SET: u16 = 2;
const ELEMENT_LIST: u16 = 3;
const LIST_ITEM: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;
const GENERATION_ID: u16 = 1;

/// `NFT_SET_ELEM_INTERVAL_END`.
const INTERVAL_END: u32 = 1;
/// `NFT_SET_ANONYMOUS` and `NFT_SET_MAP`.
const NOT_A_NAMED_SET: u32 = 0x1 | 0x8;

/// Changes that the kernel makes all at once or not at all.
#[derive(Debug)]
pub struct Batch {
    table: Table,
    bytes: Vec<u8>,
    /// The number of the next message.
    sequence: u32,
    /// Where the last message with a change begins.
    last: Option<usize>,
}

/// A batch as the kernel wants it.
#[derive(Debug, PartialEq, Eq)]
pub struct Transaction {
    /// All messages.
    pub bytes: Vec<u8>,
    /// The numbers of the first and of the acknowledged message.
    pub begins: u32,
    /// The kernel answers this message when all is done.
    pub answers: u32,
}

impl Batch {
    /// A batch for `table`, whose messages are numbered from `sequence`.
    pub fn new(table: &Table, sequence: u32) -> Batch {
        let mut batch = Batch {
            table: table.clone(),
            bytes: Vec::new(),
            sequence,
            last: None,
        };
        batch.bracket(BATCH_BEGIN);
        batch
    }

    /// Adds elements; one that is there already stays, possibly with the time it had.
    pub fn add(&mut self, set: &str, elements: &[Element]) {
        self.elements(NEW_ELEMENT, REQUEST | CREATE, set, elements);
    }

    /// Removes elements; the batch fails if one of them is not there.
    pub fn delete(&mut self, set: &str, elements: &[Element]) {
        self.elements(DELETE_ELEMENT, REQUEST, set, elements);
    }

    /// Removes all elements.
    pub fn flush(&mut self, set: &str) {
        let table = self.table.name.clone();
        self.change(DELETE_ELEMENT, REQUEST, |bytes| {
            put_text(bytes, TABLE, &table);
            put_text(bytes, ELEMENT_LIST_SET, set);
        });
    }

    /// Removes the table with all that is in it.
    pub fn delete_table(&mut self) {
        let table = self.table.name.clone();
        self.change(DELETE_TABLE, REQUEST, |bytes| {
            put_text(bytes, TABLE, &table)
        });
    }

    /// The bytes to be sent; none if nothing is to be changed.
    pub fn finish(mut self) -> Option<Transaction> {
        let last = self.last?;
        let answers = self.sequence.wrapping_sub(1);
        if let Some(flags) = self.bytes.get_mut(last + 6..last + 8) {
            let asked = u16::from_ne_bytes([flags[0], flags[1]]) | ACK;
            flags.copy_from_slice(&asked.to_ne_bytes());
        }
        self.bracket(BATCH_END);
        let begins = self.bytes.get(8..12).and_then(read_u32).unwrap_or(answers);
        Some(Transaction {
            bytes: self.bytes,
            begins,
            answers,
        })
    }

    fn elements(&mut self, kind: u16, flags: u16, set: &str, elements: &[Element]) {
        let table = self.table.name.clone();
        for elements in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.change(kind, flags, |bytes| {
                put_text(bytes, TABLE, &table);
                put_text(bytes, ELEMENT_LIST_SET, set);
                nest(bytes, ELEMENT_LIST, |bytes| {
                    for element in elements {
                        nest(bytes, LIST_ITEM, |bytes| put_element(bytes, element));
                    }
                });
            });
        }
    }

    fn change(&mut self, kind: u16, flags: u16, attributes: impl FnOnce(&mut Vec<u8>)) {
        self.last = Some(self.bytes.len());
        message(
            &mut self.bytes,
            kind,
            flags,
            self.sequence,
            self.table.family.number(),
            0,
            attributes,
        );
        self.sequence = self.sequence.wrapping_add(1);
    }

    fn bracket(&mut self, kind: u16) {
        message(
            &mut self.bytes,
            kind,
            REQUEST,
            self.sequence,
            0,
            SUBSYSTEM,
            |_| (),
        );
        self.sequence = self.sequence.wrapping_add(1);
    }
}

/// The question for all sets of a table.
pub fn list_sets(table: &Table, sequence: u32) -> Vec<u8> {
    list(GET_SET, table, sequence)
}

/// The question for all chains of a table.
pub fn list_chains(table: &Table, sequence: u32) -> Vec<u8> {
    list(GET_CHAIN, table, sequence)
}

/// The question how often the packet filter has been changed.
pub fn ask_generation(sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    message(&mut bytes, GET_GENERATION, REQUEST, sequence, 0, 0, |_| ());
    bytes
}

fn list(kind: u16, table: &Table, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let family = table.family.number();
    let of = |bytes: &mut Vec<u8>| put_text(bytes, TABLE, &table.name);
    message(&mut bytes, kind, REQUEST | DUMP, sequence, family, 0, of);
    bytes
}

fn message(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    let start = bytes.len();
    bytes.extend([0; 4]);
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    attributes(bytes);
    let length = u32::try_from(bytes.len() - start).expect("a message is far smaller than 4 GB");
    bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

fn put_element(bytes: &mut Vec<u8>, element: &Element) {
    nest(bytes, ELEMENT_KEY, |bytes| match element.key {
        IpAddr::V4(address) => put(bytes, DATA_VALUE, &address.octets()),
        IpAddr::V6(address) => put(bytes, DATA_VALUE, &address.octets()),
    });
    if element.closes {
        put(bytes, ELEMENT_FLAGS, &INTERVAL_END.to_be_bytes());
    }
    if let Some(timeout) = element.timeout {
        put(bytes, ELEMENT_TIMEOUT, &timeout.get().to_be_bytes());
    }
}

fn put_text(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    nest_as(bytes, kind, |bytes| {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    });
}

fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    nest_as(bytes, kind, |bytes| bytes.extend(value));
}

fn nest(bytes: &mut Vec<u8>, kind: u16, value: impl FnOnce(&mut Vec<u8>)) {
    nest_as(bytes, kind | NESTED, value);
}

fn nest_as(bytes: &mut Vec<u8>, kind: u16, value: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend([0; 2]);
    bytes.extend(kind.to_ne_bytes());
    value(bytes);
    let length = u16::try_from(bytes.len() - start).expect("names are short and elements counted");
    bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A message from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    /// Which of our messages it answers.
    pub sequence: u32,
    /// The last bits of the number of the transaction that it tells of, if it tells of one.
    pub transaction: u16,
    /// What it says.
    pub content: Content<'b>,
}

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'b> {
    /// It has done what was asked, or not: an error number.
    Answer {
        /// 0, or what went wrong.
        errno: i32,
    },
    /// A listing is complete, or broke off with an error number.
    Done {
        /// 0, or what went wrong.
        errno: i32,
    },
    /// A listing was overtaken by a change and has to be asked for again.
    Interrupted,
    /// A chain there is.
    Chain(TableName<'b>, &'b [u8]),
    /// A set there is, with a name that somebody gave it.
    Set(TableName<'b>, &'b [u8]),
    /// How often the packet filter has been changed, as a number that goes up by one each time.
    Generation(u32),
    /// Something else about a table.
    Other(TableName<'b>),
    /// Nothing to us.
    Nothing,
}

/// The table that a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableName<'b> {
    family: u8,
    name: &'b [u8],
}

impl TableName<'_> {
    /// Whether it is this one.
    pub fn is(&self, table: &Table) -> bool {
        self.family == table.family.number() && self.name == table.name.as_bytes()
    }
}

/// Takes apart what was received; stops where it makes no sense.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(read_u32(bytes.get(0..4)?)?).ok()?;
        let message = bytes
            .get(..length)
            .filter(|message| message.len() >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        read_message(message)
    })
}

fn read_message(message: &[u8]) -> Option<Message<'_>> {
    let kind = read_u16(message.get(4..6)?)?;
    let flags = read_u16(message.get(6..8)?)?;
    let sequence = read_u32(message.get(8..12)?)?;
    let body = message.get(HEADER..)?;
    let transaction = body.get(2..4).and_then(read_be_u16).unwrap_or_default();
    let errno = || {
        body.get(..4)
            .and_then(read_u32)
            .map_or(0, |code| code.cast_signed().wrapping_neg())
    };
    let content = match kind {
        ERROR => Content::Answer { errno: errno() },
        DONE => Content::Done { errno: errno() },
        _ if flags & INTERRUPTED != 0 && matches!(kind, NEW_CHAIN | NEW_SET) => {
            Content::Interrupted
        }
        _ if kind >> 8 == SUBSYSTEM => read_content(kind, body).unwrap_or(Content::Nothing),
        _ => Content::Nothing,
    };
    Some(Message {
        sequence,
        transaction,
        content,
    })
}

fn read_content(kind: u16, body: &[u8]) -> Option<Content<'_>> {
    let family = *body.first()?;
    let attributes = body.get(FAMILY_HEADER..)?;
    if kind == NEW_GENERATION {
        let number = attribute(attributes, GENERATION_ID).and_then(read_be_u32)?;
        return Some(Content::Generation(number));
    }
    let name = attribute(attributes, TABLE).map(text)?;
    let table = TableName { family, name };
    let flags = || attribute(attributes, SET_FLAGS).and_then(read_be_u32);
    Some(match kind {
        NEW_CHAIN => Content::Chain(table, attribute(attributes, CHAIN_NAME).map(text)?),
        NEW_SET if flags().unwrap_or(0) & NOT_A_NAMED_SET == 0 => {
            Content::Set(table, attribute(attributes, SET_NAME).map(text)?)
        }
        _ => Content::Other(table),
    })
}

/// The value of the first attribute of that type.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(read_u16(bytes.get(0..2)?)?);
        let kind = read_u16(bytes.get(2..4)?)? & ATTRIBUTE_TYPE;
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

/// Text up to the zero that ends it.
fn text(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn read_u16(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn read_be_u16(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_be_bytes)
}

fn read_be_u32(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::super::table::Family;
    use super::*;

    fn table(family: Family) -> Table {
        let name = "t".to_owned();
        Table { family, name }
    }

    fn host(number: u32, timeout: u64) -> Element {
        Element {
            key: Ipv4Addr::from(number).into(),
            closes: false,
            timeout: NonZeroU64::new(timeout),
        }
    }

    /// Laid out by hand from linux/netlink.h and linux/netfilter/nf_tables.h.
    #[test]
    #[cfg(target_endian = "little")]
    fn a_batch_is_laid_out_as_the_kernel_reads_it() {
        let mut batch = Batch::new(&table(Family::Inet), 7);
        batch.add("s", &[host(0xc000_0207, 600_000)]);
        let transaction = batch.finish().expect("a change");
        let expected: &[&[u8]] = &[
            // Begin: length, type, flags, sequence, port; family, version, subsystem.
            &[
                20, 0, 0, 0, 0x10, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10,
            ],
            // Add, create, answer.
            &[
                68, 0, 0, 0, 12, 10, 5, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
            ],
            &[6, 0, 1, 0, b't', 0, 0, 0],
            &[6, 0, 2, 0, b's', 0, 0, 0],
            // The list, an item, its key, the key's value, the timeout.
            &[
                32, 0, 3, 0x80, 28, 0, 1, 0x80, 12, 0, 1, 0x80, 8, 0, 1, 0, 192, 0, 2, 7,
            ],
            &[12, 0, 4, 0, 0, 0, 0, 0, 0, 9, 0x27, 0xc0],
            // End.
            &[
                20, 0, 0, 0, 0x11, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10,
            ],
        ];
        let expected = expected.concat();
        assert_eq!(
            transaction,
            Transaction {
                bytes: expected,
                begins: 7,
                answers: 8
            }
        );
    }

    #[test]
    fn a_batch_without_changes_is_none() {
        let mut batch = Batch::new(&table(Family::Inet), 1);
        batch.add("s", &[]);
        assert_eq!(batch.finish(), None);
    }

    #[test]
    fn any_number_of_elements_fits() {
        let elements: Vec<Element> = (0..2_500)
            .map(|number| Element {
                key: std::net::Ipv6Addr::from(u128::from(number as u32)).into(),
                closes: true,
                timeout: NonZeroU64::new(1),
            })
            .collect();
        let mut batch = Batch::new(&table(Family::Inet), 1);
        batch.flush("s");
        batch.add("s", &elements);
        let transaction = batch.finish().expect("changes");
        let messages: Vec<Message> = messages(&transaction.bytes).collect();
        assert_eq!(messages.len(), 6);
        assert_eq!(messages[4].sequence, transaction.answers);
        assert!(
            messages[1..5]
                .iter()
                .all(|message| is_about(message.content, Family::Inet))
        );
    }

    #[test]
    fn answers_are_understood() {
        let mut bytes = Vec::new();
        message(&mut bytes, ERROR, 0, 5, 0, 0, |_| ());
        bytes[HEADER..HEADER + 4].copy_from_slice(&(-2_i32).to_ne_bytes());
        for (name, flags) in [("ipv4/sshd", 16_u32), ("__set0", 3)] {
            message(&mut bytes, NEW_SET, 2, 6, 1, 0x0102, |bytes| {
                put_text(bytes, TABLE, "t");
                put_text(bytes, SET_NAME, name);
                put(bytes, SET_FLAGS, &flags.to_be_bytes());
            });
        }
        message(&mut bytes, DELETE_TABLE, 0, 8, 5, 0, |bytes| {
            put_text(bytes, TABLE, "t")
        });
        message(&mut bytes, NEW_GENERATION, 0, 9, 0, 0, |bytes| {
            put(bytes, GENERATION_ID, &7_u32.to_be_bytes())
        });
        let all: Vec<Message> = messages(&bytes).collect();
        let [answer, set, anonymous, other, generation] = all.as_slice() else {
            panic!("five messages: {all:?}");
        };
        assert_eq!(generation.content, Content::Generation(7));
        assert_eq!(answer.content, Content::Answer { errno: 2 });
        assert!(
            matches!(set.content, Content::Set(of, b"ipv4/sshd") if of.is(&table(Family::Inet)))
        );
        assert_eq!(set.transaction, 0x0102);
        assert!(is_about(anonymous.content, Family::Inet));
        assert!(is_about(other.content, Family::Netdev));
        assert!(!is_about(other.content, Family::Inet));
    }

    fn is_about(content: Content<'_>, family: Family) -> bool {
        matches!(content, Content::Other(of) if of.is(&table(family)))
    }

    proptest! {
        #[test]
        fn any_bytes_can_come(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = messages(&bytes).count();
        }

        /// Mutated real messages get further into the parser than noise does.
        #[test]
        fn any_damage_can_come(at in 0..120_usize, byte in any::<u8>(), cut in 0..120_usize) {
            let mut batch = Batch::new(&table(Family::Netdev), 1);
            batch.add("set", &[host(1, 1), host(2, 0)]);
            batch.flush("set");
            let mut bytes = batch.finish().map(|transaction| transaction.bytes).unwrap_or_default();
            bytes[at] = byte;
            let _ = messages(&bytes).count();
            bytes.truncate(cut);
            let _ = messages(&bytes).count();
        }
    }
}
