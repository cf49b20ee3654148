//! What does `[jail.NAME]` say?
//!
//! In: the section over `[defaults]`, and the files it names. Out: [`JailSettings`], complete and checked. How the
//! jails of a configuration become one policy is put together in the room's door.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::accounts;
use super::action::ActionUse;
use super::class;
use super::closing;
use super::daemon::named;
use super::document::{Entry, Kind, Table, Value};
use super::escalation;
use super::files::{Data, SearchPath};
use super::filter::{FilterFile, NORMAL};
use super::ignore::Ignored;
use super::keys::{self, MOST_RETRIES};
use super::listening::{self, Listening, Wishes};
use super::network;
use super::problem::{Place, Problems};
use super::proxies;
use super::response;
use super::section::{Section, unknown};
use super::siege;
use super::source::Sources;
use super::subject;
use crate::action::ports::{Ports, Protocol, Services};
use crate::engine::filter::Capture;
use crate::engine::jail::accounts::AccountRule;
use crate::engine::jail::class::ClassRule;
use crate::engine::jail::escalation::Escalation;
use crate::engine::jail::network::NetworkRule;
use crate::engine::jail::response::Responses;
use crate::engine::jail::siege::SiegeRule;
use crate::engine::name::{ActionName, FilterName, JailName, SourceName};
use crate::engine::policy::{Counting, FilterId, IgnoreList, JailPolicy, MaxRetry, UseDns};
use crate::engine::prefix::SubjectWidth;
use crate::engine::record::journal::{JournalMatch, RouteId};
use crate::engine::time::{BanTime, FindTime};
use crate::source::file::FileGlob;

/// A jail, complete and checked.
#[derive(Clone, Debug)]
pub struct JailSettings {
    /// Its name.
    pub name: JailName,
    /// Whether it is switched on.
    pub enabled: bool,
    /// The filter.
    pub filter: FilterName,
    /// The filter's mode.
    pub mode: String,
    /// The services whose reports count, with a filter of reports.
    pub services: Vec<Box<str>>,
    /// What it listens to.
    pub sources: Vec<SourceName>,
    /// Of these, the sources of which only records count that name their program, since its filter names programs and
    /// the jail has not chosen them for that: whoever logs there without a name could be any program.
    pub named_only: Vec<SourceName>,
    /// Which entries of journals it wants; nothing if it listens to none.
    pub journalmatch: JournalMatch,
    /// Which log files it wants of those that no source of their own has; nothing if it does not ask for any.
    pub logpath: Vec<FileGlob>,
    /// What makes a ban,
    pub counting: Counting,
    /// so many of it.
    pub maxretry: MaxRetry,
    /// Of whom other numbers of them do; the first that holds counts.
    pub classes: Vec<ClassRule>,
    /// The window they must lie in.
    pub findtime: FindTime,
    /// How long the first ban of a subject lasts.
    pub bantime: BanTime,
    /// How further ones grow longer; `None` if they do not.
    pub escalation: Option<Escalation>,
    /// Which networks are banned as a whole, of each family the narrowest first.
    pub networks: Vec<NetworkRule>,
    /// When all are banned who have failed for one account; `None` if that is never looked at.
    pub accounts: Option<AccountRule>,
    /// When stricter settings hold; `None` if they never do.
    pub siege: Option<SiegeRule>,
    /// Whether names are looked up that logs give instead of addresses.
    pub usedns: UseDns,
    /// By which capture whoever is banned is known; `None` if it is by his address.
    pub named_by: Option<Capture>,
    /// Who is never banned.
    pub ignore: IgnoreList,
    /// Which proxies are believed for whom they speak.
    pub trusted: IgnoreList,
    /// What counts as one subject.
    pub width: SubjectWidth,
    /// What a banned host cannot reach.
    pub ports: Ports,
    /// The protocols of these ports.
    pub protocols: Vec<Protocol>,
    /// What is done about bans.
    pub responses: Responses,
    /// What is otherwise for single actions.
    pub owns: BTreeMap<ActionName, response::Own>,
}

/// The filter of a jail, and what of it.
struct FilterChoice {
    name: FilterName,
    mode: String,
    services: Vec<Box<str>>,
}

/// What `[defaults]` can say as well as a jail.
struct Common {
    counting: Counting,
    maxretry: MaxRetry,
    classes: Vec<ClassRule>,
    findtime: FindTime,
    bantime: BanTime,
    escalation: Option<Escalation>,
    networks: Vec<NetworkRule>,
    accounts: Option<AccountRule>,
    siege: Option<SiegeRule>,
    usedns: UseDns,
    ignore: IgnoreList,
    trusted: IgnoreList,
    width: SubjectWidth,
    /// Nothing if nothing is said of them.
    protocols: Vec<Protocol>,
    responses: Responses,
    actions: Vec<response::Named>,
}

