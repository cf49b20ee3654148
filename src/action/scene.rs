//! What do the placeholders of an action stand for, and for what is something repeated?
//!
//! One rule: a step, a line or an element of a list is repeated for each of whatever it names. In: a [`Scene`], which
//! is what an order is about. Out: the [`Context`]s of something, and the value of each placeholder there. What the values
//! are written into, and how they have to be encoded there, is known elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::ActionJail;
use super::event::{Event, Occasion};
use super::manner::Manner;
use super::parameter::{Value, Values};
use super::ports::{PortRange, Ports, Protocol};
use super::said::is_not_shown;
use super::template::Template;
use super::vocabulary::{Axis, Vocabulary};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::record::kept::kept;
use crate::engine::subject::Subject;
use crate::engine::time::{BanTime, Span, Timestamp};

/// How many events one message tells of in full: more is no message. The others are counted in its last line.
const MOST_TOLD: usize = 50;

/// The longest short name of a jail: with `f2bd-` before and `-6n` behind, 31 characters of ipset and 28 of iptables hold it.
const LONGEST_SHORT_NAME: usize = 20;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    const ALL: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    /// Its name in data files.
    pub fn word(self) -> &'static str {
        match self {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        }
    }

    fn of(network: Prefix) -> Family {
        match network.address().is_ipv6() {
            false => Family::Ipv4,
            true => Family::Ipv6,
        }
    }
}

/// What an order is about.
#[derive(Clone, Debug)]
pub struct Scene<'s> {
    /// What the data file knows.
    pub vocabulary: &'s Vocabulary,
    /// What its parameters are set to.
    pub values: &'s Values,
    /// What its secrets are; those that are missing are shown as placeholders.
    pub secrets: BTreeMap<String, String>,
    /// What this machine is called.
    pub host: &'s str,
    /// The time.
    pub now: Timestamp,
    /// The jails, each with bans; one for all if the action makes no difference between them.
    pub jails: Vec<Stage<'s>>,
    /// Whether jails and families without a ban do not matter.
    pub only_banned: bool,
    /// What is told.
    pub events: Vec<&'s Event>,
    /// How many more could not be told.
    pub untold: usize,
    /// What whois servers know of addresses; text of whoever has registered them.
    pub whois: BTreeMap<IpAddr, String>,
    /// What the message is called; no other is, and it keeps its name when it is sent again.
    pub message: &'s str,
}

/// A jail and its bans.
#[derive(Clone, Debug)]
pub struct Stage<'s> {
    /// The jail; `None` if it is all of them.
    pub jail: Option<&'s ActionJail>,
    /// Who is banned, in order, and until when.
    pub members: Vec<(&'s Subject, Option<Timestamp>)>,
}

/// For what something is rendered.
#[derive(Clone, Debug, Default)]
pub struct Context<'s> {
    /// The jail and its bans.
    pub stage: Option<&'s Stage<'s>>,
    family: Option<Family>,
    destination: Option<Destination>,
    /// Who is banned.
    pub member: Option<(&'s Subject, Option<Timestamp>)>,
    /// What is told.
    pub event: Option<&'s Event>,
    line: Option<&'s str>,
    user: Option<&'s str>,
    /// How values are fitted in.
    manner: Option<&'s Manner>,
    items: Vec<(&'s str, &'s str)>,
}

/// What of a jail is shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    All,
    Some(Protocol, PortRange),
}

impl<'s> Context<'s> {
    /// The context of everything, in which values are fitted in so.
    pub fn with(manner: &'s Manner) -> Context<'s> {
        Context {
            manner: Some(manner),
            ..Context::default()
        }
    }
}

impl<'s> Scene<'s> {
    /// The contexts of something that names this, within a context that is fixed already.
    pub fn contexts(&'s self, axes: &BTreeSet<Axis>, within: &Context<'s>) -> Vec<Context<'s>> {
        let mut all = vec![within.clone()];
        for axis in axes {
            all = all
                .into_iter()
                .flat_map(|context| self.split(axis, context))
                .collect();
        }
        all
    }

