//! Facts about actions that tell, with the whole daemon: what arrives at real servers, and what does not.

mod services;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::skipped;
use crate::support::wait::{DEADLINE, until};
use crate::support::world::World;

/// Debian's Python, for which its packages are.
const PYTHON: &str = "/usr/bin/python3";

/// Where the mail server of a world listens.
const MAIL: u16 = 2525;

/// Where the web service of a world listens.
const WEB: u16 = 8025;

/// A server of a world's network, in Python.
pub struct Server {
    child: Child,
    told: Receiver<Value>,
}

impl Server {
    fn start(world: &World, script: &str, arguments: &[String]) -> Server {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests")
            .join(script);
        let mut child = world
            .netns
            .command(PYTHON)
            .args(["-W", "ignore"])
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, told) = channel::<Value>();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let server = Server { child, told };
        // It listens.
        server.told();
        server
    }

    /// aiosmtpd; `None`, and a word about it, where there is none.
    pub fn mail(world: &World) -> Option<Server> {
        let has_it = Command::new(PYTHON)
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null())
            .status();
        if !has_it.is_ok_and(|status| status.success()) {
            return skipped("python3-aiosmtpd is missing");
        }
        let settings = json!({ "port": MAIL }).to_string();
        Some(Self::start(world, "means/smtp_server.py", &[settings]))
    }

    /// A web service that gives these answers before it is content.
    pub fn web(world: &World, answers: Value) -> Server {
        let arguments = [WEB.to_string(), answers.to_string()];
        Self::start(world, "notices/http_server.py", &arguments)
    }

    /// The next that it tells.
    pub fn told(&self) -> Value {
        self.told.recv_timeout(DEADLINE).unwrap()
    }

    /// The JSON of the next request.
    pub fn told_json(&self) -> Value {
        let told = self.told();
        serde_json::from_str(told["body"].as_str().unwrap()).unwrap()
    }

    /// Whether it has nothing to tell that nobody has heard.
    pub fn is_silent(&self) -> bool {
        self.told.try_recv().is_err()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A world whose jail has one action, with these settings.
pub fn world(action: &str, settings: &str) -> Option<World> {
    let section = format!("[action.{action}]\n{settings}\n");
    World::with(&format!("actions = [\"{action}\"]\n"), &section)
}

/// Settings of an action that tells by mail.
fn by_mail(more: &str) -> String {
    format!(
        "server = \"127.0.0.1\"\nport = {MAIL}\nsecurity = \"none\"\nto = [\"root@example.org\"]\n{more}"
    )
}

/// Keeps a secret in the world, and tells where.
pub fn secret(world: &World, name: &str, value: &str) -> String {
    let path = world.path().join(name);
    fs::write(&path, value).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    format!("file:{}", path.display())
}

/// Settings of an action that tells the web service of a world.
fn by_web(world: &World, more: &str) {
    let url = secret(
        world,
        "url",
        &format!("http://127.0.0.1:{WEB}/hook?token=tell-nobody"),
    );
    let section = format!("[action.webhook]\nurl = \"{url}\"\n{more}\n");
    world.configure("actions = [\"webhook\"]\n", &section);
}

fn ban(world: &World, address: &str) {
    let output = world.f2bd(&["ban", "sshd", address]);
    assert!(output.status.success(), "{output:?}");
}

fn header<'l>(letter: &'l Value, name: &str) -> Vec<&'l str> {
    let headers = letter["headers"].as_array().unwrap().iter();
    let own = headers.filter(|header| header[0] == name);
    own.map(|header| header[1].as_str().unwrap()).collect()
}

fn events(told: &Value) -> Vec<(String, String)> {
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let events = told["events"].as_array().unwrap().iter();
    events
        .map(|event| (text(event, "event"), text(event, "address")))
        .collect()
}

