//! Where does a message of a stream end?
//!
//! Comes in: the bytes of a connection, in pieces of any size. Goes out: messages, each cut at
//! [`LONGEST_FRAME`]. RFC 6587 knows two ways, and which one a connection goes its first bytes tell for all of it:
//! `27 <38>…` counts, anything else ends each message with a line end, or with the zero that some send in its
//! place. So nobody whose words are in a message can change how the next one is read.

use super::LONGEST_FRAME;

/// The most digits of a length: the longest message that may be announced has a gigabyte less one byte, of which
/// the start is kept. A longer number is no length.
const LENGTH_DIGITS: usize = 9;

/// The room that each connection keeps: most messages are shorter.
const KEPT_ROOM: usize = 8 * 1024;

/// The connection does not keep to its framing, and where its next message begins cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Takes a stream apart.
#[derive(Debug, Default)]
pub struct Splitter {
    form: Form,
    /// What has come of the present message, or before one of its length.
    frame: Vec<u8>,
    /// Whether more came than is kept.
    cut: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// What came so far could be a length.
    #[default]
    Unknown,
    /// Messages end with this byte; `None` until the first one has.
    Ended(Option<u8>),
    /// The next message's length comes.
    Length,
    /// So many bytes of the present message are to come.
    Counted(usize),
}

impl Splitter {
    /// Takes what came, and hands on the messages that are complete, each with whether its end is missing.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8], bool),
    ) -> Result<(), Broken> {
        while let [first, rest @ ..] = bytes {
            match self.form {
                Form::Unknown => match self.meaning_of(*first) {
                    // The byte itself is looked at again, as a part of the message.
                    Meaning::Text => self.form = Form::Ended(None),
                    Meaning::Message => self.begin()?,
                    Meaning::Length => {
                        self.frame.push(*first);
                        bytes = rest;
                    }
                },
                Form::Ended(end) => {
                    let is_end = |byte: &u8| match end {
                        Some(end) => *byte == end,
                        None => matches!(byte, b'\n' | 0),
                    };
                    let Some(at) = bytes.iter().position(is_end) else {
                        self.keep(bytes);
                        return Ok(());
                    };
                    self.keep(&bytes[..at]);
                    self.form = Form::Ended(Some(bytes[at]));
                    bytes = &bytes[at + 1..];
                    if !self.frame.iter().all(u8::is_ascii_control) {
                        each(&self.frame, self.cut);
                    }
                    self.clear();
                }
                Form::Length => {
                    match first {
                        b'0'..=b'9' => self.frame.push(*first),
                        b' ' => self.begin()?,
                        // Some send a line end too.
                        b'\n' | b'\r' | 0 if self.frame.is_empty() => {}
                        _ => return Err(Broken),
                    }
                    if self.frame.len() > LENGTH_DIGITS && self.form == Form::Length {
                        return Err(Broken);
                    }
                    bytes = rest;
                }
                Form::Counted(left) => {
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    self.keep(now);
                    bytes = later;
                    self.form = Form::Counted(left - now.len());
                    if left == now.len() {
                        each(&self.frame, self.cut);
                        self.clear();
                        self.form = Form::Length;
                    }
                }
            }
        }
        Ok(())
    }

    /// The connection has ended in good order. A lone message may end with it. One that follows others that had ends
    /// lacks its own, and what was cut off could make it name another address; a counted one is as long as it says.
    pub fn end(mut self, mut each: impl FnMut(&[u8], bool)) -> Result<(), Broken> {
        match self.form {
            Form::Length if self.frame.is_empty() => Ok(()),
            Form::Length | Form::Counted(_) => Err(Broken),
            Form::Ended(Some(_)) if !self.frame.is_empty() => Err(Broken),
            Form::Unknown | Form::Ended(_) => {
                if !self.frame.is_empty() {
                    each(&std::mem::take(&mut self.frame), self.cut);
                }
                Ok(())
            }
        }
    }

    /// Whether a message has begun and not ended.
    pub fn is_within(&self) -> bool {
        !self.frame.is_empty() || matches!(self.form, Form::Counted(_))
    }

    /// What the next byte of a connection means whose form is not known yet.
    fn meaning_of(&self, byte: u8) -> Meaning {
        match (self.frame.as_slice(), byte) {
            ([.., b' '], b'<') => Meaning::Message,
            ([.., b' '], _) => Meaning::Text,
            ([], b'1'..=b'9') | ([_, ..], b'0'..=b'9' | b' ')
                if self.frame.len() <= LENGTH_DIGITS =>
            {
                Meaning::Length
            }
            _ => Meaning::Text,
        }
    }

    /// The length has come.
    fn begin(&mut self) -> Result<(), Broken> {
        let length = std::str::from_utf8(self.frame.trim_ascii()).ok();
        let length = length.filter(|length| !length.starts_with('0'));
        let length = length.and_then(|length| length.parse().ok());
        self.clear();
        self.form = Form::Counted(length.ok_or(Broken)?);
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_FRAME - self.frame.len();
        self.frame
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }

    fn clear(&mut self) {
        self.frame.clear();
        // A rare long message must not hold its room as long as the connection lasts.
        self.frame.shrink_to(KEPT_ROOM);
        self.cut = false;
    }
}

