//! Facts about what a jail is said to read: a jail that counts bans names the log that Fail2ban's would read.

use std::fs;

use crate::fail2ban::pair::Pair;

/// It is the same for both, but for whose log it is.
const RECIDIVE: &str = "[recidive]
enabled = true
filter = recidive
logpath = LOG
";

#[test]
fn the_log_of_a_jail_that_counts_bans_is_told() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    let (theirs, own) = (pair.path("theirs.log"), pair.path("own.log"));
    for (folder, log) in [("etc", &theirs), ("own", &own)] {
        for name in ["recidive.conf", "common.conf"] {
            let from = pair
                .package()
                .path(&format!("etc/fail2ban/filter.d/{name}"));
            fs::copy(from, pair.path(&format!("{folder}/filter.d/{name}"))).unwrap();
        }
        let text = RECIDIVE.replace("LOG", &log.display().to_string());
        fs::write(pair.path(&format!("{folder}/jail.local")), text).unwrap();
    }
    assert_eq!(pair.ours(&["reload"]), pair.theirs(&["reload"]));
    for words in [
        &["status", "recidive"][..],
        &["get", "recidive", "logpath"],
        &["get", "recidive", "journalmatch"],
    ] {
        let (ours, theirs) = (pair.ours(words).out, pair.theirs(words).out);
        assert_eq!(ours.replace("own.log", "theirs.log"), theirs, "{words:?}");
    }
    assert!(pair.ours(&["status", "recidive"]).out.contains("own.log\n"));
}
