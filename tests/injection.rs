//! Does any target of any shipped action take what an attacker has written for anything but text?
//!
//! Each action is rendered twice, for the same events or bans: with calm words and with hostile ones. All that is not
//! text must be the same both times, and the text must be what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use f2bd::action::event::{Event, Occasion};
use f2bd::action::file::ActionFile;
use f2bd::action::job::{Job, Write};
use f2bd::action::parameter::{Given, Parameter, Sort};
use f2bd::action::ports::Ports;
use f2bd::action::routine::{Bans, Part, Routine};
use f2bd::action::scene::Scene;
use f2bd::action::telling::Teller;
use f2bd::action::vocabulary::About;
use f2bd::action::{ActionJail, ActionKind};
use f2bd::engine::prefix::SubjectWidth;
use f2bd::engine::subject::{Name, Subject};
use f2bd::engine::time::{BanTime, Timestamp};
use proptest::prelude::*;
use serde_json::Value;

use crate::actions::shipped;

const NOON: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

/// What syntaxes have that somebody may want to break out of, or into.
const PIECES: [&str; 40] = [
    "\"",
    "'",
    "`",
    "```",
    "\\",
    "\\\"",
    "\\n",
    "\\u0022",
    "$(id)",
    "${HOME}",
    ";",
    "|",
    "&",
    "&x=1",
    "=",
    "%0d%0a",
    "%s%n",
    "{}",
    "}",
    "]",
    "\", \"x\": \"",
    "\r\nBcc: x@example.org\r\n\r\n",
    "\n.\nMAIL FROM:<x@example.org>",
    "=?utf-8?q?=0ABcc:_x?=",
    "<b>x</b>&lt;",
    "<!channel>",
    "@everyone",
    "[x](https://example.org)",
    "<jail>",
    "<host>",
    "<subject>",
    "add rule inet x y accept\n",
    "flush x\ncreate y hash:ip\n",
    "COMMIT\n*filter\n",
    "\nPRIORITY=0\n_UID=0",
    "\u{1b}[2J",
    "\0",
    "\u{202e}",
    "\u{2028}",
    " -x --help",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        1 => "(?s).{0,8}",
    ];
    // It has to be seen, or else there is no name.
    prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("x{}x", pieces.concat()))
}

/// What an attacker has written.
#[derive(Clone, Debug)]
struct Words {
    name: String,
    sentence: String,
    whereabouts: String,
    lines: Vec<String>,
    users: Vec<String>,
    /// Of whoever has registered the address.
    whois: String,
}

fn words() -> impl Strategy<Value = Words> {
    let list = || prop::collection::vec(hostile(), 2);
    let texts = (hostile(), hostile(), hostile(), hostile());
    (texts, list(), list()).prop_map(
        |((name, sentence, whereabouts, whois), lines, mut users): (_, _, Vec<String>)| {
            // One that is tried twice is told once.
            users
                .iter_mut()
                .zip(0..)
                .for_each(|(user, number)| *user += &number.to_string());
            Words {
                name,
                sentence,
                whereabouts,
                lines,
                users,
                // How many lines there are to read is his, and nothing else.
                whois: whois.replace('\n', " "),
            }
        },
    )
}

fn calm() -> Words {
    Words {
        name: "name".into(),
        sentence: "sentence".into(),
        whereabouts: "whereabouts".into(),
        lines: vec!["one".into(), "two".into()],
        users: vec!["alice".into(), "bob".into()],
        whois: "inetnum".into(),
    }
}

/// Something that can be set for what has to be set.
fn given(file: &ActionFile) -> BTreeMap<String, Given> {
    let value = |parameter: &Parameter| match parameter.sort {
        Sort::Word | Sort::Text => "something".to_owned(),
        Sort::Number => "7".to_owned(),
        Sort::Flag => "true".to_owned(),
        Sort::Time => "1s".to_owned(),
        Sort::Choice => parameter.choices.keys().next().unwrap().clone(),
        Sort::Path => "/srv/something".to_owned(),
        Sort::Program => "true".to_owned(),
        Sort::Url => "https://example.org".to_owned(),
        Sort::Socket => "127.0.0.1:1".to_owned(),
        Sort::Mailbox => "me@example.org".to_owned(),
        Sort::Secret => "credential:something".to_owned(),
    };
    let unset = file
        .parameters
        .iter()
        .filter(|(_, parameter)| parameter.default.is_none());
    unset
        .map(|(name, parameter)| (name.to_owned(), Given::One(value(parameter))))
        .collect()
}

/// All tellers and keepers, with their names.
fn kinds() -> Vec<(String, ActionKind)> {
    let files = shipped().into_iter().map(|(path, text)| {
        let file = ActionFile::parse(&text).unwrap();
        let (kind, _) = file.kind(&given(&file)).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), kind)
    });
    files.collect()
}

