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
