//! Is what f2bd does instead of a stock action the same, as the kernel and an attacker see it?

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use f2bd::action::file::ActionFile;
use f2bd::action::parameter::Given;
use f2bd::action::ports::{Ports, Services};
use f2bd::action::{ActionJail, ActionSpec, Ending, InForce};
use f2bd::config::fail2ban::Tree;
use f2bd::config::fail2ban::action::{Actions, Native, Said, carry, commands};
use f2bd::config::fail2ban::jail::{State, TreeAction};
use f2bd::config::{Problem, Problems};
use f2bd::engine::prefix::SubjectWidth;
use rustix::io::Errno;

use super::super::package::Package;
use crate::support::guard::{Guard, action, ban, has, said, shell};
use crate::support::netns::{Cable, Netns};
use crate::support::wait::{DEADLINE, until};

/// An action of ours as it is set, but for these parameters.
pub fn spec_of(native: &Native, others: &[(&str, &str)]) -> ActionSpec {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("actions/{}.toml", native.action));
    let file = ActionFile::parse(&fs::read_to_string(path).unwrap()).unwrap();
    let given = native.parameters.iter().map(|(name, value)| {
        let value = match value {
            Said::One(value) => Given::One(value.clone()),
            Said::Many(values) => Given::Many(values.clone()),
            Said::Secret(secret) => Given::Secret(secret.clone()),
        };
        (name.clone(), value)
    });
    let others = others
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Given::One((*value).to_owned())));
    let given = given.chain(others).collect();
    file.spec(native.action.parse().unwrap(), &given).unwrap()
}

/// The actions of jails that say this, as Fail2ban has them, and what they come to.
pub fn read(
    package: &Package,
    home: &Path,
    jails: &str,
) -> (Vec<TreeAction>, Actions, Vec<Problem>) {
    let folder = home.join("fail2ban");
    if !folder.exists() {
        package.copy_to(&folder, home);
    }
    fs::write(home.join("log"), "").unwrap();
    fs::write(folder.join("jail.local"), jails).unwrap();
    // Debian's own switches a jail on.
    fs::write(folder.join("jail.d/defaults-debian.conf"), "").unwrap();
    let mut problems = Problems::default();
    let tree = Tree::read(&folder, &package.version(), &mut problems).unwrap();
    let jails: Vec<_> = tree
        .jails
        .into_iter()
        .filter_map(|jail| match jail.state {
            State::On(started) => Some((jail.name, started.actions)),
            _ => None,
        })
        .collect();
    let each = jails
        .iter()
        .map(|(name, actions)| (name.as_str(), actions.as_slice()));
    let carried = carry(each, &mut problems);
    let actions = jails.into_iter().flat_map(|(_, actions)| actions);
    (actions.collect(), carried, problems.into_sorted())
}

/// What an action of ours is set to; secrets as they are shown.
fn parameters(native: &Native) -> Vec<(&str, &str)> {
    let parameters = native.parameters.iter();
    parameters
        .map(|(name, value)| match value {
            Said::One(value) => (name.as_str(), value.as_str()),
            Said::Many(values) => (name.as_str(), values[0].as_str()),
            Said::Secret(_) => (name.as_str(), "***"),
        })
        .collect()
}

pub fn one_jail(home: &Path, name: &str, action: &str) -> String {
    let log = home.join("log");
    format!(
        "[{name}]\nenabled = true\nfilter =\nfailregex = ^<HOST> x$\nlogpath = {}\naction = {action}\n",
        log.display()
    )
}

