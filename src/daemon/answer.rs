//! What is said to those who ask over the control socket?
//!
//! In: requests and the driver's parts, to look at. Out: what the engine should hear, or a reply. Nothing is
//! decided and nothing is done here.

mod deaf;
mod explain;

use std::net::IpAddr;
use std::time::Duration;

use super::circumstances::Circumstances;
use super::letter::JailsLost;
use super::memory::Memory;
use super::notice::{
    allowed_text, cleared_text, disallowed_text, forgiven_text, notice_text, remark_text,
    resumed_text,
};
use super::outbox::Outbox;
use super::sources::Sources;
use crate::config::Problem;
use crate::config::amend::AmendError;
use crate::config::fail2ban::overlay::OverlayError;
use crate::control::protocol::{
    ActionRow, AllowedRow, BanRow, ConfigurationRow, DatabaseRow, FailureRow, FileRow, FollowLine,
    HistoryRow, JailRow, LONGEST_ALLOWANCE, MOST_TAKEN_OVER, OperatorRow, PAGE, Refusal, Reply,
    Request, ResponseRow, SettingsRow, SiegeRow, SourceRow, Status, TreeChange, Why,
};
use crate::engine::decision::{Allowance, Origin, Release};
use crate::engine::ledger::Standing;
use crate::engine::name::JailName;
use crate::engine::policy::{AddressSet, Counting, JailPolicy};
use crate::engine::prefix::{Prefix, SubjectWidth};
use crate::engine::record::kept::kept;
use crate::engine::subject::{Name, Subject};
use crate::engine::time::Timestamp;
use crate::engine::{Decision, Engine, Input, MOST_ALLOWED, jail::most_subjects};
use crate::store::{self, HistoryQuery, Store, StoreError};

/// How many files of a source a status shows; a directory may have any number.
const MOST_FILES: usize = 1_000;

/// The widest networks that may be allowed for a time: a prefix that is mistyped must not open the gate to everybody.
const WIDEST_ALLOWED: SubjectWidth = SubjectWidth { ipv4: 8, ipv6: 16 };

/// What the driver lets an answer look at.
pub struct View<'d> {
    /// What time it is.
    pub now: Timestamp,
    /// Who decides.
    pub engine: &'d Engine,
    /// What remembers.
    pub memory: &'d Memory,
    /// What acts.
    pub outbox: &'d Outbox,
    /// What reads.
    pub sources: &'d Sources,
    /// The settings.
    pub circumstances: &'d Circumstances,
    /// How they came into force.
    pub configuration: ConfigurationRow,
}

