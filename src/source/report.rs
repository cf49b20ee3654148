//! What applications report by themselves.
//!
//! Comes in: a datagram socket on this machine, and which users may report of which services. Goes out: one record
//! a report, and what was refused or no report at all. The kernel says who sends; nobody can say it for himself. There
//! is no cursor: what a socket has given cannot be had again.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use tokio::sync::watch;

use super::socket::{LocalSocket, Received, SocketError};
use super::{Delivery, Losses, Told, Trouble, excerpt, nothing_more, retry_after};
use crate::engine::cursor::Stream;
use crate::engine::name::SourceName;
use crate::engine::record::report::{Outcome, Report, Reported};
use crate::engine::record::{Batch, Record};
use crate::engine::time::Timestamp;

/// Where reports come from, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSpec {
    /// The source's name.
    pub name: SourceName,
    /// The datagram socket.
    pub socket: PathBuf,
    /// Who may report of what, beside the superuser and the user that runs f2bd, who may report of everything.
    pub allow: Vec<Reporter>,
    /// The services whose reports a jail counts.
    pub counted: Vec<Box<str>>,
}

/// Users that may report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// The numbers of the users.
    pub uids: Vec<u32>,
    /// The services they may report of; `None` is all.
    pub services: Option<Vec<Box<str>>>,
}

/// Everybody may send; who is heard is decided for each report.
const MODE: u32 = 0o666;

/// The longest report, in bytes.
const LONGEST_REPORT: usize = 8 * 1024;

/// Reports of one batch.
const BATCH_RECORDS: usize = 1024;

/// Listens until `stop` holds `true`, its sender is gone, or `deliver` breaks; whenever `changed` answers, as that says.
/// A socket that cannot be made is told once and tried again.
///
/// # Errors
/// Only if the system refuses the means to wait.
pub fn run(
    spec: ReportSpec,
    mut changed: impl AsyncFnMut() -> ReportSpec,
    mut deliver: impl FnMut(Delivery) -> ControlFlow<()>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if deliver(nothing_more(&spec.name)).is_break() {
        return Ok(());
    }
    // Dropped before the runtime that its socket is registered with.
    let mut listener = Listener {
        spec,
        socket: None,
        failures: 0,
        told: false,
        buffer: vec![0; LONGEST_REPORT],
        told_refused: Told::default(),
        told_malformed: Told::default(),
        told_uncounted: Told::default(),
    };
    loop {
        let next = runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Next::End,
                spec = changed() => Next::Change(spec),
                delivery = listener.next() => Next::Delivery(delivery),
            }
        });
        match next {
            Next::End => return Ok(()),
            Next::Change(spec) => listener.change(spec),
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
    Change(ReportSpec),
    Delivery(Delivery),
}

struct Listener {
    spec: ReportSpec,
    socket: Option<LocalSocket>,
    /// How often in a row the socket could not be made.
    failures: u32,
    /// Whether that has been told, and not yet that it is over.
    told: bool,
    buffer: Vec<u8>,
    /// What was said of reports that are not taken: whose they were, and of what or why.
    told_refused: Told<String>,
    told_malformed: Told<String>,
    /// Services that nobody counts, as was told.
    told_uncounted: Told<Box<str>>,
}

impl Listener {
    /// Goes by other words from now on. A socket that stays hears on.
    fn change(&mut self, spec: ReportSpec) {
        if spec.socket != self.spec.socket {
            self.socket = None;
            self.failures = 0;
        }
        self.told_refused.forget();
        self.told_malformed.forget();
        self.told_uncounted.forget();
        self.spec = spec;
    }

    async fn next(&mut self) -> Delivery {
        loop {
            let Some(socket) = &self.socket else {
                match LocalSocket::open(&self.spec.socket, MODE, None) {
                    Ok(socket) => self.socket = Some(socket),
                    Err(error) => {
                        if let Some(trouble) = self.failed(&error) {
                            return trouble;
                        }
                        tokio::time::sleep(retry_after(self.failures)).await;
                        continue;
                    }
                }
                self.failures = 0;
                if std::mem::take(&mut self.told) {
                    let source = self.spec.name.clone();
                    return Delivery::Trouble(Trouble::Recovered { source });
                }
                continue;
            };
            let read = match socket.readable().await {
                Ok(()) => self.read(),
                Err(error) => Err(error),
            };
            match read {
                Ok((batch, losses)) if !batch.is_empty() || losses != Losses::default() => {
                    return Delivery::Records {
                        stream: Stream::whole(self.spec.name.clone()),
                        batch,
                        cursor: None,
                        losses,
                        more: false,
                    };
                }
                Ok(_) => {}
                Err(_) => self.socket = None,
            }
        }
    }

