//! Syslog messages from sockets.
//!
//! Comes in: where to listen and who may speak. Goes out: batches in the order of arrival, what was lost, and
//! what the administrator should know. There is no cursor: what a socket has given cannot be had again. One thread
//! serves all sockets of a source, and while `deliver` blocks it serves none: a stream's sender waits, the
//! queue of a datagram socket fills, and what no longer fits there the kernel counts.
//!
//! Counted as refused are messages of senders that are not allowed, connections beyond a limit, and handshakes
//! that fail or take too long; as malformed, what ends in the middle of a message or breaks the framing; as cut,
//! messages that lost their end, of which those that do not show it are not handed on.

mod address;
mod datagram;
mod dropped;
mod framing;
mod inherited;
mod intake;
mod local;
mod places;
mod stream;
mod tls;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::rc::Rc;

use ipnet::IpNet;
use tokio::sync::watch;
use tokio::task::{AbortHandle, LocalSet};

use super::socket::LocalSocket;
use super::{Delivery, Told, excerpt, nothing_more, retry_after};
use crate::engine::name::SourceName;
use crate::engine::prefix::{Prefix, SubjectWidth};
use crate::engine::record::LONGEST_MESSAGE;
use crate::engine::record::line::LineForm;
use address::OpenError;
pub use address::{Listen, ListenError};
use intake::Intake;
use places::Places;
use stream::Malformed;
use tls::{Failure, Tls};
pub use tls::{TlsError, TlsFile, TlsSpec};

/// Where syslog comes from, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogSpec {
    /// The source's name.
    pub name: SourceName,
    /// The sockets.
    pub listen: Vec<Listen>,
    /// Who may send over a network; nobody but this machine itself if it is empty.
    pub allow: Vec<IpNet>,
    /// What `tls://` needs.
    pub tls: Option<TlsSpec>,
    /// How stamps are read that do not say their zone.
    pub form: LineForm,
}

impl SyslogSpec {
    fn read_tls(&self) -> Result<Tls, OpenError> {
        let tls = self.tls.as_ref().ok_or(OpenError::NoTls)?;
        Tls::read(tls).map_err(OpenError::Tls)
    }
}

/// The longest message with its header, in bytes: the longest text, and 8 KiB before it, where
/// names take a few hundred bytes and structured data rarely more. What comes behind is skipped.
const LONGEST_FRAME: usize = LONGEST_MESSAGE + 8 * 1024;

/// Listens until `stop` holds `true`, its sender is gone, or `deliver` breaks; whenever `changed` answers, as that says,
/// and without a break at the addresses that stay. An address on which it cannot listen is told once and tried
/// again, while the others go on.
///
/// # Errors
/// Only if the system refuses the means to wait.
pub fn run(
    spec: SyslogSpec,
    mut changed: impl AsyncFnMut() -> SyslogSpec,
    mut deliver: impl FnMut(Delivery) -> ControlFlow<()>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = Rc::new(Listener {
        intake: Intake::new(&spec.name, &spec.form),
        places: Rc::default(),
        tls: RefCell::default(),
        told: RefCell::default(),
        spec: RefCell::new(spec),
    });
    // Dropped before the runtime that its sockets are registered with.
    let tasks = LocalSet::new();
    if deliver(nothing_more(&listener.name())).is_break() {
        return Ok(());
    }
    let mut open = HashMap::new();
    listener.open(&tasks, &mut open);
    loop {
        let next = runtime.block_on(tasks.run_until(async {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Next::End,
                spec = changed() => Next::Change(spec),
                delivery = listener.intake.next() => Next::Delivery(delivery),
            }
        }));
        match next {
            Next::End => return Ok(()),
            Next::Change(spec) => {
                listener.change(spec);
                listener.open(&tasks, &mut open);
            }
            // Outside of the runtime, since it may block.
            Next::Delivery(delivery) => {
                if deliver(delivery).is_break() {
                    return Ok(());
                }
            }
        }
    }
}

enum Next {
    End,
    Change(SyslogSpec),
    Delivery(Delivery),
}

/// What the sockets of one source share.
struct Listener {
    spec: RefCell<SyslogSpec>,
    intake: Intake,
    places: Rc<Places>,
    /// What `tls://` goes by, once its files could be read.
    tls: RefCell<Option<Tls>>,
    told: RefCell<Strangers>,
}

/// What was said of those who send, since the last change.
#[derive(Default)]
struct Strangers {
    refused: Told<Prefix>,
    malformed: Told<Prefix>,
    /// Once each for all senders: those who do not get as far as a message are the many that look for open doors.
    handshakes: Told<Failure>,
}

impl Listener {
    fn name(&self) -> SourceName {
        self.spec.borrow().name.clone()
    }