/// What all jails are read with.
#[derive(Debug)]
pub struct JailReader<'c> {
    /// Where filter files are.
    pub search: &'c SearchPath,
    /// The sources there are.
    pub sources: &'c Sources,
    /// `[defaults]`
    pub defaults: Option<&'c Table>,
    /// The filter files that were read; `None` for one that cannot be used, which has been reported.
    pub filters: BTreeMap<FilterName, Option<FilterFile>>,
    /// Which databases `[daemon]` names.
    pub databases: class::Named,
    /// Whom the jails ignore.
    pub ignored: Ignored,
    /// The numbers of services.
    pub services: Services,
    /// The actions that enabled jails name, also those jails that cannot be used, and where they do.
    pub actions: Vec<ActionUse>,
}

impl<'c> JailReader<'c> {
    /// Reads all sections `[jail.NAME]`.
    pub fn read_all(
        &mut self,
        table: Option<&'c Table>,
        problems: &mut Problems,
    ) -> Vec<JailSettings> {
        let defaults = Section::new(self.defaults, keys::JAIL);
        defaults.check_keys("[defaults]", problems);
        // Also what every jail says otherwise: the next one may not.
        self.common(&defaults, problems);
        listening::sources(&defaults, self.sources, problems);
        let entries = table.map(Table::entries).unwrap_or_default();
        let mut jails = Vec::new();
        for entry in entries {
            if let Some((name, table)) =
                named::<JailName>("jail", &entry.key, &entry.place, &entry.value, problems)
            {
                jails.push((name, table, entry));
            }
        }
        jails
            .into_iter()
            .filter_map(|(name, table, entry)| self.read(name, table, entry, problems))
            .collect()
    }

    /// What a jail of this filter obeys that says nothing itself and listens to whatever it is told of.
    pub fn usual(
        &mut self,
        name: JailName,
        filter: FilterId,
        problems: &mut Problems,
    ) -> Option<JailPolicy> {
        let defaults = Section::new(self.defaults, keys::JAIL);
        let common = self.common(&defaults, problems)?;
        Some(JailPolicy {
            name,
            filter,
            logins: None,
            is_idle: false,
            sources: Vec::new(),
            named_only: Vec::new(),
            route: Some(RouteId(filter.0)),
            counting: common.counting,
            maxretry: common.maxretry,
            classes: common.classes,
            findtime: common.findtime,
            bantime: common.bantime,
            escalation: common.escalation,
            networks: common.networks,
            accounts: common.accounts,
            siege: common.siege,
            usedns: common.usedns,
            named_by: None,
            ignore: common.ignore,
            trusted: common.trusted,
            width: common.width,
            responses: common.responses,
        })
    }

