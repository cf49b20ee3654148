//! How is a letter handed to a mail server?
//!
//! In the words of SMTP as lettre writes and reads them. The conversation is our own: lettre's has no end that can be
//! relied on, neither in time nor in what a server may say before it ends a line.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter, ServerInfo};
use lettre::transport::smtp::response::Response;

use super::wire::{self, Timed, Wire};
use super::{Login, MailError, Security, Server};
use crate::action::said::{one_line, without};

/// How much of what a server says is told.
const LONGEST_REASON: usize = 300;

/// How long an answer may be, in bytes: what a server can do is told in some ten lines.
const LONGEST_REPLY: usize = 16 * 1024;

/// How often a server may ask back before it knows who we are; twice is usual.
const MOST_QUESTIONS: usize = 4;

/// Connects, says who we are if it is asked, and hands over the letter.
pub(super) fn send(
    server: &Server,
    message: &Message,
    deadline: Duration,
) -> Result<(), MailError> {
    let told = Told { server, deadline };
    if server.login.is_some() && server.security == Security::None && !is_local(&server.host) {
        let place = server.to_string();
        return Err(MailError::InClear { place });
    }
    let begin = Instant::now();
    // A time that cannot be said is for ever; a day is as good.
    let end = begin
        .checked_add(deadline)
        .unwrap_or(begin + Duration::from_secs(24 * 60 * 60));
    let broken = |error| told.broken(&error);
    let mut dialogue = match server.security {
        Security::None => {
            let timed = Timed::connect(&server.host, server.port, end).map_err(broken)?;
            Dialogue::begin(Wire::Plain(timed), &told)?
        }
        Security::Tls => {
            let config = wire::config(server.authority.as_deref())?;
            let timed = Timed::connect(&server.host, server.port, end).map_err(broken)?;
            let wire = Wire::secure(timed, &server.host, config).map_err(broken)?;
            Dialogue::begin(wire, &told)?
        }
        Security::StartTls => {
            let config = wire::config(server.authority.as_deref())?;
            let timed = Timed::connect(&server.host, server.port, end).map_err(broken)?;
            let timed = Dialogue::begin(Wire::Plain(timed), &told)?.start_tls()?;
            let wire = Wire::secure(timed, &server.host, config).map_err(broken)?;
            Dialogue::new(wire, &told)
        }
    };
    let can = dialogue.greet()?;
    if let Some(login) = &server.login {
        dialogue.log_in(login, &can)?;
    }
    dialogue.hand_over(message, &can)
}

/// Whether nobody is on the way to this host.
fn is_local(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What this machine calls itself, if that can be said to a mail server.
fn own_name() -> ClientId {
    let uname = rustix::system::uname();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    match uname.nodename().to_str() {
        Ok(name) if !name.is_empty() && name.bytes().all(is_plain) => {
            ClientId::Domain(name.to_owned())
        }
        _ => ClientId::default(),
    }
}

/// What is said to a server, and what it says.
struct Dialogue<'a> {
    wire: Wire,
    /// What it has said that nobody has read.
    unread: Vec<u8>,
    told: &'a Told<'a>,
}