    /// The context for each of one thing.
    fn split(&'s self, axis: &Axis, context: Context<'s>) -> Vec<Context<'s>> {
        let with = |change: &dyn Fn(&mut Context<'s>)| {
            let mut context = context.clone();
            change(&mut context);
            context
        };
        match axis {
            Axis::Jail if context.stage.is_none() => {
                let stages = self.jails.iter();
                let stages = stages.filter(|stage| !self.only_banned || !stage.members.is_empty());
                stages
                    .map(|stage| with(&|context| context.stage = Some(stage)))
                    .collect()
            }
            Axis::Family if context.family.is_none() => {
                let families = Family::ALL.into_iter();
                let families =
                    families.filter(|family| !self.only_banned || self.has(&context, *family));
                families
                    .map(|family| with(&|context| context.family = Some(family)))
                    .collect()
            }
            Axis::Destination if context.destination.is_none() => {
                let destinations = self.destinations(&context).into_iter();
                destinations
                    .map(|destination| with(&|context| context.destination = Some(destination)))
                    .collect()
            }
            Axis::Member if context.member.is_none() => {
                let stages = self.jails.iter();
                let stages = stages.filter(|stage| match context.stage {
                    Some(own) => std::ptr::eq(own, *stage),
                    None => true,
                });
                let members =
                    stages.flat_map(|stage| stage.members.iter().map(move |one| (stage, one)));
                let fits = |subject: &Subject| match (context.family, subject.network()) {
                    (Some(family), Some(network)) => Family::of(network) == family,
                    (Some(_), None) => false,
                    (None, _) => true,
                };
                members
                    .filter(|(_, (subject, _))| fits(subject))
                    .map(|(stage, member)| {
                        with(&|context| {
                            context.stage = Some(stage);
                            context.family = member.0.network().map(Family::of);
                            context.member = Some(*member);
                        })
                    })
                    .collect()
            }
            Axis::Event if context.event.is_none() => {
                let events = self.events.iter();
                events
                    .map(|event| with(&|context| context.event = Some(event)))
                    .collect()
            }
            Axis::Line if context.line.is_none() => {
                let lines = context.event.into_iter().flat_map(|event| &event.lines);
                lines
                    .map(|line| with(&|context| context.line = Some(line)))
                    .collect()
            }
            Axis::User if context.user.is_none() => {
                let users = context.event.into_iter().flat_map(|event| &event.users);
                users
                    .map(|user| with(&|context| context.user = Some(user)))
                    .collect()
            }
            Axis::Item(name) if !context.items.iter().any(|(known, _)| known == name) => {
                let Some((name, Value::List(items))) = self.values.entry(name) else {
                    return vec![context];
                };
                items
                    .iter()
                    .map(|item| with(&|context| context.items.push((name, item))))
                    .collect()
            }
            _ => vec![context],
        }
    }

    /// Whether somebody of a family is banned.
    fn has(&self, context: &Context<'s>, family: Family) -> bool {
        let stages = self.jails.iter();
        let mut stages = stages.filter(|stage| match context.stage {
            Some(own) => std::ptr::eq(own, *stage),
            None => true,
        });
        stages.any(|stage| {
            let mut networks = stage
                .members
                .iter()
                .filter_map(|(subject, _)| subject.network());
            networks.any(|network| Family::of(network) == family)
        })
    }

    fn destinations(&self, context: &Context<'s>) -> Vec<Destination> {
        let jail = context.stage.and_then(|stage| stage.jail);
        let closes_all =
            matches!(self.values.get("ports"), Some(Value::Text(ports)) if ports == "all");
        match jail
            .filter(|_| !closes_all)
            .map(|jail| (&jail.ports, &jail.protocols))
        {
            None | Some((Ports::All, _)) => vec![Destination::All],
            Some((Ports::Some(ranges), protocols)) => {
                let protocols: BTreeSet<_> = protocols.iter().copied().collect();
                let each = protocols.into_iter().flat_map(|protocol| {
                    let ranges = ranges.iter();
                    ranges.map(move |range| Destination::Some(protocol, *range))
                });
                each.collect()
            }
        }
    }

    /// A text with the placeholders of one jail filled in.
    pub fn fill_for(&self, template: &Template, jail: Option<&JailName>) -> String {
        let is_it = |stage: &&Stage| stage.jail.map(|own| &own.jail) == jail;
        let context = Context {
            stage: self.jails.iter().find(is_it),
            ..Context::default()
        };
        self.fill(template, &context)
    }

    /// A text with its placeholders filled in.
    pub fn fill(&self, template: &Template, context: &Context<'s>) -> String {
        template.fill(|name| self.value(name, context))
    }

    /// What a placeholder stands for in a context; `None` if for nothing.
    pub fn value(&self, name: &str, context: &Context<'s>) -> Option<String> {
        if let Some((_, item)) = context.items.iter().find(|(known, _)| *known == name) {
            return Some((*item).to_owned());
        }
        match self.values.get(name) {
            Some(Value::Text(text)) => return Some(text.clone()),
            Some(Value::Secret(_)) => return self.secrets.get(name).cloned(),
            Some(Value::List(_)) | None => {}
        }
        if let (Some(family), "family") = (context.family, name) {
            return Some(family.word().to_owned());
        }
        let network = context.member.and_then(|(subject, _)| subject.network());
        let is_network = network.is_some_and(|network| !network.is_host());
        if let Some(word) = context
            .family
            .and_then(|family| self.vocabulary.word(family, is_network, name))
        {
            return Some(self.fill(word, context));
        }
        let single = match name {
            "line" => context.line,
            "user" => context.user,
            _ => None,
        };
        let value = single
            .map(text)
            .or_else(|| of_event(name, context.event?))
            .or_else(|| self.of_whois(name, context.event?))
            .or_else(|| self.of_member(name, context))
            .or_else(|| self.of_jail(name, context))
            .or_else(|| self.of_all(name))?;
        Some(match context.manner {
            Some(manner) => manner.fit(value),
            None => value,
        })
    }

    fn of_whois(&self, name: &str, event: &Event) -> Option<String> {
        let address = || Some(event.subject.as_ref()?.network()?.address());
        let said = || self.whois.get(&address()?);
        let lines = |said: &String| said.lines().map(text).collect::<Vec<_>>().join("\n");
        (name == "whois").then(|| said().map(lines).unwrap_or_default())
    }

    fn of_member(&self, name: &str, context: &Context<'s>) -> Option<String> {
        let (subject, until) = context.member?;
        let network = subject.network();
        Some(match name {
            "subject" => subject.plain(),
            "address" => network?.plain(),
            "first" => network?.address().to_string(),
            "width" => network?.width().to_string(),
            "until" => until.map_or_else(|| "never".to_owned(), |until| until.to_string()),
            "seconds" => self.vocabulary.seconds(until, self.now),
            _ => return None,
        })
    }

    fn of_jail(&self, name: &str, context: &Context<'s>) -> Option<String> {
        match (name, context.destination) {
            ("to", Some(_)) => return Some(self.destination_words(context).join(" ")),
            ("protocol", Some(Destination::Some(protocol, _))) => {
                return Some(protocol.to_string());
            }
            ("port", Some(Destination::Some(_, range))) => return Some(range.to_string()),
            ("port_first", Some(Destination::Some(_, range))) => {
                return Some(range.first.to_string());
            }
            ("port_last", Some(Destination::Some(_, range))) => {
                return Some(range.last.to_string());
            }
            _ => {}
        }
        let jail = context.stage?.jail?;
        Some(match name {
            "jail" => jail.label.to_string(),
            "short" => short(jail.label.as_str()),
            "port_list" => match &jail.ports {
                Ports::All => "all".to_owned(),
                Ports::Some(ranges) => join(ranges),
            },
            "protocol_list" => join(&jail.protocols),
            _ => return None,
        })
    }

    /// The words that stand for what is shut.
    pub fn destination_words(&self, context: &Context<'s>) -> Vec<String> {
        let words = match context.destination {
            None => return Vec::new(),
            Some(Destination::All) => &self.vocabulary.to_all,
            Some(Destination::Some(_, range)) if range.first == range.last => {
                &self.vocabulary.to_ports
            }
            Some(Destination::Some(..)) => &self.vocabulary.to_range,
        };
        words.iter().map(|word| self.fill(word, context)).collect()
    }

    fn of_all(&self, name: &str) -> Option<String> {
        Some(match name {
            "host" => self.host.to_owned(),
            "now" => self.now.to_string(),
            "count" => (self.events.len() + self.untold).to_string(),
            "message" => self.message.to_owned(),
            "summary" => self.summary(),
            "sentences" => self.sentences(),
            _ => return None,
        })
    }

    /// What is told, in few words: of one event its sentence, of more how many of which.
    fn summary(&self) -> String {
        if let ([event], 0) = (self.events.as_slice(), self.untold) {
            return text(&event.sentence);
        }
        let of = |occasion: Occasion| {
            self.events
                .iter()
                .filter(|event| event.occasion == occasion)
                .count()
        };
        let mut parts = Vec::new();
        for occasion in Occasion::ALL {
            match of(occasion) {
                0 => {}
                1 => parts.push(format!("1 {occasion}")),
                count => parts.push(format!("{count} {occasion}s")),
            }
        }
        if self.untold > 0 {
            parts.push(format!("{} more", self.untold));
        }
        parts.join(", ")
    }

    /// What is told, one sentence a line.
    fn sentences(&self) -> String {
        let told = self.events.iter().take(MOST_TOLD);
        let told: Vec<_> = told.map(|event| text(&event.sentence)).collect();
        let mut text = told.join("\n");
        let more = self.events.len().saturating_sub(MOST_TOLD) + self.untold;
        if more > 0 {
            let _ = write!(text, "\nand {more} more");
        }
        text
    }
}

