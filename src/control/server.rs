//! Who may ask the daemon, and how is he answered?
//!
//! The socket's mode decides who can connect: root and the daemon's group. Whoever can may ask; only root
//! and the daemon's own user may change something. A client can neither keep the daemon waiting nor fill its
//! memory: requests are short, soon, and few at a time; and those who may act need not wait for others. There may be a
//! second socket, for clients of Fail2ban; the same holds for it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

use super::Question;
use super::fail2ban::socket;
use super::protocol::{
    Envelope, FollowLine, LONGEST_REQUEST, Refusal, Reply, Request, VERSION, Why,
};

/// How many clients that may only ask are served at the same time, and how many of them can follow for as long as
/// they like; one more is refused. Those who may act are not counted: nobody can keep them out.
const MOST_CLIENTS: usize = 32;

/// How long a client may take to send its request, and to take a line of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause after the system refused a connection, for instance because no file descriptor is left.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Our own protocol. Root and the daemon's group can connect.
    Own,
    /// Fail2ban's, or ours. Only root and the daemon's own user can connect, as with Fail2ban.
    Fail2ban,
}

impl Speech {
    fn mode(self) -> u32 {
        match self {
            Speech::Own => 0o660,
            Speech::Fail2ban => 0o700,
        }
    }
}

/// The directory of the socket, if it has to be made.
const DIRECTORY_MODE: u32 = 0o755;

/// The socket, and the lock that keeps a second daemon away from it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    speech: Speech,
    lock: Lock,
}

impl Listener {
    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where nobody will serve it: leaves nothing that was not there before, but for the dead socket that it has replaced.
    pub fn undo(self) {
        remove(&self.path);
        self.lock.undo();
    }
}

/// Why the socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A daemon serves it already.
    #[error(
        "another f2bd serves {0}; end it first, or give this one a socket and a database of its own"
    )]
    Served(PathBuf),
    /// A program that is no f2bd serves it.
    #[error(
        "another program serves {0}, perhaps Fail2ban itself; end it first (systemctl disable --now fail2ban)"
    )]
    Foreign(PathBuf),
    /// The system refuses.
    #[error("cannot make {path}: {error}")]
    System {
        /// The socket or its directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// How often a lock is taken that is removed meanwhile: each time somebody else has begun and was refused.
const MOST_TRIES: usize = 10;

/// Takes the lock beside a path: one daemon can, until its process ends in whatever way.
///
/// # Errors
/// Another daemon has it, or the system refuses.
pub fn lock(path: &Path) -> Result<Lock, BindError> {
    let lock_path = beside(path, ".lock");
    let failed = |error| BindError::System {
        path: lock_path.clone(),
        error,
    };
    let mut options = File::options();
    // Whoever can open it can lock it, and would keep the daemon from starting.
    options.create(true).truncate(false).write(true).mode(0o600);
    let mut is_new = !lock_path.exists();
    for _ in 0..MOST_TRIES {
        let file = options.open(&lock_path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(BindError::Served(path.to_owned())),
            Err(error) => return Err(failed(error.into())),
        }
        // Whoever had it may have removed it between, and then nobody else would find this one.
        if is_there(&file, &lock_path) {
            return Ok(Lock {
                path: lock_path,
                is_new,
                _file: file,
            });
        }
        is_new = true;
    }
    Err(failed(io::Error::from(io::ErrorKind::WouldBlock)))
}

/// Whether a file is the one of that name.
fn is_there(file: &File, path: &Path) -> bool {
    let own = file.metadata().map(|own| (own.dev(), own.ino()));
    let named = std::fs::metadata(path).map(|named| (named.dev(), named.ino()));
    matches!((own, named), (Ok(own), Ok(named)) if own == named)
}

/// What keeps other daemons away, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Nobody had made its file before.
    is_new: bool,
    _file: File,
}

impl Lock {
    /// Where nothing came of what it was taken for: leaves nothing that was not there before.
    pub fn undo(self) {
        if self.is_new {
            remove(&self.path);
        }
    }
}

/// Removes what we have made ourselves.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        log::warn!("cannot remove {}: {error}", path.display());
    }
}

/// Takes the socket: one daemon can, until its process ends in whatever way.
///
/// # Errors
/// Another daemon has it, or the system refuses.
pub fn bind(path: &Path, speech: Speech) -> Result<Listener, BindError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| BindError::System { path, error }
    };
    if let Some(directory) = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(DIRECTORY_MODE);
        builder.create(directory).map_err(failed(directory))?;
    }
    let lock = lock(path)?;
    match make(path, speech) {
        Ok(socket) => Ok(Listener {
            socket,
            path: path.to_owned(),
            speech,
            lock,
        }),
        Err(error) => {
            lock.undo();
            Err(error)
        }
    }
}