/// What the engine should hear of a request; nothing if it only wants to know.
///
/// # Errors
/// The reply, if it is not done.
pub fn order(
    engine: &Engine,
    request: &Request,
    guarded: &AddressSet,
) -> Result<Option<Input<'static>>, Reply> {
    match request {
        Request::Ban {
            jail,
            subject,
            bantime,
            force,
            from,
            reason,
        } => {
            let policy = known_jail(engine, jail)?;
            let subject = whom(engine, Some(policy), subject)?;
            if let Some(network) = subject.network() {
                if let Some(rule) = policy.protects(network) {
                    let message = format!("{} is never banned: {}", network.plain(), rule.because);
                    return Err(refused(Why::NotSo, message));
                }
                // A network is never worth that.
                let may_force = *force && network.is_host();
                if !may_force && let Some(message) = lockout(network, *from, guarded) {
                    return Err(refused(Why::NotSo, message));
                }
            }
            if engine.ledger().is_full() {
                return Err(refused(
                    Why::Unable,
                    "as many bans are in force as there can be".to_owned(),
                ));
            }
            Ok(Some(Input::Ban {
                jail: jail.clone(),
                subject,
                bantime: *bantime,
                reason: reason.as_deref().map(Box::from),
            }))
        }
        Request::Unban {
            subject,
            jail,
            forget,
            reason,
        } => {
            let policy = jail.as_ref().map(|jail| known_jail(engine, jail));
            let policy = policy.transpose()?;
            let subject = subject.as_ref().map(|text| whom(engine, policy, text));
            let subject = subject.transpose()?;
            let jails = engine.policy().jails.iter().map(|policy| &policy.name);
            let banned = |name: &JailName| match &subject {
                Some(subject) => {
                    !engine.ledger().overlapping(name, subject).is_empty()
                        || *forget && engine.is_offender(name, subject)
                }
                None => engine.ledger().count_in(name) > 0,
            };
            let mut wanted = jails.filter(|name| jail.as_ref().is_none_or(|jail| jail == *name));
            if let (Some(subject), false) = (&subject, wanted.any(banned)) {
                let place = jail
                    .as_ref()
                    .map(|jail| format!(" in jail {jail}"))
                    .unwrap_or_default();
                let forget = match !forget && held(engine, jail.as_ref(), subject) {
                    true => "; --forget forgets what is held against it",
                    false => "",
                };
                return Err(refused(
                    Why::NotSo,
                    format!("{} is not banned{place}{forget}", subject.plain()),
                ));
            }
            Ok(Some(Input::Unban {
                jail: jail.clone(),
                subject,
                forget: *forget,
                reason: reason.as_deref().map(Box::from),
            }))
        }
        Request::Allow { subject, seconds } => {
            let widest = match subject.address().is_ipv4() {
                true => WIDEST_ALLOWED.ipv4,
                false => WIDEST_ALLOWED.ipv6,
            };
            if subject.width() < widest {
                let message = format!(
                    "{} is too wide to be allowed: write networks of {widest} bits or more",
                    subject.plain()
                );
                return Err(refused(Why::Malformed, message));
            }
            if engine.allows_no_more() && engine.allowance(*subject).is_none() {
                let message = format!("{MOST_ALLOWED} are allowed, as many as there can be");
                return Err(refused(Why::Unable, message));
            }
            Ok(Some(Input::Allow {
                subject: *subject,
                span: Duration::from_secs((*seconds).min(LONGEST_ALLOWANCE)),
            }))
        }
        Request::Disallow { subject } => {
            if engine.allowance(*subject).is_none() {
                let message = format!("{} is not allowed", subject.plain());
                return Err(refused(Why::NotSo, message));
            }
            Ok(Some(Input::Disallow { subject: *subject }))
        }
        _ => Ok(None),
    }
}

/// Whether one of the jails holds something against somebody.
fn held(engine: &Engine, jail: Option<&JailName>, subject: &Subject) -> bool {
    let jails = engine.policy().jails.iter().map(|jail| &jail.name);
    let mut jails = jails.filter(|name| jail.is_none_or(|jail| jail == *name));
    jails.any(|name| engine.is_offender(name, subject))
}

/// Why a ban would lock somebody out: whoever is guarded, or whoever asks, who comes from there.
fn lockout(subject: Prefix, from: Option<IpAddr>, guarded: &AddressSet) -> Option<String> {
    let from = from.filter(|from| subject.contains(*from));
    let because = match (from, guarded.find(&subject)) {
        (Some(from), _) => format!("you are connected from {from}"),
        (None, Some(rule)) if subject.is_host() => rule.because.to_string(),
        (None, Some(rule)) => format!("it holds {}, and {}", rule.prefix.plain(), rule.because),
        (None, None) => return None,
    };
    let remedy = match subject.is_host() {
        true => "--force bans all the same",
        false => "ban a narrower network, or hosts",
    };
    let subject = subject.plain();
    Some(format!(
        "{subject} is not banned, lest somebody be locked out: {because}; {remedy}"
    ))
}

/// The reply to an order that led to these decisions.
pub fn done(decisions: &[Decision]) -> Reply {
    let count = |is_meant: fn(&&Decision) -> bool| decisions.iter().filter(is_meant).count();
    Reply::Done {
        changed: count(|decision| match decision {
            Decision::Ban(ban) => ban.origin == Origin::Manual,
            Decision::Unban(unban) => matches!(unban.release, Release::Manual | Release::Ignored),
            _ => false,
        }),
        resumed: count(|decision| matches!(decision, Decision::Resume(_))),
    }
}

/// The reply to whoever confirms a configuration that is not on trial, the one in force having come back at `restored`.
pub fn nothing_to_confirm(restored: Option<Timestamp>) -> Reply {
    let restored = restored.map_or_else(String::new, |time| {
        format!(
            "; the one that was could be confirmed until {time}, when the one before it came back"
        )
    });
    refused(
        Why::NotSo,
        format!("no configuration is on trial{restored}"),
    )
}