#[test]
fn a_letter_tells_the_lines_behind_a_ban_whatever_is_in_them() {
    let Some(world) = world("mail-lines", &by_mail("")) else {
        return;
    };
    let Some(mail) = Server::mail(&world) else {
        return;
    };
    let daemon = world.start();
    let user = "x`$(id)`\"';=?utf-8?q?=0D=0ABcc:_y?= \u{1b}[2J\u{202e} <jail> <b>%s";
    for _ in 0..5 {
        world.mistype("192.0.2.7", &format!("invalid user {user}"));
    }
    let letter = mail.told();
    assert_eq!(letter["to"], json!(["root@example.org"]));
    assert_eq!(header(&letter, "Subject").len(), 1);
    assert!(header(&letter, "Subject")[0].contains("[sshd] ban 192.0.2.7 for "));
    assert_eq!(header(&letter, "Bcc"), [""; 0]);
    let texts = letter["texts"].as_array().unwrap();
    assert_eq!(texts.len(), 1, "{letter}");
    let body = texts[0][2].as_str().unwrap();
    let shown = "x`$(id)`\"';=?utf-8?q?=0D=0ABcc:_y?= \\x1b[2J\u{fffd} <jail> <b>%s";
    let line =
        format!("    Failed password for invalid user {shown} from 192.0.2.7 port 40000 ssh2");
    let lines = body.lines().filter(|own| *own == line).count();
    assert_eq!(lines, 5, "{body}");
    assert!(body.contains(&format!("accounts: {shown}\n")), "{body}");
    daemon.stop();
}

#[test]
fn a_digest_gathers() {
    let Some(world) = world("mail", &by_mail("every = \"1h\"")) else {
        return;
    };
    let Some(mail) = Server::mail(&world) else {
        return;
    };
    let daemon = world.start();
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        ban(&world, address);
    }
    // The end is no time to keep anything back.
    daemon.stop();
    let letter = mail.told();
    assert!(
        header(&letter, "Subject")[0].ends_with(": 3 bans"),
        "{letter}"
    );
    let body = letter["texts"][0][2].as_str().unwrap();
    let told = body
        .lines()
        .filter(|line| line.starts_with("[sshd] ban "))
        .count();
    assert_eq!(told, 3, "{body}");
    assert!(mail.is_silent());
}

#[test]
fn who_wants_to_hears_of_the_beginning_and_the_end() {
    let Some(world) = world("webhook", "url = \"file:/nowhere\"") else {
        return;
    };
    by_web(
        &world,
        "on = [\"ban\", \"unban\", \"start\", \"stop\", \"error\"]",
    );
    let web = Server::web(&world, json!([]));
    let daemon = world.start();
    let one = |event: &str, address: &str| vec![(event.to_owned(), address.to_owned())];
    assert_eq!(events(&web.told_json()), one("start", ""));
    ban(&world, "192.0.2.1");
    assert_eq!(events(&web.told_json()), one("ban", "192.0.2.1"));
    assert!(world.f2bd(&["unban", "192.0.2.1"]).status.success());
    assert_eq!(events(&web.told_json()), one("unban", "192.0.2.1"));
    daemon.stop();
    assert_eq!(events(&web.told_json()), one("stop", ""));
}

#[test]
fn what_was_told_before_a_crash_is_told_again_only_to_who_wants_that() {
    let Some(world) = world("webhook", "url = \"file:/nowhere\"") else {
        return;
    };
    let on = "on = [\"ban\", \"start\"]";
    by_web(&world, on);
    let web = Server::web(&world, json!([]));
    let start = [("start".to_owned(), String::new())];
    let banned = |address: &str| ("ban".to_owned(), address.to_owned());
    let daemon = world.start();
    assert_eq!(events(&web.told_json()), start);
    ban(&world, "192.0.2.1");
    assert_eq!(events(&web.told_json()), [banned("192.0.2.1")]);
    assert!(world.f2bd(&["flush"]).status.success());
    daemon.kill();
    let daemon = world.start();
    assert_eq!(events(&web.told_json()), start);
    // Had the old one been told, it would have been before this.
    ban(&world, "192.0.2.2");
    assert_eq!(events(&web.told_json()), [banned("192.0.2.2")]);
    assert!(world.f2bd(&["flush"]).status.success());
    daemon.kill();
    by_web(&world, &format!("{on}\nrestored = true"));
    let daemon = world.start();
    let mut told = events(&web.told_json());
    while told.len() < 3 {
        told.extend(events(&web.told_json()));
    }
    // The bans of an earlier run are told in no order.
    told[1..].sort();
    let all = [start[0].clone(), banned("192.0.2.1"), banned("192.0.2.2")];
    assert_eq!(told, all);
    daemon.stop();
}