/// Makes the socket, whose lock is ours.
fn make(path: &Path, speech: Speech) -> Result<UnixListener, BindError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| BindError::System { path, error }
    };
    // A program that knows nothing of our lock may serve it.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(BindError::Foreign(path.to_owned()));
    }
    // A wrong path in the configuration must not cost anybody his file.
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.file_type().is_socket()) {
        return Err(failed(path)(io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    // Made under another name first: nobody can connect before the mode is right, and a dead daemon's socket
    // is replaced without a moment in which there is none.
    let new = beside(path, ".new");
    if let Err(error) = std::fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(failed(&new)(error));
    }
    let socket = UnixListener::bind(&new).map_err(failed(&new))?;
    std::fs::set_permissions(&new, PermissionsExt::from_mode(speech.mode()))
        .map_err(failed(&new))?;
    std::fs::rename(&new, path).map_err(failed(path))?;
    Ok(socket)
}

/// Where requests go, and who may still come.
#[derive(Clone)]
struct Desks {
    questions: mpsc::Sender<Question>,
    followers: broadcast::Sender<FollowLine>,
    free_to_ask: Arc<Semaphore>,
    free_to_follow: Arc<Semaphore>,
}

/// Serves the socket for ever.
pub async fn serve(
    listener: Listener,
    questions: mpsc::Sender<Question>,
    followers: broadcast::Sender<FollowLine>,
) {
    let desks = Desks {
        questions,
        followers,
        free_to_ask: Arc::new(Semaphore::new(MOST_CLIENTS)),
        free_to_follow: Arc::new(Semaphore::new(MOST_CLIENTS)),
    };
    loop {
        match listener.socket.accept().await {
            Ok((stream, _)) => {
                let desks = desks.clone();
                let speech = listener.speech;
                tokio::spawn(async move {
                    // A client that goes away in the middle is no trouble of ours.
                    let _ = converse(stream, speech, desks).await;
                });
            }
            Err(error) => {
                log::debug!("a client could not be accepted: {error}");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
    }
}

/// A place for a client who needs one.
///
/// # Errors
/// All places are taken.
fn place(free: &Arc<Semaphore>, may_act: bool) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
    if may_act {
        return Ok(None);
    }
    let place = Arc::clone(free).try_acquire_owned();
    place.map(Some).map_err(|_| {
        let message = format!("{MOST_CLIENTS} clients are being served; try again later");
        refusal(Why::Unable, message)
    })
}

/// That somebody may not do what he asks for.
pub(super) fn not_permitted() -> Refusal {
    let message = "only root and the user that runs the daemon may do this".to_owned();
    refusal(Why::NotPermitted, message)
}

fn refusal(why: Why, message: String) -> Refusal {
    Refusal {
        why,
        message,
        details: Vec::new(),
    }
}

async fn converse(stream: UnixStream, speech: Speech, desks: Desks) -> io::Result<()> {
    let may_act = stream.peer_cred().is_ok_and(|peer| {
        let own = rustix::process::geteuid().as_raw();
        peer.uid() == 0 || peer.uid() == own
    });
    let (reader, mut writer) = stream.into_split();
    let asking = match place(&desks.free_to_ask, may_act) {
        Ok(place) => place,
        Err(refusal) => return say(&mut writer, &Reply::Refused(refusal)).await,
    };
    let mut reader = BufReader::new(reader);
    if speech == Speech::Fail2ban {
        let first = tokio::time::timeout(PATIENCE, reader.fill_buf()).await;
        let first = first.map_err(io::Error::from)??.first().copied();
        // Ours begins so, and a pickle never does.
        if first.is_some_and(|first| first != b'{') {
            return socket::converse(reader, writer, may_act, desks.questions).await;
        }
    }
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(LONGEST_REQUEST as u64));
    let read = tokio::time::timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await;
    read.map_err(io::Error::from)??;
    let request = match understand(&line, may_act) {
        Ok(request) => request,
        Err(refusal) => return say(&mut writer, &Reply::Refused(refusal)).await,
    };
    if request == Request::Follow {
        let _following = match place(&desks.free_to_follow, may_act) {
            Ok(place) => place,
            Err(refusal) => return say(&mut writer, &Reply::Refused(refusal)).await,
        };
        drop(asking);
        let lines = desks.followers.subscribe();
        say(&mut writer, &Reply::Following).await?;
        return follow(&mut writer, reader, lines).await;
    }
    let (reply, answer) = oneshot::channel();
    let ending = || refusal(Why::Unable, "the daemon is ending".to_owned());
    let reply = match desks.questions.send(Question { request, reply }).await {
        Ok(()) => answer.await.unwrap_or_else(|_| Reply::Refused(ending())),
        Err(_) => Reply::Refused(ending()),
    };
    say(&mut writer, &reply).await
}

fn understand(line: &[u8], may_act: bool) -> Result<Request, Refusal> {
    let refuse = |why, message: String| Err(refusal(why, message));
    if !line.ends_with(b"\n") {
        return refuse(
            Why::Malformed,
            format!("a request is one line of at most {LONGEST_REQUEST} bytes"),
        );
    }
    let envelope: Envelope = match serde_json::from_slice(line) {
        Ok(envelope) => envelope,
        Err(error) => {
            return refuse(
                Why::Malformed,
                format!("the request cannot be understood: {error}"),
            );
        }
    };
    if envelope.version != VERSION {
        let message = format!(
            "the daemon speaks version {VERSION} of the protocol, not {}",
            envelope.version
        );
        return refuse(Why::Malformed, message);
    }
    if envelope.request.acts() && !may_act {
        return Err(not_permitted());
    }
    Ok(envelope.request)
}

/// Tells what happens until the client goes away.
async fn follow(
    writer: &mut (impl AsyncWriteExt + Unpin),
    mut reader: impl AsyncReadExt + Unpin,
    mut lines: broadcast::Receiver<FollowLine>,
) -> io::Result<()> {
    let mut nothing = [0; 1];
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            // A follower has nothing more to say; this is its end.
            _ = reader.read(&mut nothing) => return Ok(()),
        };
        match line {
            Ok(line) => say(writer, &line).await?,
            Err(broadcast::error::RecvError::Lagged(lines)) => {
                say(writer, &FollowLine::Missed { lines }).await?
            }
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
}

async fn say(
    writer: &mut (impl AsyncWriteExt + Unpin),
    what: &impl serde::Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    let written = tokio::time::timeout(PATIENCE, writer.write_all(&line)).await;
    written.map_err(io::Error::from)?
}