fn to(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// All that programs show of what keeps somebody out.
const ALL: &str = "{ nft list ruleset; iptables-save; ip6tables-save; ipset list -n; ip route; ip -6 route; } 2>/dev/null";

/// What is there by names that begin as Fail2ban's do, the chains that lead there, and routes that lead nowhere.
fn names(inside: &Netns) -> BTreeSet<String> {
    let words = "(f2b|addr6?-set)-[A-Za-z0-9-]+|unreachable [0-9a-f.:]+";
    let chains = r"s/^(-A [A-Z]+) .*f2b.*/\1/p";
    let command = format!("{ALL} | grep -oE '{words}'; {ALL} | sed -nE '{chains}'");
    let said = said(inside, &command);
    said.lines().map(str::to_owned).collect()
}

/// What is there for a ban, and how who is banned is turned away.
#[derive(Debug, PartialEq)]
struct Life {
    names: BTreeSet<String>,
    answers: Vec<Option<Errno>>,
}

/// An action of a jail, and what else matters of it.
struct Case {
    /// As the jail says it.
    action: &'static str,
    /// What the administrator has made before.
    prepare: &'static str,
    /// What Fail2ban's commands make by this name.
    needed: &'static str,
    /// Whether all ports are shut.
    closes_all: bool,
    /// Whether what is open goes on.
    goes_on: bool,
    /// Whether who is banned gets an answer.
    answers: bool,
}

/// The life of a ban by an action.
fn live(spec: ActionSpec, jail: &ActionJail, case: &Case) -> Option<Life> {
    let Cable { server, attackers } = Cable::new()?;
    said(&server, case.prepare);
    let listeners = [22, 80].map(|port| server.listen(port));
    let emptied = || {
        for listener in &listeners {
            listener.set_nonblocking(true).unwrap();
            while listener.accept().is_ok() {}
        }
    };
    let reaches = |from: &str, address: &str| {
        let reached = attackers.reaches(from, to(address));
        emptied();
        reached
    };
    let (ssh, ssh6, web) = ("192.0.2.1:22", "[2001:db8::1]:22", "192.0.2.1:80");
    until("the network is there", || {
        (reaches("192.0.2.7", ssh) && reaches("2001:db8:0:7::7", ssh6)).then_some(())
    });
    let mut early = attackers.connect("192.0.2.7", to(ssh)).unwrap();
    let mut taken = until("it is taken", || listeners[0].accept().ok()).0;
    let guard = Guard::start(&server, spec);
    let bans: Vec<InForce> = ["192.0.2.7", "2001:db8:0:7::7"]
        .map(|subject| ban("sshd", subject, 600))
        .into();
    guard.reconcile(std::slice::from_ref(jail), &[]);
    guard.order_change(&bans, &[]);
    guard.must_apply(2);
    assert!(!reaches("192.0.2.7", ssh));
    assert!(!reaches("2001:db8:0:7::7", ssh6));
    assert_eq!(reaches("192.0.2.7", web), !case.closes_all);
    assert!(reaches("192.0.2.8", ssh));
    if case.goes_on {
        early.write_all(b"x").unwrap();
        taken.set_nonblocking(false).unwrap();
        taken.set_read_timeout(Some(DEADLINE)).unwrap();
        taken.read_exact(&mut [0]).unwrap();
    }
    let mut answers = Vec::new();
    if case.answers {
        for (from, address) in [("192.0.2.7", ssh), ("2001:db8:0:7::7", ssh6)] {
            answers.push(attackers.refusal(from, to(address)));
        }
    }
    let life = Life {
        names: names(&server),
        answers,
    };
    guard.unban(&["192.0.2.7"]);
    assert!(reaches("192.0.2.7", ssh));
    assert!(!reaches("2001:db8:0:7::7", ssh6));
    guard.stop(Ending::AsConfigured);
    assert!(reaches("2001:db8:0:7::7", ssh6));
    let left = shell(
        &server,
        &format!("{ALL} | grep -E 'f2b|addr6?-set|unreachable [0-9]'"),
    );
    let left = String::from_utf8(left.stdout).unwrap();
    assert!(left.is_empty(), "{left}");
    Some(life)
}

fn lives_the_same(case: &Case) {
    let programs = ["nft", "iptables", "ip6tables", "ipset"];
    let Some(package) = Package::find().filter(|_| has(&programs)) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let jail = one_jail(home.path(), "sshd", case.action);
    let (asked, carried, problems) = read(&package, home.path(), &jail);
    assert!(problems.iter().all(|one| !one.message.contains("action")));
    let (_, native, _) = carried.natives.first().expect("it is one of ours");
    let parameters = parameters(native);
    let ours = action(&native.action, &parameters);
    let spec = commands::read(&asked[0], &mut Problems::default()).unwrap();
    let theirs = spec.named("theirs".parse().unwrap());
    let mut jail = crate::support::guard::jail("sshd", &[]);
    jail.width = SubjectWidth {
        ipv4: 32,
        ipv6: 128,
    };
    jail.label = carried.uses[0].label.clone().unwrap();
    if let Some(ports) = &carried.uses[0].ports {
        let words: Vec<&str> = ports.ports.iter().map(String::as_str).collect();
        let protocols = ports.protocols.iter().map(|word| word.parse().unwrap());
        jail.ports = Ports::parse(&words, &Services::well_known()).unwrap();
        jail.protocols = protocols.collect();
    }
    let Some(theirs) = live(theirs, &jail, case) else {
        return;
    };
    let ours = live(ours, &jail, case).unwrap();
    let is_there = theirs.names.iter().any(|one| one == case.needed);
    assert!(is_there, "{theirs:?}");
    assert_eq!(ours, theirs);
}

impl Case {
    fn of(action: &'static str, needed: &'static str) -> Case {
        Case {
            action,
            prepare: "",
            needed,
            closes_all: action.contains("allports"),
            goes_on: false,
            answers: !action.contains("DROP"),
        }
    }
}

#[test]
fn nftables_lives_the_same() {
    lives_the_same(&Case::of("nftables-multiport[port=ssh]", "addr6-set-sshd"));
}

#[test]
fn nftables_that_rejects_otherwise_lives_the_same() {
    let action = "nftables[port=ssh, blocktype=\"reject with icmpx admin-prohibited\"]";
    lives_the_same(&Case::of(action, "addr-set-sshd"));
}

#[test]
fn nftables_for_all_ports_lives_the_same() {
    lives_the_same(&Case::of("nftables-allports[port=ssh]", "f2b-chain"));
}

#[test]
fn iptables_lives_the_same() {
    lives_the_same(&Case::of("iptables-multiport[port=ssh]", "f2b-sshd"));
}

#[test]
fn iptables_that_logs_lives_the_same() {
    let action = "iptables-multiport-log[port=ssh, protocol=tcp]";
    lives_the_same(&Case::of(action, "f2b-sshd-log"));
}

#[test]
fn iptables_for_all_ports_lives_the_same() {
    lives_the_same(&Case::of("iptables-allports[port=ssh]", "f2b-sshd"));
}

#[test]
fn iptables_in_a_chain_of_the_administrator_lives_the_same() {
    lives_the_same(&Case {
        prepare: "for tables in iptables ip6tables; do $tables -w -N MINE && $tables -w -I INPUT -j MINE; done",
        ..Case::of(
            "iptables-multiport[port=ssh, chain=MINE, blocktype=DROP]",
            "-A MINE",
        )
    });
}

#[test]
fn iptables_for_what_is_opened_lives_the_same() {
    lives_the_same(&Case {
        // The kernel follows connections only where a rule asks for it.
        prepare: "for tables in iptables ip6tables; do $tables -w -A INPUT -m conntrack --ctstate NEW; done",
        goes_on: true,
        ..Case::of("iptables-new[port=ssh]", "f2b-sshd")
    });
}

#[test]
fn iptables_by_another_name_lives_the_same() {
    lives_the_same(&Case::of(
        "iptables[name=SSH, port=ssh, protocol=tcp]",
        "f2b-SSH",
    ));
}

#[test]
fn nftables_by_another_name_lives_the_same() {
    lives_the_same(&Case::of("nftables[name=SSH, port=ssh]", "addr-set-SSH"));
}

#[test]
fn ipset_lives_the_same() {
    lives_the_same(&Case::of("iptables-ipset-proto6[port=ssh]", "f2b-sshd6"));
}

#[test]
fn ipset_for_all_ports_lives_the_same() {
    let action = "iptables-ipset-proto6-allports[ipsettime=<timeout-bantime>, blocktype=DROP]";
    lives_the_same(&Case::of(action, "f2b-sshd"));
}

#[test]
fn route_lives_the_same() {
    lives_the_same(&Case {
        closes_all: true,
        answers: false,
        ..Case::of("route", "unreachable 192.0.2.7")
    });
}

/// What is done for one action of a jail: ours, or its commands.
fn comes_to(package: &Package, home: &Path, action: &str) -> Option<String> {
    let (_, carried, problems) = read(package, home, &one_jail(home, "sshd", action));
    assert_eq!(carried.uses.len(), 1, "{problems:?}");
    let (_, native, _) = carried.natives.first()?;
    let said: std::collections::BTreeMap<_, _> = parameters(native).into_iter().collect();
    Some(format!("{} {said:?}", native.action))
}

#[test]
fn only_what_is_surely_the_same_is_replaced() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let is = |action: &str| comes_to(&package, home.path(), action);
    let ours = is("nftables[port=ssh, blocktype=drop, table=mine]").unwrap();
    assert!(ours.starts_with("nftables"), "{ours}");
    assert!(ours.contains("\"table\": \"mine\"") && ours.contains("\"verdict\": \"drop\""));
    assert!(is("%(action_)s").unwrap().starts_with("iptables"));
    assert!(is("%(banaction)s[port=ssh, chain=\"<known/chain>\"]").is_some());
    assert!(is("iptables[type=multiport, port=\"ssh,http\"]").is_some());
    let ours = is("iptables[chain=DOCKER-USER]").unwrap();
    assert!(ours.contains("\"hooks\": \"DOCKER-USER\""), "{ours}");
    for ours in [
        "iptables-ipset",
        "iptables-ipset-proto4[maxelem=100000]",
        "iptables-multiport-log[port=ssh]",
        "route[blocktype=blackhole]",
        "ufw[blocktype=deny]",
        "iptables[name=other]",
    ] {
        assert!(is(ours).is_some(), "{ours}");
    }
    for others in [
        "nftables[blocktype=\"counter drop\"]",
        "nftables[chain_hook=forward]",
        "nftables[protocol=icmp]",
        "nftables[type=custom, rule_match-custom=\"meta mark 7\"]",
        "nftables[table=\"a b\"]",
        "iptables[name=\"a b\"]",
        "iptables[pre-rule=\"-i eth0 \"]",
        "iptables[chain=\"INPUT FORWARD\"]",
        "iptables[blocktype=\"REJECT --reject-with tcp-reset\"]",
        "iptables-ipset[ipmset=other]",
        "iptables-ipset[ipsettime=60]",
        "iptables-new[pre-rule=\"\"]",
        "iptables-xt_recent-echo",
        "route[blocktype=throw]",
        "ufw[application=OpenSSH]",
        "ufw[comment=mine]",
        "ufw[kill-mode=ss]",
        "hostsdeny[ip_value=x]",
    ] {
        assert_eq!(is(others), None, "{others}");
    }
    let local = home.path().join("fail2ban/action.d/iptables.local");
    fs::write(
        &local,
        "[Init]\nblocktype = DROP\n[Init?family=inet6]\nblocktype = DROP\n",
    )
    .unwrap();
    assert!(is("iptables").unwrap().contains("\"verdict\": \"drop\""));
    fs::write(&local, "[Init]\nlockingopt = -w 5\n").unwrap();
    assert_eq!(is("iptables"), None);
    fs::write(&local, "[Definition]\nactionban = logger <ip>\n").unwrap();
    assert_eq!(is("iptables"), None);
    assert_eq!(is("iptables-multiport"), None, "which includes it");
    assert!(is("nftables").is_some());
    let stock = home.path().join("fail2ban/action.d/nftables.conf");
    let text = fs::read_to_string(&stock).unwrap();
    fs::write(&stock, format!("# mine\n{text}")).unwrap();
    assert!(is("nftables").is_some());
    assert!(text.contains("\nactionban = "), "{text}");
    let edited = text.replace("\nactionban = ", "\nactionban = logger <ip>; ");
    fs::write(&stock, edited).unwrap();
    assert_eq!(is("nftables"), None);
    assert_eq!(is("nftables-multiport"), None, "which includes it");
}