    /// One failure is no trouble yet: after a reload a reader of another name may still be closing this socket.
    fn failed(&mut self, error: &SocketError) -> Option<Delivery> {
        self.failures = self.failures.saturating_add(1);
        if self.failures < 2 || std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some(Delivery::Trouble(Trouble::Unreadable {
            source: self.spec.name.clone(),
            reason: format!("{}: {error}", self.spec.socket.display()),
        }))
    }

    /// Takes what is there.
    fn read(&mut self) -> io::Result<(Batch, Losses)> {
        let (mut batch, mut losses) = (Batch::default(), Losses::default());
        let now = jiff::Timestamp::now().into();
        while let Some(socket) = &self.socket
            && batch.len() < BATCH_RECORDS
            && let Some(message) = socket.receive(&mut self.buffer)?
        {
            let (count, told, reason) = match heard(&self.spec, &message, &self.buffer) {
                Ok((report, by)) => {
                    mind_the_uncounted(&self.spec, &mut self.told_uncounted, &report);
                    push(&mut batch, now, &report, &by);
                    continue;
                }
                Err(Unheard::Malformed(reason)) => {
                    (&mut losses.malformed, &mut self.told_malformed, reason)
                }
                Err(Unheard::Refused(reason)) => {
                    (&mut losses.refused, &mut self.told_refused, reason)
                }
            };
            *count += 1;
            let line = format!("source {}: {reason}", self.spec.name);
            if told.is_news(reason) {
                log::warn!("{line}");
            }
        }
        Ok((batch, losses))
    }
}

/// Tells once of a service that reports failures for nothing.
fn mind_the_uncounted(spec: &ReportSpec, told: &mut Told<Box<str>>, report: &Report<'_>) {
    let service = &*report.service;
    let is_counted = spec.counted.iter().any(|counted| **counted == *service);
    if report.outcome == Outcome::Success || is_counted || !told.is_news(service.into()) {
        return;
    }
    log::warn!(
        "source {}: no jail counts reports of the service {service:?}; write one of that name with filter = \"report\"",
        spec.name
    );
}

/// Why a message is not handed on.
enum Unheard {
    Malformed(String),
    Refused(String),
}

/// Who reports, by the word of the kernel.
struct By {
    uid: u32,
    pid: Option<u32>,
}

/// The report that a message is, and whose.
fn heard<'b>(
    spec: &ReportSpec,
    message: &Received<()>,
    buffer: &'b [u8],
) -> Result<(Report<'b>, By), Unheard> {
    // Somebody who sends descriptors along does not report.
    let Some(sender) = message.sender else {
        return Err(Unheard::Refused("a report came from nobody".to_owned()));
    };
    let by = By {
        uid: sender.uid(),
        // Zero is a process that cannot be seen from here.
        pid: u32::try_from(sender.pid()).ok().filter(|pid| *pid != 0),
    };
    if message.cut {
        return Err(Unheard::Malformed(format!(
            "what uid {} sent is not a report: it is longer than {LONGEST_REPORT} bytes",
            by.uid
        )));
    }
    let text = buffer.get(..message.length).unwrap_or_default();
    let report = Report::parse(text)
        .map_err(|error| Unheard::Malformed(format!("what uid {} sent is {error}", by.uid)))?;
    if !spec.admits(by.uid, &report.service) {
        return Err(Unheard::Refused(format!(
            "uid {} may not report of \"{}\"; `allow` says who may",
            by.uid,
            excerpt(report.service.as_bytes())
        )));
    }
    Ok((report, by))
}

impl ReportSpec {
    fn admits(&self, uid: u32, service: &str) -> bool {
        let allowed = |reporter: &Reporter| {
            let names = |services: &Vec<Box<str>>| services.iter().any(|known| **known == *service);
            reporter.uids.contains(&uid) && reporter.services.as_ref().is_none_or(names)
        };
        uid == 0 || uid == rustix::process::geteuid().as_raw() || self.allow.iter().any(allowed)
    }
}

fn push(batch: &mut Batch, now: Timestamp, report: &Report<'_>, by: &By) {
    let outcome = match report.outcome {
        Outcome::Failure => "failure",
        Outcome::Success => "success",
    };
    let mut text = format!("{outcome} reported by uid {}", by.uid);
    if let Some(pid) = by.pid {
        text.push_str(&format!(", process {pid}"));
    }
    text.push_str(&format!(": {}", report.ip));
    for (what, words) in [("user", &report.user), ("detail", &report.detail)] {
        if let Some(words) = words {
            text.push_str(&format!(", {what} {words}"));
        }
    }
    let reported = Reported {
        address: report.ip,
        user: report.user.as_deref().map(Cow::Borrowed),
        outcome: report.outcome,
    };
    batch.push(Record {
        program: &report.service,
        pid: by.pid,
        reported: Some(&reported),
        ..Record::bare(now, text.as_bytes())
    });
}
