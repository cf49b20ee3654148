//! Connections: messages one after the other, over TCP or TLS.
//!
//! Everything that a connection can hold is bounded: its memory by [`LONGEST_FRAME`], its time within a message by
//! [`FRAME_TIME`], its place by what its sender and all together may have.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::Listener;
use super::address::{Listen, OpenError};
use super::framing::Splitter;
use super::intake::{Room, Sender};
use super::places::Place;
use super::tls::Failure;
use crate::source::{EXCERPT, Losses};

/// Connections that the kernel holds until they are taken.
const BACKLOG: i32 = 128;

/// How long a handshake may take; over a bad line it takes a second or two.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// How long a message may take from its first to its last byte. It is sent in one go; only a network that
/// loses packets comes between.
const FRAME_TIME: Duration = Duration::from_secs(30);

/// How long a connection may be silent between messages. A quiet machine is silent for hours, and many senders
/// lose the first message after their connection was closed.
const IDLE_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// After so much silence the kernel asks whether the other end still lives, and some times again.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// When no connection can be taken for lack of descriptors or memory, others must end first.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Read at once; a socket gives most messages whole.
const PIECE: usize = 8 * 1024;

/// Opens a listening socket, or goes on with the one that systemd has opened.
pub fn open(at: SocketAddr, inherited: Option<OwnedFd>) -> Result<TcpListener, OpenError> {
    let socket = match inherited {
        Some(socket) => socket,
        None => {
            let family = if at.is_ipv4() {
                AddressFamily::INET
            } else {
                AddressFamily::INET6
            };
            let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            // Connections of the last run that are still closing do not matter.
            sockopt::set_socket_reuseaddr(&socket, true)?;
            bind(&socket, &at)?;
            listen(&socket, BACKLOG)?;
            socket
        }
    };
    let socket = StdTcpListener::from(socket);
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket)?)
}

/// What a connection's messages come in.
enum Carrier {
    Plain,
    Tls(TlsAcceptor),
}

impl Listener {
    /// What must be spoken at an address; `None` if nobody can come in there now.
    fn carrier(&self, address: &Listen) -> Option<Carrier> {
        match address {
            Listen::Tcp(_) => Some(Carrier::Plain),
            Listen::Tls(_) => {
                let tls = self.tls.borrow();
                tls.as_ref().map(|tls| Carrier::Tls(tls.acceptor.clone()))
            }
            Listen::Udp(_) | Listen::Unix(_) => None,
        }
    }
}

/// Takes connections until the socket fails.
pub async fn accept(
    listener: &Rc<Listener>,
    address: &Listen,
    socket: &TcpListener,
) -> io::Result<()> {
    loop {
        let (stream, from) = match socket.accept().await {
            Ok(connection) => connection,
            // It was gone before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) if is_shortage(&error) => {
                sleep(SHORTAGE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let sender = from.ip().to_canonical();
        let place = || {
            if !listener.admits(sender) {
                return None;
            }
            let carrier = listener.carrier(address)?;
            let shakes = matches!(carrier, Carrier::Tls(_));
            let place = listener.places.take(sender, address, shakes)?;
            Some((place, carrier))
        };
        match place() {
            Some((place, carrier)) => {
                let listener = Rc::clone(listener);
                tokio::task::spawn_local(converse(listener, place, stream, carrier));
            }
            None => listener.intake.lose(Losses {
                refused: 1,
                ..Losses::default()
            }),
        }
    }
}

fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno)
    })
}

/// Serves one connection to its end, or until its place is lost.
async fn converse(listener: Rc<Listener>, place: Place, stream: TcpStream, carrier: Carrier) {
    // A peer that vanished is noticed later without it, by the silence.
    let _ = sockopt::set_tcp_keepidle(&stream, KEEPALIVE);
    let _ = sockopt::set_socket_keepalive(&stream, true);
    let refused = Losses {
        refused: 1,
        ..Losses::default()
    };
    let serve = async {
        let tls = match carrier {
            Carrier::Plain => return read(&listener, &place, stream).await,
            Carrier::Tls(tls) => tls,
        };
        let failure = match timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) if place.may_talk() => return read(&listener, &place, stream).await,
            Ok(Ok(_)) => return Err(refused),
            Ok(Err(error)) => Failure::from(&error),
            Err(_) => Failure::Unfinished,
        };
        listener.tell_failure(place.from(), failure);
        Err(refused)
    };
    let outcome = tokio::select! {
        outcome = serve => outcome,
        () = place.lost() => Err(refused),
    };
    if let Err(losses) = outcome {
        listener.intake.lose(losses);
    }
}

/// How a connection fails to bring messages.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum Malformed {
    /// It announced a length before, and none comes.
    #[error("no length stands before a message")]
    Framing,
    /// What is there of the message could name another address than the whole would.
    #[error("its connection ended within a message")]
    Ended,
    /// The message does not end in time.
    #[error("a message takes longer than {} seconds", FRAME_TIME.as_secs())]
    Slow,
}