fn of_event(name: &str, event: &Event) -> Option<String> {
    let network = event.subject.as_ref().and_then(Subject::network);
    let texts = |texts: &mut dyn Iterator<Item = &String>| {
        let texts: Vec<_> = texts.map(|own| text(own)).collect();
        texts
    };
    Some(match name {
        "event" => event.occasion.to_string(),
        "time" => event.time.to_string(),
        "jail" => event
            .jail
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        "address" => network.map(Prefix::plain).unwrap_or_default(),
        "first" => network
            .map(|network| network.address().to_string())
            .unwrap_or_default(),
        "subject" => event
            .subject
            .as_ref()
            .map(|subject| text(&subject.plain()))
            .unwrap_or_default(),
        "until" => match (event.until, event.bantime) {
            (Some(until), _) => until.to_string(),
            (None, Some(_)) => "never".to_owned(),
            (None, None) => String::new(),
        },
        "bantime" => match event.bantime {
            Some(BanTime::For(span)) => Span(span).to_string(),
            Some(BanTime::Forever) => "ever".to_owned(),
            None => String::new(),
        },
        "offence" => event.offence.to_string(),
        "failures" => event.failures.to_string(),
        "date" => part(event.time, 0, 10),
        "clock" => part(event.time, 11, 19),
        "sentence" => text(&event.sentence),
        "lines" => texts(&mut event.lines.iter()).join("\n"),
        "history" | "history_of_jail" => {
            let history = event.history.iter();
            let own =
                history.filter(|(jail, _)| name == "history" || Some(jail) == event.jail.as_ref());
            texts(&mut own.map(|(_, line)| line)).join("\n")
        }
        "users" => texts(&mut event.users.iter()).join(", "),
        "whereabouts" => event.whereabouts.as_deref().map(text).unwrap_or_default(),
        _ => return None,
    })
}