#[test]
fn what_commands_speak_of_is_left_to_commands() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let jail = |name: &str, action: &str| one_jail(home.path(), name, action);
    let all = |jails: &[String]| {
        let (_, carried, _) = read(&package, home.path(), &jails.concat());
        (carried.natives.len(), carried.commands.len())
    };
    let (one, other) = (jail("a", "nftables"), jail("b", "nftables[port=http]"));
    assert_eq!(all(&[one.clone(), other.clone()]), (1, 0));
    let drops = jail("c", "nftables[blocktype=drop]");
    assert_eq!(
        all(&[one.clone(), other.clone(), drops]),
        (0, 3),
        "all use one table"
    );
    let elsewhere = jail("c", "nftables[blocktype=drop, table=mine]");
    assert_eq!(all(&[one, other, elsewhere]), (2, 0));
    let both = "nftables[name=x-tcp]\n  nftables[name=x-udp, protocol=udp]";
    assert_eq!(all(&[jail("a", both)]), (0, 2), "a jail has an action once");
    let (one, other) = (jail("a", "iptables[name=x]"), jail("b", "route[name=x]"));
    assert_eq!(all(&[one.clone(), other]), (2, 0));
    let same = jail("b", "iptables-ipset[name=x]");
    assert_eq!(all(&[one, same]), (0, 2), "they call their things the same");
}

