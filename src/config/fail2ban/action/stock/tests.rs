//! What corresponds to what, and what decides it.

use super::*;
use crate::config::fail2ban::Tree;
use crate::config::fail2ban::jail::State;
use crate::config::problem::Problems;

#[test]
fn the_data_can_be_read() {
    let stock: Stock = toml::from_str(STOCK).expect("what corresponds to what");
    let known = Known::default();
    for native in &stock.native {
        let like = native.like.as_ref();
        assert!(
            like.is_none_or(|name| stock.like.contains_key(name)),
            "{like:?}"
        );
        for file in native.files.iter().filter(|file| !file.ends_with(".py")) {
            assert!(known.has_name(&format!("{file}.conf")), "{file}");
        }
    }
}

/// As before 1.0: the files have no `type`.
#[test]
fn what_a_file_without_a_type_closes_its_name_says() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join("action.d")).expect("a folder");
    let content = "[Definition]\nactionban = x\n[Init]\nport = ssh\nprotocol = tcp\n";
    let write = |name: &str, text: &str| {
        std::fs::write(home.path().join(name), text).expect("a file");
    };
    let mut stock = Stock::known();
    for (file, conf, ports) in [
        ("iptables-allports", "iptables-allports.conf", "0:65535"),
        ("iptables-multiport", "iptables-multiport.conf", "ssh"),
    ] {
        stock.known.add(conf, content);
        write(&format!("action.d/{conf}"), content);
        let said = format!("{file}[type=oneport]");
        let jail = format!(
            "[a]\nenabled = true\nfilter =\nfailregex = ^<HOST>$\nlogpath = /x\naction = {said}\n"
        );
        write("jail.conf", &jail);
        let tree = Tree::read(home.path(), "0.11.2", &mut Problems::default());
        let State::On(started) = &tree.expect("a tree").jails[0].state else {
            panic!("it is on");
        };
        let fit = stock.native("a", &started.actions[0]).expect("one of ours");
        let closes = fit.ports.expect("ports");
        assert_eq!(closes.ports, [ports]);
        assert_eq!(closes.protocols, ["tcp"]);
    }
}