    fn section(&self, table: &'c Table) -> Section<'c> {
        Section::new(Some(table), keys::JAIL_ONLY).over(self.defaults, keys::JAIL)
    }

    fn read(
        &mut self,
        name: JailName,
        table: &'c Table,
        entry: &Entry,
        problems: &mut Problems,
    ) -> Option<JailSettings> {
        let section = self.section(table);
        section.check_keys(&format!("[jail.{name}]"), problems);
        let choice = self.filter(&name, &section, &entry.place, problems);
        let before = problems.count();
        let enabled = section.flag("enabled", problems).unwrap_or(true);
        let named_by = subject::read(&section, problems);
        let common = self.common(&section, problems);
        let wishes = Wishes::read(&section, &entry.place, self.sources, problems);
        let ports = closing::ports(&section, &self.services, problems);
        if let Some(defaults) = self.defaults {
            // What is wrong with them alone was found with them.
            problems.blame(before, &format!("in jail `{name}`, "), &defaults.places());
        }
        let Common {
            counting,
            maxretry,
            classes,
            findtime,
            bantime,
            escalation,
            networks,
            accounts,
            siege,
            usedns,
            ignore,
            trusted,
            width,
            mut protocols,
            responses,
            actions,
        } = common?;
        // What `[defaults]` say of addresses is for other jails.
        let (mut networks, mut accounts) = (networks, accounts);
        let counting = subject::counting(&section, named_by, counting, problems);
        if let Some(capture) = named_by {
            (networks, accounts) = (Vec::new(), None);
            subject::check_keys(&section, capture, problems);
        }
        let owns = response::owns(&actions, problems);
        if enabled {
            let named = actions.into_iter();
            let wider = &responses.unhindered().actions;
            self.actions.extend(named.map(|named| {
                ActionUse {
                    is_wider: wider.contains(&named.action),
                    label: owns
                        .get(&named.action)
                        .and_then(|own| own.label.clone())
                        .unwrap_or_else(|| name.clone()),
                    action: named.action,
                    place: named.place.unwrap_or_else(|| entry.place.clone()),
                    jail: name.clone(),
                    by_names: named_by,
                }
            }));
        }
        let FilterChoice {
            name: filter,
            mode,
            services,
        } = choice?;
        let file = self.filters.get(&filter)?.as_ref()?;
        let ports = ports.or_else(|| file.ports(&self.services, problems));
        for usual in [file.protocols(), &[Protocol::Tcp]] {
            if protocols.is_empty() {
                protocols.extend_from_slice(usual);
            }
        }
        let spec = file.spec(&mode);
        let captures = |capture| spec.captures(capture);
        accounts::check(&section, accounts, captures, problems);
        if usedns != UseDns::No && !spec.names_hosts() {
            warn_of_no_names(&section, problems);
        }
        proxies::check(&section, &spec, problems);
        if let Some(value) = section.value("response")
            && escalation
                .as_ref()
                .is_none_or(|grown| grown.memory.is_none())
        {
            problems.warning(
                &value.place,
                "`response` goes by offences, which count as long as bans are kept",
                "write escalation = { factor = 1, memory = \"30d\" }, or another one with `memory`",
            );
        }
        match named_by {
            Some(capture) => subject::check_filter(&section, capture, &spec, problems),
            None => subject::check_addresses(&section, &filter, &entry.place, &spec, problems),
        }
        let records = spec.records;
        let counts_bans = records.bans;
        let Listening {
            sources,
            named_only,
            journalmatch,
            logpath,
        } = wishes.over(&filter, records, self.sources, problems)?;
        if enabled && sources.is_empty() && !counts_bans {
            problems.warning(
                section
                    .value("sources")
                    .map_or(&entry.place, |value| &value.place),
                format!("jail `{name}` listens to nothing: it protects nothing"),
                "enable a source, name one in `sources`, or write enabled = false",
            );
        }
        Some(JailSettings {
            name,
            enabled,
            filter,
            mode,
            services,
            sources,
            named_only,
            journalmatch,
            logpath,
            counting,
            maxretry,
            classes,
            findtime,
            bantime,
            escalation,
            networks,
            accounts,
            siege,
            usedns,
            named_by,
            ignore,
            trusted,
            width,
            ports: ports.unwrap_or(Ports::All),
            protocols,
            responses,
            owns,
        })
    }

    /// What can also be said for all jails; `None` is never the administrator's fault.
    fn common(&mut self, section: &Section<'_>, problems: &mut Problems) -> Option<Common> {
        let maxretry = section
            .number("maxretry", 1, i64::from(MOST_RETRIES), problems)
            .unwrap_or(5);
        let maxretry = u32::try_from(maxretry).ok().and_then(NonZeroU32::new)?;
        let ten_minutes = std::time::Duration::from_secs(600);
        let findtime = FindTime(section.span("findtime", problems).unwrap_or(ten_minutes));
        let width = width(section, problems);
        let bantime = bantime(section, problems).unwrap_or(BanTime::For(ten_minutes));
        let own = section.flag("ignoreself", problems).unwrap_or(true);
        let words = section.texts("ignoreip", problems).unwrap_or_default();
        let proxies = section.texts("trusted", problems).unwrap_or_default();
        let command = section.texts("ignorecommand", problems).unwrap_or_default();
        let (responses, actions) = response::read(section, width, &self.services, problems)?;
        Some(Common {
            counting: accounts::counting(section, problems),
            maxretry: MaxRetry(maxretry),
            classes: class::read(section, self.databases, problems),
            findtime,
            bantime,
            escalation: escalation::read(section, bantime, problems),
            networks: network::read(section, width, findtime, problems),
            accounts: accounts::read(section, findtime, problems),
            siege: siege::read(section, problems),
            usedns: section.parsed("usedns", problems).unwrap_or_default(),
            ignore: self.ignored.list(&words, own, &command, problems),
            trusted: self.ignored.trusted(&proxies, problems),
            width,
            protocols: closing::protocols(section, problems),
            responses,
            actions,
        })
    }

    /// The filter, if it is a good choice.
    fn filter(
        &mut self,
        jail: &JailName,
        section: &Section<'_>,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<FilterChoice> {
        let mut services = None;
        let usual = (jail.as_str(), place, NORMAL, place);
        let (name, name_place, mode, mode_place) = match section.value("filter") {
            None => usual,
            Some(Value {
                place,
                kind: Kind::Text(name),
            }) => (name.as_str(), place, NORMAL, place),
            Some(Value {
                place,
                kind: Kind::Table(table),
            }) => {
                let inner = Section::new(Some(table), keys::FILTER_CHOICE);
                inner.check_keys(&format!("`filter` of [jail.{jail}]"), problems);
                let mode = inner.text("mode", problems).unwrap_or(NORMAL);
                let name = match (inner.text("use", problems), inner.value("use")) {
                    (None, Some(_)) => return None,
                    (name, _) => name.unwrap_or(jail.as_str()),
                };
                services = inner.texts("service", problems).zip(inner.value("service"));
                let at = |key| inner.value(key).map_or(place, |value| &value.place);
                (name, at("use"), mode, at("mode"))
            }
            Some(value) => {
                let message = format!("`filter` cannot be {}", value.kind_name());
                problems.error(
                    &value.place,
                    message,
                    "write a name, or { use = \"sshd\", mode = \"aggressive\" }",
                );
                return None;
            }
        };
        let name: FilterName = match name.parse() {
            Ok(name) => name,
            Err(error) => {
                problems.error(
                    name_place,
                    format!("`filter`: {error}"),
                    "write the name of a file in filters/, without its ending",
                );
                return None;
            }
        };
        if !self.filters.contains_key(&name) {
            let file = self.read_filter(&name, name_place, problems);
            self.filters.insert(name.clone(), file);
        }
        let file = self.filters.get(&name)?.as_ref()?;
        if let (Some((_, value)), false) = (&services, file.takes_reports()) {
            problems.error(
                &value.place,
                format!("filter `{name}` reads logs and takes no reports of services"),
                "remove `service`, or write use = \"report\"",
            );
            return None;
        }
        let services = match services {
            Some((list, _)) => list
                .into_iter()
                .map(|(service, _)| service.into())
                .collect(),
            None if file.takes_reports() => vec![jail.as_str().into()],
            None => Vec::new(),
        };
        file.check_mode(mode, mode_place, problems)
            .then(|| FilterChoice {
                name,
                mode: mode.to_owned(),
                services,
            })
    }

    fn read_filter(
        &self,
        name: &FilterName,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<FilterFile> {
        let before = problems.count();
        match self.search.find(Data::Filter, name.as_str(), problems) {
            Some(text) => FilterFile::parse(name.clone(), &text, problems),
            None => {
                if problems.count() == before {
                    let known = self.search.names(Data::Filter);
                    unknown(
                        "filter",
                        name.as_str(),
                        "",
                        known.iter().map(String::as_str),
                        place,
                        problems,
                    );
                }
                None
            }
        }
    }
}

fn bantime(section: &Section<'_>, problems: &mut Problems) -> Option<BanTime> {
    let text = section.span_text("bantime", problems)?;
    match text.parse() {
        Ok(BanTime::Forever) => Some(BanTime::Forever),
        Ok(BanTime::For(span)) if !span.is_zero() => Some(BanTime::For(span)),
        // Reported as any other span that is none.
        _ => section.span("bantime", problems).map(BanTime::For),
    }
}

/// Tells who asks for names where there are none; in `[defaults]` that is for other jails.
fn warn_of_no_names(section: &Section<'_>, problems: &mut Problems) {
    if let (Some(value), true) = (section.value("usedns"), section.says("usedns")) {
        problems.warning(
            &value.place,
            "`usedns`: the filter takes no names".to_owned(),
            "remove it, or choose a filter whose patterns have <host>",
        );
    }
}

fn width(section: &Section<'_>, problems: &mut Problems) -> SubjectWidth {
    let usual = SubjectWidth::DEFAULT;
    let inner = section.inner("prefix", keys::PREFIX, problems);
    let mut bits = |key: &str, most: i64, usual: u8| {
        let bits = inner.number(key, 1, most, problems);
        bits.and_then(|bits| u8::try_from(bits).ok())
            .unwrap_or(usual)
    };
    SubjectWidth {
        ipv4: bits("ipv4", 32, usual.ipv4),
        ipv6: bits("ipv6", 128, usual.ipv6),
    }
}