/// What a byte at the head of a connection is.
enum Meaning {
    /// Of a length that may come to be one.
    Length,
    /// The first one of a message whose length came before it.
    Message,
    /// Of a line.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a connection says that sends these pieces and ends.
    fn messages(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, Broken> {
        let mut splitter = Splitter::default();
        let mut messages = Vec::new();
        for piece in pieces {
            splitter.feed(piece, |message, _| messages.push(message.to_vec()))?;
        }
        splitter.end(|message, _| messages.push(message.to_vec()))?;
        Ok(messages)
    }

    #[test]
    fn the_first_bytes_tell_the_framing_for_good() {
        for (sent, expected) in [
            ("<1>a\n<2>b\n", &["<1>a", "<2>b"][..]),
            ("<1>a\0<2>b\0", &["<1>a", "<2>b"]),
            ("<1>a\0<2>b\nc\0", &["<1>a", "<2>b\nc"]),
            ("<1>a\n<2>b\0c\n", &["<1>a", "<2>b\0c"]),
            ("<1>a\n5 <2>b\n", &["<1>a", "5 <2>b"]),
            ("<1>a\n\n\r\n<2>b\n", &["<1>a", "<2>b"]),
            ("4 <1>a6 <2>b\nc", &["<1>a", "<2>b\nc"]),
            ("4 <1>a\n4 <2>b", &["<1>a", "<2>b"]),
            ("12 monkeys\n", &["12 monkeys"]),
            ("2026-02-12T14:10:21Z x\n", &["2026-02-12T14:10:21Z x"]),
            ("0 <1>a\n", &["0 <1>a"]),
            ("99999999999 <1>a\n", &["99999999999 <1>a"]),
            ("12", &["12"]),
            ("", &[]),
        ] {
            let whole = messages(&[sent.as_bytes()]).expect(sent);
            let expected: Vec<_> = expected
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect();
            assert_eq!(whole, expected, "{sent:?}");
            let bytes: Vec<&[u8]> = sent.as_bytes().chunks(1).collect();
            assert_eq!(messages(&bytes).expect(sent), expected, "{sent:?} in bytes");
        }
    }

    #[test]
    fn a_message_that_may_lack_its_end_is_none() {
        assert_eq!(messages(&[b"<1>a\n<2>from 192.0.2.1"]), Err(Broken));
        let lone = messages(&[b"<2>from 192.0.2.1"]).expect("a message");
        assert_eq!(lone, [b"<2>from 192.0.2.1"]);
    }

    #[test]
    fn a_count_that_is_none_ends_the_connection() {
        for sent in [
            "4 <1>ax",
            "4 <1>a 4 <2>b",
            "4 <1>a0 ",
            "4 <1>a04 <2>b",
            "4 <1>a9999999999",
            "4 <1>a-1 <2>b",
            "9 <1>a",
            "4 <1>a4",
        ] {
            assert_eq!(messages(&[sent.as_bytes()]), Err(Broken), "{sent}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_the_next_message_is_whole() {
        let long = "x".repeat(3 * LONGEST_FRAME);
        for sent in [
            format!("<1>{long}\n<2>b\n"),
            format!("{} <1>{long}4 <2>b", long.len() + 3),
        ] {
            let mut splitter = Splitter::default();
            let mut seen = Vec::new();
            for piece in sent.as_bytes().chunks(1000) {
                splitter
                    .feed(piece, |message, cut| seen.push((message.len(), cut)))
                    .expect("messages");
                assert!(splitter.frame.capacity() <= 2 * LONGEST_FRAME);
            }
            assert_eq!(seen, [(LONGEST_FRAME, true), (4, false)]);
            assert!(splitter.frame.capacity() <= KEPT_ROOM);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it_and_pieces_do_not_matter(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                prop::collection::vec(prop::sample::select(b"0123 <>ab\n\0\r".to_vec()), 0..60),
            ],
            size in 1_usize..20,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(messages(&pieces), messages(&[&bytes]));
        }

        #[test]
        fn counted_messages_come_out_as_they_went_in(
            texts in prop::collection::vec("<[0-9]{1,3}>[ -~\n\0]{0,40}", 0..10),
            size in 1_usize..20,
        ) {
            let sent: String = texts.iter().map(|text| format!("{} {text}", text.len())).collect();
            let pieces: Vec<&[u8]> = sent.as_bytes().chunks(size).collect();
            let expected: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            prop_assert_eq!(messages(&pieces), Ok(expected));
        }
    }
}