#[test]
fn nothing_is_lost_while_the_mail_server_is_dead() {
    let Some(world) = world("mail", &by_mail("")) else {
        return;
    };
    let daemon = world.start();
    ban(&world, "192.0.2.1");
    let reason = until("the reason in the status", || {
        let status = world.json(&["status"]).remove(0);
        let action = status["actions"][0].clone();
        (action["works"] == false).then(|| action["reason"].as_str().unwrap().to_owned())
    });
    assert!(reason.contains("127.0.0.1:2525"), "{reason}");
    ban(&world, "192.0.2.2");
    let bans = world.json(&["bans"]);
    assert_eq!(bans.len(), 2, "{bans:?}");
    let Some(mail) = Server::mail(&world) else {
        return;
    };
    let mut told = Vec::new();
    while told.len() < 2 {
        let letter = mail.told();
        let body = letter["texts"][0][2].as_str().unwrap().to_owned();
        let bans = body.lines().filter(|line| line.starts_with("[sshd] ban "));
        told.extend(bans.map(|line| line.split(' ').nth(2).unwrap().to_owned()));
    }
    assert_eq!(told, ["192.0.2.1", "192.0.2.2"]);
    until("it works again", || {
        let status = world.json(&["status"]).remove(0);
        (status["actions"][0]["works"] == true).then_some(())
    });
    daemon.stop();
}

#[test]
fn a_busy_service_is_left_alone_and_told_each_report_once() {
    let Some(world) = world("abuseipdb", "key = \"file:/nowhere\"") else {
        return;
    };
    const KEY: &str = "kept-to-ourselves-4711";
    let key = secret(&world, "key", KEY);
    let settings = "maxretry = 1\nactions = [\"abuseipdb\"]\n";
    let section = format!(
        "[action.abuseipdb]\nkey = \"{key}\"\nserver = \"http://127.0.0.1:{WEB}\"\ncategories = \"18,22\"\n"
    );
    world.configure(settings, &section);
    let busy = format!("too many requests for {KEY}");
    let web = Server::web(
        &world,
        json!([[200, {}, ""], [429, { "Retry-After": "1" }, busy]]),
    );
    let daemon = world.start();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        world.mistype(address, "alice");
    }
    // Whom we ban by hand has done nothing that could be reported.
    ban(&world, "192.0.2.9");
    let told: Vec<_> = (0..4).map(|_| web.told()).collect();
    let field = |told: &Value, name: &str| {
        let fields = told["body"].as_str().unwrap().split('&');
        let mut own = fields.filter_map(|field| field.strip_prefix(&format!("{name}=")));
        own.next().unwrap().to_owned()
    };
    let reported: Vec<_> = told.iter().map(|told| field(told, "ip")).collect();
    assert_eq!(
        reported,
        ["192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3"]
    );
    let waited = told[2]["time"].as_f64().unwrap() - told[1]["time"].as_f64().unwrap();
    assert!(waited >= 1.0, "{waited}");
    for told in &told {
        assert_eq!(told["method"], "POST");
        assert_eq!(told["path"], "/api/v2/report");
        assert_eq!(told["headers"]["key"], KEY);
        assert_eq!(told["headers"]["accept"], "application/json");
        assert_eq!(field(told, "categories"), "18%2C22");
        assert!(!told["body"].as_str().unwrap().contains("alice"), "{told}");
    }
    let status = world.f2bd(&["status", "--json"]);
    let config = world.config().display().to_string();
    let check = world.f2bd(&["--config", &config, "check", "--json"]);
    let explain = world.f2bd(&["explain", "192.0.2.1"]);
    let line = fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    let public = [
        status.stdout,
        check.stdout,
        check.stderr,
        explain.stdout,
        line,
        daemon.log().into_bytes(),
    ];
    for text in public {
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.contains(KEY), "{text}");
    }
    daemon.signal(Signal::TERM);
    daemon.says("ended");
    assert!(web.is_silent());
}

