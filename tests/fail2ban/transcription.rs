//! Facts about what a directory of Fail2ban's comes to: `f2bd check --json` and `fail2ban-client -d` say the same of every jail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use f2bd::config::fail2ban::expression::{Hosts, expression};
use f2bd::config::fail2ban::{Tree, time};
use f2bd::config::{self, Problems, Surroundings};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::package::Package;
use super::tree::{with_ours, write_logs};

/// What is said of a jail.
#[derive(Debug, Default, PartialEq)]
struct Said {
    maxretry: i64,
    /// In seconds; `None` is forever.
    findtime: Option<i64>,
    bantime: Option<i64>,
    failures: Vec<String>,
    ignores: Vec<String>,
    /// Networks with their widths, and names.
    ignoreip: BTreeSet<String>,
    /// How many actions it has, and how many of them are written in Python, some of which have a counterpart.
    actions: usize,
    python: usize,
    from_journal: bool,
    logs: BTreeSet<String>,
}

fn seconds(text: &str) -> Option<i64> {
    let span = time::seconds(text).unwrap().duration()?;
    Some(span.as_secs_f64().round() as i64)
}

/// A pattern of Fail2ban's in our words; nothing if there is none.
fn pattern(text: &str, hosts: Hosts) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| expression(text, hosts).unwrap().source)
}

/// What the jails that look no names up take for a host.
fn hosts(commands: &[Value], jail: &str) -> Hosts {
    let mut commands = commands.iter();
    let is_off = |command: &Value| {
        let said = [&command[1], &command[2], &command[3]];
        said == [&json!(jail), &json!("usedns"), &json!("no")]
    };
    match commands.any(is_off) {
        true => Hosts::Addresses,
        false => Hosts::Named,
    }
}

/// The addresses of this machine, which are spared without being named.
fn own_addresses() -> BTreeSet<String> {
    let home = tempfile::tempdir().unwrap();
    let conf = home.path().join("f2bd.conf");
    fs::write(&conf, "[jail.sshd]\n").unwrap();
    let loaded = config::load(Some(&conf), Surroundings::Ignore);
    let resolved = config::resolved(&loaded);
    let spared = texts(&resolved["jails"]["sshd"]["ignoreip"]);
    spared.map(|word| network(&word)).collect()
}

/// A word of `ignoreip` in one spelling.
fn network(word: &str) -> String {
    let address = || word.parse::<IpAddr>().map(IpNet::from);
    match word.parse::<IpNet>().or_else(|_| address()) {
        Ok(network) => network.trunc().to_string(),
        Err(_) => word.to_owned(),
    }
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    let texts = list.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap().to_owned())
}

/// By jail, what Fail2ban says.
fn theirs(commands: &[Value]) -> BTreeMap<String, Said> {
    let mut jails: BTreeMap<String, Said> = BTreeMap::new();
    for command in commands {
        let words: Vec<_> = command.as_array().unwrap().iter().collect();
        let text = |at: usize| words[at].as_str().unwrap_or_default();
        if text(0) == "add" {
            let said = Said {
                from_journal: text(2).starts_with("systemd"),
                maxretry: 3,
                ..Said::default()
            };
            jails.insert(text(1).to_owned(), said);
        }
        let Some(jail) = words.get(1).and_then(|word| jails.get_mut(word.as_str()?)) else {
            continue;
        };
        let patterns = || -> Vec<String> {
            let all = match words[3].as_array() {
                Some(all) if text(0) == "multi-set" => all.clone(),
                _ => vec![words[3].clone()],
            };
            let hosts = hosts(commands, text(1));
            let texts = all.iter().filter_map(Value::as_str);
            texts.filter_map(|text| pattern(text, hosts)).collect()
        };
        match words.get(2).and_then(|word| word.as_str()) {
            Some("maxretry") => jail.maxretry = words[3].as_i64().unwrap_or(3).max(1),
            Some("findtime") => jail.findtime = seconds(text(3)),
            Some("bantime") => jail.bantime = seconds(text(3)),
            Some("addfailregex") => jail.failures.extend(patterns()),
            Some("addignoreregex") => jail.ignores.extend(patterns()),
            Some("addignoreip") => {
                jail.ignoreip = words[3..]
                    .iter()
                    .map(|word| network(word.as_str().unwrap()))
                    .collect();
            }
            Some("addaction") => {
                jail.actions += 1;
                let file = words.get(4).and_then(|file| file.as_str());
                jail.python += usize::from(file.is_some_and(|file| file.ends_with(".py")));
            }
            Some("addlogpath") => {
                jail.logs.insert(text(3).to_owned());
            }
            _ => {}
        }
    }
    jails
}

/// By jail, what `check --json` says. Globs are files here, as they are there.
fn ours(jails: &Value) -> BTreeMap<String, Said> {
    let jails = jails.as_object().unwrap().iter();
    let said = |jail: &Value| Said {
        maxretry: jail["maxretry"].as_i64().unwrap(),
        findtime: jail["findtime"].as_i64(),
        bantime: jail["bantime"].as_i64().filter(|seconds| *seconds >= 0),
        failures: texts(&jail["failregex"]).collect(),
        ignores: texts(&jail["ignoreregex"]).collect(),
        ignoreip: texts(&jail["ignoreip"])
            .map(|word| network(&word))
            .collect(),
        actions: jail["actions"].as_array().unwrap().len(),
        python: 0,
        from_journal: jail["sources"] == json!(["journal"]),
        logs: jail["logpath"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|path| glob::glob(path.as_str().unwrap()).unwrap())
            .map(|path| path.unwrap().display().to_string())
            .collect(),
    };
    jails
        .map(|(name, jail)| (name.clone(), said(jail)))
        .collect()
}