/// Foreign text as it is told: short, on one line, and without characters that hide or turn round what is beside them.
fn text(foreign: &str) -> String {
    let kept = kept(foreign);
    kept.replace(is_not_shown, &char::REPLACEMENT_CHARACTER.to_string())
}

/// A part of a moment as it is written, in UTC: `2026-01-01T12:00:00Z`.
fn part(time: Timestamp, from: usize, to: usize) -> String {
    let time = time.to_string();
    time.get(from..to).unwrap_or_default().to_owned()
}

fn join<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join(",")
}

/// A name of a jail that is short enough for names in the kernel; two long ones that begin alike stay apart.
fn short(jail: &str) -> String {
    if jail.len() <= LONGEST_SHORT_NAME {
        return jail.to_owned();
    }
    // Names of jails are ASCII.
    let begin = jail.get(..LONGEST_SHORT_NAME - 9).unwrap_or_default();
    let hash = SipHasher13::new().hash(jail.as_bytes()) & 0xffff_ffff;
    format!("{begin}-{hash:08x}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::file::ActionFile;
    use super::super::sample::{Sample, SampleError};
    use super::*;

    /// What comes of a step, for a jail of two ports in which an address and a network are banned.
    fn comes_to(step: &str, part: &str) -> String {
        let file = format!(
            r#"
kind = "exec"
title = "a test"
[parameters.hooks]
list = true
default = ["in", "out"]
about = "Hooks."
[family.ipv4]
set = "four-<hooks>"
[family.ipv6]
set = "six"
[destination]
ports = "<protocol>/<port>"
all = "everything"
[[{part}]]
{step}
[[unban]]
run = ["x"]
[[sample]]
jail = "sshd"
port = ["22", "80:90"]
protocol = ["udp", "tcp"]
part = "{part}"
subjects = ["192.0.2.7", "2001:db8::/64"]
seconds = 600
does = ""
"#
        );
        let file = ActionFile::parse(&file).expect("it is sound");
        let sample: &Sample = &file.samples[0];
        match sample.check(&file) {
            Err(SampleError::Differs(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_step_is_repeated_for_what_it_names() {
        for (step, expected) in [
            (r#"run = ["p"]"#, "$ p\n"),
            (r#"run = ["p", "<jail>"]"#, "$ p sshd\n"),
            (
                r#"run = ["p", "<address>"]"#,
                "$ p 192.0.2.7\n$ p 2001:db8::/64\n",
            ),
            (r#"run = ["p", "<hooks>"]"#, "$ p in\n$ p out\n"),
            (
                r#"run = ["p", "<set>", "<address>"]"#,
                "$ p four-in 192.0.2.7\n$ p four-out 192.0.2.7\n$ p six 2001:db8::/64\n$ p six 2001:db8::/64\n",
            ),
            (
                r#"run = ["p", "<to>"]"#,
                "$ p tcp/22\n$ p tcp/80-90\n$ p udp/22\n$ p udp/80-90\n",
            ),
            (
                r#"run = ["p", "<first>", "<width>", "<seconds>"]"#,
                "$ p 192.0.2.7 32 600\n$ p 2001:db8:: 64 600\n",
            ),
        ] {
            assert_eq!(comes_to(step, "ban"), expected, "{step}");
        }
    }

    #[test]
    fn a_line_is_repeated_by_itself() {
        let step = "run = [\"p\"]\ninput = '''\nbegin\n<family>:\nadd <jail> <address>\nend\n'''";
        let lines =
            "> begin\n> ipv4:\n> ipv6:\n> add sshd 192.0.2.7\n> add sshd 2001:db8::/64\n> end\n";
        assert_eq!(comes_to(step, "ban"), format!("$ p\n{lines}"));
        let step = "run = [\"p\", \"<family>\"]\ninput = '''\nadd <address>\n'''";
        assert_eq!(
            comes_to(step, "ban"),
            "$ p ipv4\n> add 192.0.2.7\n$ p ipv6\n> add 2001:db8::/64\n",
            "within what the step is repeated for"
        );
    }

    #[test]
    fn a_body_is_one_if_only_its_list_is_repeated() {
        let step = r#"url = "http://h/<jail>"
json = { n = "<seconds>", all = [{ a = "<address>" }], text = "<seconds> s" }"#;
        let text = comes_to(step, "ban");
        assert_eq!(
            text.matches("POST http://h/sshd").count(),
            2,
            "a number of each ban: {text}"
        );
        let step = r#"url = "http://h/<jail>"
json = { all = [{ a = "<address>", n = "<seconds>" }] }"#;
        assert_eq!(
            comes_to(step, "ban"),
            "POST http://h/sshd\nContent-Type: application/json\n> {\"all\":[{\"a\":\"192.0.2.7\",\"n\":600},{\"a\":\"2001:db8::/64\",\"n\":600}]}\n"
        );
    }

    proptest! {
        #[test]
        fn short_names_are_short_and_apart(one in "[a-z0-9._-]{1,64}", other in "[a-z0-9._-]{1,64}") {
            prop_assert!(short(&one).len() <= LONGEST_SHORT_NAME);
            prop_assert_eq!(one == other, short(&one) == short(&other));
        }
    }
}
