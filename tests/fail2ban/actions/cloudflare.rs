//! Are the rules of Cloudflare those that Fail2ban makes and removes? A service here does what is documented of the real one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use f2bd::action::Ending;
use f2bd::config::fail2ban::action::commands::{IPV4, IPV6, filled};
use f2bd::engine::prefix::Prefix;
use serde_json::{Value, json};

use super::super::package::Package;
use super::stock::{one_jail, read, spec_of};
use crate::support::guard::{self, Guard, ban, has};
use crate::support::wait::until;

/// What the service does otherwise than it should.
#[derive(Clone, Copy, PartialEq)]
enum Temper {
    /// Nothing.
    Sound,
    /// It shows all rules, whatever is asked for.
    Deaf,
    /// What it calls rules leads elsewhere.
    Hostile,
}

#[derive(Default)]
struct Held {
    rules: Vec<Value>,
    /// What was removed that is not there.
    missed: Vec<String>,
    /// What was refused.
    refused: Vec<Value>,
    /// Who has asked, by headers that tell.
    logins: Vec<BTreeMap<String, String>>,
}

/// A service that holds rules of one account or zone.
struct Service {
    url: String,
    held: Arc<Mutex<Held>>,
}

/// A rule of somebody else.
fn foreign() -> Value {
    json!({ "id": "f0", "mode": "block", "notes": "mine", "configuration": { "target": "ip", "value": "198.51.100.1" } })
}

impl Service {
    fn open(temper: Temper) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let held = Arc::new(Mutex::new(Held::default()));
        held.lock().unwrap().rules.push(foreign());
        let of_server = Arc::clone(&held);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &mut of_server.lock().unwrap(), temper);
            }
        });
        Service { url, held }
    }

    /// All rules but what they are called; notes of ours are read as Fail2ban's.
    fn rules(&self) -> Vec<Value> {
        let mut rules = self.held.lock().unwrap().rules.clone();
        for rule in &mut rules {
            rule.as_object_mut().unwrap().remove("id");
            if rule["notes"] == "[Fail2Ban]" {
                rule["notes"] = json!("Fail2Ban sshd");
            }
        }
        rules.sort_by_key(Value::to_string);
        rules
    }
}

/// What stands for a text in an address.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