#[test]
fn an_entry_of_the_journal_has_a_field_for_each_thing() {
    let Some(world) = world("journal", "") else {
        return;
    };
    let sockets = world.journald.dev_log();
    let stage = format!(
        "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; mount --bind {} /run/systemd/journal",
        sockets.parent().unwrap().display()
    );
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c '{stage}; exec logger \"$@\"' logger \"$@\"\n"
    );
    let logger = world.path().join("logger");
    fs::write(&logger, script).unwrap();
    fs::set_permissions(&logger, fs::Permissions::from_mode(0o755)).unwrap();
    let section = format!("[action.journal]\nlogger = \"{}\"\n", logger.display());
    world.configure("actions = [\"journal\"]\n", &section);
    let daemon = world.start();
    for _ in 0..5 {
        world.mistype("192.0.2.7", "invalid user x PRIORITY=0 `$(id)`");
    }
    let entry = until("the entry", || {
        let output = Command::new("journalctl")
            .arg("--directory")
            .arg(world.journald.directory())
            .args(["-o", "json", "-t", "f2bd-event"])
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&output.stdout).ok()
    });
    let message = entry["MESSAGE"].as_str().unwrap();
    assert!(message.starts_with("[sshd] ban 192.0.2.7 for "), "{entry}");
    assert_eq!(entry["PRIORITY"], "5");
    assert_eq!(entry["F2BD_EVENT"], "ban");
    assert_eq!(entry["F2BD_ADDRESS"], "192.0.2.7");
    assert_eq!(entry["F2BD_FAILURES"], "5");
    assert_eq!(entry["F2BD_USERS"], "x PRIORITY=0 `$(id)`");
    let line =
        "Failed password for invalid user x PRIORITY=0 `$(id)` from 192.0.2.7 port 40000 ssh2";
    // Of five lines that are the same, journald keeps one.
    assert_eq!(entry["F2BD_LINE"], line);
    let fields = entry.as_object().unwrap().keys();
    let own: Vec<_> = fields.filter(|name| !name.starts_with('_')).collect();
    assert_eq!(own.len(), 15, "{own:?}");
    daemon.stop();
}