/// The reply to whoever wants bans to be taken over while the database cannot be asked.
pub fn no_memory(error: Option<&StoreError>) -> Reply {
    let because = error.map_or_else(String::new, |error| format!(": {error}"));
    let message = format!("nothing is taken over, the database cannot be read{because}");
    refused(Why::Unable, message)
}

/// The reply to a change that cannot be.
pub fn not_so(error: &AmendError) -> Reply {
    let why = match error {
        AmendError::Jail(_) | AmendError::NotListed => Why::NotSo,
        AmendError::TooMany => Why::Unable,
        _ => Why::Usage,
    };
    refused(why, error.to_string())
}

/// The reply to a change of what a directory says that cannot be.
pub fn not_written(error: &OverlayError) -> Reply {
    let why = match error {
        OverlayError::Jail(_) | OverlayError::NoMatch(_) => Why::NotSo,
        OverlayError::TooMuch(_) => Why::Unable,
        _ => Why::Usage,
    };
    refused(why, error.to_string())
}

/// The reply to one that comes to something else than was meant.
pub fn not_meant(problem: &Problem) -> Reply {
    refused(
        Why::Usage,
        format!("{}: {}", problem.message, problem.remedy),
    )
}

/// The reply to one while f2bd runs with a configuration of its own.
pub fn no_tree(change: &TreeChange) -> Reply {
    refused(
        Why::Usage,
        format!(
            "f2bd does not change `{}` of its own configuration while it runs: write the new value into the configuration, then reload",
            change.key()
        ),
    )
}

/// The reply to one that another configuration has come before.
pub fn overtaken() -> Reply {
    refused(
        Why::Unable,
        "f2bd ends, or another configuration came in force meanwhile; try again".to_owned(),
    )
}

/// The reply to a reload that comes too late.
pub fn ending() -> Reply {
    refused(
        Why::Unable,
        "f2bd ends: nothing comes in force any more".to_owned(),
    )
}

/// The reply to more bans than can be taken over at once.
pub fn too_many() -> Reply {
    let message = format!("at most {MOST_TAKEN_OVER} bans are taken over at once");
    refused(Why::Malformed, message)
}

/// The reply to a configuration that has mistakes.
pub fn bad_configuration(problems: &[Problem]) -> Reply {
    not_taken(String::new(), problems)
}

/// The reply to one by which jails that run would end.
pub fn jails_lost(lost: &JailsLost, problems: &[Problem]) -> Reply {
    not_taken(format!(": {lost}"), problems)
}

fn not_taken(why: String, problems: &[Problem]) -> Reply {
    Reply::Refused(Refusal {
        why: Why::BadConfiguration,
        message: format!("the configuration has mistakes; the old one stays in force{why}"),
        details: problems.iter().map(ToString::to_string).collect(),
    })
}

/// The reply to a request that only wants to know.
pub fn view(view: &View<'_>, request: &Request) -> Reply {
    match request {
        Request::Status { jail } => status(view, jail.as_ref()).unwrap_or_else(|refusal| refusal),
        Request::Deaf => deaf::deaf(view),
        Request::Bans { jail, after } => {
            bans(view, jail.as_ref(), *after).unwrap_or_else(|refusal| refusal)
        }
        Request::History {
            subject,
            jail,
            limit,
        } => {
            let policy = jail
                .as_ref()
                .and_then(|jail| known_jail(view.engine, jail).ok());
            let subject = subject.as_ref().map(|text| whom(view.engine, policy, text));
            let subject = match subject.transpose() {
                Ok(subject) => subject,
                Err(refusal) => return refusal,
            };
            let query = HistoryQuery {
                subject,
                jail: jail.clone(),
                limit: (*limit).min(PAGE),
            };
            match with_store(view, |store| store.history(&query)) {
                Ok(rows) => Reply::History {
                    rows: rows
                        .into_iter()
                        .map(|row| history_row(view.engine, row))
                        .collect(),
                },
                Err(message) => refused(Why::Unable, message),
            }
        }
        Request::Explain { subject } => match whom(view.engine, None, subject) {
            Ok(subject) => Reply::Explanation(Box::new(explain::explain(view, subject))),
            Err(refusal) => refusal,
        },
        Request::Allowed => {
            let mut rows: Vec<_> = view.engine.allowed().map(allowed_row).collect();
            rows.sort_by_key(|row| (row.until, row.subject));
            Reply::Allowed { rows }
        }
        Request::Settings { jail } => {
            settings(view, jail.as_ref()).unwrap_or_else(|refusal| refusal)
        }
        Request::Flush => done(&[]),
        Request::Ban { .. }
        | Request::Unban { .. }
        | Request::TakeOver { .. }
        | Request::Allow { .. }
        | Request::Disallow { .. }
        | Request::Reload { .. }
        | Request::Confirm
        | Request::Set { .. }
        | Request::Rewrite { .. }
        | Request::EndJail { .. }
        | Request::SetDaemon { .. }
        | Request::Stop
        | Request::Follow => refused(
            Why::Malformed,
            "the request was not meant for the driver".to_owned(),
        ),
    }
}

