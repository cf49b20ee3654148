//! What is written in a letter?
//!
//! Subject and text may be an attacker's words: they arrive as text in their place, whatever they look like. All of a
//! letter is ASCII, in lines that every server takes.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use lettre::message::header::{
    ContentDisposition, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use crate::action::said::{is_not_shown, one_line};

/// How long a subject may be, in bytes: what is longer is not shown anyway.
pub const LONGEST_SUBJECT: usize = 400;

/// How long a text may be, in bytes: whoever is to read it does not read more, and servers take ten times as much
/// when it is encoded.
pub const LONGEST_TEXT: usize = 1024 * 1024;

/// How long a line of a header is before it goes on in the next.
const LINE: usize = 76;

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Who writes, and to whom is said what cannot be delivered.
    pub from: Address,
    /// To whom.
    pub to: Vec<Address>,
    /// What it is about.
    pub subject: String,
    /// The text.
    pub body: String,
    /// More headers. That nobody wrote it, when it was and its number are always said.
    pub headers: Vec<(&'static str, String)>,
    /// What is attached to the text.
    pub parts: Vec<Part>,
}

/// What is attached to a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is, as in `application/json`.
    pub content_type: String,
    /// What it would be called as a file.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Why a letter cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// It is to nobody.
    #[error("the letter has no recipient")]
    Nobody,
    /// No header can be called so.
    #[error("`{0}` is no name of a header")]
    Header(String),
    /// Nothing of this kind is known.
    #[error("`{0}` is no content type")]
    ContentType(String),
    /// Something else.
    #[error("the letter cannot be written: {0}")]
    Other(#[from] lettre::error::Error),
}

/// Writes a letter as it is sent.
pub(super) fn write(letter: &Letter) -> Result<Message, LetterError> {
    if letter.to.is_empty() {
        return Err(LetterError::Nobody);
    }
    let mailbox = |address: &Address| Mailbox::new(None, address.clone());
    let mut builder = Message::builder()
        .from(mailbox(&letter.from))
        .date_now()
        .message_id(Some(number(&letter.from)))
        .raw_header(header("Subject", &letter.subject)?)
        // Nobody's holiday is to answer it.
        .raw_header(header("Auto-Submitted", "auto-generated")?);
    for recipient in &letter.to {
        builder = builder.to(mailbox(recipient));
    }
    for (name, value) in &letter.headers {
        builder = builder.raw_header(header(name, value)?);
    }
    let text = part(ContentType::TEXT_PLAIN, None, &letter.body);
    if letter.parts.is_empty() {
        return Ok(builder.singlepart(text)?);
    }
    let mut all = MultiPart::mixed().singlepart(text);
    for Part {
        content_type,
        name,
        text,
    } in &letter.parts
    {
        let kind = ContentType::parse(content_type)
            .map_err(|_| LetterError::ContentType(one_line(content_type.as_bytes(), LINE)))?;
        all = all.singlepart(part(kind, Some(name), text));
    }
    Ok(builder.multipart(all)?)
}

/// A number that no other letter has.
fn number(from: &Address) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    // A clock before its epoch still leaves the other two.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "<{:x}.{:x}.{count:x}@{}>",
        now.as_nanos(),
        process::id(),
        from.domain()
    )
}

/// A header with a text in it, and nothing else whatever the text is.
fn header(name: &str, text: &str) -> Result<HeaderValue, LetterError> {
    let header = HeaderName::new_from_ascii(name.to_owned())
        .map_err(|_| LetterError::Header(one_line(name.as_bytes(), LINE)))?;
    let text = one_line(text.as_bytes(), LONGEST_SUBJECT);
    // What is in ASCII stays as it is. Only what would be read as encoded words must be encoded to stay so too.
    if !text.contains("=?") {
        return Ok(HeaderValue::new(header, text));
    }
    let mut encoded = String::new();
    let written = {
        let mut writer = EmailWriter::new(&mut encoded, name.len() + 2, 0, false);
        rfc2047::encode(&text, &mut writer)
    };
    match written {
        Ok(()) => Ok(HeaderValue::dangerous_new_pre_encoded(
            header, text, encoded,
        )),
        // A String takes everything.
        Err(std::fmt::Error) => Err(LetterError::Header(name.to_owned())),
    }
}

/// One text of a letter.
fn part(kind: ContentType, name: Option<&String>, text: &str) -> SinglePart {
    let text = printable(text);
    // This encoding takes every text.
    let body = match Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable) {
        Ok(body) => body,
        Err(bytes) => Body::new(bytes),
    };
    let mut part = SinglePart::builder().header(kind);
    if let Some(name) = name {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = name.replace(|c| !is_plain(c), "_");
        part = part.header(ContentDisposition::attachment(&name));
    }
    part.body(body)
}

/// The lines of a text, without what is no text.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len().min(LONGEST_TEXT));
    let text = text.replace("\r\n", "\n");
    for character in text.chars() {
        if printable.len() >= LONGEST_TEXT {
            printable.push_str("\n[…]\n");
            break;
        }
        let is_text = matches!(character, '\n' | '\t') || !is_not_shown(character);
        printable.push(if is_text {
            character
        } else {
            char::REPLACEMENT_CHARACTER
        });
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letter(subject: String, body: String, part: String) -> Letter {
        let address: Address = "f2bd@example.org".parse().expect("an address");
        Letter {
            from: address.clone(),
            to: vec![address],
            subject,
            body: body.clone(),
            headers: vec![("X-Test", part.clone())],
            parts: vec![Part {
                content_type: "text/plain".into(),
                name: part,
                text: body,
            }],
        }
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let mut wrong = letter(String::new(), String::new(), String::new());
        wrong.parts[0].content_type = "text".into();
        assert!(matches!(write(&wrong), Err(LetterError::ContentType(_))));
        wrong.headers = vec![("X Test", String::new())];
        assert!(matches!(write(&wrong), Err(LetterError::Header(_))));
        wrong.to.clear();
        assert!(matches!(write(&wrong), Err(LetterError::Nobody)));
    }

    #[test]
    fn no_two_letters_have_one_number() {
        let from = "f2bd@example.org".parse().expect("an address");
        assert_ne!(number(&from), number(&from));
    }

    proptest! {
        #[test]
        fn every_letter_is_of_short_lines_of_ascii(
            subject in any::<String>(), body in any::<String>(), part in any::<String>(),
        ) {
            let written = write(&letter(subject, body, part)).expect("it can be written").formatted();
            prop_assert!(written.is_ascii());
            let text = String::from_utf8(written).expect("ASCII");
            for line in text.split("\r\n") {
                prop_assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
                prop_assert!(line.len() <= 998, "{line:?}");
            }
            let (head, _) = text.split_once("\r\n\r\n").expect("a head");
            let names = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
            let names: Vec<&str> = names.map(|line| line.split_once(':').map_or(line, |(name, _)| name)).collect();
            prop_assert_eq!(names, [
                "From", "Date", "Message-ID", "Subject", "Auto-Submitted", "To", "X-Test", "MIME-Version", "Content-Type",
            ]);
        }
    }
}
