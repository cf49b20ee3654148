//! Are the commands of an action those that Fail2ban runs?

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use f2bd::config::Problems;
use f2bd::config::fail2ban::Tree;
use f2bd::config::fail2ban::action::commands::{IPV4, IPV6, filled, read};
use f2bd::config::fail2ban::jail::{State, TreeAction};
use f2bd::config::fail2ban::options::{Options, Written};
use serde_json::{Value, json};

use super::super::package::Package;
use super::{Bench, ban_of};
use crate::support::dice::Dice;
use f2bd::action::event::Event;

/// Asks Fail2ban.
fn ask(package: &Package, what: &str, of: &Value) -> Value {
    let mut python = package.python(include_str!("../actions.py"));
    python.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    let question = json!({ "what": what, "of": of }).to_string();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(question.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

type Texts = BTreeMap<(String, String, String, String), String>;

#[test]
fn the_commands_of_all_stock_actions_are_fail2ban_s() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("fail2ban");
    package.copy_to(&folder, home.path());
    // Each in a jail of its own, and once more with other parameters.
    let mut jails = String::from("[DEFAULT]\nport = http,https\nbantime = 1h\n");
    let mut names: Vec<String> = std::fs::read_dir(folder.join("action.d"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".conf")?.to_owned()))
        .filter(|name| !name.ends_with("-common"))
        .collect();
    names.sort();
    for name in &names {
        jails += &format!(
            "[j-{name}]\nenabled = true\nfilter =\nfailregex = ^<HOST> x$\nlogpath = {0}\naction = {name}\n  \
             {name}[name=other, port=\"1:2,3\", protocol=\"tcp,udp\", chain=FORWARD, blocktype=\"DROP x\", actname=second]\n",
            home.path().join("log").display()
        );
    }
    std::fs::write(home.path().join("log"), "").unwrap();
    std::fs::write(folder.join("jail.local"), jails).unwrap();
    let (dump, complaints) = package.dump(&folder);
    assert!(!dump.is_empty(), "{complaints}");
    let theirs = ask(&package, "texts", &dump.join("\n").into());
    let theirs: Vec<[String; 5]> = serde_json::from_value(theirs).unwrap();
    let key = |[jail, name, family, operation, text]: [String; 5]| {
        ((jail, name, family, operation), text)
    };
    let theirs: Texts = theirs.into_iter().map(key).collect();
    let mut problems = Problems::default();
    let tree = Tree::read(&folder, &package.version(), &mut problems).unwrap();
    let mut compared = 0;
    for jail in &tree.jails {
        let State::On(started) = &jail.state else {
            continue;
        };
        for action in &started.actions {
            for (family, word) in [(IPV4, "inet4"), (IPV6, "inet6")] {
                let ours = filled(action, family).unwrap();
                for operation in [
                    "start", "stop", "check", "repair", "ban", "unban", "reban", "prolong",
                    "flush", "reload",
                ] {
                    let key = [&jail.name, &action.name, word, operation].map(str::to_owned);
                    let [name, of, family, on] = key;
                    let text = theirs.get(&(name, of, family, on)).cloned();
                    let own = ours.text(&format!("action{operation}"));
                    // Since 1.1.1 what brackets say holds for both families.
                    let differs = word == "inet6" && action.name == "second";
                    if differs && own.is_some_and(|own| own.contains("DROP x")) {
                        continue;
                    }
                    compared += 1;
                    assert_eq!(
                        // White space that is there for itself is put in later.
                        own.unwrap_or_default()
                            .replace("<br>", "\n")
                            .replace("<sp>", " ")
                            .replace("<fq-hostname>", "FQ")
                            .replace("<sh-hostname>", "SH")
                            .trim(),
                        text.unwrap_or_default().trim(),
                        "{}: {} {word} {operation}",
                        jail.name,
                        action.name
                    );
                }
            }
        }
    }
    assert!(compared > 60 * 2 * 2 * 9, "{compared}");
}

/// Words of commands: tags in quotes and without, and what a shell reads.
const WORDS: [&str; 14] = [
    "<ip>",
    "<family>",
    "<fid>",
    "<ip-rev>",
    "<failures>",
    "<time>",
    "<bantime>",
    "<restored>",
    "\"<matches>\"",
    "\"<F-USER>\"",
    "x<F-USER>-y",
    "<port>",
    "<nested>",
    "a<sp>b",
];

/// What users call themselves; none that begins a word with a `-`, which is no option to us.
const USERS: [&str; 8] = [
    "root",
    "$(touch hacked)",
    "a b",
    "`x`;'\"",
    "<ip>",
    "été",
    "",
    "\\n%s",
];