fn allowed_row(allowance: &Allowance) -> AllowedRow {
    AllowedRow {
        subject: allowance.subject,
        since: allowance.since,
        until: allowance.until,
    }
}

fn refused(why: Why, message: String) -> Reply {
    Reply::Refused(Refusal {
        why,
        message,
        details: Vec::new(),
    })
}

fn known_jail<'e>(engine: &'e Engine, name: &JailName) -> Result<&'e JailPolicy, Reply> {
    let jails = &engine.policy().jails;
    jails.iter().find(|jail| jail.name == *name).ok_or_else(|| {
        let known: Vec<_> = jails.iter().map(|jail| jail.name.as_str()).collect();
        let known = if known.is_empty() {
            "there is none".to_owned()
        } else {
            format!("known are {}", known.join(", "))
        };
        refused(Why::NotSo, format!("no jail {name} is enabled; {known}"))
    })
}

/// Whom a text means: to a jail what that bans; to all of them a name if it is nothing else and one of them bans names.
fn whom(engine: &Engine, jail: Option<&JailPolicy>, text: &str) -> Result<Subject, Reply> {
    let network = text.parse::<Subject>();
    let mut jails = engine.policy().jails.iter();
    let is_name = match jail {
        Some(jail) => jail.named_by.is_some(),
        None => network.is_err() && jails.any(|jail| jail.named_by.is_some()),
    };
    match is_name {
        true => Name::of(text).map(Subject::Name).ok_or_else(|| {
            let message = "a name cannot be empty".to_owned();
            refused(Why::Usage, message)
        }),
        false => network.map_err(|error| refused(Why::Usage, error.to_string())),
    }
}

fn status(view: &View<'_>, only: Option<&JailName>) -> Result<Reply, Reply> {
    if let Some(jail) = only {
        known_jail(view.engine, jail)?;
    }
    let policies = view.engine.policy().jails.iter();
    let jails = policies
        .zip(view.engine.jails(view.now))
        .filter(|(policy, _)| only.is_none_or(|jail| *jail == policy.name));
    let jails = jails.map(|(policy, state)| JailRow {
        jail: policy.name.clone(),
        filter: filter_name(view.engine, policy),
        maxretry: policy.maxretry.0.get(),
        distinct: policy.counting == Counting::Users,
        findtime: policy.findtime.0.as_secs_f64(),
        bantime: policy.bantime,
        siege: siege_row(view, &policy.name),
        actions: policy
            .responses
            .actions()
            .into_iter()
            .map(ToString::to_string)
            .collect(),
        watched: state.watched,
        most_watched: most_subjects(policy.most_retries()),
        failing: state.failing,
        unresolved: state.unresolved,
        banned: state.banned,
        unhindered: state.unhindered,
        failures: state.failures,
        bans: state.bans,
        inherited: state.inherited,
        records: state.records,
    });
    let sources = view.sources.states().into_iter().map(|source| SourceRow {
        source: source.name.to_string(),
        records: source.read.records,
        bytes: source.read.bytes,
        last_record: source.read.last_record,
        lag: source.read.lag.as_secs_f64(),
        cut: source.read.losses.cut,
        dropped: source.read.losses.dropped,
        refused: source.read.losses.refused,
        malformed: source.read.losses.malformed,
        gaps: source.read.gaps,
        trouble: source.trouble,
        more_files: source.files.len().saturating_sub(MOST_FILES),
        files: source
            .files
            .into_iter()
            .take(MOST_FILES)
            .map(|file| FileRow {
                file: file.path,
                records: file.records,
                bytes: file.bytes,
                last_record: file.last_record,
            })
            .collect(),
    });
    let actions = view
        .outbox
        .states()
        .map(|(action, works, reason)| ActionRow {
            reason: reason.map(str::to_owned),
            failed: view.outbox.complaint(action).map(str::to_owned),
            action: action.to_string(),
            works,
            is_replaced: false,
        });
    let replaced = view.outbox.replaced().map(|action| ActionRow {
        action: action.to_string(),
        works: true,
        reason: None,
        failed: None,
        is_replaced: true,
    });
    let actions = actions.chain(replaced);
    Ok(Reply::Status(Box::new(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since: view.circumstances.since,
        dry_run: view.circumstances.is_dry_run(),
        configuration: view.configuration.clone(),
        jails: jails.collect(),
        sources: sources.collect(),
        actions: actions.collect(),
        database: DatabaseRow {
            path: view.circumstances.database.display().to_string(),
            up_to_date: !view.memory.wants_retry(),
            has_losses: view.memory.has_losses(),
        },
    })))
}