/// A program of a world, which is a script.
fn program(world: &World, name: &str, script: &str) -> String {
    let path = world.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_letter_says_what_whois_knows_and_calls_the_jail_as_it_should() {
    let Some(world) = World::new("") else {
        return;
    };
    let home = world.path().display().to_string();
    let sendmail =
        format!("printf '%s ' \"$@\" >{home}/to; cat >{home}/new; mv {home}/new {home}/letter");
    let sendmail = program(&world, "sendmail", &sendmail);
    let whois = program(&world, "whois", "echo \"inetnum: around $1\"; echo \"$#\"");
    let section = format!(
        "[action.mail-whois]\nsendmail = {sendmail:?}\nwhois_program = {whois:?}\nto = [\"me@example.org\"]\nfrom = \"root@<host>\"\n"
    );
    let jail = "actions = [{ action = \"mail-whois\", label = \"SSH\" }]\n";
    world.configure(jail, &section);
    let daemon = world.start();
    ban(&world, "192.0.2.1");
    let letter = world.path().join("letter");
    let letter = until("the letter is there", || fs::read_to_string(&letter).ok());
    assert!(
        letter.contains("\nSubject: [f2bd] SSH: banned 192.0.2.1 from "),
        "{letter}"
    );
    assert!(
        letter.contains("\ninetnum: around 192.0.2.1\n1\n"),
        "{letter}"
    );
    let to = fs::read_to_string(world.path().join("to")).unwrap();
    assert!(
        to.ends_with(" -- me@example.org ") && !to.contains('<'),
        "{to}"
    );
    assert!(to.contains(" -f root@"), "{to}");
    daemon.stop();
}

#[test]
fn a_letter_holds_the_lines_of_earlier_bans() {
    let Some(world) = World::new("") else {
        return;
    };
    let home = world.path().display().to_string();
    let sendmail = format!("cat >{home}/new; mv {home}/new {home}/letter");
    let sendmail = program(&world, "sendmail", &sendmail);
    let whois = program(&world, "whois", "echo \"inetnum: around $1\"");
    let section = format!(
        "[action.mail-whois-history]\nsendmail = {sendmail:?}\nwhois_program = {whois:?}\n"
    );
    world.configure("actions = [\"mail-whois-history\"]\n", &section);
    let daemon = world.start();
    let letter = || {
        let path = world.path().join("letter");
        let letter = until("the letter", || fs::read_to_string(&path).ok());
        fs::remove_file(path).unwrap();
        letter
    };
    let banned_as = |user: &str| {
        for _ in 0..5 {
            world.mistype("192.0.2.7", user);
        }
        letter()
    };
    assert!(banned_as("invalid user first").contains("invalid user first"));
    assert!(world.f2bd(&["unban", "192.0.2.7"]).status.success());
    let second = banned_as("invalid user second");
    for user in ["first", "second"] {
        assert!(second.contains(&format!("invalid user {user}")), "{second}");
    }
    daemon.stop();
}

/// A digest that says what whois knows of everybody in it.
const DIGEST: &str = r#"
kind = "mail"
title = "One letter for many, with what a whois server knows of each"

[parameters.to]
type = "mailbox"
list = true
default = ["root@localhost"]
about = "Who gets it."

[parameters.from]
type = "mailbox"
default = "f2bd@localhost"
about = "Whom it comes from."

[parameters.whois_program]
type = "program"
default = "whois"
about = "Who is asked."

[[tell]]
to = "<to>"
from = "<from>"
subject = "<count> bans"
body = "<whois>"

[[sample]]
jail = "sshd"
subjects = ["192.0.2.1"]
whois = ["net: one"]
does = """
@ root@localhost from f2bd@localhost
Subject: 1 bans
> net: one
"""
"#;

#[test]
fn a_letter_of_many_asks_whois_of_few() {
    let Some(world) = World::new("") else {
        return;
    };
    let home = world.path().display().to_string();
    fs::create_dir_all(world.path().join("actions")).unwrap();
    fs::write(world.path().join("actions/digest.toml"), DIGEST).unwrap();
    let sendmail = format!("cat >{home}/new; mv {home}/new {home}/letter");
    let sendmail = program(&world, "sendmail", &sendmail);
    let whois = format!("echo \"$1\" >>{home}/asked; echo \"net: of $1.\"");
    let whois = program(&world, "whois", &whois);
    let section = format!(
        "[action.digest]\nsendmail = {sendmail:?}\nwhois_program = {whois:?}\nevery = \"1h\"\n"
    );
    world.configure("actions = [\"digest\"]\n", &section);
    let daemon = world.start();
    for host in 1..=12 {
        ban(&world, &format!("198.51.100.{host}"));
    }
    daemon.stop();
    let asked = fs::read_to_string(world.path().join("asked")).unwrap();
    assert_eq!(asked.lines().count(), 10, "{asked}");
    let letter = fs::read_to_string(world.path().join("letter")).unwrap();
    assert_eq!(
        letter.matches("net: of 198.51.100.").count(),
        10,
        "{letter}"
    );
    assert_eq!(
        letter.matches("not asked: there are too many").count(),
        2,
        "{letter}"
    );
}

#[test]
fn programs_that_letters_need_and_that_are_missing_are_told() {
    let home = tempfile::tempdir().unwrap();
    let check = |settings: &str| {
        let text = format!(
            "[source.journal]\nenabled = false\n[source.auth]\ntype = \"file\"\npath = [\"/dev/null\"]\n{settings}\n[jail.sshd]\nsources = [\"auth\"]\nactions = [\"nftables\", \"mail-whois\"]\n"
        );
        let file = home.path().join("f2bd.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = std::process::Command::new(crate::support::world::F2BD);
        let output = command.args(["check", "--config"]).arg(&file).output();
        let output = output.unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let needs = |program: &str| {
        format!(
            "the action `mail-whois` needs the program `{program}`, which is not there: install it"
        )
    };
    let to = "[action.mail-whois]\nto = [\"root@example.org\"]\nfrom = \"root@example.org\"\n";
    let missing = "sendmail = \"/nowhere/sendmail\"\nwhois_program = \"/bin/true\"\n";
    let told = check(&format!("{to}{missing}"));
    assert!(told.contains(&needs("/nowhere/sendmail")), "{told}");
    // A mail server needs none.
    let told = check(&format!("{to}{missing}server = \"mail.example.org\"\n"));
    assert!(!told.contains("needs the program"), "{told}");
    let missing = "sendmail = \"/bin/true\"\nwhois_program = \"/nowhere/whois\"\n";
    let told = check(&format!("{to}{missing}"));
    assert!(told.contains(&needs("/nowhere/whois")), "{told}");
}
