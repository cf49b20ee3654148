//! Do firewalls and lists elsewhere hold whom f2bd bans? Servers here take what is documented, and nothing else.

use serde_json::{Value, json};

use super::{Server, WEB, ban, secret, world};
use crate::support::wait::until;

fn server() -> String {
    format!("server = \"http://127.0.0.1:{WEB}\"\n")
}

#[test]
fn cloudflare_is_given_the_whole_list() {
    let settings = "account = \"acc\"\nlist = \"lst\"\npause = \"0s\"\ntoken = \"file:/nowhere\"\n";
    let Some(world) = world("cloudflare", settings) else {
        return;
    };
    let token = secret(&world, "token", "tell-nobody");
    let section = settings.replace("file:/nowhere", &token) + &server();
    let actions = "actions = [\"cloudflare\"]\n";
    world.configure(actions, &format!("[action.cloudflare]\n{section}"));
    let web = Server::web(&world, json!([]));
    let daemon = world.start();
    let list = |told: Value| {
        assert_eq!(told["method"], "PUT");
        let path = "/client/v4/accounts/acc/rules/lists/lst/items";
        assert_eq!(told["path"], path);
        assert_eq!(told["headers"]["authorization"], "Bearer tell-nobody");
        let items: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
        let items = items.as_array().unwrap().iter();
        let addresses = items.map(|item| item["ip"].as_str().unwrap().to_owned());
        addresses.collect::<Vec<_>>()
    };
    assert_eq!(list(web.told()), [""; 0]);
    ban(&world, "192.0.2.1");
    assert_eq!(list(web.told()), ["192.0.2.1"]);
    ban(&world, "2001:db8::/64");
    assert_eq!(list(web.told()), ["192.0.2.1", "2001:db8::/64"]);
    assert!(world.f2bd(&["unban", "192.0.2.1"]).status.success());
    assert_eq!(list(web.told()), ["2001:db8::/64"]);
    daemon.stop();
}