/// Takes messages until the connection ends; an end within a message is a loss.
async fn read(
    listener: &Listener,
    place: &Place,
    mut stream: impl AsyncRead + Unpin,
) -> Result<(), Losses> {
    // How the connection began, as far as it is shown.
    let mut beginning = Vec::new();
    let broken = |what: Malformed, beginning: &[u8]| {
        listener.tell_malformed(place.from(), what, beginning);
        Losses {
            malformed: 1,
            ..Losses::default()
        }
    };
    let sender = place.from().to_string();
    let sender = Sender::Host(&sender);
    let hear = |message: &[u8], cut: bool| listener.intake.hear(message, cut, &sender);
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; PIECE];
    // When the present message began.
    let mut begun = None;
    loop {
        listener.intake.room(Room::Stream).await;
        let deadline = match begun {
            Some(begun) => begun + FRAME_TIME,
            None => Instant::now() + IDLE_TIME,
        };
        let came = match timeout_at(deadline, stream.read(&mut buffer)).await {
            Ok(Ok(0)) => {
                let ended = splitter.end(hear);
                return ended.map_err(|_| broken(Malformed::Ended, &beginning));
            }
            Ok(Ok(came)) => came,
            // What was cut off here could name another address than its whole would.
            Ok(Err(_)) if splitter.is_within() => return Err(broken(Malformed::Ended, &beginning)),
            Err(_) if splitter.is_within() => return Err(broken(Malformed::Slow, &beginning)),
            Ok(Err(_)) | Err(_) => return Ok(()),
        };
        place.heard();
        let mut ended = false;
        let each = |message: &[u8], cut: bool| {
            ended = true;
            hear(message, cut);
        };
        let came = &buffer[..came];
        // One more than is shown, so that it is seen whether there is more.
        let wanting = (EXCERPT + 1).saturating_sub(beginning.len());
        beginning.extend_from_slice(&came[..came.len().min(wanting)]);
        let fed = splitter.feed(came, each);
        fed.map_err(|_| broken(Malformed::Framing, &beginning))?;
        begun = match (splitter.is_within(), ended) {
            (false, _) => None,
            (true, true) => Some(Instant::now()),
            (true, false) => begun.or_else(|| Some(Instant::now())),
        };
        // The others come first: whoever sends without end must not keep them from the room there is.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::line::LineForm;
    use crate::source::Delivery;
    use crate::source::syslog::{Intake, SyslogSpec};
    use tokio::io::AsyncWriteExt;

    fn listener() -> Listener {
        let spec = SyslogSpec {
            name: "syslog".parse().expect("a name"),
            listen: Vec::new(),
            allow: Vec::new(),
            tls: None,
            form: LineForm::in_zone(jiff::tz::TimeZone::UTC),
        };
        Listener {
            intake: Intake::new(&spec.name, &spec.form),
            places: Default::default(),
            tls: Default::default(),
            told: Default::default(),
            spec: spec.into(),
        }
    }

    fn place(listener: &Listener) -> Place {
        let to = "tcp://127.0.0.1:5514".parse().expect("an address");
        let place = listener.places.take([127, 0, 0, 1].into(), &to, false);
        place.expect("a place")
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_end_costs_its_connection() {
        let (mut sender, stream) = tokio::io::duplex(64);
        let listener = listener();
        let start = Instant::now();
        let drip = async {
            loop {
                sleep(FRAME_TIME / 10).await;
                sender.write_all(b"<").await.expect("an open connection");
            }
        };
        let place = place(&listener);
        let reading = read(&listener, &place, stream);
        let outcome = tokio::select! {
            outcome = reading => outcome,
            () = drip => Ok(()),
        };
        let malformed = Losses {
            malformed: 1,
            ..Losses::default()
        };
        assert_eq!(outcome, Err(malformed));
        let took = start.elapsed();
        assert!(FRAME_TIME <= took && took < 2 * FRAME_TIME, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_messages_is_borne_for_long() {
        let (mut sender, stream) = tokio::io::duplex(64);
        let listener = listener();
        let talk = async {
            sender.write_all(b"<13>one\n").await.expect("a connection");
            sleep(IDLE_TIME / 2).await;
            sender.write_all(b"<13>two\n").await.expect("a connection");
            std::future::pending().await
        };
        let place = place(&listener);
        let reading = read(&listener, &place, stream);
        let start = Instant::now();
        let outcome = tokio::select! {
            outcome = reading => outcome,
            () = talk => Ok(()),
        };
        assert_eq!(outcome, Ok(()));
        assert!(start.elapsed() >= IDLE_TIME + IDLE_TIME / 2);
    }

    /// Without its files read there is no TLS, and nothing may come in plain text instead.
    #[tokio::test]
    async fn tls_that_is_not_ready_is_refused() {
        let listener = Rc::new(listener());
        let socket = open(([127, 0, 0, 1], 0).into(), None).expect("a socket");
        let at = socket.local_addr().expect("an address");
        let address = Listen::Tls(at);
        let talk = async {
            let mut sender = TcpStream::connect(at).await.expect("a connection");
            sender
                .write_all(b"<13>plain\n")
                .await
                .expect("a connection");
            listener.intake.next().await
        };
        let delivery = tokio::task::LocalSet::new()
            .run_until(async {
                tokio::select! {
                    delivery = talk => delivery,
                    error = accept(&listener, &address, &socket) => panic!("{error:?}"),
                }
            })
            .await;
        let Delivery::Records { batch, losses, .. } = delivery else {
            panic!("{delivery:?}");
        };
        assert_eq!((batch.len(), losses.refused), (0, 1));
    }
}