#[test]
fn those_that_differ_have_a_chain_each() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let jail = |name: &str, action: &str| one_jail(home.path(), name, action);
    let both = "iptables[name=c-tcp, port=5060]\n  iptables[name=c-udp, port=5060, protocol=udp]";
    let jails = [
        jail("a", "iptables"),
        jail("b", "iptables[blocktype=DROP]"),
        jail("c", both),
        jail("d", "iptables-ipset[port=http]"),
    ];
    let (_, carried, _) = read(&package, home.path(), &jails.concat());
    assert!(carried.commands.is_empty());
    let natives = carried.natives.iter();
    let natives: Vec<_> = natives.map(|(_, native, _)| native).collect();
    assert_eq!(natives.len(), 4, "{natives:?}");
    let specs: Vec<_> = natives
        .iter()
        .map(|native| action(&native.action, &parameters(native)))
        .collect();
    for (at, one) in specs.iter().enumerate() {
        let mut others = specs[..at].iter();
        assert!(!others.any(|other| one.shares_place_with(other)), "{one:?}");
    }
    let uses = &carried.uses;
    let of_c = |at: usize| {
        let mut own = carried.uses.iter().filter(|one| one.jail == "c");
        own.nth(at).unwrap()
    };
    assert_eq!(of_c(0).label.as_ref().unwrap().as_str(), "c-tcp");
    assert_eq!(of_c(1).ports.as_ref().unwrap().protocols, ["udp"]);
    assert_ne!(of_c(0).name, of_c(1).name);
    assert_eq!(of_c(0).name, uses[0].name);
}