/// An action of random commands, which note what they are told.
fn definition(dice: &mut Dice, note: &str) -> Vec<(String, String)> {
    let mut options = Vec::new();
    let command = |dice: &mut Dice, on: &str| {
        let words: Vec<_> = (0..=dice.below(5))
            .map(|_| WORDS[dice.below(WORDS.len() as u64) as usize])
            .collect();
        // Told of no ban, Fail2ban runs what has some words once for each family that it knows, even if nothing differs; and
        // it knows how long bans of the jail last.
        let is_of_ban = on.contains("ban");
        let words = words.iter().map(|word| match *word {
            "<family>" | "<bantime>" | "\"<F-USER>\"" | "x<F-USER>-y" if !is_of_ban => "f",
            word => word,
        });
        let words: Vec<&str> = words.collect();
        let more = match dice.below(3) {
            0 => format!("\n# done\n{note} <name> <of_family>"),
            _ => String::new(),
        };
        format!("{note} {on} {}{more}", words.join(" "))
    };
    let has_families = dice.below(2) == 0;
    for on in ["start", "stop", "ban", "unban", "flush"] {
        if on == "flush" && dice.below(2) == 0 {
            continue;
        }
        options.push((format!("action{on}"), command(dice, on)));
        if has_families && dice.below(3) == 0 {
            let own = command(dice, &format!("{on}6"));
            options.push((format!("action{on}?family=inet6"), own));
        }
    }
    if has_families {
        options.push(("of_family".to_owned(), "four".to_owned()));
        options.push(("of_family?family=inet6".to_owned(), "six".to_owned()));
    } else {
        options.push(("of_family".to_owned(), "any".to_owned()));
    }
    for (key, value) in [
        ("name", "sshd"),
        ("port", "http,https"),
        ("inner", "<port>!"),
        ("nested", "<inner>"),
    ] {
        options.push((key.to_owned(), value.to_owned()));
    }
    options
}

/// The action as it is read from a tree.
fn tree_action(options: &[(String, String)]) -> TreeAction {
    let text = std::sync::Arc::new(f2bd::config::Text {
        path: "custom.conf".into(),
        content: String::new(),
    });
    let place = f2bd::config::Place::whole(&text);
    let (mut commands, mut parameters) = (Options::default(), Options::default());
    for (key, value) in options {
        let of = match key.starts_with("action") {
            true => &mut commands,
            false => &mut parameters,
        };
        of.set(key.as_str(), Written::new(value.as_str(), &place));
    }
    TreeAction {
        file: "custom".to_owned(),
        name: "custom".to_owned(),
        place,
        parameters,
        options: commands,
        combined: Options::default(),
        files: Default::default(),
    }
}

#[test]
fn random_actions_run_what_fail2ban_runs() {
    let Some(package) = Package::find() else {
        return;
    };
    let mut dice = Dice::new(8);
    for round in 0..12 {
        let theirs = tempfile::tempdir().unwrap();
        let note = super::write_note(theirs.path());
        let mut bench = Bench::with(|home| {
            let path = home.join("note").display().to_string();
            let mut dice = Dice::new(round);
            let options = definition(&mut dice, &path);
            read(&tree_action(&options), &mut Problems::default()).unwrap()
        });
        bench.reconcile();
        let mut steps = Vec::new();
        let mut banned: Vec<String> = Vec::new();
        for number in 0..8 {
            let ip = match dice.below(2) {
                0 => format!("192.0.2.{}", number + 1),
                _ => format!("2001:db8::{}", number + 1),
            };
            if dice.below(3) == 0 && !banned.is_empty() {
                let ip = banned.remove(0);
                bench.unban(&[&ip.parse().unwrap()]);
                steps.push(json!({ "what": "unban", "ip": ip }));
                continue;
            }
            let user = USERS[dice.below(USERS.len() as u64) as usize];
            let matches = ["Feb 1 sshd: $HOME `x` \"y\"", "<ip> - - [x] 'z'"];
            bench.ban(ban_of(ip.parse().unwrap(), |event| Event {
                time: f2bd::engine::time::Timestamp::from_micros(1_600_000_000_000_000),
                lines: matches.map(str::to_owned).to_vec(),
                captures: BTreeMap::from([("user".to_owned(), user.to_owned())]),
                ..event
            }));
            steps.push(json!({ "what": "ban", "ip": ip, "user": user, "matches": matches }));
            banned.push(ip);
        }
        let mut ours = bench.said();
        ours.extend(bench.stop());
        let options = definition(&mut Dice::new(round), &note);
        ask(
            &package,
            "run",
            &json!({ "options": options, "steps": steps }),
        );
        let said = std::fs::read_to_string(theirs.path().join("said")).unwrap_or_default();
        let theirs: Vec<&str> = said.lines().collect();
        // Only what is told of no ban says when that was.
        let untimed = |line: &str| {
            let is_time = |word: &&str| {
                word.len() >= 10 && word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            };
            let words: Vec<&str> = line.split("][").collect();
            let kept = words
                .into_iter()
                .filter(|word| !is_time(&word.trim_matches(['[', ']'])));
            kept.collect::<Vec<_>>().join("][")
        };
        let [ours, theirs] = [
            ours.iter().map(|line| untimed(line)).collect::<Vec<_>>(),
            theirs.iter().map(|line| untimed(line)).collect(),
        ];
        assert_eq!(ours, theirs, "round {round}: {options:#?}");
    }
}