/// Whether a rule is one of those that are asked for.
fn is_asked_for(rule: &Value, query: &str) -> bool {
    query.split('&').all(|part| {
        let (name, value) = part.split_once('=').unwrap();
        let value = decoded(value);
        let is = |own: &Value| own.as_str() == Some(&value);
        match name.replace('_', ".").as_str() {
            "mode" => is(&rule["mode"]),
            "notes" => {
                let own = rule["notes"].as_str().unwrap().to_lowercase();
                own.contains(&value.to_lowercase())
            }
            "configuration.target" => is(&rule["configuration"]["target"]),
            "configuration.value" => {
                let own: Prefix = rule["configuration"]["value"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap();
                own == value.parse().unwrap()
            }
            "page" | "per.page" => true,
            other => panic!("{other}"),
        }
    })
}

/// Why a rule is not taken, with the code of the error.
fn refusal(rule: &Value, rules: &[Value]) -> Option<(u32, &'static str)> {
    let target = |rule: &Value| rule["configuration"]["target"].as_str().unwrap().to_owned();
    let value = |rule: &Value| rule["configuration"]["value"].as_str().unwrap().to_owned();
    let network: Prefix = value(rule).parse().unwrap();
    let is_v6 = network.address().is_ipv6();
    let fits = match target(rule).as_str() {
        "ip" => !is_v6 && !value(rule).contains('/'),
        "ip6" => is_v6 && !value(rule).contains('/'),
        "ip_range" if is_v6 => [32, 48, 64].contains(&network.width()),
        "ip_range" => [16, 24].contains(&network.width()),
        _ => false,
    };
    let is_same = |other: &Value| value(other).parse::<Prefix>().unwrap() == network;
    match () {
        () if !fits => Some((10001, "firewallaccessrules.api.validation_error")),
        () if rules.iter().any(is_same) => {
            Some((10009, "firewallaccessrules.api.duplicate_of_existing"))
        }
        () => None,
    }
}

/// Takes one request.
fn answer(mut stream: TcpStream, held: &mut Held, temper: Temper) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = next();
    let mut headers = BTreeMap::new();
    while let Some((name, value)) = next().split_once(": ") {
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map(|text| text.parse());
    let mut body = vec![0; length.transpose().unwrap().unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let tells = |name: &String| {
        matches!(
            name.as_str(),
            "authorization" | "x-auth-email" | "x-auth-key"
        )
    };
    headers.retain(|name, _| tells(name));
    held.logins.push(headers);
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let rule = path.split_once("/firewall/access_rules/rules").unwrap().1;
    let result = match method {
        "POST" => {
            let mut rule: Value = serde_json::from_slice(&body).unwrap();
            if let Some((code, message)) = refusal(&rule, &held.rules) {
                held.refused.push(rule);
                let errors = json!([{ "code": code, "message": message }]);
                let body = json!({ "success": false, "errors": errors, "result": null });
                return say(&mut stream, "400 Bad Request", &body);
            }
            let number = held.logins.len();
            rule["id"] = match temper {
                Temper::Hostile => json!(format!("../../../zones/{number}")),
                _ => json!(format!("{number:032x}")),
            };
            // It spells addresses its own way.
            let value = rule["configuration"]["value"].as_str().unwrap();
            let (address, width) = value.split_at(value.find('/').unwrap_or(value.len()));
            if let Ok(std::net::IpAddr::V6(six)) = address.parse() {
                let groups = six.segments().map(|group| format!("{group:04x}"));
                rule["configuration"]["value"] = json!(groups.join(":") + width);
            }
            held.rules.push(rule.clone());
            rule
        }
        "GET" => {
            let rules = held.rules.iter();
            let asked = rules.filter(|rule| temper == Temper::Deaf || is_asked_for(rule, query));
            asked.cloned().collect::<Vec<_>>().into()
        }
        "DELETE" => {
            let id = rule.trim_start_matches('/');
            let count = held.rules.len();
            held.rules.retain(|rule| rule["id"] != id);
            if held.rules.len() == count {
                held.missed.push(target.to_owned());
            }
            json!({ "id": id })
        }
        other => panic!("{other}"),
    };
    let body = json!({ "success": true, "errors": [], "result": result });
    say(&mut stream, "200 OK", &body);
}

fn say(stream: &mut TcpStream, status: &str, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
}

const BANNED: [(&str, &str); 2] = [("192.0.2.7", IPV4), ("2001:db8::7", IPV6)];

fn lives_the_same(action: &str) {
    let Some(package) = Package::find().filter(|_| has(&["curl"])) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let jail = one_jail(home.path(), "sshd", action);
    let (asked, carried, problems) = read(&package, home.path(), &jail);
    let (_, native, _) = carried
        .natives
        .first()
        .unwrap_or_else(|| panic!("{problems:?}"));
    let theirs = Service::open(Temper::Sound);
    let run = |part: &str, (address, family): (&str, &str)| {
        let all = filled(&asked[0], family).unwrap();
        let script = all.text(part).unwrap().replace("<ip>", address);
        // A blank in an address, as one of the two actions has it, is refused by curl.
        let script = script
            .replace("https://api.cloudflare.com", &theirs.url)
            .replace("notes=Fail2Ban sshd&", "notes=Fail2Ban%20sshd&");
        let output = Command::new("sh")
            .args(["-c", &script])
            .env("no_proxy", "*")
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    };
    let ours = Service::open(Temper::Sound);
    let guard = Guard::here(spec_of(native, &[("server", &ours.url)]));
    let mut jail = guard::jail("sshd", &[]);
    jail.label = carried.uses[0].label.clone().unwrap();
    guard.reconcile(std::slice::from_ref(&jail), &[]);
    for one in BANNED {
        run("actionban", one);
        guard.order_change(&[ban("sshd", one.0, 600)], &[]);
        guard.must_apply(1);
        assert_eq!(ours.rules(), theirs.rules());
    }
    assert_eq!(ours.rules().len(), 3);
    for one in BANNED {
        run("actionunban", one);
        guard.unban(&[one.0]);
        assert_eq!(ours.rules(), theirs.rules());
    }
    let mut left = foreign();
    left.as_object_mut().unwrap().remove("id");
    assert_eq!(ours.rules(), [left]);
    guard.stop(Ending::AsConfigured);
    let logins = |service: &Service| service.held.lock().unwrap().logins.clone();
    let who = logins(&theirs).remove(0);
    assert!(!who.is_empty());
    assert!(logins(&ours).iter().all(|login| *login == who), "{who:?}");
}

#[test]
fn rules_of_a_user_live_the_same() {
    lives_the_same("cloudflare[cfuser=me@example.org, cftoken=\"Sesame\"]");
}

#[test]
fn rules_of_a_zone_live_the_same() {
    lives_the_same("cloudflare-token[cfzone=z1, cftoken=Sesame, cfmode=challenge]");
}

/// The shipped action, at this service; the token is in `home`.
fn at(service: &Service, home: &Path, mode: &str) -> Guard {
    let token = home.join("token");
    fs::write(&token, "Sesame").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let token = format!("file:{}", token.display());
    let parameters = [
        ("server", service.url.as_str()),
        ("token", &token),
        ("mode", mode),
    ];
    Guard::here(guard::action("cloudflare-rules", &parameters))
}

/// Whom the rules of ours concern, by target, and in which mode.
fn held_of_ours(service: &Service) -> Vec<String> {
    let rules = service.rules().into_iter();
    let ours = rules.filter(|rule| rule["notes"] == "[f2bd]");
    ours.map(|rule| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let network: Prefix = text(&rule["configuration"]["value"]).parse().unwrap();
        let target = text(&rule["configuration"]["target"]);
        format!("{} {target} {}", text(&rule["mode"]), network.plain())
    })
    .collect()
}

#[test]
fn a_rule_of_another_mode_is_lifted_after_a_restart() {
    let (service, home) = (Service::open(Temper::Sound), tempfile::tempdir().unwrap());
    let jail = guard::jail("sshd", &[]);
    let first = at(&service, home.path(), "block");
    let banned = ban("sshd", "192.0.2.7", 600);
    first.reconcile(std::slice::from_ref(&jail), std::slice::from_ref(&banned));
    assert_eq!(held_of_ours(&service), ["block ip 192.0.2.7"]);
    first.die();
    let second = at(&service, home.path(), "challenge");
    second.reconcile(&[jail], &[banned]);
    assert_eq!(held_of_ours(&service), ["block ip 192.0.2.7"]);
    second.unban(&["192.0.2.7"]);
    assert_eq!(held_of_ours(&service), [""; 0]);
    second.die();
    assert!(service.held.lock().unwrap().refused.is_empty());
}

#[test]
fn a_host_of_two_jails_has_one_rule_until_both_bans_end() {
    let (service, home) = (Service::open(Temper::Sound), tempfile::tempdir().unwrap());
    // The name of one holds that of the other.
    let jails = ["sshd", "ssh"].map(|name| guard::jail(name, &[]));
    let guard = at(&service, home.path(), "block");
    let both = ["sshd", "ssh"].map(|name| ban(name, "192.0.2.7", 600));
    let other = ban("ssh", "192.0.2.8", 600);
    guard.reconcile(&jails, &both);
    guard.order_change(std::slice::from_ref(&other), &[]);
    guard.must_apply(1);
    let all = ["block ip 192.0.2.7", "block ip 192.0.2.8"];
    assert_eq!(held_of_ours(&service), all);
    let lift = |jail: &str| {
        let lifted = (jail.parse().unwrap(), "192.0.2.7".parse().unwrap());
        guard.order_change(&[], &[lifted]);
        guard.outcome();
    };
    lift("sshd");
    assert_eq!(held_of_ours(&service), all);
    // Nor does looking at what is there take anything away.
    guard.reconcile(&jails, &[both[1].clone(), other]);
    assert_eq!(held_of_ours(&service), all);
    lift("ssh");
    assert_eq!(held_of_ours(&service), all[1..]);
    guard.die();
    let held = service.held.lock().unwrap();
    assert!(held.refused.is_empty(), "{:?}", held.refused);
}

#[test]
fn networks_are_sent_as_ranges_or_left_out() {
    let (service, home) = (Service::open(Temper::Sound), tempfile::tempdir().unwrap());
    let guard = at(&service, home.path(), "block");
    let networks = ["2001:db8::/64", "198.51.100.0/24", "2001:db8:1::/56"];
    let bans = networks.map(|network| ban("sshd", network, 600));
    guard.reconcile(&[guard::jail("sshd", &[])], &bans);
    let ranges = [
        "block ip_range 198.51.100.0/24",
        "block ip_range 2001:db8::/64",
    ];
    assert_eq!(held_of_ours(&service), ranges);
    guard.unban(&["2001:db8::/64"]);
    assert_eq!(held_of_ours(&service), ranges[..1]);
    guard.die();
    let held = service.held.lock().unwrap();
    assert!(held.refused.is_empty(), "{:?}", held.refused);
}

/// What a service tells does not lead anywhere else.
fn bans_and_lifts(temper: Temper) -> Service {
    let service = Service::open(temper);
    let home = tempfile::tempdir().unwrap();
    let guard = at(&service, home.path(), "block");
    let jail = guard::jail("sshd", &[]);
    guard.order_reconcile(&[jail], &[]);
    guard.outcome();
    guard.order_change(&[ban("sshd", "192.0.2.7", 600)], &[]);
    guard.outcome();
    let lifted = ("sshd".parse().unwrap(), "192.0.2.7".parse().unwrap());
    guard.order_change(&[], &[lifted]);
    guard.outcome();
    until("it was asked what to remove", || {
        (service.held.lock().unwrap().logins.len() >= 3).then_some(())
    });
    guard.die();
    service
}

#[test]
fn rules_of_others_stay() {
    let service = bans_and_lifts(Temper::Deaf);
    let held = service.held.lock().unwrap();
    assert!(held.rules.contains(&foreign()), "{:?}", held.rules);
    assert_eq!(held.rules.len(), 2, "what cannot be found stays");
    assert!(held.missed.is_empty(), "{:?}", held.missed);
}

#[test]
fn what_is_found_leads_nowhere_else() {
    let service = bans_and_lifts(Temper::Hostile);
    let held = service.held.lock().unwrap();
    assert!(held.missed.is_empty(), "{:?}", held.missed);
    assert_eq!(held.rules.len(), 2, "{:?}", held.rules);
}