/// Bans and lifts, and waits until the service holds what it should.
fn keeps(action: &str, settings: &[(&str, &str)], login: &str, list: &str, held: &[&str]) {
    let Some(world) = world(action, "") else {
        return;
    };
    let mut section = format!("[action.{action}]\n{}pause = \"0s\"\n", server());
    for (name, value) in settings {
        let value = match value.strip_prefix("secret:") {
            Some(value) => secret(&world, name, value),
            None => (*value).to_owned(),
        };
        section += &format!("{name} = \"{value}\"\n");
    }
    world.configure(&format!("actions = [\"{action}\"]\n"), &section);
    let web = Server::web(&world, json!([]));
    let daemon = world.start();
    ban(&world, "192.0.2.1");
    ban(&world, "198.51.100.0/24");
    ban(&world, "2001:db8::/64");
    ban(&world, "192.0.2.2");
    assert!(world.f2bd(&["unban", "192.0.2.2"]).status.success());
    let shows = || {
        let url = format!("http://127.0.0.1:{WEB}{list}");
        let output = world.netns.command("curl").args(["-s", &url]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    until("the service holds it", || {
        let shown = shows();
        let all = held
            .iter()
            .all(|address| shown.contains(&format!("\"{address}\"")));
        (all && !shown.contains("192.0.2.2")).then_some(())
    });
    daemon.stop();
    while let Ok(told) = web.told.try_recv() {
        let is_ours = told["headers"]["user-agent"]
            .as_str()
            .is_some_and(|agent| agent.starts_with("f2bd/"));
        assert!(!is_ours || told["login"] == login, "{told}");
    }
}

#[test]
fn opnsense_holds_whom_we_ban() {
    let settings = [("key", "secret:the-key"), ("secret", "secret:the-secret")];
    let list = "/api/firewall/alias_util/list/f2bd";
    let held = ["192.0.2.1", "198.51.100.0/24", "2001:db8::/64"];
    keeps("opnsense", &settings, "the-key:the-secret", list, &held);
}

#[test]
fn mikrotik_holds_whom_we_ban() {
    let settings = [("user", "me"), ("password", "secret:the-word")];
    let list = |path| format!("/rest/{path}/firewall/address-list?list=f2bd&.proplist=address");
    let ipv4 = ["192.0.2.1", "198.51.100.0/24"];
    keeps("mikrotik", &settings, "me:the-word", &list("ip"), &ipv4);
    keeps(
        "mikrotik",
        &settings,
        "me:the-word",
        &list("ipv6"),
        &["2001:db8::/64"],
    );
}

/// What each service of notices says in its manual that it wants to hear.
#[test]
fn each_service_hears_what_its_manual_says() {
    let services = [
        "discord", "gotify", "matrix", "ntfy", "pushover", "slack", "telegram", "webhook",
    ];
    let Some(world) = world("webhook", "url = \"file:/nowhere\"") else {
        return;
    };
    let here = format!("http://127.0.0.1:{WEB}");
    let at = |name: &str, path: &str| secret(&world, name, &format!("{here}{path}"));
    let token = secret(&world, "token", "Sesame");
    let user = secret(&world, "user", "ali-baba");
    let topic = secret(&world, "topic", "cave");
    let settings = [
        format!("url = \"{}\"", at("discord", "/api/webhooks/1/x")),
        format!("server = \"{here}\"\ntoken = \"{token}\""),
        format!("server = \"{here}\"\ntoken = \"{token}\"\nroom = \"%21room%3Aexample.org\""),
        format!("server = \"{here}\"\ntoken = \"{token}\"\ntopic = \"{topic}\""),
        format!("server = \"{here}\"\ntoken = \"{token}\"\nuser = \"{user}\""),
        format!("url = \"{}\"", at("slack", "/services/T/B/x")),
        format!("server = \"{here}\"\ntoken = \"{token}\"\nchat = \"-4711\""),
        format!("url = \"{}\"", at("webhook", "/hook")),
    ];
    let sections = services.iter().zip(&settings);
    let sections: String = sections
        .map(|(name, settings)| format!("[action.{name}]\n{settings}\n"))
        .collect();
    let jail = format!("maxretry = 1\nactions = {services:?}\n");
    world.configure(&jail, &sections);
    let web = Server::web(&world, json!([]));
    let daemon = world.start();
    world.mistype("192.0.2.7", "alice");
    let all: Vec<Value> = services.iter().map(|_| web.told()).collect();
    let of = |path: &str| {
        let mut own = all
            .iter()
            .filter(|told| told["path"].as_str().unwrap().starts_with(path));
        let told = own.next().unwrap_or_else(|| panic!("{path}: {all:?}"));
        let body = told["body"].as_str().unwrap();
        assert!(body.contains("192.0.2.7"), "{body}");
        let method = if path.starts_with("/_matrix") {
            "PUT"
        } else {
            "POST"
        };
        assert_eq!(told["method"], method, "{path}");
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (told["headers"].clone(), body, told["body"].clone())
    };
    let is_text = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.contains("192.0.2.7"))
    };
    let (_, discord, _) = of("/api/webhooks/1/x");
    assert!(is_text(&discord["content"]), "{discord}");
    assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
    let (headers, gotify, _) = of("/message");
    assert_eq!(headers["x-gotify-key"], "Sesame");
    assert!(
        is_text(&gotify["message"]) && gotify["priority"] == 5,
        "{gotify}"
    );
    let (headers, matrix, _) =
        of("/_matrix/client/v3/rooms/%21room%3Aexample.org/send/m.room.message/");
    assert_eq!(headers["authorization"], "Bearer Sesame");
    assert!(
        is_text(&matrix["body"]) && matrix["msgtype"] == "m.notice",
        "{matrix}"
    );
    let ntfy = all.iter().find(|told| told["path"] == "/").unwrap();
    assert_eq!(ntfy["headers"]["authorization"], "Bearer Sesame");
    let ntfy: Value = serde_json::from_str(ntfy["body"].as_str().unwrap()).unwrap();
    assert!(
        is_text(&ntfy["message"]) && ntfy["topic"] == "cave",
        "{ntfy}"
    );
    assert_eq!(ntfy["priority"], 3, "a number");
    let (headers, _, pushover) = of("/1/messages.json");
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    let pushover = pushover.as_str().unwrap();
    assert!(
        pushover.starts_with("message=") || pushover.contains("&message="),
        "{pushover}"
    );
    assert!(
        pushover.contains("token=Sesame") && pushover.contains("user=ali-baba"),
        "{pushover}"
    );
    let (_, slack, _) = of("/services/T/B/x");
    assert!(is_text(&slack["blocks"][0]["text"]["text"]), "{slack}");
    assert_eq!(slack["blocks"][0]["text"]["type"], "plain_text");
    let (_, telegram, _) = of("/botSesame/sendMessage");
    assert!(
        is_text(&telegram["text"]) && telegram["chat_id"] == "-4711",
        "{telegram}"
    );
    assert_eq!(telegram["parse_mode"], Value::Null, "plain text");
    let (_, webhook, _) = of("/hook");
    assert_eq!(webhook["events"][0]["address"], "192.0.2.7");
    assert_eq!(webhook["events"][0]["users"], json!(["alice"]));
    let log = daemon.log();
    assert!(
        !log.contains("Sesame") && !log.contains("ali-baba"),
        "{log}"
    );
    daemon.stop();
}
