//! Are commands that were written for Fail2ban's shell run as they would be there?
//!
//! They are really run; what they write is looked at.

mod cloudflare;
mod firewalld;
mod letters;
mod peer;
mod reports;
mod stock;
mod ufw;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use f2bd::action::event::{Event, Occasion};
use f2bd::action::ports::Ports;
use f2bd::action::shell::script::Script;
use f2bd::action::shell::spec::{CommandSet, Commands, Confidential, Occasion as On, ShellSpec};
use f2bd::action::{ActionJail, Ending, InForce};
use f2bd::engine::decision::BanId;
use f2bd::engine::input::Outcome;
use f2bd::engine::name::JailName;
use f2bd::engine::prefix::SubjectWidth;
use f2bd::engine::subject::{Name, Subject};
use f2bd::engine::time::{BanTime, Timestamp};
use tempfile::TempDir;

use crate::support::guard::Guard;
use crate::support::now;
use crate::support::wait::DEADLINE;

/// Notes its words, each on a line of its own in brackets, with line ends shown.
const NOTE: &str = r#"#!/bin/sh
for word; do printf '[%s]' "$word" | tr '\n' '|'; done >>"$(dirname "$0")/said"
echo >>"$(dirname "$0")/said"
"#;

/// Commands at work in a folder: `note` in them notes what it is told there.
pub struct Bench {
    home: TempDir,
    /// `None` once it has ended.
    guard: Option<Guard>,
    bans: Vec<InForce>,
}

/// What decides whether commands are run, as it is if nothing is said.
pub fn usual(commands: Commands) -> ShellSpec {
    ShellSpec {
        commands,
        start_on_demand: false,
        repair_on_unban: false,
        norestored: false,
        timeout: DEADLINE,
        secrets: BTreeMap::new(),
    }
}

fn set(home: &Path, commands: &[(On, &str)]) -> CommandSet {
    let path = home.join("note");
    let filled = |text: &str| text.replace("note", path.to_str().unwrap());
    let filled = |text: &str| Script::new(filled(text).replace("HOME", home.to_str().unwrap()));
    CommandSet::new(commands.iter().map(|(on, text)| (*on, filled(text))))
}

/// Writes it, and answers its path.
fn write_note(home: &Path) -> String {
    let path = home.join("note");
    fs::write(&path, NOTE).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).unwrap();
    path.display().to_string()
}

impl Bench {
    /// The commands of both families are the same.
    pub fn new(commands: &[(On, &str)]) -> Bench {
        Bench::with(|home| usual(Commands::Same(set(home, commands))))
    }