/// Bans of a host and of a name, or of a host alone where no names are told of, and something else.
fn events(teller: &Teller, words: &Words) -> Vec<Event> {
    let subjects = [
        Subject::from("192.0.2.7".parse::<f2bd::engine::prefix::Prefix>().unwrap()),
        Subject::from(Name::of(&words.name).unwrap()),
    ];
    let event = |occasion, subject: Option<Subject>| Event {
        occasion,
        time: NOON,
        jail: Some("sshd".parse().unwrap()),
        subject,
        bantime: Some(BanTime::For(Duration::from_secs(600))),
        until: Some(NOON.after(Duration::from_secs(600))),
        offence: 1,
        failures: 5,
        sentence: words.sentence.clone(),
        lines: words.lines.clone(),
        users: words.users.iter().cloned().collect(),
        captures: Default::default(),
        history: Vec::new(),
        restored: false,
        whereabouts: Some(words.whereabouts.clone()),
    };
    let [host, name] = subjects.map(|subject| event(Occasion::Ban, Some(subject)));
    let all = [host, name, event(Occasion::Notice, None)];
    all.into_iter()
        .filter(|event| !teller.reports || teller.tells_of(event))
        .collect()
}

fn told(teller: &Teller, words: &Words) -> Vec<Job> {
    let events = events(teller, words);
    let mut scene = teller.scene("message", events.iter().collect(), 0, "server", &|| NOON);
    scene
        .whois
        .insert("192.0.2.7".parse().unwrap(), words.whois.clone());
    jobs(&teller.steps, &scene)
}

fn jobs(steps: &[f2bd::action::step::Step], scene: &Scene<'_>) -> Vec<Job> {
    let tasks = steps.iter().flat_map(|step| step.tasks(scene));
    tasks.map(|task| task.job).collect()
}

/// All that a keeper does about the ban of a host, and of a name if it takes names.
fn kept(routine: &Routine, words: &Words) -> Vec<Job> {
    let jail = ActionJail {
        jail: "sshd".parse().unwrap(),
        label: "sshd".parse().unwrap(),
        ports: Ports::All,
        protocols: Vec::new(),
        width: SubjectWidth::DEFAULT,
    };
    let mut subjects: Vec<Subject> = vec!["192.0.2.7".parse().unwrap()];
    if routine.names {
        subjects.push(Name::of(&words.name).unwrap().into());
    }
    let parts = [
        Part::Start,
        Part::Stop,
        Part::Ban,
        Part::Unban,
        Part::Reconcile,
        Part::Check,
        Part::List,
        Part::After,
    ];
    let of = (routine.about == About::Jails).then_some(&jail.jail);
    let members: Vec<_> = subjects.iter().map(|subject| (subject, None)).collect();
    let bans = Bans::from([(of, members)]);
    let scene = routine.scene([&jail].into_iter(), bans, "server", NOON);
    let all = parts
        .into_iter()
        .flat_map(|part| jobs(routine.steps(part), &scene));
    let file = routine.file.as_ref().zip(routine.path());
    let file = file.map(|(file, path)| {
        let content = file.text(&scene);
        Job::Write(Write { path, content })
    });
    all.chain(file).collect()
}

/// What is left of a job without its texts: what a target acts upon.
fn shape(job: &Job) -> String {
    let lines = |text: &str| text.split('\n').count();
    match job {
        Job::Run(run) => format!("{:?}", (&run.argv, &run.unless, lines(&run.input))),
        Job::Send(send) => {
            let is_form = send
                .headers
                .iter()
                .any(|(_, value)| value.ends_with("urlencoded"));
            let body = match serde_json::from_str::<Value>(&send.body) {
                Ok(value) => format!("{}", emptied(&value)),
                Err(_) if is_form => {
                    let fields = send.body.split('&');
                    let names = fields.map(|field| field.split('=').next().unwrap_or_default());
                    format!("{:?}", names.collect::<Vec<_>>())
                }
                Err(_) => format!("{}", send.body.split('\n').count()),
            };
            format!("{:?} {} {:?} {body}", send.method, send.url, send.headers)
        }
        Job::Write(write) => format!("{:?}", (&write.path, lines(&write.content))),
        Job::Post(post) => {
            let parts = post.parts.iter().map(|part| {
                let json = serde_json::from_str::<Value>(&part.text).map(|value| emptied(&value));
                (&part.content_type, &part.name, json.ok())
            });
            let parts: Vec<_> = parts.collect();
            let lines = post.body.split('\n').count();
            format!("{:?}", (&post.to, &post.from, lines, parts))
        }
    }
}

/// Whether each line that a program reads sets the same field, where lines set fields.
fn sets_the_same(quiet: &Job, loud: &Job) -> bool {
    let (Job::Run(quiet), Job::Run(loud)) = (quiet, loud) else {
        return true;
    };
    let mut pairs = quiet.input.lines().zip(loud.input.lines());
    pairs.all(|(quiet, loud)| match quiet.split_once('=') {
        Some((field, _)) => loud.split_once('=').is_some_and(|(own, _)| own == field),
        None => true,
    })
}