#[test]
fn what_a_command_is_not_told_is_said_at_load() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    package.copy_to(&home.path().join("fail2ban"), home.path());
    let own = home.path().join("fail2ban/action.d/own.conf");
    let told = |command: &str| {
        fs::write(&own, format!("[Definition]\nactionban = {command}\n")).unwrap();
        let (_, carried, problems) =
            read(&package, home.path(), &one_jail(home.path(), "sshd", "own"));
        assert_eq!(carried.commands.len(), 1);
        let problems = problems.into_iter().map(|one| one.message);
        problems
            .filter(|one| one.contains("`own`"))
            .collect::<Vec<_>>()
    };
    assert!(told("logger <ip> <F-USER> <F-ID> <F-IP4> <jail.banned>").is_empty());
    let messages = told("logger <F-SESSION> <jail.found> <F-SESSION>");
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("<F-SESSION>") && messages[0].contains("empty"));
    assert!(messages[1].contains("<jail.found>") && messages[1].contains(" 0"));
}

#[test]
fn letters_of_smtp_py_are_ours() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    package.copy_to(&home.path().join("fail2ban"), home.path());
    let named = "smtp.py[host=mail.example.org, dest=me@example.org, sendername=Us]";
    for (said, server, from, to) in [
        ("smtp.py", "localhost", "fail2ban@<host>", "root@localhost"),
        (
            named,
            "mail.example.org",
            "fail2ban@<host>",
            "me@example.org",
        ),
    ] {
        let (_, carried, problems) =
            read(&package, home.path(), &one_jail(home.path(), "sshd", said));
        let (_, native, _) = carried
            .natives
            .first()
            .unwrap_or_else(|| panic!("{problems:?}"));
        let parameters = parameters(native);
        assert_eq!(native.action, "mail-each");
        let is = |name: &str, value: &str| parameters.contains(&(name, value));
        assert!(
            is("server", server) && is("from", from) && is("to", to),
            "{parameters:?}"
        );
        assert!(is("prefix", "[Fail2Ban]") && is("port", "25") && is("security", "none"));
        // They can be set; here a bracket would begin a list.
        let plain = parameters.iter().filter(|(name, _)| *name != "prefix");
        action(&native.action, &plain.copied().collect::<Vec<_>>());
    }
}

#[test]
fn python_is_refused_with_what_is_nearest() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    package.copy_to(&home.path().join("fail2ban"), home.path());
    let said = "smtp.py[matches=ipmatches]";
    let (_, carried, problems) = read(&package, home.path(), &one_jail(home.path(), "sshd", said));
    assert!(carried.uses.is_empty());
    let told = |one: &Problem| one.message.contains("Python") && one.remedy.contains("`mail`");
    assert!(problems.iter().any(told), "{problems:?}");
}