    fn with(spec: impl FnOnce(&Path) -> ShellSpec) -> Bench {
        let home = tempfile::tempdir().unwrap();
        write_note(home.path());
        let spec = spec(home.path()).named("custom".parse().unwrap());
        Bench {
            home,
            guard: Some(Guard::here(spec)),
            bans: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What was noted since the last time.
    pub fn said(&self) -> Vec<String> {
        let said = fs::read_to_string(self.path("said")).unwrap_or_default();
        fs::write(self.path("said"), "").unwrap();
        said.lines().map(str::to_owned).collect()
    }

    fn guard(&self) -> &Guard {
        self.guard.as_ref().expect("it has not ended")
    }

    fn order_reconcile(&self) {
        let jails = vec![ActionJail {
            jail: "sshd".parse().unwrap(),
            label: "sshd".parse().unwrap(),
            ports: Ports::All,
            protocols: Vec::new(),
            width: SubjectWidth::DEFAULT,
        }];
        self.guard().order_reconcile(&jails, &self.bans);
    }

    fn reconcile(&self) -> Outcome {
        self.order_reconcile();
        self.guard().outcome()
    }

    fn ban(&mut self, ban: InForce) -> Outcome {
        self.bans.retain(|other| other.subject != ban.subject);
        self.bans.push(ban.clone());
        self.guard().order_change(&[ban], &[]);
        self.guard().outcome()
    }

    fn unban(&mut self, subjects: &[&Subject]) -> Outcome {
        self.bans.retain(|ban| !subjects.contains(&&ban.subject));
        let jail: JailName = "sshd".parse().unwrap();
        let unbans = subjects.iter().map(|one| (jail.clone(), (*one).clone()));
        self.guard().order_change(&[], &unbans.collect::<Vec<_>>());
        self.guard().outcome()
    }

    fn stop(&mut self) -> Vec<String> {
        let guard = self.guard.take().expect("it has not ended");
        guard.stop(Ending::AsConfigured);
        self.said()
    }
}

/// A ban of an hour, with an event that says what is given.
pub fn ban_of(subject: Subject, event: impl FnOnce(Event) -> Event) -> InForce {
    let jail: JailName = "sshd".parse().unwrap();
    let time = Timestamp::from_micros(now().as_micros() / 1_000_000 * 1_000_000);
    let until = Some(time.after(Duration::from_secs(3600)));
    let told = event(Event {
        occasion: Occasion::Ban,
        time,
        jail: Some(jail.clone()),
        subject: Some(subject.clone()),
        bantime: Some(BanTime::For(Duration::from_secs(3600))),
        until,
        offence: 2,
        failures: 5,
        sentence: String::new(),
        lines: Vec::new(),
        users: Default::default(),
        captures: Default::default(),
        history: Vec::new(),
        restored: false,
        whereabouts: None,
    });
    InForce {
        ban: BanId(1),
        jail,
        subject,
        until,
        event: Some(Arc::new(told)),
    }
}

fn ban(subject: &str) -> InForce {
    ban_of(subject.parse().unwrap(), |event| event)
}

fn restored(subject: &str) -> InForce {
    ban_of(subject.parse().unwrap(), |event| Event {
        restored: true,
        ..event
    })
}

const ALL: &[(On, &str)] = &[
    (On::Start, "note start"),
    (On::Stop, "note stop"),
    (On::Ban, "note ban <ip> <restored>"),
    (On::Unban, "note unban <ip>"),
];

#[test]
fn commands_are_run_in_the_order_of_a_ban_s_life() {
    let mut bench = Bench::new(ALL);
    bench.bans = vec![restored("192.0.2.1")];
    bench.reconcile();
    assert_eq!(bench.said(), ["[start]", "[ban][192.0.2.1][1]"]);
    bench.ban(ban("192.0.2.7"));
    bench.ban(ban("2001:db8::/64"));
    assert_eq!(
        bench.said(),
        ["[ban][192.0.2.7][0]", "[ban][2001:db8::/64][0]"]
    );
    bench.unban(&[&"192.0.2.7".parse().unwrap()]);
    assert_eq!(bench.said(), ["[unban][192.0.2.7]"]);
    assert_eq!(
        bench.stop(),
        ["[unban][192.0.2.1]", "[unban][2001:db8::/64]", "[stop]"]
    );
}

#[test]
fn tags_are_filled_in() {
    let text = "note <ip> <family> <fid> <ip-rev> <failures> <bantime> <bancount> <restored> <F-USER> '<nothing>' \
        <F-ID> <F-IP4> '<F-IP6>' '<F-SESSION>' \
        <jail.banned> <jail.banned_total> a<sp>b; note \"<matches>\" \"<ipmatches>\" \"<ipjailmatches>\" <ipfailures> \
        <ipjailfailures>";
    let mut bench = Bench::new(&[(On::Ban, text)]);
    bench.reconcile();
    let (one, other): (JailName, JailName) = ("sshd".parse().unwrap(), "ftp".parse().unwrap());
    bench.ban(ban_of("192.0.2.7".parse().unwrap(), |event| Event {
        lines: vec!["one $HOME".to_owned(), "`two`".to_owned()],
        captures: BTreeMap::from([("user".to_owned(), "root".to_owned())]),
        history: vec![(other, "earlier".to_owned()), (one, "one".to_owned())],
        ..event
    }));
    assert_eq!(
        bench.said(),
        [
            "[192.0.2.7][inet4][192.0.2.7][7.2.0.192.][5][3600][2][0][root][<nothing>]\
                [192.0.2.7][192.0.2.7][][][1][1][a][b]",
            "[one $HOME|`two`][earlier|one][one][2][1]",
        ]
    );
}

/// What attackers may call themselves.
const HOSTILE: [&str; 9] = [
    "$(touch HOME/hacked);`touch HOME/hacked`|'\"-f",
    "'; touch HOME/hacked; '",
    "\"; touch HOME/hacked; \"",
    "\n touch HOME/hacked \n",
    "${IFS}touch${IFS}HOME/hacked",
    "a && touch HOME/hacked &",
    "<ip> <matches> <F-USER>",
    "\\",
    "# $f2bV_matches",
];

#[test]
fn what_attackers_write_is_never_a_command() {
    for hostile in HOSTILE {
        let text = "note <F-USER>\nnote \"<F-USER>\"\nnote x<F-USER>y '<F-USER>'\nnote \"$(echo \"<matches>\")\" <matches>\n\
            note <fid>\ncat <<.\n<F-USER>\n.\n";
        let mut bench = Bench::new(&[(On::Ban, text), (On::Unban, text)]);
        bench.reconcile();
        let hostile = hostile.replace("HOME", bench.home.path().to_str().unwrap());
        let subject = Subject::from(Name::of(&hostile).unwrap());
        let name = Name::of(&hostile).unwrap().to_string();
        bench.ban(ban_of(subject.clone(), |event| Event {
            lines: vec![hostile.clone()],
            captures: BTreeMap::from([("user".to_owned(), hostile.clone())]),
            ..event
        }));
        assert!(!bench.path("hacked").exists(), "{hostile}");
        let said = bench.said();
        let quoted = hostile.replace('\n', "|");
        assert_eq!(said[1], format!("[{quoted}]"), "{said:?}");
        let words = |text: &str| text.split_ascii_whitespace().collect::<Vec<_>>().join("][");
        if !hostile.contains(['*', '?', '[']) {
            assert_eq!(said[4], format!("[{}]", words(&name)), "{said:?}");
        }
        bench.unban(&[&subject]);
        assert_eq!(bench.said(), said);
        assert!(!bench.path("hacked").exists(), "{hostile}");
    }
}

#[test]
fn what_attackers_write_is_no_option_of_a_program() {
    let mut bench = Bench::new(&[(On::Ban, "note <F-USER> \"<F-USER>\"")]);
    bench.reconcile();
    for (user, said) in [
        ("-rf", "[_rf][_rf]"),
        ("a -f\t-g b-c -", "[a][_f][_g][b-c][_][a _f\t_g b-c _]"),
        ("a-b", "[a-b][a-b]"),
        ("--x=1", "[_-x=1][_-x=1]"),
    ] {
        bench.ban(ban_of("192.0.2.7".parse().unwrap(), |event| Event {
            captures: BTreeMap::from([("user".to_owned(), user.to_owned())]),
            ..event
        }));
        assert_eq!(bench.said(), [said]);
        bench.unban(&[&"192.0.2.7".parse().unwrap()]);
    }
}

#[test]
fn families_are_started_when_they_are_needed() {
    let mut bench = Bench::with(|home| {
        let of = |name: &str| {
            let filled = |text: &str| text.replace("F", name);
            let commands = [
                (On::Start, filled("note start F")),
                (On::Stop, filled("note stop F <family>")),
                (On::Ban, filled("note ban F <ip> <family>")),
                (On::Flush, filled("note flush F")),
            ];
            let commands: Vec<_> = commands
                .iter()
                .map(|(on, text)| (*on, text.as_str()))
                .collect();
            set(home, &commands)
        };
        ShellSpec {
            start_on_demand: true,
            ..usual(Commands::ByFamily {
                ipv4: of("four"),
                ipv6: of("six"),
            })
        }
    });
    bench.reconcile();
    assert!(bench.said().is_empty());
    bench.ban(ban("2001:db8::7"));
    bench.ban(ban("2001:db8::8"));
    assert_eq!(
        bench.said(),
        [
            "[start][six]",
            "[ban][six][2001:db8::7][inet6]",
            "[ban][six][2001:db8::8][inet6]"
        ]
    );
    bench.ban(ban("192.0.2.7"));
    assert_eq!(
        bench.said(),
        ["[start][four]", "[ban][four][192.0.2.7][inet4]"]
    );
    assert_eq!(
        bench.stop(),
        [
            "[flush][six]",
            "[flush][four]",
            "[stop][six][inet6]",
            "[stop][four][inet4]"
        ]
    );
}

#[test]
fn what_is_the_same_for_both_families_is_started_once() {
    let mut bench = Bench::with(|home| ShellSpec {
        start_on_demand: true,
        ..usual(Commands::Same(set(home, ALL)))
    });
    bench.reconcile();
    bench.ban(ban("192.0.2.7"));
    bench.ban(ban("2001:db8::7"));
    assert_eq!(
        bench.said(),
        ["[start]", "[ban][192.0.2.7][0]", "[ban][2001:db8::7][0]"]
    );
    assert_eq!(
        bench.stop(),
        ["[unban][192.0.2.7]", "[unban][2001:db8::7]", "[stop]"]
    );
}

#[test]
fn all_are_lifted_at_once_if_there_is_a_command_for_it() {
    let commands = [ALL, &[(On::Flush, "note flush")]].concat();
    let mut bench = Bench::new(&commands);
    bench.reconcile();
    for subject in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        bench.ban(ban(subject));
    }
    bench.said();
    let all: Vec<Subject> = bench.bans.iter().map(|ban| ban.subject.clone()).collect();
    bench.unban(&[&all[0]]);
    assert_eq!(bench.said(), ["[unban][192.0.2.1]"]);
    bench.unban(&[&all[1], &all[2]]);
    assert_eq!(bench.said(), ["[flush]"]);
    bench.ban(ban("192.0.2.1"));
    assert_eq!(bench.said(), ["[ban][192.0.2.1][0]"]);
    assert_eq!(bench.stop(), ["[flush]", "[stop]"]);
}

#[test]
fn bans_of_an_earlier_run_are_not_told_again_to_who_does_not_want_it() {
    let mut bench = Bench::with(|home| ShellSpec {
        norestored: true,
        ..usual(Commands::Same(set(home, ALL)))
    });
    bench.bans = vec![restored("192.0.2.1")];
    bench.reconcile();
    assert_eq!(bench.said(), ["[start]"]);
    bench.ban(ban("192.0.2.7"));
    assert_eq!(bench.said(), ["[ban][192.0.2.7][0]"]);
    bench.reconcile();
    assert!(bench.said().is_empty());
}

#[test]
fn who_only_tells_does_not_tell_it_again_and_again() {
    let mut bench = Bench::with(|home| ShellSpec {
        norestored: true,
        ..usual(Commands::Same(set(home, &[(On::Ban, "note ban; exit 1")])))
    });
    bench.reconcile();
    bench.ban(ban("192.0.2.7"));
    bench.reconcile();
    assert_eq!(bench.said(), ["[ban]", "[ban]"], "once more, and no more");
}

#[test]
fn what_is_broken_is_started_anew_and_bans_are_put_back() {
    let commands = [
        (On::Start, "note start; touch HOME/there"),
        (On::Stop, "note stop"),
        (On::Check, "note check; test -e HOME/there"),
        (On::Ban, "note ban <ip>; test -e HOME/there"),
        (On::Unban, "note unban <ip>; test -e HOME/there"),
    ];
    let mut bench = Bench::new(&commands);
    bench.reconcile();
    bench.ban(ban("192.0.2.1"));
    fs::remove_file(bench.path("there")).unwrap();
    assert_eq!(bench.said(), ["[start]", "[ban][192.0.2.1]"]);
    bench.ban(ban("192.0.2.7"));
    assert_eq!(
        bench.said(),
        [
            "[ban][192.0.2.7]",
            "[check]",
            "[stop]",
            "[start]",
            "[check]",
            "[ban][192.0.2.7]",
            "[ban][192.0.2.1]",
        ]
    );
    fs::remove_file(bench.path("there")).unwrap();
    bench.unban(&[&"192.0.2.1".parse().unwrap()]);
    assert_eq!(
        bench.said(),
        ["[unban][192.0.2.1]", "[check]"],
        "to let somebody go nothing is repaired"
    );
}

#[test]
fn a_command_repairs_and_another_bans_anew() {
    let mut bench = Bench::with(|home| ShellSpec {
        repair_on_unban: true,
        ..usual(Commands::Same(set(
            home,
            &[
                (On::Start, "touch HOME/there"),
                (On::Check, "test -e HOME/there"),
                (On::Repair, "note repair; touch HOME/there"),
                (On::Ban, "note ban <ip>; test -e HOME/there"),
                (On::Reban, "note reban <ip>"),
                (On::Unban, "note unban <ip>; test -e HOME/there"),
            ],
        )))
    });
    bench.reconcile();
    bench.ban(ban("192.0.2.1"));
    bench.ban(ban("192.0.2.2"));
    bench.said();
    fs::remove_file(bench.path("there")).unwrap();
    bench.unban(&[&"192.0.2.1".parse().unwrap()]);
    assert_eq!(
        bench.said(),
        [
            "[unban][192.0.2.1]",
            "[repair]",
            "[unban][192.0.2.1]",
            "[reban][192.0.2.2]"
        ]
    );
}

#[test]
fn a_ban_that_lasts_longer_is_told() {
    let commands = [ALL, &[(On::Prolong, "note prolong <ip> <bantime>")]].concat();
    let mut bench = Bench::new(&commands);
    bench.reconcile();
    bench.ban(ban("192.0.2.7"));
    bench.said();
    let longer = |seconds| {
        let mut longer = ban_of("192.0.2.7".parse().unwrap(), |event| Event {
            bantime: Some(BanTime::For(Duration::from_secs(seconds))),
            ..event
        });
        longer.until = Some(now().after(Duration::from_secs(seconds)));
        longer
    };
    bench.ban(longer(7200));
    assert_eq!(bench.said(), ["[prolong][192.0.2.7][7200]"]);
    bench.ban(longer(60));
    assert!(bench.said().is_empty());
}

#[test]
fn one_that_does_not_end_is_ended_with_all_that_it_has_started() {
    let bench = Bench::with(|home| ShellSpec {
        timeout: Duration::from_millis(300),
        ..usual(Commands::Same(set(
            home,
            &[(
                On::Ban,
                "trap 'note asked to end' TERM; (sleep 1000 & echo $! >HOME/child; wait) & wait; wait",
            )],
        )))
    });
    bench.reconcile();
    bench.guard().order_change(&[ban("192.0.2.7")], &[]);
    let why = bench.guard().trouble();
    assert!(why.contains("192.0.2.7"), "{why}");
    assert!(why.contains("did not end within"), "{why}");
    let child = fs::read_to_string(bench.path("child")).unwrap();
    let state = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    let is_gone = state.is_err() || state.is_ok_and(|state| state.contains(") Z "));
    assert!(is_gone);
    assert!(bench.said().contains(&"[asked][to][end]".to_owned()));
}

#[test]
fn what_a_command_complains_of_is_told_without_secrets() {
    let bench = Bench::with(|home| ShellSpec {
        secrets: BTreeMap::from([(
            "password".to_owned(),
            Confidential::Said("Sesame123".to_owned()),
        )]),
        ..usual(Commands::Same(set(
            home,
            &[(On::Start, "echo no entry with Sesame123 >&2; exit 7")],
        )))
    });
    bench.guard().order_reconcile(&[], &[]);
    let why = bench.guard().trouble();
    assert_eq!(
        why,
        "start: /bin/sh failed (exit status: 7): no entry with …"
    );
}

#[test]
fn a_secret_is_put_in_when_a_command_is_run() {
    let mut bench = Bench::with(|home| {
        let kept = home.join("kept");
        fs::write(&kept, "it's <ip>\n").unwrap();
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
        let secret = format!("file:{}", kept.display()).parse().unwrap();
        ShellSpec {
            secrets: BTreeMap::from([("key".to_owned(), Confidential::Kept(secret))]),
            ..usual(Commands::Same(set(
                home,
                &[(On::Ban, "note \"<key>\" <ip>")],
            )))
        }
    });
    bench.reconcile();
    bench.ban(ban("192.0.2.7"));
    assert_eq!(bench.said(), ["[it's <ip>][192.0.2.7]"]);
}

#[test]
fn what_fails_again_and_again_is_left_at_that() {
    let mut bench = Bench::new(&[(On::Ban, "note ban <ip>; exit 1")]);
    bench.reconcile();
    bench.ban(ban("192.0.2.7"));
    loop {
        // Sooner than it would try by itself.
        bench.order_reconcile();
        if bench.guard().trouble().contains("not tried any more") {
            break;
        }
    }
    let said = bench.said();
    assert_eq!(said.len(), 12, "six tries, each with a second chance");
}