impl<'a> Dialogue<'a> {
    fn new(wire: Wire, told: &'a Told<'a>) -> Dialogue<'a> {
        let unread = Vec::new();
        Dialogue { wire, unread, told }
    }

    /// Waits until the server greets.
    fn begin(wire: Wire, told: &'a Told<'a>) -> Result<Dialogue<'a>, MailError> {
        let mut dialogue = Dialogue::new(wire, told);
        dialogue.reply()?;
        Ok(dialogue)
    }

    /// Says who we are, and asks what the server can do.
    fn greet(&mut self) -> Result<ServerInfo, MailError> {
        let reply = self.command(Ehlo::new(own_name()))?;
        ServerInfo::from_response(&reply).map_err(|error| self.told.unreachable(&error.to_string()))
    }

    /// Agrees on TLS, and gives the connection back on which it is to begin.
    fn start_tls(mut self) -> Result<Timed, MailError> {
        let can = self.greet()?;
        if !can.supports_feature(Extension::StartTls) {
            return Err(self.told.unreachable("it does not offer STARTTLS"));
        }
        self.command(Starttls)?;
        // What somebody on the way put in before would be taken for the server's.
        match self.wire {
            Wire::Plain(timed) if self.unread.is_empty() => Ok(timed),
            _ => Err(self
                .told
                .unreachable("it says more before TLS than it was asked")),
        }
    }

    fn log_in(&mut self, login: &Login, can: &ServerInfo) -> Result<(), MailError> {
        let told = self.told;
        let wrong = |error: lettre::transport::smtp::Error| told.unreachable(&error.to_string());
        let mechanism = can
            .get_auth_mechanism(DEFAULT_MECHANISMS)
            .ok_or_else(|| told.unreachable("it takes no login with a name and a password"))?;
        let credentials = Credentials::new(login.user.clone(), login.password.reveal().to_owned());
        let first = Auth::new(mechanism, credentials.clone(), None).map_err(wrong)?;
        let mut reply = self.command(first)?;
        for _ in 0..MOST_QUESTIONS {
            if !reply.has_code(334) {
                return Ok(());
            }
            let next = Auth::new_from_response(mechanism, credentials.clone(), &reply);
            reply = self.command(next.map_err(wrong)?)?;
        }
        Err(told.unreachable("it asks again and again who we are"))
    }

    fn hand_over(&mut self, message: &Message, can: &ServerInfo) -> Result<(), MailError> {
        let envelope = message.envelope();
        let mut addresses = envelope.from().into_iter().chain(envelope.to());
        let mut parameters = Vec::new();
        if !addresses.all(|address| address.to_string().is_ascii())
            && can.supports_feature(Extension::SmtpUtfEight)
        {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        self.command(Mail::new(envelope.from().cloned(), parameters))?;
        for recipient in envelope.to() {
            self.command(Rcpt::new(recipient.clone(), Vec::new()))?;
        }
        self.command(Data)?;
        self.say(&as_data(&message.formatted()))?;
        self.reply()?;
        // The letter is the server's now, whether it hears this or not.
        let _ = self.say(Quit.to_string().as_bytes());
        Ok(())
    }

    fn command(&mut self, command: impl Display) -> Result<Response, MailError> {
        self.say(command.to_string().as_bytes())?;
        self.reply()
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        let said = self.wire.write_all(bytes).and_then(|()| self.wire.flush());
        said.map_err(|error| self.told.broken(&error))
    }

    /// Waits for an answer.
    fn reply(&mut self) -> Result<Response, MailError> {
        let mut chunk = [0; 1024];
        loop {
            if let Some(end) = end_of_reply(&self.unread) {
                let text = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end);
                let reply: Result<Response, _> = text.parse();
                let reply = reply.map_err(|_| self.told.unreachable("it does not speak SMTP"))?;
                return if reply.is_positive() {
                    Ok(reply)
                } else {
                    Err(self.told.refused(&reply))
                };
            }
            if self.unread.len() > LONGEST_REPLY {
                return Err(self.told.unreachable("it does not stop talking"));
            }
            match self.wire.read(&mut chunk) {
                Ok(0) => return Err(self.told.unreachable("it hung up")),
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.told.broken(&error)),
            }
        }
    }
}

/// Where an answer ends: after the line whose code no dash follows.
fn end_of_reply(said: &[u8]) -> Option<usize> {
    let mut end = 0;
    for line in said.split_inclusive(|&byte| byte == b'\n') {
        end += line.len();
        if line.ends_with(b"\n") && line.get(3) != Some(&b'-') {
            return Some(end);
        }
    }
    None
}

/// A letter as it is said: no line of it is the one that ends it.
fn as_data(letter: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(letter.len() + 16);
    for line in letter.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    if !data.ends_with(b"\r\n") {
        data.extend_from_slice(b"\r\n");
    }
    data.extend_from_slice(b".\r\n");
    data
}

/// What errors may tell.
struct Told<'a> {
    server: &'a Server,
    deadline: Duration,
}

impl Told<'_> {
    fn broken(&self, error: &io::Error) -> MailError {
        if error.kind() == io::ErrorKind::TimedOut {
            return MailError::Late {
                place: self.server.to_string(),
                seconds: self.deadline.as_secs(),
            };
        }
        self.unreachable(&error.to_string())
    }

    fn unreachable(&self, why: &str) -> MailError {
        MailError::Unreachable {
            place: self.server.to_string(),
            why: self.without_secrets(why),
        }
    }

    fn refused(&self, reply: &Response) -> MailError {
        let lines: Vec<&str> = reply.message().collect();
        MailError::Refused {
            place: self.server.to_string(),
            code: reply.code().into(),
            said: self.without_secrets(&lines.join(" ")),
        }
    }

    /// Some servers repeat what they were told.
    fn without_secrets(&self, said: &str) -> String {
        let login = self.server.login.iter();
        let said = without(said, login.map(|login| login.password.reveal()));
        one_line(said.as_bytes(), LONGEST_REASON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_ends_with_its_last_line() {
        assert_eq!(end_of_reply(b"250-a\r\n250-b\r\n250 c\r\n354"), Some(21));
        assert_eq!(end_of_reply(b"250-a\r\n250 b"), None);
        assert_eq!(end_of_reply(b"250\r\n"), Some(5));
        assert_eq!(end_of_reply(b"\n"), Some(1));
        assert_eq!(end_of_reply(b""), None);
    }

    proptest! {
        #[test]
        fn only_the_end_of_a_letter_ends_it(lines in proptest::collection::vec("[.a]{0,3}", 0..9)) {
            let letter = lines.join("\r\n");
            let data = String::from_utf8(as_data(letter.as_bytes())).expect("ASCII");
            let mut heard: Vec<&str> = data.split("\r\n").collect();
            prop_assert_eq!(heard.pop(), Some(""));
            prop_assert_eq!(heard.pop(), Some("."));
            let heard: Vec<&str> = heard.iter().map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
            prop_assert!(!data[..data.len() - 3].split("\r\n").any(|line| line == "."));
            let heard = heard.join("\r\n");
            prop_assert_eq!(heard.trim_end(), letter.trim_end());
        }
    }
}