/// A value of JSON without its texts; as many lines are in a text as were.
fn emptied(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.split('\n').count()),
        Value::Array(items) => items.iter().map(emptied).collect(),
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.clone(), emptied(value)));
            Value::Object(entries.collect())
        }
        other => other.clone(),
    }
}

/// All texts that are told, each on its own, decoded as the target does.
fn texts(job: &Job) -> Vec<String> {
    fn strings(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) => into.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
            Value::Object(entries) => entries.values().for_each(|value| strings(value, into)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    match job {
        Job::Run(run) => all.push(run.input.clone()),
        Job::Write(write) => all.push(write.content.clone()),
        Job::Send(send) => match serde_json::from_str::<Value>(&send.body) {
            Ok(value) => strings(&value, &mut all),
            Err(_) => all.extend(send.body.split('&').map(|field| {
                let (_, value) = field.split_once('=').unwrap_or(("", field));
                decoded(value)
            })),
        },
        Job::Post(post) => {
            all.extend([post.subject.clone(), post.body.clone()]);
            all.extend(post.parts.iter().map(|part| part.text.clone()));
        }
    }
    all
}

/// A field of a form as its reader decodes it.
fn decoded(field: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digits = [*high, *low];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            _ => *first,
        });
    }
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_teller_tells_anything_but_text(hostile in words()) {
        for (name, kind) in kinds() {
            let ActionKind::Teller(teller) = &kind else {
                continue;
            };
            let (quiet, loud) = (told(teller, &calm()), told(teller, &hostile));
            prop_assert!(!quiet.is_empty(), "{name}");
            let shapes = |jobs: &[Job]| jobs.iter().map(shape).collect::<Vec<_>>();
            prop_assert_eq!(shapes(&quiet), shapes(&loud), "{}", name);
            let mut pairs = quiet.iter().zip(&loud);
            prop_assert!(pairs.all(|(quiet, loud)| sets_the_same(quiet, loud)), "{}", name);
            for text in loud.iter().flat_map(texts) {
                let controls = text.chars().find(|c| c.is_control() && !"\n\t".contains(*c));
                prop_assert_eq!(controls, None, "{}: {:?}", name, text);
                prop_assert!(!text.contains(['\u{202e}', '\u{2028}']), "{}: {:?}", name, text);
            }
            for job in &loud {
                if let Job::Post(post) = job {
                    prop_assert!(!post.subject.contains('\n'), "{}: {:?}", name, post.subject);
                }
            }
        }
    }

    #[test]
    fn no_keeper_does_anything_else_for_another_name(hostile in words()) {
        for (name, kind) in kinds() {
            let ActionKind::Routine(routine) = &kind else {
                continue;
            };
            let (quiet, loud) = (kept(routine, &calm()), kept(routine, &hostile));
            let shapes = |jobs: &[Job]| jobs.iter().map(shape).collect::<Vec<_>>();
            prop_assert_eq!(shapes(&quiet), shapes(&loud), "{}", name);
        }
    }

    #[test]
    fn what_is_told_in_json_is_the_very_text(text in "[ -~]{1,60}") {
        let text = format!("x{text}x");
        let hostile = Words { sentence: text.clone(), ..calm() };
        let webhook = kinds().into_iter().find(|(name, _)| name == "webhook");
        let Some((_, ActionKind::Teller(teller))) = webhook else {
            panic!("it tells");
        };
        let all: BTreeSet<_> = told(&teller, &hostile).iter().flat_map(texts).collect();
        prop_assert!(all.contains(&text), "{:?}", all);
    }
}

/// The limits of the services, in the least favourable way of counting.
#[test]
fn no_message_is_longer_than_its_service_takes() {
    let limits = BTreeMap::from([
        ("telegram", 4096),
        ("discord", 2000),
        ("pushover", 1024),
        ("ntfy", 4096),
        ("slack", 3000),
    ]);
    let long = Words {
        sentence: "é".repeat(500),
        ..calm()
    };
    let mut seen = 0;
    for (name, kind) in kinds() {
        let (Some(limit), ActionKind::Teller(teller)) = (limits.get(name.as_str()), &kind) else {
            continue;
        };
        let events = events(teller, &long);
        let events = events.iter().cycle().take(60).collect();
        let scene = teller.scene("message", events, 0, "a-host-with-a-long-name", &|| NOON);
        for text in jobs(&teller.steps, &scene).iter().flat_map(texts) {
            assert!(text.len() <= *limit, "{name}: {}", text.len());
            seen = seen.max(text.len());
        }
    }
    assert!(seen > 3000, "nothing was long: {seen}");
}