    /// Goes by other words from now on. What has come in meanwhile is judged by the new ones.
    fn change(&self, spec: SyslogSpec) {
        let old = self.spec.replace(spec);
        let spec = self.spec.borrow();
        if spec.form != old.form {
            self.intake.read_as(&spec.form);
        }
        self.told.take();
        self.intake.forget_told();
        let mut tls = self.tls.borrow_mut();
        if let Some(read) = tls.as_mut() {
            // The files may be others by now, also if their names are the same.
            match spec.read_tls() {
                Ok(renewed) => {
                    // Who came by other authorities, or without any, might not come now.
                    if renewed.authorities != read.authorities {
                        self.places.keep(|_, to| !matches!(to, Listen::Tls(_)));
                    }
                    *read = renewed;
                }
                // No address needs it any more.
                Err(OpenError::NoTls) => *tls = None,
                Err(error) => {
                    let name = &spec.name;
                    log::warn!("source {name}: {error}; what was read before stays in use");
                }
            }
        }
    }

    /// Listens on the addresses that are wanted and on no others. One that stays is left as it is, with all that waits
    /// there.
    fn open(self: &Rc<Self>, tasks: &LocalSet, open: &mut HashMap<Listen, AbortHandle>) {
        let wanted = self.spec.borrow().listen.clone();
        open.retain(|address, task| {
            let stays = wanted.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        self.places
            .keep(|from, to| wanted.contains(to) && self.admits(from));
        for address in wanted {
            let task = |address: &Listen| {
                let listening = keep_listening(address.clone(), Rc::clone(self));
                tasks.spawn_local(listening).abort_handle()
            };
            open.entry(address).or_insert_with_key(task);
        }
    }

    fn admits(&self, sender: IpAddr) -> bool {
        let spec = self.spec.borrow();
        let allow = &spec.allow;
        let admitted = if allow.is_empty() {
            sender.is_loopback()
        } else {
            allow.iter().any(|network| network.contains(&sender))
        };
        if !admitted && self.told.borrow_mut().refused.is_news(subject(sender)) {
            let source = &spec.name;
            log::warn!("source {source}: {sender} may not send; `allow` says who may");
        }
        admitted
    }

    /// Tells of a connection that does not keep to its form, and how it began.
    fn tell_malformed(&self, sender: IpAddr, what: Malformed, beginning: &[u8]) {
        if self.told.borrow_mut().malformed.is_news(subject(sender)) {
            log::warn!(
                "source {}: what {sender} sends is malformed: {what}; it began with `{}`",
                self.name(),
                excerpt(beginning)
            );
        }
    }

    /// Tells why somebody cannot come in.
    fn tell_failure(&self, sender: IpAddr, failure: Failure) {
        if self.told.borrow_mut().handshakes.is_news(failure) {
            log::warn!(
                "source {}: TLS handshake with {sender} failed: {failure}",
                self.name()
            );
        }
    }

    /// Listens on `address` as long as it works.
    async fn listen(self: &Rc<Self>, address: &Listen, up: &mut Up<'_>) -> Result<(), OpenError> {
        let inherited = inherited::socket(address)?;
        match address {
            Listen::Udp(at) => {
                let socket = datagram::open_udp(*at, inherited)?;
                up.now();
                Ok(datagram::read_udp(self, socket).await?)
            }
            Listen::Unix(path) => {
                let socket = LocalSocket::open(path, local::MODE, inherited)?;
                up.now();
                Ok(datagram::read_local(self, &socket).await?)
            }
            Listen::Tcp(at) => {
                let socket = stream::open(*at, inherited)?;
                up.now();
                Ok(stream::accept(self, address, &socket).await?)
            }
            Listen::Tls(at) => {
                if self.tls.borrow().is_none() {
                    *self.tls.borrow_mut() = Some(self.spec.borrow().read_tls()?);
                }
                let socket = stream::open(*at, inherited)?;
                up.now();
                Ok(stream::accept(self, address, &socket).await?)
            }
        }
    }
}

/// Who sends, as far as he cannot choose it.
fn subject(sender: IpAddr) -> Prefix {
    SubjectWidth::DEFAULT.subject(sender)
}

/// Listens on one address, again and again if need be.
async fn keep_listening(address: Listen, listener: Rc<Listener>) {
    let mut up = Up {
        intake: &listener.intake,
        failures: 0,
        told: false,
    };
    loop {
        if let Err(error) = listener.listen(&address, &mut up).await {
            up.failed(format!("{address}: {error}"));
        }
        tokio::time::sleep(retry_after(up.failures)).await;
    }
}

/// Whether one address is listened on, and what was told of it.
struct Up<'a> {
    intake: &'a Intake,
    /// How often in a row it could not be.
    failures: u32,
    told: bool,
}

impl Up<'_> {
    fn now(&mut self) {
        self.failures = 0;
        if std::mem::take(&mut self.told) {
            self.intake.recovered();
        }
    }

    /// One failure is no trouble yet: after a reload a socket that is not wanted any more may still be closing.
    fn failed(&mut self, reason: String) {
        self.failures += 1;
        if self.failures > 1 && !self.told {
            self.told = true;
            self.intake.unreadable(reason);
        }
    }
}

impl Drop for Up<'_> {
    /// An address that is not wanted any more is no trouble.
    fn drop(&mut self) {
        if self.told {
            self.intake.recovered();
        }
    }
}
