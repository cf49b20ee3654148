//! How do requests come in and answers go out?
//!
//! A thread of its own with its own runtime, so that nobody who is slow delays anything else. Whatever a client sends or
//! leaves unsent is bounded here, in size, number and time. What it is told is the business of [`site`](super::site).

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::formats::Lines;
use super::site::{self, Asked, Site};

/// How many connections may be open at once: more than there are bouncers on a machine and around it. Others wait
/// for one to end.
const MOST_CONNECTIONS: usize = 128;

/// How large a request may be without its body, in bytes; bouncers need a tenth.
const LARGEST_HEAD: usize = 16 * 1024;

/// How many headers it may have.
const MOST_HEADERS: usize = 64;

/// How large its body may be, in bytes. Bouncers send measurements, which nobody here wants.
const LARGEST_BODY: usize = 1024 * 1024;

/// How long a connection may wait for a request, and a request may take to arrive. Most bouncers ask every ten seconds
/// and keep their connection meanwhile.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// How long a client may take nothing of its answer, in milliseconds, until the kernel gives it up.
const SILENCE: u32 = 30_000;

/// After this time a connection takes no more requests.
const LONGEST_CONVERSATION: Duration = Duration::from_secs(300);

/// How much longer the last answer may take: a list of 100,000 bans over a slow line.
const LONGEST_ANSWER: Duration = Duration::from_secs(300);

/// How much of an answer is written at once, in bytes.
const PIECE: usize = 32 * 1024;

/// The pause after no connection could be accepted: for want of descriptors, mostly.
const PAUSE: Duration = Duration::from_millis(100);

/// The thread that serves; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to serve.
    ///
    /// # Errors
    /// A socket cannot be opened, or the thread cannot be started.
    pub fn start(sockets: &[SocketAddr], site: Arc<Site>) -> Result<Server, StartError> {
        let open = |socket: &SocketAddr| {
            let opened = std::net::TcpListener::bind(socket);
            let opened = opened.and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            opened.map_err(|error| StartError::Listen {
                socket: *socket,
                error,
            })
        };
        let listeners = sockets.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let listeners = {
            let _inside = runtime.enter();
            let listeners = listeners.into_iter().map(TcpListener::from_std);
            listeners
                .collect::<Result<Vec<_>, _>>()
                .map_err(StartError::Thread)?
        };
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("serve".to_owned())
            .spawn(move || {
                let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
                for listener in listeners {
                    runtime.spawn(accept(listener, site.clone(), places.clone()));
                }
                // That the sender is gone is a word too.
                let _ = runtime.block_on(ended);
            })
            .map_err(StartError::Thread)?;
        Ok(Server {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been told, and there is nothing left to end.
            let _ = thread.join();
        }
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else has the socket, or the address is not this machine's.
    #[error("cannot listen on {socket}: {error}")]
    Listen {
        /// The socket.
        socket: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start to serve: {0}")]
    Thread(io::Error),
}

async fn accept(listener: TcpListener, site: Arc<Site>, places: Arc<Semaphore>) {
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(converse(
                    stream,
                    peer.ip().to_canonical(),
                    site.clone(),
                    place,
                ));
            }
            Err(error) => {
                log::debug!("{}: cannot accept a connection: {error}", site.name());
                sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, peer: IpAddr, site: Arc<Site>, _place: OwnedSemaphorePermit) {
    // Without it the connection ends a little later.
    let _ = set_tcp_user_timeout(&stream, SILENCE);
    let service = service_fn(|request| answer(&site, peer, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut outcome = timeout(LONGEST_CONVERSATION, connection.as_mut()).await;
    if outcome.is_err() {
        connection.as_mut().graceful_shutdown();
        outcome = timeout(LONGEST_ANSWER, connection).await;
    }
    if let Ok(Err(error)) = outcome {
        log::debug!("{}: {peer} has broken off: {error}", site.name());
    }
}

async fn answer(
    site: &Arc<Site>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let (head, body) = request.into_parts();
    let is_read = match head.method {
        Method::POST => timeout(REQUEST_WITHIN, read(body)).await == Ok(true),
        _ => true,
    };
    Ok(match is_read {
        true => site::answer(site, &Asked { peer, head }),
        false => site::too_large(),
    })
}

/// Reads a body that nobody wants; whether that came to an end.
async fn read(mut body: Incoming) -> bool {
    let mut size = 0;
    loop {
        match std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => size += frame.data_ref().map_or(0, Bytes::len),
        }
        if size > LARGEST_BODY {
            return false;
        }
    }
}

/// The body of an answer: lines, which are made while they are written.
pub struct Answer {
    lines: Lines,
    /// How long it is, where that is known.
    length: Option<u64>,
    /// What is to be done once all of it has been taken.
    taken: Option<Box<dyn FnOnce() + Send>>,
}

impl Answer {
    /// A text that is there already.
    pub fn whole(text: String) -> Answer {
        Answer {
            length: Some(text.len() as u64),
            lines: Box::new(std::iter::once(text)),
            taken: None,
        }
    }

    /// Lines that are made as they are wanted.
    pub fn lines(lines: Lines) -> Answer {
        Answer {
            lines,
            length: None,
            taken: None,
        }
    }

    /// The same, with something to be done once all of it has been taken.
    pub fn then(mut self, taken: impl FnOnce() + Send + 'static) -> Answer {
        self.taken = Some(Box::new(taken));
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut piece = String::new();
        while piece.len() < PIECE
            && let Some(line) = self.lines.next()
        {
            piece += &line;
        }
        if piece.is_empty() {
            if let Some(taken) = self.taken.take() {
                taken();
            }
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
