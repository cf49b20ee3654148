//! Facts about what a jail is said to read: a jail that counts bans names the logs that Fail2ban's would read.

use std::fs;

use crate::fail2ban::pair::Pair;

#[test]
fn the_logs_of_a_jail_that_counts_bans_are_told() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    let logs = ["own.log", "theirs.log"].map(|log| pair.path(log).display().to_string());
    let jail = format!(
        "[recidive]\nenabled = true\nfilter = recidive\nlogpath = {}\n    {}\n    /nowhere/*.log\n",
        logs[0], logs[1]
    );
    for folder in ["etc", "own"] {
        for name in ["recidive.conf", "common.conf"] {
            let name = format!("filter.d/{name}");
            let from = pair.package().path(&format!("etc/fail2ban/{name}"));
            fs::copy(from, pair.path(&format!("{folder}/{name}"))).unwrap();
        }
        fs::write(pair.path(&format!("{folder}/jail.local")), &jail).unwrap();
    }
    for said in [pair.theirs(&["reload"]), pair.ours(&["reload"])] {
        assert_eq!(said.out, "OK\n");
    }
    for words in [
        &["status", "recidive"][..],
        &["get", "recidive", "logpath"],
        &["get", "recidive", "journalmatch"],
    ] {
        assert_eq!(pair.ours(words), pair.theirs(words), "{words:?}");
    }
    assert!(pair.ours(&["status", "recidive"]).out.contains("own.log"));
}