fn settings(view: &View<'_>, only: Option<&JailName>) -> Result<Reply, Reply> {
    if let Some(jail) = only {
        known_jail(view.engine, jail)?;
    }
    let circumstances = view.circumstances;
    let rows = circumstances.rows.iter();
    let rows = rows.filter(|row| only.is_none_or(|jail| *jail == row.jail));
    let logging = &circumstances.logging;
    let target = logging.target.as_ref();
    Ok(Reply::Settings(Box::new(SettingsRow {
        log_level: log::max_level(),
        fail2ban_log: target.map(|target| target.name().to_owned()),
        fail2ban_log_level: logging.threshold.to_string(),
        fail2ban_syslog_socket: logging.syslog_word(),
        keep_bans: circumstances.retention.history.as_secs(),
        jails: rows.cloned().collect(),
    })))
}

fn siege_row(view: &View<'_>, jail: &JailName) -> Option<SiegeRow> {
    let siege = view.engine.siege(jail, view.now)?;
    Some(SiegeRow {
        since: siege.since,
        maxretry: siege.maxretry.0.get(),
    })
}

fn filter_name(engine: &Engine, policy: &JailPolicy) -> String {
    engine.policy().filters.spec(policy.filter).name.to_string()
}

fn bans(view: &View<'_>, only: Option<&JailName>, after: u64) -> Result<Reply, Reply> {
    if let Some(jail) = only {
        known_jail(view.engine, jail)?;
    }
    let mut bans: Vec<_> = view
        .engine
        .ledger()
        .iter()
        .filter(|(jail, _, ban)| ban.id.0 > after && only.is_none_or(|only| only == *jail))
        .collect();
    let more = bans.len() > PAGE;
    if more {
        bans.select_nth_unstable_by_key(PAGE, |(_, _, ban)| ban.id);
        bans.truncate(PAGE);
    }
    bans.sort_unstable_by_key(|(_, _, ban)| ban.id);
    let rows = bans
        .into_iter()
        .map(|(jail, subject, ban)| ban_row(view.engine, jail, subject, &ban))
        .collect();
    Ok(Reply::Bans { rows, more })
}

fn ban_row(engine: &Engine, jail: &JailName, subject: &Subject, ban: &Standing) -> BanRow {
    let (country, operator) = whereabouts(engine, subject);
    BanRow {
        ban: ban.id.0,
        jail: jail.clone(),
        subject: subject.clone(),
        start: ban.start,
        until: ban.until(),
        bantime: ban.bantime,
        offence: ban.offence,
        origin: ban.origin,
        in_effect: engine.is_in_effect(jail, ban),
        unhindered: ban.unhindered,
        response: response_row(engine, jail, ban.offence, ban.origin),
        country,
        operator,
    }
}

