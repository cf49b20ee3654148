//! How is a replay told?
//!
//! In: decisions in their order. Out: a line for each ban and unban, and for people what they come to.

use std::io::Write;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use serde::Serialize;

use super::{by_name, left_out};
use crate::cli::failure::Failure;
use crate::cli::found::Shown;
use crate::cli::output::{self, Clock, HEADING, Out, Table, counted, shown};
use crate::control::text::{self, seconds};
use crate::engine::Decision;
use crate::engine::decision::{self, Ban, BanId, Origin, Release};
use crate::engine::explain::JailStatus;
use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::{BanTime, Timestamp};

/// So many addresses of all jails together are told apart, in some 6 MB; of further ones it is only known that there
/// are some.
const MOST_ADDRESSES: usize = 131_072;

/// A line of `--json`, a contract.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(with = "text")]
    time: Timestamp,
    #[serde(with = "text")]
    jail: &'a JailName,
    decision: &'static str,
    #[serde(flatten, serialize_with = "text::subject::serialize")]
    subject: &'a Subject,
    failures: usize,
    #[serde(with = "seconds")]
    bantime: BanTime,
    offence: u32,
    #[serde(with = "text::option")]
    until: Option<Timestamp>,
    #[serde(with = "text")]
    origin: Origin,
    #[serde(with = "text::option")]
    release: Option<Release>,
}

/// Prints decisions.
pub struct Decisions<'c> {
    /// For lines, which have no colours.
    out: Out,
    json: bool,
    clock: &'c Clock,
    /// The time that was printed last.
    shown: Shown,
    /// Bans in force, to tell of them again when they end; the ledger bounds how many there are.
    bans: HashMap<BanId, Ban>,
    addresses: Addresses,
    /// Failures of hosts that are known by name alone.
    by_name: u64,
    printed: u64,
}

/// Who failed in each jail.
#[derive(Default)]
struct Addresses {
    /// In a list, since jails are few; addresses as numbers, those of IPv4 as IPv6 writes them.
    jails: Vec<(JailName, HashSet<u128>)>,
    count: usize,
}

impl<'c> Decisions<'c> {
    /// Prints to standard output.
    pub fn new(json: bool, clock: &'c Clock) -> Self {
        Decisions {
            out: output::bare(),
            json,
            clock,
            shown: Shown::default(),
            bans: HashMap::new(),
            addresses: Addresses::default(),
            by_name: 0,
            printed: 0,
        }
    }

    /// Prints a decision if it is a ban or an unban.
    ///
    /// # Errors
    /// The output is gone.
    pub fn take(&mut self, decision: &Decision) -> Result<(), Failure> {
        match decision {
            Decision::Ban(ban) => {
                self.line(ban.start, None, ban)?;
                self.bans.insert(ban.id, ban.clone());
            }
            Decision::Unban(unban) => {
                if let Some(ban) = self.bans.remove(&unban.ban) {
                    self.line(unban.time, Some(unban.release), &ban)?;
                }
            }
            Decision::Resume(resumed) => {
                self.line(resumed.time, None, &resumed.ban)?;
                self.bans.insert(resumed.ban.id, resumed.ban.clone());
            }
            Decision::Count(failure) if !self.json => self.addresses.note(failure),
            Decision::Await(awaited) => self.by_name += by_name(awaited),
            Decision::Count(_)
            | Decision::Ignore(_)
            | Decision::Answered(_)
            | Decision::Forgive(_)
            | Decision::Remark(_)
            | Decision::Allow(_)
            | Decision::Disallow(_)
            | Decision::Clear(_)
            | Decision::Notice(_)
            | Decision::Sighted(_) => {}
        }
        Ok(())
    }

    /// Shows what has been printed so far.
    ///
    /// # Errors
    /// The output is gone.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Prints the summary for people; tells whether there was anything to print before.
    ///
    /// # Errors
    /// The output is gone.
    pub fn finish(mut self, jails: &[JailStatus]) -> Result<bool, Failure> {
        self.out.flush()?;
        if !self.json {
            self.summary(jails)?;
        }
        Ok(self.printed > 0)
    }

    fn summary(&self, jails: &[JailStatus]) -> Result<(), Failure> {
        let mut out = output::stdout();
        if self.printed > 0 {
            writeln!(out)?;
        }
        let mut table = Table::new(&["JAIL", "FAILURES", "ADDRESSES", "BANS", "IN FORCE"]);
        for jail in jails {
            table.row([
                jail.jail.to_string(),
                jail.failures.to_string(),
                self.addresses.told(&jail.jail),
                jail.bans.to_string(),
                jail.banned.to_string(),
            ]);
        }
        table.print(&mut out)?;
        let banned = jails.iter().map(|jail| jail.banned).sum();
        let banned = counted(banned, "ban");
        writeln!(out, "{HEADING}{banned} in force at the end{HEADING:#}")?;
        if let Some(left_out) = left_out(self.by_name) {
            writeln!(out, "{left_out}")?;
        }
        out.flush()?;
        Ok(())
    }

    /// One for a ban, or for its end.
    fn line(
        &mut self,
        time: Timestamp,
        release: Option<Release>,
        ban: &Ban,
    ) -> Result<(), Failure> {
        self.printed += 1;
        let word = if release.is_some() { "unban" } else { "ban" };
        if self.json {
            let line = Line {
                time,
                jail: &ban.jail,
                decision: word,
                subject: &ban.subject,
                failures: ban.evidence.len(),
                bantime: ban.bantime,
                offence: ban.offence,
                until: ban.until(),
                origin: ban.origin,
                release,
            };
            serde_json::to_writer(&mut self.out, &line).map_err(std::io::Error::from)?;
            writeln!(self.out)?;
            return Ok(());
        }
        let (time, subject) = (self.shown.local(time, self.clock), shown(&ban.subject));
        write!(self.out, "{time}  {word:<5}  {}  {subject}", ban.jail)?;
        match release {
            None => {
                let failures = counted(ban.evidence.len(), "failure");
                let of_hosts = match ban.origin {
                    Origin::Network => " of its hosts",
                    Origin::Distributed => " for what others attack",
                    Origin::Failures | Origin::Manual => "",
                };
                let (bantime, offence) = (ban.bantime.lasting(), ban.offence);
                write!(
                    self.out,
                    "  {failures}{of_hosts} {bantime}, offence {offence}"
                )?;
            }
            // As it was told when it began.
            Some(Release::Expired) => {}
            Some(release) => write!(self.out, "  {release}")?,
        }
        self.out.write_all(b"\n")?;
        Ok(())
    }
}

impl Addresses {
    fn note(&mut self, failure: &decision::Failure) {
        if self.count >= MOST_ADDRESSES {
            return;
        }
        let known = self
            .jails
            .iter()
            .position(|(jail, _)| *jail == failure.jail);
        let at = known.unwrap_or_else(|| {
            self.jails.push((failure.jail.clone(), HashSet::new()));
            self.jails.len() - 1
        });
        let Some(address) = failure.address else {
            return;
        };
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        self.count += usize::from(self.jails[at].1.insert(address));
    }

    fn told(&self, jail: &JailName) -> String {
        let mut jails = self.jails.iter();
        let known = jails.find(|(known, _)| known == jail);
        let count = known.map_or(0, |(_, addresses)| addresses.len());
        match self.count < MOST_ADDRESSES {
            true => count.to_string(),
            false => format!("{count} or more"),
        }
    }
}