/// Holds both against each other; how many jails there are.
fn compare(package: &Package, folder: &Path) -> usize {
    let tree = Tree::read(folder, "1.0.2", &mut Problems::default()).unwrap();
    write_logs(&tree, folder.parent().unwrap());
    let loaded = config::load(Some(folder), Surroundings::Ignore);
    assert!(loaded.settings.is_some(), "{:?}", loaded.problems);
    let resolved = config::resolved(&loaded);
    let mut ours = ours(&resolved["jails"]);
    let mut theirs = theirs(&package.commands(folder));
    let spared = own_addresses();
    for (name, said) in &mut theirs {
        // Names are looked up, and what they come to is not said.
        let is_compared = |word: &String| word.parse::<IpNet>().is_ok() && !spared.contains(word);
        said.ignoreip.retain(is_compared);
        let least = said.actions - std::mem::take(&mut said.python);
        if let Some(own) = ours.get(name)
            && (least..said.actions).contains(&own.actions)
        {
            said.actions = own.actions;
        }
        if let Some(own) = ours.get_mut(name) {
            own.ignoreip.retain(is_compared);
        }
        // f2bd counts its own bans and reads no log for it.
        if let Some(own) = ours.get_mut(name).filter(|_| name == "recidive") {
            own.failures.clone_from(&said.failures);
            own.ignores.clone_from(&said.ignores);
            own.logs.clone_from(&said.logs);
            own.from_journal = said.from_journal;
        }
    }
    let names = |jails: &BTreeMap<String, Said>| jails.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs), "{:?}", loaded.problems);
    for (name, said) in &theirs {
        assert_eq!(&ours[name], said, "{name} of {}", folder.display());
    }
    theirs.len()
}

#[test]
fn every_stock_jail_comes_to_what_fail2ban_starts() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("fail2ban");
    package.copy_to(&folder, home.path());
    // Later versions look into the journal where there is no log.
    let local = "[DEFAULT]\nenabled = true\nsystemd_if_nologs = false\n";
    fs::write(folder.join("jail.local"), local).unwrap();
    let jails = compare(&package, &folder);
    assert!(jails > 80, "{jails}");
}

#[test]
fn jails_of_administrators_come_to_what_fail2ban_starts() {
    let Some(package) = Package::find() else {
        return;
    };
    for name in ["vps", "brackets", "includes", "docker"] {
        let home = tempfile::tempdir().unwrap();
        compare(&package, &with_ours(&package, name, home.path()));
    }
}

/// What a tree says that has a stock sshd and this `jail.local`.
fn with_sshd(package: &Package, local: &str) -> (Value, Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("fail2ban");
    package.copy_to(&folder, home.path());
    fs::create_dir_all(home.path().join("var/log")).unwrap();
    fs::write(home.path().join("var/log/auth.log"), "").unwrap();
    fs::write(folder.join("jail.local"), local).unwrap();
    let loaded = config::load(Some(&folder), Surroundings::Ignore);
    let told = loaded
        .problems
        .iter()
        .map(|problem| problem.message.clone());
    let told = told.collect();
    (config::resolved(&loaded)["jails"]["sshd"].clone(), told)
}

#[test]
fn longer_bans_are_those_of_fail2ban() {
    let Some(package) = Package::find() else {
        return;
    };
    let grown = |lines: &str| {
        let local = format!("[DEFAULT]\nbantime = 10m\nbantime.increment = true\n{lines}");
        let (sshd, told) = with_sshd(&package, &local);
        (sshd["escalation"].clone(), told)
    };
    let (plain, told) =
        grown("bantime.maxtime = 5w\nbantime.rndtime = 10m\nbantime.overalljails = yes\n");
    assert_eq!(plain["factor"], 2.0);
    assert_eq!(plain["max"], 5 * 604_800);
    assert_eq!(plain["later_jitter"], 600);
    assert_eq!(plain["scope"], "all");
    assert_eq!(plain["memory"], 86_400);
    assert!(told.is_empty(), "{told:?}");
    let (factor, _) = grown("bantime.factor = 3\n");
    assert_eq!(
        factor["multipliers"].as_array().unwrap()[..4],
        [1.0, 6.0, 12.0, 24.0]
    );
    let (list, _) = grown("bantime.multipliers = 1 5 30\n");
    assert_eq!(list["multipliers"], json!([1.0, 5.0, 30.0]));
    let (program, told) = grown("bantime.formula = ban.Time * random.random()\n");
    assert_eq!(program["factor"], 2.0);
    assert!(
        told[0].contains("bantime.formula") && told[0].contains("where bans grow"),
        "{told:?}"
    );
}

#[test]
fn what_is_spared_is_said_in_our_words() {
    let Some(package) = Package::find() else {
        return;
    };
    let local = "[sshd]\nignoreip = 10.0.0.0/255.0.0.0, 192.0.2.7\n  2001:db8::/32 me@example # office\nignoreself = no\n";
    let (sshd, told) = with_sshd(&package, local);
    assert_eq!(
        sshd["ignoreip"],
        json!(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])
    );
    let told: Vec<_> = told
        .iter()
        .filter(|message| message.contains("ignoreip"))
        .collect();
    assert!(told.len() >= 2, "{told:?}");
}