/// What a jail does about its bans, if not the same about all of them.
fn response_row(
    engine: &Engine,
    jail: &JailName,
    offence: u32,
    origin: Origin,
) -> Option<ResponseRow> {
    let mut jails = engine.policy().jails.iter();
    let policy = jails.find(|policy| policy.name == *jail)?;
    let response = policy.responses.to(offence, origin);
    policy.responses.are_graded().then(|| ResponseRow {
        actions: response.actions.iter().map(ToString::to_string).collect(),
        lets_through: response.lets_through,
    })
}

/// Where a subject is and who runs its network, by what the databases say today.
fn whereabouts(engine: &Engine, subject: &Subject) -> (Option<String>, Option<OperatorRow>) {
    let network = subject.network();
    let found = network.map(|network| engine.policy().atlas.find_all(network));
    let found = found.unwrap_or_default();
    let operator = found.operator.map(|operator| OperatorRow {
        asn: operator.asn.0,
        name: operator.name.map(|name| kept(&name).into_owned()),
    });
    (found.country.map(|country| country.to_string()), operator)
}

fn history_row(engine: &Engine, row: store::HistoryRow) -> HistoryRow {
    let (country, operator) = whereabouts(engine, &row.subject);
    HistoryRow {
        ban: row.ban.0,
        jail: row.jail,
        subject: row.subject,
        start: row.start,
        until: row.until,
        ended: row.ended.map(|(time, _)| time),
        release: row.ended.map(|(_, release)| release),
        offence: row.offence,
        failures: row.failures,
        origin: row.origin,
        reason: row.reason,
        release_reason: row.release_reason,
        country,
        operator,
    }
}

fn failure_row(row: store::FailureRow) -> FailureRow {
    FailureRow {
        jail: row.jail,
        time: row.time,
        address: row.address,
        user: row.user,
        target: row.target,
        pattern: row.pattern,
        line: row.line,
        counted: row.counted,
    }
}

/// Asks the database; what is wrong with it, if it cannot answer.
fn with_store<T>(
    view: &View<'_>,
    ask: impl FnOnce(&Store) -> Result<T, StoreError>,
) -> Result<T, String> {
    let store = view
        .memory
        .store()
        .ok_or("the database cannot be opened at the moment")?;
    ask(store).map_err(|error| format!("the database cannot be read: {error}"))
}

/// A decision as those hear it who follow; `None` if it tells them nothing.
pub fn follow_line(decision: &Decision) -> Option<FollowLine> {
    Some(match decision {
        // They hear of the failures, when the addresses are known.
        Decision::Ignore(_) | Decision::Await(_) | Decision::Answered(_) | Decision::Sighted(_) => {
            return None;
        }
        Decision::Count(failure) => FollowLine::Failure {
            subject: failure.subject.clone(),
            failure: FailureRow {
                jail: failure.jail.clone(),
                time: failure.time,
                address: failure.address,
                user: failure.user.as_deref().map(|user| kept(user).into_owned()),
                target: failure
                    .target
                    .as_deref()
                    .map(|target| kept(target).into_owned()),
                pattern: failure.pattern,
                line: kept(&failure.line).into_owned(),
                counted: failure.counted,
            },
        },
        Decision::Ban(ban) => FollowLine::Ban {
            time: ban.start,
            jail: ban.jail.clone(),
            subject: ban.subject.clone(),
            failures: ban.evidence.len(),
            bantime: ban.bantime,
            offence: ban.offence,
            until: ban.until(),
        },
        Decision::Unban(unban) => FollowLine::Unban {
            time: unban.time,
            jail: unban.jail.clone(),
            subject: unban.subject.clone(),
            release: unban.release,
        },
        Decision::Resume(resumed) => FollowLine::Notice {
            message: resumed_text(resumed),
        },
        Decision::Remark(remark) => FollowLine::Notice {
            message: remark_text(remark),
        },
        Decision::Forgive(forgiven) => FollowLine::Notice {
            message: forgiven_text(forgiven),
        },
        Decision::Allow(allowance) => FollowLine::Notice {
            message: allowed_text(allowance),
        },
        Decision::Disallow(subject) => FollowLine::Notice {
            message: disallowed_text(*subject),
        },
        Decision::Clear(cleared) => FollowLine::Notice {
            message: cleared_text(cleared),
        },
        Decision::Notice(notice) => FollowLine::Notice {
            message: notice_text(notice),
        },
    })
}