#[test]
fn secrets_are_carried_and_not_shown() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    for (said, ours) in [
        ("smtp.py[user=me@x, password=\"Sesame 123\"]", "mail-each"),
        (
            "abuseipdb[abuseipdb_apikey=\"Sesame 123\", abuseipdb_category=\"18,22\"]",
            "abuseipdb-lines",
        ),
        (
            "blocklist_de[email=me@example.org, service=sshd, apikey=\"Sesame 123\"]",
            "blocklist-de",
        ),
        (
            "cloudflare[cfuser=me@x, cftoken=\"Sesame 123\"]",
            "cloudflare-rules",
        ),
    ] {
        let jail = one_jail(home.path(), "sshd", said);
        let (_, carried, problems) = read(&package, home.path(), &jail);
        let (_, native, _) = carried
            .natives
            .first()
            .unwrap_or_else(|| panic!("{problems:?}"));
        assert_eq!(native.action, ours);
        let mut values = native.parameters.values();
        let is_it = |value: &Said| matches!(value, Said::Secret(it) if it.reveal() == "Sesame 123");
        assert!(values.any(is_it), "{native:?}");
        assert!(!format!("{native:?}").contains("Sesame"));
    }
}

#[test]
fn letters_and_reports_are_ours_where_they_say_the_same() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let is = |action: &str| comes_to(&package, home.path(), action);
    for (theirs, ours) in [
        (
            "sendmail[name=SSH, dest=\"a@example.org, b\"]",
            "mail-each ",
        ),
        ("mail[dest=me@example.org]", "mail-each "),
        ("sendmail-whois[sender=me, sendername=Us]", "mail-whois "),
        (
            "mail-whois-lines[logpath=/x, chain=INPUT]",
            "mail-whois-lines ",
        ),
        ("sendmail-whois-matches", "mail-whois-lines "),
        ("sendmail-whois-ipmatches", "mail-whois-history "),
        ("sendmail-whois-ipjailmatches", "mail-whois-jail-history "),
        ("sendmail-geoip-lines", "mail-whois-lines "),
        ("sendmail-buffered[lines=7]", "mail "),
        ("mail-buffered", "mail "),
        ("dshield[userid=7, port=22]", "dshield "),
        ("dshield[myip=192.0.2.1]", "dshield "),
        ("hostsdeny[file=/x, daemon_list=sshd]", "hostsdeny-lines "),
        (
            "firewallcmd-ipset[port=ssh, blocktype=DROP]",
            "firewalld-ipset ",
        ),
        ("firewallcmd-rich-rules[port=ssh]", "firewalld-rich "),
        (
            "firewallcmd-rich-logging[port=ssh, level=debug]",
            "firewalld-rich-log ",
        ),
        ("firewallcmd-multiport[port=ssh]", "firewalld-direct "),
        ("firewallcmd-new[port=ssh, chain=MINE]", "firewalld-direct "),
        ("firewallcmd-allports", "firewalld-direct "),
    ] {
        let own = is(theirs);
        assert!(
            own.as_ref().is_some_and(|own| own.starts_with(ours)),
            "{theirs}: {own:?}"
        );
    }
    let host = is("dshield[myip=192.0.2.1]").unwrap();
    assert!(host.contains("\"target\": \"192.0.2.1\""), "{host}");
    let host = is("dshield").unwrap();
    assert!(!host.contains("target\""), "{host}");
    let digest = is("sendmail-buffered[lines=7]").unwrap();
    assert!(digest.contains("\"gather\": \"7\""), "{digest}");
    let from = is("sendmail[sender=\"root@<fq-hostname>\"]").unwrap();
    assert!(from.contains("\"from\": \"root@<host>\""), "{from}");
    for others in [
        "sendmail[mailcmd=/bin/true]",
        "sendmail[dest=\"$(id)\"]",
        "sendmail-whois-lines[grepmax=3]",
        "sendmail-geoip-lines[grepmax=3]",
        "sendmail-buffered[mailcmd=/bin/true]",
        "abuseipdb",
        "abuseipdb[abuseipdb_apikey=x]",
        "blocklist_de[email=\"root@<fq-hostname>\", service=sshd, apikey=x]",
        "dshield[lines=5]",
        "cloudflare[cftoken=x]",
        "cloudflare-token[cftoken=x]",
        "cloudflare-token[cfzone=z, cftoken=x, cfmode=whitelist]",
        "cloudflare-token[cfzone=z, cftoken=x, notes=mine]",
        "xarf-login-attack",
        "firewallcmd-ipset[ipsettype=firewalld]",
        "firewallcmd-rich-logging[rich-suffix=drop]",
        "firewallcmd-multiport[family=eb]",
    ] {
        assert_eq!(is(others), None, "{others}");
    }
}
